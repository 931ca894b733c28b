//! Reads and writes CSV files: whole, or in tables of some rows each.
//!
//! A file is read twice: first to see what its columns hold, unless a schema says it, then to take the values. Neither
//! holds more than a record of the file in memory beside what it returns.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use gradus_graph::Tensor;

use super::guess::Guess;
use super::names::Places;
use super::records::Records;
use super::{Categories, Column, ColumnType, Schema, Table, Texts};
use crate::error::{DataError, Problem, quoted};
use crate::file;

/// How cells are read from CSV files and written to them.
///
/// The first record names the columns. What a column holds is guessed from all of its cells, unless it is declared:
/// integers, if all are and none is missing; numbers; otherwise categories in alphabetical order, or texts if there are
/// more than 256 different ones. Missing are empty cells and `NA`, `N/A`, `n/a`, `NaN`, `nan`, `null`, `NULL`, `None`,
/// `<NA>` and `?`.
///
/// An empty line is no record, as in pandas. In a file of one column a missing value is therefore written `""`, or in one
/// of the other ways; [`Csv::encode`] writes it so.
///
/// # Example
/// ```
/// use gradus_data::{Column, Csv};
/// let file = b"name,age,fare,class\n\"Allen, Miss\",29,211.5,first\nAbbott,,20.25,third\n";
/// let table = Csv::new().text("name").categories("class", ["third", "second", "first"])?.decode(file)?;
/// assert_eq!(table.len(), 2);
/// assert!(table.numbers::<f32>(&["age"])?.data()[1].is_nan());
/// assert_eq!(table.labels("class")?.data(), [2, 0]);
/// let Column::Text(names) = table.column("name")? else { unreachable!() };
/// assert_eq!(names.get(0), "Allen, Miss");
/// let error = table.numbers::<f32>(&["name"]).unwrap_err();
/// assert_eq!(error.to_string(), "bytes in memory: column `name`: numbers are asked for, and it holds texts");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Csv {
    delimiter: u8,
    header: bool,
    trim: bool,
    missing: Vec<String>,
    declared: BTreeMap<String, Declared>,
}

/// What a column is to hold.
#[derive(Clone, Debug)]
enum Declared {
    As(ColumnType),
    /// The categories that occur.
    Learned,
}

impl Default for Csv {
    fn default() -> Self {
        Self::new()
    }
}

impl Csv {
    /// Cells between commas, with a header.
    pub fn new() -> Self {
        let missing =
            ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "?"].map(str::to_owned).to_vec();
        Self { delimiter: b',', header: true, trim: false, missing, declared: BTreeMap::new() }
    }

    /// Cells between tabulators, with a header.
    #[must_use]
    pub fn tsv() -> Self {
        Self::new().delimiter(b'\t')
    }

    /// Another byte between cells, such as `b';'`.
    ///
    /// # Panics
    /// If it is a quote or ends a line.
    #[must_use]
    #[track_caller]
    pub fn delimiter(self, delimiter: u8) -> Self {
        let usable = delimiter.is_ascii() && ![b'"', b'\n', b'\r'].contains(&delimiter);
        assert!(usable, "`Csv::delimiter`: {:?} cannot stand between cells", char::from(delimiter));
        Self { delimiter, ..self }
    }

    /// No header: the columns are named by their numbers, from `0` on.
    #[must_use]
    pub fn headerless(self) -> Self {
        Self { header: false, ..self }
    }

    /// Blanks around a cell are not part of it. (Around numbers they never are.)
    #[must_use]
    pub fn trimmed(self) -> Self {
        Self { trim: true, ..self }
    }

    /// The spellings of a missing value, in place of those that are known. An empty cell of numbers or categories is
    /// missing always.
    #[must_use]
    pub fn missing(self, spellings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let spellings = spellings.into_iter().map(Into::into);
        Self { missing: std::iter::once(String::new()).chain(spellings).collect(), ..self }
    }

    fn declare(mut self, name: &str, declared: Declared) -> Self {
        self.declared.insert(name.to_owned(), declared);
        self
    }

    /// A column of numbers.
    #[must_use]
    pub fn number(self, name: &str) -> Self {
        self.declare(name, Declared::As(ColumnType::Number))
    }

    /// A column of integers, none of them missing.
    #[must_use]
    pub fn integer(self, name: &str) -> Self {
        self.declare(name, Declared::As(ColumnType::Integer))
    }

    /// A column of texts, which are taken as they are.
    #[must_use]
    pub fn text(self, name: &str) -> Self {
        self.declare(name, Declared::As(ColumnType::Text))
    }

    /// A column of categories: those that occur, in alphabetical order, however many they are and though they be numbers.
    #[must_use]
    pub fn category(self, name: &str) -> Self {
        self.declare(name, Declared::Learned)
    }

    /// A column of these categories, in this order.
    ///
    /// # Errors
    /// If a category is given twice.
    pub fn categories(
        self,
        name: &str,
        categories: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, Problem> {
        Ok(self.declare(name, Declared::As(ColumnType::Category(Categories::new(categories)?))))
    }

    /// What the columns of the file hold. All of it is read, and one record is in memory at a time.
    ///
    /// # Errors
    /// If the file cannot be read, its records differ in length, a quote is not closed, or a declared column is not there.
    pub fn schema(&self, path: impl AsRef<Path>) -> Result<Schema, DataError> {
        let path = path.as_ref();
        self.guess(path, self.records(path, file::open(path)?)?)
    }

    /// The table of the file.
    ///
    /// # Errors
    /// As [`Csv::schema`], and if a cell is not of its column's declared type; the message has the line and the column.
    ///
    /// # Example
    /// ```
    /// use gradus_data::Csv;
    /// let path = std::env::temp_dir().join(format!("gradus-csv-{}.csv", std::process::id()));
    /// std::fs::write(&path, "age,fare\n29,211.5\n3x,20\n")?;
    /// let error = Csv::new().number("age").read(&path).unwrap_err();
    /// assert!(error.to_string().ends_with("line 3, column 1 (`age`): `3x` is no number"));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Table, DataError> {
        self.read_as(&path, &self.schema(&path)?)
    }

    /// The columns of a schema from the file, whatever their order there; further ones are not read.
    ///
    /// # Errors
    /// If the file cannot be read, a column is missing, or a cell is not of its column's type, or none of its categories.
    pub fn read_as(&self, path: impl AsRef<Path>, schema: &Schema) -> Result<Table, DataError> {
        self.chunks(path, schema, usize::MAX)?.0.take(usize::MAX)
    }

    /// The columns of a schema from the file, in tables of `rows` rows; the last may be shorter. A file of any size is
    /// read in the memory of one such table.
    ///
    /// # Errors
    /// If the file cannot be opened, or a column is missing. Whatever is wrong with a row is the error of its table,
    /// after which there are no more.
    ///
    /// # Panics
    /// If `rows` is 0.
    ///
    /// # Example
    /// ```
    /// use gradus_data::Csv;
    /// let path = std::env::temp_dir().join(format!("gradus-chunks-{}.csv", std::process::id()));
    /// std::fs::write(&path, "x,y\n1,2\n3,4\n5,6\n")?;
    /// let csv = Csv::new();
    /// let schema = csv.schema(&path)?;
    /// let mut sums = Vec::new();
    /// for table in csv.chunks(&path, &schema, 2)? {
    ///     sums.push(table?.numbers::<f32>(&["x"])?.data().iter().sum::<f32>());
    /// }
    /// assert_eq!(sums, [4.0, 5.0]);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn chunks(&self, path: impl AsRef<Path>, schema: &Schema, rows: usize) -> Result<CsvChunks, DataError> {
        assert!(rows > 0, "`Csv::chunks`: a table of 0 rows");
        let path = path.as_ref();
        Chunks::new(self, path, file::open(path)?, schema, rows).map(CsvChunks)
    }

    /// The table of a file that is in memory already.
    ///
    /// # Errors
    /// As [`Csv::read`].
    pub fn decode(&self, bytes: &[u8]) -> Result<Table, DataError> {
        let path = Path::new(MEMORY);
        self.decode_as(bytes, &self.guess(path, self.records(path, bytes)?)?)
    }

    /// The columns of a schema from a file that is in memory already.
    ///
    /// # Errors
    /// As [`Csv::read_as`].
    pub fn decode_as(&self, bytes: &[u8], schema: &Schema) -> Result<Table, DataError> {
        Chunks::new(self, Path::new(MEMORY), bytes, schema, usize::MAX)?.take(usize::MAX)
    }

    /// The table as a CSV file: numbers in the fewest digits that give them back, missing values as empty cells, quotes
    /// where they are needed.
    ///
    /// # Example
    /// ```
    /// use gradus_data::Csv;
    /// let csv = Csv::tsv();
    /// let file = b"x\tnote\n0.1\tone\n\t\"two\tand three\"\n";
    /// assert_eq!(csv.encode(&csv.decode(file)?), file);
    /// # Ok::<(), gradus_data::DataError>(())
    /// ```
    pub fn encode(&self, table: &Table) -> Vec<u8> {
        let mut file = Vec::new();
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            let start = file.len();
            for (place, cell) in cells.enumerate() {
                if place > 0 {
                    file.push(self.delimiter);
                }
                self.write(&cell, &mut file);
            }
            if file.len() == start {
                // A line of nothing would be no record.
                file.extend(b"\"\"");
            }
            file.push(b'\n');
        };
        if self.header {
            line(&mut table.names.iter().cloned());
        }
        for row in 0..table.len() {
            line(&mut table.columns.iter().map(|column| match column {
                Column::Number(numbers) if numbers.data()[row].is_nan() => String::new(),
                Column::Number(numbers) => format!("{:?}", numbers.data()[row]),
                Column::Integer(integers) => integers.data()[row].to_string(),
                Column::Category(codes, categories) => {
                    categories.name(codes.data()[row]).unwrap_or_default().to_owned()
                }
                Column::Text(texts) => texts.get(row).to_owned(),
            }));
        }
        file
    }

    fn write(&self, cell: &str, file: &mut Vec<u8>) {
        let special = |&byte: &u8| [b'"', b'\n', b'\r', self.delimiter].contains(&byte);
        match cell.as_bytes().iter().any(special) {
            true => file.extend(format!("\"{}\"", cell.replace('"', "\"\"")).bytes()),
            false => file.extend(cell.bytes()),
        }
    }

    /// The records of a source, with the names of its columns.
    fn records<R: Read>(&self, path: &Path, source: R) -> Result<Records<R>, DataError> {
        let mut records = Records::new(path, source, self.delimiter)?;
        match self.header {
            true => records.take_names(self.trim)?,
            false => records.number_columns(),
        }
        Ok(records)
    }

    /// Whether the cell says that its value is missing.
    fn is_missing(&self, cell: &str) -> bool {
        let cell = cell.trim();
        self.missing.iter().any(|spelling| spelling == cell)
    }

    /// The cell as text.
    fn cell<'a, R: Read>(&self, records: &'a Records<R>, place: usize) -> Result<&'a str, DataError> {
        match std::str::from_utf8(records.field(place)) {
            Ok(cell) => Ok(if self.trim { cell.trim() } else { cell }),
            Err(_) => Err(records.wrong_cell(place, "it is not UTF-8, as all text is expected to be".into())),
        }
    }

    fn guess<R: Read>(&self, path: &Path, mut records: Records<R>) -> Result<Schema, DataError> {
        let places = Places::of(&records.names);
        for name in self.declared.keys() {
            find(path, &places, name)?;
        }
        let mut guesses: Vec<Option<Guess>> = Vec::new();
        for name in &records.names {
            guesses.push(match self.declared.get(name) {
                Some(Declared::As(_)) => None,
                Some(Declared::Learned) => Some(Guess::categories()),
                None => Some(Guess::new()),
            });
        }
        while records.next()? {
            for (place, guess) in guesses.iter_mut().enumerate() {
                if let Some(guess) = guess {
                    let cell = self.cell(&records, place)?;
                    guess.see((!self.is_missing(cell)).then_some(cell), records.line);
                }
            }
        }
        let columns = records.names.iter().zip(guesses).map(|(name, guess)| {
            let (column_type, note) = match (guess, self.declared.get(name)) {
                (Some(guess), _) => guess.column_type(),
                (None, Some(Declared::As(column_type))) => (column_type.clone(), None),
                (None, _) => unreachable!("a column is guessed or declared"),
            };
            (name.clone(), column_type, note)
        });
        Ok(Schema::of(columns.collect()))
    }
}

/// In place of a path.
const MEMORY: &str = "bytes in memory";

fn find(path: &Path, places: &Places<'_>, name: &str) -> Result<usize, DataError> {
    places.find(name).map_err(|problem| DataError::new(path, problem))
}

/// The tables of a file, made by [`Csv::chunks`].
pub struct CsvChunks(Chunks<File>);

impl Iterator for CsvChunks {
    type Item = Result<Table, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

struct Chunks<R> {
    csv: Csv,
    schema: Schema,
    /// The columns of the file that hold those of the schema.
    places: Vec<usize>,
    records: Records<R>,
    rows: usize,
    ended: bool,
}

/// The values of a column that have been read.
enum Values {
    Number(Vec<f64>),
    Integer(Vec<i64>),
    Category(Vec<i64>, Categories),
    Text(Texts),
}

impl<R: Read> Chunks<R> {
    fn new(csv: &Csv, path: &Path, source: R, schema: &Schema, rows: usize) -> Result<Self, DataError> {
        let records = csv.records(path, source)?;
        let known = Places::of(&records.names);
        let places = schema.columns().map(|(name, _)| find(path, &known, name)).collect::<Result<_, _>>()?;
        Ok(Self { csv: csv.clone(), schema: schema.clone(), places, records, rows, ended: false })
    }

    fn next(&mut self) -> Option<Result<Table, DataError>> {
        if self.ended {
            return None;
        }
        match self.take(self.rows) {
            Ok(table) if table.is_empty() => None,
            Ok(table) => Some(Ok(table)),
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }

    /// The next rows, at most the given number.
    fn take(&mut self, rows: usize) -> Result<Table, DataError> {
        let mut columns: Vec<Values> = Vec::new();
        for (_, column_type) in self.schema.columns() {
            columns.push(match column_type {
                ColumnType::Number => Values::Number(Vec::new()),
                ColumnType::Integer => Values::Integer(Vec::new()),
                ColumnType::Category(categories) => Values::Category(Vec::new(), categories.clone()),
                ColumnType::Text => Values::Text(Texts::default()),
            });
        }
        let mut count = 0;
        while count < rows && !self.ended {
            if !self.records.next()? {
                self.ended = true;
                break;
            }
            count += 1;
            for (&place, values) in self.places.iter().zip(&mut columns) {
                let cell = self.csv.cell(&self.records, place)?;
                self.csv.push(cell, values).map_err(|reason| self.records.wrong_cell(place, reason))?;
            }
        }
        let columns = columns.into_iter().map(|values| match values {
            Values::Number(values) => Column::Number(Tensor::from(values)),
            Values::Integer(values) => Column::Integer(Tensor::from(values)),
            Values::Category(codes, categories) => Column::Category(Tensor::from(codes), categories),
            Values::Text(texts) => Column::Text(texts),
        });
        let (names, notes) = self.schema.columns.iter().map(|(name, _, note)| (name.clone(), note.clone())).unzip();
        Ok(Table { source: self.records.path.clone(), names, columns: columns.collect(), notes, rows: count })
    }
}

impl Csv {
    /// Appends the value of a cell.
    fn push(&self, cell: &str, values: &mut Values) -> Result<(), String> {
        match values {
            Values::Text(texts) => texts.extend([cell]),
            Values::Number(values) => {
                let number = if self.is_missing(cell) { f64::NAN } else { number(cell)? };
                values.push(number);
            }
            Values::Integer(_) if self.is_missing(cell) => {
                return Err(format!(
                    "an integer is expected, and the value is missing ({}); declare the column with `number`, where \
                     missing values may be",
                    quoted(cell)
                ));
            }
            Values::Integer(values) => {
                let integer = cell.trim().parse().map_err(|_| format!("{} is no integer", quoted(cell)))?;
                values.push(integer);
            }
            Values::Category(codes, categories) => {
                let code = match categories.code(cell) {
                    Some(code) => code,
                    None if self.is_missing(cell) => -1,
                    None => return Err(categories.unknown(cell)),
                };
                codes.push(code);
            }
        }
        Ok(())
    }
}

/// The number of a cell, which is finite unless it says otherwise.
fn number(cell: &str) -> Result<f64, String> {
    let text = cell.trim();
    match text.parse::<f64>() {
        Ok(number) if number.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) => {
            Err(format!("{} is too large for a number", quoted(cell)))
        }
        Ok(number) => Ok(number),
        Err(_) => Err(format!("{} is no number", quoted(cell))),
    }
}
