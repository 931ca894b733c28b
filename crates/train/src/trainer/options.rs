//! A trainer with its options.

use std::ops::ControlFlow;

use gradus_graph::{Graph, Params, Real, Var};
use gradus_optim::{Accumulator, Optimizer, Part, ReduceOnPlateau};

use super::batch::BatchInputs;
use super::checkpoints::Checkpoints;
use super::early_stopping::EarlyStopping;
use super::error::TrainError;
use super::evaluation::{Evaluation, Scores};
use super::event::Event;
use super::history::History;
use super::state::Position;
use super::watch::{Logs, Watch};
use crate::logs::Logger;
use crate::progress::Progress;
use crate::step::Step;

/// Trains a model: epochs of batches, each a [`Step`] and a step of the optimizer, with what programs put around them.
///
/// It does what a loop in a program would do, no more: the rule has the schedule of the learning rate and the clipping of
/// gradients, the iterator the order of the data, and the closure the mode of the layers. Two runs of one program are
/// equal, bit for bit; so is one that was killed at any moment and [resumed](Self::resume).
///
/// # Example
/// ```
/// use gradus_data::{Split, digits};
/// use gradus_graph::Params;
/// use gradus_nn::{Dense, Dropout, Layer, Mode, Relu, loss};
/// use gradus_optim::AdamW;
/// use gradus_train::{EarlyStopping, Evaluation, Trainer, metrics::Accuracy};
/// let Split { train, test } = digits::load().reshaped([64]);
/// let mut params: Params = Params::new(0);
/// let model = (
///     Dense::new(&mut params, "hidden", 64, 32),
///     Relu,
///     Dropout::new(0.1),
///     Dense::new(&mut params, "output", 32, 10),
/// );
/// let evaluation = Evaluation::new(|_, [images, digits]| {
///     let logits = model.forward_in(images, Mode::Eval);
///     [loss::cross_entropy(logits, digits), logits]
/// });
/// let mut trainer = Trainer::new(AdamW::new(5e-3), |_, [images, digits]| {
///     loss::cross_entropy(model.forward_in(images, Mode::Train), digits)
/// })
/// .epochs(5)
/// .validation(evaluation.metric(Accuracy::new()), || test.batches(360))
/// .early_stopping(EarlyStopping::new("validation loss", 3));
/// let history = trainer.fit(&mut params, |epoch| train.batches(32).shuffled(1, epoch))?;
/// assert!(history.last("validation accuracy") > 0.9, "{history}");
/// # Ok::<(), gradus_train::TrainError>(())
/// ```
#[must_use]
pub struct Trainer<'a, F, const N: usize, T: Real = f32, const M: usize = 0> {
    pub(super) step: Step<F, N, T, M>,
    pub(super) optimizer: Optimizer<T>,
    pub(super) epochs: u64,
    pub(super) batches_per_epoch: Option<usize>,
    pub(super) accumulator: Accumulator<T>,
    pub(super) validation: Option<Validation<'a, T>>,
    pub(super) plateau: Option<(String, ReduceOnPlateau)>,
    pub(super) early_stopping: Option<EarlyStopping>,
    pub(super) checkpoints: Option<Checkpoints>,
    pub(super) callbacks: Vec<Callback<'a, T>>,
    pub(super) stop_when: Vec<Box<dyn Fn() -> bool + 'a>>,
    #[cfg(feature = "ctrlc")]
    pub(super) stops_on_ctrl_c: bool,
    pub(super) logs: Logs<'a>,
    pub(super) watch: Option<Watch>,
    pub(super) show_progress: bool,
    pub(super) progress: Option<Progress>,
    pub(super) position: Position<T>,
}

pub(super) type Callback<'a, T> = Box<dyn FnMut(&Event<'_, T>) -> ControlFlow<()> + 'a>;

pub(super) struct Validation<'a, T: Real> {
    /// The names of the scores, and whether larger ones are better.
    pub(super) scores: Vec<(String, bool)>,
    pub(super) run: Evaluate<'a, T>,
}

type Evaluate<'a, T> = Box<dyn FnMut(&Params<T>) -> Result<Scores, TrainError> + 'a>;

impl<'a, F, T: Real, const N: usize> Trainer<'a, F, N, T>
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> Var<'g>,
{
    /// Trains by a rule the loss that the closure builds, as [`Step::new`] takes it. One epoch, unless
    /// [`epochs`](Self::epochs) sets another number.
    ///
    /// # Panics
    /// As [`Optimizer::new`].
    #[track_caller]
    pub fn new(rule: impl Part, loss: F) -> Self {
        Self::with(Optimizer::new(rule), Step::new(loss))
    }
}

impl<'a, F, T: Real, const N: usize, const M: usize> Trainer<'a, F, N, T, M> {
    /// Trains with an optimizer and a step that were made with options of their own.
    pub fn with(optimizer: Optimizer<T>, step: Step<F, N, T, M>) -> Self {
        Self {
            step,
            optimizer,
            epochs: 1,
            batches_per_epoch: None,
            accumulator: Accumulator::new(),
            validation: None,
            plateau: None,
            early_stopping: None,
            checkpoints: None,
            callbacks: Vec::new(),
            stop_when: Vec::new(),
            #[cfg(feature = "ctrlc")]
            stops_on_ctrl_c: false,
            logs: Vec::new(),
            watch: None,
            show_progress: false,
            progress: None,
            position: Position::default(),
        }
    }

    /// The number of epochs; 1 by default.
    pub fn epochs(self, epochs: u64) -> Self {
        Self { epochs, ..self }
    }

    /// Sets the seed of the random leaves, such as dropout; 0 by default.
    pub fn seed(self, seed: u64) -> Self {
        Self { step: self.step.seed(seed), ..self }
    }

    /// The number of batches after which an epoch ends, for iterators that do not end by themselves.
    ///
    /// # Panics
    /// If the number is 0.
    #[track_caller]
    pub fn batches_per_epoch(self, n: usize) -> Self {
        assert!(n > 0, "`Trainer::batches_per_epoch`: an epoch has at least one batch, not 0");
        Self { batches_per_epoch: Some(n), ..self }
    }

    /// The number of batches whose gradients make one step of the optimizer, weighted by their rows: as one batch with
    /// all of these rows, in the memory of one. An epoch ends with a step. 1 by default.
    ///
    /// # Panics
    /// If the number is 0.
    #[track_caller]
    pub fn accumulate(mut self, n: u64) -> Self {
        assert!(n > 0, "`Trainer::accumulate`: a step takes the gradients of at least one batch, not 0");
        self.position.accumulate = n;
        self
    }

    /// Evaluates the model after each epoch, on the batches that the closure gives. The history has its scores as
    /// `validation loss` and so on. Where the rule averages parameters, the averages are evaluated.
    pub fn validation<E, B, I, const K: usize>(
        mut self,
        mut evaluation: Evaluation<E, K, T>,
        batches: impl Fn() -> I + 'a,
    ) -> Self
    where
        E: for<'g> Fn(&'g Graph, [Var<'g>; K]) -> [Var<'g>; 2] + 'a,
        B: BatchInputs<T, K>,
        I: IntoIterator<Item = B>,
    {
        let scores = evaluation.scores();
        let run = Box::new(move |params: &Params<T>| evaluation.run(params, batches()));
        self.validation = Some(Validation { scores, run });
        self
    }

    /// Reports a column of the history, such as `validation loss`, to a rule that reduces the learning rate.
    pub fn reduce_on_plateau(self, column: impl Into<String>, plateau: ReduceOnPlateau) -> Self {
        Self { plateau: Some((column.into(), plateau)), ..self }
    }

    /// Ends the run when a column of the history has stopped improving.
    pub fn early_stopping(self, early_stopping: EarlyStopping) -> Self {
        Self { early_stopping: Some(early_stopping), ..self }
    }

    /// Writes checkpoints into a folder. [`resume`](Self::resume) reads them.
    pub fn checkpoints(self, checkpoints: Checkpoints) -> Self {
        Self { checkpoints: Some(checkpoints), ..self }
    }

    /// Logs `loss` and `learning rate` after each batch, and the scores of the validation after each epoch, by the number
    /// of batches. A resumed run takes a log that was resumed at the same step.
    pub fn log(mut self, logger: impl Logger + 'a) -> Self {
        self.logs.push(Box::new(logger));
        self
    }

    /// Measures after each `n` batches what the step does to each parameter ([`Updates`](crate::statistics::Updates)): the logs get `weight update`,
    /// `update ratio` and `gradient norm`, of all and of each parameter, callbacks an [`Event::Updates`], and the standard
    /// error a line for each trouble that is new, such as a vanishing gradient. With accumulation, gradients are not
    /// looked at.
    ///
    /// # Panics
    /// If the number is 0.
    #[track_caller]
    pub fn watch_updates(self, n: u64) -> Self {
        assert!(n > 0, "`Trainer::watch_updates`: updates are measured after at least one batch, not 0");
        Self { watch: Some(Watch::new(n)), ..self }
    }

    /// Shows [`Progress`] on the standard error: the epoch, the loss of the latest batch, the scores of the latest
    /// validation, the speed and the time left.
    pub fn progress(self) -> Self {
        Self { show_progress: true, ..self }
    }

    /// Calls a closure for each event, in the order in which the callbacks were given. If one breaks, the batch in
    /// progress is finished, a checkpoint is written, and the run ends.
    pub fn on_event(mut self, callback: impl FnMut(&Event<'_, T>) -> ControlFlow<()> + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Asks a closure after each batch whether to end the run, as a callback that breaks does: for a flag that a handler
    /// of signals sets, or a limit of time.
    pub fn stop_when(mut self, stop: impl Fn() -> bool + 'a) -> Self {
        self.stop_when.push(Box::new(stop));
        self
    }

    /// Ends the run at Ctrl-C: the batch in progress is finished, a checkpoint is written, and a line says how to resume.
    /// A second Ctrl-C ends the process at once, as the first does while no trainer runs. The handler is that of the
    /// process, for all trainers in it, and stays.
    ///
    /// # Panics
    /// If the process has another handler that was set through the crate `ctrlc`.
    #[cfg(feature = "ctrlc")]
    #[track_caller]
    pub fn stop_on_ctrl_c(mut self) -> Self {
        self.stops_on_ctrl_c = true;
        match super::interrupt::pressed() {
            Ok(pressed) => self.stop_when(pressed),
            Err(problem) => panic!("`Trainer::stop_on_ctrl_c`: {problem}"),
        }
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &Optimizer<T> {
        &self.optimizer
    }

    /// The values of the epochs so far.
    pub fn history(&self) -> &History {
        &self.position.history
    }
}
