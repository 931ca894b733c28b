//! A closure compiled for the shapes that it is called with.

use gradus_graph::{Arena, Data, Error, Graph, Outputs, Params, Real, Var};
use gradus_optim::{RestoreError, SavedState, Stateful};

use crate::random::Random;
use crate::traces::{Inputs, Traced, Traces, key};

/// A closure from inputs to outputs, traced and compiled once for each list of input shapes.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_train::Function;
/// let mut double = Function::new(|_, x| vec![x[0] * 2.0]);
/// let params: Params = Params::new(0);
/// let outputs = double.run(&params, &[(&Tensor::from([1.0, 2.0])).into()])?;
/// assert_eq!(outputs.real(0).data(), [2.0, 4.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub struct Function<F, T = f32> {
    trace: F,
    traces: Traces<Traced<T>>,
    arena: Arena<T>,
    random: Random,
}

impl<F, T: Real> Function<F, T>
where
    F: for<'g> Fn(&'g Graph, &[Var<'g>]) -> Vec<Var<'g>>,
{
    /// The function that `trace` builds from a graph and its inputs.
    pub fn new(trace: F) -> Self {
        Self { trace, traces: Traces::default(), arena: Arena::new(), random: Random::default() }
    }

    /// With a seed for the random leaves; each run takes the next step of their streams.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random.seed = seed;
        self
    }

    /// How many compiled traces are kept, 64 if not set, as [`Step::keep`](crate::Step::keep).
    ///
    /// # Panics
    /// If none is to be kept.
    #[must_use]
    #[track_caller]
    pub fn keep(mut self, traces: usize) -> Self {
        self.traces.keep(traces);
        self
    }

    /// The outputs for the given inputs.
    ///
    /// # Errors
    /// If the run fails, as [`Session::run`](gradus_graph::Session::run).
    ///
    /// # Panics
    /// Where the closure does, if the shapes do not fit it.
    #[track_caller]
    pub fn run(&mut self, params: &Params<T>, inputs: &[Data<'_, T>]) -> Result<Outputs<'_, T>, Error> {
        let key = key(inputs, 0);
        if !self.traces.has(key, |traced| traced.fits(inputs)) {
            let (declared, graph) = (Inputs::of(inputs), Graph::new());
            let outputs = (self.trace)(&graph, &declared.declare(&graph));
            self.traces.add(key, Traced::new(declared, &graph, &outputs, &self.arena)?);
        }
        self.traces.take_up(key).run(params, inputs, self.random.next())
    }
}

impl<F, T> Function<F, T> {
    /// How often the closure was traced, as [`Step::traces`](crate::Step::traces).
    pub fn traces(&self) -> u64 {
        self.traces.made()
    }

    /// The step of the random streams that the next run takes, as [`Step::position`](crate::Step::position).
    pub fn position(&self) -> u64 {
        self.random.position
    }

    /// Sets the step of the random streams that the next run takes.
    pub fn set_position(&mut self, position: u64) {
        self.random.position = position;
    }
}

impl<F, T: Real> Stateful<T> for Function<F, T> {
    fn state(&self) -> SavedState<T> {
        self.random.state()
    }

    fn restore(&mut self, _params: &Params<T>, state: &SavedState<T>) -> Result<(), RestoreError> {
        self.random.restore(state)
    }
}
