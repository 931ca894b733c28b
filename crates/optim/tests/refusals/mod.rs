//! Refusals of settings without a meaning, for the tests of this crate, of `gradus-nn` and of `gradus-minimize`.

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
    let payload = result.err()?;
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = text.or_else(|| payload.downcast_ref::<String>().cloned()).expect("a message");
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
    let known: Vec<&str> = table.iter().map(|row| row.0).chain(free.iter().copied()).collect();
    let is_known = |setting: &&Setting| known.iter().any(|name| setting.is_called(name));
    found.iter().filter(|setting| !is_known(setting)).map(Setting::name).collect()
}

/// A number, or a schedule, that a public function takes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Setting {
    /// The type, if the function is a method.
    owner: Option<String>,
    function: String,
    argument: String,
}

impl Setting {
    /// `Type::function: argument` or `function: argument`. The methods of options are settings themselves, which the
    /// constructor of the layer refuses: `Layer: method`.
    fn name(&self) -> String {
        let Self { owner, function, argument } = self;
        match owner.as_ref().map(|owner| (owner, owner.strip_suffix("Options"))) {
            Some((_, Some(layer))) => format!("{layer}: {function}"),
            Some((owner, None)) => format!("{owner}::{function}: {argument}"),
            None => format!("{}: {argument}", function.trim_end_matches("_terms")),
        }
    }

    /// Whether a row of the table means this setting. A constructor may go by the name of its type; options may be
    /// those of several layers, `TransformerOptions` of `TransformerEncoder`; and an element stands for a list,
    /// `weights[1]` for `weights`.
    fn is_called(&self, name: &str) -> bool {
        let own = self.name();
        let (owner, setting) = own.split_once(": ").expect("a name of two parts");
        let name = name.split('[').next().unwrap_or_default();
        let Some((called, of)) = name.split_once(": ") else { return false };
        let constructor = owner.strip_suffix("::new") == Some(called);
        let of_options = self.owner.as_ref().is_some_and(|owner| owner.ends_with("Options"));
        setting == of && (owner == called || constructor || (of_options && called.starts_with(owner)))
    }
}

/// The settings of a folder.
fn settings_in(folder: &Path, found: &mut BTreeSet<Setting>) {
    for entry in std::fs::read_dir(folder).expect("the sources are here") {
        let path = entry.expect("the sources can be read").path();
        if path.is_dir() {
            settings_in(&path, found);
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("the sources can be read");
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let mut owner = None;
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            if let Some(header) = line.strip_prefix("impl") {
                // Functions of traits are public as well; those of these crates' traits take no settings.
                owner = if header.contains(" for ") { None } else { Some(type_of(header)) };
            }
            let method = line.strip_prefix("    pub fn ").or(line.strip_prefix("    pub const fn "));
            let method = method.filter(|_| owner.is_some());
            let Some(signature) = line.strip_prefix("pub fn ").or(method) else { continue };
            let mut signature = signature.to_owned();
            while !signature.contains('{') {
                let Some(line) = lines.next() else { break };
                signature += line.trim();
                signature.push(' ');
            }
            let arguments = signature.split(") -> ").next().unwrap_or_default();
            for argument in arguments.split([',', '(']) {
                let Some((name, kind)) = argument.trim().split_once(": ") else { continue };
                if is_setting(kind.trim_end_matches(") {")) {
                    let (owner, function) = (method.and(owner.clone()), word(&signature));
                    found.insert(Setting { owner, function, argument: name.trim_start_matches("mut ").to_owned() });
                }
            }
        }
    }
}

/// The first word of a text.
fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The type of `impl<T> Type<T> {`, from what follows the keyword.
fn type_of(header: &str) -> String {
    let mut depth = 0;
    let generics = header.starts_with('<');
    let end = header.find(|c| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        generics && depth == 0
    });
    word(header[end.map_or(0, |end| end + 1)..].trim_start())
}

/// Whether an argument of that type is a setting.
fn is_setting(kind: &str) -> bool {
    matches!(kind, "f64" | "Option<f64>" | "impl Into<f64>" | "impl Into<Vec<f64>>" | "impl RateSchedule")
}
