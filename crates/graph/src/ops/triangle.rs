//! The lower or upper triangle of matrices, with zeros elsewhere; the derivative is the same triangle of the
//! cotangent.

use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Work};

/// The elements up to (lower) or from (upper) a diagonal of the last two axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Triangle {
    upper: bool,
    diagonal: isize,
}

impl Op for Triangle {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        if self.upper { "triu" } else { "tril" }
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        if inputs[0].shape.rank() < 2 {
            return Err("a matrix has two axes".into());
        }
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let shape = &work.input_shapes[0];
        let (rows, columns) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
        let (x, y) = (work.inputs[0].real(), work.outputs[0].real());
        if columns == 0 {
            return Ok(());
        }
        y.fill(T::zero());
        for (row, (x, y)) in x.chunks_exact(columns).zip(y.chunks_exact_mut(columns)).enumerate() {
            // The column in which the diagonal crosses the row.
            let cross = ((row % rows) as isize).saturating_add(self.diagonal);
            let within = |column: isize| column.clamp(0, columns as isize) as usize;
            let kept = if self.upper { within(cross)..columns } else { 0..within(cross.saturating_add(1)) };
            y[kept.clone()].copy_from_slice(&x[kept]);
        }
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.g().graph().call(*self, &[call.g()])
    }
}

impl<'g> Var<'g> {
    /// The lower triangle of the matrices in the last two axes, `xᵢⱼ` where `j ≤ i + diagonal` and 0 elsewhere: up to
    /// and including the given diagonal (0 is the main one, 1 that above it, −1 that below it).
    ///
    /// # Panics
    /// If there are fewer than two axes.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let causal = graph.ones([2, 3]).tril(0);
    /// assert_eq!(graph.eval(causal)?, Tensor::from_rows([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn tril(self, diagonal: isize) -> Var<'g> {
        self.graph().call(Triangle { upper: false, diagonal }, &[self])
    }

    /// The upper triangle of the matrices in the last two axes, `xᵢⱼ` where `j ≥ i + diagonal` and 0 elsewhere: from
    /// the given diagonal on.
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn triu(self, diagonal: isize) -> Var<'g> {
        self.graph().call(Triangle { upper: true, diagonal }, &[self])
    }
}

crate::tape::op::saved_ops!("triangle": Triangle { upper, diagonal });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{shape, size, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = |upper| {
        (shape(3), [size(), size()], -3..4_isize).prop_flat_map(move |(batch, matrix, diagonal)| {
            let shape = batch.iter().copied().chain(matrix).collect::<crate::Shape>();
            tensor(shape, -4.0..4.0).prop_map(move |x| Sample::new(Triangle { upper, diagonal }, [x.into()]))
        })
    };
    vec![
        Entry::new("tril", "`xᵢⱼ` where `j ≤ i + diagonal`, else 0", samples(false)),
        Entry::new("triu", "`xᵢⱼ` where `j ≥ i + diagonal`, else 0", samples(true)),
    ]
}

#[cfg(test)]
mod tests {
    use crate::tape::Graph;

    #[test]
    fn every_diagonal() {
        let graph = Graph::new();
        for (rows, columns) in [(3, 4), (4, 3), (1, 1)] {
            for diagonal in -5..=5_isize {
                let lower = graph.eval(graph.ones([2, rows, columns]).tril(diagonal)).unwrap();
                let upper = graph.eval(graph.ones([2, rows, columns]).triu(diagonal)).unwrap();
                for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                    let distance = column as isize - row as isize;
                    assert_eq!(lower.at(&[1, row, column]), f64::from(u8::from(distance <= diagonal)));
                    assert_eq!(upper.at(&[1, row, column]), f64::from(u8::from(distance >= diagonal)));
                }
            }
        }
    }

    #[test]
    fn what_is_cut_off_may_be_infinite() {
        let graph = Graph::new();
        let mask = graph.full([2, 2], f64::NEG_INFINITY).triu(1);
        assert_eq!(graph.eval(mask).unwrap().data(), [0.0, f64::NEG_INFINITY, 0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "`tril` of [3]: a matrix has two axes")]
    fn a_vector_has_no_triangle() {
        Graph::new().zeros([3]).tril(0);
    }
}
