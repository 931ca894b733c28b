//! One-hot encoding of indices.

use crate::kernel::indices::check_below;
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Form, Meta, Metas, Op, Signature, Work};

/// One axis more than the indices, of size `depth`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OneHot {
    depth: usize,
}

impl Op for OneHot {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Index]);

    fn name(&self) -> &'static str {
        "one_hot"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let shape = Shape::try_collect(inputs[0].shape.iter().copied().chain([self.depth]))?;
        Ok(smallvec::smallvec![Meta::real(shape)])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let indices = work.inputs[0].index();
        check_below(indices, &work.input_shapes[0], self.depth, "index", || format!("depth {}", self.depth))?;
        let y = work.outputs[0].real();
        y.fill(T::zero());
        for (row, &index) in indices.iter().enumerate() {
            y[row * self.depth + index as usize] = T::one();
        }
        Ok(())
    }
}

impl<'g> Var<'g> {
    /// The one-hot encoding: for each index a row of `depth` numbers, 1 at the index and 0 elsewhere.
    ///
    /// An index that is out of range is an error of the run.
    ///
    /// # Shapes
    /// `[…]` gives `[…, depth]`.
    ///
    /// # Panics
    /// If the variable is real.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let classes = graph.index_constant(&Tensor::from([2, 0]));
    /// assert_eq!(graph.eval(classes.one_hot(3))?, Tensor::from_rows([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn one_hot(self, depth: usize) -> Var<'g> {
        self.graph().call(OneHot { depth }, &[self])
    }
}

crate::tape::op::saved_ops!("one_hot": OneHot { depth });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{indices, shape};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = (shape(4), 1..5_usize).prop_flat_map(|(shape, depth)| {
        indices(shape, depth).prop_map(move |indices| Sample::new(OneHot { depth }, [indices.into()]))
    });
    vec![Entry::new("one_hot", "1 at the index and 0 elsewhere along a new axis", samples)]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn scalars_and_no_indices() {
        let graph = Graph::new();
        let one = graph.index_constant(&Tensor::scalar(1));
        assert_eq!(graph.eval(one.one_hot(2)).unwrap(), Tensor::from([0.0, 1.0]));
        let none = graph.index_constant(&Tensor::full([0], 0));
        assert_eq!(graph.eval(none.one_hot(2)).unwrap().shape().sizes(), [0, 2]);
    }

    #[test]
    fn an_index_out_of_range_is_named() {
        let graph = Graph::new();
        for (index, message) in [(3, "index 3 at position [1, 0]"), (-1, "index -1 at position [1, 0]")] {
            let indices = graph.index_constant(&Tensor::from_rows([[0, 2], [index, 1]]));
            let error = graph.eval(indices.one_hot(3)).unwrap_err().to_string();
            assert!(error.ends_with(&format!("{message} is out of range for depth 3")), "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "`one_hot` of [2]: expects indices where real numbers were given")]
    fn real_numbers_are_refused() {
        Graph::new().zeros([2]).one_hot(3);
    }
}
