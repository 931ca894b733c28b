//! The compiled training step: loss and gradients from parameters and a batch.

use std::collections::HashSet;
use std::sync::Arc;

use gradus_graph::{AnyTensor, Arena, Data, Error, ErrorKind, Graph, Kind, Param, Params, Real, Tensor, Var};
use gradus_optim::{RestoreError, SavedState, Stateful};

use crate::random::Random;
use crate::traces::{self, Inputs, Traced, Traces};

/// A closure that traces a loss, compiled to give the loss and its gradients with respect to all trainable parameters.
///
/// The closure is traced once for each list of input shapes (and again when parameters are frozen or freed); after that
/// a step allocates nothing. So many traces are kept as [`Step::keep`] says. A trainable parameter that the loss does
/// not use is an error that names it, because in practice it is a layer that was forgotten; [`Step::allow_unused`] gives
/// it a gradient of zeros.
///
/// A step moves no parameter: that is the optimizer's work. What it leaves in the store are the updates of buffers that
/// the trace recorded ([`Graph::update`]), such as running means.
///
/// A step remembers where it stands in its random numbers, such as those of dropout: it is a part of a
/// [checkpoint](crate::checkpoint), beside the optimizer.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_train::Step;
/// let mut params: Params = Params::new(0);
/// let w = params.add("w", Tensor::from([1.0, 2.0]));
/// let mut step = Step::new(|graph, x| (graph.param(&w) * x[0]).sum());
/// let gradients = step.run(&mut params, &[(&Tensor::from([3.0, 4.0])).into()])?;
/// assert_eq!(gradients.loss(), 11.0);
/// let (param, gradient) = gradients.iter().next().expect("there is one parameter");
/// assert_eq!((param.name(), gradient.data()), ("w", &[3.0, 4.0][..]));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub struct Step<F, T = f32> {
    trace: F,
    traces: Traces<Compiled<T>>,
    /// All traces work in one memory, and leave what they compute in one list.
    arena: Arena<T>,
    outputs: Vec<AnyTensor<T>>,
    random: Random,
    allow_unused: bool,
    /// The beginning of the names of the parameters that the gradients are of.
    only: String,
    /// The trainable parameters of the store at the last run, and those of them that the gradients are of.
    trainable: Vec<Param>,
    wrt: Arc<[Param]>,
}

/// The step for one list of input shapes and trainable parameters. The outputs of the trace are the loss, its gradients
/// and the new values of buffers.
struct Compiled<T> {
    traced: Traced<T>,
    wrt: Arc<[Param]>,
    buffers: Vec<Param>,
}

impl<F, T: Real> Step<F, T>
where
    F: for<'g> Fn(&'g Graph, &[Var<'g>]) -> Var<'g>,
{
    /// The step whose loss `trace` builds from a graph and its inputs.
    pub fn new(trace: F) -> Self {
        let (traces, random, only) = (Traces::default(), Random::default(), String::new());
        let (arena, outputs, trainable, wrt) = (Arena::new(), Vec::new(), Vec::new(), Arc::default());
        Self { trace, traces, arena, outputs, random, allow_unused: false, only, trainable, wrt }
    }

    /// With a seed for the random leaves, such as dropout; each run takes the next step of their streams.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random.seed = seed;
        self
    }

    /// How many compiled traces are kept, 64 if not set. All work in one memory, that of the largest; each has its plan
    /// and its constants. If there are more lists of input shapes than that, the one that was not used for the longest
    /// time is given up, and traced again when it comes back; [`Step::traces`] counts. Sequences of 400 lengths want
    /// 400 traces, or padding to fewer lengths.
    ///
    /// # Panics
    /// If none is to be kept.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_train::Step;
    /// let mut params: Params = Params::new(0);
    /// let w = params.add("w", Tensor::from([2.0]));
    /// let mut step = Step::new(|graph, x| (graph.param(&w) * x[0]).sum()).keep(2);
    /// for rows in [1, 2, 1, 3, 2, 3] {
    ///     step.run(&mut params, &[(&Tensor::<f32>::ones([rows])).into()])?;
    /// }
    /// assert_eq!(step.traces(), 4); // the second time for two rows
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn keep(mut self, traces: usize) -> Self {
        self.traces.keep(traces);
        self
    }

    /// Trainable parameters that the loss does not use get a gradient of zeros.
    #[must_use]
    pub fn allow_unused(mut self) -> Self {
        self.allow_unused = true;
        self
    }

    /// Gradients of the trainable parameters of one scope only; all others count as constants.
    ///
    /// So two models in one store are trained in turn, each by a step and an optimizer of its own, as the two of a
    /// generative adversarial network: nothing has to be frozen and freed between the steps.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_train::Step;
    /// let mut params: Params = Params::new(0);
    /// let [a, b] = ["a", "b"].map(|name| params.scope(name, |params| params.add("x", Tensor::scalar(2.0))));
    /// let mut step = Step::new(|graph, _| graph.param(&a) * graph.param(&b)).only("b");
    /// let gradients = step.run(&mut params, &[])?;
    /// let names: Vec<&str> = gradients.iter().map(|(param, _)| param.name()).collect();
    /// assert_eq!(names, ["b.x"]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[must_use]
    pub fn only(mut self, scope: &str) -> Self {
        self.only = format!("{scope}.");
        self
    }

    /// Loss and gradients for the given inputs, in training: buffers in the store are updated.
    ///
    /// # Errors
    /// If an input has no elements, if the loss is not a scalar or does not use a trainable parameter, if there is none
    /// in the store or in the scope of [`Step::only`], if the new value of a buffer is not finite, and as
    /// [`gradus_graph::Session::run`]; the store is as it was.
    ///
    /// # Panics
    /// Where the closure does, if the shapes do not fit it.
    #[track_caller]
    pub fn run(&mut self, params: &mut Params<T>, inputs: &[Data<'_, T>]) -> Result<Gradients<'_, T>, Error> {
        let gradients = self.at(params, inputs)?;
        let updates = || gradients.buffers.iter().zip(gradients.updates).map(|(buffer, value)| (buffer, value.real()));
        for (buffer, value) in updates() {
            if let Some(element) = value.first_non_finite() {
                let found =
                    format!("the new value of buffer `{}` is {} at {element:?}", buffer.name(), value.at(&element));
                return Err(Error::new(ErrorKind::Run, format!("{found}; no buffer was changed")));
            }
        }
        for (buffer, value) in updates() {
            params.get_mut(buffer).data_mut().copy_from_slice(value.data());
        }
        Ok(gradients)
    }

    /// Loss and gradients at a point, as a method that searches along a line asks for them: the store, with its
    /// buffers, stays as it is.
    ///
    /// # Errors
    /// As [`Step::run`], but for the buffers.
    ///
    /// # Panics
    /// As [`Step::run`].
    #[track_caller]
    pub fn at(&mut self, params: &Params<T>, inputs: &[Data<'_, T>]) -> Result<Gradients<'_, T>, Error> {
        if let Some(number) = inputs.iter().position(|input| traces::shape(input).contains(&0)) {
            let (name, shape) = (traces::name(number), traces::shape(&inputs[number]));
            let problem = format!("input `{name}` of shape {shape} has no elements: there is nothing to learn from");
            return Err(Error::new(ErrorKind::Feed, problem));
        }
        self.look_for_trainable(params)?;
        let key = traces::key(inputs, Arc::as_ptr(&self.wrt).addr());
        let fits = |known: &Compiled<T>| Arc::ptr_eq(&known.wrt, &self.wrt) && known.traced.fits(inputs);
        if !self.traces.has(key, fits) {
            let compiled = self.compile(params, inputs)?;
            self.traces.add(key, compiled);
        }
        let Compiled { traced, wrt, buffers } = self.traces.take_up(key);
        traced.run_into(params, inputs, self.random.next(), &mut self.outputs)?;
        let (loss, outputs) = self.outputs.split_first().expect("the loss is the first output");
        let (gradients, updates) = outputs.split_at(wrt.len());
        Ok(Gradients { loss: loss.real().item(), params: wrt, gradients, buffers, updates })
    }

    /// Finds out which parameters the gradients are of. As long as nothing is frozen or freed, that is a comparison of
    /// pointers.
    fn look_for_trainable(&mut self, params: &Params<T>) -> Result<(), Error> {
        if !params.trainable().eq(&self.trainable) {
            self.trainable.clear();
            self.trainable.extend(params.trainable().cloned());
            let wanted = self.trainable.iter().filter(|param| param.name().starts_with(&self.only));
            let wanted: Arc<[Param]> = wanted.cloned().collect();
            // The traces for these are known by their list.
            let known =
                self.traces.iter().map(|compiled| &compiled.wrt).chain([&self.wrt]).find(|list| **list == wanted);
            self.wrt = known.cloned().unwrap_or(wanted);
        }
        if !self.wrt.is_empty() {
            return Ok(());
        }
        let problem = match self.only.strip_suffix('.') {
            Some(scope) => format!("there is no trainable parameter in the scope `{scope}`"),
            None if params.len() == 0 => "there is no parameter in the store".to_owned(),
            None => format!(
                "there is no trainable parameter: all {} tensors of the store are frozen or buffers; \
                 `Params::set_trainable` frees parameters, and `Function` evaluates without gradients",
                params.len()
            ),
        };
        Err(Error::new(ErrorKind::Derivative, problem))
    }

    /// Traces the loss and compiles it with its gradients. Messages name the line that asks for the step.
    #[track_caller]
    fn compile(&self, params: &Params<T>, inputs: &[Data<'_, T>]) -> Result<Compiled<T>, Error> {
        let (declared, graph) = (Inputs::of(inputs), Graph::new());
        let loss = (self.trace)(&graph, &declared.declare(&graph));
        expect_scalar(loss)?;
        expect_stored(&graph, params)?;
        let wrt = Arc::clone(&self.wrt);
        if !self.allow_unused {
            expect_used(&graph, &wrt)?;
        }
        let mut vars = Vec::with_capacity(wrt.len());
        // No closure: the line of the caller passes through.
        for param in &*wrt {
            vars.push(graph.param(param));
        }
        let gradients = match self.allow_unused {
            true => graph.grad_or_zeros(loss, &vars)?,
            false => graph.grad(loss, &vars)?,
        };
        let (buffers, values): (Vec<Param>, Vec<Var<'_>>) = graph.updates().into_iter().unzip();
        let traced = Traced::new(declared, &graph, &[vec![loss], gradients, values].concat(), &self.arena)?;
        Ok(Compiled { traced, wrt, buffers })
    }
}

impl<F, T> Step<F, T> {
    /// How often the closure was traced: once for each list of input shapes, and again for one that was given up.
    pub fn traces(&self) -> u64 {
        self.traces.made()
    }

    /// The step of the random streams that the next run takes: the number of runs so far, in this process and in those
    /// that it resumes.
    pub fn position(&self) -> u64 {
        self.random.position
    }

    /// Sets the step of the random streams that the next run takes.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_train::Step;
    /// let mut params: Params = Params::new(0);
    /// let w = params.add("w", Tensor::from([1.0]));
    /// let mut step = Step::new(|graph, _| (graph.param(&w) * graph.normal([])).sum()).seed(3);
    /// let mut loss = |step: &mut Step<_>| step.run(&mut params, &[]).map(|gradients| gradients.loss());
    /// let first = loss(&mut step)?;
    /// assert_ne!(loss(&mut step)?, first);
    /// step.set_position(0);
    /// assert_eq!(loss(&mut step)?, first);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    pub fn set_position(&mut self, position: u64) {
        self.random.position = position;
    }
}

impl<F, T: Real> Stateful<T> for Step<F, T> {
    /// The counts `seed` and `position`.
    fn state(&self) -> SavedState<T> {
        self.random.state()
    }

    /// Takes over both, whatever seed this step was made with.
    fn restore(&mut self, _params: &Params<T>, state: &SavedState<T>) -> Result<(), RestoreError> {
        self.random.restore(state)
    }
}

/// Says so if the loss is not a real scalar, with the line that made it.
fn expect_scalar(loss: Var<'_>) -> Result<(), Error> {
    if loss.rank() == 0 && loss.kind() == Kind::Real {
        return Ok(());
    }
    let node = loss.graph().view().describe((loss.node().index() as u32).into());
    let what = if loss.kind() == Kind::Real { "real numbers" } else { "indices" };
    let problem = format!("the loss is {what} of shape {}, made by {node}", loss.shape());
    let advice = "only a real scalar has a gradient: take `sum()` or `mean()`";
    Err(Error::new(ErrorKind::Derivative, format!("{problem}; {advice}")))
}

/// Says so if the trace reads a parameter of another store, with the line that reads it.
fn expect_stored<T: Real>(graph: &Graph, params: &Params<T>) -> Result<(), Error> {
    match graph.params().into_iter().find(|(param, _)| !params.contains(param)) {
        None => Ok(()),
        Some((param, var)) => {
            let read = graph.view().describe((var.node().index() as u32).into());
            let problem = format!("{read}, of shape {}, is not in this store", param.shape());
            let advice = "a store that was built apart is another, also if its names are the same";
            Err(Error::new(ErrorKind::Feed, format!("{problem}: {advice}")))
        }
    }
}

/// Says so if the trace has not touched a parameter that is to be trained.
fn expect_used(graph: &Graph, wrt: &[Param]) -> Result<(), Error> {
    let used: HashSet<Param> = graph.params().into_iter().map(|(param, _)| param).collect();
    match wrt.iter().find(|param| !used.contains(param)) {
        None => Ok(()),
        Some(param) => {
            let problem =
                format!("the loss does not use the trainable parameter `{}` of shape {}", param.name(), param.shape());
            let advice =
                "freeze it with `Params::set_trainable`, or let `Step::allow_unused` give it a gradient of zeros";
            Err(Error::new(ErrorKind::Derivative, format!("{problem}; {advice}")))
        }
    }
}

/// A loss and its gradients, in the order of the parameters in their store.
#[derive(Clone, Copy, Debug)]
pub struct Gradients<'a, T> {
    loss: T,
    params: &'a [Param],
    gradients: &'a [AnyTensor<T>],
    buffers: &'a [Param],
    updates: &'a [AnyTensor<T>],
}

impl<'a, T: Real> Gradients<'a, T> {
    /// The value of the loss.
    pub fn loss(&self) -> T {
        self.loss
    }

    /// The parameters with their gradients.
    pub fn iter(&self) -> impl Iterator<Item = (&'a Param, &'a Tensor<T>)> + Clone + Send + use<'a, T> {
        self.params.iter().zip(self.gradients).map(|(param, gradient)| (param, gradient.real()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_follow_the_steps_and_a_run_that_fails_leaves_them() {
        let mut params: Params<f64> = Params::new(0);
        let weight = params.add("weight", Tensor::from([[1.0, 2.0], [3.0, 4.0]].concat()));
        let mean = params.add_buffer("mean", Tensor::scalar(0.0));
        let mut step = Step::new(|graph: &Graph, x: &[Var<'_>]| {
            // Two uses in one trace follow each other.
            for _ in 0..2 {
                graph.update(&mean, graph.updated(&mean) * 0.5 + x[0].to_real().mean() * 0.5);
            }
            graph.param(&weight).index_select(0, x[0]).sum()
        });
        let inputs = Tensor::from([1, 3]);
        assert_eq!(step.run(&mut params, &[(&inputs).into()]).expect("it runs").loss(), 6.0);
        assert_eq!(params.get(&mean).item(), 1.5);
        assert_eq!(step.at(&params, &[(&inputs).into()]).expect("it runs").loss(), 6.0);
        assert_eq!(params.get(&mean).item(), 1.5);
        step.run(&mut params, &[(&inputs).into()]).expect("it runs");
        assert_eq!(params.get(&mean).item(), 1.875);
        step.run(&mut params, &[(&Tensor::from([1, 4])).into()]).expect_err("there is no row 4");
        assert_eq!(params.get(&mean).item(), 1.875);
        assert_eq!(params.get(&weight).data(), [1.0, 2.0, 3.0, 4.0]);
    }
}
