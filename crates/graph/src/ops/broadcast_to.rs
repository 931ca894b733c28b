//! Repetition of a variable along axes, by NumPy's rule of broadcasting.

use smallvec::SmallVec;

use crate::shape::{IntoShape, Layout, Shape};
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature};
use crate::tape::{Var, expect_shape, refuse};

/// The input repeated to `shape`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BroadcastTo {
    shape: Shape,
}

impl Op for BroadcastTo {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "broadcast_to"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        if inputs[0].shape.broadcast(&self.shape).as_ref() != Some(&self.shape) {
            return Err(format!("cannot be repeated to {}", self.shape));
        }
        Ok(smallvec::smallvec![Meta { shape: self.shape.clone(), ..inputs[0].clone() }])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.broadcast(&self.shape))
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let shape = call.x(0).shape();
        let lead = self.shape.rank() - shape.rank();
        let repeated = |axis: usize| axis < lead || shape[axis - lead] != self.shape[axis];
        let axes: SmallVec<[isize; 4]> = (0..self.shape.rank()).filter(|&a| repeated(a)).map(|a| a as isize).collect();
        call.g().sum_axes(&axes[..]).reshape(shape)
    }
}

impl<'g> Var<'g> {
    /// The variable repeated to `shape` by NumPy's rule: axes are aligned at the last one, and a size of 1 is repeated.
    /// In a plan this costs nothing; the derivative sums the cotangent over the repeated axes.
    ///
    /// # Panics
    /// If it cannot be repeated to that shape.
    #[track_caller]
    pub fn broadcast_to(self, shape: impl IntoShape) -> Var<'g> {
        let shape = expect_shape("broadcast_to", &[&self.shape()], shape);
        if shape == self.graph().tape().meta(self.value).shape {
            return self;
        }
        self.graph().call(BroadcastTo { shape }, &[self])
    }

    /// If this is [`Var::broadcast_to`] of another variable: that one with the same number of axes, and the axes along
    /// which it is repeated.
    #[track_caller]
    pub(super) fn repeated(self) -> Option<(Var<'g>, SmallVec<[usize; 4]>)> {
        let source = {
            let tape = self.graph().tape();
            tape.op(self.node())?.as_any().downcast_ref::<BroadcastTo>()?;
            Var { graph: self.graph(), value: tape.nodes[self.node().index()].inputs[0] }
        };
        let (from, to) = (source.shape(), self.shape());
        let lead = to.rank() - from.rank();
        let own = |axis: usize| axis.checked_sub(lead).map_or(1, |axis| from[axis]);
        let axes: SmallVec<[usize; 4]> = (0..to.rank()).filter(|&axis| own(axis) != to[axis]).collect();
        Some((source.reshape((0..to.rank()).map(own).collect::<Shape>()), axes))
    }

    /// Both variables, repeated to their common shape.
    #[track_caller]
    pub(crate) fn broadcast_with(self, op: &str, other: Var<'g>) -> (Var<'g>, Var<'g>) {
        let (mine, its) = (self.shape(), other.shape());
        if mine == its {
            return (self, other);
        }
        match mine.broadcast(&its) {
            Some(shape) => (self.broadcast_to(shape.clone()), other.broadcast_to(shape)),
            None => refuse(op, &[&mine, &its], mine.why_no_broadcast(&its)),
        }
    }
}

crate::tape::op::saved_ops!("broadcast_to": BroadcastTo { shape });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, shape};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let broadcast_to =
        (shape(4), 0..4_usize, prop::collection::vec(any::<bool>(), 4)).prop_flat_map(|(shape, lead, ones)| {
            let kept = shape[lead.min(shape.rank())..].iter().zip(ones);
            let x: Shape = kept.map(|(&size, one)| if one { 1 } else { size }).collect();
            any_tensor(x).prop_map(move |x| Sample::new(BroadcastTo { shape: shape.clone() }, [x]))
        });
    vec![Entry::new("broadcast_to", "`x` repeated along axes to a shape", broadcast_to)]
}

#[cfg(test)]
mod tests {
    use crate::check::assert_property;
    use crate::check::strategies::alike;

    #[test]
    fn gradients() {
        assert_property(alike(1, -3.0..3.0), |x| {
            x[0].unsqueeze(0).broadcast_to([vec![2], x[0].shape().to_vec()].concat()).square()
        });
    }
}
