//! What the optimizer keeps for one parameter, and a pass of links over it.

use gradus_graph::{Param, Real, Tensor};

use crate::block::Slots;
use crate::chain::Chain;
use crate::link::{AnyLink, Change, Step};
use crate::walk::{Pass, Place, Work};

/// What the optimizer keeps for one parameter.
pub(crate) struct Moved<T> {
    pub(crate) param: Param,
    /// The number of updates so far.
    pub(crate) steps: u64,
    /// The state of the links that apply, in order.
    pub(crate) slots: Vec<Tensor<T>>,
    /// The update between two passes; empty if the chain needs but one.
    waiting: Vec<T>,
    /// What the link at the start of the next pass measured.
    pub(crate) sums: [f64; 2],
    /// The last call of `step` that gave a gradient, to find a second one.
    pub(crate) call: u64,
}

impl<T: Real> Moved<T> {
    /// The state before the first update.
    pub(crate) fn new(chain: &Chain<T>, param: &Param, value: &Tensor<T>) -> Self {
        let links = chain.links.iter().filter(|link| link.applies_to(param));
        let slots = links.flat_map(|link| (0..link.state().len()).map(move |slot| link.initial(slot, value)));
        let waiting = if chain.pass_from(0) < chain.links.len() { vec![T::zero(); value.len()] } else { Vec::new() };
        Self { param: param.clone(), steps: 0, slots: slots.collect(), waiting, sums: [0.0; 2], call: 0 }
    }

    /// Runs the links from `first` up to `last` over the parameter.
    pub(crate) fn pass(
        &mut self,
        chain: &Chain<T>,
        (first, last): (usize, usize),
        step: Step,
        parameter: &mut [T],
        gradient: &[T],
        threads: bool,
    ) -> [f64; 2] {
        let earlier = chain.links[..first].iter().filter(|link| link.applies_to(&self.param));
        let first_slot = earlier.map(|link| link.state().len()).sum();
        let links = chain.links[first..last].iter().filter(|link| link.applies_to(&self.param)).count();
        let measure = chain.links.get(last).filter(|link| link.applies_to(&self.param)).map(|link| &**link);
        let slots: Slots<'_, T> = self.slots.iter_mut().map(Tensor::data_mut).collect();
        let mut work = Some(Work { parameter, gradient, waiting: &mut self.waiting, slots });
        let mut sums = [0.0; 2];
        let place = |outside: bool| if outside { Place::Outside } else { Place::Waiting };
        let (from, to) = (place(first == 0), place(last == chain.links.len()));
        let scale = chain.scale(step.learning_rate);
        compose(&chain.links[first..last], &self.param, step, first_slot, &|_| {}, &mut |change| {
            if let Some(work) = work.take() {
                sums = Pass { change, links, from, to, scale, measure, threads }.run(work);
            }
        });
        sums
    }
}

/// Hands on the change that makes `before` and then all links that apply to the parameter.
fn compose<T: Real>(
    links: &[Box<dyn AnyLink<T>>],
    param: &Param,
    step: Step,
    slot: usize,
    before: Change<'_, T>,
    hand_on: &mut dyn FnMut(Change<'_, T>),
) {
    let Some((link, rest)) = links.split_first() else { return hand_on(before) };
    // What was measured is for the first link of a pass.
    let later = Step { measured: [0.0; 2], ..step };
    if !link.applies_to(param) {
        return compose(rest, param, later, slot, before, hand_on);
    }
    let next_slot = slot + link.state().len();
    link.follow(&step, slot, before, &mut |change| compose(rest, param, later, next_slot, change, hand_on));
}
