//! The compiled training step: loss and gradients from parameters and a batch.

use gradus_graph::{AnyTensor, Data, Error, ErrorKind, Graph, Param, Params, Real, Tensor, Var};

use crate::function::Traced;

/// A closure that traces a loss, compiled to give the loss and its gradients with respect to all trainable parameters.
///
/// The closure is traced once for each list of input shapes (and again when parameters are frozen or freed); after that
/// a step allocates nothing. A trainable parameter that the loss does not use is an error that names it, because in
/// practice it is a layer that was forgotten; [`Step::allow_unused`] gives it a gradient of zeros.
///
/// A step moves no parameter: that is the optimizer's work. What it leaves in the store are the updates of buffers that
/// the trace recorded ([`Graph::update`]), such as running means.
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
    compiled: Vec<Compiled<T>>,
    seed: u64,
    step: u64,
    allow_unused: bool,
    /// The beginning of the names of the parameters that the gradients are of.
    only: String,
}

/// The step for one list of input shapes and trainable parameters. The outputs of the trace are the loss, its gradients
/// and the new values of buffers.
struct Compiled<T> {
    traced: Traced<T>,
    wrt: Vec<Param>,
    buffers: Vec<Param>,
}

impl<F, T: Real> Step<F, T>
where
    F: for<'g> Fn(&'g Graph, &[Var<'g>]) -> Var<'g>,
{
    /// The step whose loss `trace` builds from a graph and its inputs.
    pub fn new(trace: F) -> Self {
        Self { trace, compiled: Vec::new(), seed: 0, step: 0, allow_unused: false, only: String::new() }
    }

    /// With a seed for the random leaves, such as dropout; each run takes the next step of their streams.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
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
    /// If the loss is not a scalar or does not use a trainable parameter, if there is none in the scope of
    /// [`Step::only`], and as [`gradus_graph::Session::run`]; the store is as it was.
    ///
    /// # Panics
    /// Where the closure does, if the shapes do not fit it.
    pub fn run(&mut self, params: &mut Params<T>, inputs: &[Data<'_, T>]) -> Result<Gradients<'_, T>, Error> {
        let gradients = self.at(params, inputs)?;
        for (buffer, value) in gradients.buffers.iter().zip(gradients.updates) {
            params.get_mut(buffer).data_mut().copy_from_slice(value.real().data());
        }
        Ok(gradients)
    }

    /// Loss and gradients at a point, as a method that searches along a line asks for them: the store, with its
    /// buffers, stays as it is.
    ///
    /// # Errors
    /// As [`Step::run`].
    ///
    /// # Panics
    /// As [`Step::run`].
    pub fn at(&mut self, params: &Params<T>, inputs: &[Data<'_, T>]) -> Result<Gradients<'_, T>, Error> {
        let wanted = || params.trainable().filter(|param| param.name().starts_with(&self.only));
        let fits = |known: &Compiled<T>| known.traced.fits(inputs) && known.wrt.iter().eq(wanted());
        let place = match self.compiled.iter().position(fits) {
            Some(place) => place,
            None => {
                let wrt: Vec<Param> = wanted().cloned().collect();
                if wrt.is_empty() && !self.only.is_empty() {
                    let scope = self.only.trim_end_matches('.');
                    let problem = format!("there is no trainable parameter in the scope `{scope}`");
                    return Err(Error::new(ErrorKind::Derivative, problem));
                }
                let mut buffers = Vec::new();
                let traced = Traced::new(inputs, |graph, x| {
                    let loss = (self.trace)(graph, x);
                    if !self.allow_unused {
                        expect_used(graph, &wrt)?;
                    }
                    let vars: Vec<Var<'_>> = wrt.iter().map(|param| graph.param(param)).collect();
                    let gradients = match self.allow_unused {
                        true => graph.grad_or_zeros(loss, &vars)?,
                        false => graph.grad(loss, &vars)?,
                    };
                    let (updated, values): (Vec<Param>, Vec<Var<'_>>) = graph.updates().into_iter().unzip();
                    buffers = updated;
                    Ok([vec![loss], gradients, values].concat())
                })?;
                self.compiled.push(Compiled { traced, wrt, buffers });
                self.compiled.len() - 1
            }
        };
        let step = self.step;
        self.step += 1;
        let Compiled { traced, wrt, buffers } = &mut self.compiled[place];
        let outputs = traced.run(params, inputs, self.seed, step)?.all();
        let (loss, outputs) = outputs.split_first().expect("the loss is the first output");
        let (gradients, updates) = outputs.split_at(wrt.len());
        Ok(Gradients { loss: loss.real().item(), params: wrt, gradients, buffers, updates })
    }
}

/// Says so if the trace has not touched a parameter that is to be trained.
fn expect_used(graph: &Graph, wrt: &[Param]) -> Result<(), Error> {
    let used = graph.params();
    match wrt.iter().find(|param| !used.iter().any(|(other, _)| other == *param)) {
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
