//! The training loop.

use std::fmt;
use std::ops::ControlFlow;

use gradus_graph::{Params, Real};
use gradus_optim::Stateful;

use super::batch::{BatchInputs, rows};
use super::error::TrainError;
use super::evaluation::LOSS;
use super::event::Event;
use super::history::{Ending, History};
use super::options::{Callback, Trainer};
use super::state::Position;
use super::watch;
use crate::loss::Loss;
use crate::progress::Progress;
use crate::statistics::Updates;
use crate::{checkpoint, weights};

/// What stands before the names of the scores of the validation.
const VALIDATION: &str = "validation ";
const LEARNING_RATE: &str = "learning rate";

impl<F, T: Real, const N: usize, const M: usize> Trainer<'_, F, N, T, M> {
    /// The columns that the history will have, and whether larger values are better.
    fn columns(&self) -> Vec<(String, bool)> {
        let scores = self.validation.iter().flat_map(|validation| &validation.scores);
        let scores = scores.map(|(name, higher)| (format!("{VALIDATION}{name}"), *higher));
        [(LOSS.to_owned(), false), (LEARNING_RATE.to_owned(), false)].into_iter().chain(scores).collect()
    }

    /// Returns an error if a column that is watched will not be there.
    fn check_columns(&self) -> Result<(), TrainError> {
        let columns = self.columns();
        let watched = self.plateau.iter().map(|(column, _)| ("reduce_on_plateau", column));
        let stopping = self.early_stopping.iter().map(|stopping| ("early_stopping", &stopping.column));
        for (setting, column) in watched.chain(stopping) {
            if !columns.iter().any(|(known, _)| known == column) {
                let known: Vec<String> = columns.iter().map(|(name, _)| format!("`{name}`")).collect();
                let problem = format!(
                    "`Trainer::{setting}` watches `{column}`, which the history does not have; it has {}",
                    known.join(", ")
                );
                return Err(TrainError::before(problem));
            }
        }
        let higher = |column: &String| columns.iter().any(|(name, higher)| name == column && *higher);
        match &self.plateau {
            Some((column, plateau)) if higher(column) != plateau.is_maximizing() => {
                let (more, advice) = match higher(column) {
                    true => ("more", "add `ReduceOnPlateau::maximize`"),
                    false => ("less", "leave out `ReduceOnPlateau::maximize`"),
                };
                let problem =
                    format!("`Trainer::reduce_on_plateau` watches `{column}`, of which {more} is better: {advice}");
                Err(TrainError::before(problem))
            }
            _ => Ok(()),
        }
    }

    /// Returns an error if a run that begins would write into the folder of another, or cannot.
    fn check_folder(&self) -> Result<(), TrainError> {
        let Some(checkpoints) = self.checkpoints.as_ref().filter(|_| self.position.step == 0) else { return Ok(()) };
        checkpoints.create().map_err(TrainError::before)?;
        match checkpoints.latest().map_err(TrainError::before)? {
            Some(path) => Err(TrainError::before(format!(
                "{} is there already, and the folder of checkpoints belongs to one run: continue it by \
                 `Trainer::resume`, or take another folder",
                path.display()
            ))),
            None => Ok(()),
        }
    }

    /// Forgets the best value if another column is watched than before.
    fn forget_other_best(&mut self) {
        let watched = self.early_stopping.as_ref().map(|stopping| &stopping.column);
        if self.position.best.as_ref().map(|(column, _)| column) != watched {
            (self.position.best, self.position.best_params, self.position.waited) = (None, None, 0);
        }
    }

    /// Whether the watched column has not improved for too long.
    fn has_stopped(&self) -> bool {
        self.early_stopping.as_ref().is_some_and(|stopping| self.position.waited > stopping.patience)
    }
}

impl<F, T: Real, const N: usize, const M: usize> Trainer<'_, F, N, T, M>
where
    F: Loss<N, M>,
{
    /// Continues the run of the latest checkpoint in the folder of [`checkpoints`](Self::checkpoints), if there is one:
    /// reads parameters, optimizer, random position, history and position in the data. Returns the number of batches that
    /// are done, `None` if there is no checkpoint. The trainer, the data and the store must be made as they were then.
    ///
    /// # Errors
    /// If no folder was given, or the checkpoint cannot be read or does not fit; nothing was changed then.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_optim::Sgd;
    /// use gradus_train::{Checkpoints, Trainer};
    /// let folder = std::env::temp_dir().join(format!("gradus-resume-{}", std::process::id()));
    /// for epochs in [2, 3] {
    ///     let mut params: Params = Params::new(0);
    ///     let w = params.add("w", Tensor::scalar(1.0));
    ///     let mut trainer = Trainer::new(Sgd::new(0.25), |graph, [x]| (graph.param(&w) * x).square().sum())
    ///         .epochs(epochs)
    ///         .checkpoints(Checkpoints::new(&folder));
    ///     let resumed = trainer.resume(&mut params)?; // the line
    ///     assert_eq!(resumed, if epochs == 2 { None } else { Some(2) });
    ///     trainer.fit(&mut params, |_| [Tensor::scalar(1.0)])?;
    ///     assert_eq!(params.get(&w).item(), 0.5_f32.powi(epochs as i32));
    /// }
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok::<(), gradus_train::TrainError>(())
    /// ```
    pub fn resume(&mut self, params: &mut Params<T>) -> Result<Option<u64>, TrainError> {
        let Some(checkpoints) = &self.checkpoints else {
            return Err(TrainError::before("`Trainer::resume` needs the folder that `Trainer::checkpoints` takes"));
        };
        let Some(path) = checkpoints.latest().map_err(TrainError::before)? else { return Ok(None) };
        let mut parts: Vec<(&str, &mut dyn Stateful<T>)> = vec![
            (STEP, &mut self.step),
            (OPTIMIZER, &mut self.optimizer),
            (ACCUMULATOR, &mut self.accumulator),
            (TRAINER, &mut self.position),
        ];
        parts.extend(self.plateau.as_mut().map(|(_, plateau)| (PLATEAU, plateau as &mut dyn Stateful<T>)));
        checkpoint::load(path, params, &mut parts).map_err(TrainError::before)?;
        Ok(Some(self.position.step))
    }

    /// Trains until all epochs are done or the run is ended, on the batches that the closure gives for each epoch.
    ///
    /// The closure must give the same batches for the same epoch, as `|epoch| train.batches(32).shuffled(7, epoch)` does;
    /// then a resumed run reads what the undisturbed one would have read. It skips what is done by
    /// [`Iterator::nth`]. A later call continues, with more epochs or patience; once all epochs are done it does
    /// nothing. It begins with the parameters that it is given: after early stopping these are the best ones, beside the
    /// optimizer of the last epoch.
    ///
    /// # Errors
    /// If an epoch has no batch, if the iterator gives an error in place of one, if a step, the validation or the
    /// optimizer fails (a gradient is NaN, say), if a checkpoint cannot be written, or if a column is watched that the
    /// history does not have.
    ///
    /// # Panics
    /// Where the closures do, if the shapes do not fit.
    #[track_caller]
    pub fn fit<B, I>(
        &mut self,
        params: &mut Params<T>,
        mut batches: impl FnMut(u64) -> I,
    ) -> Result<&History, TrainError>
    where
        B: BatchInputs<T, N>,
        I: IntoIterator<Item = B>,
    {
        self.check_columns()?;
        self.check_folder()?;
        self.forget_other_best();
        #[cfg(feature = "ctrlc")]
        let _running = self.stops_on_ctrl_c.then(super::interrupt::Running::begin);
        self.position.history.end(None);
        let mut ending = Ending::Finished;
        while self.position.epoch < self.epochs && !self.has_stopped() {
            let batches = batches(self.position.epoch).into_iter();
            if self.run_epoch(params, batches)?.is_break() || self.end_epoch(params)?.is_break() {
                ending = Ending::Interrupted;
                break;
            }
        }
        self.progress = None;
        if self.has_stopped() {
            ending = Ending::Stopped;
        }
        if ending == Ending::Interrupted {
            self.say_how_to_resume();
        } else if let (Some(best), true) =
            (&self.position.best_params, self.early_stopping.as_ref().is_some_and(|stopping| stopping.restore_best))
        {
            *params = best.clone();
        }
        self.position.history.end(Some(ending));
        let event = Event::End { ending, history: &self.position.history, params };
        // The run ends whatever a callback answers.
        let _ = notify(&mut self.callbacks, &event);
        Ok(&self.position.history)
    }

    /// Runs the batches of the epoch that are left.
    #[track_caller]
    fn run_epoch<B: BatchInputs<T, N>>(
        &mut self,
        params: &mut Params<T>,
        mut batches: impl Iterator<Item = B>,
    ) -> Result<ControlFlow<()>, TrainError> {
        let (epoch, done) = (self.position.epoch, self.position.batch);
        let known = batches.size_hint().1.filter(|&most| batches.size_hint().0 == most);
        let limit = self.batches_per_epoch.unwrap_or(usize::MAX);
        let total = known.or(self.batches_per_epoch).map(|known| known.min(limit) as u64);
        if self.show_progress && self.progress.is_none() {
            // Of all epochs, if the number of batches is known; else of this one.
            let steps = total.unwrap_or(done + 1) * self.epochs;
            self.progress = Some(Progress::new(steps as usize).resumed((epoch * total.unwrap_or(1) + done) as usize));
        }
        let mut flow = notify(&mut self.callbacks, &Event::EpochStart { epoch, batch: done, batches: total });
        if let Some(last) = done.checked_sub(1) {
            batches.nth(last as usize);
        }
        while self.position.batch < limit as u64 {
            if flow.is_break() {
                self.save(params)?;
                return Ok(flow);
            }
            let Some(batch) = batches.next() else { break };
            flow = self.run_batch(params, &batch)?;
            if self.stop_when.iter().any(|stop| stop()) {
                flow = ControlFlow::Break(());
            }
        }
        if self.position.batch == 0 {
            return Err(TrainError::at(epoch, 0, "the iterator gave no batch"));
        }
        if flow.is_break() {
            self.save(params)?;
        }
        Ok(flow)
    }

    /// One batch: gradients, and a step of the optimizer if it is due.
    #[track_caller]
    fn run_batch(
        &mut self,
        params: &mut Params<T>,
        batch: &impl BatchInputs<T, N>,
    ) -> Result<ControlFlow<()>, TrainError> {
        let Position { epoch, batch: number, .. } = self.position;
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| TrainError::at(epoch, number, cause);
        let inputs = batch.inputs().map_err(|problem| failed(problem.into()))?;
        let n = rows(&inputs);
        let gradients = self.step.run(params, inputs).map_err(|problem| failed(problem.into()))?;
        let loss = gradients.loss().as_f64();
        let mut flow = ControlFlow::Continue(());
        if !self.callbacks.is_empty() {
            let event = Event::Gradients { epoch, batch: number, gradients: gradients.without_aux(), params };
            flow = notify(&mut self.callbacks, &event);
        }
        let step = self.position.step + 1;
        let updates = self.watch.as_ref().filter(|watch| watch.is_due(step)).map(|_| Updates::new(params));
        if self.position.accumulate == 1 {
            self.optimizer.step(params, &gradients).map_err(|problem| failed(problem.into()))?;
        } else {
            self.accumulator.add(params, &gradients, n as f64).map_err(|problem| failed(problem.into()))?;
            if (number + 1).is_multiple_of(self.position.accumulate) {
                self.accumulator.step(&mut self.optimizer, params).map_err(|problem| failed(problem.into()))?;
            }
        }
        let report = updates.map(|updates| match self.position.accumulate {
            1 => updates.measure(params, gradients.iter()),
            _ => updates.measure(params, []),
        });
        let position = &mut self.position;
        position.loss += loss * n as f64;
        position.rows += n as u64;
        position.batch += 1;
        position.step = step;
        if let Some(progress) = &mut self.progress {
            progress.advance(1, Message { epoch, epochs: self.epochs, loss, history: &position.history });
        }
        // From here on the batch is done, whatever becomes of what is said of it.
        let learning_rate = self.optimizer.learning_rate();
        let logs = &mut self.logs;
        if let (Some(report), Some(watch)) = (&report, &mut self.watch) {
            watch.log(logs, step, report).map_err(|problem| failed(problem.into()))?;
            if notify(&mut self.callbacks, &Event::Updates { step, report }).is_break() {
                flow = ControlFlow::Break(());
            }
        }
        watch::scalar(logs, step, LOSS, loss)
            .and_then(|()| watch::scalar(logs, step, LEARNING_RATE, learning_rate))
            .map_err(|problem| failed(problem.into()))?;
        let event = Event::Step { epoch, batch: number, step, loss, learning_rate, params };
        if notify(&mut self.callbacks, &event).is_break() {
            flow = ControlFlow::Break(());
        }
        if self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.is_due_after_step(step)) {
            self.save(params)?;
        }
        Ok(flow)
    }

    fn step_accumulated(&mut self, params: &mut Params<T>) -> Result<(), TrainError> {
        let Position { epoch, batch, .. } = self.position;
        self.accumulator.step(&mut self.optimizer, params).map_err(|problem| TrainError::at(epoch, batch, problem))
    }

    /// Validation, the row of the history, and what follows from it.
    #[track_caller]
    fn end_epoch(&mut self, params: &mut Params<T>) -> Result<ControlFlow<()>, TrainError> {
        if self.accumulator.weight() > 0.0 {
            self.step_accumulated(params)?;
        }
        let (epoch, step) = (self.position.epoch, self.position.step);
        let mut row = vec![
            (LOSS.to_owned(), self.position.loss / self.position.rows as f64),
            (LEARNING_RATE.to_owned(), self.optimizer.learning_rate()),
        ];
        let averaged = self.optimizer.averaged(params);
        if let Some(validation) = &mut self.validation {
            let scores = (validation.run)(&averaged)
                .map_err(|problem| TrainError::around(epoch, format!("validation: {problem}")))?;
            row.extend(scores.iter().map(|(name, value)| (format!("{VALIDATION}{name}"), value)));
        }
        let columns = self.columns();
        let position = &mut self.position;
        position.history.push(row);
        (position.epoch, position.batch, position.loss, position.rows) = (epoch + 1, 0, 0.0, 0);
        if let Some((column, plateau)) = &mut self.plateau {
            self.optimizer.scale_rate(plateau.report(position.history.last(column)));
        }
        let mut improved = false;
        if let Some(stopping) = &self.early_stopping {
            let value = position.history.last(&stopping.column);
            let higher = columns.iter().any(|(name, higher)| *name == stopping.column && *higher);
            improved = stopping.is_better(value, position.best.as_ref().map(|(_, best)| *best), higher);
            if improved {
                (position.best, position.waited) = (Some((stopping.column.clone(), value)), 0);
                position.best_params = Some(averaged.clone());
            } else {
                position.waited += 1;
            }
        }
        watch::epoch(&mut self.logs, step, &position.history, VALIDATION)
            .map_err(|problem| TrainError::around(epoch, problem))?;
        let event = Event::EpochEnd { epoch, step, history: &position.history, params: &averaged };
        let flow = notify(&mut self.callbacks, &event);
        if let Some(checkpoints) = &self.checkpoints {
            if improved {
                weights::save(checkpoints.best(), &averaged).map_err(|problem| TrainError::around(epoch, problem))?;
            }
            let is_last = self.position.epoch >= self.epochs || self.has_stopped();
            if is_last || flow.is_break() || checkpoints.is_due_after_epoch(epoch) {
                self.save(params)?;
            }
        }
        Ok(flow)
    }

    /// Writes a checkpoint, if there is a folder for it.
    fn save(&mut self, params: &Params<T>) -> Result<(), TrainError> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let step = self.position.step;
        let path = checkpoints.path(step);
        let mut parts: Vec<(&str, &dyn Stateful<T>)> = vec![
            (STEP, &self.step),
            (OPTIMIZER, &self.optimizer),
            (ACCUMULATOR, &self.accumulator),
            (TRAINER, &self.position),
        ];
        parts.extend(self.plateau.as_ref().map(|(_, plateau)| (PLATEAU, plateau as &dyn Stateful<T>)));
        let failed = |problem| TrainError::around(self.position.epoch, problem);
        checkpoint::save(&path, params, &parts).map_err(failed)?;
        checkpoints.prune().map_err(failed)?;
        // A checkpoint between two batches asks nobody whether to go on.
        let _ = notify(&mut self.callbacks, &Event::Checkpoint { step, path: &path });
        Ok(())
    }

    fn say_how_to_resume(&self) {
        let Position { epoch, batch, step, .. } = self.position;
        let place = format!("after {step} batches, in epoch {}, {batch} batches of which are done", epoch + 1);
        match &self.checkpoints {
            Some(checkpoints) => eprintln!(
                "training was interrupted {place}; the checkpoint is {}, from which `Trainer::resume` continues",
                checkpoints.path(step).display()
            ),
            None => eprintln!("training was interrupted {place}; no checkpoint was written, as no folder was given"),
        }
    }
}

const STEP: &str = "step";
const OPTIMIZER: &str = "optimizer";
const ACCUMULATOR: &str = "accumulator";
const TRAINER: &str = "trainer";
const PLATEAU: &str = "plateau";

/// `epoch 3/10  loss 0.2514  validation accuracy 0.9125`
struct Message<'a> {
    epoch: u64,
    epochs: u64,
    loss: f64,
    history: &'a History,
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}/{}  loss {:.4}", self.epoch + 1, self.epochs, self.loss)?;
        for name in self.history.names().filter(|name| name.starts_with(VALIDATION)) {
            write!(f, "  {name} {:.4}", self.history.last(name))?;
        }
        Ok(())
    }
}

/// Tells all callbacks; whether one of them ends the run.
fn notify<T: Real>(callbacks: &mut [Callback<'_, T>], event: &Event<'_, T>) -> ControlFlow<()> {
    let mut flow = ControlFlow::Continue(());
    for callback in callbacks {
        if callback(event).is_break() {
            flow = ControlFlow::Break(());
        }
    }
    flow
}
