//! Rotary position encoding.

use gradus_graph::kernel::math::Math;
use gradus_graph::{Graph, Kind, POSITIVE, Scoped, Shape, Tensor, Var, expect_setting};

/// Rotary position encoding: pairs of elements of a query or key are rotated by an angle that grows with its position.
///
/// Elements `2i` and `2i + 1` are a pair, as in the paper (other programs pair `i` with `i + E/2`; weights carry over
/// after the columns of the projections are reordered). At position `p` pair `i` is rotated by `p·base^(−2i/E)`:
/// `y₂ᵢ = x₂ᵢ·cos − x₂ᵢ₊₁·sin` and `y₂ᵢ₊₁ = x₂ᵢ·sin + x₂ᵢ₊₁·cos`. The product of a rotated query and a rotated key
/// depends on the difference of their positions alone.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::Rotary;
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from_rows([[1.0, 0.0], [1.0, 0.0]]));
/// let y = graph.eval(Rotary::new().rotate(x))?;
/// y.assert_close(&Tensor::from_rows([[1.0, 0.0], [1.0_f64.cos(), 1.0_f64.sin()]]), 1e-15, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Su et al., "RoFormer: enhanced transformer with rotary position embedding" (2021).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotary {
    base: f64,
    first: usize,
}

impl Default for Rotary {
    fn default() -> Self {
        Self { base: 10_000.0, first: 0 }
    }
}

impl Rotary {
    /// The encoding of the paper: the base is 10,000, and the first position is 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// The base of the angles; 10,000 by default.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[must_use]
    #[track_caller]
    pub fn base(self, base: f64) -> Self {
        expect_setting("`Rotary::base`: base", base, POSITIVE);
        Self { base, ..self }
    }

    /// The position of the first element of a sequence; 0 by default.
    #[must_use]
    pub fn first(self, position: usize) -> Self {
        Self { first: position, ..self }
    }

    /// The vectors, rotated by their positions.
    ///
    /// # Shapes
    /// `[…, L, E]` with an even `E` keeps its shape; the positions are those of the axis before the last.
    ///
    /// # Panics
    /// If there is no such axis, or the last has an odd size.
    #[track_caller]
    pub fn rotate<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (shape, _scope) = self.begin(x);
        let [cos, sin] = self.tables(x.graph(), shape[shape.rank() - 2], shape[shape.rank() - 1] / 2);
        rotated(x, cos, sin)
    }

    /// The vectors, rotated by positions that are given, as in decoding: each is below `limit`, and
    /// [`first`](Rotary::first) is added to it.
    ///
    /// A position that is not below the limit is an error of the run.
    ///
    /// # Shapes
    /// `[…, L, E]` with an even `E` keeps its shape; the positions are an index that broadcasts to `[…, L]`.
    ///
    /// # Panics
    /// If the shapes do not fit, or the positions are real.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// use gradus_nn::Rotary;
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from_rows([[1.0, 0.0], [1.0, 0.0]]));
    /// let positions = graph.index_constant(&Tensor::from([1, 0]));
    /// let y = graph.eval(Rotary::new().rotate_at(x, positions, 8))?;
    /// y.assert_close(&Tensor::from_rows([[1.0_f64.cos(), 1.0_f64.sin()], [1.0, 0.0]]), 1e-15, 0.0);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn rotate_at<'g>(&self, x: Var<'g>, positions: Var<'g>, limit: usize) -> Var<'g> {
        let (shape, _scope) = self.begin(x);
        let (pairs, found) = (shape[shape.rank() - 1] / 2, positions.meta());
        let lead = Shape::from(&shape[..shape.rank() - 1]);
        assert!(
            found.kind == Kind::Index && found.shape.broadcast(&lead).as_ref() == Some(&lead),
            "`Rotary` of {shape} at positions of shape {}: they must be indices that broadcast to {lead}",
            found.shape
        );
        let mut tables = self.tables(x.graph(), limit, pairs);
        let each: Shape = found.shape.iter().copied().chain([pairs]).collect();
        for table in &mut tables {
            *table = table.index_select(0, positions.reshape([-1])).reshape(&each);
        }
        rotated(x, tables[0], tables[1])
    }

    /// The shape of what can be rotated, and the scope that is open meanwhile.
    #[track_caller]
    fn begin<'g>(&self, x: Var<'g>) -> (Shape, Scoped<'g>) {
        let shape = x.shape();
        assert!(
            shape.rank() >= 2 && shape[shape.rank() - 1].is_multiple_of(2),
            "`Rotary` of {shape}: the last axis must have an even size, and the one before it is that of the positions"
        );
        (shape, x.graph().scope("rotary"))
    }

    /// Cosines and sines of the angles at the first positions, `[length, pairs]` each.
    #[track_caller]
    fn tables<'g>(&self, graph: &'g Graph, length: usize, pairs: usize) -> [Var<'g>; 2] {
        let angle = |k: usize| {
            let (position, pair) = (self.first + k / pairs, k % pairs);
            position as f64 * Math::powf(self.base, -(pair as f64) / pairs as f64)
        };
        let cos = graph.constant(&Tensor::<f64>::from_fn([length, pairs], |k| Math::cos(angle(k))));
        let sin = graph.constant(&Tensor::<f64>::from_fn([length, pairs], |k| Math::sin(angle(k))));
        [cos, sin]
    }
}

/// The pairs of the last axis, rotated by angles of these cosines and sines.
#[track_caller]
fn rotated<'g>(x: Var<'g>, cos: Var<'g>, sin: Var<'g>) -> Var<'g> {
    let shape = x.shape();
    let in_pairs: Shape = shape[..shape.rank() - 1].iter().copied().chain([shape[shape.rank() - 1] / 2, 2]).collect();
    let parts = x.reshape(in_pairs).chunks(2, -1);
    let (a, b) = (parts[0].squeeze(-1), parts[1].squeeze(-1));
    x.graph().stack(&[a * cos - b * sin, a * sin + b * cos], -1).reshape(shape)
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Graph, check};

    use super::*;
    use crate::test_numbers::numbers;

    #[test]
    fn pairs_turn_as_complex_numbers_do() {
        let x = numbers([2, 3, 4], 0);
        let rotary = Rotary::new().base(100.0).first(5);
        let graph = Graph::new();
        let y = graph.eval(rotary.rotate(graph.constant(&x))).unwrap();
        for vector in 0..6 {
            for pair in 0..2 {
                let angle = (5 + vector % 3) as f64 / [1.0, 10.0][pair];
                let (length, start) = {
                    let pair = &x.data()[vector * 4 + 2 * pair..][..2];
                    (pair[0].hypot(pair[1]), pair[1].atan2(pair[0]))
                };
                let y = &y.data()[vector * 4 + 2 * pair..][..2];
                assert!((y[0] - length * (start + angle).cos()).abs() < 1e-14);
                assert!((y[1] - length * (start + angle).sin()).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn products_depend_on_the_distance_alone() {
        let graph = Graph::new();
        let x = graph.constant(&numbers([1, 4], 0)).broadcast_to([6, 4]);
        let k = graph.constant(&numbers([1, 4], 9)).broadcast_to([6, 4]);
        let [q, k] = [x, k].map(|x| Rotary::new().rotate(x));
        let scores = graph.eval(q.matmul(k.t())).unwrap();
        for i in 1..6 {
            for j in 1..6 {
                assert!((scores.at(&[i, j]) - scores.at(&[i - 1, j - 1])).abs() < 1e-14);
            }
        }
        assert!((scores.at(&[0, 0]) - scores.at(&[0, 1])).abs() > 1e-3);
    }

    /// To the bit, also for each example by itself.
    #[test]
    fn given_positions_are_those_of_the_axis() {
        let (graph, rotary) = (Graph::new(), Rotary::new().base(50.0).first(2));
        let x = graph.constant(&numbers([2, 3, 4], 0));
        let whole = graph.eval(rotary.rotate(x)).unwrap();
        let rotated = |positions: Tensor<i64>| rotary.rotate_at(x, graph.index_constant(&positions), 3);
        assert_eq!(graph.eval(rotated(Tensor::from([0, 1, 2]))).unwrap(), whole);
        let mixed = graph.eval(rotated(Tensor::from_rows([[0, 1, 2], [2, 1, 0]]))).unwrap();
        assert_eq!(mixed.rows(0, 1), whole.rows(0, 1));
        assert_eq!(mixed.slice(0, 1, 2).slice(1, 1, 2), whole.slice(0, 1, 2).slice(1, 1, 2));
        let error = graph.eval(rotated(Tensor::from([0, 1, 3]))).unwrap_err().to_string();
        assert!(error.contains("index 3 at position [2] is out of range"), "{error}");
    }

    #[test]
    #[should_panic(
        expected = "`Rotary` of [2, 4] at positions of shape [3]: they must be indices that broadcast to [2]"
    )]
    fn positions_of_another_shape_are_refused() {
        let graph = Graph::new();
        Rotary::new().rotate_at(graph.zeros([2, 4]), graph.index_constant(&Tensor::from([0, 1, 2])), 4);
    }

    #[test]
    fn gradients_and_no_positions() {
        let x = numbers([3, 4], 0);
        check::assert_gradients(&[x], |x| Rotary::new().rotate(x[0]).tanh());
        let graph = Graph::new();
        let empty = graph.eval(Rotary::new().rotate(graph.zeros([2, 0, 4]))).unwrap();
        assert_eq!(empty.shape().sizes(), [2, 0, 4]);
    }

    #[test]
    #[should_panic(
        expected = "`Rotary` of [2, 3]: the last axis must have an even size, and the one before it is that of"
    )]
    fn an_odd_size_is_refused() {
        Rotary::new().rotate(Graph::new().zeros([2, 3]));
    }
}
