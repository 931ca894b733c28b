//! Refusals of settings without a meaning, for the tests of this crate and of `gradus-minimize`.

#![allow(dead_code)] // Each test has a table of its own, and needs some of the ranges.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What is tried as every setting.
pub(crate) const TRIED: &[f64] = &[f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 0.5, 1.0, 2.0, f64::INFINITY];

/// What of it is taken.
pub(crate) const ANY: &[f64] = &[f64::NEG_INFINITY, -1.0, 0.0, 0.5, 1.0, 2.0, f64::INFINITY];
pub(crate) const FINITE: &[f64] = &[-1.0, 0.0, 0.5, 1.0, 2.0];
pub(crate) const NOT_NEGATIVE: &[f64] = &[0.0, 0.5, 1.0, 2.0];
pub(crate) const POSITIVE: &[f64] = &[0.5, 1.0, 2.0];
pub(crate) const LIMIT: &[f64] = &[0.5, 1.0, 2.0, f64::INFINITY];
pub(crate) const LIMIT_OR_ZERO: &[f64] = &[0.0, 0.5, 1.0, 2.0, f64::INFINITY];
pub(crate) const SHARE: &[f64] = &[0.0, 0.5, 1.0];
pub(crate) const BELOW_ONE: &[f64] = &[0.0, 0.5];
pub(crate) const INSIDE: &[f64] = &[0.5];

/// A setting, what is taken for it, and how it is given.
pub(crate) type Row = (&'static str, &'static [f64], fn(f64));

/// The message and the file of a panic.
pub(crate) fn refusal(work: impl FnOnce()) -> Option<(String, String)> {
    let place = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&place);
    std::panic::set_hook(Box::new(move |info| {
        *seen.lock().unwrap() = info.location().map(|at| at.file().to_owned()).unwrap_or_default();
    }));
    let result = catch_unwind(AssertUnwindSafe(work));
    let _ = std::panic::take_hook();
    let message = *result.err()?.downcast::<String>().expect("a formatted message");
    let place = place.lock().unwrap().clone();
    Some((message, place))
}

/// What is wrong with the refusals of these rows: a value that is taken or refused against the row, or a message that
/// does not name the setting, the value and a line of the file `settings.rs`.
pub(crate) fn faults(table: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, taken, give) in table {
        for &value in TRIED {
            let refused = refusal(|| give(value));
            if taken.contains(&value) != refused.is_none() {
                wrong.push(format!("{name} of {value}: {refused:?}"));
                continue;
            }
            let Some((message, file)) = refused else { continue };
            let (owner, setting) = name.split_once(": ").expect("a name of two parts");
            let named = message.starts_with(&format!("`{owner}`: {setting} must be "))
                || (*taken == NOT_NEGATIVE && message.starts_with("the learning rate must be "));
            if !named || !message.ends_with(&format!(", not {value}")) || !file.ends_with("settings.rs") {
                wrong.push(format!("{name} of {value} in {file}: {message}"));
            }
        }
    }
    wrong
}

/// The settings in the sources of a crate, at least `least` of them, that are neither in the table nor among `free`.
pub(crate) fn missing(crate_folder: &str, least: usize, table: &[Row], free: &[&str]) -> Vec<String> {
    let mut found = BTreeSet::new();
    settings_in(&Path::new(crate_folder).join("src"), &mut found);
    assert!(found.len() > least, "the sources have more settings than {}", found.len());
    let known: BTreeSet<String> =
        table.iter().map(|row| row.0).chain(free.iter().copied()).map(str::to_owned).collect();
    found.difference(&known).cloned().collect()
}

/// The names of the arguments of public functions that are an `f64` or a schedule, `Type::function: argument`.
fn settings_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the sources are here") {
        let path = entry.expect("the sources can be read").path();
        if path.is_dir() {
            settings_in(&path, found);
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("the sources can be read");
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let mut owner = "";
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            if let Some(header) = line.strip_prefix("impl") {
                let header = header.trim_end_matches(" {");
                let of = header.rsplit(' ').next().unwrap_or_default();
                // Functions of traits are public as well; those of this crate's traits take no settings.
                owner = if header.contains(" for ") { "" } else { of.split('<').next().unwrap_or_default() };
            }
            let Some(signature) = line.strip_prefix("    pub fn ").filter(|_| !owner.is_empty()) else { continue };
            let mut signature = signature.to_owned();
            while !signature.contains('{') {
                let Some(line) = lines.next() else { break };
                signature += line.trim();
                signature.push(' ');
            }
            let function: String = signature.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let arguments = signature.split(") -> ").next().unwrap_or_default();
            for argument in arguments.split([',', '(']) {
                let Some((name, kind)) = argument.trim().split_once(": ") else { continue };
                if matches!(kind.trim_end_matches(") {"), "f64" | "impl RateSchedule") {
                    found.insert(format!("{owner}::{function}: {}", name.trim_start_matches("mut ")));
                }
            }
        }
    }
}
