//! What an update is made of, in order: transforms and rules, joined by tuples.

use std::ops::Range;
use std::sync::Arc;

use gradus_graph::{Param, Params, Real, Tensor};

use crate::error::StepError;
use crate::schedule::{Rate, RateSchedule};
use crate::state_tensor::StateTensor;
use crate::transform::{AnyTensorTransform, AnyTransform, Numbers, Over, TensorTransform, Transform};
use crate::transforms::ScaleByRate;

/// A part of an update: a [`Transform`], a rule (transforms and a learning rate), or a tuple of parts in order.
///
/// The parts of a tuple act from left to right: clip, then decay, then Adam.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Real, Tensor};
/// use gradus_optim::{Adam, Chain, ClipGlobalNorm, DecayWeights, Momentum, Optimizer, Part};
/// let _optimizer = Optimizer::<f32>::new((ClipGlobalNorm::new(1.0), DecayWeights::new(1e-2), Adam::new(1e-3)));
///
/// /// A user's rule: gradient descent with a heavy ball.
/// struct HeavyBall(f64);
/// impl Part for HeavyBall {
///     fn add_to<T: Real>(self, chain: &mut Chain<T>) {
///         chain.then(Momentum::new(0.9)).learning_rate(self.0);
///     }
/// }
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(HeavyBall(0.5));
/// rule.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [0.5]);
/// ```
pub trait Part {
    /// Adds the transforms, and for a rule the learning rate, to the end of the chain.
    fn add_to<T: Real>(self, chain: &mut Chain<T>);
}

impl<L: Transform> Part for L {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        let (state, numbers) = (self.state(), self.numbers());
        let names = state.iter().map(|tensor| tensor.name).collect();
        chain.push(Kernel::Block { transform: Box::new(self), state }, names, numbers);
    }
}

/// A [`TensorTransform`] as a part of an update.
#[derive(Clone, Debug)]
pub struct Tensorwise<L>(pub L);

impl<L: TensorTransform> Part for Tensorwise<L> {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        let names = self.0.state().to_vec();
        chain.push(Kernel::Tensor(Box::new(self.0)), names, Vec::new());
    }
}

macro_rules! tuples {
    ($($part:ident)*) => {
        impl<$($part: Part),*> Part for ($($part,)*) {
            #[allow(non_snake_case)] // Each value has the name of its type.
            fn add_to<T: Real>(self, chain: &mut Chain<T>) {
                let ($($part,)*) = self;
                $($part.add_to(chain);)*
            }
        }
    };
}

tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);

/// Which parameters a transform is for.
type Mask = Arc<dyn Fn(&Param) -> bool + Send + Sync>;

/// What an entry of a chain runs.
pub(crate) enum Kernel<T> {
    Block { transform: Box<dyn AnyTransform<T>>, state: Vec<StateTensor> },
    Tensor(Box<dyn AnyTensorTransform<T>>),
}

/// The answer of an entry to a gradient that is not finite: it updates the numbers, and the step is skipped.
type OnNonFinite = Box<dyn Fn(&mut Numbers) + Send + Sync>;

/// An entry of a chain.
pub(crate) struct Entry<T> {
    kernel: Kernel<T>,
    pub(crate) on_non_finite: Option<OnNonFinite>,
    masks: Vec<Mask>,
    /// The group of parameters that the transform was added for, if for one.
    group: Option<usize>,
    /// Whether the update arrives multiplied by the learning rate.
    pub(crate) scaled: bool,
    /// The names of the transform's tensors of state and of its numbers; no name occurs twice in a chain.
    pub(crate) tensors: Vec<String>,
    pub(crate) numbers: Vec<String>,
    /// The numbers before the first step.
    pub(crate) initial_numbers: Numbers,
}

impl<T> Entry<T> {
    /// Whether the entry is for this parameter.
    pub(crate) fn applies_to(&self, param: &Param) -> bool {
        self.masks.iter().all(|mask| mask(param))
    }

    /// The transform, if it is one of blocks.
    pub(crate) fn block(&self) -> Option<&dyn AnyTransform<T>> {
        match &self.kernel {
            Kernel::Block { transform, .. } => Some(&**transform),
            Kernel::Tensor(_) => None,
        }
    }

    /// The transform, if it is one of whole tensors.
    pub(crate) fn tensor(&self) -> Option<&dyn AnyTensorTransform<T>> {
        match &self.kernel {
            Kernel::Block { .. } => None,
            Kernel::Tensor(transform) => Some(&**transform),
        }
    }

    /// What the transform measures over, if it measures.
    pub(crate) fn measures(&self) -> Option<Over> {
        self.block().and_then(AnyTransform::measures)
    }

    /// Whether the transform measures over all parameters together, and so keeps its numbers for all.
    pub(crate) fn is_joint(&self) -> bool {
        self.measures() == Some(Over::All)
    }

    /// Whether a pass over memory begins with the transform.
    fn begins_pass(&self) -> bool {
        self.measures().is_some() || self.tensor().is_some()
    }
}

impl<T: Real> Entry<T> {
    /// The tensors of state before the first step of a parameter.
    pub(crate) fn initial_state(&self, parameter: &Tensor<T>) -> Vec<Tensor<T>> {
        match &self.kernel {
            Kernel::Block { state, .. } => state.iter().map(|tensor| tensor.initial(parameter)).collect(),
            Kernel::Tensor(transform) => {
                (0..self.tensors.len()).map(|slot| transform.initial(slot, parameter)).collect()
            }
        }
    }

    /// Updates the running means of what is observed.
    pub(crate) fn observe(&self, observed: &[T], slots: &mut [Tensor<T>]) {
        let Kernel::Block { state, .. } = &self.kernel else { return };
        for (tensor, slot) in state.iter().zip(slots) {
            let Some(decay) = tensor.observed else { continue };
            let (keep, take) = (T::of(decay), T::of(1.0 - decay));
            for (mean, &observed) in slot.data_mut().iter_mut().zip(observed) {
                *mean = keep * *mean + take * observed;
            }
        }
    }
}

/// A learning rate of a chain.
struct RateEntry {
    rate: Rate,
    masks: Vec<Mask>,
    group: Option<usize>,
    /// Whether the rate is applied by a transform: one that follows it, or one whose formula contains it.
    scaled: bool,
}

/// The transforms of an update in order, with its learning rate, or that of each group. Built by [`Part::add_to`].
pub struct Chain<T> {
    pub(crate) transforms: Vec<Entry<T>>,
    rates: Vec<RateEntry>,
    /// Factors of the learning rate of some parameters.
    factors: Vec<(Mask, f64)>,
    /// What restricts the part that is being added.
    masks: Vec<Mask>,
    groups: Vec<Mask>,
    /// The group that is being added.
    group: Option<usize>,
}

impl<T: Real> Chain<T> {
    /// The chain that the part describes.
    ///
    /// # Panics
    /// If the part states no learning rate, or more than one.
    #[track_caller]
    pub(crate) fn of(part: impl Part) -> Self {
        let (transforms, rates, factors, masks, groups) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut chain = Self { transforms, rates, factors, masks, groups, group: None };
        part.add_to(&mut chain);
        assert!(
            !chain.rates.is_empty(),
            "an update without a learning rate: end it with a rule or with `LearningRate`"
        );
        chain
    }

    /// Adds a part to the end. A transform after the learning rate acts on the update that is subtracted from the
    /// parameter.
    pub fn then(&mut self, part: impl Part) -> &mut Self {
        part.add_to(self);
        self
    }

    /// Scales the update at this position by the learning rate.
    ///
    /// # Panics
    /// If the chain, or the group that is being added, has a learning rate.
    #[track_caller]
    pub fn learning_rate(&mut self, schedule: impl RateSchedule) -> &mut Self {
        let taken = self.rates.iter().any(|rate_entry| self.group.is_none() || rate_entry.group == self.group);
        assert!(!taken, "an update has one learning rate: it cannot hold two rules");
        let (rate, masks) = (Rate::new(schedule), self.masks.clone());
        self.rates.push(RateEntry { rate, masks, group: self.group, scaled: false });
        self
    }

    /// States a learning rate that the transforms apply themselves, since it is inside their formulas.
    ///
    /// # Panics
    /// If the chain has a learning rate.
    #[track_caller]
    pub fn learning_rate_inside(&mut self, schedule: impl RateSchedule) -> &mut Self {
        self.learning_rate(schedule);
        self.rates.last_mut().expect("a rate was just added").scaled = true;
        self
    }

    /// Adds a part whose transforms act on the parameters that satisfy the predicate; the others pass it by.
    ///
    /// # Panics
    /// If the part holds a learning rate: that is for all parameters.
    #[track_caller]
    pub fn only(&mut self, matches: impl Fn(&Param) -> bool + Send + Sync + 'static, part: impl Part) -> &mut Self {
        let rates = self.rates.len();
        self.masks.push(Arc::new(matches));
        part.add_to(self);
        self.masks.pop();
        assert!(self.rates.len() == rates, "a mask holds transforms; a rule for some parameters is a `Group`");
        self
    }

    /// Panics if no rule precedes a part that acts on its steps.
    #[track_caller]
    pub(crate) fn expect_rate(&self, what: &str) {
        assert!(!self.rates.is_empty(), "{what} follows the rule whose steps it acts on");
    }

    /// Adds a rule for the parameters whose dotted name satisfies the predicate, or without one for those of no other
    /// group so far.
    #[track_caller]
    pub(crate) fn group(&mut self, matches: Option<crate::transforms::Matches>, rule: impl Part) {
        let alone = self.group.is_none()
            && self.masks.is_empty()
            && self.rates.iter().all(|rate_entry| rate_entry.group.is_some());
        assert!(alone, "a group is inside no mask and no other group, and no rule for all parameters precedes it");
        let mask: Mask = match matches {
            Some(matches) => Arc::new(move |param| matches(param.name())),
            None => {
                let others = self.groups.clone();
                Arc::new(move |param| !others.iter().any(|mask| mask(param)))
            }
        };
        let number = self.groups.len();
        self.groups.push(Arc::clone(&mask));
        self.group = Some(number);
        self.masks.push(mask);
        rule.add_to(self);
        self.masks.pop();
        self.group = None;
        let has_rate = self.rates.last().is_some_and(|rate_entry| rate_entry.group == Some(number));
        assert!(has_rate, "a group without a learning rate: end it with a rule or with `LearningRate`");
    }

    /// Multiplies the learning rate of the parameters whose dotted name satisfies the predicate.
    pub(crate) fn rate_factor(&mut self, matches: crate::transforms::Matches, factor: f64) {
        self.factors.push((Arc::new(move |param| matches(param.name())), factor));
    }

    /// The index of the learning rate of a parameter, and the factor of it.
    ///
    /// # Errors
    /// If the parameter does not belong to exactly one group.
    pub(crate) fn rate_of(&self, param: &Param) -> Result<(usize, f64), StepError> {
        let mut of = (0..self.rates.len()).filter(|&number| self.rates[number].masks.iter().all(|mask| mask(param)));
        let factors = self.factors.iter().filter(|(mask, _)| mask(param)).map(|(_, factor)| factor).product();
        match (of.next(), of.next()) {
            (Some(only), None) => Ok((only, factors)),
            (None, _) => Err(StepError::NoGroup(param.clone())),
            (Some(_), Some(_)) => Err(StepError::TwoGroups(param.clone())),
        }
    }

    /// The number, counted from 1, of a group to which none of these parameters belongs.
    pub(crate) fn empty_group(&self, params: &Params<T>) -> Option<usize> {
        let empty = self.groups.iter().position(|mask| !params.iter().any(|(param, _)| mask(param)));
        empty.map(|index| index + 1)
    }

    /// Makes the last entry answer gradients that are not finite: the step is skipped whatever
    /// [`NonFinite`](crate::NonFinite) says, after `update` has changed the numbers.
    pub(crate) fn on_non_finite(&mut self, update: impl Fn(&mut Numbers) + Send + Sync + 'static) {
        let last = self.transforms.last_mut().expect("an entry was added before");
        last.on_non_finite = Some(Box::new(update));
    }

    fn push(&mut self, kernel: Kernel<T>, tensors: Vec<&str>, numbers: Vec<(&str, f64)>) {
        let (masks, group) = (self.masks.clone(), self.group);
        for number in 0..self.rates.len() {
            let rate_entry = &mut self.rates[number];
            let precedes = group.is_none() || rate_entry.group == group;
            if precedes && !rate_entry.scaled {
                rate_entry.scaled = true;
                let (masks, group) = (rate_entry.masks.clone(), rate_entry.group);
                let kernel = Kernel::Block { transform: Box::new(ScaleByRate), state: Vec::new() };
                self.insert(kernel, Vec::new(), Vec::new(), (masks, group));
            }
        }
        self.insert(kernel, tensors, numbers, (masks, group));
    }

    fn insert(
        &mut self,
        kernel: Kernel<T>,
        tensors: Vec<&str>,
        numbers: Vec<(&str, f64)>,
        (masks, group): (Vec<Mask>, Option<usize>),
    ) {
        let mut initial_numbers = Numbers::default();
        assert!(numbers.len() <= initial_numbers.len(), "a transform keeps at most four numbers");
        initial_numbers.iter_mut().zip(&numbers).for_each(|(initial, (_, value))| *initial = *value);
        let taken: Vec<&String> =
            self.transforms.iter().flat_map(|entry| entry.tensors.iter().chain(&entry.numbers)).collect();
        let unique = |name: &&str| {
            let numbered = (2..).map(|number| format!("{name}_{number}"));
            let mut names = std::iter::once(name.to_string()).chain(numbered);
            names.find(|name| !taken.contains(&name)).expect("there is always a further number")
        };
        let tensors = tensors.iter().map(unique).collect();
        let numbers = numbers.iter().map(|(name, _)| unique(name)).collect();
        let scaled = self.rates.iter().any(|rate_entry| group.is_none() || rate_entry.group == group);
        let on_non_finite = None;
        self.transforms.push(Entry { kernel, on_non_finite, masks, group, scaled, tensors, numbers, initial_numbers });
    }

    /// The learning rate of index `number` after `done` steps.
    pub(crate) fn rate(&self, number: usize, done: u64) -> f64 {
        self.rates[number].rate.at(done)
    }

    /// The number of learning rates.
    pub(crate) fn rate_count(&self) -> usize {
        self.rates.len()
    }

    /// The name of the schedule of the learning rate of index `number`, for messages.
    pub(crate) fn schedule_name(&self, number: usize) -> &'static str {
        self.rates[number].rate.name()
    }

    /// The index of the learning rate of the transform of this index; the first for one of no group.
    pub(crate) fn rate_with(&self, transform: usize) -> usize {
        let group = self.transforms[transform].group;
        self.rates.iter().position(|rate_entry| group.is_some() && rate_entry.group == group).unwrap_or(0)
    }

    /// The factor of the update at the end of the chain, where that learning rate holds.
    pub(crate) fn scale(&self, number: usize, learning_rate: f64) -> T {
        if self.rates[number].scaled { T::one() } else { T::of(learning_rate) }
    }

    /// The number of tensors that the transforms from `first` up to `last` keep for the parameter.
    pub(crate) fn slots(&self, first: usize, last: usize, param: &Param) -> usize {
        let applying = self.transforms[first..last].iter().filter(|entry| entry.applies_to(param));
        applying.map(|entry| entry.tensors.len()).sum()
    }

    /// The entries for the parameter, each with its index and the range of its tensors.
    pub(crate) fn transforms_of<'a>(
        &'a self,
        param: &'a Param,
    ) -> impl Iterator<Item = (usize, Range<usize>, &'a Entry<T>)> + 'a {
        let applying = self.transforms.iter().enumerate().filter(|(_, entry)| entry.applies_to(param));
        applying.map(|(number, entry)| {
            let first = self.slots(0, number, param);
            (number, first..first + entry.tensors.len(), entry)
        })
    }

    /// Whether a gradient of rows of the parameter moves these rows alone. A chain of several passes keeps the update
    /// between them, for all elements.
    pub(crate) fn takes_rows(&self, param: &Param) -> bool {
        let is_one_pass = self.transforms.first().is_none_or(|first| first.block().is_some())
            && self.pass_from(0) >= self.transforms.len();
        let mut applying = self.transforms.iter().filter(|entry| entry.applies_to(param));
        is_one_pass && applying.all(|entry| entry.block().is_some_and(AnyTransform::takes_rows))
    }

    /// The transforms that run in one pass with the transform at `first`: those up to the next one that begins a pass.
    pub(crate) fn pass_from(&self, first: usize) -> usize {
        let following = self.transforms.iter().skip(first + 1).position(Entry::begins_pass);
        following.map_or(self.transforms.len(), |distance| first + 1 + distance)
    }
}
