//! Position encodings that are added to a sequence: sinusoids of different frequencies, or a learned table.

use gradus_graph::kernel::math::Math;
use gradus_graph::{Graph, Param, Params, Real, Tensor, Var};

use crate::init::{Fans, Init};
use crate::layer::layer;

/// Sines and cosines of falling frequency, a vector for each position, to be added to a sequence: `x +
/// sinusoidal_positions(graph, length, size)`.
///
/// `p₂ᵢ = sin(position/10000^(2i/E))` and `p₂ᵢ₊₁ = cos(position/10000^(2i/E))`.
///
/// # Shapes
/// `[length, size]`, a constant.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::sinusoidal_positions;
/// let graph = Graph::new();
/// let p = graph.eval(sinusoidal_positions(&graph, 3, 4))?;
/// assert_eq!(p.rows(0, 1).data(), [0.0, 1.0, 0.0, 1.0]);
/// p.rows(1, 2).assert_close(&Tensor::from_rows([[1.0_f64.sin(), 1.0_f64.cos(), 0.01, 1.0]]), 1e-4, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Vaswani et al., "Attention is all you need" (2017), section 3.5.
#[track_caller]
pub fn sinusoidal_positions(graph: &Graph, length: usize, size: usize) -> Var<'_> {
    let value = |k: usize| {
        let (position, column) = (k / size, k % size);
        let angle = position as f64 / Math::powf(10_000.0, (column / 2 * 2) as f64 / size as f64);
        if column % 2 == 0 { Math::sin(angle) } else { Math::cos(angle) }
    };
    graph.constant(&Tensor::<f64>::from_fn([length, size], value))
}

/// Adds a learned vector to each position of a sequence.
///
/// # Shapes
/// `[…, L, size]` keeps its shape, for any `L` up to `count`. The parameter is `name.weight` `[count, size]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::LearnedPositions;
/// let mut params: Params = Params::new(0);
/// let positions = LearnedPositions::new(&mut params, "positions", 10, 4);
/// let graph = Graph::new();
/// assert_eq!(positions.forward(graph.zeros([2, 7, 4])).shape().sizes(), [2, 7, 4]);
/// ```
#[derive(Clone, Debug)]
pub struct LearnedPositions {
    name: String,
    weight: Param,
}

impl LearnedPositions {
    /// Adds a table of `count` positions of vectors of `size` numbers: normal numbers with standard deviation 0.02, as
    /// in GPT-2.
    ///
    /// # Panics
    /// If the scope `name` has a `weight` already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, count: usize, size: usize) -> Self {
        Self::with(params, name, count, size, Init::normal(0.0, 0.02))
    }

    /// Adds a table that starts from the given values.
    ///
    /// # Panics
    /// If the scope `name` has a `weight` already.
    #[track_caller]
    pub fn with(params: &mut Params<impl Real>, name: &str, count: usize, size: usize, weight: Init) -> Self {
        let fans = Fans { inputs: count, outputs: size };
        let weight = weight.param(&mut params.enter(name), "weight", [count, size], fans);
        Self { name: name.to_owned(), weight }
    }

    /// The table, `[count, size]`.
    pub fn weight(&self) -> &Param {
        &self.weight
    }

    /// The sequence with the vector of each position added.
    ///
    /// # Panics
    /// If the last axis of `x` has another size, or the one before it is longer than the table.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (shape, table) = (x.shape(), self.weight.shape());
        assert!(
            shape.rank() >= 2 && shape[shape.rank() - 2] <= table[0] && shape[shape.rank() - 1] == table[1],
            "`LearnedPositions` of {shape}: the last axes must be up to {} positions and {} numbers, as `{}` is {table}",
            table[0],
            table[1],
            self.weight.name()
        );
        let _scope = x.graph().scope(&self.name);
        x + x.graph().param(&self.weight).slice(0, None, shape[shape.rank() - 2] as isize)
    }
}

layer!(LearnedPositions, forward);

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, check};

    use super::*;

    #[test]
    fn each_position_gets_its_row_and_its_gradient() {
        let mut params: Params<f64> = Params::new(0);
        let positions = LearnedPositions::new(&mut params, "positions", 3, 2);
        let graph = Graph::new();
        let y = positions.forward(graph.ones([2, 2, 2]));
        let found = graph.eval_with(&[y], &params, &Feed::new()).unwrap();
        let table = params.get(positions.weight());
        let expected = Tensor::from_fn([2, 2, 2], |k| 1.0 + table.data()[k % 4]);
        assert_eq!(found[0].real(), &expected);
        check::assert_model(&params, (), |graph, []| positions.forward(graph.ones([2, 2, 2])).square().mean());
        let empty = positions.forward(graph.zeros([0, 0, 2]));
        assert_eq!(empty.shape().sizes(), [0, 0, 2]);
    }

    #[test]
    #[should_panic(
        expected = "`LearnedPositions` of [4, 2]: the last axes must be up to 3 positions and 2 numbers, as `p.weight` is \
                    [3, 2]"
    )]
    fn a_sequence_that_is_too_long_is_refused() {
        let mut params: Params<f64> = Params::new(0);
        LearnedPositions::new(&mut params, "p", 3, 2).forward(Graph::new().zeros([4, 2]));
    }
}
