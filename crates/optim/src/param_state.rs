//! The state of one parameter, and a pass of transforms over it.

use gradus_graph::{Param, Real, Tensor, hash_of_name};

use crate::block::Slots;
use crate::chain::{Chain, Entry};
use crate::error::StepError;
use crate::gradient::Gradient;
use crate::reductions;
use crate::rows_pass::{run_rows, survey_rows};
use crate::tensor_pass::{Measure, Pass, StateViews, UpdateStorage, Work, survey_gradient};
use crate::transform::{Change, Numbers, StepInfo, Sums};
use crate::whole_tensor::WholeTensor;

/// The state of one parameter.
pub(crate) struct ParamState<T> {
    pub(crate) param: Param,
    /// The index of its learning rate, and the factor of it.
    pub(crate) rate: (usize, f64),
    /// The stream of its random numbers.
    pub(crate) stream: u64,
    /// The number of updates so far.
    pub(crate) steps: u64,
    /// Whether a gradient of rows moves these rows alone; if not, it is taken as a tensor.
    keeps_zeros: bool,
    /// The state of the transforms that apply, in order.
    pub(crate) slots: Vec<Tensor<T>>,
    /// The numbers of each transform of the chain; those of a shared transform are the optimizer's.
    pub(crate) numbers: Vec<Numbers>,
    /// The update between two passes; empty if the chain needs only one.
    pending: Vec<T>,
    /// The sums measured by the transform at the start of the next pass.
    pub(crate) sums: Sums,
    /// The last call of `step` that gave a gradient, to find a second one.
    pub(crate) call: u64,
}

/// The part of a step that all parameters share.
pub(crate) struct SharedStep<'a, T> {
    pub(crate) chain: &'a Chain<T>,
    /// The number of steps before this one.
    pub(crate) done: u64,
    /// The factor of all learning rates.
    pub(crate) rate_factor: f64,
    /// The numbers of the shared transforms.
    pub(crate) numbers: &'a [Numbers],
    /// What the shared transform at the start of the pass measured.
    pub(crate) total: Sums,
}

/// The part of [`StepInfo`] that all transforms of a parameter share.
#[derive(Clone, Copy)]
pub(crate) struct UpdateInfo {
    number: u64,
    learning_rate: f64,
    stream: u64,
}

impl<T: Real> SharedStep<'_, T> {
    /// The learning rate of this index.
    pub(crate) fn learning_rate(&self, number: usize) -> f64 {
        self.rate_factor * self.chain.rate(number, self.done)
    }

    /// The step for the transform of index `transform` and a parameter with these numbers of its own.
    pub(crate) fn step(&self, transform: usize, numbers: &[Numbers], info: UpdateInfo, measured: Sums) -> StepInfo {
        let numbers = if self.chain.transforms[transform].is_joint() { self.numbers } else { numbers };
        let UpdateInfo { number, learning_rate, stream } = info;
        let scaled = self.chain.transforms[transform].scaled;
        StepInfo { number, learning_rate, scaled, stream, measured, numbers: numbers[transform] }
    }

    /// The measure of the transform of this index, if it measures, and the number of its tensors.
    fn measure(
        &self,
        transform: usize,
        param_state: &ParamState<T>,
        info: UpdateInfo,
    ) -> Option<(Measure<'_, T>, usize)> {
        let entry = self.chain.transforms.get(transform).filter(|entry| entry.applies_to(&param_state.param))?;
        entry.measures()?;
        let step = self.step(transform, &param_state.numbers, info, Sums::default());
        Some((Measure { transform: entry.block()?, step }, entry.tensors.len()))
    }
}

impl<T: Real> ParamState<T> {
    /// The state before the first update.
    ///
    /// # Errors
    /// If the parameter does not belong to exactly one group of the chain.
    pub(crate) fn new(chain: &Chain<T>, param: &Param, value: &Tensor<T>) -> Result<Self, StepError> {
        let rate = chain.rate_of(param)?;
        let entries = chain.transforms.iter().filter(|entry| entry.applies_to(param));
        let slots = entries.flat_map(|entry| entry.initial_state(value)).collect();
        let first_is_whole = chain.transforms.first().is_some_and(|entry| entry.tensor().is_some());
        let waits = first_is_whole || chain.pass_from(0) < chain.transforms.len();
        let pending = if waits { vec![T::zero(); value.len()] } else { Vec::new() };
        let numbers = chain.transforms.iter().map(|entry| entry.initial_numbers).collect();
        let (stream, sums) = (hash_of_name(param.name()), Sums::default());
        let keeps_zeros = chain.keeps_zeros(param);
        Ok(Self { param: param.clone(), rate, stream, steps: 0, keeps_zeros, slots, numbers, pending, sums, call: 0 })
    }

    /// The update of this number.
    pub(crate) fn info(&self, shared: &SharedStep<'_, T>, number: u64) -> UpdateInfo {
        let (rate, factor) = self.rate;
        UpdateInfo { number, learning_rate: factor * shared.learning_rate(rate), stream: self.stream }
    }

    /// Whether the gradient of the coming step is finite. Keeps what the first transform of the chain measures of it.
    pub(crate) fn look(&mut self, shared: &SharedStep<'_, T>, parameter: &[T], gradient: Gradient<'_, T>) -> bool {
        let (measure, count) = shared.measure(0, self, self.info(shared, self.steps + 1)).unzip();
        let views: StateViews<'_, T> = self.slots[..count.unwrap_or(0)].iter().map(Tensor::data).collect();
        let (finite, sums) = match gradient {
            Gradient::Rows(rows) if self.keeps_zeros => survey_rows(rows, parameter, measure),
            Gradient::Rows(rows) if measure.is_none() => (reductions::all_finite(rows.values()), Sums::default()),
            _ => survey_gradient(gradient.dense().data(), parameter, &views, measure),
        };
        self.sums = sums;
        finite
    }

    /// Runs the transforms from `first` up to `last` over the parameter.
    pub(crate) fn pass(
        &mut self,
        shared: &SharedStep<'_, T>,
        (first, last): (usize, usize),
        parameter: &mut [T],
        gradient: Gradient<'_, T>,
        scratch: &mut Vec<T>,
    ) {
        let rows = match gradient {
            Gradient::Rows(rows) if self.keeps_zeros => Some(rows),
            _ => None,
        };
        let gradient = if rows.is_some() { &[][..] } else { gradient.dense().data() };
        let transforms = &shared.chain.transforms;
        let info = self.info(shared, self.steps);
        let head = transforms.get(first).filter(|entry| entry.applies_to(&self.param));
        let measured = if head.is_some_and(Entry::is_joint) { shared.total } else { self.sums };
        let measured = |transform: usize| if transform == first { measured } else { Sums::default() };
        for transform in first..last {
            let entry = &transforms[transform];
            if let Some(block) = entry.block().filter(|_| !entry.numbers.is_empty() && !entry.is_joint())
                && entry.applies_to(&self.param)
            {
                let step = shared.step(transform, &self.numbers, info, measured(transform));
                block.update_numbers(&step, &mut self.numbers[transform]);
            }
        }
        let mut from = if first == 0 { UpdateStorage::Direct } else { UpdateStorage::Buffered };
        let mut slot = shared.chain.slots(0, first, &self.param);
        let whole = transforms.get(first).is_some_and(|entry| entry.tensor().is_some());
        if let Some((entry, transform)) = head.and_then(|entry| Some((entry, entry.tensor()?))) {
            if from == UpdateStorage::Direct {
                self.pending.copy_from_slice(gradient);
                from = UpdateStorage::Buffered;
            }
            let next = slot + entry.tensors.len();
            let step = shared.step(first, &self.numbers, info, Sums::default());
            let (shape, update, state) = (self.param.shape(), &mut self.pending[..], &mut self.slots[slot..next]);
            transform.transform(&step, WholeTensor { shape, parameter, update, state, scratch });
            slot = next;
        }
        let first = first + usize::from(whole);
        let next = slot + shared.chain.slots(first, last, &self.param);
        let (measure, count) = shared.measure(last, self, info).unzip();
        let (slots, later) = self.slots.split_at_mut(next);
        let slots: Slots<'_, T> = slots[slot..].iter_mut().map(Tensor::data_mut).collect();
        let views: StateViews<'_, T> = later[..count.unwrap_or(0)].iter().map(Tensor::data).collect();
        let mut work = Some(Work { parameter, start: 0, gradient, pending: &mut self.pending, slots, views });
        let mut sums = Sums::default();
        let to = if last == transforms.len() { UpdateStorage::Direct } else { UpdateStorage::Buffered };
        let scale = shared.chain.scale(self.rate.0, info.learning_rate);
        let (param, numbers) = (&self.param, &self.numbers);
        let applying = transforms[first..last].iter().filter(|entry| entry.applies_to(param)).count();
        let step = |transform: usize| shared.step(transform, numbers, info, measured(transform));
        compose(shared.chain, (first, last), param, &step, 0, &|_| {}, &mut |change| {
            if let Some(work) = work.take() {
                let pass = Pass { change, transforms: applying, from, to, scale, measure };
                match rows {
                    Some(rows) => run_rows(&pass, work.parameter, rows),
                    None => sums = pass.run(work),
                }
            }
        });
        self.sums = sums;
    }
}

/// Calls `then` with the change that makes `before` and then all transforms of this range that are for the parameter;
/// the state of the first of them begins at `slot`.
fn compose<T: Real>(
    chain: &Chain<T>,
    (first, last): (usize, usize),
    param: &Param,
    step: &dyn Fn(usize) -> StepInfo,
    slot: usize,
    before: Change<'_, T>,
    then: &mut dyn FnMut(Change<'_, T>),
) {
    let mut entries = (first..last).map(|index| (index, &chain.transforms[index]));
    let next =
        entries.find_map(|(index, entry)| Some((index, entry, entry.block()?)).filter(|_| entry.applies_to(param)));
    let Some((index, entry, transform)) = next else { return then(before) };
    let next_slot = slot + entry.tensors.len();
    transform.compose_after(&step(index), slot, before, &mut |change| {
        compose(chain, (index + 1, last), param, step, next_slot, change, then);
    });
}
