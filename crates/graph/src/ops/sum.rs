//! The sum over axes. Its derivative repeats the cotangent along them.

use smallvec::SmallVec;

use crate::axes::Axes;
use crate::kernel::reduce::{Add, Total, reduce};
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::reduction::{is_of_all, reduced_shape};
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Work};

/// The sum over `axes`, which are counted from the first, in order, and absent from the output.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    axes: SmallVec<[usize; 4]>,
}

impl Op for Sum {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "sum"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        reduced_shape(inputs, &self.axes)
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        reduce::<T, Add>(work.inputs[0].real(), &work.input_shapes[0], &self.axes, work.outputs[0].real());
        Ok(())
    }

    fn total(&self, input: &Shape) -> Option<Total> {
        is_of_all(input, &self.axes).then_some(Total::Sum)
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let shape = call.x(0).shape();
        call.g().reshape(shape.with_ones(|axis| self.axes.contains(&axis))).broadcast_to(shape)
    }

    fn is_separable(&self, inputs: &[Meta]) -> bool {
        inputs[0].shape.rank() > 0 && !self.axes.contains(&0)
    }
}

impl<'g> Var<'g> {
    #[track_caller]
    pub(crate) fn sum_resolved(self, axes: SmallVec<[usize; 4]>) -> Var<'g> {
        if axes.is_empty() {
            return self;
        }
        // Broadcast elements are not materialised: their sum is one of them times their number.
        let Some((source, repeated)) = self.repeated() else { return self.graph().call(Sum { axes }, &[self]) };
        let shape = self.shape();
        let count = |&axis: &usize| axes.contains(&axis).then(|| shape[axis]);
        let count: usize = repeated.iter().filter_map(count).product();
        if count < 2 {
            return self.graph().call(Sum { axes }, &[self]);
        }
        let once = shape.with_ones(|axis| axes.contains(&axis) && repeated.contains(&axis));
        self.graph().call(Sum { axes }, &[source.broadcast_to(once)]) * count as f64
    }

    /// The sum of all elements.
    ///
    /// Elements are added in a fixed order, in blocks with compensated partial sums: the error is within 40 roundings
    /// of `Σ|x|` for any number of elements, and does not depend on the number of threads.
    #[track_caller]
    pub fn sum(self) -> Var<'g> {
        self.sum_resolved(Axes::all(&self.shape()))
    }

    /// The sum over the given axes, which are removed; with the accuracy of [`Var::sum`].
    ///
    /// # Panics
    /// If an axis is out of range or named twice.
    #[track_caller]
    pub fn sum_axes(self, axes: impl Into<Axes>) -> Var<'g> {
        self.sum_resolved(axes.into().resolve("sum", &self.shape()))
    }

    /// The sum over the given axes, which are kept with size 1; with the accuracy of [`Var::sum`].
    ///
    /// # Panics
    /// If an axis is out of range or named twice.
    #[track_caller]
    pub fn sum_keep(self, axes: impl Into<Axes>) -> Var<'g> {
        let shape = self.shape();
        let axes = axes.into().resolve("sum", &shape);
        self.sum_resolved(axes.clone()).reshape(shape.with_ones(|axis| axes.contains(&axis)))
    }
}

crate::tape::op::saved_ops!("sum": Sum { axes });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{axes, shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = shape(4).prop_flat_map(|shape| {
        (axes(shape.rank()), tensor(shape, -4.0..4.0))
            .prop_map(|(axes, x)| Sample::new(Sum { axes: axes.into() }, [x.into()]))
    });
    vec![Entry::new("sum", "`Σx` over axes", samples)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::check::assert_property;
    use crate::check::strategies::tensor;

    #[test]
    fn gradients_over_axes_that_are_counted_from_the_last_or_stay() {
        let cube =
            || prop::collection::vec(0..4_usize, 3).prop_flat_map(|s| tensor(s, -3.0..3.0).prop_map(|x| vec![x]));
        assert_property(cube(), |x| x[0].square().sum_axes([-1, 0]));
        assert_property(cube(), |x| x[0] * x[0].sum_keep([1, 2]));
    }
}
