//! The types of columns, guessed from all of their cells.

use std::collections::BTreeSet;

use super::{Categories, ColumnType};
use crate::error::quoted;

/// How many categories a column may have before it is taken as text.
const CATEGORIES: usize = 256;

/// What the cells of a column have been so far.
pub(super) struct Guess {
    /// How many different cells are kept at most.
    limit: usize,
    missing: bool,
    no_integer: bool,
    /// The first cell that is no number.
    word: Option<String>,
    /// The different cells, as long as they are few.
    cells: BTreeSet<String>,
    many: bool,
}

impl Guess {
    pub(super) fn new() -> Self {
        let (missing, no_integer, many) = (false, false, false);
        Self { limit: CATEGORIES, missing, no_integer, word: None, cells: BTreeSet::new(), many }
    }

    /// Of a column that has categories, whatever they look like and however many there are.
    pub(super) fn categories() -> Self {
        Self { limit: usize::MAX, ..Self::new() }
    }

    /// Takes a cell into account; nothing stands for a missing one.
    pub(super) fn see(&mut self, cell: Option<&str>, line: u64) {
        let Some(cell) = cell else {
            self.missing = true;
            return;
        };
        let trimmed = cell.trim();
        if !self.no_integer && trimmed.parse::<i64>().is_err() {
            self.no_integer = true;
        }
        if self.no_integer && self.word.is_none() && trimmed.parse::<f64>().is_err() {
            self.word = Some(format!("line {line} has {}", quoted(cell)));
        }
        if !self.many && !self.cells.contains(cell) {
            self.cells.insert(cell.to_owned());
            self.many = self.cells.len() > self.limit;
            if self.many {
                self.cells.clear();
            }
        }
    }

    /// The type, and why it is no number.
    pub(super) fn column_type(self) -> (ColumnType, Option<String>) {
        let learned = self.limit == usize::MAX;
        let column_type = match (&self.word, self.many) {
            _ if learned => ColumnType::Category(Categories::sorted(self.cells.into_iter().collect())),
            (None, _) if self.no_integer || self.missing => ColumnType::Number,
            (None, _) => ColumnType::Integer,
            (Some(_), false) => ColumnType::Category(Categories::sorted(self.cells.into_iter().collect())),
            (Some(_), true) => ColumnType::Text,
        };
        (column_type, self.word)
    }
}
