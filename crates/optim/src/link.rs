//! The unit that update rules are made of, and how the optimizer holds links of different types.

use gradus_graph::{Param, Real, Tensor};

use crate::block::Block;
use crate::survey::sum_of_squares;
use crate::whole::Whole;

/// A few numbers beside the tensors: what a link measures, or what it keeps.
pub type Numbers = [f64; 4];

/// What a link may know about the step that is being taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The number of this update of this parameter, counted from 1. It is counted for each parameter, so that bias
    /// corrections are right for one that was frozen at first.
    pub number: u64,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Whether the update has been multiplied by the learning rate: so it is for a link after a rule.
    pub scaled: bool,
    /// A number made of the parameter's name: what tells its random numbers from those of other parameters.
    pub stream: u64,
    /// What [`Link::measure`] found; zeros for a link that measures nothing.
    pub measured: Numbers,
    /// The link's own numbers as they stand: see [`Link::numbers`].
    pub numbers: Numbers,
}

/// What the sums of a measuring link run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Each parameter by itself.
    Tensor,
    /// All parameters of the step together.
    All,
}

/// One transformation of the update, written once for every precision.
///
/// The update of a parameter starts as its gradient and passes through the links of the chain block by block: a block
/// is a few hundred elements that stay in the nearest cache, so a chain costs one pass over memory however long it is.
/// What is left at the end is multiplied by the learning rate and subtracted from the parameter.
///
/// A link names the tensors of state that it keeps for each parameter. A link that needs to know something about whole
/// tensors before it can begin (a norm, say) declares what it [`measures`](Link::measures); what it then concludes, and
/// all else that it remembers outside the tensors, are its [`numbers`](Link::numbers). One that needs whole tensors at
/// once, as matrices say, is a [`TensorLink`].
///
/// # Example
/// ```
/// use gradus_graph::{Params, Real, Tensor};
/// use gradus_optim::{Block, LearningRate, Link, Optimizer, Step};
///
/// /// Replaces the update by the sign of its running mean.
/// #[derive(Clone)]
/// struct SignOfMean {
///     decay: f64,
/// }
///
/// impl Link for SignOfMean {
///     fn state(&self) -> &[&'static str] {
///         &["mean"]
///     }
///
///     fn at<T: Real>(&self, _step: &Step) -> impl Fn(&mut Block<'_, T>) + Sync {
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
/// gradus_optim::battery::check((SignOfMean { decay: 0.9 }, LearningRate::new(1e-3)));
/// ```
pub trait Link: Send + Sync + 'static {
    /// The names of the tensors that the link keeps for each parameter, each of the parameter's shape.
    fn state(&self) -> &[&'static str] {
        &[]
    }

    /// The first value of the tensor of that number in [`state`](Link::state); zeros unless stated.
    fn initial<T: Real>(&self, _slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        Tensor::zeros(parameter.shape())
    }

    /// The names of the numbers that the link keeps, four at most: for each parameter, or for all together if it
    /// measures over all.
    fn numbers(&self) -> &[&'static str] {
        &[]
    }

    /// The first value of the number of that place in [`numbers`](Link::numbers); zero unless stated.
    fn initial_number(&self, _place: usize) -> f64 {
        0.0
    }

    /// Whether the link does anything to this parameter.
    fn applies_to(&self, _param: &Param) -> bool {
        true
    }

    /// Whether, and over what, [`measure`](Link::measure) is summed before the link runs. A link that measures and is
    /// not the first of its chain costs a second pass over memory.
    fn measures(&self) -> Option<Over> {
        None
    }

    /// What one block adds to the sums that the link finds in [`Step::measured`]; unless stated, the sum of squares of
    /// the update as it arrives at the link. `state` are the link's own tensors, as the last step left them. The order
    /// of the additions does not depend on the number of threads.
    fn measure<T: Real>(&self, _step: &Step, _parameter: &[T], update: &[T], _state: &[&[T]]) -> Numbers {
        [sum_of_squares(update), 0.0, 0.0, 0.0]
    }

    /// What two parts of the tensors measured, taken together: the sums of both unless stated.
    fn join(&self, a: Numbers, b: Numbers) -> Numbers {
        std::array::from_fn(|i| a[i] + b[i])
    }

    /// Brings the link's numbers up to this step, once it is known what was measured and before the link runs. Numbers
    /// that belong to all parameters are brought up once a step, the others with each parameter.
    fn settle(&self, _step: &Step, _numbers: &mut Numbers) {}

    /// Takes notice that a gradient was not finite; `true` if the step is then to be skipped whatever
    /// [`NonFinite`](crate::NonFinite) says. The numbers are those of a link that measures over all.
    fn refused(&self, _numbers: &mut Numbers) -> bool {
        false
    }

    /// The transformation of a block at this step. Numbers that depend on the step are computed here, once a
    /// parameter; the closure runs once a block.
    fn at<T: Real>(&self, step: &Step) -> impl Fn(&mut Block<'_, T>) + Sync;

    /// Takes notice of what was observed beside the gradient ([`Optimizer::observe`](crate::Optimizer::observe)): an
    /// estimate of the curvature, say.
    fn observe<T: Real>(&self, _observed: &[T], _state: &mut [Tensor<T>]) {}

    /// Where the parameter is best evaluated, if that is not where it is trained: at an average of its past values,
    /// say, which the state holds.
    fn averaged<T: Real>(&self, _step: &Step, _parameter: &Tensor<T>, _state: &[Tensor<T>]) -> Option<Tensor<T>> {
        None
    }

    /// Whether the link is a [`TensorLink`].
    #[doc(hidden)]
    fn sees_whole(&self) -> bool {
        false
    }

    /// What a [`TensorLink`] does, in place of [`at`](Link::at).
    #[doc(hidden)]
    fn transform_whole<T: Real>(&self, _step: &Step, _tensor: Whole<'_, T>) {}
}

/// A transformation of the update that needs a whole tensor at once: a matrix to multiply, say.
///
/// It is a [`Link`] with state of any shape. The chain is cut into passes over memory before and after it.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Real, Tensor};
/// use gradus_optim::{LearningRate, Optimizer, Step, TensorLink, Whole};
///
/// /// Subtracts from each row of a matrix its mean.
/// #[derive(Clone)]
/// struct CentreRows;
///
/// impl TensorLink for CentreRows {
///     fn transform<T: Real>(&self, _step: &Step, tensor: Whole<'_, T>) {
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
pub trait TensorLink: Send + Sync + 'static {
    /// The names of the tensors that the link keeps for each parameter.
    fn state(&self) -> &[&'static str] {
        &[]
    }

    /// The first value, and the shape, of the tensor of that number in [`state`](TensorLink::state); zeros of the
    /// parameter's shape unless stated.
    fn initial<T: Real>(&self, _slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        Tensor::zeros(parameter.shape())
    }

    /// Whether the link does anything to this parameter.
    fn applies_to(&self, _param: &Param) -> bool {
        true
    }

    /// Transforms the update of one tensor at this step. The result may not depend on the number of threads.
    fn transform<T: Real>(&self, step: &Step, tensor: Whole<'_, T>);
}

impl<L: TensorLink> Link for L {
    fn state(&self) -> &[&'static str] {
        TensorLink::state(self)
    }

    fn initial<T: Real>(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        TensorLink::initial(self, slot, parameter)
    }

    fn applies_to(&self, param: &Param) -> bool {
        TensorLink::applies_to(self, param)
    }

    fn at<T: Real>(&self, _step: &Step) -> impl Fn(&mut Block<'_, T>) + Sync {
        |_| {}
    }

    fn sees_whole(&self) -> bool {
        true
    }

    fn transform_whole<T: Real>(&self, step: &Step, tensor: Whole<'_, T>) {
        self.transform(step, tensor);
    }
}

/// The change that a chain, or the first links of one, makes to a block.
pub(crate) type Change<'a, T> = &'a (dyn Fn(&mut Block<'_, T>) + Sync + 'a);

/// A link of any type, in one precision; the methods are [`Link`]'s.
pub(crate) trait AnyLink<T>: Send + Sync {
    fn state(&self) -> &[&'static str];
    fn initial(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T>;
    fn numbers(&self) -> &[&'static str];
    fn initial_number(&self, place: usize) -> f64;
    fn applies_to(&self, param: &Param) -> bool;
    fn measures(&self) -> Option<Over>;
    fn measure(&self, step: &Step, parameter: &[T], update: &[T], state: &[&[T]]) -> Numbers;
    fn join(&self, a: Numbers, b: Numbers) -> Numbers;
    fn settle(&self, step: &Step, numbers: &mut Numbers);
    fn refused(&self, numbers: &mut Numbers) -> bool;
    fn observe(&self, observed: &[T], state: &mut [Tensor<T>]);
    fn averaged(&self, step: &Step, parameter: &Tensor<T>, state: &[Tensor<T>]) -> Option<Tensor<T>>;
    fn sees_whole(&self) -> bool;
    fn transform_whole(&self, step: &Step, tensor: Whole<'_, T>);

    /// Hands on the change that makes `before` and then this link's own, whose state begins at slot `first`. The
    /// changes nest on the stack: preparing a chain allocates nothing.
    fn follow(&self, step: &Step, first: usize, before: Change<'_, T>, hand_on: &mut dyn FnMut(Change<'_, T>));
}

impl<T: Real, L: Link> AnyLink<T> for L {
    fn state(&self) -> &[&'static str] {
        Link::state(self)
    }

    fn initial(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T> {
        Link::initial(self, slot, parameter)
    }

    fn numbers(&self) -> &[&'static str] {
        Link::numbers(self)
    }

    fn initial_number(&self, place: usize) -> f64 {
        Link::initial_number(self, place)
    }

    fn applies_to(&self, param: &Param) -> bool {
        Link::applies_to(self, param)
    }

    fn measures(&self) -> Option<Over> {
        Link::measures(self)
    }

    fn measure(&self, step: &Step, parameter: &[T], update: &[T], state: &[&[T]]) -> Numbers {
        Link::measure(self, step, parameter, update, state)
    }

    fn join(&self, a: Numbers, b: Numbers) -> Numbers {
        Link::join(self, a, b)
    }

    fn settle(&self, step: &Step, numbers: &mut Numbers) {
        Link::settle(self, step, numbers);
    }

    fn refused(&self, numbers: &mut Numbers) -> bool {
        Link::refused(self, numbers)
    }

    fn observe(&self, observed: &[T], state: &mut [Tensor<T>]) {
        Link::observe(self, observed, state);
    }

    fn averaged(&self, step: &Step, parameter: &Tensor<T>, state: &[Tensor<T>]) -> Option<Tensor<T>> {
        Link::averaged(self, step, parameter, state)
    }

    fn sees_whole(&self) -> bool {
        Link::sees_whole(self)
    }

    fn transform_whole(&self, step: &Step, tensor: Whole<'_, T>) {
        Link::transform_whole(self, step, tensor);
    }

    fn follow(&self, step: &Step, first: usize, before: Change<'_, T>, hand_on: &mut dyn FnMut(Change<'_, T>)) {
        let own = self.at(step);
        hand_on(&|block| {
            before(block);
            block.enter(first);
            own(block);
        });
    }
}
