//! The unit that update rules are made of, and how the optimizer holds links of different types.

use gradus_graph::{Param, Real, Tensor};

use crate::block::Block;

/// What a link may know about the step that is being taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The number of this update of this parameter, counted from 1. It is counted for each parameter, so that bias
    /// corrections are right for one that was frozen at first.
    pub number: u64,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// What [`Link::measure`] found; zeros for a link that measures nothing.
    pub measured: [f64; 2],
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
/// tensors before it can begin (a norm, say) declares what it [`measures`](Link::measures).
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
    /// the update as it arrives at the link. The order of the additions does not depend on the number of threads.
    fn measure<T: Real>(&self, _parameter: &[T], update: &[T]) -> [f64; 2] {
        [crate::survey::sum_of_squares(update), 0.0]
    }

    /// The transformation of a block at this step. Numbers that depend on the step are computed here, once a
    /// parameter; the closure runs once a block.
    fn at<T: Real>(&self, step: &Step) -> impl Fn(&mut Block<'_, T>) + Sync;
}

/// The change that a chain, or the first links of one, makes to a block.
pub(crate) type Change<'a, T> = &'a (dyn Fn(&mut Block<'_, T>) + Sync + 'a);

/// A link of any type, in one precision.
pub(crate) trait AnyLink<T>: Send + Sync {
    fn state(&self) -> &[&'static str];
    fn initial(&self, slot: usize, parameter: &Tensor<T>) -> Tensor<T>;
    fn applies_to(&self, param: &Param) -> bool;
    fn measures(&self) -> Option<Over>;
    fn measure(&self, parameter: &[T], update: &[T]) -> [f64; 2];

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

    fn applies_to(&self, param: &Param) -> bool {
        Link::applies_to(self, param)
    }

    fn measures(&self) -> Option<Over> {
        Link::measures(self)
    }

    fn measure(&self, parameter: &[T], update: &[T]) -> [f64; 2] {
        Link::measure(self, parameter, update)
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
