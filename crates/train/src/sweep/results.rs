//! What a sweep has found.

use std::fmt;
use std::fmt::Write;
use std::io::Error;
use std::path::Path;

use crate::History;
use crate::csv_cell::quoted;
use crate::plot::Plot;
use crate::replace::replace_file;

use super::spread::Spread;

/// The runs of one combination of options, a seed each.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRow<T> {
    pub(super) name: String,
    pub(super) options: T,
    pub(super) runs: Vec<(u64, History)>,
}

impl<T> SweepRow<T> {
    /// The options as text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The options.
    pub fn options(&self) -> &T {
        &self.options
    }

    /// Each seed with what its run has recorded, in the order of the seeds.
    pub fn runs(&self) -> &[(u64, History)] {
        &self.runs
    }

    /// The last value of a column, over the runs.
    pub fn last(&self, column: &str) -> Spread {
        self.of(|history| history.last(column))
    }

    /// A number of each run, over the runs.
    pub fn of(&self, number: impl Fn(&History) -> f64) -> Spread {
        Spread::of(self.runs.iter().map(|(_, history)| number(history)))
    }

    /// The points `(x, y)` of two columns, a curve a run; [`Plot::runs`] draws their mean and spread.
    pub fn curves(&self, x: &str, y: &str) -> Vec<Vec<(f64, f64)>> {
        let curve =
            |history: &History| history.column(x).iter().copied().zip(history.column(y).iter().copied()).collect();
        self.runs.iter().map(|(_, history)| curve(history)).collect()
    }
}

/// All runs of a [`Sweep`](super::Sweep), by options and seed. As text it is a table: a row for each combination, and the
/// last value of each column as mean ± standard deviation over the seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepResults<T> {
    pub(super) rows: Vec<SweepRow<T>>,
}

impl<T> SweepResults<T> {
    /// The combinations, in the order of the sweep.
    pub fn rows(&self) -> &[SweepRow<T>] {
        &self.rows
    }

    /// The first combination that satisfies a condition.
    pub fn find(&self, is_wanted: impl Fn(&T) -> bool) -> Option<&SweepRow<T>> {
        self.rows.iter().find(|row| is_wanted(&row.options))
    }

    /// The combinations that satisfy a condition.
    #[must_use]
    pub fn select(&self, is_wanted: impl Fn(&T) -> bool) -> Self
    where
        T: Clone,
    {
        Self { rows: self.rows.iter().filter(|row| is_wanted(&row.options)).cloned().collect() }
    }

    /// The combination where the mean of a column's last value is lowest: the first of several. `None` if no mean is
    /// finite.
    pub fn lowest(&self, column: &str) -> Option<&SweepRow<T>> {
        self.least(|row| row.last(column).mean)
    }

    /// The combination where the mean of a column's last value is highest: the first of several. `None` if no mean is
    /// finite.
    pub fn highest(&self, column: &str) -> Option<&SweepRow<T>> {
        self.least(|row| -row.last(column).mean)
    }

    /// The combination for which a number is lowest: the first of several. `None` if no number is finite.
    pub fn least(&self, number: impl Fn(&SweepRow<T>) -> f64) -> Option<&SweepRow<T>> {
        let numbers = self.rows.iter().map(|row| (row, number(row)));
        numbers.filter(|(_, number)| number.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(row, _)| row)
    }

    /// Two columns as curves: the mean over the seeds of each combination, with a band of one standard deviation.
    pub fn plot(&self, title: &str, x: &str, y: &str) -> Plot {
        let plot = Plot::new(title).axes(x, y);
        self.rows.iter().fold(plot, |plot, row| plot.runs(&row.name, &row.curves(x, y)))
    }

    /// The names of all columns, in the order in which they first occur.
    fn columns(&self) -> Vec<&str> {
        let mut columns = Vec::new();
        for name in self.rows.iter().flat_map(|row| &row.runs).flat_map(|(_, history)| history.names()) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns
    }

    /// A row for each run as comma-separated values: options, seed, the last value of each column. Numbers are written so
    /// that they are read back exactly.
    pub fn to_csv(&self) -> String {
        let columns = self.columns();
        let mut text = "options,seed".to_owned();
        columns.iter().for_each(|column| text += &format!(",{}", quoted(column)));
        text.push('\n');
        for row in &self.rows {
            for (seed, history) in &row.runs {
                write!(text, "{},{seed}", quoted(&row.name)).expect("a string takes what is written");
                columns.iter().for_each(|column| text += &format!(",{}", history.last(column)));
                text.push('\n');
            }
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

impl<T> fmt::Display for SweepResults<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns();
        let mut table = vec![vec!["options".to_owned()]];
        table[0].extend(columns.iter().map(|column| (*column).to_owned()));
        for row in &self.rows {
            let cells = columns.iter().map(|column| row.last(column).to_string());
            table.push([row.name.clone()].into_iter().chain(cells).collect());
        }
        let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..=columns.len()).map(width).collect();
        for (number, row) in table.iter().enumerate() {
            let start = if number == 0 { "" } else { "\n" };
            write!(f, "{start}{:<1$}", row[0], widths[0])?;
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
        }
        Ok(())
    }
}
