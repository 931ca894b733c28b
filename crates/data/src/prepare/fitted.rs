//! What was fitted, as named arrays.

use std::collections::BTreeMap;

use gradus_graph::Tensor;

use crate::array::FileArray;
use crate::error::{Problem, quoted};
use crate::table::{Categories, ColumnType, Schema, Texts};
use crate::text::{Unit, Vocabulary};

/// A value that was fitted to data, and can be kept as named arrays.
pub trait Fitted: Sized {
    /// The arrays that give the value back.
    fn to_arrays(&self) -> BTreeMap<String, FileArray>;

    /// The value of these arrays.
    ///
    /// # Errors
    /// If one is missing, or is not as [`Fitted::to_arrays`] makes it.
    fn from_arrays(arrays: &BTreeMap<String, FileArray>) -> Result<Self, Problem>;
}

/// Fitted values by name, as arrays that any file of arrays can hold: an npz file, or that of a model.
///
/// # Example
/// ```
/// use gradus_data::{Categories, FittedState, Standardize, npz};
/// use gradus_graph::Tensor;
/// let scale = Standardize::fit(&Tensor::from_rows([[1.0, 20.0], [3.0, 60.0]]))?;
/// let mut state = FittedState::new();
/// state.put("inputs", &scale);
/// state.put("classes", &Categories::fit(["cat", "dog"]));
/// let file = npz::encode(state.arrays(), false);
///
/// let state = FittedState::from(npz::decode(&file)?);
/// assert_eq!(state.get::<Standardize>("inputs")?, scale);
/// assert_eq!(state.get::<Categories>("classes")?.names(), ["cat", "dog"]);
/// let error = state.get::<Standardize>("targets").unwrap_err();
/// assert_eq!(error.to_string(), "nothing is kept as `targets`; there are `classes`, `inputs`");
/// # Ok::<(), gradus_data::Problem>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FittedState {
    arrays: BTreeMap<String, FileArray>,
}

impl From<BTreeMap<String, FileArray>> for FittedState {
    fn from(arrays: BTreeMap<String, FileArray>) -> Self {
        Self { arrays }
    }
}

impl FittedState {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a value under a name, in place of what it had.
    pub fn put(&mut self, name: &str, value: &impl Fitted) {
        let prefix = format!("{name}.");
        self.arrays.retain(|key, _| !key.starts_with(&prefix));
        self.arrays.extend(value.to_arrays().into_iter().map(|(key, array)| (prefix.clone() + &key, array)));
    }

    /// The value of a name.
    ///
    /// # Errors
    /// If there is none, or it is of another type.
    pub fn get<F: Fitted>(&self, name: &str) -> Result<F, Problem> {
        let prefix = format!("{name}.");
        let own = self.arrays.iter().filter_map(|(key, array)| Some((key.strip_prefix(&prefix)?, array)));
        let own: BTreeMap<String, FileArray> = own.map(|(key, array)| (key.to_owned(), array.clone())).collect();
        if own.is_empty() {
            let mut names: Vec<&str> = self.arrays.keys().filter_map(|key| key.split('.').next()).collect();
            names.dedup();
            let known = crate::error::listed(names.into_iter());
            return Err(Problem::Other(format!("nothing is kept as {}; there are {known}", quoted(name))));
        }
        F::from_arrays(&own).map_err(|problem| Problem::Member { name: name.to_owned(), problem: Box::new(problem) })
    }

    /// All arrays, `name.part`.
    pub fn arrays(&self) -> &BTreeMap<String, FileArray> {
        &self.arrays
    }
}

/// The array of a name.
fn array<'a>(arrays: &'a BTreeMap<String, FileArray>, name: &str) -> Result<&'a FileArray, Problem> {
    arrays.get(name).ok_or_else(|| Problem::Other(format!("the array {} is missing", quoted(name))))
}

/// The reals of a name, along one axis.
pub(super) fn reals(arrays: &BTreeMap<String, FileArray>, name: &str) -> Result<Vec<f64>, Problem> {
    let array = array(arrays, name)?;
    match array.shape().rank() {
        1 => Ok(array.to_f64().into_vec()),
        _ => Err(Problem::Other(format!("the array {} has the shape {}", quoted(name), array.shape()))),
    }
}

/// The integers of a name, along one axis.
pub(super) fn integers(arrays: &BTreeMap<String, FileArray>, name: &str) -> Result<Vec<i64>, Problem> {
    let array = array(arrays, name)?;
    match array.to_i64() {
        Some(integers) if array.shape().rank() == 1 => Ok(integers.into_vec()),
        _ => Err(Problem::Other(format!("{} is {array:?}, where integers along one axis are expected", quoted(name)))),
    }
}

/// Checks that arrays belong together.
pub(super) fn expect_lengths(first: usize, second: usize) -> Result<(), Problem> {
    match first == second {
        true => Ok(()),
        false => Err(Problem::Other(format!("its arrays have {first} and {second} elements"))),
    }
}

/// Texts as their bytes and the places where they end.
pub(super) fn put_texts<'a>(
    arrays: &mut BTreeMap<String, FileArray>,
    name: &str,
    texts: impl IntoIterator<Item = &'a str>,
) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for text in texts {
        bytes.extend(text.bytes());
        ends.push(bytes.len() as i64);
    }
    arrays.insert(name.to_owned(), Tensor::from(bytes).into());
    arrays.insert(format!("{name}_ends"), Tensor::from(ends).into());
}

pub(super) fn texts(arrays: &BTreeMap<String, FileArray>, name: &str) -> Result<Texts, Problem> {
    let wrong = || Problem::Other(format!("the array {} holds no texts", quoted(name)));
    let FileArray::U8(bytes) = array(arrays, name)? else { return Err(wrong()) };
    let ends = integers(arrays, &format!("{name}_ends"))?;
    let whole = std::str::from_utf8(bytes.data()).map_err(|_| wrong())?;
    let mut start = 0;
    let mut texts = Texts::default();
    for end in ends {
        let end = usize::try_from(end).map_err(|_| wrong())?;
        texts.extend([whole.get(start..end).ok_or_else(wrong)?]);
        start = end;
    }
    if start == whole.len() { Ok(texts) } else { Err(wrong()) }
}

impl Fitted for Categories {
    fn to_arrays(&self) -> BTreeMap<String, FileArray> {
        let mut arrays = BTreeMap::new();
        put_texts(&mut arrays, "names", self.names().iter().map(String::as_str));
        arrays
    }

    fn from_arrays(arrays: &BTreeMap<String, FileArray>) -> Result<Self, Problem> {
        Categories::new(texts(arrays, "names")?.iter())
    }
}

impl Fitted for Vocabulary {
    fn to_arrays(&self) -> BTreeMap<String, FileArray> {
        let mut arrays = self.tokens().map(Fitted::to_arrays).unwrap_or_default();
        let unit = UNITS.iter().position(|unit| *unit == self.unit()).expect("all units are listed");
        arrays.insert("unit".into(), Tensor::from([unit as i64]).into());
        arrays
    }

    fn from_arrays(arrays: &BTreeMap<String, FileArray>) -> Result<Self, Problem> {
        let [unit] = integers(arrays, "unit")?[..] else { return Err(Problem::Other("`unit` is one number".into())) };
        let unit = usize::try_from(unit).ok().and_then(|unit| UNITS.get(unit));
        match unit {
            Some(Unit::Bytes) => Ok(Vocabulary::fit(Unit::Bytes, "")),
            Some(&unit) => Ok(Vocabulary::new(unit, Categories::from_arrays(arrays)?)),
            None => Err(Problem::Other("`unit` is no unit of text".into())),
        }
    }
}

const UNITS: [Unit; 4] = [Unit::Bytes, Unit::Characters, Unit::Words, Unit::Lines];

impl Fitted for Schema {
    fn to_arrays(&self) -> BTreeMap<String, FileArray> {
        let (mut arrays, mut types, mut counts, mut names) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        for (_, column_type) in self.columns() {
            let (code, categories): (i64, &[String]) = match column_type {
                ColumnType::Number => (0, &[]),
                ColumnType::Integer => (1, &[]),
                ColumnType::Category(categories) => (2, categories.names()),
                ColumnType::Text => (3, &[]),
            };
            types.push(code);
            counts.push(categories.len() as i64);
            names.extend(categories.iter().map(String::as_str));
        }
        put_texts(&mut arrays, "columns", self.columns().map(|(name, _)| name));
        put_texts(&mut arrays, "categories", names);
        arrays.insert("types".into(), Tensor::from(types).into());
        arrays.insert("counts".into(), Tensor::from(counts).into());
        arrays
    }

    fn from_arrays(arrays: &BTreeMap<String, FileArray>) -> Result<Self, Problem> {
        let (columns, categories) = (texts(arrays, "columns")?, texts(arrays, "categories")?);
        let (types, counts) = (integers(arrays, "types")?, integers(arrays, "counts")?);
        expect_lengths(columns.len(), types.len())?;
        expect_lengths(columns.len(), counts.len())?;
        let mut start: usize = 0;
        let mut all = Vec::new();
        for ((name, code), count) in columns.iter().zip(types).zip(counts) {
            let end = usize::try_from(count).ok().and_then(|count| start.checked_add(count));
            let Some(end) = end.filter(|&end| end <= categories.len()) else {
                return Err(Problem::Other("`counts` does not fit `categories`".into()));
            };
            let column_type = match code {
                0 => ColumnType::Number,
                1 => ColumnType::Integer,
                2 => ColumnType::Category(Categories::new((start..end).map(|row| categories.get(row)))?),
                3 => ColumnType::Text,
                _ => return Err(Problem::Other(format!("{code} is no type of a column"))),
            };
            start = end;
            all.push((name.to_owned(), column_type, None));
        }
        Ok(Schema::of(all))
    }
}
