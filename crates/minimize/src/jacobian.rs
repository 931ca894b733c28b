//! Where a closure puts the Jacobian of the residuals.

use gradus_graph::{Param, Real, Tensor};

use crate::parameter_vector::ParameterVector;
use crate::slope::unknown;

/// The place of the derivatives of all residuals with respect to each parameter, in a closure's answer.
///
/// [`LevenbergMarquardt`](crate::LevenbergMarquardt) has an example.
pub struct Jacobian<'a> {
    flat: &'a ParameterVector,
    /// The derivatives with respect to one scalar after those with respect to another.
    columns: &'a mut [f64],
    rows: usize,
    stride: usize,
}

impl<'a> Jacobian<'a> {
    /// The answer for that many residuals, zero until it is set; a column takes `stride` numbers.
    pub(crate) fn new(flat: &'a ParameterVector, columns: &'a mut [f64], rows: usize, stride: usize) -> Self {
        columns.fill(0.0);
        Self { flat, columns, rows, stride }
    }

    /// Takes the derivatives with respect to one parameter. Parameters without have zeros.
    ///
    /// # Shapes
    /// The axes of the residuals, followed by those of the parameter, as `Graph::jacobian` gives them.
    ///
    /// # Panics
    /// If the parameter is unknown or frozen, or the number of elements is wrong.
    #[track_caller]
    pub fn set<T: Real>(&mut self, param: &Param, jacobian: &Tensor<T>) {
        let Some(place) = self.flat.place(param) else { panic!("{}", unknown(param)) };
        let (rows, width) = (self.rows, place.len());
        assert!(
            jacobian.len() == rows * width,
            "the Jacobian of {rows} residuals by parameter `{}` of shape {} has {} elements; {} were given",
            param.name(),
            param.shape(),
            rows * width,
            jacobian.len()
        );
        for (k, value) in jacobian.data().iter().enumerate() {
            let (row, column) = (k / width, k % width);
            self.columns[(place.start + column) * self.stride + row] = value.as_f64();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_graph::Params;

    #[test]
    #[should_panic(expected = "of 3 residuals by parameter `x` of shape [2] has 6 elements; 4 were given")]
    fn a_wrong_number_of_elements_is_told() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([1.0, 2.0]));
        Jacobian::new(&ParameterVector::new(&params), &mut [0.0; 6], 3, 3).set(&x, &Tensor::<f64>::zeros([2, 2]));
    }
}
