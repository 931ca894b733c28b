//! The same elements, in row-major order, under another shape.

use smallvec::SmallVec;

use crate::axes::{Axes, resolve_axis};
use crate::shape::{Layout, OPEN, Shape, TargetShape};
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature};
use crate::tape::{Var, refuse};

/// The elements in row-major order under another shape.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Reshape {
    shape: Shape,
}

impl Op for Reshape {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "reshape"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let (found, wanted) = (inputs[0].shape.len(), self.shape.len());
        if found != wanted {
            return Err(format!("{found} elements do not fill {} ({wanted} elements)", self.shape));
        }
        Ok(smallvec::smallvec![Meta { shape: self.shape.clone(), ..inputs[0].clone() }])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        input.reshaped(&self.shape)
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.g().reshape(call.x(0).shape())
    }
}

impl<'g> Var<'g> {
    /// The elements in row-major order under another shape. One size may be −1, or [`Var::INFERRED`] among sizes of
    /// type `usize`: it is inferred from the others.
    ///
    /// # Panics
    /// If the numbers of elements differ.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Var};
    /// let graph = Graph::new();
    /// let (x, rows) = (graph.zeros([2, 3, 4]), 8);
    /// assert_eq!(x.reshape([3, -1]).shape().sizes(), [3, 8]);
    /// assert_eq!(x.reshape([rows, Var::INFERRED]).shape().sizes(), [rows, 3]);
    /// ```
    #[track_caller]
    pub fn reshape(self, target: impl TargetShape) -> Var<'g> {
        let own = self.shape();
        let shape = match own.reshaped(target) {
            Ok(shape) => shape,
            Err(problem) => refuse("reshape", &[&own], &problem),
        };
        if shape == own {
            return self;
        }
        self.graph().call(Reshape { shape }, &[self])
    }

    /// The size that [`Var::reshape`] infers from the others.
    pub const INFERRED: usize = OPEN;

    /// Removes the given axes, which must have size 1.
    ///
    /// # Panics
    /// If an axis is out of range or has another size.
    #[track_caller]
    pub fn squeeze(self, axes: impl Into<Axes>) -> Var<'g> {
        let shape = self.shape();
        let axes = axes.into().resolve("squeeze", &shape);
        for &axis in &axes {
            if shape[axis] != 1 {
                refuse("squeeze", &[&shape], &format!("axis {axis} has size {}, not 1", shape[axis]));
            }
        }
        self.reshape(shape.without(|axis| axes.contains(&axis)))
    }

    /// Inserts an axis of size 1, which is axis `axis` of the result.
    ///
    /// # Panics
    /// If the axis is out of range.
    #[track_caller]
    pub fn unsqueeze(self, axis: isize) -> Var<'g> {
        let mut sizes: SmallVec<[usize; 4]> = SmallVec::from_slice(&self.shape());
        sizes.push(1);
        let axis = resolve_axis("unsqueeze", axis, &Shape::from(&sizes[..]));
        sizes.pop();
        sizes.insert(axis, 1);
        self.reshape(&sizes[..])
    }
}

crate::tape::op::saved_ops!("reshape": Reshape { shape });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, reshaped, shape};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let reshape = shape(5).prop_flat_map(|from| {
        (any_tensor(from.clone()), reshaped(&from)).prop_map(|(x, shape)| Sample::new(Reshape { shape }, [x]))
    });
    vec![Entry::new("reshape", "the elements of `x` in their order under another shape", reshape)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::check::assert_property;
    use crate::check::strategies::{shape, tensor};
    use crate::tape::{Graph, Var};

    #[test]
    fn gradients() {
        let two_axes =
            || (0..4_usize, 0..4_usize).prop_flat_map(|(m, n)| tensor([m, n], -3.0..3.0).prop_map(|x| vec![x]));
        assert_property(two_axes(), |x| x[0].square().reshape([Var::INFERRED]));
        assert_property(two_axes(), |x| x[0].unsqueeze(1).square().squeeze(1));
        let wide = tensor([3, 5], -3.0..3.0).prop_map(|x| vec![x]);
        assert_property(wide, |x| x[0].square().permute([1, 0]).reshape([3, 5]));
    }

    proptest! {
        #[test]
        fn the_order_of_the_elements_stays(x in shape(3).prop_flat_map(|shape| tensor(shape, -3.0..3.0))) {
            let graph = Graph::new();
            let v = graph.constant(&x);
            let flat = graph.eval(v.reshape([x.len()])).unwrap();
            prop_assert_eq!(flat.data(), x.data());
        }
    }
}
