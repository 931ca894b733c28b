//! The compiled training step: loss and gradients from parameters and a batch.

use gradus_graph::{AnyTensor, Data, Error, ErrorKind, Graph, Param, Params, Real, Tensor, Var};

use crate::function::Traced;

/// A closure that traces a loss, compiled to give the loss and its gradients with respect to all trainable parameters.
///
/// The closure is traced once for each list of input shapes (and again when parameters are frozen or freed); after that
/// a step allocates nothing. A trainable parameter that the loss does not use is an error that names it, because in
/// practice it is a layer that was forgotten; [`Step::allow_unused`] gives it a gradient of zeros.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_train::Step;
/// let mut params: Params = Params::new(0);
/// let w = params.add("w", Tensor::from([1.0, 2.0]));
/// let mut step = Step::new(|graph, x| (graph.param(&w) * x[0]).sum());
/// let gradients = step.run(&params, &[(&Tensor::from([3.0, 4.0])).into()])?;
/// assert_eq!(gradients.loss(), 11.0);
/// let (param, gradient) = gradients.iter().next().expect("there is one parameter");
/// assert_eq!((param.name(), gradient.data()), ("w", &[3.0, 4.0][..]));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub struct Step<F, T = f32> {
    trace: F,
    traced: Vec<Traced<T>>,
    seed: u64,
    step: u64,
    allow_unused: bool,
}

impl<F, T: Real> Step<F, T>
where
    F: for<'g> Fn(&'g Graph, &[Var<'g>]) -> Var<'g>,
{
    /// The step whose loss `trace` builds from a graph and its inputs.
    pub fn new(trace: F) -> Self {
        Self { trace, traced: Vec::new(), seed: 0, step: 0, allow_unused: false }
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

    /// Loss and gradients for the given inputs.
    ///
    /// # Errors
    /// If the loss is not a scalar or does not use a trainable parameter, and as [`gradus_graph::Session::run`].
    ///
    /// # Panics
    /// Where the closure does, if the shapes do not fit it.
    pub fn run(&mut self, params: &Params<T>, inputs: &[Data<'_, T>]) -> Result<Gradients<'_, T>, Error> {
        let fits = |traced: &Traced<T>| traced.fits(inputs) && traced.wrt.iter().eq(params.trainable());
        let place = match self.traced.iter().position(fits) {
            Some(place) => place,
            None => {
                let wrt: Vec<Param> = params.trainable().cloned().collect();
                let traced = Traced::new(inputs, wrt.clone(), |graph, x| {
                    let loss = (self.trace)(graph, x);
                    if !self.allow_unused {
                        expect_used(graph, &wrt)?;
                    }
                    let vars: Vec<Var<'_>> = wrt.iter().map(|param| graph.param(param)).collect();
                    let gradients = match self.allow_unused {
                        true => graph.grad_or_zeros(loss, &vars)?,
                        false => graph.grad(loss, &vars)?,
                    };
                    Ok([vec![loss], gradients].concat())
                })?;
                self.traced.push(traced);
                self.traced.len() - 1
            }
        };
        let step = self.step;
        self.step += 1;
        let (params, outputs) = self.traced[place].run(params, inputs, self.seed, step)?;
        let (loss, gradients) = outputs.all().split_first().expect("the loss is the first output");
        Ok(Gradients { loss: loss.real().item(), params, gradients })
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
