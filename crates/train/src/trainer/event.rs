//! What happens in a training run, for those who watch it.

use std::path::Path;

use gradus_graph::{Params, Real};

use super::history::{Ending, History};
use crate::gradients::Gradients;
use crate::statistics::UpdateReport;

/// What a callback of [`Trainer::on_event`](crate::Trainer::on_event) sees. Epochs and batches count from 0, steps from 1.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a, T: Real> {
    /// An epoch begins, or is taken up again at a batch after a resumption.
    EpochStart {
        /// The epoch.
        epoch: u64,
        /// The first batch, 0 unless the run was resumed within the epoch.
        batch: u64,
        /// The number of batches of the epoch, if the iterator knows it.
        batches: Option<u64>,
    },
    /// Loss and gradients of a batch are there; the optimizer has not moved the parameters.
    Gradients {
        /// The epoch.
        epoch: u64,
        /// The batch.
        batch: u64,
        /// The loss and the gradients.
        gradients: Gradients<'a, T>,
        /// The parameters.
        params: &'a Params<T>,
    },
    /// What the step of the optimizer did to the parameters: [`Trainer::watch_updates`](crate::Trainer::watch_updates).
    Updates {
        /// The number of batches since the beginning of the run.
        step: u64,
        /// The statistics.
        report: &'a UpdateReport,
    },
    /// A batch is done. With accumulation the parameters have moved only after the last batch of a group.
    Step {
        /// The epoch.
        epoch: u64,
        /// The batch.
        batch: u64,
        /// The number of batches since the beginning of the run.
        step: u64,
        /// The loss of the batch.
        loss: f64,
        /// The learning rate of the next step of the optimizer.
        learning_rate: f64,
        /// The parameters.
        params: &'a Params<T>,
    },
    /// An epoch, with its validation, is done; its row is the last of the history.
    EpochEnd {
        /// The epoch.
        epoch: u64,
        /// The number of batches since the beginning of the run.
        step: u64,
        /// The history.
        history: &'a History,
        /// The parameters that were evaluated: the averaged ones, if the rule averages.
        params: &'a Params<T>,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// The number of batches since the beginning of the run.
        step: u64,
        /// The file.
        path: &'a Path,
    },
    /// The run has ended; no event follows.
    End {
        /// Why.
        ending: Ending,
        /// The history.
        history: &'a History,
        /// The parameters with which the run ends.
        params: &'a Params<T>,
    },
}
