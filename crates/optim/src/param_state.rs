//! The state of one parameter, the look at its gradient and a pass of transforms over it.

use gradus_graph::{Param, Real, SparseRows, Tensor, hash_of_name};

use crate::block::Slots;
use crate::chain::{Chain, Entry};
use crate::division::{Cut, Divide};
use crate::error::StepError;
use crate::gradient::Gradient;
use crate::reductions;
use crate::rows_pass::{RowsWork, survey_rows};
use crate::tensor_pass::{Look, Measure, Pass, StateViews, UpdateStorage, Work};
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
    takes_rows: bool,
    /// The state of the transforms that apply, in order.
    pub(crate) slots: Vec<Tensor<T>>,
    /// The numbers of each transform of the chain; those of a shared transform are the optimizer's.
    pub(crate) numbers: Vec<Numbers>,
    /// The update between two passes; empty if the chain needs only one.
    pending: Vec<T>,
    /// The last call of `step` that gave a gradient, and the place of that in its list.
    pub(crate) call: u64,
    pub(crate) place: usize,
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
}

/// The part of [`StepInfo`] that all transforms of a parameter share.
#[derive(Clone, Copy)]
pub(crate) struct UpdateInfo {
    number: u64,
    learning_rate: f64,
    stream: u64,
}

/// What the transforms know of the parameter that they move.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    param: &'a Param,
    numbers: &'a [Numbers],
    rate: usize,
    info: UpdateInfo,
}

/// The look at the gradient of one parameter.
pub(crate) struct LookAt<'a, T> {
    subject: Subject<'a>,
    look: LookWork<'a, T>,
}

enum LookWork<'a, T> {
    All(Look<'a, T>),
    /// Rows, of which others are zero; nothing is measured if there is no parameter.
    Rows(&'a SparseRows<T>, Option<&'a [T]>),
}

/// One pass over one parameter.
pub(crate) struct PassOver<'a, T> {
    subject: Subject<'a>,
    /// What the transform at the start of the pass measured.
    measured: Sums,
    /// The first of the transforms that are made in blocks.
    first: usize,
    from: UpdateStorage,
    work: PassWork<'a, T>,
}

enum PassWork<'a, T> {
    All(Work<'a, T>),
    Rows(RowsWork<'a, T>),
}

impl<T: Real> Divide for LookAt<'_, T> {
    fn len(&self) -> usize {
        match &self.look {
            LookWork::All(look) => look.len(),
            LookWork::Rows(rows, _) => rows.values().len(),
        }
    }

    fn cut(self) -> Cut<Self> {
        let Self { subject, look } = self;
        let part = |look| Self { subject, look };
        match look {
            LookWork::All(look) => {
                let part = |look| part(LookWork::All(look));
                look.cut().map_break(part).map_continue(|(left, right)| (part(left), part(right)))
            }
            LookWork::Rows(..) => Cut::Break(part(look)),
        }
    }
}

impl<T: Real> Divide for PassOver<'_, T> {
    fn len(&self) -> usize {
        match &self.work {
            PassWork::All(work) => work.len(),
            PassWork::Rows(rows) => rows.len(),
        }
    }

    fn cut(self) -> Cut<Self> {
        let Self { subject, measured, first, from, work } = self;
        let part = |work| Self { subject, measured, first, from, work };
        match work {
            PassWork::All(work) => {
                let part = |work| part(PassWork::All(work));
                work.cut().map_break(part).map_continue(|(left, right)| (part(left), part(right)))
            }
            PassWork::Rows(rows) => {
                let part = |rows| part(PassWork::Rows(rows));
                rows.cut().map_break(part).map_continue(|(left, right)| (part(left), part(right)))
            }
        }
    }
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

    /// The transform of this index, if it measures and is for the parameter.
    fn measuring(&self, transform: usize, param: &Param) -> Option<&Entry<T>> {
        let entry = self.chain.transforms.get(transform)?;
        Some(entry).filter(|entry| entry.measures().is_some() && entry.applies_to(param))
    }

    /// Its measure at this step.
    fn measure(&self, transform: usize, subject: &Subject<'_>) -> Option<Measure<'_, T>> {
        let entry = self.measuring(transform, subject.param)?;
        let step = self.step(transform, subject.numbers, subject.info, Sums::default());
        Some(Measure { transform: entry.block()?, step })
    }

    /// Whether a gradient is finite, and what the first transform of the chain measures of it.
    pub(crate) fn look(&self, LookAt { subject, look }: LookAt<'_, T>) -> (bool, Sums) {
        match look {
            LookWork::All(look) => look.run(self.measure(0, &subject)),
            LookWork::Rows(rows, Some(parameter)) => survey_rows(rows, parameter, self.measure(0, &subject)),
            LookWork::Rows(rows, None) => (reductions::all_finite(rows.values()), Sums::default()),
        }
    }

    /// Makes a pass that ends before the transform `last`, and gives what that measures.
    pub(crate) fn pass(&self, last: usize, pass: PassOver<'_, T>) -> Sums {
        let PassOver { subject, measured, first, from, work } = pass;
        let Subject { param, numbers, rate, info } = subject;
        let transforms = &self.chain.transforms;
        let measure = self.measure(last, &subject);
        let to = if last == transforms.len() { UpdateStorage::Direct } else { UpdateStorage::Buffered };
        let scale = self.chain.scale(rate, info.learning_rate);
        let applying = transforms[first..last].iter().filter(|entry| entry.applies_to(param)).count();
        let step = |transform: usize| {
            let measured = if transform == first { measured } else { Sums::default() };
            self.step(transform, numbers, info, measured)
        };
        let (mut work, mut sums) = (Some(work), Sums::default());
        compose(self.chain, (first, last), param, &step, 0, &|_| {}, &mut |change| {
            let pass = Pass { change, transforms: applying, from, to, scale, measure };
            match work.take() {
                Some(PassWork::All(work)) => sums = pass.run(work),
                Some(PassWork::Rows(rows)) => rows.run(&pass),
                None => {}
            }
        });
        sums
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
        let (param, stream, takes_rows) = (param.clone(), hash_of_name(param.name()), chain.takes_rows(param));
        Ok(Self { param, rate, stream, steps: 0, takes_rows, slots, numbers, pending, call: 0, place: 0 })
    }

    /// The update of this number.
    pub(crate) fn info(&self, shared: &SharedStep<'_, T>, number: u64) -> UpdateInfo {
        let (rate, factor) = self.rate;
        UpdateInfo { number, learning_rate: factor * shared.learning_rate(rate), stream: self.stream }
    }

    /// The look at the gradient of the coming step.
    pub(crate) fn look<'a>(
        &'a self,
        shared: &SharedStep<'_, T>,
        parameter: &'a [T],
        gradient: Gradient<'a, T>,
    ) -> LookAt<'a, T> {
        let info = self.info(shared, self.steps + 1);
        let subject = Subject { param: &self.param, numbers: &self.numbers, rate: self.rate.0, info };
        let measuring = shared.measuring(0, &self.param);
        let look = match gradient {
            Gradient::Rows(rows) if self.takes_rows => LookWork::Rows(rows, Some(parameter)),
            Gradient::Rows(rows) if measuring.is_none() => LookWork::Rows(rows, None),
            _ => {
                let count = measuring.map_or(0, |entry| entry.tensors.len());
                let views = self.slots[..count].iter().map(Tensor::data).collect();
                LookWork::All(Look { gradient: gradient.dense().data(), parameter, views })
            }
        };
        LookAt { subject, look }
    }

    /// Begins a pass with the transforms from `first` up to `last`: numbers are updated, and a transform of whole tensors
    /// is made. What is left of the pass is returned. `measured` is what the transform at its start measured.
    pub(crate) fn begin_pass<'a>(
        &'a mut self,
        shared: &SharedStep<'_, T>,
        (first, last): (usize, usize),
        measured: Sums,
        parameter: &'a mut [T],
        gradient: Gradient<'a, T>,
        scratch: &mut Vec<T>,
    ) -> PassOver<'a, T> {
        let transforms = &shared.chain.transforms;
        let info = self.info(shared, self.steps);
        for transform in first..last {
            let entry = &transforms[transform];
            if let Some(block) = entry.block().filter(|_| !entry.numbers.is_empty() && !entry.is_joint())
                && entry.applies_to(&self.param)
            {
                let measured = if transform == first { measured } else { Sums::default() };
                let step = shared.step(transform, &self.numbers, info, measured);
                block.update_numbers(&step, &mut self.numbers[transform]);
            }
        }
        let mut slot = shared.chain.slots(0, first, &self.param);
        let Self { param, slots, numbers, pending, .. } = self;
        let subject = |numbers| Subject { param, numbers, rate: self.rate.0, info };
        if let Gradient::Rows(rows) = gradient
            && self.takes_rows
        {
            let slots = slots.iter_mut().map(Tensor::data_mut).collect();
            let (from, work) = (UpdateStorage::Direct, PassWork::Rows(RowsWork::new(parameter, slots, rows)));
            return PassOver { subject: subject(numbers), measured, first, from, work };
        }
        let gradient = gradient.dense().data();
        let mut from = if first == 0 { UpdateStorage::Direct } else { UpdateStorage::Buffered };
        let whole = transforms.get(first).filter(|entry| entry.tensor().is_some());
        if let Some(entry) = whole.filter(|entry| entry.applies_to(param))
            && let Some(transform) = entry.tensor()
        {
            if from == UpdateStorage::Direct {
                pending.copy_from_slice(gradient);
                from = UpdateStorage::Buffered;
            }
            let next = slot + entry.tensors.len();
            let step = shared.step(first, numbers, info, Sums::default());
            let (shape, update, state) = (param.shape(), &mut pending[..], &mut slots[slot..next]);
            transform.transform(&step, WholeTensor { shape, parameter, update, state, scratch });
            slot = next;
        }
        let next = slot + shared.chain.slots(first + usize::from(whole.is_some()), last, param);
        let count = shared.measuring(last, param).map_or(0, |entry| entry.tensors.len());
        let (slots, later) = slots.split_at_mut(next);
        let slots: Slots<'_, T> = slots[slot..].iter_mut().map(Tensor::data_mut).collect();
        let views: StateViews<'_, T> = later[..count].iter().map(Tensor::data).collect();
        let work = PassWork::All(Work { parameter, start: 0, gradient, pending, slots, views });
        PassOver { subject: subject(numbers), measured, first: first + usize::from(whole.is_some()), from, work }
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
