//! The trainable parameters of a store as one vector: in double precision, whatever the precision of the store.

use std::ops::Range;

use gradus_graph::{Param, Params, Real};

/// Where each trainable parameter stands in the vector.
#[derive(Clone, Debug)]
pub(crate) struct ParameterVector {
    places: Vec<(Param, Range<usize>)>,
    len: usize,
    /// What one is in the vector, for each scalar; empty where it is one.
    units: Vec<f64>,
}

impl ParameterVector {
    /// The places of the parameters that are trainable now.
    pub(crate) fn new<T: Real>(params: &Params<T>) -> Self {
        let mut len = 0;
        let place = |param: &Param| {
            let start = len;
            len += param.shape().len();
            (param.clone(), start..len)
        };
        let places = params.trainable().map(place).collect();
        Self { places, len, units: Vec::new() }
    }

    /// The places with each scalar in units of its magnitude, or of one where it is zero.
    pub(crate) fn scaled<T: Real>(params: &Params<T>) -> Self {
        let flat = Self::new(params);
        let units = flat.read(params).iter().map(|x| if *x == 0.0 { 1.0 } else { x.abs() }).collect();
        Self { units, ..flat }
    }

    /// What one is in that place of the vector.
    pub(crate) fn unit(&self, place: usize) -> f64 {
        self.units.get(place).copied().unwrap_or(1.0)
    }

    /// The number of scalars.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The parameters with their places.
    pub(crate) fn places(&self) -> &[(Param, Range<usize>)] {
        &self.places
    }

    /// The place of a parameter, if it is a trainable one of the store.
    pub(crate) fn place(&self, param: &Param) -> Option<Range<usize>> {
        let found = self.places.binary_search_by_key(&param.index(), |(param, _)| param.index()).ok()?;
        (self.places[found].0 == *param).then(|| self.places[found].1.clone())
    }

    /// The values of the parameters.
    pub(crate) fn read<T: Real>(&self, params: &Params<T>) -> Vec<f64> {
        let values = self.places.iter().flat_map(|(param, _)| params.get(param).data());
        values.enumerate().map(|(place, value)| value.as_f64() / self.unit(place)).collect()
    }

    /// Sets the parameters, and rounds the vector to what the store holds then.
    pub(crate) fn write<T: Real>(&self, params: &mut Params<T>, vector: &mut [f64]) {
        for (param, place) in &self.places {
            let values = params.get_mut(param).data_mut();
            for ((value, number), place) in values.iter_mut().zip(&mut vector[place.clone()]).zip(place.clone()) {
                let unit = self.unit(place);
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
        let flat = ParameterVector::scaled(&params);
        assert_eq!(flat.read(&params), [-1.0, 0.0, 1.0]);
        flat.write(&mut params, &mut [0.5, 3.0, -2.0]);
        assert_eq!(params.get(&x).data(), [2e5, 3.0, -0.5]);
    }

    #[test]
    fn a_vector_is_rounded_to_what_the_store_holds() {
        let mut params: Params<f32> = Params::new(0);
        let first = params.add("first", Tensor::from([1.0, 2.0]));
        params.add("frozen", Tensor::from([7.0]));
        let last = params.add("last", Tensor::from_rows([[3.0], [4.0]]));
        params.set_trainable(false, |name| name == "frozen");
        let flat = ParameterVector::new(&params);
        assert_eq!(flat.read(&params), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!((flat.place(&first), flat.place(&last)), (Some(0..2), Some(2..4)));
        assert_eq!(params.find("frozen").and_then(|param| flat.place(param)), None);
        let mut vector = [0.1, 0.2, 0.3, 0.5];
        flat.write(&mut params, &mut vector);
        assert_eq!(vector[0], f64::from(0.1_f32));
        assert_eq!(params.get(&last).data(), [0.3, 0.5]);
    }
}
