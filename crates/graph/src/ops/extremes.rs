//! The largest and the smallest element over axes. NaN propagates, and tied elements share the cotangent equally.

use smallvec::SmallVec;

use crate::axes::{Axes, check_axes};
use crate::kernel::reduce::{Largest, Smallest, reduce};
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::reduction::reduction;
use crate::tape::op::{Accepts, Call, Form, Kinks, Meta, Metas, Op, Signature, Work};

/// The largest element over `axes`, which are counted from the first, in order, and absent from the output; or the
/// smallest.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    axes: SmallVec<[usize; 4]>,
    largest: bool,
}

impl Op for Extreme {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        if self.largest { "max" } else { "min" }
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let shape = &inputs[0].shape;
        check_axes(&self.axes, shape)?;
        let output: Shape = shape.without(|axis| self.axes.contains(&axis));
        if let Some(axis) = self.axes.iter().find(|&&axis| shape[axis] == 0) {
            return Err(format!("axis {axis} has size 0: there is no element"));
        }
        Ok(smallvec::smallvec![Meta::real(output)])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let fold = if self.largest { reduce::<T, Largest> } else { reduce::<T, Smallest> };
        fold(work.inputs[0].real(), &work.input_shapes[0], &self.axes, work.outputs[0].real());
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let x = call.x(0);
        let kept = x.shape().with_ones(|axis| self.axes.contains(&axis));
        let axes: SmallVec<[isize; 4]> = self.axes.iter().map(|&axis| axis as isize).collect();
        let reached = x.equal(call.y().reshape(kept.clone()));
        // A selection, not a product: an infinite cotangent times 0 would be NaN.
        reached.where_(call.g().reshape(kept) / reached.sum_keep(&axes[..]), 0.0)
    }

    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::Ties
    }
}

impl<'g> Var<'g> {
    #[track_caller]
    fn max_resolved(self, axes: SmallVec<[usize; 4]>) -> Var<'g> {
        self.extreme(axes, true)
    }

    #[track_caller]
    fn min_resolved(self, axes: SmallVec<[usize; 4]>) -> Var<'g> {
        self.extreme(axes, false)
    }

    #[track_caller]
    fn extreme(self, axes: SmallVec<[usize; 4]>, largest: bool) -> Var<'g> {
        if axes.is_empty() {
            return self;
        }
        self.graph().call(Extreme { axes, largest }, &[self])
    }
}

reduction! {
    ///
    /// NaN if an element is NaN. Tied elements share the derivative equally, as with PyTorch's `amax`.
    ///
    /// # Panics
    /// If there are no elements.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([3.0, 7.0, 7.0]));
    /// assert_eq!(graph.eval(x.max())?.item(), 7.0);
    /// let slope = graph.grad(x.max(), &[x])?[0];
    /// assert_eq!(graph.eval(slope)?.data(), [0.0, 0.5, 0.5]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    "largest element", max, max_axes, max_keep = max_resolved
}

reduction! {
    ///
    /// NaN if an element is NaN. Tied elements share the derivative equally, as with PyTorch's `amin`.
    ///
    /// # Panics
    /// If there are no elements.
    "smallest element", min, min_axes, min_keep = min_resolved
}

crate::tape::op::saved_ops!("extreme": Extreme { axes, largest });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{axes, full_shape, separated};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = |largest| {
        let shapes = full_shape(0, 4).prop_flat_map(|shape| (axes(shape.rank()), Just(shape)));
        (shapes, proptest::bool::weighted(0.1)).prop_flat_map(move |((axes, shape), empty)| {
            // An axis that is kept may be empty.
            let shape = match (0..shape.rank()).find(|axis| empty && !axes.contains(axis)) {
                Some(kept) => shape.with_size(kept, 0).expect("it is small"),
                None => shape,
            };
            separated(shape, 0.25).prop_map(move |x| {
                let axes = axes.clone().into();
                Sample::new(Extreme { axes, largest }, [x.into()])
            })
        })
    };
    vec![
        Entry::new("max", "the largest element over axes", samples(true)),
        Entry::new("min", "the smallest element over axes", samples(false)),
    ]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn ties_share_the_cotangent_and_nan_propagates() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[1.0, 4.0, 4.0], [2.0, 2.0, 2.0]]));
        let slope = |y| graph.eval(graph.grad(y, &[x]).unwrap()[0]).unwrap().into_vec();
        assert_eq!(slope(x.max_axes(1).sum()), [0.0, 0.5, 0.5, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]);
        assert_eq!(slope(x.min_axes(0).sum()), [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        for place in 0..40 {
            let broken = Tensor::from_fn([40], |k| if k == place { f64::NAN } else { k as f64 });
            let broken = graph.constant(&broken);
            assert!(graph.eval(broken.max()).unwrap().item().is_nan());
            assert!(graph.eval(broken.reshape([40, 1]).min_axes(0)).unwrap().item().is_nan());
        }
    }

    #[test]
    fn no_elements_along_another_axis_are_no_error() {
        let graph = Graph::new();
        assert_eq!(graph.eval(graph.zeros([0, 2]).max_axes(1)).unwrap().shape().sizes(), [0]);
    }

    #[test]
    #[should_panic(expected = "`max` of [2, 0]: axis 1 has size 0: there is no element")]
    fn nothing_has_no_largest_element() {
        Graph::new().zeros([2, 0]).max();
    }
}
