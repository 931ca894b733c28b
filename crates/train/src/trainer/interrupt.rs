//! Ctrl-C as a request to end a run.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether Ctrl-C was pressed, since the handler was set.
static PRESSED: AtomicBool = AtomicBool::new(false);

/// Sets the handler of this process, if it has none of this kind, and returns the question whether Ctrl-C was pressed. A
/// second Ctrl-C ends the process at once, with the status 130 of a shell.
///
/// # Errors
/// If another handler is set.
pub(super) fn pressed() -> Result<impl Fn() -> bool, String> {
    static HANDLER: OnceLock<Result<(), String>> = OnceLock::new();
    let set = || {
        ctrlc::set_handler(|| {
            if PRESSED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("Ctrl-C: the batch in progress is finished; press it again to end at once");
        })
        .map_err(|problem| problem.to_string())
    };
    HANDLER.get_or_init(set).clone()?;
    Ok(|| PRESSED.load(Ordering::Relaxed))
}
