//! The matrix product, of vectors, matrices and batches of matrices.
//!
//! The op has two inputs of equal rank ≥ 2 whose axes before the last two are equal: `[…, m, k]·[…, k, n] = […, m, n]`.
//! Derivatives: `ḡ·bᵀ` and `aᵀ·ḡ`; the transposes are views, which the product reads through its strides.

use crate::shape::Shape;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature};
use crate::tape::{Var, expect_shape, refuse};

#[derive(Debug, PartialEq, Eq, Hash)]
struct MatMul;

impl Op for MatMul {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real]);

    fn name(&self) -> &'static str {
        "matmul"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let (a, b) = (&inputs[0].shape, &inputs[1].shape);
        let rank = a.rank();
        if rank < 2 || b.rank() != rank || a[..rank - 2] != b[..rank - 2] {
            return Err("the axes before the last two differ".into());
        }
        if a[rank - 1] != b[rank - 2] {
            return Err(format!("the inner sizes {} and {} differ", a[rank - 1], b[rank - 2]));
        }
        Ok(smallvec::smallvec![Meta::real(a.with_size(rank - 1, b[rank - 1])?)])
    }

    fn form(&self) -> Form {
        Form::Product
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let graph = call.x(0).graph();
        match input {
            0 => graph.call(MatMul, &[call.g(), call.x(1).t()]),
            _ => graph.call(MatMul, &[call.x(0).t(), call.g()]),
        }
    }

    fn multiply_adds(&self, inputs: &[Meta]) -> usize {
        inputs[0].shape.len().saturating_mul(inputs[1].shape.last().copied().unwrap_or(1))
    }
}

impl<'g> Var<'g> {
    /// The matrix product `cᵢⱼ = Σₖ aᵢₖ·bₖⱼ` over the last two axes, as NumPy's and PyTorch's `matmul`. Its derivatives
    /// are `g·bᵀ` and `aᵀ·g`.
    ///
    /// # Shapes
    /// `[…, m, k]·[…, k, n] = […, m, n]`, where the leading axes broadcast; a vector on the left is a row, one on the
    /// right a column, and the axis of size 1 is removed from the result.
    ///
    /// # Panics
    /// If an operand is a scalar, the inner sizes differ or the leading axes do not broadcast.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let a = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]]));
    /// let x = graph.constant(&Tensor::from([1.0, -1.0]));
    /// assert_eq!(graph.eval(a.matmul(x))?.data(), [-1.0, -1.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn matmul(self, other: Var<'g>) -> Var<'g> {
        let (left, right) = (self.shape(), other.shape());
        let both = [&left, &right];
        if left.rank() == 0 || right.rank() == 0 {
            refuse("matmul", &both, "a scalar has no inner axis; use `*`");
        }
        let a = if left.rank() == 1 { self.unsqueeze(0) } else { self };
        let b = if right.rank() == 1 { other.unsqueeze(1) } else { other };
        let (m, k) = last_two(&a.shape());
        let (inner, n) = last_two(&b.shape());
        if k != inner {
            refuse("matmul", &both, &format!("the inner sizes {k} and {inner} differ"));
        }
        let leading = |shape: &Shape| shape[..shape.rank() - 2].iter().copied().collect::<Shape>();
        let (a_lead, b_lead) = (leading(&a.shape()), leading(&b.shape()));
        let Some(lead) = a_lead.broadcast(&b_lead) else {
            refuse("matmul", &both, "the axes before the last two do not broadcast");
        };
        let with =
            |rows: usize, columns: usize| -> Vec<usize> { lead.iter().copied().chain([rows, columns]).collect() };
        let whole = expect_shape("matmul", &both, with(m, n));
        let product = if b_lead.rank() == 0 && a_lead.rank() > 0 {
            // One right matrix for the whole batch: the rows of all left matrices make one product.
            let rows = a.reshape([a_lead.len() * m, k]);
            self.graph().call(MatMul, &[rows, b]).reshape(whole)
        } else {
            let (a_shape, b_shape) =
                (expect_shape("matmul", &both, with(m, k)), expect_shape("matmul", &both, with(k, n)));
            self.graph().call(MatMul, &[a.broadcast_to(a_shape), b.broadcast_to(b_shape)])
        };
        let mut shape = lead.clone().iter().copied().collect::<Vec<_>>();
        if left.rank() > 1 {
            shape.push(m);
        }
        if right.rank() > 1 {
            shape.push(n);
        }
        product.reshape(shape)
    }
}

fn last_two(shape: &Shape) -> (usize, usize) {
    (shape[shape.rank() - 2], shape[shape.rank() - 1])
}

crate::tape::op::saved_ops!("matmul": MatMul {});

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{shape, size, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = (shape(3), size(), size(), size()).prop_flat_map(|(batch, m, k, n)| {
        let with = |last: [usize; 2]| batch.iter().copied().chain(last).collect::<Shape>();
        (tensor(with([m, k]), -4.0..4.0), tensor(with([k, n]), -4.0..4.0))
            .prop_map(|(a, b)| Sample::new(MatMul, [a.into(), b.into()]))
    });
    vec![Entry::new("matmul", "`Σₖ aᵢₖ·bₖⱼ` of the last two axes", samples)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::check::assert_property;
    use crate::check::strategies::tensor;
    use crate::shape::Shape;
    use crate::tape::Graph;

    #[test]
    fn gradients_of_vectors_matrices_and_batches() {
        let sizes = (0..4_usize, 0..4_usize, 0..4_usize, 0..3_usize);
        let shapes = (sizes, 0..7_usize).prop_map(|((m, k, n, b), case)| -> [Shape; 2] {
            match case {
                0 => [[m, k].into(), [k, n].into()],
                1 => [[k].into(), [k, n].into()],
                2 => [[m, k].into(), [k].into()],
                3 => [[k].into(), [k].into()],
                4 => [[b, m, k].into(), [b, k, n].into()],
                5 => [[b, m, k].into(), [k, n].into()],
                _ => [[2, 1, m, k].into(), [b, k, n].into()],
            }
        });
        let inputs = shapes.prop_flat_map(|[a, b]| vec![tensor(a, -3.0..3.0), tensor(b, -3.0..3.0)]);
        assert_property(inputs, |x| x[0].matmul(x[1]));
    }

    #[test]
    #[should_panic(expected = "`matmul` of [2, 3] and [4, 5]: the inner sizes 3 and 4 differ")]
    fn shapes_that_do_not_fit_are_named() {
        let graph = Graph::new();
        graph.zeros([2, 3]).matmul(graph.zeros([4, 5]));
    }
}
