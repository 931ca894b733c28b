//! The columns of a table as one tensor of features.

use std::collections::BTreeMap;

use gradus_graph::{Real, Tensor};

use super::fitted::{Fitted, put_texts, texts};
use super::{Filling, FittedState, Impute, OneHot, Standardize};
use crate::array::FileArray;
use crate::error::{DataError, Problem};
use crate::table::{Categories, Column, Table};

/// Which columns of a table become features, and how; [`TableRecipe::fit`] makes a [`TableEncoder`].
#[derive(Clone, Debug)]
pub struct TableRecipe {
    numbers: Vec<String>,
    categories: Vec<String>,
    filling: Filling,
}

impl Default for TableRecipe {
    fn default() -> Self {
        Self::new()
    }
}

impl TableRecipe {
    /// No columns.
    pub fn new() -> Self {
        Self { numbers: Vec::new(), categories: Vec::new(), filling: Filling::Median }
    }

    /// Columns of numbers: missing values are replaced, then each is standardised.
    #[must_use]
    pub fn numbers(mut self, names: &[&str]) -> Self {
        self.numbers.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Columns of categories: a feature for each category; none of them is 1 where the value is missing.
    #[must_use]
    pub fn categories(mut self, names: &[&str]) -> Self {
        self.categories.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// What takes the place of missing numbers; left out, the median.
    #[must_use]
    pub fn filling(self, filling: Filling) -> Self {
        Self { filling, ..self }
    }

    /// Fits the encoder to the training part.
    ///
    /// # Errors
    /// If a column is not there or of another type, or has no value that is not missing.
    pub fn fit(&self, table: &Table) -> Result<TableEncoder, DataError> {
        let numbers = table.numbers::<f64>(&strs(&self.numbers))?;
        for (place, name) in self.numbers.iter().enumerate() {
            let mut values = numbers.data().iter().skip(place).step_by(self.numbers.len());
            let reason = match values.clone().position(|value| value.is_infinite()) {
                Some(row) => format!("row {row} is infinite"),
                None if values.all(|value| value.is_nan()) => "all of its values are missing".into(),
                None => continue,
            };
            return Err(DataError::new(table.source(), Problem::Column { name: name.clone(), reason }));
        }
        let wrong = |problem| DataError::new(table.source(), problem);
        let scale = match self.numbers.is_empty() {
            true => None,
            false => {
                let fill = Impute::fit(&numbers, self.filling).map_err(wrong)?;
                let scale = Standardize::fit(&fill.transform(&numbers)).map_err(wrong)?;
                Some((fill, scale))
            }
        };
        let categories = self.categories.iter().map(|name| Ok(codes(table, name)?.1.clone()));
        let categories = categories.collect::<Result<Vec<_>, DataError>>()?;
        Ok(TableEncoder { numbers: self.numbers.clone(), scale, columns: self.categories.clone(), categories })
    }
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn codes<'a>(table: &'a Table, name: &str) -> Result<(&'a Tensor<i64>, &'a Categories), DataError> {
    match table.column(name)? {
        Column::Category(codes, categories) => Ok((codes, categories)),
        _ => {
            let reason = "categories are asked for; declare it with `category` when the file is read".into();
            Err(DataError::new(table.source(), Problem::Column { name: name.to_owned(), reason }))
        }
    }
}

/// Turns the columns of a table into one tensor of features, as they were in the table that it was fitted to.
///
/// # Example
/// ```
/// # #[cfg(feature = "csv")] {
/// use gradus_data::{Csv, TableRecipe};
/// let csv = Csv::new();
/// let train = csv.decode(b"age,team,won\n20,red,yes\n,blue,no\n40,red,yes\n")?;
/// let encoder = TableRecipe::new().numbers(&["age"]).categories(&["team"]).fit(&train)?;
/// assert_eq!(encoder.features(), ["age", "team=blue", "team=red"]);
/// let later = csv.decode_as(b"team,age\nblue,30\n", &train.schema().without(&["won"])?)?;
/// assert_eq!(encoder.transform::<f32>(&later)?.data(), [0.0, 1.0, 0.0]);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TableEncoder {
    numbers: Vec<String>,
    scale: Option<(Impute, Standardize)>,
    columns: Vec<String>,
    /// Of each column.
    categories: Vec<Categories>,
}

impl TableEncoder {
    /// The names of the features: numbers by their columns, categories as `column=category`.
    pub fn features(&self) -> Vec<String> {
        let pairs = self.columns.iter().zip(&self.categories);
        let hot = pairs.flat_map(|(column, known)| known.names().iter().map(move |name| format!("{column}={name}")));
        self.numbers.iter().cloned().chain(hot).collect()
    }

    /// The features of a table, `[rows, features]`.
    ///
    /// # Errors
    /// If a column is not there, of another type, or has other categories than it had.
    pub fn transform<T: Real>(&self, table: &Table) -> Result<Tensor<T>, DataError> {
        let numbers = table.numbers::<f64>(&strs(&self.numbers))?;
        let mut parts: Vec<Tensor<T>> = Vec::new();
        if let Some((fill, scale)) = &self.scale {
            parts.push(scale.transform(&fill.transform(&numbers)).cast());
        }
        for (name, known) in self.columns.iter().zip(&self.categories) {
            let (codes, categories) = codes(table, name)?;
            if categories != known {
                let reason =
                    "it has other categories than when the encoder was fitted; read it with that schema".into();
                return Err(DataError::new(table.source(), Problem::Column { name: name.clone(), reason }));
            }
            let hot = OneHot::of(known.len()).transform(codes);
            parts.push(hot.map_err(|problem| DataError::new(table.source(), problem))?);
        }
        match parts.is_empty() {
            true => Ok(Tensor::zeros([table.len(), 0])),
            false => Ok(Tensor::concat(&parts, 1)),
        }
    }
}

impl Fitted for TableEncoder {
    fn to_arrays(&self) -> BTreeMap<String, FileArray> {
        let mut state = FittedState::new();
        if let Some((fill, scale)) = &self.scale {
            state.put("fill", fill);
            state.put("scale", scale);
        }
        for (number, categories) in self.categories.iter().enumerate() {
            state.put(&format!("categories{number}"), categories);
        }
        let mut arrays = state.arrays().clone();
        put_texts(&mut arrays, "numbers", strs(&self.numbers));
        put_texts(&mut arrays, "columns", strs(&self.columns));
        arrays
    }

    fn from_arrays(arrays: &BTreeMap<String, FileArray>) -> Result<Self, Problem> {
        let names = |name| Ok(texts(arrays, name)?.iter().map(str::to_owned).collect::<Vec<String>>());
        let (numbers, columns) = (names("numbers")?, names("columns")?);
        let state = FittedState::from(arrays.clone());
        let scale = match numbers.is_empty() {
            true => None,
            false => {
                let (fill, scale): (Impute, Standardize) = (state.get("fill")?, state.get("scale")?);
                super::fitted::expect_lengths(numbers.len(), fill.values().len())?;
                super::fitted::expect_lengths(numbers.len(), scale.means().len())?;
                Some((fill, scale))
            }
        };
        let categories = (0..columns.len()).map(|number| state.get(&format!("categories{number}")));
        let categories = categories.collect::<Result<_, _>>()?;
        Ok(Self { numbers, scale, columns, categories })
    }
}
