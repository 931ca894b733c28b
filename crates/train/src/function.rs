//! A closure compiled for the shapes that it is called with.

use gradus_graph::{AnyTensor, Error, Graph, Inputs, Params, Profile, Real, Summary, Var};
use gradus_optim::{RestoreError, SavedState, Stateful};

use crate::compiled::{Compiled, compiled_methods};
use crate::traces::{Declared, Traced, as_array, key};

/// A closure from `N` inputs to `M` outputs, traced and compiled once for each combination of input shapes.
///
/// The values that the closure captures are constants of the trace, as in a [`Step`](crate::Step).
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_train::Function;
/// let mut powers = Function::new(|_, [x]| [x * x, x * x * x]);
/// let params: Params = Params::new(0);
/// let [square, cube] = powers.run(&params, &Tensor::from([1.0, 2.0]))?;
/// assert_eq!((square.real().data(), cube.real().data()), (&[1.0, 4.0][..], &[1.0, 8.0][..]));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub struct Function<F, const N: usize, const M: usize, T = f32> {
    trace: F,
    compiled: Compiled<Traced<T>, T>,
}

impl<F, T: Real, const N: usize, const M: usize> Function<F, N, M, T>
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> [Var<'g>; M],
{
    /// The function that `trace` builds from a graph and its inputs.
    pub fn new(trace: F) -> Self {
        Self { trace, compiled: Compiled::default() }
    }

    /// The outputs for the given inputs.
    ///
    /// # Errors
    /// If the run fails, as [`Session::run`](gradus_graph::Session::run).
    ///
    /// # Panics
    /// Where the closure does, if the shapes do not fit it.
    #[track_caller]
    pub fn run<'a>(&mut self, params: &Params<T>, inputs: impl Inputs<'a, T, N>) -> Result<[&AnyTensor<T>; M], Error> {
        let (inputs, compiled) = (inputs.data(), &mut self.compiled);
        let key = key(&inputs, ());
        if !compiled.traces.has(key, |traced| traced.fits(&inputs)) {
            let (declared, graph) = (Declared::of(&inputs), Graph::new());
            let outputs = (self.trace)(&graph, as_array(&declared.declare(&graph)));
            let traced = compiled.compile(declared, &graph, &outputs)?;
            compiled.traces.add(key, traced);
        }
        let outputs = compiled.traces.recall(key).run(params, &inputs, compiled.random.next())?.all();
        Ok(std::array::from_fn(|number| &outputs[number]))
    }

    /// Where the time of a run goes: each unit of its plan, measured over `runs` runs after a first one. The function is
    /// traced and compiled anew for it, and its position in the random streams stays as it is.
    ///
    /// # Errors
    /// As [`Function::run`].
    ///
    /// # Panics
    /// If the number of runs is 0, and where the closure does.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_train::Function;
    /// let square = Function::new(|_, [x]| [x.matmul(x)]);
    /// let profile = square.profile(&Params::new(0), &Tensor::<f32>::ones([64, 64]), 3)?;
    /// assert_eq!(profile.units().len(), 1);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn profile<'a>(
        &self,
        params: &Params<T>,
        inputs: impl Inputs<'a, T, N>,
        runs: usize,
    ) -> Result<Profile, Error> {
        let inputs = inputs.data();
        let (declared, graph) = (Declared::of(&inputs), Graph::new());
        let outputs = (self.trace)(&graph, as_array(&declared.declare(&graph)));
        self.compiled.profile(&graph, &outputs, params, &inputs, runs)
    }
}

compiled_methods!(Function<F, N, M, T>, compiled);
