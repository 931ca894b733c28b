//! The unit that update rules are made of.

use gradus_graph::{Real, Tensor};

use crate::block::Block;
use crate::norm::{Norm, Sum};
use crate::state_tensor::StateTensor;
use crate::whole_tensor::WholeTensor;

/// The numbers of a transform, beside its tensors.
pub type Numbers = [f64; 4];

/// The sums that a transform measures before it runs.
pub type Sums = [Sum; 4];

/// The step being taken, for one transform and one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepInfo {
    /// The number of this update of this parameter, counted from 1. It is counted for each parameter, so that bias
    /// corrections are right for one that was frozen at first.
    pub number: u64,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Whether the update has been multiplied by the learning rate, as for a transform after a rule.
    pub scaled: bool,
    /// A hash of the parameter's name: the stream of its random numbers.
    pub stream: u64,
    /// The result of [`Transform::measure`]; zeros for a transform that measures nothing.
    pub measured: Sums,
    /// The current [`numbers`](Transform::numbers) of the transform.
    pub numbers: Numbers,
}

/// What the sums of a measuring transform run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Each parameter by itself.
    Tensor,
    /// All parameters of the step together.
    All,
}

/// An elementwise or blockwise transform of the update, written once for every precision.
///
/// The update of a parameter starts as its gradient and passes through the transforms of the chain block by block: a
/// block is a few hundred elements that stay in the L1 cache, so a chain costs one pass over memory, whatever its
/// length. The result is multiplied by the learning rate and subtracted from the parameter.
///
/// Only [`prepare`](Self::prepare) is required. A transform with [`state`](Self::state) keeps tensors for each
/// parameter. One that needs sums over whole tensors before it runs, such as a norm, [`measures`](Self::measures) them;
/// what it derives from them, and other scalars that it keeps, are its [`numbers`](Self::numbers). A transform that
/// needs whole tensors at once, such as a matrix, is a [`TensorTransform`].
///
/// # Example
/// ```
/// use gradus_graph::{Params, Real, Tensor};
/// use gradus_optim::{Block, LearningRate, Optimizer, StateTensor, StepInfo, Transform};
///
/// /// Replaces the update by the sign of its running mean.
/// #[derive(Clone)]
/// struct SignOfMean {
///     decay: f64,
/// }
///
/// impl Transform for SignOfMean {
///     fn state(&self) -> Vec<StateTensor> {
///         vec![StateTensor::zeros("mean")]
///     }
///
///     fn prepare<T: Real>(&self, _step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
///         let (keep, take) = (T::of(self.decay), T::of(1.0 - self.decay));
///         move |block| {
///             block.each(|_parameter, update, [mean]| {
///                 *mean = keep * *mean + take * update;
///                 mean.signum()
///             })
///         }
///     }
/// }
///
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, 1.0]));
/// let mut rule = Optimizer::new((SignOfMean { decay: 0.9 }, LearningRate::new(0.25)));
/// rule.step(&mut params, [(&x, &Tensor::from([8.0, -0.5]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.75, 1.25]);
/// gradus_optim::testing::assert_rule((SignOfMean { decay: 0.9 }, LearningRate::new(1e-3)));
/// ```
pub trait Transform: Send + Sync + 'static {
    /// The tensors that the transform keeps for each parameter; none by default.
    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    /// The names and first values of the numbers that the transform keeps, at most four: for each parameter, or for all
    /// together if it measures over all. None by default.
    fn numbers(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// What [`measure`](Self::measure) is summed over before the transform runs; by default it is not called. A
    /// transform that measures and is not the first of its chain costs a second pass over memory.
    fn measures(&self) -> Option<Over> {
        None
    }

    /// Whether an element whose update is 0 keeps it, and its state, whatever the parameter is; and a block of such
    /// elements adds 0 to what is measured. False by default.
    ///
    /// If it holds for all transforms of a chain, a gradient that comes as rows ([`Gradient`](crate::Gradient)) moves
    /// these rows alone, with the result of all elements; the chain may measure only at its beginning.
    fn keeps_zeros(&self) -> bool {
        false
    }

    /// Whether a gradient that comes as rows moves these rows and their state alone, as if
    /// [`keeps_zeros`](Self::keeps_zeros) held, although other elements would move if it came as a tensor: an option of
    /// a rule that says so. False by default.
    fn is_lazy(&self) -> bool {
        false
    }

    /// The contribution of one block to [`StepInfo::measured`]; by default the sum of squares of the update as it
    /// arrives at the transform. `state` are the transform's own tensors, as the last step left them. The order of the
    /// additions does not depend on the number of threads.
    fn measure<T: Real>(&self, _step: &StepInfo, _parameter: &[T], update: &[T], _state: &[&[T]]) -> Sums {
        [Norm::Two.sum(update), Sum::default(), Sum::default(), Sum::default()]
    }

    /// Updates the numbers for this step, after measuring and before the transform runs: once a step for numbers of all
    /// parameters together, else once for each parameter.
    fn update_numbers(&self, _step: &StepInfo, _numbers: &mut Numbers) {}

    /// The function of a block at this step. Numbers that depend on the step are computed here, once for each
    /// parameter; the closure runs once for each block.
    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync;

    /// The value to evaluate the model at, if it is not the parameter in training: an average of past values, for
    /// example, which the state holds. [`Optimizer::averaged`](crate::Optimizer::averaged) collects them.
    fn averaged<T: Real>(&self, _step: &StepInfo, _parameter: &Tensor<T>, _state: &[Tensor<T>]) -> Option<Tensor<T>> {
        None
    }
}

/// A transform of the update that needs a whole tensor at once, such as a product of matrices; its state has any shape.
///
/// It is a part of a chain inside [`Tensorwise`](crate::Tensorwise). The chain is split into passes over memory before
/// and after it.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Real, Tensor};
/// use gradus_optim::{LearningRate, Optimizer, StepInfo, TensorTransform, Tensorwise, WholeTensor};
///
/// /// Subtracts from each row of a matrix its mean.
/// #[derive(Clone)]
/// struct CentreRows;
///
/// impl TensorTransform for CentreRows {
///     fn transform<T: Real>(&self, _step: &StepInfo, tensor: WholeTensor<'_, T>) {
///         let &[_, columns] = tensor.shape.sizes() else { return };
///         for row in tensor.update.chunks_mut(columns) {
///             let mean = row.iter().fold(T::zero(), |sum, &x| sum + x) / T::of(columns as f64);
///             row.iter_mut().for_each(|x| *x -= mean);
///         }
///     }
/// }
///
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from_rows([[0.0, 0.0]]));
/// let mut rule = Optimizer::new((Tensorwise(CentreRows), LearningRate::new(1.0)));
/// rule.step(&mut params, [(&x, &Tensor::from_rows([[1.0, 4.0]]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [1.5, -1.5]);
/// ```
pub trait TensorTransform: Send + Sync + 'static {
    /// The names of the tensors that the transform keeps for each parameter; none by default.
    fn state(&self) -> &[&'static str] {
        &[]
    }

    /// The first value, and so the shape, of the tensor of index `slot` in [`state`](Self::state); by default zeros of
    /// the parameter's shape.
    fn initial<T: Real>(&self, _slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        Tensor::zeros(parameter.shape())
    }

    /// Transforms the update of one tensor at this step. The result must not depend on the number of threads.
    fn transform<T: Real>(&self, step: &StepInfo, tensor: WholeTensor<'_, T>);
}

/// The change that a chain, or the first transforms of one, makes to a block.
pub(crate) type Change<'a, T> = &'a (dyn Fn(&mut Block<'_, T>) + Sync + 'a);

/// A [`Transform`] of any type, in one precision.
pub(crate) trait AnyTransform<T>: Send + Sync {
    fn measures(&self) -> Option<Over>;
    /// Whether a gradient of rows moves these rows alone.
    fn takes_rows(&self) -> bool;
    fn measure(&self, step: &StepInfo, parameter: &[T], update: &[T], state: &[&[T]]) -> Sums;
    fn update_numbers(&self, step: &StepInfo, numbers: &mut Numbers);
    fn averaged(&self, step: &StepInfo, parameter: &Tensor<T>, state: &[Tensor<T>]) -> Option<Tensor<T>>;

    /// Calls `then` with the change that makes `before` and then this transform's own, whose state begins at slot
    /// `first`. The changes nest on the stack, so preparing a chain allocates nothing.
    fn compose_after(&self, step: &StepInfo, first: usize, before: Change<'_, T>, then: &mut dyn FnMut(Change<'_, T>));
}

impl<T: Real, L: Transform> AnyTransform<T> for L {
    fn measures(&self) -> Option<Over> {
        Transform::measures(self)
    }

    fn takes_rows(&self) -> bool {
        self.keeps_zeros() || self.is_lazy()
    }

    fn measure(&self, step: &StepInfo, parameter: &[T], update: &[T], state: &[&[T]]) -> Sums {
        Transform::measure(self, step, parameter, update, state)
    }

    fn update_numbers(&self, step: &StepInfo, numbers: &mut Numbers) {
        Transform::update_numbers(self, step, numbers);
    }

    fn averaged(&self, step: &StepInfo, parameter: &Tensor<T>, state: &[Tensor<T>]) -> Option<Tensor<T>> {
        Transform::averaged(self, step, parameter, state)
    }

    fn compose_after(&self, step: &StepInfo, first: usize, before: Change<'_, T>, then: &mut dyn FnMut(Change<'_, T>)) {
        let own = self.prepare(step);
        then(&|block| {
            before(block);
            block.enter(first);
            own(block);
        });
    }
}

/// A [`TensorTransform`] of any type, in one precision.
pub(crate) trait AnyTensorTransform<T>: Send + Sync {
    fn initial(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T>;
    fn transform(&self, step: &StepInfo, tensor: WholeTensor<'_, T>);
}

impl<T: Real, L: TensorTransform> AnyTensorTransform<T> for L {
    fn initial(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        TensorTransform::initial(self, slot, parameter)
    }

    fn transform(&self, step: &StepInfo, tensor: WholeTensor<'_, T>) {
        TensorTransform::transform(self, step, tensor);
    }
}
