//! The gated recurrent unit.

use std::panic::Location;

use gradus_graph::{Graph, Param, Params, Real, Var};

use super::cell::{Biases, GateSizes, Gates, RecurrentCell, RecurrentInit, cell_methods};
use super::{Recurrent, RecurrentOptions};

/// Where the reset gate of a GRU is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reset {
    /// It multiplies the recurrent product, as in PyTorch: one product a step.
    #[default]
    After,
    /// It multiplies the hidden state before the product, as in the paper.
    Before,
}

/// The options of a GRU cell.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{GruCell, GruCellOptions, RecurrentInit, Reset};
/// let mut params: Params = Params::new(0);
/// let options = GruCellOptions::new().reset(Reset::Before).init(RecurrentInit::Orthogonal);
/// GruCell::with(&mut params, "cell", 3, 5, options);
/// assert_eq!(params.get(params.find("cell.bias_ih").expect("it is there")).data(), [0.0; 15]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GruCellOptions {
    pub(super) reset: Reset,
    pub(super) biases: Biases,
    pub(super) init: RecurrentInit,
}

impl GruCellOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the reset gate is applied; by default after the recurrent product, as in PyTorch.
    #[must_use]
    pub fn reset(self, reset: Reset) -> Self {
        Self { reset, ..self }
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

/// The gated recurrent unit: `r = σ(W_ir·x + b_ir + W_hr·h + b_hr)`, `z = σ(W_iz·x + b_iz + W_hz·h + b_hz)`,
/// `n = tanh(W_in·x + b_in + r⊙(W_hn·h + b_hn))`, `h' = (1 − z)⊙n + z⊙h`.
///
/// That is PyTorch's form, with the reset gate after the recurrent product. The paper has it before:
/// `n = tanh(W_in·x + b_in + W_hn·(r⊙h) + b_hn)`, see [`Reset`]. Names, shapes and the gate order r, z, n along the
/// first axis of the weights are PyTorch's. ONNX orders z, r, h, and so does Keras, whose `reset_after` is the form of
/// PyTorch; Cho et al. exchange `z` and `1 − z`.
///
/// # Shapes
/// An input `[…, inputs]` and a state `[…, hidden]` give a state `[…, hidden]`. The parameters are `weight_ih`
/// `[3·hidden, inputs]`, `weight_hh` `[3·hidden, hidden]`, `bias_ih` and `bias_hh` `[3·hidden]`, in the order r, z, n.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{GruCell, GruCellOptions, Reset};
/// let mut params: Params = Params::new(0);
/// let options = GruCellOptions::new().reset(Reset::Before);
/// let cell = GruCell::with(&mut params, "cell", 3, 5, options);
/// let graph = Graph::new();
/// let state = cell.step(graph.ones([2, 3]), cell.zero_state(&graph, &[2]));
/// assert_eq!(state.shape().sizes(), [2, 5]);
/// ```
///
/// # Reference
/// Cho et al., "Learning phrase representations using RNN encoder–decoder for statistical machine translation" (2014).
#[derive(Clone, Debug)]
pub struct GruCell {
    name: String,
    gates: Gates,
    reset: Reset,
}

/// Layers of [`GruCell`]s, as PyTorch's `GRU`. See [`Recurrent`].
pub type Gru = Recurrent<GruCell>;

/// The options of a [`Gru`].
pub type GruOptions = RecurrentOptions<GruCellOptions>;

cell_methods!(GruCell, GruCellOptions);

impl RecurrentCell for GruCell {
    type Options = GruCellOptions;
    type State<'g> = Var<'g>;

    #[track_caller]
    fn add(
        params: &mut Params<impl Real>,
        suffix: &str,
        inputs: usize,
        hidden: usize,
        options: &GruCellOptions,
    ) -> Self {
        let sizes = GateSizes { gates: 3, inputs, hidden, seen: hidden };
        let gates = Gates::add(params, suffix, &sizes, options.biases, options.init);
        Self { name: suffix.trim_start_matches('_').to_owned(), gates, reset: options.reset }
    }

    fn inputs(&self) -> usize {
        self.gates.inputs()
    }

    fn state_sizes(&self) -> Vec<usize> {
        vec![self.gates.weight_hh.shape()[1]]
    }

    #[track_caller]
    fn project<'g>(&self, x: Var<'g>) -> Var<'g> {
        let graph = x.graph();
        match (&self.gates.bias_ih, &self.gates.bias_hh, self.reset) {
            // The reset gate multiplies the last part of `bias_hh`; the others join the input's.
            (Some(ih), Some(hh), Reset::After) => {
                let hidden = hh.shape()[0] / 3;
                let gates = graph.param(hh).slice(0, 0, 2 * hidden as isize).pad(0, 0, hidden);
                self.gates.of_input(x) + (graph.param(ih) + gates)
            }
            _ => self.gates.project(x),
        }
    }

    #[track_caller]
    fn recurrence<'g>(&self, graph: &'g Graph) -> impl Fn(Var<'g>, Var<'g>, Var<'g>) -> Var<'g> {
        let (weight, reset) = (graph.param(&self.gates.weight_hh), self.reset);
        let hidden = weight.shape()[1];
        let after = reset == Reset::After;
        let mut weights = if after { vec![weight] } else { weight.split(&[2 * hidden, hidden], 0) };
        for weight in &mut weights {
            *weight = weight.t();
        }
        let bias = match &self.gates.bias_hh {
            Some(bias) if after => Some(graph.param(bias).slice(0, 2 * hidden as isize, None)),
            _ => None,
        };
        let caller = Location::caller();
        move |projected, state, seen| {
            let _line = graph.at_line(caller);
            let [from_r, from_z, from_n] = projected.chunks(3, -1)[..] else { unreachable!("three gates") };
            let recurrent = seen.matmul(weights[0]).chunks(if after { 3 } else { 2 }, -1);
            let r = (from_r + recurrent[0]).sigmoid();
            let z = (from_z + recurrent[1]).sigmoid();
            let rest = match (reset, bias) {
                (Reset::Before, _) => (r * seen).matmul(weights[1]),
                (Reset::After, Some(bias)) => r * (recurrent[2] + bias),
                (Reset::After, None) => r * recurrent[2],
            };
            let n = (from_n + rest).tanh();
            n + z * (state - n)
        }
    }
}
