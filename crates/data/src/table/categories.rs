//! An ordered list of names, each of which has its place as a code.

use std::sync::Arc;

use gradus_graph::Tensor;

use crate::error::{Problem, listed, quoted};

/// The categories of a column, of labels or of tokens, in a fixed order: the code of a category is its place.
///
/// Kept with a model, they give later data the same codes. Cloning shares the names.
///
/// # Example
/// ```
/// use gradus_data::Categories;
/// let species = Categories::fit(["setosa", "virginica", "setosa", "versicolor"]);
/// assert_eq!(species.names(), ["setosa", "versicolor", "virginica"]);
/// let codes = species.transform(["virginica", "setosa"])?;
/// assert_eq!(codes.data(), [2, 0]);
/// assert_eq!(species.inverse(&codes)?, ["virginica", "setosa"]);
/// let error = species.transform(["rose"]).unwrap_err();
/// assert_eq!(error.to_string(), "`rose` is none of the 3 categories `setosa`, `versicolor`, `virginica`");
/// # Ok::<(), gradus_data::Problem>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Categories {
    names: Arc<Vec<String>>,
    /// The codes in the alphabetical order of their names.
    sorted: Arc<Vec<u32>>,
}

impl Categories {
    /// The categories in this order.
    ///
    /// # Errors
    /// If a name occurs twice.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, Problem> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let mut sorted: Vec<u32> = (0..names.len() as u32).collect();
        sorted.sort_by(|&a, &b| names[a as usize].cmp(&names[b as usize]));
        if let Some(pair) = sorted.windows(2).find(|pair| names[pair[0] as usize] == names[pair[1] as usize]) {
            return Err(Problem::Other(format!("the category {} is given twice", quoted(&names[pair[0] as usize]))));
        }
        Ok(Self { names: Arc::new(names), sorted: Arc::new(sorted) })
    }

    /// The different names that occur, in alphabetical order.
    pub fn fit<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names: Vec<&str> = values.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        Self::sorted(names.into_iter().map(str::to_owned).collect())
    }

    /// Of names that are in order and different.
    pub(crate) fn sorted(names: Vec<String>) -> Self {
        let sorted = (0..names.len() as u32).collect();
        Self { names: Arc::new(names), sorted: Arc::new(sorted) }
    }

    /// The names; the code of each is its place.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of categories.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no categories.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The code of a name, if it is a category.
    pub fn code(&self, name: &str) -> Option<i64> {
        let place = self.sorted.binary_search_by(|&code| self.names[code as usize].as_str().cmp(name)).ok()?;
        Some(i64::from(self.sorted[place]))
    }

    /// The name of a code, if a category has it.
    pub fn name(&self, code: i64) -> Option<&str> {
        self.names.get(usize::try_from(code).ok()?).map(String::as_str)
    }

    /// The codes of these names.
    ///
    /// # Errors
    /// If a name is no category.
    pub fn transform<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Tensor<i64>, Problem> {
        let code = |name: &str| self.code(name).ok_or_else(|| Problem::Other(self.unknown(name)));
        Ok(Tensor::from(names.into_iter().map(code).collect::<Result<Vec<_>, _>>()?))
    }

    /// The names of these codes.
    ///
    /// # Errors
    /// If a code is no category's.
    pub fn inverse(&self, codes: &Tensor<i64>) -> Result<Vec<String>, Problem> {
        let name = |&code: &i64| {
            let unknown = || Problem::Other(format!("{code} is the code of none of the {} categories", self.len()));
            self.name(code).map(str::to_owned).ok_or_else(unknown)
        };
        codes.data().iter().map(name).collect()
    }

    /// Says that a name is no category.
    pub(crate) fn unknown(&self, name: &str) -> String {
        let known = listed(self.names.iter().map(String::as_str));
        format!("{} is none of the {} categories {known}", quoted(name), self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_of_its_own_is_kept() {
        let sizes = Categories::new(["small", "medium", "large"]).unwrap();
        assert_eq!(sizes.names().iter().map(|name| sizes.code(name)).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
        assert_eq!((sizes.code("huge"), sizes.name(3), sizes.name(-1)), (None, None, None));
        assert_eq!(sizes.inverse(&Tensor::from([2, 0])).unwrap(), ["large", "small"]);
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let twice = Categories::new(["a", "b", "a"]).unwrap_err();
        assert_eq!(twice.to_string(), "the category `a` is given twice");
        let error = Categories::fit(["a"]).inverse(&Tensor::from([1])).unwrap_err();
        assert_eq!(error.to_string(), "1 is the code of none of the 1 categories");
        let error = Categories::fit([]).transform(["a"]).unwrap_err();
        assert_eq!(error.to_string(), "`a` is none of the 0 categories none");
    }
}
