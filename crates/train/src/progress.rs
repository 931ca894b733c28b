//! A progress bar for long work.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `steps` steps, with the time left and a message; silent when the standard error is not a terminal.
///
/// # Example
/// ```
/// let bar = gradus_train::progress(100);
/// bar.set_message("loss 0.25");
/// bar.inc(1);
/// bar.finish_and_clear();
/// ```
pub fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {elapsed}, {eta} left  {msg}");
    ProgressBar::new(steps as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
