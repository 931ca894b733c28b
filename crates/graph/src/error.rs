//! What can go wrong, said once and in full.

use std::fmt;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An op does not accept its inputs.
    Op,
    /// A derivative was asked for that does not exist.
    Derivative,
    /// The data that was fed does not fit what the graph declares.
    Feed,
    /// A run met something that it could not know before: an index that the graph computed is out of range.
    Run,
    /// Anomaly mode found a NaN or an infinity.
    Anomaly,
    /// Parameters of a store do not fit what is asked of them.
    Params,
    /// A graph is too large to be drawn.
    Picture,
}

/// An error: one message that names the op, the shapes and the line of the caller.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// The error with the given message: for code that builds on graphs and has its own reasons to refuse.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    /// The message itself, so that a `main` that returns the error prints a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
