//! The progress of long work, on the standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

/// The time, where the system has a clock.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
fn now() -> Option<std::time::Instant> {
    None
}

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
fn now() -> Option<std::time::Instant> {
    Some(std::time::Instant::now())
}

/// What stands on the standard error while steps are done: a bar, the speed, the time left, and a message such as the
/// loss.
///
/// On a terminal one line is drawn again at most ten times a second, and is gone at the end. Elsewhere, in a file or under
/// `TERM=dumb`, there is a new line at each tenth of the work or every ten seconds, whichever comes first, but no two
/// within a second. [`Progress::silent`] writes nothing, and so does a system without a clock (WASM). What cannot be
/// written is left out.
///
/// # Example
/// ```
/// use gradus_train::Progress;
/// let mut progress = Progress::new(100);
/// for step in 0..100 {
///     progress.advance(1, format_args!("loss {:.3}", 1.0 / f64::from(step + 1)));
/// }
/// progress.finish();
/// ```
pub struct Progress {
    total: usize,
    done: usize,
    /// Steps that were done before the clock started.
    before: usize,
    start: Option<std::time::Instant>,
    line: Line,
}

impl Progress {
    /// The progress of that many steps, none of them done.
    pub fn new(total: usize) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
        let style = if stderr().is_terminal() && !dumb { Style::Bar } else { Style::Lines };
        let start = now();
        let style = if start.is_some() { style } else { Style::Silent };
        Self { total, done: 0, before: 0, start, line: Line::new(style, Box::new(stderr())) }
    }

    /// Writes nothing.
    #[must_use]
    pub fn silent(mut self) -> Self {
        self.line.style = Style::Silent;
        self
    }

    /// Begins after that many steps, which an earlier run has done: they do not count for the speed.
    #[must_use]
    pub fn resumed(mut self, done: usize) -> Self {
        (self.done, self.before) = (done, done);
        self
    }

    /// Adds to the number of steps that are done. The message is only made when it is shown.
    pub fn advance(&mut self, steps: usize, message: impl Display) {
        self.done += steps;
        if let Some(start) = self.start {
            self.line.show(self.done, self.before, self.total, start.elapsed(), &message);
        }
    }

    /// Clears the bar; dropping does so too.
    pub fn finish(self) {}
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.line.clear();
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Bar,
    Lines,
    Silent,
}

/// Where progress is shown, and when it was last.
struct Line {
    style: Style,
    output: Box<dyn Write + Send>,
    /// The time since the start, and the tenth of the work.
    shown: Option<(Duration, usize)>,
}

impl Line {
    fn new(style: Style, output: Box<dyn Write + Send>) -> Self {
        Self { style, output, shown: None }
    }

    fn show(&mut self, done: usize, before: usize, total: usize, elapsed: Duration, message: &dyn Display) {
        let tenth = (10 * done).checked_div(total).unwrap_or(0);
        let (last, last_tenth) = self.shown.unwrap_or((Duration::ZERO, (10 * before).checked_div(total).unwrap_or(0)));
        let since = elapsed.saturating_sub(last);
        let due = match self.style {
            Style::Silent => false,
            Style::Bar => self.shown.is_none() || since >= Duration::from_millis(100),
            Style::Lines => since >= Duration::from_secs(10) || tenth > last_tenth && since >= Duration::from_secs(1),
        };
        if !due {
            return;
        }
        self.shown = Some((elapsed, tenth));
        let text = text(done, before, total, elapsed, message, self.style == Style::Bar);
        // What cannot be shown is no reason to stop.
        let _ = match self.style {
            // The terminal cuts what is too long for it, so that there is one line to go back to.
            Style::Bar => write!(self.output, "\r\x1b[?7l{text}\x1b[K\x1b[?7h").and_then(|()| self.output.flush()),
            _ => writeln!(self.output, "{text}"),
        };
    }

    fn clear(&mut self) {
        if self.style == Style::Bar && self.shown.take().is_some() {
            let _ = write!(self.output, "\r\x1b[K").and_then(|()| self.output.flush());
        }
    }
}

/// `[#####     ] 45/90  12.3/s  0:04 left  loss 0.25`
fn text(done: usize, before: usize, total: usize, elapsed: Duration, message: &dyn Display, bar: bool) -> String {
    const CELLS: usize = 24;
    let mut text = String::new();
    if bar {
        let full = (CELLS * done.min(total)).checked_div(total).unwrap_or(0);
        text = format!("[{}{}] ", "#".repeat(full), " ".repeat(CELLS - full));
    }
    text += &format!("{done}/{total}");
    let speed = (done - before) as f64 / elapsed.as_secs_f64();
    if speed.is_finite() && speed > 0.0 {
        text += &format!("  {}  {} left", rate(speed), clock(total.saturating_sub(done) as f64 / speed));
    }
    let message = message.to_string().replace(['\n', '\r'], " ");
    if message.is_empty() { text } else { format!("{text}  {message}") }
}

/// Steps a second, or seconds a step if that is more.
fn rate(speed: f64) -> String {
    match speed {
        speed if speed >= 100.0 => format!("{speed:.0}/s"),
        speed if speed >= 1.0 => format!("{speed:.1}/s"),
        speed => format!("{:.1} s each", 1.0 / speed),
    }
}

/// Seconds as minutes and seconds, or as hours, minutes and seconds.
fn clock(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What a line of that style shows of 100 steps in the given times of a step.
    fn shown(style: Style, milliseconds: u64) -> String {
        let output = Shared::default();
        let mut line = Line::new(style, Box::new(output.clone()));
        for done in 1..=100 {
            line.show(done, 0, 100, Duration::from_millis(milliseconds * done as u64), &format_args!("loss {done}"));
        }
        line.clear();
        let bytes = output.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_file_has_a_line_now_and_then() {
        assert_eq!(shown(Style::Lines, 5), "");
        let tenths = shown(Style::Lines, 200);
        assert_eq!(tenths.lines().count(), 10);
        assert_eq!(tenths.lines().next(), Some("10/100  5.0/s  0:18 left  loss 10"));
        assert_eq!(tenths.lines().last(), Some("100/100  5.0/s  0:00 left  loss 100"));
        // 100 steps of 30 seconds: a line each.
        let slow = shown(Style::Lines, 30_000);
        assert_eq!(slow.lines().count(), 100);
        assert_eq!(slow.lines().next(), Some("1/100  30.0 s each  49:30 left  loss 1"));
        // 20 tenths of a second within a tenth of the work.
        assert_eq!(shown(Style::Lines, 1_500).lines().count(), 20);
    }

    #[test]
    fn a_terminal_has_one_line_that_goes() {
        let bar = shown(Style::Bar, 50);
        assert!(
            bar.starts_with("\r\x1b[?7l[                        ] 1/100  20.0/s  0:05 left  loss 1\x1b[K\x1b[?7h\r"),
            "{bar:?}"
        );
        assert!(bar.ends_with("\r\x1b[K") && !bar.contains('\n'), "{bar:?}");
        assert_eq!(bar.matches("loss").count(), 50);
        assert!(bar.contains("[############            ] 51/100"), "{bar:?}");
    }

    #[test]
    fn silence_is_silent() {
        assert_eq!(shown(Style::Silent, 1000), "");
    }

    #[test]
    fn odd_numbers_of_steps_do_no_harm() {
        let none = Duration::ZERO;
        assert_eq!(text(0, 0, 0, none, &"", true), "[                        ] 0/0");
        assert_eq!(text(5, 0, 3, Duration::from_secs(1), &"a\nb", false), "5/3  5.0/s  0:00 left  a b");
        assert_eq!(text(60, 50, 100, Duration::from_secs(20), &"", false), "60/100  2.0 s each  1:20 left");
        assert_eq!(clock(3_725.0), "1:02:05");
        assert_eq!(clock(f64::INFINITY).chars().last(), Some('5'));
    }
}
