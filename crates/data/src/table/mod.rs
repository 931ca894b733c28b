//! Tables: named columns of numbers, integers, categories or texts, as CSV files hold them.

mod categories;
#[cfg(feature = "csv")]
mod csv;
#[cfg(feature = "csv")]
mod guess;
mod names;
#[cfg(feature = "csv")]
mod records;
mod schema;
mod text;

pub use categories::Categories;
#[cfg(feature = "csv")]
pub use csv::{Csv, CsvChunks};
pub use schema::{ColumnType, Schema};
pub use text::Texts;

use std::path::{Path, PathBuf};

use gradus_graph::{Real, Tensor};

use crate::error::{DataError, Problem, quoted};
use names::{Places, no_such, repeated};

/// Named columns with as many values each.
///
/// A table knows the file that it was read from, and its errors name it.
///
/// # Example
/// ```
/// use gradus_data::{Categories, Column, Table};
/// use gradus_graph::Tensor;
/// let table = Table::new([
///     ("height".to_owned(), Column::Number(Tensor::from([1.8, f64::NAN]))),
///     ("age".to_owned(), Column::Integer(Tensor::from([31, 28]))),
///     ("team".to_owned(), Column::Category(Tensor::from([1, 0]), Categories::fit(["blue", "red"]))),
/// ])?;
/// let inputs = table.numbers::<f32>(&["age", "height"])?;
/// assert_eq!(inputs.shape().sizes(), [2, 2]);
/// assert_eq!(inputs.at(&[0, 0]), 31.0);
/// assert_eq!(table.labels("team")?.data(), [1, 0]);
/// # Ok::<(), gradus_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    source: PathBuf,
    names: Vec<String>,
    columns: Vec<Column>,
    /// Why columns are no numbers, where that was guessed.
    notes: Vec<Option<String>>,
    rows: usize,
}

/// The values of a column.
#[derive(Clone, Debug)]
pub enum Column {
    /// Numbers; NaN where a value is missing.
    Number(Tensor<f64>),
    /// Integers, none missing.
    Integer(Tensor<i64>),
    /// The codes of categories; −1 where a value is missing.
    Category(Tensor<i64>, Categories),
    /// Texts; a missing one is empty.
    Text(Texts),
}

impl Column {
    /// The number of values.
    #[allow(clippy::len_without_is_empty)] // A column is as long as its table.
    pub fn len(&self) -> usize {
        match self {
            Self::Number(values) => values.len(),
            Self::Integer(values) | Self::Category(values, _) => values.len(),
            Self::Text(texts) => texts.len(),
        }
    }

    /// The type of the values, with the categories.
    pub fn column_type(&self) -> ColumnType {
        match self {
            Self::Number(_) => ColumnType::Number,
            Self::Integer(_) => ColumnType::Integer,
            Self::Category(_, categories) => ColumnType::Category(categories.clone()),
            Self::Text(_) => ColumnType::Text,
        }
    }

    fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Number(values) => Self::Number(values.select_rows(rows)),
            Self::Integer(values) => Self::Integer(values.select_rows(rows)),
            Self::Category(codes, categories) => Self::Category(codes.select_rows(rows), categories.clone()),
            Self::Text(texts) => Self::Text(rows.iter().map(|&row| texts.get(row)).collect()),
        }
    }
}

impl Table {
    /// The table of these columns.
    ///
    /// # Errors
    /// If the columns differ in length, or two have the same name.
    pub fn new(columns: impl IntoIterator<Item = (String, Column)>) -> Result<Self, DataError> {
        let (names, columns): (Vec<String>, Vec<Column>) = columns.into_iter().unzip();
        let rows = columns.first().map_or(0, Column::len);
        let wrong = |reason| DataError::new(Path::new("a table"), Problem::Other(reason));
        if let Some(k) = columns.iter().position(|column| column.len() != rows) {
            let (first, other) = (quoted(&names[0]), quoted(&names[k]));
            return Err(wrong(format!("column {first} has {rows} values, and {other} has {}", columns[k].len())));
        }
        if let Some(name) = repeated(&names) {
            return Err(wrong(format!("two columns are named {}", quoted(name))));
        }
        let notes = vec![None; columns.len()];
        Ok(Self { source: "a table".into(), names, columns, notes, rows })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The names of the columns in their order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The names and types of the columns, with the categories: what a later file must have to be read in the same way.
    pub fn schema(&self) -> Schema {
        let types = self.names.iter().zip(&self.columns).zip(&self.notes);
        Schema::of(types.map(|((name, column), note)| (name.clone(), column.column_type(), note.clone())).collect())
    }

    /// The file that it was read from.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    fn wrong(&self, problem: Problem) -> DataError {
        DataError::new(&self.source, problem)
    }

    fn find(&self, name: &str) -> Result<usize, DataError> {
        let place = self.names.iter().position(|known| known == name);
        place.ok_or_else(|| self.wrong(no_such(name, self.names.iter().map(String::as_str))))
    }

    /// The column of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn column(&self, name: &str) -> Result<&Column, DataError> {
        Ok(&self.columns[self.find(name)?])
    }

    /// Columns of numbers and integers side by side, `[rows, columns]`; NaN where a value is missing.
    ///
    /// # Errors
    /// If there is no such column, or it has categories or texts.
    pub fn numbers<T: Real>(&self, names: &[&str]) -> Result<Tensor<T>, DataError> {
        let mut values = vec![T::zero(); self.rows * names.len()];
        let known = Places::of(&self.names);
        for (place, name) in names.iter().enumerate() {
            let column = known.find(name).map_err(|problem| self.wrong(problem))?;
            let cells = values.iter_mut().skip(place).step_by(names.len());
            match &self.columns[column] {
                Column::Number(numbers) => {
                    cells.zip(numbers.data()).for_each(|(cell, &number)| *cell = T::of(number));
                }
                Column::Integer(integers) => {
                    cells.zip(integers.data()).for_each(|(cell, &integer)| *cell = T::of(integer as f64));
                }
                other => {
                    let kind = if matches!(other, Column::Category(..)) { "categories" } else { "texts" };
                    let why = self.notes[column].as_ref().map(|note| format!(", since {note}")).unwrap_or_default();
                    let reason = format!("numbers are asked for, and it holds {kind}{why}");
                    return Err(self.wrong(Problem::Column { name: (*name).to_owned(), reason }));
                }
            }
        }
        Ok(Tensor::new([self.rows, names.len()], values))
    }

    /// The integers or the codes of categories of a column, `[rows]`.
    ///
    /// # Errors
    /// If there is no such column, it has numbers or texts, or a value is missing.
    pub fn labels(&self, name: &str) -> Result<Tensor<i64>, DataError> {
        let wrong = |reason: String| self.wrong(Problem::Column { name: name.to_owned(), reason });
        match self.column(name)? {
            Column::Integer(integers) => Ok(integers.clone()),
            Column::Category(codes, _) => match codes.data().iter().position(|&code| code < 0) {
                None => Ok(codes.clone()),
                Some(row) => Err(wrong(format!("labels are asked for, and the one of row {row} is missing"))),
            },
            Column::Number(_) => Err(wrong(
                "labels are asked for, and it holds numbers; declare it with `integer` or `category` when the file is \
                 read"
                    .into(),
            )),
            Column::Text(_) => Err(wrong(
                "labels are asked for, and it holds texts; declare it with `category` when the file is read".into(),
            )),
        }
    }

    /// The rows of these numbers, in this order.
    ///
    /// # Panics
    /// If there is no such row.
    #[track_caller]
    pub fn select(&self, rows: &[usize]) -> Self {
        if let Some(row) = rows.iter().find(|&&row| row >= self.rows) {
            panic!("`Table::select`: row {row} of a table of {} rows", self.rows);
        }
        let columns = self.columns.iter().map(|column| column.select(rows)).collect();
        Self { columns, rows: rows.len(), ..self.clone() }
    }
}
