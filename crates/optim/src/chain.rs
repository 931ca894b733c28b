//! What an update is made of, in order: links and rules, joined by tuples.

use gradus_graph::Real;

use crate::link::{AnyLink, Link};
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

/// The links of an update in order, with its learning rate. Built by [`Part::add_to`].
pub struct Chain<T> {
    pub(crate) links: Vec<Box<dyn AnyLink<T>>>,
    /// The names of the tensors of state of each link; no name occurs twice.
    pub(crate) names: Vec<Vec<String>>,
    rate: Option<Rate>,
    /// Whether the learning rate is applied by a link, since others follow it.
    scaled: bool,
}

impl<T: Real> Chain<T> {
    /// The chain that the part describes.
    ///
    /// # Panics
    /// If the part states no learning rate, or more than one.
    #[track_caller]
    pub(crate) fn of(part: impl Part) -> Self {
        let mut chain = Self { links: Vec::new(), names: Vec::new(), rate: None, scaled: false };
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

    fn push(&mut self, link: Box<dyn AnyLink<T>>) {
        if self.rate.is_some() && !self.scaled {
            self.scaled = true;
            self.push(Box::new(ScaleByRate));
        }
        let taken: Vec<&String> = self.names.iter().flatten().collect();
        let unique = |name: &&str| {
            let numbered = (2..).map(|number| format!("{name}_{number}"));
            let mut names = std::iter::once(name.to_string()).chain(numbered);
            names.find(|name| !taken.contains(&name)).expect("there is always a further number")
        };
        let names = link.state().iter().map(unique).collect();
        self.names.push(names);
        self.links.push(link);
    }

    /// The learning rate after that many steps.
    pub(crate) fn rate(&self, done: u64) -> f64 {
        self.rate.as_ref().map_or(1.0, |rate| rate.at(done))
    }

    /// The factor of the update at the end of the chain.
    pub(crate) fn scale(&self, learning_rate: f64) -> T {
        if self.scaled { T::one() } else { T::of(learning_rate) }
    }

    /// The links that run in one pass with the link at `first`: those up to the next one that measures.
    pub(crate) fn pass_from(&self, first: usize) -> usize {
        let following = self.links.iter().skip(first + 1).position(|link| link.measures().is_some());
        following.map_or(self.links.len(), |distance| first + 1 + distance)
    }
}
