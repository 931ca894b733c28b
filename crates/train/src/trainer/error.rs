//! Why a training run ended before its time.

use std::error::Error;
use std::fmt;

/// Why a training run could not go on. The message says where it was, and what happened there. Parameters, optimizer and
/// history are as the last step that succeeded left them.
#[derive(Debug)]
pub struct TrainError {
    /// The position, or nothing if the run had not begun.
    position: Option<(u64, u64)>,
    cause: Box<dyn Error + Send + Sync>,
}

impl TrainError {
    pub(super) fn before(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { position: None, cause: cause.into() }
    }

    /// `epoch` and `batch` count from 0.
    pub(super) fn at(epoch: u64, batch: u64, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { position: Some((epoch, batch)), cause: cause.into() }
    }

    /// The epoch and the batch, counted from 0; `None` if the run had not begun.
    pub fn position(&self) -> Option<(u64, u64)> {
        self.position
    }
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((epoch, batch)) => write!(f, "epoch {}, batch {}: {}", epoch + 1, batch + 1, self.cause),
            None => self.cause.fmt(f),
        }
    }
}

impl Error for TrainError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}
