//! What the optimizer keeps for one parameter, and a pass of links over it.

use gradus_graph::{Param, Real, Tensor};

use crate::block::Slots;
use crate::chain::{Chain, Placed};
use crate::error::StepError;
use crate::link::{Change, Numbers, Step};
use crate::walk::{Measure, Pass, Place, Watched, Work, look_at};
use crate::whole::Whole;

/// What the optimizer keeps for one parameter.
pub(crate) struct Moved<T> {
    pub(crate) param: Param,
    /// The number of its learning rate, and the factor of it.
    pub(crate) rate: (usize, f64),
    /// What tells its random numbers from those of other parameters.
    pub(crate) stream: u64,
    /// The number of updates so far.
    pub(crate) steps: u64,
    /// The state of the links that apply, in order.
    pub(crate) slots: Vec<Tensor<T>>,
    /// The numbers of each link of the chain; those of a joint link are the optimizer's.
    pub(crate) numbers: Vec<Numbers>,
    /// The update between two passes; empty if the chain needs but one.
    waiting: Vec<T>,
    /// What the link at the start of the next pass measured.
    pub(crate) sums: Numbers,
    /// The last call of `step` that gave a gradient, to find a second one.
    pub(crate) call: u64,
}

/// What the parameters of a step share.
pub(crate) struct Joint<'a, T> {
    pub(crate) chain: &'a Chain<T>,
    /// The number of steps before this one.
    pub(crate) done: u64,
    /// The factor of all learning rates.
    pub(crate) rate_factor: f64,
    /// The numbers of the joint links.
    pub(crate) numbers: &'a [Numbers],
    /// What the joint link at the start of the pass measured.
    pub(crate) total: Numbers,
    pub(crate) threads: bool,
}

/// What all links of a parameter are told of its update.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    number: u64,
    learning_rate: f64,
    stream: u64,
}

impl<T: Real> Joint<'_, T> {
    /// The learning rate of that number.
    pub(crate) fn learning_rate(&self, number: usize) -> f64 {
        self.rate_factor * self.chain.rate(number, self.done)
    }

    /// What the link of that number is told of the update of a parameter with these numbers of its own.
    pub(crate) fn step(&self, link: usize, numbers: &[Numbers], told: Told, measured: Numbers) -> Step {
        let numbers = if self.chain.links[link].is_joint() { self.numbers } else { numbers };
        let Told { number, learning_rate, stream } = told;
        let scaled = self.chain.links[link].scaled;
        Step { number, learning_rate, scaled, stream, measured, numbers: numbers[link] }
    }

    /// The link of that number as one that measures, and the length of its state, if it does.
    fn measure(&self, link: usize, moved: &Moved<T>, told: Told) -> Option<(Measure<'_, T>, usize)> {
        let placed = self.chain.links.get(link).filter(|placed| placed.applies_to(&moved.param))?;
        placed.link.measures()?;
        let step = self.step(link, &moved.numbers, told, Numbers::default());
        Some((Measure { link: &*placed.link, step }, placed.tensors.len()))
    }
}

impl<T: Real> Moved<T> {
    /// The state before the first update.
    ///
    /// # Errors
    /// If the parameter does not belong to exactly one group of the chain.
    pub(crate) fn new(chain: &Chain<T>, param: &Param, value: &Tensor<T>) -> Result<Self, StepError> {
        let rate = chain.rate_of(param)?;
        let links = chain.links.iter().filter(|placed| placed.applies_to(param)).map(|placed| &placed.link);
        let slots = links.flat_map(|link| (0..link.state().len()).map(move |slot| link.initial(slot, value))).collect();
        let first_is_whole = chain.links.first().is_some_and(|placed| placed.link.sees_whole());
        let waits = first_is_whole || chain.pass_from(0) < chain.links.len();
        let waiting = if waits { vec![T::zero(); value.len()] } else { Vec::new() };
        let numbers = chain.links.iter().map(Placed::initial_numbers).collect();
        let (stream, sums) = (hash(param.name()), Numbers::default());
        Ok(Self { param: param.clone(), rate, stream, steps: 0, slots, numbers, waiting, sums, call: 0 })
    }

    /// What its links are told of the update of that number.
    pub(crate) fn told(&self, joint: &Joint<'_, T>, number: u64) -> Told {
        let (rate, factor) = self.rate;
        Told { number, learning_rate: factor * joint.learning_rate(rate), stream: self.stream }
    }

    /// Whether the gradient of the coming step is finite. What the first link of the chain measures of it is kept.
    pub(crate) fn look(&mut self, joint: &Joint<'_, T>, parameter: &[T], gradient: &[T]) -> bool {
        let (measure, count) = joint.measure(0, self, self.told(joint, self.steps + 1)).unzip();
        let watched: Watched<'_, T> = self.slots[..count.unwrap_or(0)].iter().map(Tensor::data).collect();
        let (finite, sums) = look_at(gradient, parameter, &watched, measure, joint.threads);
        self.sums = sums;
        finite
    }

    /// Runs the links from `first` up to `last` over the parameter.
    pub(crate) fn pass(
        &mut self,
        joint: &Joint<'_, T>,
        (first, last): (usize, usize),
        parameter: &mut [T],
        gradient: &[T],
        scratch: &mut Vec<T>,
    ) {
        let links = &joint.chain.links;
        let told = self.told(joint, self.steps);
        let head = links.get(first).filter(|placed| placed.applies_to(&self.param));
        let measured = if head.is_some_and(Placed::is_joint) { joint.total } else { self.sums };
        let measured = |link: usize| if link == first { measured } else { Numbers::default() };
        for link in first..last {
            let placed = &links[link];
            if !placed.numbers.is_empty() && !placed.is_joint() && placed.applies_to(&self.param) {
                let step = joint.step(link, &self.numbers, told, measured(link));
                placed.link.settle(&step, &mut self.numbers[link]);
            }
        }
        let mut from = if first == 0 { Place::Outside } else { Place::Waiting };
        let mut slot = joint.chain.slots(0, first, &self.param);
        let whole = links.get(first).is_some_and(|placed| placed.link.sees_whole());
        if let Some(placed) = head.filter(|_| whole) {
            if from == Place::Outside {
                self.waiting.copy_from_slice(gradient);
                from = Place::Waiting;
            }
            let next = slot + placed.tensors.len();
            let step = joint.step(first, &self.numbers, told, Numbers::default());
            let (shape, update, state) = (self.param.shape(), &mut self.waiting[..], &mut self.slots[slot..next]);
            placed.link.transform_whole(&step, Whole { shape, parameter, update, state, scratch });
            slot = next;
        }
        let first = first + usize::from(whole);
        let next = slot + joint.chain.slots(first, last, &self.param);
        let (measure, count) = joint.measure(last, self, told).unzip();
        let (slots, later) = self.slots.split_at_mut(next);
        let slots: Slots<'_, T> = slots[slot..].iter_mut().map(Tensor::data_mut).collect();
        let watched: Watched<'_, T> = later[..count.unwrap_or(0)].iter().map(Tensor::data).collect();
        let mut work = Some(Work { parameter, start: 0, gradient, waiting: &mut self.waiting, slots, watched });
        let mut sums = Numbers::default();
        let to = if last == links.len() { Place::Outside } else { Place::Waiting };
        let (scale, threads) = (joint.chain.scale(self.rate.0, told.learning_rate), joint.threads);
        let (param, numbers) = (&self.param, &self.numbers);
        let applying = links[first..last].iter().filter(|placed| placed.applies_to(param)).count();
        let step = |link: usize| joint.step(link, numbers, told, measured(link));
        compose(joint.chain, (first, last), param, &step, 0, &|_| {}, &mut |change| {
            if let Some(work) = work.take() {
                sums = Pass { change, links: applying, from, to, scale, measure, threads }.run(work);
            }
        });
        self.sums = sums;
    }
}

/// The FNV-1a hash of a name.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Hands on the change that makes `before` and then all links of that range that apply to the parameter; the state of
/// the first of them begins at `slot`.
fn compose<T: Real>(
    chain: &Chain<T>,
    (first, last): (usize, usize),
    param: &Param,
    step: &dyn Fn(usize) -> Step,
    slot: usize,
    before: Change<'_, T>,
    hand_on: &mut dyn FnMut(Change<'_, T>),
) {
    let Some(link) = (first..last).find(|&link| chain.links[link].applies_to(param)) else { return hand_on(before) };
    let placed = &chain.links[link];
    let next = slot + placed.tensors.len();
    placed.link.follow(&step(link), slot, before, &mut |change| {
        compose(chain, (link + 1, last), param, step, next, change, hand_on);
    });
}
