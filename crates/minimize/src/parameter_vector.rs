//! The trainable parameters of a store as one vector: in double precision, whatever the precision of the store.

use std::ops::Range;

use gradus_graph::{Param, Params, Real};

/// The layout of the vector: the range of each trainable parameter.
#[derive(Clone, Debug)]
pub(crate) struct ParameterVector {
    ranges: Vec<(Param, Range<usize>)>,
    len: usize,
    /// The value in the store of a 1 in the vector, for each scalar; empty if that is 1 for all.
    units: Vec<f64>,
}

impl ParameterVector {
    /// The layout of the parameters that are trainable now.
    pub(crate) fn new<T: Real>(params: &Params<T>) -> Self {
        let mut len = 0;
        let range = |param: &Param| {
            let start = len;
            len += param.shape().len();
            (param.clone(), start..len)
        };
        let ranges = params.trainable().map(range).collect();
        Self { ranges, len, units: Vec::new() }
    }

    /// The layout with each scalar in units of its magnitude, or of 1 where it is zero.
    pub(crate) fn scaled<T: Real>(params: &Params<T>) -> Self {
        let layout = Self::new(params);
        let units = layout.read(params).iter().map(|x| if *x == 0.0 { 1.0 } else { x.abs() }).collect();
        Self { units, ..layout }
    }

    /// The value in the store of a 1 at this index of the vector.
    pub(crate) fn unit(&self, index: usize) -> f64 {
        self.units.get(index).copied().unwrap_or(1.0)
    }

    /// The number of scalars.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The parameters with their ranges.
    pub(crate) fn ranges(&self) -> &[(Param, Range<usize>)] {
        &self.ranges
    }

    /// The range of a parameter, if it is a trainable one of the store.
    pub(crate) fn range(&self, param: &Param) -> Option<Range<usize>> {
        let found = self.ranges.binary_search_by_key(&param.index(), |(param, _)| param.index()).ok()?;
        (self.ranges[found].0 == *param).then(|| self.ranges[found].1.clone())
    }

    /// The values of the parameters.
    pub(crate) fn read<T: Real>(&self, params: &Params<T>) -> Vec<f64> {
        let values = self.ranges.iter().flat_map(|(param, _)| params.get(param).data());
        values.enumerate().map(|(index, value)| value.as_f64() / self.unit(index)).collect()
    }

    /// Sets the parameters, and rounds the vector to what the store holds then.
    pub(crate) fn write<T: Real>(&self, params: &mut Params<T>, vector: &mut [f64]) {
        for (param, range) in &self.ranges {
            let values = params.get_mut(param).data_mut();
            for ((value, number), index) in values.iter_mut().zip(&mut vector[range.clone()]).zip(range.clone()) {
                let unit = self.unit(index);
                *value = T::of(*number * unit);
                *number = value.as_f64() / unit;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_graph::Tensor;

    #[test]
    fn scalars_in_units_of_their_own() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([-4e5, 0.0, 0.25]));
        let layout = ParameterVector::scaled(&params);
        assert_eq!(layout.read(&params), [-1.0, 0.0, 1.0]);
        layout.write(&mut params, &mut [0.5, 3.0, -2.0]);
        assert_eq!(params.get(&x).data(), [2e5, 3.0, -0.5]);
    }

    #[test]
    fn a_vector_is_rounded_to_what_the_store_holds() {
        let mut params: Params<f32> = Params::new(0);
        let first = params.add("first", Tensor::from([1.0, 2.0]));
        params.add("frozen", Tensor::from([7.0]));
        let last = params.add("last", Tensor::from_rows([[3.0], [4.0]]));
        params.set_trainable(false, |name| name == "frozen");
        let layout = ParameterVector::new(&params);
        assert_eq!(layout.read(&params), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!((layout.range(&first), layout.range(&last)), (Some(0..2), Some(2..4)));
        assert_eq!(params.find("frozen").and_then(|param| layout.range(param)), None);
        let mut vector = [0.1, 0.2, 0.3, 0.5];
        layout.write(&mut params, &mut vector);
        assert_eq!(vector[0], f64::from(0.1_f32));
        assert_eq!(params.get(&last).data(), [0.3, 0.5]);
    }
}
