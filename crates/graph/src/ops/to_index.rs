//! Real numbers as indices.

use crate::real::Real;
use crate::shape::unravel;
use crate::tape::Var;
use crate::tape::op::{Accepts, Form, Kind, Kinks, Meta, Metas, Op, Signature, Work};

/// Real numbers truncated to integers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToIndex;

impl Op for ToIndex {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "to_index"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec::smallvec![Meta::index(inputs[0].shape.clone())])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let x = work.inputs[0].real();
        if let Some(position) = x.iter().position(|x| x.is_nan()) {
            return Err(format!("NaN at position {:?} is not an index", unravel(position, &work.input_shapes[0])));
        }
        work.outputs[0].index().iter_mut().zip(x).for_each(|(y, x)| *y = x.as_f64() as i64);
        Ok(())
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::Every { first: 0.0, step: 1.0 }
    }
}

impl<'g> Var<'g> {
    /// The real numbers truncated to integers, as indices: 2.9 becomes 2, and −2.9 becomes −2. For another rounding use
    /// [`Var::floor`] or [`Var::round`] first. Numbers beyond 64 bits saturate; NaN is an error of the run. An index
    /// variable is unchanged.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([0.2, 1.9]));
    /// assert_eq!(graph.eval(x.to_index().one_hot(2))?, Tensor::eye(2));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn to_index(self) -> Var<'g> {
        match self.kind() {
            Kind::Index => self,
            Kind::Real => self.graph().call(ToIndex, &[self]),
        }
    }
}

crate::tape::op::saved_ops!("to_index": ToIndex {});

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{away_from, shape};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = shape(5).prop_flat_map(|shape| {
        away_from(shape, -4.0..4.0, &[-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0])
            .prop_map(|x| Sample::new(ToIndex, [x.into()]))
    });
    vec![Entry::new("to_index", "`x` truncated to an integer, an index", samples).kinks("integers")]
}

#[cfg(test)]
mod tests {
    use crate::params::Params;
    use crate::plan::Feed;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn numbers_are_cut_and_saturate() {
        let graph = Graph::new();
        let x = Tensor::from([2.9, -2.9, 0.0, -0.5, 1e30, f64::NEG_INFINITY]);
        let y = graph.constant(&x).to_index();
        let (double, single) = (
            graph.eval_with::<f64>(&[y], &Params::new(0), &Feed::new()).unwrap(),
            graph.eval_with::<f32>(&[y], &Params::new(0), &Feed::new()).unwrap(),
        );
        assert_eq!(double[0].index().data(), [2, -2, 0, 0, i64::MAX, i64::MIN]);
        assert_eq!(single[0].index(), double[0].index());
        assert_eq!(y.to_index(), y);
    }

    #[test]
    fn a_number_that_is_none_is_an_error_of_the_run() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[1.0], [f64::NAN]]));
        let error = graph.eval(x.to_index().to_real()).unwrap_err().to_string();
        assert!(error.ends_with("NaN at position [1, 0] is not an index"), "{error}");
    }
}
