//! The Jacobian that a closure sets.

use gradus_graph::{Param, Real, Tensor};

use crate::parameter_vector::ParameterVector;
use crate::slope::unknown;

/// Takes the derivatives of all residuals with respect to each parameter from a closure.
///
/// [`LevenbergMarquardt`](crate::LevenbergMarquardt) has an example.
pub struct Jacobian<'a> {
    layout: &'a ParameterVector,
    /// The derivatives with respect to one scalar after those with respect to another.
    columns: &'a mut [f64],
    rows: usize,
    stride: usize,
}

impl<'a> Jacobian<'a> {
    /// For `rows` residuals, zero until it is set; columns are `stride` numbers apart.
    pub(crate) fn new(layout: &'a ParameterVector, columns: &'a mut [f64], rows: usize, stride: usize) -> Self {
        columns.fill(0.0);
        Self { layout, columns, rows, stride }
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
        let Some(range) = self.layout.range(param) else { panic!("{}", unknown(param)) };
        let (rows, width) = (self.rows, range.len());
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
            self.columns[(range.start + column) * self.stride + row] = value.as_f64();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_graph::Params;

    #[test]
    #[should_panic(expected = "of 3 residuals by parameter `x` of shape [2] has 6 elements; 4 were given")]
    fn a_wrong_number_of_elements_is_an_error() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([1.0, 2.0]));
        Jacobian::new(&ParameterVector::new(&params), &mut [0.0; 6], 3, 3).set(&x, &Tensor::<f64>::zeros([2, 2]));
    }
}
