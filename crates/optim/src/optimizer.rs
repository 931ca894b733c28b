//! The loop over the parameters: written once, for every rule.

use gradus_graph::kernel::parallel::{WORTH, in_team};
use gradus_graph::{Param, Params, Real};

use crate::chain::{Chain, Part};
use crate::division::Division;
use crate::error::StepError;
use crate::gradient::Gradient;
use crate::gradient_checks::check_finite;
use crate::param_state::{LookAt, ParamState, PassOver, SharedStep};
use crate::tensor_pass::{self, shares};
use crate::transform::{Numbers, StepInfo, Sums};

/// How a step handles a gradient that is NaN or infinite. In no case does a part of the parameters move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// The step is an error that names the parameter and the element.
    #[default]
    Refuse,
    /// The step changes nothing and is counted in [`Optimizer::skipped`].
    Skip,
    /// The gradients are known to be finite and not checked, which saves reading them twice: for Adam on parameters
    /// that no cache holds, a fifth of the time. A gradient that is not finite spreads into parameter and state.
    Trust,
}

/// Runs a rule: holds its transforms, and their state for each parameter.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Adam, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, -2.0]));
/// let mut adam = Optimizer::new(Adam::new(0.1));
/// for _ in 0..200 {
///     let gradient = params.get(&x).map(|x| 2.0 * x); // of the sum of squares
///     adam.step(&mut params, [(&x, &gradient)]).unwrap();
/// }
/// assert!(params.get(&x).data().iter().all(|x| x.abs() < 1e-3));
/// assert_eq!(adam.steps(), 200);
/// ```
pub struct Optimizer<T = f32> {
    pub(crate) chain: Chain<T>,
    non_finite: NonFinite,
    pub(crate) steps: u64,
    pub(crate) skipped: u64,
    /// The factor of all learning rates.
    pub(crate) rate_factor: f64,
    /// The state of each parameter, by its index in the store.
    pub(crate) states: Vec<Option<ParamState<T>>>,
    /// The numbers of the transforms of the chain that keep theirs for all parameters together.
    pub(crate) numbers: Vec<Numbers>,
    /// What the transform at the start of the coming pass measured of each parameter, by its index in the store.
    sums: Vec<Sums>,
    calls: u64,
    /// The workspace of the transforms of whole tensors.
    scratch: Vec<T>,
    /// The memory of the list of gradients, and of the lists of parts; empty between steps.
    pairs: Vec<(&'static Param, Gradient<'static, f32>)>,
    looks: Division<LookAt<'static, f32>, (bool, Sums)>,
    passes: Division<PassOver<'static, f32>, Sums>,
}

impl<T: Real> Optimizer<T> {
    /// The optimizer that makes the update that a rule, or a tuple of transforms and a rule, describes.
    ///
    /// # Panics
    /// If the parts state no learning rate, or more than one.
    #[track_caller]
    pub fn new(part: impl Part) -> Self {
        let chain = Chain::of(part);
        let numbers = chain.transforms.iter().map(|entry| entry.initial_numbers).collect();
        let (non_finite, rate_factor) = (NonFinite::Refuse, 1.0);
        let (states, scratch) = (Vec::new(), Vec::new());
        Self {
            chain,
            non_finite,
            steps: 0,
            skipped: 0,
            rate_factor,
            states,
            numbers,
            sums: Vec::new(),
            calls: 0,
            scratch,
            pairs: Vec::new(),
            looks: Division::new(),
            passes: Division::new(),
        }
    }

    /// Sets how gradients that are not finite are handled.
    #[must_use]
    pub fn on_non_finite(mut self, answer: NonFinite) -> Self {
        self.answer(answer);
        self
    }

    /// As [`on_non_finite`](Self::on_non_finite).
    pub(crate) fn answer(&mut self, answer: NonFinite) {
        self.non_finite = answer;
    }

    /// The number of steps that moved the parameters.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The number of steps that were skipped because a gradient was not finite.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The learning rate of the next step; of the first group, if there are several.
    pub fn learning_rate(&self) -> f64 {
        self.rate_factor * self.chain.rate(0, self.steps)
    }

    /// Multiplies all learning rates by the factor from the next step on, instead of an earlier factor: for what is no
    /// function of the step, as [`ReduceOnPlateau`](crate::ReduceOnPlateau). Saved with the state. A factor that makes
    /// a rate NaN, negative or infinite is refused by the next step.
    pub fn scale_rate(&mut self, factor: f64) {
        self.rate_factor = factor;
    }

    /// A number that a transform keeps for all parameters together, by its name in [`SavedState`](crate::SavedState).
    ///
    /// # Example
    /// ```
    /// use gradus_optim::{LossScale, Optimizer, Sgd};
    /// let optimizer = Optimizer::<f32>::new((LossScale::dynamic(), Sgd::new(0.1)));
    /// assert_eq!(optimizer.number("loss_scale"), Some(65536.0));
    /// assert_eq!(optimizer.number("momentum"), None);
    /// ```
    pub fn number(&self, name: &str) -> Option<f64> {
        let shared = self.chain.transforms.iter().zip(&self.numbers).filter(|(entry, _)| entry.is_joint());
        shared
            .into_iter()
            .find_map(|(entry, numbers)| entry.numbers.iter().position(|own| own == name).map(|index| numbers[index]))
    }

    /// Moves the parameters once. Trainable parameters without a gradient stay where they are.
    ///
    /// The gradients are any iterator of pairs of references: `list.iter().zip(&gradients)` for two slices; each is a
    /// tensor or rows of one ([`Gradient`]). After its first step the optimizer allocates nothing; the result is the
    /// same, to the bit, with any number of threads.
    ///
    /// # Errors
    /// If a parameter is unknown, frozen or given twice, if a shape differs, if a learning rate is NaN, negative or
    /// infinite, or if a gradient is not finite (see [`NonFinite`]). Nothing has been changed then.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_optim::{Optimizer, Sgd};
    /// let mut params: Params<f64> = Params::new(0);
    /// let list = [params.add("a", Tensor::from([1.0])), params.add("b", Tensor::from([2.0, 3.0]))];
    /// let mut sgd = Optimizer::new(Sgd::new(0.5));
    /// let gradients = [Tensor::from([1.0]), Tensor::from([0.0, f64::NAN])];
    /// let refused = sgd.step(&mut params, list.iter().zip(&gradients)).unwrap_err();
    /// assert_eq!(refused.to_string(), "the gradient of `b` is NaN at [1] in step 1; no parameter was changed");
    /// assert_eq!(params.get(&list[0]).data(), [1.0]);
    /// ```
    pub fn step<'a>(
        &mut self,
        params: &mut Params<T>,
        gradients: impl IntoIterator<Item = (&'a Param, impl Into<Gradient<'a, T>>)>,
    ) -> Result<(), StepError> {
        let mut pairs: Vec<(&Param, Gradient<'_, T>)> = recycled(std::mem::take(&mut self.pairs));
        pairs.extend(gradients.into_iter().map(|(param, gradient)| (param, gradient.into())));
        let result = self.step_with(params, &pairs);
        self.pairs = recycled(pairs);
        result
    }

    fn step_with(&mut self, params: &mut Params<T>, gradients: &[(&Param, Gradient<'_, T>)]) -> Result<(), StepError> {
        self.admit(params)?;
        self.check_gradients(params, gradients)?;
        self.check_rates(gradients)?;
        let elements = gradients.iter().map(|(_, gradient)| gradient.values().len()).sum();
        if shares(elements) < WORTH || rayon::current_num_threads() < 2 {
            return self.advance(params, gradients, false);
        }
        in_team(|| self.advance(params, gradients, true))
    }

    /// Passes observations beside the gradients to the transforms that average them: for [`Sophia`](crate::Sophia), an
    /// estimate of the diagonal of the Hessian. Moves no parameter and is no step.
    ///
    /// # Errors
    /// As [`step`](Self::step), by the name of gradients, and always if one is not finite; nothing has been changed
    /// then.
    pub fn observe<'a>(
        &mut self,
        params: &Params<T>,
        observed: impl IntoIterator<Item = (&'a Param, impl Into<Gradient<'a, T>>)>,
    ) -> Result<(), StepError> {
        let observed: Vec<(&Param, Gradient<'_, T>)> =
            observed.into_iter().map(|(param, tensor)| (param, tensor.into())).collect();
        self.admit(params)?;
        self.check_gradients(params, &observed)?;
        check_finite(self.steps + 1, &observed)?;
        for (param, tensor) in observed {
            let param_state = self.states[param.index()].as_mut().expect(ADMITTED);
            for (_, slots, entry) in self.chain.transforms_of(param) {
                entry.observe(tensor.dense().data(), &mut param_state.slots[slots]);
            }
        }
        Ok(())
    }

    /// The parameters to evaluate or keep, where these differ from those in training: averages,
    /// as those of [`ScheduleFree`](crate::ScheduleFree). The others are as they are.
    pub fn averaged(&self, params: &Params<T>) -> Params<T> {
        let mut averaged = params.clone();
        let (done, rate_factor) = (self.steps.saturating_sub(1), self.rate_factor);
        let shared = SharedStep { chain: &self.chain, done, rate_factor, numbers: &self.numbers };
        for param_state in self.states.iter().flatten() {
            for (transform, slots, entry) in self.chain.transforms_of(&param_state.param) {
                let (numbers, info) = (&param_state.numbers, param_state.info(&shared, param_state.steps));
                let step = shared.step(transform, numbers, info, Sums::default());
                let parameter = averaged.get(&param_state.param);
                let value = entry.block().and_then(|block| block.averaged(&step, parameter, &param_state.slots[slots]));
                if let Some(value) = value {
                    averaged.set(&param_state.param, value);
                }
            }
        }
        averaged
    }

    /// Makes the state of trainable parameters that have none.
    fn admit(&mut self, params: &Params<T>) -> Result<(), StepError> {
        if self.states.len() < params.len() {
            self.states.resize_with(params.len(), || None);
        }
        self.sums.resize(self.states.len(), Sums::default());
        let mut news = false;
        for param in params.trainable() {
            match &self.states[param.index()] {
                Some(param_state) if param_state.param == *param => {}
                Some(_) => return Err(StepError::Unknown(param.clone())),
                None => {
                    self.states[param.index()] = Some(ParamState::new(&self.chain, param, params.get(param))?);
                    news = true;
                }
            }
        }
        if let Some(number) = news.then(|| self.chain.empty_group(params)).flatten() {
            return Err(StepError::EmptyGroup(number));
        }
        Ok(())
    }

    /// Checks that each gradient has its parameter.
    fn check_gradients(
        &mut self,
        params: &Params<T>,
        gradients: &[(&Param, Gradient<'_, T>)],
    ) -> Result<(), StepError> {
        self.calls += 1;
        for (place, &(param, gradient)) in gradients.iter().enumerate() {
            if !params.contains(param) {
                return Err(StepError::Unknown(param.clone()));
            }
            let param_state = self.states[param.index()].as_mut().filter(|_| params.is_trainable(param));
            let param_state = param_state.ok_or_else(|| StepError::Frozen(param.clone()))?;
            if std::mem::replace(&mut param_state.call, self.calls) == self.calls {
                return Err(StepError::Twice(param.clone()));
            }
            param_state.place = place;
            if gradient.shape() != param.shape() {
                return Err(StepError::Shape(param.clone(), gradient.shape().clone()));
            }
        }
        Ok(())
    }

    /// Whether all learning rates of this step can be used.
    fn check_rates(&self, gradients: &[(&Param, Gradient<'_, T>)]) -> Result<(), StepError> {
        for number in 0..self.chain.rate_count() {
            self.check_rate(number, 1.0)?;
        }
        for &(param, _) in gradients {
            let (number, factor) = self.states[param.index()].as_ref().expect(ADMITTED).rate;
            if factor != 1.0 {
                self.check_rate(number, factor)?;
            }
        }
        Ok(())
    }

    fn check_rate(&self, number: usize, factor: f64) -> Result<(), StepError> {
        let (rate, factor) = (self.chain.rate(number, self.steps), factor * self.rate_factor);
        if rate >= 0.0 && factor >= 0.0 && T::of(factor * rate).is_finite() {
            return Ok(());
        }
        let schedule = self.chain.schedule_name(number);
        Err(StepError::LearningRate { rate, factor, schedule, step: self.steps + 1 })
    }

    /// Makes the step, once names and shapes are checked; if it `is_shared`, on all threads of the team.
    fn advance(
        &mut self,
        params: &mut Params<T>,
        gradients: &[(&Param, Gradient<'_, T>)],
        is_shared: bool,
    ) -> Result<(), StepError> {
        let (done, rate_factor) = (self.steps, self.rate_factor);
        let measures = self.chain.transforms.first().is_some_and(|entry| entry.measures().is_some());
        if (measures || self.non_finite != NonFinite::Trust)
            && !self.look(params, gradients, is_shared)
            && self.non_finite != NonFinite::Trust
        {
            return self.refuse(gradients);
        }
        for &(param, _) in gradients {
            self.states[param.index()].as_mut().expect(ADMITTED).steps += 1;
        }
        let mut first = 0;
        loop {
            if let Some(entry) = self.chain.transforms.get(first).filter(|entry| entry.is_joint()) {
                // Sums over all parameters are joined parameter by parameter, and each gets the total.
                let of = |&(param, _): &(&Param, _)| self.sums[param.index()];
                let measured = gradients.iter().map(of).fold(Sums::default(), tensor_pass::join);
                gradients.iter().for_each(|(param, _)| self.sums[param.index()] = measured);
                let learning_rate = rate_factor * self.chain.rate(self.chain.rate_with(first), done);
                let (number, numbers) = (done + 1, &mut self.numbers[first]);
                let scaled = entry.scaled;
                let step = StepInfo { number, learning_rate, scaled, stream: 0, measured, numbers: *numbers };
                entry.block().expect("only a transform of blocks measures").update_numbers(&step, numbers);
            }
            let last = self.chain.pass_from(first);
            self.pass(params, gradients, (first, last), is_shared);
            if last >= self.chain.transforms.len() {
                break;
            }
            first = last;
        }
        self.steps += 1;
        Ok(())
    }

    /// Whether all gradients are finite. Keeps what the first transform measures of them.
    fn look(&mut self, params: &Params<T>, gradients: &[(&Param, Gradient<'_, T>)], is_shared: bool) -> bool {
        let Self { chain, numbers, states, sums, looks, .. } = self;
        let shared = SharedStep { chain, done: self.steps, rate_factor: self.rate_factor, numbers };
        let mut list = is_shared.then(|| Division::within(looks));
        let mut is_finite = true;
        for &(param, gradient) in gradients {
            let param_state = states[param.index()].as_ref().expect(ADMITTED);
            let look = param_state.look(&shared, params.get(param).data(), gradient);
            match &mut list {
                Some(list) => list.add(look),
                None => {
                    let (finite, found) = shared.look(look);
                    (is_finite, sums[param.index()]) = (is_finite && finite, found);
                }
            }
        }
        if let Some(done) = list.map(|list| list.run(&|look| shared.look(look))) {
            *looks = done;
            let results = looks.results(|left, right| (left.0 && right.0, tensor_pass::join(left.1, right.1)));
            for ((param, _), (finite, found)) in gradients.iter().zip(results) {
                (is_finite, sums[param.index()]) = (is_finite && finite, found);
            }
        }
        is_finite
    }

    /// Runs the transforms from `first` up to `last` over all parameters. Keeps what the next one measures.
    fn pass(
        &mut self,
        params: &mut Params<T>,
        gradients: &[(&Param, Gradient<'_, T>)],
        (first, last): (usize, usize),
        is_shared: bool,
    ) {
        let Self { chain, numbers, states, sums, scratch, passes, calls, .. } = self;
        let shared = SharedStep { chain, done: self.steps, rate_factor: self.rate_factor, numbers };
        let mut list = is_shared.then(|| Division::within(passes));
        for ((param_state, (_, value)), sums) in states.iter_mut().zip(params.iter_mut()).zip(&mut *sums) {
            let Some(param_state) = param_state.as_mut().filter(|param_state| param_state.call == *calls) else {
                continue;
            };
            let gradient = gradients[param_state.place].1;
            let pass = param_state.begin_pass(&shared, (first, last), *sums, value.data_mut(), gradient, scratch);
            match &mut list {
                Some(list) => list.add(pass),
                None => *sums = shared.pass(last, pass),
            }
        }
        if let Some(done) = list.map(|list| list.run(&|pass| shared.pass(last, pass))) {
            *passes = done;
            let given = states
                .iter()
                .zip(sums)
                .filter(|(param_state, _)| param_state.as_ref().is_some_and(|param_state| param_state.call == *calls));
            for ((_, sums), found) in given.zip(passes.results(tensor_pass::join)) {
                *sums = found;
            }
        }
    }

    /// Skips or refuses a step with a gradient that is not finite.
    #[cold]
    fn refuse(&mut self, gradients: &[(&Param, Gradient<'_, T>)]) -> Result<(), StepError> {
        let mut skip = self.non_finite == NonFinite::Skip;
        for (entry, numbers) in self.chain.transforms.iter().zip(&mut self.numbers) {
            if let Some(update) = &entry.on_non_finite {
                update(numbers);
                skip = true;
            }
        }
        if skip {
            self.skipped += 1;
            return Ok(());
        }
        check_finite(self.steps + 1, gradients)
    }
}

/// The memory of a list of references, for a list of references to others: collecting in place allocates nothing.
fn recycled<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    list.into_iter().map(|_| unreachable!("the list is empty")).collect()
}

const ADMITTED: &str = "every parameter with a gradient was admitted";
