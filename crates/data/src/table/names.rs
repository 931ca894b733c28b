//! Columns by their names.

use std::collections::{HashMap, HashSet};

use crate::error::{Problem, listed};

/// Where each of some columns is, found in a time that does not grow with their number.
pub(super) struct Places<'a> {
    names: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Places<'a> {
    pub(super) fn of<S: AsRef<str>>(names: &'a [S]) -> Self {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let places = names.iter().enumerate().map(|(place, &name)| (name, place)).collect();
        Self { names, places }
    }

    /// The place of the column of that name.
    pub(super) fn find(&self, name: &str) -> Result<usize, Problem> {
        self.places.get(name).copied().ok_or_else(|| no_such(name, self.names.iter().copied()))
    }
}

/// The problem that there is no column of a name.
pub(super) fn no_such<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Problem {
    Problem::Column { name: name.to_owned(), reason: format!("there is no such column; there are {}", listed(names)) }
}

/// The first name that has occurred before.
pub(super) fn repeated(names: &[String]) -> Option<&str> {
    let mut seen = HashSet::with_capacity(names.len());
    names.iter().map(String::as_str).find(|&name| !seen.insert(name))
}
