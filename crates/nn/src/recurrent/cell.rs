//! Recurrent cells: one step in time, and the state that is carried from step to step.

use gradus_graph::{Graph, Param, Params, Real, Tensor, Var};

use crate::init::{Fans, Init, optional_param};

/// The state of a recurrent cell between steps: its hidden state alone ([`Var`]), or more
/// ([`LstmState`](super::LstmState)).
pub trait State<'g>: Copy {
    /// The variables that it consists of, the hidden state first.
    fn parts(self) -> Vec<Var<'g>>;

    /// The state that consists of these variables.
    fn of(parts: &[Var<'g>]) -> Self;

    /// The hidden state, which is also the output of a step.
    fn hidden(self) -> Var<'g> {
        self.parts()[0]
    }

    /// The same state, through which no derivative passes: what truncated backpropagation carries over.
    #[must_use]
    fn stop_gradient(self) -> Self {
        let parts: Vec<Var<'g>> = self.parts().into_iter().map(Var::stop_gradient).collect();
        Self::of(&parts)
    }
}

impl<'g> State<'g> for Var<'g> {
    fn parts(self) -> Vec<Var<'g>> {
        vec![self]
    }

    fn of(parts: &[Var<'g>]) -> Self {
        parts[0]
    }
}

/// One step of a recurrent layer.
///
/// A cell is two functions. [`RecurrentCell::project`] is the part of a step that needs the input alone, `W_ih·x + b`:
/// a sequence computes it for all its steps as one product. [`RecurrentCell::recurrence`] is the rest, a function from
/// that part and a state to the next state. [`Recurrent`](super::Recurrent) adds layers, directions, lengths and
/// dropout to any cell, also to one of the user.
///
/// # Example
/// [`Recurrent`](super::Recurrent) gives a user's cell layers, directions and lengths. This cell keeps a share of its
/// state, `h' = a·h + W·x`:
/// ```
/// use gradus_graph::{Graph, Param, Params, Real, Var};
/// use gradus_nn::{Fans, Given, Init, Mode, Recurrent, RecurrentCell, RecurrentOptions};
///
/// struct Leaky {
///     weight: Param,
///     keep: Param,
/// }
///
/// impl RecurrentCell for Leaky {
///     type Options = ();
///     type State<'g> = Var<'g>;
///
///     fn add(params: &mut Params<impl Real>, suffix: &str, inputs: usize, hidden: usize, _options: &()) -> Self {
///         let weight = Init::default().param(params, &format!("weight{suffix}"), [hidden, inputs], Fans::of([hidden, inputs]));
///         Self { weight, keep: Init::constant(0.9).param(params, &format!("keep{suffix}"), [hidden], Fans::of([hidden])) }
///     }
///
///     fn inputs(&self) -> usize {
///         self.weight.shape()[1]
///     }
///
///     fn state_sizes(&self) -> Vec<usize> {
///         vec![self.weight.shape()[0]]
///     }
///
///     fn project<'g>(&self, x: Var<'g>) -> Var<'g> {
///         x.matmul(x.graph().param(&self.weight).t())
///     }
///
///     fn recurrence<'g>(&self, graph: &'g Graph) -> impl Fn(Var<'g>, Var<'g>, Var<'g>) -> Var<'g> {
///         let keep = graph.param(&self.keep);
///         move |projected, _state, hidden| projected + keep * hidden
///     }
/// }
///
/// let mut params: Params = Params::new(0);
/// let options = RecurrentOptions::new().bidirectional();
/// let layer = Recurrent::<Leaky>::with(&mut params, "leaky", 3, 4, options);
/// let graph = Graph::new();
/// let sequence = layer.sequence(graph.zeros([7, 2, 3]), Given::default(), Mode::Eval);
/// assert_eq!(sequence.outputs.shape().sizes(), [7, 2, 8]);
/// ```
pub trait RecurrentCell: Sized {
    /// The options of the cell beside its sizes.
    type Options: Clone + Default;
    /// The state between steps.
    type State<'g>: State<'g>;

    /// Panics if the options have no meaning or contradict each other; called before parameters are added.
    #[track_caller]
    fn expect(_options: &Self::Options) {}

    /// Adds a cell to the store under the current scope; `suffix` ends the names of its parameters.
    #[track_caller]
    fn add(params: &mut Params<impl Real>, suffix: &str, inputs: usize, hidden: usize, options: &Self::Options)
    -> Self;

    /// The size of the last axis of the input.
    fn inputs(&self) -> usize;

    /// The sizes of the last axes of the state's parts; the first is that of the outputs.
    fn state_sizes(&self) -> Vec<usize>;

    /// The part of a step that needs the input alone: `[…, inputs]` gives `[…, anything]`.
    #[track_caller]
    fn project<'g>(&self, x: Var<'g>) -> Var<'g>;

    /// The rest of a step, from the output of [`project`](Self::project), the state, and the hidden state as
    /// the recurrent weights see it (with dropout; without, it is the state's).
    ///
    /// It is called once for a sequence, so that all steps share its nodes.
    #[track_caller]
    fn recurrence<'g>(&self, graph: &'g Graph) -> impl Fn(Var<'g>, Self::State<'g>, Var<'g>) -> Self::State<'g>;
}

/// How many biases the gates of a cell have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Biases {
    /// `bias_ih` and `bias_hh`, as PyTorch has them. Only their sum matters (but for the third gate of a GRU with the
    /// reset gate after the product), so they learn it at twice the rate of one.
    #[default]
    Two,
    /// `bias_ih` alone.
    One,
    /// None.
    None,
}

/// The initial values of a recurrent cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecurrentInit {
    /// All parameters uniform on `±1/√hidden`, biases among them, as in PyTorch.
    #[default]
    Uniform,
    /// Recurrent weights orthogonal, gate by gate; input weights by Xavier's uniform distribution with the fans of one
    /// gate; biases and peepholes 0.
    Orthogonal,
}

/// The weights and biases of `gates` gates, one after another along the first axis.
#[derive(Clone, Debug)]
pub(super) struct Gates {
    pub(super) weight_ih: Param,
    pub(super) weight_hh: Param,
    pub(super) bias_ih: Option<Param>,
    pub(super) bias_hh: Option<Param>,
}

/// The sizes of gates.
pub(super) struct GateSizes {
    pub(super) gates: usize,
    pub(super) inputs: usize,
    pub(super) hidden: usize,
    /// The size of the hidden state that the recurrent weights see.
    pub(super) seen: usize,
}

impl RecurrentInit {
    /// The initial value of a parameter that is not a weight matrix.
    pub(super) fn other(self, hidden: usize) -> Init {
        let bound = 1.0 / (hidden.max(1) as f64).sqrt();
        match self {
            Self::Uniform => Init::uniform(-bound, bound),
            Self::Orthogonal => Init::zeros(),
        }
    }
}

impl Gates {
    #[track_caller]
    pub(super) fn add<T: Real>(
        params: &mut Params<T>,
        suffix: &str,
        sizes: &GateSizes,
        biases: Biases,
        init: RecurrentInit,
    ) -> Self {
        let &GateSizes { gates, inputs, hidden, seen } = sizes;
        let (rows, other) = (hidden.saturating_mul(gates), init.other(hidden));
        let fans = Fans { inputs, outputs: hidden };
        let input = match init {
            RecurrentInit::Uniform => other,
            RecurrentInit::Orthogonal => Init::xavier_uniform(),
        };
        let weight_ih = input.param(params, &format!("weight_ih{suffix}"), [rows, inputs], fans);
        let name = format!("weight_hh{suffix}");
        let weight_hh = match init {
            RecurrentInit::Uniform => other.param(params, &name, [rows, seen], fans),
            RecurrentInit::Orthogonal => {
                let gate = |gate: usize| -> Vec<T> {
                    Init::orthogonal().tensor([hidden, seen], fans, params.seed(&format!("{name}.{gate}"))).into_vec()
                };
                let weight = Tensor::new([rows, seen], (0..gates).flat_map(gate).collect());
                params.add(&name, weight)
            }
        };
        let [ih, hh] = [biases != Biases::None, biases == Biases::Two].map(|has| has.then_some(other));
        let bias_ih = optional_param(ih, params, &format!("bias_ih{suffix}"), [rows], fans);
        let bias_hh = optional_param(hh, params, &format!("bias_hh{suffix}"), [rows], fans);
        Self { weight_ih, weight_hh, bias_ih, bias_hh }
    }

    pub(super) fn inputs(&self) -> usize {
        self.weight_ih.shape()[1]
    }

    /// `W_ih·x`, without a bias.
    #[track_caller]
    pub(super) fn of_input<'g>(&self, x: Var<'g>) -> Var<'g> {
        x.matmul(x.graph().param(&self.weight_ih).t())
    }

    /// `W_ih·x` and all biases.
    #[track_caller]
    pub(super) fn project<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (graph, y) = (x.graph(), self.of_input(x));
        match (&self.bias_ih, &self.bias_hh) {
            (Some(ih), Some(hh)) => y + (graph.param(ih) + graph.param(hh)),
            (Some(ih), None) => y + graph.param(ih),
            _ => y,
        }
    }
}

/// One step of a cell by itself, with its shapes checked.
#[track_caller]
pub(super) fn step<'g, C: RecurrentCell>(
    cell: &C,
    [kind, scope]: [&str; 2],
    weight_ih: &Param,
    x: Var<'g>,
    state: C::State<'g>,
) -> C::State<'g> {
    let shape = x.shape();
    assert!(
        shape.last() == Some(&cell.inputs()),
        "`{kind}` of {shape}: the last axis must have size {}, as `{}` is {}",
        cell.inputs(),
        weight_ih.name(),
        weight_ih.shape()
    );
    for (part, size) in state.parts().into_iter().zip(cell.state_sizes()) {
        let before = &shape[..shape.rank() - 1];
        let (wanted, found): (Vec<usize>, _) = (before.iter().copied().chain([size]).collect(), part.shape());
        assert!(found.sizes() == wanted, "`{kind}` of {shape}: the state must be {wanted:?}, not {found}");
    }
    let graph = x.graph();
    let _scope = graph.scope(scope);
    cell.recurrence(graph)(cell.project(x), state, state.hidden())
}

/// The state of zeros of a cell, each part `[…, size]` with the axes before it of the given shape.
#[track_caller]
pub(super) fn zero_state<'g, C: RecurrentCell>(cell: &C, graph: &'g Graph, before: &[usize]) -> C::State<'g> {
    let mut parts = Vec::new();
    for size in cell.state_sizes() {
        parts.push(graph.zeros(before.iter().copied().chain([size]).collect::<Vec<_>>()));
    }
    C::State::of(&parts)
}

/// The methods that all cells have.
macro_rules! cell_methods {
    ($cell:ident, $options:ident) => {
        impl $cell {
            /// Adds a cell to the store, with PyTorch's options and initial values.
            ///
            /// # Panics
            /// If the scope `name` has such parameters already.
            #[track_caller]
            pub fn new(params: &mut Params<impl Real>, name: &str, inputs: usize, hidden: usize) -> Self {
                Self::with(params, name, inputs, hidden, $options::default())
            }

            /// Adds a cell to the store.
            ///
            /// # Panics
            /// If the scope `name` has such parameters already, or the options contradict each other.
            #[track_caller]
            pub fn with(
                params: &mut Params<impl Real>,
                name: &str,
                inputs: usize,
                hidden: usize,
                options: $options,
            ) -> Self {
                <Self as RecurrentCell>::expect(&options);
                let cell = Self::add(&mut params.enter(name), "", inputs, hidden, &options);
                Self { name: name.to_owned(), ..cell }
            }

            /// The recurrent weights of all gates, concatenated along the first axis.
            pub fn weight_hh(&self) -> &Param {
                &self.gates.weight_hh
            }

            /// The input weights of all gates, concatenated along the first axis.
            pub fn weight_ih(&self) -> &Param {
                &self.gates.weight_ih
            }

            /// A state of zeros, each part `[batch…, size]`.
            #[track_caller]
            pub fn zero_state<'g>(&self, graph: &'g Graph, batch: &[usize]) -> <Self as RecurrentCell>::State<'g> {
                $crate::recurrent::cell::zero_state(self, graph, batch)
            }

            /// The state after one step.
            ///
            /// # Panics
            /// If input or state do not fit the cell.
            #[track_caller]
            pub fn step<'g>(
                &self,
                x: Var<'g>,
                state: <Self as RecurrentCell>::State<'g>,
            ) -> <Self as RecurrentCell>::State<'g> {
                $crate::recurrent::cell::step(self, [stringify!($cell), &self.name], &self.gates.weight_ih, x, state)
            }
        }
    };
}

pub(super) use cell_methods;
