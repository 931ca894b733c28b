//! The outputs of a run of a step: the loss, its gradients, and auxiliary values.

use std::iter::{Map, Zip};
use std::slice::Iter;
use std::sync::Arc;

use gradus_graph::{AnyTensor, Param, Real, Tensor};

/// The order of the outputs of a run: the loss, then the derivatives with respect to parameters, those with respect to
/// inputs, the auxiliary values and the new values of buffers.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) wrt: Arc<[Param]>,
    pub(crate) wrt_inputs: Vec<usize>,
    pub(crate) buffers: Vec<Param>,
}

/// A loss, its gradients in the order of the parameters in their store, and its auxiliary values.
///
/// A reference is an iterator over the gradients, as an optimizer takes them: `optimizer.step(&mut params, &gradients)`.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, Sgd};
/// use gradus_train::Step;
/// let mut params: Params = Params::new(0);
/// let w = params.add("w", Tensor::from([1.0, 2.0]));
/// let mut step = Step::new(|graph, []| graph.param(&w).square().sum());
/// let mut sgd = Optimizer::new(Sgd::new(0.25));
/// let gradients = step.run(&mut params, ())?;
/// assert_eq!(gradients.loss(), 5.0);
/// sgd.step(&mut params, &gradients)?;
/// assert_eq!(params.get(&w).data(), [0.5, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gradients<'a, T, const M: usize = 0> {
    layout: &'a Layout,
    outputs: &'a [AnyTensor<T>],
}

/// The gradients one after another; see [`Gradients`].
type Pairs<'a, T> =
    Map<Zip<Iter<'a, Param>, Iter<'a, AnyTensor<T>>>, fn(Pair<'a, AnyTensor<T>>) -> Pair<'a, Tensor<T>>>;
type Pair<'a, V> = (&'a Param, &'a V);

fn pairs<'a, T: Real>(params: &'a [Param], values: &'a [AnyTensor<T>]) -> Pairs<'a, T> {
    let real: fn(Pair<'a, AnyTensor<T>>) -> Pair<'a, Tensor<T>> = |(param, value)| (param, value.real());
    params.iter().zip(values).map(real)
}

impl<'a, T: Real, const M: usize> Gradients<'a, T, M> {
    pub(crate) fn new(layout: &'a Layout, outputs: &'a [AnyTensor<T>]) -> Self {
        Self { layout, outputs }
    }

    /// The value of the loss.
    pub fn loss(&self) -> T {
        self.outputs[0].real().item()
    }

    /// The parameters with their gradients.
    pub fn iter(&self) -> impl Iterator<Item = (&'a Param, &'a Tensor<T>)> + Clone + Send + use<'a, T, M> {
        self.into_iter()
    }

    /// The gradient with respect to an input.
    ///
    /// # Panics
    /// If it was not asked for by [`Step::wrt_inputs`](crate::Step::wrt_inputs).
    #[track_caller]
    pub fn input(&self, number: usize) -> &'a Tensor<T> {
        match self.layout.wrt_inputs.iter().position(|&input| input == number) {
            Some(position) => self.outputs[1 + self.layout.wrt.len() + position].real(),
            None => panic!("there is no gradient of input {number}: ask for it with `Step::wrt_inputs`"),
        }
    }

    /// The auxiliary values of a step made by [`Step::with_aux`](crate::Step::with_aux).
    pub fn aux(&self) -> [&'a AnyTensor<T>; M] {
        let first = self.before_aux();
        std::array::from_fn(|number| &self.outputs[first + number])
    }

    /// The loss and the gradients alone.
    pub(crate) fn without_aux(&self) -> Gradients<'a, T> {
        Gradients { layout: self.layout, outputs: &self.outputs[..self.before_aux()] }
    }

    /// The buffers that the trace updates, with their new values.
    pub(crate) fn updates(&self) -> Pairs<'a, T> {
        pairs(&self.layout.buffers, &self.outputs[self.before_aux() + M..])
    }

    fn before_aux(&self) -> usize {
        1 + self.layout.wrt.len() + self.layout.wrt_inputs.len()
    }
}

impl<'a, T: Real, const M: usize> IntoIterator for &Gradients<'a, T, M> {
    type Item = (&'a Param, &'a Tensor<T>);
    type IntoIter = Pairs<'a, T>;

    fn into_iter(self) -> Pairs<'a, T> {
        pairs(&self.layout.wrt, &self.outputs[1..])
    }
}
