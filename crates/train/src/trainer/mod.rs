//! The loop over epochs and batches, with validation, early stopping and checkpoints around it.

mod batch;
mod checkpoints;
mod early_stopping;
mod error;
mod evaluation;
mod event;
mod fit;
mod history;
#[cfg(feature = "ctrlc")]
mod interrupt;
mod options;
mod state;
mod watch;

pub use batch::BatchInputs;
pub use checkpoints::Checkpoints;
pub use early_stopping::EarlyStopping;
pub use error::TrainError;
pub use evaluation::{Evaluation, Scores};
pub use event::Event;
pub use history::{Ending, History};
pub use options::Trainer;
