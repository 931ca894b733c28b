//! The long short-term memory.

use std::panic::Location;

use gradus_graph::{Graph, Param, Params, Real, Var, expect_setting};

use super::cell::{Biases, GateSizes, Gates, RecurrentCell, RecurrentInit, State, cell_methods};
use super::{Recurrent, RecurrentOptions};
use crate::init::{Fans, Init};

/// The state of an LSTM between steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LstmState<'g> {
    /// The hidden state `h`, which is also the output.
    pub hidden: Var<'g>,
    /// The cell state `c`.
    pub cell: Var<'g>,
}

impl<'g> State<'g> for LstmState<'g> {
    fn parts(self) -> Vec<Var<'g>> {
        vec![self.hidden, self.cell]
    }

    fn of(parts: &[Var<'g>]) -> Self {
        Self { hidden: parts[0], cell: parts[1] }
    }
}

/// The options of an LSTM cell.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{LstmCell, LstmCellOptions};
/// let mut params: Params = Params::new(0);
/// let options = LstmCellOptions::new().forget_bias(1.0).projection(2).peepholes();
/// LstmCell::with(&mut params, "cell", 3, 5, options);
/// assert_eq!(params.find("cell.weight_hr").expect("it is there").shape().sizes(), [2, 5]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LstmCellOptions {
    pub(super) biases: Biases,
    pub(super) init: RecurrentInit,
    pub(super) forget_bias: Option<f64>,
    pub(super) projection: Option<usize>,
    pub(super) peepholes: bool,
    pub(super) coupled: bool,
    pub(super) layer_norm: bool,
}

impl LstmCellOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
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

    /// The initial bias of the forget gate, the sum of both if there are two: 1 keeps the cell state at the start
    /// (Jozefowicz et al. 2015). By default it is drawn like the other biases, as in PyTorch.
    #[must_use]
    pub fn forget_bias(self, bias: f64) -> Self {
        Self { forget_bias: Some(bias), ..self }
    }

    /// Projects the output to a hidden state of this size, PyTorch's `proj_size`; by default there is no projection.
    #[must_use]
    pub fn projection(self, size: usize) -> Self {
        Self { projection: Some(size), ..self }
    }

    /// Adds the cell state to the inputs of the gates; by default they depend on input and hidden state alone.
    #[must_use]
    pub fn peepholes(self) -> Self {
        Self { peepholes: true, ..self }
    }

    /// Couples the forget gate to the input gate, `f = 1 − i`; by default it has weights of its own.
    #[must_use]
    pub fn coupled(self) -> Self {
        Self { coupled: true, ..self }
    }

    /// Normalises the products and the cell state; by default they are used as they are.
    #[must_use]
    pub fn layer_norm(self) -> Self {
        Self { layer_norm: true, ..self }
    }
}

/// The long short-term memory cell, with forget gates: `i, f, o = σ(W_i·x + b_i + W_h·h + b_h)`, `g = tanh(…)`,
/// `c' = f⊙c + i⊙g`, `h' = o⊙tanh(c')`.
///
/// Names, shapes and the gate order i, f, g, o along the first axis of the weights are PyTorch's. ONNX orders i, o, f,
/// c; Keras i, f, c, o. Variants are options:
///
/// - projection (Sak et al. 2014): `h' = W_hr·(o⊙tanh(c'))`, as PyTorch's `proj_size`;
/// - peepholes (Gers et al. 2002), as ONNX and Graves have them: `p_i⊙c` is added to the sum of `i`, `p_f⊙c` to that of
///   `f`, and `p_o⊙c'`, of the new cell state, to that of `o`;
/// - coupled gates (Greff et al. 2017), ONNX's `input_forget`: `f = 1 − i`, three gates in the order i, g, o;
/// - layer normalisation (Ba et al. 2016, equations 20 to 22): with `N(z) = (z − mean)/√(variance + 10⁻⁵)` over all
///   gates of a step together, the sum is `a_i⊙N(W_i·x) + b_i + a_h⊙N(W_h·h) + b_h`, and `h' = o⊙tanh(a_c⊙N(c') + b_c)`.
///   The paper's further bias is left out, since the shifts `b_i` and `b_h` are biases.
///
/// # Shapes
/// An input `[…, inputs]` and a state of `hidden` `[…, outputs]` and `cell` `[…, hidden]` give such a state; `outputs`
/// is `hidden`, or the size of the projection. The parameters are `weight_ih` `[4·hidden, inputs]`, `weight_hh`
/// `[4·hidden, outputs]`, `bias_ih` and `bias_hh` `[4·hidden]`, in the order i, f, g, o (i, g, o with coupled gates,
/// and 3 for 4). Options add `weight_hr` `[outputs, hidden]`; `weight_ci`, `weight_cf`, `weight_co` `[hidden]` for the
/// peepholes; `norm_ih`, `norm_hh` `[4·hidden]`, `norm_c` and `bias_c` `[hidden]` for layer normalisation.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{LstmCell, LstmState};
/// let mut params: Params = Params::new(0);
/// let cell = LstmCell::new(&mut params, "cell", 3, 5);
/// let graph = Graph::new();
/// let LstmState { hidden, cell } = cell.step(graph.ones([2, 3]), cell.zero_state(&graph, &[2]));
/// assert_eq!((hidden.shape().sizes(), cell.shape().sizes()), (&[2, 5][..], &[2, 5][..]));
/// ```
///
/// # Reference
/// Hochreiter and Schmidhuber, "Long short-term memory" (1997); Gers, Schmidhuber and Cummins, "Learning to forget"
/// (2000).
#[derive(Clone, Debug)]
pub struct LstmCell {
    name: String,
    gates: Gates,
    coupled: bool,
    projection: Option<Param>,
    peepholes: Option<Peepholes>,
    norms: Option<Norms>,
}

#[derive(Clone, Debug)]
struct Peepholes {
    input: Param,
    /// None with coupled gates.
    forget: Option<Param>,
    output: Param,
}

#[derive(Clone, Debug)]
struct Norms {
    input: Param,
    hidden: Param,
    cell: Param,
    cell_bias: Param,
}

/// Layers of [`LstmCell`]s, as PyTorch's `LSTM`. See [`Recurrent`].
pub type Lstm = Recurrent<LstmCell>;

/// The options of an [`Lstm`].
pub type LstmOptions = RecurrentOptions<LstmCellOptions>;

cell_methods!(LstmCell, LstmCellOptions);

/// `(z − mean)/√(variance + 10⁻⁵)` along the last axis.
#[track_caller]
fn normalised(z: Var<'_>) -> Var<'_> {
    z.normalize(-1, 1e-5, z.graph().scalar(1.0), z.graph().scalar(0.0))[0]
}

impl LstmCell {
    fn hidden(&self) -> usize {
        self.gates.weight_ih.shape()[0] / self.count()
    }

    /// The number of gates.
    fn count(&self) -> usize {
        if self.coupled { 3 } else { 4 }
    }
}

impl RecurrentCell for LstmCell {
    type Options = LstmCellOptions;
    type State<'g> = LstmState<'g>;

    #[track_caller]
    fn expect(options: &LstmCellOptions) {
        let Some(value) = options.forget_bias else { return };
        expect_setting("`LstmCell`: forget_bias", value, ..);
        assert!(
            !options.coupled,
            "coupled gates have no forget gate that a bias could open: `forget_bias` is for four gates"
        );
        assert!(options.biases != Biases::None, "`forget_bias` needs a bias, but `biases` is `None`");
    }

    fn add(
        params: &mut Params<impl Real>,
        suffix: &str,
        inputs: usize,
        hidden: usize,
        options: &LstmCellOptions,
    ) -> Self {
        let count = if options.coupled { 3 } else { 4 };
        let outputs = options.projection.unwrap_or(hidden);
        let sizes = GateSizes { gates: count, inputs, hidden, seen: outputs };
        let gates = Gates::add(params, suffix, &sizes, options.biases, options.init);
        if let Some((value, bias)) = options.forget_bias.zip(gates.bias_ih.as_ref()) {
            params.get_mut(bias).data_mut()[hidden..2 * hidden].fill(num(value));
            if let Some(bias) = &gates.bias_hh {
                params.get_mut(bias).data_mut()[hidden..2 * hidden].fill(num(0.0));
            }
        }
        let other = options.init.other(hidden);
        let projection = options.projection.map(|outputs| {
            let (shape, fans) = ([outputs, hidden], Fans { inputs: hidden, outputs });
            let init = if options.init == RecurrentInit::Orthogonal { Init::xavier_uniform() } else { other };
            init.param(params, &format!("weight_hr{suffix}"), shape, fans)
        });
        let mut vector = |name: &str, init: Init, size: usize| {
            init.param(params, &format!("{name}{suffix}"), [size], Fans::of([size]))
        };
        let peepholes = options.peepholes.then(|| Peepholes {
            input: vector("weight_ci", other, hidden),
            forget: (!options.coupled).then(|| vector("weight_cf", other, hidden)),
            output: vector("weight_co", other, hidden),
        });
        let norms = options.layer_norm.then(|| Norms {
            input: vector("norm_ih", Init::ones(), count.saturating_mul(hidden)),
            hidden: vector("norm_hh", Init::ones(), count.saturating_mul(hidden)),
            cell: vector("norm_c", Init::ones(), hidden),
            cell_bias: vector("bias_c", Init::zeros(), hidden),
        });
        let name = suffix.trim_start_matches('_').to_owned();
        Self { name, gates, coupled: options.coupled, projection, peepholes, norms }
    }

    fn inputs(&self) -> usize {
        self.gates.inputs()
    }

    fn state_sizes(&self) -> Vec<usize> {
        vec![self.gates.weight_hh.shape()[1], self.hidden()]
    }

    #[track_caller]
    fn project<'g>(&self, x: Var<'g>) -> Var<'g> {
        let Some(norms) = &self.norms else { return self.gates.project(x) };
        let graph = x.graph();
        let mut sum = normalised(self.gates.of_input(x)) * graph.param(&norms.input);
        for bias in [&self.gates.bias_ih, &self.gates.bias_hh].into_iter().flatten() {
            sum += graph.param(bias);
        }
        sum
    }

    #[track_caller]
    fn recurrence<'g>(&self, graph: &'g Graph) -> impl Fn(Var<'g>, LstmState<'g>, Var<'g>) -> LstmState<'g> {
        let count = self.count();
        let weight = graph.param(&self.gates.weight_hh).t();
        let projection = self.projection.as_ref().map(|weight| graph.param(weight).t());
        let norms =
            self.norms.as_ref().map(|norms| [&norms.hidden, &norms.cell, &norms.cell_bias].map(|n| graph.param(n)));
        let peepholes = self.peepholes.as_ref().map(|peepholes| {
            let Peepholes { input, forget, output } = peepholes;
            (graph.param(input), forget.as_ref().map(|forget| graph.param(forget)), graph.param(output))
        });
        let caller = Location::caller();
        move |projected, LstmState { cell: c, .. }, seen| {
            let _line = graph.at_line(caller);
            let product = seen.matmul(weight);
            let recurrent = norms.map_or(product, |[gain, _, _]| normalised(product) * gain);
            // Summed before they are cut: a fifth faster forward than to cut both and sum the parts.
            let sums = (projected + recurrent).chunks(count, -1);
            let seeing = |sum: Var<'g>, weight: Option<Var<'g>>, cell: Var<'g>| weight.map_or(sum, |w| sum + w * cell);

            let i = seeing(sums[0], peepholes.map(|(input, _, _)| input), c).sigmoid();
            let g = sums[count - 2].tanh();
            let kept = match count {
                3 => c - i * c,
                _ => seeing(sums[1], peepholes.and_then(|(_, forget, _)| forget), c).sigmoid() * c,
            };
            let cell = kept + i * g;
            let o = seeing(sums[count - 1], peepholes.map(|(_, _, output)| output), cell).sigmoid();
            let shown = norms.map_or(cell, |[_, gain, shift]| normalised(cell) * gain + shift);
            let hidden = o * shown.tanh();
            LstmState { hidden: projection.map_or(hidden, |weight| hidden.matmul(weight)), cell }
        }
    }
}

/// A number in the precision of a store.
fn num<T: Real>(value: f64) -> T {
    T::of(value)
}
