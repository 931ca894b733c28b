//! When training has stopped improving.

use gradus_graph::expect_setting;

/// Ends a run when a value of the [`History`](crate::History) has not improved for some epochs, and gives back the
/// parameters of its best epoch.
///
/// A loss improves when it falls; a metric as [`Score::higher_is_better`](crate::metrics::Score::higher_is_better) has it. A value that is
/// not a number is not better.
///
/// # Example
/// ```
/// use gradus_train::EarlyStopping;
/// let stopping = EarlyStopping::new("validation loss", 5).min_delta(1e-4);
/// # let _ = stopping;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct EarlyStopping {
    pub(super) column: String,
    pub(super) patience: u64,
    pub(super) min_delta: f64,
    pub(super) restore_best: bool,
}

impl EarlyStopping {
    /// Watches the column of the history, such as `loss`, `validation loss` or `validation accuracy`, and ends the run
    /// after more than `patience` epochs in a row that were not better than the best. With `u64::MAX` no run is ended:
    /// the best is kept all the same.
    pub fn new(column: impl Into<String>, patience: u64) -> Self {
        Self { column: column.into(), patience, min_delta: 0.0, restore_best: true }
    }

    /// By how much a better value differs from the best; 0 by default.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn min_delta(self, min_delta: f64) -> Self {
        expect_setting("`EarlyStopping::min_delta`: difference", min_delta, 0.0..);
        Self { min_delta, ..self }
    }

    /// Whether the run ends with the parameters of the best epoch, as it does by default, or with those of the last.
    pub fn restore_best(self, restore_best: bool) -> Self {
        Self { restore_best, ..self }
    }

    /// Whether a value is better than the best so far.
    pub(super) fn is_better(&self, value: f64, best: Option<f64>, higher_is_better: bool) -> bool {
        let sign = if higher_is_better { -1.0 } else { 1.0 };
        !value.is_nan() && best.is_none_or(|best| sign * value < sign * best - self.min_delta)
    }
}
