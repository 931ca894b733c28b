//! The compiled training step: loss and gradients from parameters and a batch.

use gradus_graph::{Data, Error, ErrorKind, Graph, Inputs, Params, Profile, Real, Summary, Var};
use gradus_optim::{RestoreError, SavedState, Stateful};

use crate::compiled::compiled_methods;
use crate::derivatives::{Derivatives, Order};
use crate::gradients::Gradients;
use crate::loss::{Loss, WithAux};
use crate::traces::as_array;

/// A closure that traces a loss, compiled to give the loss and its gradients with respect to all trainable parameters.
///
/// The closure takes the graph and an array of `N` inputs, and [`Step::run`] takes as many tensors; that the numbers
/// agree is checked at compile time. It is traced once for each combination of input shapes (and again when parameters
/// are frozen or freed); after that a step allocates nothing. A trainable parameter that the loss does not use is an
/// error that names it, because in practice it is a layer that was forgotten; [`Step::allow_unused`] gives it a gradient
/// of zeros.
///
/// A step does not move parameters: that is the optimizer's work. What it changes in the store are the buffers that the
/// trace updates ([`Graph::update`]), such as running means. Its position in the random streams, such as those of
/// dropout, is a part of a [checkpoint](crate::checkpoint), beside the optimizer.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_train::Step;
/// let mut params: Params = Params::new(0);
/// let w = params.add("w", Tensor::from([1.0, 2.0]));
/// let mut step = Step::new(|graph, [x, y]| (graph.param(&w) * x - y).sum());
/// let gradients = step.run(&mut params, (&Tensor::from([3.0, 4.0]), &Tensor::from([0.5, 0.5])))?;
/// assert_eq!(gradients.loss(), 10.0);
/// let (param, gradient) = gradients.iter().next().expect("there is one parameter");
/// assert_eq!((param.name(), gradient.data()), ("w", &[3.0, 4.0][..]));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// Another number of inputs does not compile:
/// ```compile_fail,E0277
/// # use gradus_graph::{Params, Tensor};
/// # use gradus_train::Step;
/// let mut step = Step::new(|_, [x, y]| (x * y).sum());
/// step.run(&mut Params::new(0), &Tensor::from([3.0_f32, 4.0]));
/// ```
///
/// # Captured values
/// The closure runs when it is traced, not at each step. A number that it captures is a constant of the trace: a change
/// of it has no effect on the traces that exist. What changes from step to step, such as the weight of a penalty, is an
/// input, a tensor without axes if it is a single number:
/// ```
/// use std::cell::Cell;
///
/// use gradus_graph::{Params, Tensor};
/// use gradus_train::Step;
/// let mut params: Params = Params::new(0);
/// let w = params.add("w", Tensor::scalar(2.0));
/// let captured = Cell::new(1.0);
/// let mut step = Step::new(|graph, [given]| graph.param(&w) * captured.get() + given);
/// assert_eq!(step.run(&mut params, &Tensor::scalar(0.5))?.loss(), 2.5);
/// captured.set(10.0); // too late
/// assert_eq!(step.run(&mut params, &Tensor::scalar(0.25))?.loss(), 2.25);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
/// A closure that is kept in a variable before it is given to a step (as `&loss`, if it is used again) is written as
/// [`loss_fn`](gradus_graph::loss_fn)`(|graph, [x, y]| …)`.
pub struct Step<F, const N: usize, T = f32, const M: usize = 0> {
    loss: F,
    derivatives: Derivatives<T>,
}

impl<F, T: Real, const N: usize> Step<F, N, T>
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> Var<'g>,
{
    /// The step whose loss the closure builds from a graph and its inputs.
    pub fn new(loss: F) -> Self {
        Self { loss, derivatives: Derivatives::default() }
    }
}

impl<F, T: Real, const N: usize, const M: usize> Step<WithAux<F>, N, T, M>
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> (Var<'g>, [Var<'g>; M]),
{
    /// The step whose closure gives auxiliary values beside the loss: logits, parts of the loss, the state after a
    /// sequence. Each run computes them too; [`Gradients::aux`] returns them.
    ///
    /// # Example
    /// A long sequence is read in parts, and the state after one part is an input of the next. No derivative passes from
    /// part to part, since an input is a constant: truncated backpropagation through time.
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_train::Step;
    /// let mut params: Params = Params::new(0);
    /// let decay = params.add("decay", Tensor::scalar(0.5));
    /// let mut step = Step::with_aux(|graph, [x, before]| {
    ///     let after = before * graph.param(&decay) + x;
    ///     (after.square(), [after])
    /// });
    /// let mut state = Tensor::scalar(0.0);
    /// for x in [4.0, 1.0, 0.5] {
    ///     let gradients = step.run(&mut params, (&Tensor::scalar(x), &state))?;
    ///     let [after] = gradients.aux();
    ///     state = after.real().clone();
    /// }
    /// assert_eq!(state.item(), 2.0);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    pub fn with_aux(loss: F) -> Self {
        Self { loss: WithAux(loss), derivatives: Derivatives::default() }
    }
}

impl<F, T: Real, const N: usize, const M: usize> Step<F, N, T, M> {
    /// Gives trainable parameters that the loss does not use a gradient of zeros.
    #[must_use]
    pub fn allow_unused(mut self) -> Self {
        self.derivatives.allow_unused = true;
        self
    }

    /// Gradients of the trainable parameters within these scopes only; all others are constants.
    ///
    /// So two models in one store are trained in turn, each by a step and an optimizer of its own, as the two of a
    /// generative adversarial network: nothing has to be frozen and freed between the steps.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_train::Step;
    /// let mut params: Params = Params::new(0);
    /// let [a, b, c] =
    ///     ["a", "b", "c"].map(|name| params.scope(name, |params| params.add("x", Tensor::scalar(2.0))));
    /// let mut step = Step::new(|graph, []| graph.param(&a) * graph.param(&b) * graph.param(&c)).only(["b", "c"]);
    /// let gradients = step.run(&mut params, ())?;
    /// let names: Vec<&str> = gradients.iter().map(|(param, _)| param.name()).collect();
    /// assert_eq!(names, ["b.x", "c.x"]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[must_use]
    pub fn only<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.derivatives.scopes = scopes.into_iter().map(|scope| format!("{}.", scope.as_ref())).collect();
        self
    }

    /// Gradients with respect to these inputs as well, by their positions; [`Gradients::input`] returns them. With them a
    /// store without trainable parameters is no error.
    ///
    /// # Panics
    /// If the closure has no input of that position.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_train::Step;
    /// let mut step = Step::new(|_, [x, y]| (x * y.square()).sum()).wrt_inputs([1]);
    /// let (x, y) = (Tensor::from([1.0_f32, 2.0]), Tensor::from([3.0, 4.0]));
    /// let gradients = step.run(&mut Params::new(0), (&x, &y))?;
    /// assert_eq!(gradients.input(1).data(), [6.0, 16.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn wrt_inputs(mut self, inputs: impl IntoIterator<Item = usize>) -> Self {
        self.derivatives.wrt_inputs.clear();
        for number in inputs {
            assert!(number < N, "`Step::wrt_inputs`: there is no input {number}: the closure takes {N}");
            self.derivatives.wrt_inputs.push(number);
        }
        self
    }
}

impl<F, T: Real, const N: usize, const M: usize> Step<F, N, T, M>
where
    F: Loss<N, M>,
{
    /// Loss and gradients for the given inputs, in training: buffers in the store are updated.
    ///
    /// # Errors
    /// If an input has no elements, if the loss is not a scalar or does not use a trainable parameter, if there is none
    /// in the store or in the scopes of [`Step::only`], if the new value of a buffer is not finite, and as
    /// [`gradus_graph::Session::run`]; the store is then unchanged.
    ///
    /// # Panics
    /// Where the closure does, if the shapes do not fit it.
    #[track_caller]
    pub fn run<'a>(
        &mut self,
        params: &mut Params<T>,
        inputs: impl Inputs<'a, T, N>,
    ) -> Result<Gradients<'_, T, M>, Error> {
        let gradients = self.at(params, inputs)?;
        for (buffer, value) in gradients.updates() {
            if let Some(element) = value.first_non_finite() {
                let found =
                    format!("the new value of buffer `{}` is {} at {element:?}", buffer.name(), value.at(&element));
                return Err(Error::new(ErrorKind::Run, format!("{found}; no buffer was changed")));
            }
        }
        for (buffer, value) in gradients.updates() {
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
    pub fn at<'a>(&mut self, params: &Params<T>, inputs: impl Inputs<'a, T, N>) -> Result<Gradients<'_, T, M>, Error> {
        let trace = untyped(&self.loss);
        let (layout, outputs) = self.derivatives.run(params, &inputs.data(), N, Order::First, &trace)?;
        Ok(Gradients::new(layout, outputs))
    }

    /// The loss, and the products of its Hessian with a direction, each in place of a parameter's gradient. The
    /// direction is a clone of the store with other values. Buffers are not updated, auxiliary values and gradients with
    /// respect to inputs are not computed. The products have a trace of their own; a call allocates the list of
    /// directions.
    ///
    /// # Errors
    /// As [`Step::at`]; also if the direction is not of the parameters.
    ///
    /// # Panics
    /// As [`Step::run`].
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_train::Step;
    /// let mut params: Params<f64> = Params::new(0);
    /// let w = params.add("w", Tensor::from([1.0, 2.0]));
    /// let mut step = Step::new(|graph, []| graph.param(&w).pow(3.0).sum());
    /// let mut direction = params.clone();
    /// direction.set(&w, Tensor::from([1.0, 0.5]));
    /// let products = step.hvp(&params, (), &direction)?;
    /// let (_, product) = products.iter().next().expect("there is one parameter");
    /// assert_eq!(product.data(), [6.0, 6.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn hvp<'a>(
        &mut self,
        params: &Params<T>,
        inputs: impl Inputs<'a, T, N>,
        direction: &Params<T>,
    ) -> Result<Gradients<'_, T>, Error> {
        let trace = untyped(&self.loss);
        let wrt = self.derivatives.find_wrt(params)?;
        if let Some(param) = wrt.iter().find(|param| !direction.contains(param)) {
            let problem = format!("the direction has no parameter `{}`: it must be a clone of the store", param.name());
            return Err(Error::new(ErrorKind::Feed, problem));
        }
        let directions = wrt.iter().map(|param| Data::Real(direction.get(param)));
        let values: Vec<Data<'_, T>> = inputs.data().into_iter().chain(directions).collect();
        let (layout, outputs) = self.derivatives.run(params, &values, N, Order::Second, &trace)?;
        Ok(Gradients::new(layout, outputs))
    }
}

impl<F, T: Real, const N: usize, const M: usize> Step<F, N, T, M>
where
    F: Loss<N, M>,
{
    /// Where the time of a step goes: each unit of its plan, measured over `runs` runs after a first one. The step is
    /// traced and compiled anew for it; parameters, buffers and the position in the random streams stay as they are. The
    /// optimizer is not a part of it.
    ///
    /// # Errors
    /// As [`Step::at`].
    ///
    /// # Panics
    /// If the number of runs is 0, and where the closure does.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_train::Step;
    /// let mut params: Params = Params::new(0);
    /// let w = params.add("w", Tensor::full([64, 64], 0.1));
    /// let mut step = Step::new(|graph, [x]| x.matmul(graph.param(&w)).tanh().square().mean());
    /// let profile = step.profile(&params, &Tensor::<f32>::ones([32, 64]), 5)?;
    /// assert!(profile.by_op().iter().any(|entry| entry.name == "matmul"));
    /// println!("{profile}");
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn profile<'a>(
        &mut self,
        params: &Params<T>,
        inputs: impl Inputs<'a, T, N>,
        runs: usize,
    ) -> Result<Profile, Error> {
        let trace = untyped(&self.loss);
        self.derivatives.profile(params, &inputs.data(), &trace, runs)
    }
}

compiled_methods!(Step<F, N, T, M>, derivatives.compiled);

/// The closure without the numbers in its type, so that what compiles it is built once for all closures.
fn untyped<F: Loss<N, M>, const N: usize, const M: usize>(
    loss: &F,
) -> impl for<'g> Fn(&'g Graph, &[Var<'g>]) -> (Var<'g>, Vec<Var<'g>>) {
    |graph, inputs| {
        let (loss, aux) = loss.trace(graph, as_array(inputs));
        (loss, aux.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::Tensor;

    use super::*;

    #[test]
    fn buffers_follow_the_steps_and_a_run_that_fails_leaves_them() {
        let mut params: Params<f64> = Params::new(0);
        let weight = params.add("weight", Tensor::from([[1.0, 2.0], [3.0, 4.0]].concat()));
        let mean = params.add_buffer("mean", Tensor::scalar(0.0));
        let mut step = Step::new(|graph, [rows]| {
            // Two uses in one trace follow each other.
            for _ in 0..2 {
                graph.update(&mean, graph.updated(&mean) * 0.5 + rows.to_real().mean() * 0.5);
            }
            graph.param(&weight).index_select(0, rows).sum()
        });
        let inputs = Tensor::from([1, 3]);
        assert_eq!(step.run(&mut params, &inputs).expect("it runs").loss(), 6.0);
        assert_eq!(params.get(&mean).item(), 1.5);
        assert_eq!(step.at(&params, &inputs).expect("it runs").loss(), 6.0);
        assert_eq!(params.get(&mean).item(), 1.5);
        step.run(&mut params, &inputs).expect("it runs");
        assert_eq!(params.get(&mean).item(), 1.875);
        step.run(&mut params, &Tensor::from([1, 4])).expect_err("there is no row 4");
        assert_eq!(params.get(&mean).item(), 1.875);
        assert_eq!(params.get(&weight).data(), [1.0, 2.0, 3.0, 4.0]);
    }
}
