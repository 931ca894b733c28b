//! The values of a training run, one row for each epoch.

use std::fmt;
use std::fmt::Write;
use std::io::Error;
use std::path::Path;

use crate::csv_cell::quoted;
use crate::plot::Plot;
use crate::replace::replace_file;

/// Why a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// The watched value has not improved for too long: [`EarlyStopping`](crate::EarlyStopping).
    Stopped,
    /// A callback or [`Trainer::stop_when`](crate::Trainer::stop_when) ended it.
    Interrupted,
}

/// Named values of each epoch: `loss`, `learning rate`, and what the validation gives.
///
/// It prints as a table. It holds no times, so that two runs of one program have equal histories: an epoch without a value
/// equals another without it.
///
/// # Example
/// ```
/// use gradus_train::History;
/// let mut history = History::default();
/// history.push([("loss", 0.75), ("validation accuracy", 0.5)]);
/// history.push([("loss", 0.25), ("validation accuracy", 0.875)]);
/// assert_eq!(history.column("loss"), [0.75, 0.25]);
/// assert_eq!(history.to_csv(), "epoch,loss,validation accuracy\n1,0.75,0.5\n2,0.25,0.875\n");
/// ```
#[derive(Clone, Debug, Default)]
pub struct History {
    names: Vec<String>,
    /// One for each name; NaN where an epoch has no value of it.
    columns: Vec<Vec<f64>>,
    epochs: usize,
    ending: Option<Ending>,
}

impl History {
    /// Adds the values of an epoch.
    pub fn push<S: Into<String>>(&mut self, row: impl IntoIterator<Item = (S, f64)>) {
        self.epochs += 1;
        for (name, value) in row {
            let name = name.into();
            let number = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
                self.names.push(name);
                self.columns.push(Vec::new());
                self.columns.len() - 1
            });
            self.columns[number].resize(self.epochs - 1, f64::NAN);
            self.columns[number].push(value);
        }
        for column in &mut self.columns {
            column.resize(self.epochs, f64::NAN);
        }
    }

    /// The number of epochs.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// The names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The values of one name, an epoch each; NaN where an epoch has none. Empty if there is no such name.
    pub fn column(&self, name: &str) -> &[f64] {
        self.names.iter().position(|known| known == name).map_or(&[], |number| &self.columns[number])
    }

    /// The latest value of a name; NaN if there is none.
    pub fn last(&self, name: &str) -> f64 {
        self.column(name).last().copied().unwrap_or(f64::NAN)
    }

    /// The points `(epoch, value)` of a column, epochs counted from 1, to draw them.
    pub fn points(&self, name: &str) -> Vec<(f64, f64)> {
        self.column(name).iter().enumerate().map(|(epoch, &value)| (epoch as f64 + 1.0, value)).collect()
    }

    /// The losses, in training and in validation, over the epochs. To draw other columns: [`points`](Self::points).
    pub fn plot(&self, title: &str) -> Plot {
        let losses = ["loss", "validation loss"].into_iter().filter(|name| !self.column(name).is_empty());
        let plot = Plot::new(title).axes("epoch", "loss");
        losses.fold(plot, |plot, name| {
            plot.line(if name == "loss" { "training" } else { "validation" }, &self.points(name))
        })
    }

    /// Why the run has ended; `None` while it has not.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    pub(crate) fn end(&mut self, ending: Option<Ending>) {
        self.ending = ending;
    }

    /// The table as comma-separated values, epochs counted from 1. Numbers are written so that they are read back
    /// exactly.
    pub fn to_csv(&self) -> String {
        let mut text = "epoch".to_owned();
        for name in &self.names {
            write!(text, ",{}", quoted(name)).expect("a string takes what is written");
        }
        text.push('\n');
        for epoch in 0..self.epochs {
            text += &(epoch + 1).to_string();
            for column in &self.columns {
                write!(text, ",{}", column[epoch]).expect("a string takes what is written");
            }
            text.push('\n');
        }
        text
    }

    /// Writes [`to_csv`](Self::to_csv) to a file, which is complete or not changed.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        replace_file(path, self.to_csv().as_bytes())
    }
}

impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &f64, b: &f64| a == b || a.is_nan() && b.is_nan();
        let columns = self.columns.iter().flatten().zip(other.columns.iter().flatten());
        (self.epochs, self.ending, &self.names) == (other.epochs, other.ending, &other.names)
            && columns.into_iter().all(|(a, b)| same(a, b))
    }
}

impl fmt::Display for History {
    /// A table with a line for each epoch.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |value: f64| match value {
            value if value.is_nan() => "-".to_owned(),
            value if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) => format!("{value:.3e}"),
            value => format!("{value:.4}"),
        };
        let columns: Vec<(&String, Vec<String>)> = self
            .names
            .iter()
            .zip(self.columns.iter().map(|column| column.iter().copied().map(cell).collect()))
            .collect();
        let width = |(name, cells): &(&String, Vec<String>)| {
            cells.iter().chain([*name]).map(|text| text.chars().count()).max().unwrap_or(0).max(9)
        };
        f.write_str("epoch")?;
        for column in &columns {
            write!(f, "  {:>1$}", column.0, width(column))?;
        }
        for epoch in 0..self.epochs {
            write!(f, "\n{:>5}", epoch + 1)?;
            for column in &columns {
                write!(f, "  {:>1$}", column.1[epoch], width(column))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_comes_late_has_its_rows() {
        let mut history = History::default();
        history.push([("loss", 0.5)]);
        history.push([("loss", 0.25), ("a, \"b\"", 3e-7)]);
        history.push::<&str>([]);
        assert_eq!(history.column("loss")[..2], [0.5, 0.25]);
        assert!(history.column("loss")[2].is_nan() && history.column("a, \"b\"")[0].is_nan());
        assert_eq!(history.points("loss")[1], (2.0, 0.25));
        assert!(history.last("none").is_nan());
        assert_eq!(history, history.clone());
        assert_ne!(history, History { epochs: 2, ..history.clone() });
        assert_eq!(history.to_csv(), "epoch,loss,\"a, \"\"b\"\"\"\n1,0.5,NaN\n2,0.25,0.0000003\n3,NaN,NaN\n");
        assert_eq!(
            history.to_string(),
            "epoch       loss     a, \"b\"\n    1     0.5000          -\n    2     0.2500   3.000e-7\n    3          -          -"
        );
    }
    /// A cell is as wide as its widest number.
    #[test]
    fn large_numbers_stay_in_their_columns() {
        let mut history = History::default();
        history.push([("loss", -1.5e-100), ("step", 99999.5)]);
        history.push([("loss", 1.0), ("step", 2.0)]);
        assert_eq!(
            history.to_string(),
            "epoch         loss        step\n    1  -1.500e-100  99999.5000\n    2       1.0000      2.0000"
        );
    }
}
