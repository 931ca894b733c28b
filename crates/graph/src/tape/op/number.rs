//! Real attributes of ops.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use crate::real::Real;

/// A real attribute of an op: a number that can be compared and hashed, by its bits.
#[derive(Clone, Copy)]
pub struct Number(pub f64);

impl Number {
    /// The number in the precision of a run.
    #[inline(always)]
    pub fn real<T: Real>(self) -> T {
        T::of(self.0)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Debug for Number {
    /// As Rust source, so that the printed form of an op can be pasted into a program.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Number({:?})", self.0)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(value)
    }
}
