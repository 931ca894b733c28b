//! The plain recurrent cell.

use std::panic::Location;

use gradus_graph::{Graph, Param, Params, Real, Var};

use super::cell::{Biases, GateSizes, Gates, RecurrentCell, RecurrentInit, cell_methods};
use super::{Recurrent, RecurrentOptions};

/// The activation of a plain cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RnnActivation {
    /// `tanh`
    #[default]
    Tanh,
    /// `relu`
    Relu,
}

/// The options of a plain recurrent cell.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{Biases, RnnActivation, RnnCell, RnnCellOptions};
/// let mut params: Params = Params::new(0);
/// let options = RnnCellOptions::new().activation(RnnActivation::Relu).biases(Biases::One);
/// RnnCell::with(&mut params, "cell", 3, 5, options);
/// assert!(params.find("cell.bias_hh").is_none());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RnnCellOptions {
    pub(super) activation: RnnActivation,
    pub(super) biases: Biases,
    pub(super) init: RecurrentInit,
}

impl RnnCellOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The activation of the sum; `tanh` by default.
    #[must_use]
    pub fn activation(self, activation: RnnActivation) -> Self {
        Self { activation, ..self }
    }

    /// The number of biases; two by default, as in PyTorch.
    #[must_use]
    pub fn biases(self, biases: Biases) -> Self {
        Self { biases, ..self }
    }

    /// The initial values; by default uniform, as in PyTorch.
    #[must_use]
    pub fn init(self, init: RecurrentInit) -> Self {
        Self { init, ..self }
    }
}

/// The plain recurrent cell, `h' = tanh(W_ih·x + b_ih + W_hh·h + b_hh)`, or `relu` instead of `tanh`.
///
/// Names, shapes, initial values and defaults are those of PyTorch's `RNNCell` and `RNN`.
///
/// # Shapes
/// An input `[…, inputs]` and a state `[…, hidden]` give a state `[…, hidden]`. The parameters are `weight_ih`
/// `[hidden, inputs]`, `weight_hh` `[hidden, hidden]`, `bias_ih` and `bias_hh` `[hidden]`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::RnnCell;
/// let mut params: Params = Params::new(0);
/// let cell = RnnCell::new(&mut params, "cell", 3, 5);
/// let graph = Graph::new();
/// let mut state = cell.zero_state(&graph, &[2]);
/// for _ in 0..4 {
///     state = cell.step(graph.ones([2, 3]), state);
/// }
/// assert_eq!(state.shape().sizes(), [2, 5]);
/// ```
///
/// # Reference
/// Elman, "Finding structure in time" (1990).
#[derive(Clone, Debug)]
pub struct RnnCell {
    name: String,
    gates: Gates,
    activation: RnnActivation,
}

/// Layers of [`RnnCell`]s, as PyTorch's `RNN`. See [`Recurrent`].
pub type Rnn = Recurrent<RnnCell>;

/// The options of an [`Rnn`].
pub type RnnOptions = RecurrentOptions<RnnCellOptions>;

cell_methods!(RnnCell, RnnCellOptions);

impl RecurrentCell for RnnCell {
    type Options = RnnCellOptions;
    type State<'g> = Var<'g>;

    #[track_caller]
    fn add(
        params: &mut Params<impl Real>,
        suffix: &str,
        inputs: usize,
        hidden: usize,
        options: &RnnCellOptions,
    ) -> Self {
        let sizes = GateSizes { gates: 1, inputs, hidden, seen: hidden };
        let gates = Gates::add(params, suffix, &sizes, options.biases, options.init);
        Self { name: suffix.trim_start_matches('_').to_owned(), gates, activation: options.activation }
    }

    fn inputs(&self) -> usize {
        self.gates.inputs()
    }

    fn state_sizes(&self) -> Vec<usize> {
        vec![self.gates.weight_hh.shape()[1]]
    }

    #[track_caller]
    fn project<'g>(&self, x: Var<'g>) -> Var<'g> {
        self.gates.project(x)
    }

    #[track_caller]
    fn recurrence<'g>(&self, graph: &'g Graph) -> impl Fn(Var<'g>, Var<'g>, Var<'g>) -> Var<'g> {
        let (weight, activation) = (graph.param(&self.gates.weight_hh).t(), self.activation);
        let caller = Location::caller();
        move |projected, _state, seen| {
            let _line = graph.at_line(caller);
            let sum = projected + seen.matmul(weight);
            match activation {
                RnnActivation::Tanh => sum.tanh(),
                RnnActivation::Relu => sum.relu(),
            }
        }
    }
}
