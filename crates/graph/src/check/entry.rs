//! What a suite knows of an op: its row in the table, and the samples on which it is checked.

use std::fmt;

use proptest::strategy::{BoxedStrategy, Strategy};

use super::{Sample, strategies};
use crate::tape::op::Pointwise;

/// An op of a suite: what the table of ops says of it, and a strategy that draws samples of it.
///
/// # Example
/// ```
/// use gradus_graph::check::{Check, Entry, strategies};
/// use gradus_graph::{Pointwise, Real, Var};
///
/// /// x·|x|
/// #[derive(Debug, PartialEq, Eq, Hash)]
/// struct SignedSquare;
///
/// impl Pointwise for SignedSquare {
///     const NAME: &'static str = "signed_square";
///     fn value<T: Real>(&self, x: &[T]) -> T {
///         x[0] * x[0].abs()
///     }
///     fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
///         x[0].abs() * 2.0
///     }
/// }
///
/// let entry = Entry::new("signed_square", "x·|x|", strategies::pointwise(SignedSquare));
/// assert_eq!(entry.name, "signed_square");
/// ```
pub struct Entry {
    /// The op's name.
    pub name: &'static str,
    /// Its formula, in one line.
    pub formula: &'static str,
    pub(crate) samples: BoxedStrategy<Sample>,
    pub(crate) stops: bool,
    /// Where the inputs may lie, if what the op declares is not enough.
    pub domain: Option<&'static str>,
    /// The kinks, if what the op declares is not enough.
    pub kinks: Option<&'static str>,
}

impl Entry {
    /// An op of that name with its formula, checked on what the strategy draws. Each real input must get, in some
    /// samples, a derivative other than zero, if it has one.
    pub fn new(name: &'static str, formula: &'static str, samples: impl Strategy<Value = Sample> + 'static) -> Self {
        Self { name, formula, samples: samples.boxed(), stops: false, domain: None, kinks: None }
    }

    /// A pointwise op, checked within its domain and away from its kinks.
    pub fn pointwise<P: Pointwise>(op: P, formula: &'static str) -> Self {
        Self::new(P::NAME, formula, strategies::pointwise(op))
    }

    /// Where the inputs may lie, in words, where that depends on attributes or is no interval of each input.
    #[must_use]
    pub fn domain(self, domain: &'static str) -> Self {
        Self { domain: Some(domain), ..self }
    }

    /// The kinks with the derivatives that are taken there, in words, where they depend on attributes.
    #[must_use]
    pub fn kinks(self, kinks: &'static str) -> Self {
        Self { kinks: Some(kinks), ..self }
    }

    /// Of an op through which no derivative passes although its values change, as `stop_gradient`: that is what is
    /// checked.
    #[must_use]
    pub fn stops(self) -> Self {
        Self { stops: true, ..self }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.formula)
    }
}
