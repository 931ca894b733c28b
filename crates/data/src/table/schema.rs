//! The names and types of the columns of a table.

use std::collections::HashSet;

use super::Categories;
use super::names::Places;
use crate::error::{Problem, listed, quoted};

/// The type of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnType {
    /// Numbers, of which some may be missing.
    Number,
    /// Integers.
    Integer,
    /// One of these categories, or missing.
    Category(Categories),
    /// Texts as they are.
    Text,
}

/// The columns of a table, in order. Kept with a model, it reads a later file in the same way.
///
/// # Example
/// ```
/// # #[cfg(feature = "csv")] {
/// use gradus_data::{Column, Csv};
/// let csv = Csv::new();
/// let train = csv.decode(b"size,price\nsmall,3.5\nlarge,7\n")?;
/// let schema = train.schema().without(&["price"])?;
/// let later = csv.decode_as(b"price,size\n?,large\n", &schema)?;
/// assert_eq!(later.labels("size")?.data(), [0]);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schema {
    /// Name, type, and why it is no number, if that was guessed.
    pub(super) columns: Vec<(String, ColumnType, Option<String>)>,
}

impl PartialEq for Schema {
    /// Equal names and types in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.columns().eq(other.columns())
    }
}

impl Schema {
    pub(crate) fn of(columns: Vec<(String, ColumnType, Option<String>)>) -> Self {
        Self { columns }
    }

    /// The names and types in order.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (&str, &ColumnType)> {
        self.columns.iter().map(|(name, column_type, _)| (name.as_str(), column_type))
    }

    /// The categories of the column of that name, if it has any.
    pub fn categories(&self, name: &str) -> Option<&Categories> {
        self.columns().find_map(|(known, column_type)| match column_type {
            ColumnType::Category(categories) if known == name => Some(categories),
            _ => None,
        })
    }

    /// The columns of these names alone, in this order.
    ///
    /// # Errors
    /// If one is not there.
    pub fn only(&self, names: &[&str]) -> Result<Self, Problem> {
        let places = self.find(names)?;
        Ok(Self { columns: places.into_iter().map(|place| self.columns[place].clone()).collect() })
    }

    /// All columns but these: without the targets, say, which new data do not have.
    ///
    /// # Errors
    /// If one is not there.
    pub fn without(&self, names: &[&str]) -> Result<Self, Problem> {
        let without: HashSet<usize> = self.find(names)?.into_iter().collect();
        let columns = self.columns.iter().enumerate().filter(|(place, _)| !without.contains(place));
        Ok(Self { columns: columns.map(|(_, column)| column.clone()).collect() })
    }

    /// Where the columns of these names are.
    fn find(&self, names: &[&str]) -> Result<Vec<usize>, Problem> {
        let known: Vec<&str> = self.columns.iter().map(|(name, ..)| name.as_str()).collect();
        let places = Places::of(&known);
        let no_such = |name| {
            let known = listed(known.iter().copied());
            Problem::Other(format!("there is no column {}; there are {known}", quoted(name)))
        };
        names.iter().map(|name| places.find(name).map_err(|_| no_such(name))).collect()
    }
}
