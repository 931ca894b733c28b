//! What a step and a function share: the traces of a closure, the memory in which they run, and the position in the random
//! streams.

use gradus_graph::{Arena, Data, Error, Feed, Graph, Params, Plan, Profile, Real, Summary, Var};

use crate::random::Random;
use crate::traces::{Declared, Traced, Traces};

/// The compiled traces of one closure, each of type `C`.
pub(crate) struct Compiled<C, T> {
    pub(crate) traces: Traces<C>,
    /// All traces work in one memory.
    arena: Arena<T>,
    pub(crate) random: Random,
    /// The plan that was compiled last.
    pub(crate) summary: Option<Summary>,
}

impl<C, T> Default for Compiled<C, T> {
    fn default() -> Self {
        Self { traces: Traces::default(), arena: Arena::new(), random: Random::default(), summary: None }
    }
}

impl<C, T: Real> Compiled<C, T> {
    /// Compiles a graph whose inputs are the declared ones.
    #[track_caller]
    pub(crate) fn compile(
        &mut self,
        declared: Declared,
        graph: &Graph,
        outputs: &[Var<'_>],
    ) -> Result<Traced<T>, Error> {
        let plan = Plan::new(graph, outputs)?;
        self.summary = Some(plan.summary().clone());
        Ok(Traced::new(declared, plan.session_in(&self.arena)))
    }

    /// Measures the units of the plan for these outputs; the inputs have the names that [`Declared`] gives them.
    #[track_caller]
    pub(crate) fn profile(
        &self,
        graph: &Graph,
        outputs: &[Var<'_>],
        params: &Params<T>,
        values: &[Data<'_, T>],
        runs: usize,
    ) -> Result<Profile, Error> {
        let feed = Feed::in_order(values).random(self.random.seed, self.random.position);
        graph.profile(outputs, params, &feed, runs)
    }
}

/// The methods of a compiled closure that a step and a function share; `$compiled` is the path to its [`Compiled`].
macro_rules! compiled_methods {
    ($closure:ty, $($compiled:ident).+) => {
        impl<F, T: Real, const N: usize, const M: usize> $closure {
            /// Sets the seed of the random leaves, such as dropout; 0 by default. Each run takes the next step of their
            /// streams.
            #[must_use]
            pub fn seed(mut self, seed: u64) -> Self {
                self.$($compiled).+.random.seed = seed;
                self
            }

            /// The seed of the random leaves.
            pub fn random_seed(&self) -> u64 {
                self.$($compiled).+.random.seed
            }

            /// Sets how many compiled traces are kept; 64 by default. All run in one memory, that of the largest; each
            /// has its plan and its constants. If there are more combinations of input shapes, the trace that was not
            /// used for the longest time is dropped, and made again when its shapes come back; `traces` counts. For
            /// sequences of 400 lengths, keep 400 traces, or pad to fewer lengths.
            ///
            /// # Panics
            /// If the number is 0.
            ///
            /// # Example
            /// ```
            /// use gradus_graph::{Params, Tensor};
            /// use gradus_train::Function;
            /// let mut double = Function::new(|_, [x]| [x * 2.0]).keep(2);
            /// for rows in [1, 2, 1, 3, 2, 3] {
            ///     double.run(&Params::new(0), &Tensor::<f32>::ones([rows]))?;
            /// }
            /// assert_eq!(double.traces(), 4); // the second time for two rows
            /// # Ok::<(), gradus_graph::Error>(())
            /// ```
            #[must_use]
            #[track_caller]
            pub fn keep(mut self, traces: usize) -> Self {
                self.$($compiled).+.traces.keep(traces);
                self
            }

            /// The number of times that the closure was traced: once for each combination of input shapes, and again
            /// for one that was dropped.
            pub fn traces(&self) -> u64 {
                self.$($compiled).+.traces.made()
            }

            /// The size and the memory of the plan of the latest trace; `None` before the first run.
            ///
            /// # Example
            /// ```
            /// use gradus_graph::{Params, Tensor};
            /// use gradus_train::Function;
            /// let mut product = Function::new(|_, [x, y]| [x.matmul(y)]);
            /// assert!(product.summary().is_none());
            /// product.run(&Params::new(0), (&Tensor::<f32>::ones([2, 3]), &Tensor::<f32>::ones([3, 4])))?;
            /// assert_eq!(product.summary().map(|summary| summary.multiply_adds), Some(24));
            /// # Ok::<(), gradus_graph::Error>(())
            /// ```
            pub fn summary(&self) -> Option<&Summary> {
                self.$($compiled).+.summary.as_ref()
            }

            /// The step of the random streams that the next run takes: the number of runs so far, in this process and
            /// in those that it resumes.
            pub fn position(&self) -> u64 {
                self.$($compiled).+.random.position
            }

            /// Sets the step of the random streams that the next run takes.
            ///
            /// # Example
            /// ```
            /// use gradus_graph::Params;
            /// use gradus_train::Function;
            /// let params: Params = Params::new(0);
            /// let mut noise = Function::new(|graph, []| [graph.normal([3])]).seed(3);
            /// let first = noise.run(&params, ())?[0].clone();
            /// assert_ne!(*noise.run(&params, ())?[0], first);
            /// noise.set_position(0);
            /// assert_eq!(*noise.run(&params, ())?[0], first);
            /// # Ok::<(), gradus_graph::Error>(())
            /// ```
            pub fn set_position(&mut self, position: u64) {
                self.$($compiled).+.random.position = position;
            }
        }

        impl<F, T: Real, const N: usize, const M: usize> Stateful<T> for $closure {
            /// The counts `seed` and `position`.
            fn state(&self) -> SavedState<T> {
                self.$($compiled).+.random.state()
            }

            /// Takes over both, whatever the seed was.
            fn restore(&mut self, _params: &Params<T>, state: &SavedState<T>) -> Result<(), RestoreError> {
                self.$($compiled).+.random.restore(state)
            }
        }
    };
}

pub(crate) use compiled_methods;
