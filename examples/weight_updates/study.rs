//! What all parts share: the size of the study, and the data.

use std::time::Duration;

use gradus::data::{Dataset, Split, digits};

/// How much is run.
pub(crate) struct Study {
    /// Fewer seeds and steps.
    pub(crate) quick: bool,
    /// Whether times are written.
    pub(crate) times: bool,
    pub(crate) digits: Digits,
}

/// The handwritten digits, 8×8 pixels from 0 to 1 as rows of 64, in three parts. Whatever is chosen, a learning rate
/// above all, is chosen on `validation`, and nothing on `test`.
pub(crate) struct Digits {
    pub(crate) train: Dataset,
    pub(crate) validation: Dataset,
    pub(crate) test: Dataset,
}

impl Study {
    pub(crate) fn new(quick: bool, times: bool) -> Self {
        let Split { train, test } = digits::load().reshaped([64]);
        let Split { train, test: validation } = train.split(360, 0);
        Self { quick, times, digits: Digits { train, validation, test } }
    }

    /// One of two sizes.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The seeds of a comparison: five, or two in the quick form.
    pub(crate) fn seeds(&self) -> std::ops::Range<u64> {
        0..self.pick(5, 2)
    }

    /// A duration in three digits, or a dot where times are left out.
    pub(crate) fn time(&self, duration: Duration) -> String {
        let seconds = duration.as_secs_f64();
        match seconds {
            _ if !self.times => "·".to_owned(),
            10.0.. => format!("{seconds:.0} s"),
            0.1..10.0 => format!("{seconds:.2} s"),
            1e-3..0.1 => format!("{:.1} ms", 1e3 * seconds),
            _ => format!("{:.1} µs", 1e6 * seconds),
        }
    }
}
