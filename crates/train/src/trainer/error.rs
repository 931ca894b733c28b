//! Why a training run ended before its time.

use std::error::Error;
use std::fmt;

/// Why a training run could not go on. The message says where it was, and what happened there. Parameters, optimizer and
/// history are as the last step that succeeded left them.
pub struct TrainError {
    epoch: Option<u64>,
    batch: Option<u64>,
    cause: Box<dyn Error + Send + Sync>,
}

impl TrainError {
    pub(super) fn before(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { epoch: None, batch: None, cause: cause.into() }
    }

    /// What went wrong around an epoch, which counts from 0, not in one of its batches.
    pub(super) fn around(epoch: u64, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { epoch: Some(epoch), batch: None, cause: cause.into() }
    }

    /// `epoch` and `batch` count from 0.
    pub(super) fn at(epoch: u64, batch: u64, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { epoch: Some(epoch), batch: Some(batch), cause: cause.into() }
    }

    /// The epoch, counted from 0; `None` if the run had not begun.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// The batch, counted from 0; `None` if it was not in a batch, but in the validation or a checkpoint.
    pub fn batch(&self) -> Option<u64> {
        self.batch
    }
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.epoch, self.batch) {
            (Some(epoch), Some(batch)) => write!(f, "epoch {}, batch {}: {}", epoch + 1, batch + 1, self.cause),
            (Some(epoch), None) => write!(f, "epoch {}: {}", epoch + 1, self.cause),
            _ => self.cause.fmt(f),
        }
    }
}

impl fmt::Debug for TrainError {
    /// The message, as `main` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for TrainError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}
