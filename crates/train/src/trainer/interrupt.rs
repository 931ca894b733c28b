//! Ctrl-C as a request to end a run.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether Ctrl-C was pressed since the last run began.
static PRESSED: AtomicBool = AtomicBool::new(false);
/// The number of runs that are in progress.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// A run in progress.
pub(super) struct Running(());

impl Running {
    pub(super) fn begin() -> Self {
        if RUNNING.fetch_add(1, Ordering::Relaxed) == 0 {
            PRESSED.store(false, Ordering::Relaxed);
        }
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sets the handler of this process, if it has none of this kind, and returns the question whether Ctrl-C was pressed. A
/// second Ctrl-C, or one while no run is in progress, ends the process at once, with the status 130 of a shell.
///
/// # Errors
/// If another handler is set.
pub(super) fn pressed() -> Result<impl Fn() -> bool, String> {
    static HANDLER: OnceLock<Result<(), String>> = OnceLock::new();
    let set = || {
        ctrlc::set_handler(|| {
            if RUNNING.load(Ordering::Relaxed) == 0 || PRESSED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("Ctrl-C: the batch in progress is finished; press it again to end at once");
        })
        .map_err(|problem| problem.to_string())
    };
    HANDLER.get_or_init(set).clone()?;
    Ok(|| PRESSED.load(Ordering::Relaxed))
}
