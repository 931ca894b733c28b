//! What an update is made of, in order: links and rules, joined by tuples.

use std::ops::Range;
use std::sync::Arc;

use gradus_graph::{Param, Real};

use crate::link::{AnyLink, Link, Numbers, Over};
use crate::links::ScaleByRate;
use crate::schedule::{Rate, Schedule};

/// A part of an update: a [`Link`], a rule (links and a learning rate), or a tuple of parts in order.
///
/// A tuple reads as a sentence: clip, then decay, then Adam.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Real, Tensor};
/// use gradus_optim::{Adam, Chain, ClipGlobalNorm, DecayWeights, Momentum, Optimizer, Part};
/// let _optimizer = Optimizer::<f32>::new((ClipGlobalNorm::new(1.0), DecayWeights::new(1e-2), Adam::new(1e-3)));
///
/// /// A rule of one's own: gradient descent with a heavy ball.
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
    /// Adds the links, and for a rule the learning rate, to the end of the chain.
    fn add_to<T: Real>(self, chain: &mut Chain<T>);
}

impl<L: Link> Part for L {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.push(Box::new(self));
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

/// Which parameters a link is for.
type Mask = Arc<dyn Fn(&Param) -> bool + Send + Sync>;

/// A link in its place.
pub(crate) struct Placed<T> {
    pub(crate) link: Box<dyn AnyLink<T>>,
    masks: Vec<Mask>,
    /// The names of the link's tensors of state and of its numbers; no name occurs twice in a chain.
    pub(crate) tensors: Vec<String>,
    pub(crate) numbers: Vec<String>,
}

impl<T> Placed<T> {
    /// Whether the link does anything to this parameter.
    pub(crate) fn applies_to(&self, param: &Param) -> bool {
        self.masks.iter().all(|mask| mask(param)) && self.link.applies_to(param)
    }

    /// Whether the link measures over all parameters together, and so keeps its numbers for all.
    pub(crate) fn is_joint(&self) -> bool {
        self.link.measures() == Some(Over::All)
    }

    /// Whether a pass over memory begins with the link.
    fn begins_pass(&self) -> bool {
        self.link.measures().is_some() || self.link.sees_whole()
    }

    /// The link's numbers before the first step.
    pub(crate) fn initial_numbers(&self) -> Numbers {
        std::array::from_fn(|place| if place < self.numbers.len() { self.link.initial_number(place) } else { 0.0 })
    }
}

/// The links of an update in order, with its learning rate. Built by [`Part::add_to`].
pub struct Chain<T> {
    pub(crate) links: Vec<Placed<T>>,
    rate: Option<Rate>,
    /// Whether the learning rate is applied by a link: one that follows it, or one whose formula it stands in.
    scaled: bool,
    /// What restricts the part that is being added.
    masks: Vec<Mask>,
}

impl<T: Real> Chain<T> {
    /// The chain that the part describes.
    ///
    /// # Panics
    /// If the part states no learning rate, or more than one.
    #[track_caller]
    pub(crate) fn of(part: impl Part) -> Self {
        let mut chain = Self { links: Vec::new(), rate: None, scaled: false, masks: Vec::new() };
        part.add_to(&mut chain);
        assert!(chain.rate.is_some(), "an update without a learning rate: end it with a rule or with `LearningRate`");
        chain
    }

    /// Adds a part to the end. A link after the learning rate sees the update as it would go off the parameter.
    pub fn then(&mut self, part: impl Part) -> &mut Self {
        part.add_to(self);
        self
    }

    /// Scales the update as it stands here by the learning rate.
    ///
    /// # Panics
    /// If the chain has a learning rate.
    #[track_caller]
    pub fn learning_rate(&mut self, schedule: impl Schedule) -> &mut Self {
        assert!(self.rate.is_none(), "an update has one learning rate: it cannot hold two rules");
        self.rate = Some(Rate::new(schedule));
        self
    }

    /// States a learning rate that the links apply themselves, since it stands inside their formulas.
    ///
    /// # Panics
    /// If the chain has a learning rate.
    #[track_caller]
    pub fn learning_rate_inside(&mut self, schedule: impl Schedule) -> &mut Self {
        self.learning_rate(schedule);
        self.scaled = true;
        self
    }

    /// Adds a part whose links act on the parameters that satisfy the predicate; the others pass it by.
    ///
    /// # Panics
    /// If the part holds a learning rate: that is for all parameters.
    #[track_caller]
    pub fn only(&mut self, matches: impl Fn(&Param) -> bool + Send + Sync + 'static, part: impl Part) -> &mut Self {
        let rates = self.rate.is_some();
        self.masks.push(Arc::new(matches));
        part.add_to(self);
        self.masks.pop();
        assert!(self.rate.is_some() == rates, "a mask holds links; the learning rate of a rule is for all parameters");
        self
    }

    fn push(&mut self, link: Box<dyn AnyLink<T>>) {
        if self.rate.is_some() && !self.scaled {
            self.scaled = true;
            let masks = std::mem::take(&mut self.masks);
            self.push(Box::new(ScaleByRate));
            self.masks = masks;
        }
        let taken: Vec<&String> =
            self.links.iter().flat_map(|placed| placed.tensors.iter().chain(&placed.numbers)).collect();
        let unique = |name: &&str| {
            let numbered = (2..).map(|number| format!("{name}_{number}"));
            let mut names = std::iter::once(name.to_string()).chain(numbered);
            names.find(|name| !taken.contains(&name)).expect("there is always a further number")
        };
        let tensors = link.state().iter().map(unique).collect();
        let numbers = link.numbers().iter().map(unique).collect();
        self.links.push(Placed { link, masks: self.masks.clone(), tensors, numbers });
    }

    /// The learning rate after that many steps.
    pub(crate) fn rate(&self, done: u64) -> f64 {
        self.rate.as_ref().map_or(1.0, |rate| rate.at(done))
    }

    /// The factor of the update at the end of the chain.
    pub(crate) fn scale(&self, learning_rate: f64) -> T {
        if self.scaled { T::one() } else { T::of(learning_rate) }
    }

    /// The number of tensors that the links from `first` up to `last` keep for the parameter.
    pub(crate) fn slots(&self, first: usize, last: usize, param: &Param) -> usize {
        let applying = self.links[first..last].iter().filter(|placed| placed.applies_to(param));
        applying.map(|placed| placed.tensors.len()).sum()
    }

    /// The links that apply to the parameter, each with its number and the places of its tensors.
    pub(crate) fn links_of<'a>(
        &'a self,
        param: &'a Param,
    ) -> impl Iterator<Item = (usize, Range<usize>, &'a Placed<T>)> + 'a {
        let applying = self.links.iter().enumerate().filter(|(_, placed)| placed.applies_to(param));
        applying.map(|(number, placed)| {
            let first = self.slots(0, number, param);
            (number, first..first + placed.tensors.len(), placed)
        })
    }

    /// The links that run in one pass with the link at `first`: those up to the next one that begins a pass.
    pub(crate) fn pass_from(&self, first: usize) -> usize {
        let following = self.links.iter().skip(first + 1).position(Placed::begins_pass);
        following.map_or(self.links.len(), |distance| first + 1 + distance)
    }
}
