//! The walk over the parameters: written once, for every rule.

use gradus_graph::{Param, Params, Real, Tensor};

use crate::chain::{Chain, Part, Placed};
use crate::error::StepError;
use crate::gradients::expect_finite;
use crate::link::{Numbers, Step};
use crate::moved::{Joint, Moved};
use crate::walk::is_large;

/// What a step does about a gradient that is NaN or infinite. In no case does a part of the parameters move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// The step is an error that names the parameter and the element.
    #[default]
    Refuse,
    /// The step changes nothing and is counted in [`Optimizer::skipped`].
    Skip,
    /// The gradients are known to be finite and not looked at, which saves reading them twice: for Adam on parameters
    /// that no cache holds, a fifth of the time. A gradient that is not finite spreads into parameter and state.
    Trust,
}

/// A rule at work: its links, and the state that it keeps for each parameter.
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
    /// The state of each parameter, by its place in the store.
    pub(crate) moved: Vec<Option<Moved<T>>>,
    /// The numbers of the links of the chain that keep theirs for all parameters together.
    pub(crate) numbers: Vec<Numbers>,
    calls: u64,
    /// What whole-tensor links work in.
    scratch: Vec<T>,
}

impl<T: Real> Optimizer<T> {
    /// The optimizer that makes the update that a rule, or a tuple of links and a rule, describes.
    ///
    /// # Panics
    /// If the parts state no learning rate, or more than one.
    #[track_caller]
    pub fn new(part: impl Part) -> Self {
        let chain = Chain::of(part);
        let numbers = chain.links.iter().map(Placed::initial_numbers).collect();
        let (non_finite, rate_factor) = (NonFinite::Refuse, 1.0);
        let (moved, scratch) = (Vec::new(), Vec::new());
        Self { chain, non_finite, steps: 0, skipped: 0, rate_factor, moved, numbers, calls: 0, scratch }
    }

    /// The same optimizer with another answer to gradients that are not finite.
    pub fn on_non_finite(mut self, answer: NonFinite) -> Self {
        self.answer(answer);
        self
    }

    /// Changes the answer to gradients that are not finite.
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

    /// Multiplies all learning rates by the factor from the next step on, in place of an earlier factor: for what is no
    /// function of the step, as [`ReduceOnPlateau`](crate::ReduceOnPlateau). Saved with the state. A factor that makes a
    /// rate NaN, negative or infinite is refused by the next step.
    pub fn scale_rate(&mut self, factor: f64) {
        self.rate_factor = factor;
    }

    /// A number that a link keeps for all parameters together, by its name in [`State`](crate::State).
    ///
    /// # Example
    /// ```
    /// use gradus_optim::{LossScale, Optimizer, Sgd};
    /// let optimizer = Optimizer::<f32>::new((LossScale::dynamic(), Sgd::new(0.1)));
    /// assert_eq!(optimizer.number("loss_scale"), Some(65536.0));
    /// assert_eq!(optimizer.number("momentum"), None);
    /// ```
    pub fn number(&self, name: &str) -> Option<f64> {
        let joint = self.chain.links.iter().zip(&self.numbers).filter(|(placed, _)| placed.is_joint());
        joint
            .into_iter()
            .find_map(|(placed, numbers)| placed.numbers.iter().position(|own| own == name).map(|place| numbers[place]))
    }

    /// Moves the parameters once. Trainable parameters without a gradient stay where they are.
    ///
    /// The gradients are pairs of references: `list.iter().zip(&gradients)` for two slices. After its first step the
    /// optimizer allocates nothing; the result is the same, to the bit, with any number of threads.
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
        gradients: impl IntoIterator<Item = (&'a Param, &'a Tensor<T>), IntoIter: Clone + Send>,
    ) -> Result<(), StepError> {
        let gradients = gradients.into_iter();
        self.admit(params)?;
        let large = self.check(params, gradients.clone())?;
        self.expect_rates(gradients.clone())?;
        let threads = large && rayon::current_num_threads() > 1;
        if threads && rayon::current_thread_index().is_none() {
            // Enters the pool once, not once a tensor.
            return rayon::join(|| self.advance(params, gradients, threads), || ()).0;
        }
        self.advance(params, gradients, threads)
    }

    /// Shows the links what was observed beside the gradients: for [`Sophia`](crate::Sophia), an estimate of the
    /// diagonal of the Hessian. Moves no parameter and is no step.
    ///
    /// # Errors
    /// As [`step`](Self::step), by the name of gradients, and always if one is not finite; nothing has been changed then.
    pub fn observe<'a>(
        &mut self,
        params: &Params<T>,
        observed: impl IntoIterator<Item = (&'a Param, &'a Tensor<T>), IntoIter: Clone>,
    ) -> Result<(), StepError> {
        let observed = observed.into_iter();
        self.admit(params)?;
        self.check(params, observed.clone())?;
        expect_finite(self.steps + 1, observed.clone())?;
        for (param, tensor) in observed {
            let moved = self.moved[param.index()].as_mut().expect(ADMITTED);
            for (_, slots, placed) in self.chain.links_of(param) {
                placed.link.observe(tensor.data(), &mut moved.slots[slots]);
            }
        }
        Ok(())
    }

    /// The parameters to evaluate or keep, where a link says that these are others than those in training: averages,
    /// as those of [`ScheduleFree`](crate::ScheduleFree). The others are as they are.
    pub fn averaged(&self, params: &Params<T>) -> Params<T> {
        let mut averaged = params.clone();
        let (done, rate_factor) = (self.steps.saturating_sub(1), self.rate_factor);
        let (chain, numbers, total) = (&self.chain, &self.numbers[..], Numbers::default());
        let joint = Joint { chain, done, rate_factor, numbers, total, threads: false };
        for moved in self.moved.iter().flatten() {
            for (link, slots, placed) in self.chain.links_of(&moved.param) {
                let step = joint.step(link, &moved.numbers, moved.told(&joint, moved.steps), total);
                if let Some(value) = placed.link.averaged(&step, averaged.get(&moved.param), &moved.slots[slots]) {
                    averaged.set(&moved.param, value);
                }
            }
        }
        averaged
    }

    /// Makes the state of trainable parameters that have none.
    fn admit(&mut self, params: &Params<T>) -> Result<(), StepError> {
        if self.moved.len() < params.len() {
            self.moved.resize_with(params.len(), || None);
        }
        let mut news = false;
        for param in params.trainable() {
            match &self.moved[param.index()] {
                Some(moved) if moved.param == *param => {}
                Some(_) => return Err(StepError::Unknown(param.clone())),
                None => {
                    self.moved[param.index()] = Some(Moved::new(&self.chain, param, params.get(param))?);
                    news = true;
                }
            }
        }
        if let Some(number) = news.then(|| self.chain.empty_group(params)).flatten() {
            return Err(StepError::EmptyGroup(number));
        }
        Ok(())
    }

    /// Whether each gradient has its parameter; gives whether one is large.
    fn check<'a>(
        &mut self,
        params: &Params<T>,
        gradients: impl Iterator<Item = (&'a Param, &'a Tensor<T>)>,
    ) -> Result<bool, StepError> {
        self.calls += 1;
        let mut large = false;
        for (param, gradient) in gradients {
            if params.find(param.name()) != Some(param) {
                return Err(StepError::Unknown(param.clone()));
            }
            let moved = self.moved[param.index()].as_mut().filter(|_| params.is_trainable(param));
            let moved = moved.ok_or_else(|| StepError::Frozen(param.clone()))?;
            if std::mem::replace(&mut moved.call, self.calls) == self.calls {
                return Err(StepError::Twice(param.clone()));
            }
            if gradient.shape() != param.shape() {
                return Err(StepError::Shape(param.clone(), gradient.shape().clone()));
            }
            large |= is_large(gradient.len());
        }
        Ok(large)
    }

    /// Whether all learning rates of this step can be used.
    fn expect_rates<'a>(&self, gradients: impl Iterator<Item = (&'a Param, &'a Tensor<T>)>) -> Result<(), StepError> {
        for number in 0..self.chain.rate_count() {
            self.expect_rate(number, 1.0)?;
        }
        for (param, _) in gradients {
            let (number, factor) = self.moved[param.index()].as_ref().expect(ADMITTED).rate;
            if factor != 1.0 {
                self.expect_rate(number, factor)?;
            }
        }
        Ok(())
    }

    fn expect_rate(&self, number: usize, factor: f64) -> Result<(), StepError> {
        let (rate, factor) = (self.chain.rate(number, self.steps), factor * self.rate_factor);
        if rate >= 0.0 && factor >= 0.0 && T::of(factor * rate).is_finite() {
            return Ok(());
        }
        let schedule = self.chain.schedule_name(number);
        Err(StepError::LearningRate { rate, factor, schedule, step: self.steps + 1 })
    }

    /// The step proper, once names and shapes are known to be right.
    fn advance<'a>(
        &mut self,
        params: &mut Params<T>,
        gradients: impl Iterator<Item = (&'a Param, &'a Tensor<T>)> + Clone,
        threads: bool,
    ) -> Result<(), StepError> {
        let (done, rate_factor) = (self.steps, self.rate_factor);
        let mut total = Numbers::default();
        // What a link measures of all parameters is joined parameter by parameter.
        let join = |chain: &Chain<T>, link: usize, total, sums| match chain.links.get(link) {
            Some(placed) if placed.is_joint() => placed.link.join(total, sums),
            _ => total,
        };
        let measures = self.chain.links.first().is_some_and(|placed| placed.link.measures().is_some());
        if measures || self.non_finite != NonFinite::Trust {
            let (chain, numbers) = (&self.chain, &self.numbers[..]);
            let joint = Joint { chain, done, rate_factor, numbers, total, threads };
            for (param, gradient) in gradients.clone() {
                let moved = self.moved[param.index()].as_mut().expect(ADMITTED);
                let finite = moved.look(&joint, params.get(param).data(), gradient.data());
                if !finite && self.non_finite != NonFinite::Trust {
                    return self.refuse(gradients);
                }
                total = join(chain, 0, total, moved.sums);
            }
        }
        let count = self.chain.links.len();
        let mut first = 0;
        loop {
            let last = self.chain.pass_from(first);
            if let Some(placed) = self.chain.links.get(first).filter(|placed| placed.is_joint()) {
                let learning_rate = rate_factor * self.chain.rate(self.chain.rate_with(first), done);
                let (number, numbers) = (done + 1, &mut self.numbers[first]);
                let scaled = placed.scaled;
                let step = Step { number, learning_rate, scaled, stream: 0, measured: total, numbers: *numbers };
                placed.link.settle(&step, numbers);
            }
            let (chain, numbers) = (&self.chain, &self.numbers[..]);
            let joint = Joint { chain, done, rate_factor, numbers, total, threads };
            let mut next_total = Numbers::default();
            for (param, gradient) in gradients.clone() {
                let moved = self.moved[param.index()].as_mut().expect(ADMITTED);
                if first == 0 {
                    moved.steps += 1;
                }
                let value = params.get_mut(param).data_mut();
                moved.pass(&joint, (first, last), value, gradient.data(), &mut self.scratch);
                next_total = join(chain, last, next_total, moved.sums);
            }
            if last >= count {
                break;
            }
            (first, total) = (last, next_total);
        }
        self.steps += 1;
        Ok(())
    }

    /// The answer to a gradient that is not finite.
    #[cold]
    fn refuse<'a>(&mut self, gradients: impl Iterator<Item = (&'a Param, &'a Tensor<T>)>) -> Result<(), StepError> {
        let mut skip = self.non_finite == NonFinite::Skip;
        for (placed, numbers) in self.chain.links.iter().zip(&mut self.numbers) {
            skip |= placed.link.refused(numbers);
        }
        if skip {
            self.skipped += 1;
            return Ok(());
        }
        expect_finite(self.steps + 1, gradients)
    }
}

const ADMITTED: &str = "every parameter with a gradient was admitted";
