//! Layers of recurrent cells: in several layers and one or both directions, over sequences of different lengths.

use std::panic::Location;

use gradus_graph::{CheckpointSchedule, Graph, Kind, Params, Real, Var, expect_setting};

use super::cell::{RecurrentCell, State, zero_state};
use super::lengths::Running;
use super::options::RecurrentOptions;
use crate::dropout::Dropout;
use crate::layer::{Layer, Mode};

/// The initial state and the lengths of sequences; by default a state of zeros, and all of one length.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g, S> {
    /// The initial state, each part `[layers·directions, batch, size]` in the order of PyTorch: both directions of the
    /// first layer, then of the next.
    pub state: Option<S>,
    /// The length of each sequence, indices `[batch]` from 0 to the size of the time axis.
    pub lengths: Option<Var<'g>>,
}

impl<S> Default for Given<'_, S> {
    fn default() -> Self {
        Self { state: None, lengths: None }
    }
}

/// The outputs and the final state of sequences.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'g, S> {
    /// The hidden states of the last layer at all steps; of a bidirectional layer those of both directions, joined.
    /// Beyond the end of a sequence they are zeros.
    pub outputs: Var<'g>,
    /// The state of each cell after its last step, in the shape of an initial state: the next part of the sequence can
    /// begin with it.
    pub state: S,
}

/// Layers of recurrent cells over sequences: [`Rnn`](crate::Rnn), [`Gru`](crate::Gru), [`Lstm`](crate::Lstm), or of a
/// user's cell.
///
/// As a [`Layer`] it returns the outputs of a sequence that begins with a state of zeros; [`Recurrent::sequence`] takes
/// an initial state and lengths, and also returns the final state.
///
/// The inputs' part of all steps is one product. With lengths, the state of a sequence that has ended is selected and
/// not computed, `h = where(t < length, h', h)`: it stays the same, and the reverse direction, which begins beyond the
/// end, keeps its initial state until the end is reached. Inputs beyond the end are replaced by zeros. Nothing is
/// multiplied by a mask, so a NaN in the padding reaches neither values nor gradients. A sequence in a padded batch has
/// the same outputs, final states and gradient of its input as alone, to the last bit; gradients of parameters are sums
/// over the batch and do not depend on the padding.
///
/// A sequence of 10,000 steps is built, differentiated and compiled in time proportional to its length. With a schedule
/// of checkpoints the values within a step are not kept for the backward pass, and each step computes its own part of
/// the input.
///
/// # Shapes
/// `[time, batch, inputs]` gives outputs of `[time, batch, directions·size]`, where `size` is `hidden`, or that of an
/// LSTM's projection. The parameters are those of the cells under the layer's name, with `_l0`, `_l0_reverse`, `_l1`
/// and so on at their end: the state dict of PyTorch's module.
///
/// # Example
/// Two sequences, of three steps and of one. The second has its last state after its own end.
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::{Given, Gru, Mode, Sequence};
/// let mut params: Params<f64> = Params::new(0);
/// let gru = Gru::new(&mut params, "gru", 4, 6);
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from_fn([3, 2, 4], |k| (k as f64).sin()));
/// let lengths = graph.index_constant(&Tensor::from([3, 1]));
/// let given = Given { lengths: Some(lengths), ..Given::default() };
/// let Sequence { outputs, state } = gru.sequence(x, given, Mode::Eval);
/// let values = graph.eval_with(&[outputs, state], &params, &Feed::new())?;
/// let [outputs, state] = [values[0].real(), values[1].real()];
/// assert_eq!(state.at(&[0, 1, 5]), outputs.at(&[0, 1, 5]));
/// assert_eq!(outputs.at(&[1, 1, 5]), 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// In use, step by step: the state is an input and an output of the compiled step, and the program carries it.
/// ```
/// use gradus_graph::{Feed, Graph, Params, Plan, Tensor};
/// use gradus_nn::{Given, Lstm, LstmState, Mode, Sequence};
/// let mut params: Params<f32> = Params::new(0);
/// let lstm = Lstm::new(&mut params, "lstm", 4, 6);
/// let graph = Graph::new();
/// let initial = LstmState { hidden: graph.input("hidden", [1, 1, 6]), cell: graph.input("cell", [1, 1, 6]) };
/// let given = Given { state: Some(initial), ..Given::default() };
/// let Sequence { outputs, state } = lstm.sequence(graph.input("x", [1, 1, 4]), given, Mode::Eval);
/// let mut session = Plan::new(&graph, &[outputs, state.hidden, state.cell])?.session::<f32>();
///
/// let [mut hidden, mut cell] = [0, 1].map(|_| Tensor::<f32>::zeros([1, 1, 6]));
/// for _ in 0..3 {
///     let x = Tensor::<f32>::ones([1, 1, 4]);
///     let step = session.run(&params, &Feed::new().with("x", &x).with("hidden", &hidden).with("cell", &cell))?;
///     (hidden, cell) = (step.real(1).clone(), step.real(2).clone());
/// }
/// assert!(hidden.data().iter().all(|h| h.abs() < 1.0));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
/// In training, a long text is cut into parts in the same way, and the state that goes from one to the next is an
/// input, so that no derivative passes: truncated backpropagation through time. Within one graph,
/// [`State::stop_gradient`] cuts.
#[derive(Clone, Debug)]
pub struct Recurrent<C> {
    name: String,
    /// By layer and direction.
    cells: Vec<C>,
    directions: usize,
    batch_first: bool,
    dropout: Dropout,
    input_dropout: Dropout,
    hidden_dropout: Dropout,
    checkpoints: Option<CheckpointSchedule>,
}

impl<C: RecurrentCell> Recurrent<C> {
    /// Adds one layer in one direction to the store, with PyTorch's initial values.
    ///
    /// # Panics
    /// If the scope `name` has such parameters already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, inputs: usize, hidden: usize) -> Self {
        Self::with(params, name, inputs, hidden, RecurrentOptions::new())
    }

    /// Adds layers to the store.
    ///
    /// # Panics
    /// If the scope `name` has such parameters already, there is no layer, a probability is not in `0..1`, or the
    /// cell's options contradict each other.
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        inputs: usize,
        hidden: usize,
        options: RecurrentOptions<C::Options>,
    ) -> Self {
        assert!(options.layers > 0, "a recurrent layer `{name}` of no layers: there must be one or more");
        expect_setting("`Recurrent`: dropout", options.dropout, 0.0..1.0);
        expect_setting("`Recurrent`: input_dropout", options.input_dropout, 0.0..1.0);
        expect_setting("`Recurrent`: hidden_dropout", options.hidden_dropout, 0.0..1.0);
        C::expect(&options.cell);
        let directions = if options.bidirectional { 2 } else { 1 };
        let mut cells: Vec<C> = Vec::new();
        let mut scope = params.enter(name);
        for layer in 0..options.layers {
            let inputs = match cells.last() {
                Some(cell) => cell.state_sizes()[0].saturating_mul(directions),
                None => inputs,
            };
            for direction in ["", "_reverse"].into_iter().take(directions) {
                cells.push(C::add(&mut scope, &format!("_l{layer}{direction}"), inputs, hidden, &options.cell));
            }
        }
        Self {
            name: name.to_owned(),
            cells,
            directions,
            batch_first: options.batch_first,
            dropout: Dropout::new(options.dropout),
            input_dropout: Dropout::new(options.input_dropout),
            hidden_dropout: Dropout::new(options.hidden_dropout),
            checkpoints: options.checkpoints,
        }
    }

    /// The cells, by layer and direction: of a bidirectional layer the second reads from the end.
    pub fn cells(&self) -> &[C] {
        &self.cells
    }

    /// A state of zeros, each part `[layers·directions, batch, size]`.
    #[track_caller]
    pub fn zero_state<'g>(&self, graph: &'g Graph, batch: usize) -> C::State<'g> {
        zero_state(&self.cells[0], graph, &[self.cells.len(), batch])
    }

    /// Outputs and final state of sequences.
    ///
    /// A length that is negative or above the size of the time axis is an error of the run.
    ///
    /// # Panics
    /// If the input has not three axes, the last of size `inputs`, or state or lengths do not fit it.
    #[track_caller]
    pub fn sequence<'g>(&self, x: Var<'g>, given: Given<'g, C::State<'g>>, mode: Mode) -> Sequence<'g, C::State<'g>> {
        self.expect_shapes(x, &given);
        let graph = x.graph();
        let _scope = graph.scope(&self.name);
        let mut x = if self.batch_first { x.transpose(0, 1) } else { x };
        let (time, batch) = (x.shape()[0], x.shape()[1]);
        // A closure would lose the caller's line.
        let mut running = None;
        if let Some(lengths) = given.lengths {
            running = Some(Running::new(lengths, time));
        }
        if let Some(running) = &running {
            x = running.or_zero(x);
        }
        let state = match given.state {
            Some(state) => state,
            None => self.zero_state(graph, batch),
        };
        let mut parts: Vec<Vec<Var<'g>>> = Vec::new();
        for part in state.parts() {
            parts.push(part.unstack(0));
        }
        let starts = (0..self.cells.len()).map(|cell| parts.iter().map(|part| part[cell]).collect::<Vec<_>>());

        let mut ends: Vec<Vec<Var<'g>>> = Vec::new();
        let mut starts = starts.map(|parts| C::State::of(&parts));
        for (layer, cells) in self.cells.chunks(self.directions).enumerate() {
            if layer > 0 {
                x = self.dropout.forward_in(x, mode);
            }
            let mut outputs = Vec::new();
            for (reverse, cell) in [false, true].into_iter().zip(cells) {
                let _scope = graph.scope(&format!("l{layer}{}", if reverse { "_reverse" } else { "" }));
                let start = starts.next().expect("there is one state a cell");
                let (output, end) = self.run(cell, x, start, reverse, running.as_ref(), mode);
                outputs.push(output);
                ends.push(end.parts());
            }
            x = graph.concat(&outputs, -1);
        }
        let mut state: Vec<Var<'g>> = Vec::with_capacity(parts.len());
        // No closure: the line of the caller passes through.
        for part in 0..parts.len() {
            state.push(graph.stack(&ends.iter().map(|end| end[part]).collect::<Vec<_>>(), 0));
        }
        let outputs = if self.batch_first { x.transpose(0, 1) } else { x };
        Sequence { outputs, state: C::State::of(&state) }
    }

    /// One cell over all steps: its outputs `[time, batch, size]` and its last state.
    #[track_caller]
    fn run<'g>(
        &self,
        cell: &C,
        x: Var<'g>,
        start: C::State<'g>,
        reverse: bool,
        running: Option<&Running<'g>>,
        mode: Mode,
    ) -> (Var<'g>, C::State<'g>) {
        let graph = x.graph();
        let (time, batch) = (x.shape()[0], x.shape()[1]);
        let x = match mask(self.input_dropout, graph, [batch, cell.inputs()], mode) {
            Some(mask) => x * mask,
            None => x,
        };
        let mask = mask(self.hidden_dropout, graph, [batch, cell.state_sizes()[0]], mode);

        let taken = if self.checkpoints.is_some() { x.unstack(0) } else { cell.project(x).unstack(0) };
        let advance = cell.recurrence(graph);
        let mut state = start;
        let mut outputs = Vec::with_capacity(time);
        let caller = Location::caller();
        let step = |step: usize| {
            let step = if reverse { time - 1 - step } else { step };
            let line = graph.at_line(caller);
            let projected = if self.checkpoints.is_some() { cell.project(taken[step]) } else { taken[step] };
            let hidden = state.hidden();
            let seen = mask.map_or(hidden, |mask| hidden * mask);
            drop(line);
            // A cell of the user's records its own lines.
            let next = advance(projected, state, seen);
            let _line = graph.at_line(caller);
            state = match running {
                Some(running) => running.choose(step, next, state),
                None => next,
            };
            outputs.push(state.hidden());
        };
        match self.checkpoints {
            Some(schedule) => graph.checkpoint_steps(time, schedule, step),
            None => (0..time).for_each(step),
        }
        if reverse {
            outputs.reverse();
        }
        let outputs = match time {
            0 => graph.zeros([0, batch, cell.state_sizes()[0]]),
            _ => graph.stack(&outputs, 0),
        };
        let outputs = match running {
            Some(running) => running.or_zero(outputs),
            None => outputs,
        };
        (outputs, state)
    }

    /// Panics if the shapes of input, state or lengths do not fit.
    #[track_caller]
    fn expect_shapes<'g>(&self, x: Var<'g>, given: &Given<'g, C::State<'g>>) {
        let (shape, name, inputs) = (x.shape(), &self.name, self.cells[0].inputs());
        let axes = if self.batch_first { "[batch, time, inputs]" } else { "[time, batch, inputs]" };
        assert!(
            shape.rank() == 3 && shape[2] == inputs,
            "recurrent layer `{name}` of {shape}: the input must be {axes} with inputs = {inputs}"
        );
        let batch = shape[if self.batch_first { 0 } else { 1 }];
        if let Some(lengths) = given.lengths {
            assert!(
                lengths.kind() == Kind::Index && lengths.shape().sizes() == [batch],
                "recurrent layer `{name}` of {shape}: the lengths must be indices of shape [{batch}], not {:?} of {}",
                lengths.kind(),
                lengths.shape()
            );
        }
        for (part, size) in given.state.map_or(Vec::new(), State::parts).iter().zip(self.cells[0].state_sizes()) {
            let (cells, found) = (self.cells.len(), part.shape());
            assert!(
                found.sizes() == [cells, batch, size],
                "recurrent layer `{name}` of {shape}: the state must be [{cells}, {batch}, {size}], not {found}"
            );
        }
    }
}

impl<C: RecurrentCell> Layer for Recurrent<C> {
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        self.sequence(x, Given::default(), mode).outputs
    }
}

/// The factor that dropout is for all steps: one without the axis of time.
#[track_caller]
fn mask<'g>(dropout: Dropout, graph: &'g Graph, shape: [usize; 2], mode: Mode) -> Option<Var<'g>> {
    let ones = graph.ones(shape);
    Some(dropout.forward_in(ones, mode)).filter(|mask| *mask != ones)
}
