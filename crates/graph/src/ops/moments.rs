//! Mean, variance and standard deviation over axes: `Σx/n`, `Σ(x − mean)²/(n − c)` and its square root.
//!
//! The variance takes two passes, so that a large mean does not reduce its accuracy. The standard deviation is a norm,
//! so that its derivative where all elements are equal is 0 and not NaN.

use smallvec::SmallVec;

use crate::axes::Axes;
use crate::kernel::reduce::{Total, mean};
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::reduction::{is_of_all, reduced_shape, reduction};
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Vars, Work};

/// The mean over `axes`, which are counted from the first, in order, and absent from the output.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Mean {
    axes: SmallVec<[usize; 4]>,
}

impl Mean {
    /// The number of elements of each mean.
    fn count(&self, shape: &Shape) -> usize {
        self.axes.iter().map(|&axis| shape[axis]).product()
    }
}

impl Op for Mean {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "mean"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        reduced_shape(inputs, &self.axes)
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let count = self.count(&inputs[0].shape());
        Some(smallvec::smallvec![inputs[0].sum_resolved(self.axes.clone()) / count as f64])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (shape, y) = (&work.input_shapes[0], work.outputs[0].real());
        match self.count(shape) {
            0 => y.fill(T::nan()),
            _ => mean(work.inputs[0].real(), shape, &self.axes, y),
        }
        Ok(())
    }

    fn total(&self, input: &Shape) -> Option<Total> {
        is_of_all(input, &self.axes).then_some(Total::Mean)
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let shape = call.x(0).shape();
        let each = call.g() / self.count(&shape) as f64;
        each.reshape(shape.with_ones(|axis| self.axes.contains(&axis))).broadcast_to(shape)
    }
}

impl<'g> Var<'g> {
    #[track_caller]
    fn mean_resolved(self, axes: SmallVec<[usize; 4]>) -> Var<'g> {
        // Broadcast elements are averaged without materialising them.
        if let Some((source, repeated)) = self.repeated()
            && axes.iter().all(|axis| repeated.contains(axis))
            && self.count(&axes) > 0
        {
            let shape = self.shape();
            let once = source.broadcast_to(shape.with_ones(|axis| axes.contains(&axis)));
            return once.reshape(shape.without(|axis| axes.contains(&axis)));
        }
        if axes.is_empty() { self } else { self.graph().call(Mean { axes }, &[self]) }
    }

    #[track_caller]
    fn var_resolved(self, axes: SmallVec<[usize; 4]>, correction: usize) -> Var<'g> {
        let count = self.count(&axes).saturating_sub(correction);
        self.centred(&axes).square().sum_resolved(axes) / count as f64
    }

    #[track_caller]
    fn std_resolved(self, axes: SmallVec<[usize; 4]>, correction: usize) -> Var<'g> {
        let count = self.count(&axes).saturating_sub(correction);
        self.centred(&axes).norm_resolved(axes) / (count as f64).sqrt()
    }

    /// The variable minus its mean over the axes.
    #[track_caller]
    fn centred(self, axes: &SmallVec<[usize; 4]>) -> Var<'g> {
        let kept = self.shape().with_ones(|axis| axes.contains(&axis));
        self - self.mean_resolved(axes.clone()).reshape(kept)
    }

    /// The number of elements that are reduced to each result.
    fn count(self, axes: &[usize]) -> usize {
        let shape = self.shape();
        axes.iter().map(|&axis| shape[axis]).product()
    }
}

reduction! {
    ///
    /// `Σx/n`, NaN for no elements. It adds the distances from the first element, so that the mean of equal numbers is
    /// exactly that number.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]]));
    /// assert_eq!(graph.eval(x.mean())?.item(), 2.5);
    /// assert_eq!(graph.eval(x.mean_axes(0))?.data(), [2.0, 3.0]);
    /// assert_eq!(x.mean_keep(1).shape().sizes(), [2, 1]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    "mean", mean, mean_axes, mean_keep = mean_resolved
}

reduction! {
    ///
    /// `Σ(x − mean)²/(n − correction)`, with a `correction` of 0 for the population variance and 1 (PyTorch's default)
    /// for the unbiased sample variance; NaN if `n = correction`. It takes two passes, so that a large mean does not
    /// reduce its accuracy.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1.0, 3.0]));
    /// assert_eq!(graph.eval(x.var(0))?.item(), 1.0);
    /// assert_eq!(graph.eval(x.var(1))?.item(), 2.0);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    "variance", var, var_axes, var_keep = var_resolved, correction: usize
}

reduction! {
    ///
    /// `√(Σ(x − mean)²/(n − correction))`, the square root of [`Var::var`] with the same `correction`. Where all
    /// elements are equal its derivative is 0.
    "standard deviation", std, std_axes, std_keep = std_resolved, correction: usize
}

crate::tape::op::saved_ops!("mean": Mean { axes });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{axes, full_shape, shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    // Sometimes an axis that is kept is empty; the mean of no elements is NaN.
    let shapes = prop_oneof![8 => full_shape(0, 4), 2 => shape(4)];
    let samples = shapes.prop_flat_map(|shape| (axes(shape.rank()), Just(shape))).prop_flat_map(|(axes, shape)| {
        let axes: Vec<usize> = axes.into_iter().filter(|&axis| shape[axis] > 0).collect();
        tensor(shape, -4.0..4.0).prop_map(move |x| Sample::new(Mean { axes: axes.clone().into() }, [x.into()]))
    });
    vec![Entry::new("mean", "`Σx/n` over axes", samples)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::check::assert_property;
    use crate::check::strategies::{alike, separated, tensor};
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    fn cube() -> impl Strategy<Value = Vec<Tensor<f64>>> {
        prop::collection::vec(1..4_usize, 3).prop_flat_map(|s| tensor(s, -3.0..3.0).prop_map(|x| vec![x]))
    }

    #[test]
    fn gradients_of_the_mean() {
        assert_property(alike(1, -3.0..3.0), |x| {
            let whole = x[0].square().sum();
            if x[0].shape().contains(&0) { whole } else { whole + x[0].square().mean() }
        });
        assert_property(cube(), |x| x[0].square().mean_axes([-1, 0]));
        assert_property(cube(), |x| x[0] * x[0].mean_keep(1));
    }

    #[test]
    fn the_mean_of_nothing_is_nan() {
        let graph = Graph::new();
        assert!(graph.eval(graph.zeros([0, 2]).mean()).unwrap().item().is_nan());
        assert!(graph.eval(graph.zeros([0, 2]).mean_axes(0)).unwrap().data().iter().all(|m| m.is_nan()));
    }

    #[test]
    fn gradients_of_variance_and_deviation() {
        assert_property(cube(), |x| x[0].var(0));
        assert_property(cube(), |x| x[0].var_axes([0, 2], 0).square());
        let apart = || prop::collection::vec(2..4_usize, 3).prop_flat_map(|s| separated(s, 0.25).prop_map(|x| vec![x]));
        assert_property(apart(), |x| x[0].var_keep(1, 1) * x[0]);
        assert_property(apart(), |x| x[0].std(1));
        assert_property(apart(), |x| x[0].std_axes([-1], 0).square());
        assert_property(apart(), |x| x[0] / x[0].std_keep([0, 1], 1));
    }

    #[test]
    fn a_large_mean_costs_no_digits_and_equal_elements_give_no_nan() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([1e9 + 1.0, 1e9 + 3.0]));
        assert_eq!(graph.eval(x.var(0)).unwrap().item(), 1.0);
        assert_eq!(graph.eval(x.std(1)).unwrap().item(), 2.0_f64.sqrt());
        let equal = graph.constant(&Tensor::from([2.0, 2.0, 2.0]));
        let slope = graph.grad(equal.std(0), &[equal]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().data(), [0.0; 3]);
        assert!(graph.eval(graph.ones([1]).var(1)).unwrap().item().is_nan());
        assert_eq!(graph.eval(graph.scalar(3.0).var(0)).unwrap().item(), 0.0);
    }
}
