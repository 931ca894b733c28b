//! A profile as a table.

use std::fmt;

use super::{Profile, ProfileEntry};

/// Lines of a table; the others are summed up.
const LINES: usize = 20;
/// Letters of a name; the ops of a long loop are cut.
const LETTERS: usize = 40;

impl fmt::Display for Profile {
    /// The lines of the program that take the most time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lines, measured) = (self.by_line(), self.entries.iter().map(|entry| entry.seconds).sum::<f64>());
        writeln!(
            f,
            "a run in {}: {} (the units by themselves {}); median of {}",
            self.precision,
            time(self.seconds),
            time(measured),
            self.runs
        )?;
        writeln!(
            f,
            "{:>9} {:>6} {:>6} {:>9} {:>9} {:>6}  op, scope, line",
            "time", "share", "units", "Gop/s", "GB/s", "limit"
        )?;
        let mut line = |entry: &ProfileEntry, what: &str| {
            let rate = |amount: u64| amount as f64 / entry.seconds / 1e9;
            writeln!(
                f,
                "{:>9} {:>5.1}% {:>6} {:>9.2} {:>9.2} {:>5.0}%  {what}",
                time(entry.seconds),
                100.0 * entry.seconds / measured,
                entry.units,
                rate(entry.operations),
                rate(entry.bytes),
                100.0 * self.share_of_limit(entry),
            )
        };
        for entry in lines.iter().take(LINES) {
            line(entry, &entry.place())?;
        }
        if let Some(rest) = lines.get(LINES..).filter(|rest| !rest.is_empty()) {
            let sum = |of: fn(&ProfileEntry) -> u64| rest.iter().map(of).sum::<u64>();
            let entry = ProfileEntry {
                units: rest.iter().map(|entry| entry.units).sum(),
                seconds: rest.iter().map(|entry| entry.seconds).sum(),
                operations: sum(|entry| entry.operations),
                bytes: sum(|entry| entry.bytes),
                product_operations: sum(|entry| entry.product_operations),
                ..rest[0].clone()
            };
            line(&entry, &format!("{} other lines", rest.len()))?;
        }
        write!(
            f,
            "limits: products {:.1} Gop/s; copies {:.1} GB/s in the cache, {:.1} GB/s beyond",
            self.limits.product_rate / 1e9,
            self.limits.bandwidth(0) / 1e9,
            self.limits.bandwidth(u64::MAX) / 1e9
        )
    }
}

impl ProfileEntry {
    /// Op, scope and line, as far as they are there.
    pub(super) fn place(&self) -> String {
        let name = match self.name.char_indices().nth(LETTERS) {
            Some((end, _)) => format!("{}…", &self.name[..end]),
            None => self.name.clone(),
        };
        let parts = [&name, &self.scope, &self.line];
        parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("  ")
    }
}

/// A time in the unit that gives one to three digits before the point.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 1e-3 => format!("{:.2} ms", seconds * 1e3),
        seconds if seconds >= 1e-6 => format!("{:.2} µs", seconds * 1e6),
        seconds => format!("{:.0} ns", seconds * 1e9),
    }
}
