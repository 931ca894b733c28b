//! The axes of a variable in another order.

use smallvec::SmallVec;

use crate::axes::resolve_axis;
use crate::shape::Layout;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature};

/// Axis `k` of the output is axis `axes[k]` of the input.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Permute {
    axes: SmallVec<[usize; 4]>,
}

impl Op for Permute {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "permute"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let shape = &inputs[0].shape;
        let mut seen: SmallVec<[usize; 4]> = self.axes.clone();
        seen.sort_unstable();
        if !seen.iter().copied().eq(0..shape.rank()) {
            return Err(format!("{:?} is not a permutation of its {} axes", self.axes, shape.rank()));
        }
        let shape = self.axes.iter().map(|&axis| shape[axis]).collect();
        Ok(smallvec::smallvec![Meta { shape, ..inputs[0].clone() }])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.permuted(&self.axes))
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let mut back: SmallVec<[isize; 4]> = SmallVec::from_elem(0, self.axes.len());
        for (to, &from) in self.axes.iter().enumerate() {
            back[from] = to as isize;
        }
        call.g().permute(&back[..])
    }
}

impl<'g> Var<'g> {
    /// The axes permuted: axis `k` of the result is axis `axes[k]`. In a plan this costs nothing.
    ///
    /// # Panics
    /// If `axes` is not a permutation of all axes.
    #[track_caller]
    pub fn permute(self, axes: impl AsRef<[isize]>) -> Var<'g> {
        let shape = self.shape();
        let mut order: SmallVec<[usize; 4]> = SmallVec::new();
        for &axis in axes.as_ref() {
            order.push(resolve_axis("permute", axis, &shape));
        }
        let axes = order;
        if axes.iter().copied().eq(0..shape.rank()) {
            return self;
        }
        self.graph().call(Permute { axes }, &[self])
    }

    /// The last two axes swapped.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn t(self) -> Var<'g> {
        self.transpose(-2, -1)
    }

    /// Two axes swapped.
    ///
    /// # Panics
    /// If an axis is out of range.
    #[track_caller]
    pub fn transpose(self, a: isize, b: isize) -> Var<'g> {
        let shape = self.shape();
        let (a, b) = (resolve_axis("transpose", a, &shape), resolve_axis("transpose", b, &shape));
        let mut axes: SmallVec<[isize; 4]> = (0..shape.rank() as isize).collect();
        axes.swap(a, b);
        self.permute(&axes[..])
    }
}

crate::tape::op::saved_ops!("permute": Permute { axes });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, permutation, shape};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let permute = shape(5).prop_flat_map(|shape| {
        (any_tensor(shape.clone()), permutation(shape.rank()))
            .prop_map(|(x, axes)| Sample::new(Permute { axes: axes.into() }, [x]))
    });
    vec![Entry::new("permute", "`x` with its axes in another order", permute)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::check::assert_property;
    use crate::check::strategies::tensor;

    #[test]
    fn gradients() {
        let two_axes = (0..4_usize, 0..4_usize).prop_flat_map(|(m, n)| tensor([m, n], -3.0..3.0).prop_map(|x| vec![x]));
        assert_property(two_axes, |x| x[0].t() * 2.0);
        let wide = tensor([3, 5], -3.0..3.0).prop_map(|x| vec![x]);
        assert_property(wide, |x| x[0].permute([1, 0]).square());
    }
}
