//! The unit that update rules are made of, and how the optimizer holds transforms of different types.

use gradus_graph::{Param, Real, Tensor};

use crate::block::Block;
use crate::reductions::sum_of_squares;
use crate::whole_tensor::WholeTensor;

/// A few numbers beside the tensors: what a transform measures, or what it keeps.
pub type Numbers = [f64; 4];

/// What a transform may know about the step that is being taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepInfo {
    /// The number of this update of this parameter, counted from 1. It is counted for each parameter, so that bias
    /// corrections are right for one that was frozen at first.
    pub number: u64,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Whether the update has been multiplied by the learning rate: so it is for a transform after a rule.
    pub scaled: bool,
    /// A number made of the parameter's name: what tells its random numbers from those of other parameters.
    pub stream: u64,
    /// What [`Transform::measure`] found; zeros for a transform that measures nothing.
    pub measured: Numbers,
    /// The transform's own numbers as they stand: see [`Transform::numbers`].
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

/// One transformation of the update, written once for every precision.
///
/// The update of a parameter starts as its gradient and passes through the transforms of the chain block by block: a block
/// is a few hundred elements that stay in the nearest cache, so a chain costs one pass over memory however long it is.
/// What is left at the end is multiplied by the learning rate and subtracted from the parameter.
///
/// A transform names the tensors of state that it keeps for each parameter. A transform that needs to know something about whole
/// tensors before it can begin (a norm, say) declares what it [`measures`](Transform::measures); what it then concludes, and
/// all else that it remembers outside the tensors, are its [`numbers`](Transform::numbers). One that needs whole tensors at
/// once, as matrices say, is a [`TensorTransform`].
///
/// # Example
/// ```
/// use gradus_graph::{Params, Real, Tensor};
/// use gradus_optim::{Block, LearningRate, Transform, Optimizer, StepInfo};
///
/// /// Replaces the update by the sign of its running mean.
/// #[derive(Clone)]
/// struct SignOfMean {
///     decay: f64,
/// }
///
/// impl Transform for SignOfMean {
///     fn state(&self) -> &[&'static str] {
///         &["mean"]
///     }
///
///     fn at<T: Real>(&self, _step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
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
    /// The names of the tensors that the transform keeps for each parameter, each of the parameter's shape.
    fn state(&self) -> &[&'static str] {
        &[]
    }

    /// The first value of the tensor of that number in [`state`](Transform::state); zeros unless stated.
    fn initial<T: Real>(&self, _slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        Tensor::zeros(parameter.shape())
    }

    /// The names of the numbers that the transform keeps, four at most: for each parameter, or for all together if it
    /// measures over all.
    fn numbers(&self) -> &[&'static str] {
        &[]
    }

    /// The first value of the number of that place in [`numbers`](Transform::numbers); zero unless stated.
    fn initial_number(&self, _index: usize) -> f64 {
        0.0
    }

    /// Whether the transform does anything to this parameter.
    fn applies_to(&self, _param: &Param) -> bool {
        true
    }

    /// Whether, and over what, [`measure`](Transform::measure) is summed before the transform runs. A transform that measures and is
    /// not the first of its chain costs a second pass over memory.
    fn measures(&self) -> Option<Over> {
        None
    }

    /// What one block adds to the sums that the transform finds in [`StepInfo::measured`]; unless stated, the sum of squares of
    /// the update as it arrives at the transform. `state` are the transform's own tensors, as the last step left them. The order
    /// of the additions does not depend on the number of threads.
    fn measure<T: Real>(&self, _step: &StepInfo, _parameter: &[T], update: &[T], _state: &[&[T]]) -> Numbers {
        [sum_of_squares(update), 0.0, 0.0, 0.0]
    }

    /// What two parts of the tensors measured, taken together: the sums of both unless stated.
    fn join(&self, a: Numbers, b: Numbers) -> Numbers {
        std::array::from_fn(|i| a[i] + b[i])
    }

    /// Brings the transform's numbers up to this step, once it is known what was measured and before the transform runs. Numbers
    /// that belong to all parameters are brought up once a step, the others with each parameter.
    fn settle(&self, _step: &StepInfo, _numbers: &mut Numbers) {}

    /// Takes notice that a gradient was not finite; `true` if the step is then to be skipped whatever
    /// [`NonFinite`](crate::NonFinite) says. The numbers are those of a transform that measures over all.
    fn refused(&self, _numbers: &mut Numbers) -> bool {
        false
    }

    /// The transformation of a block at this step. Numbers that depend on the step are computed here, once a
    /// parameter; the closure runs once a block.
    fn at<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync;

    /// Takes notice of what was observed beside the gradient ([`Optimizer::observe`](crate::Optimizer::observe)): an
    /// estimate of the curvature, say.
    fn observe<T: Real>(&self, _observed: &[T], _state: &mut [Tensor<T>]) {}

    /// Where the parameter is best evaluated, if that is not where it is trained: at an average of its past values,
    /// say, which the state holds.
    fn averaged<T: Real>(&self, _step: &StepInfo, _parameter: &Tensor<T>, _state: &[Tensor<T>]) -> Option<Tensor<T>> {
        None
    }

    /// Whether the transform is a [`TensorTransform`].
    #[doc(hidden)]
    fn is_tensor_transform(&self) -> bool {
        false
    }

    /// What a [`TensorTransform`] does, instead of [`at`](Transform::at).
    #[doc(hidden)]
    fn transform_tensor<T: Real>(&self, _step: &StepInfo, _tensor: WholeTensor<'_, T>) {}
}

/// A transformation of the update that needs a whole tensor at once: a matrix to multiply, say.
///
/// It is a [`Transform`] with state of any shape. The chain is cut into passes over memory before and after it.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Real, Tensor};
/// use gradus_optim::{LearningRate, Optimizer, StepInfo, TensorTransform, WholeTensor};
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
/// let mut rule = Optimizer::new((CentreRows, LearningRate::new(1.0)));
/// rule.step(&mut params, [(&x, &Tensor::from_rows([[1.0, 4.0]]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [1.5, -1.5]);
/// ```
pub trait TensorTransform: Send + Sync + 'static {
    /// The names of the tensors that the transform keeps for each parameter.
    fn state(&self) -> &[&'static str] {
        &[]
    }

    /// The first value, and the shape, of the tensor of that number in [`state`](TensorTransform::state); zeros of the
    /// parameter's shape unless stated.
    fn initial<T: Real>(&self, _slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        Tensor::zeros(parameter.shape())
    }

    /// Whether the transform does anything to this parameter.
    fn applies_to(&self, _param: &Param) -> bool {
        true
    }

    /// Transforms the update of one tensor at this step. The result may not depend on the number of threads.
    fn transform<T: Real>(&self, step: &StepInfo, tensor: WholeTensor<'_, T>);
}

impl<L: TensorTransform> Transform for L {
    fn state(&self) -> &[&'static str] {
        TensorTransform::state(self)
    }

    fn initial<T: Real>(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        TensorTransform::initial(self, slot, parameter)
    }

    fn applies_to(&self, param: &Param) -> bool {
        TensorTransform::applies_to(self, param)
    }

    fn at<T: Real>(&self, _step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        |_| {}
    }

    fn is_tensor_transform(&self) -> bool {
        true
    }

    fn transform_tensor<T: Real>(&self, step: &StepInfo, tensor: WholeTensor<'_, T>) {
        self.transform(step, tensor);
    }
}

/// The change that a chain, or the first transforms of one, makes to a block.
pub(crate) type Change<'a, T> = &'a (dyn Fn(&mut Block<'_, T>) + Sync + 'a);

/// A transform of any type, in one precision; the methods are [`Transform`]'s.
pub(crate) trait AnyTransform<T>: Send + Sync {
    fn state(&self) -> &[&'static str];
    fn initial(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T>;
    fn numbers(&self) -> &[&'static str];
    fn initial_number(&self, index: usize) -> f64;
    fn applies_to(&self, param: &Param) -> bool;
    fn measures(&self) -> Option<Over>;
    fn measure(&self, step: &StepInfo, parameter: &[T], update: &[T], state: &[&[T]]) -> Numbers;
    fn join(&self, a: Numbers, b: Numbers) -> Numbers;
    fn settle(&self, step: &StepInfo, numbers: &mut Numbers);
    fn refused(&self, numbers: &mut Numbers) -> bool;
    fn observe(&self, observed: &[T], state: &mut [Tensor<T>]);
    fn averaged(&self, step: &StepInfo, parameter: &Tensor<T>, state: &[Tensor<T>]) -> Option<Tensor<T>>;
    fn is_tensor_transform(&self) -> bool;
    fn transform_tensor(&self, step: &StepInfo, tensor: WholeTensor<'_, T>);

    /// Hands on the change that makes `before` and then this transform's own, whose state begins at slot `first`. The
    /// changes nest on the stack: preparing a chain allocates nothing.
    fn compose_after(&self, step: &StepInfo, first: usize, before: Change<'_, T>, then: &mut dyn FnMut(Change<'_, T>));
}

impl<T: Real, L: Transform> AnyTransform<T> for L {
    fn state(&self) -> &[&'static str] {
        Transform::state(self)
    }

    fn initial(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        Transform::initial(self, slot, parameter)
    }

    fn numbers(&self) -> &[&'static str] {
        Transform::numbers(self)
    }

    fn initial_number(&self, index: usize) -> f64 {
        Transform::initial_number(self, index)
    }

    fn applies_to(&self, param: &Param) -> bool {
        Transform::applies_to(self, param)
    }

    fn measures(&self) -> Option<Over> {
        Transform::measures(self)
    }

    fn measure(&self, step: &StepInfo, parameter: &[T], update: &[T], state: &[&[T]]) -> Numbers {
        Transform::measure(self, step, parameter, update, state)
    }

    fn join(&self, a: Numbers, b: Numbers) -> Numbers {
        Transform::join(self, a, b)
    }

    fn settle(&self, step: &StepInfo, numbers: &mut Numbers) {
        Transform::settle(self, step, numbers);
    }

    fn refused(&self, numbers: &mut Numbers) -> bool {
        Transform::refused(self, numbers)
    }

    fn observe(&self, observed: &[T], state: &mut [Tensor<T>]) {
        Transform::observe(self, observed, state);
    }

    fn averaged(&self, step: &StepInfo, parameter: &Tensor<T>, state: &[Tensor<T>]) -> Option<Tensor<T>> {
        Transform::averaged(self, step, parameter, state)
    }

    fn is_tensor_transform(&self) -> bool {
        Transform::is_tensor_transform(self)
    }

    fn transform_tensor(&self, step: &StepInfo, tensor: WholeTensor<'_, T>) {
        Transform::transform_tensor(self, step, tensor);
    }

    fn compose_after(&self, step: &StepInfo, first: usize, before: Change<'_, T>, then: &mut dyn FnMut(Change<'_, T>)) {
        let own = self.at(step);
        then(&|block| {
            before(block);
            block.enter(first);
            own(block);
        });
    }
}
