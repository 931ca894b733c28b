//! The records of a CSV file, one at a time.
//!
//! `csv-core` is the state machine of quotes and delimiters; this file counts lines and gives it bytes.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::names::repeated;
use crate::error::{DataError, Problem, quoted};

/// Bytes that are read at once.
const BUFFER: usize = 1 << 16;
/// Bytes that a record may have. Whoever forgets to close a quote would otherwise read all of a file as one cell.
const LONGEST: usize = 64 << 20;

/// The records of a source, one at a time.
pub(super) struct Records<R> {
    pub(super) path: PathBuf,
    core: csv_core::Reader,
    input: BufReader<R>,
    /// The cells of the record one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
    /// The line on which the record begins.
    pub(super) line: u64,
    pub(super) names: Vec<String>,
    /// The record is still to be given: the first one of a file without a header.
    kept: bool,
}

impl<R: Read> Records<R> {
    /// The records of a source, of which the first is read.
    pub(super) fn new(path: &Path, source: R, delimiter: u8) -> Result<Self, DataError> {
        let core = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        let input = BufReader::with_capacity(BUFFER, source);
        let (bytes, ends) = (vec![0; 256], vec![0; 16]);
        let (path, names) = (path.to_owned(), Vec::new());
        let mut records = Self { path, core, input, bytes, ends, fields: 0, line: 1, names, kept: true };
        records.kept = records.advance()?;
        Ok(records)
    }

    /// The columns have numbers as their names; the first record is one of values.
    pub(super) fn number_columns(&mut self) {
        self.names = (0..self.fields).map(|k| k.to_string()).collect();
    }

    /// The first record has the names of the columns.
    pub(super) fn take_names(&mut self, trim: bool) -> Result<(), DataError> {
        if !std::mem::take(&mut self.kept) {
            return Err(DataError::new(&self.path, Problem::Other("it is empty; a header is expected".into())));
        }
        let names = (0..self.fields).map(|k| {
            let name = String::from_utf8(self.field(k).to_vec());
            let name = name.map(|name| if trim { name.trim().to_owned() } else { name });
            name.map_err(|_| self.wrong(format!("the name of column {} is not UTF-8", k + 1)))
        });
        self.names = names.collect::<Result<_, _>>()?;
        match repeated(&self.names) {
            Some(name) => Err(self.wrong(format!("two columns are named {}", quoted(name)))),
            None => Ok(()),
        }
    }

    fn wrong(&self, reason: String) -> DataError {
        DataError::new(&self.path, Problem::Line { line: self.line, reason })
    }

    pub(super) fn wrong_cell(&self, place: usize, reason: String) -> DataError {
        let name = self.names[place].clone();
        DataError::new(&self.path, Problem::Cell { line: self.line, column: place + 1, name, reason })
    }

    pub(super) fn field(&self, place: usize) -> &[u8] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.bytes[start..self.ends[place]]
    }

    /// Moves on to the next record, with as many fields as there are names; false at the end.
    pub(super) fn next(&mut self) -> Result<bool, DataError> {
        if !std::mem::take(&mut self.kept) && !self.advance()? {
            return Ok(false);
        }
        match self.fields == self.names.len() {
            true => Ok(true),
            false => {
                let there_are = if self.names.len() == 1 { "there is" } else { "there are" };
                let (cells, columns) = (counted(self.fields, "cell"), counted(self.names.len(), "column"));
                Err(self.wrong(format!("{cells}, where {there_are} {columns}")))
            }
        }
    }

    /// Moves on to the next record of any length; false at the end.
    fn advance(&mut self) -> Result<bool, DataError> {
        let io = |error| DataError::new(&self.path, Problem::Io(error));
        // Empty lines are no records.
        loop {
            let input = self.input.fill_buf().map_err(io)?;
            let ends = input.iter().take_while(|byte| [b'\n', b'\r'].contains(byte)).count();
            if ends == 0 {
                break;
            }
            let lines = input[..ends].iter().filter(|&&byte| byte == b'\n').count();
            self.core.set_line(self.core.line() + lines as u64);
            self.input.consume(ends);
        }
        self.line = self.core.line();
        self.fields = 0;
        let mut written = 0;
        loop {
            let input = self.input.fill_buf().map_err(io)?;
            let at_end = input.is_empty();
            // The end of the file ends a line, if no quote is open.
            let input = if at_end { b"\n" } else { input };
            let (bytes, ends) = (&mut self.bytes[written..], &mut self.ends[self.fields..]);
            let (result, read, wrote, ended) = self.core.read_record(input, bytes, ends);
            written += wrote;
            self.fields += ended;
            if !at_end {
                self.input.consume(read);
            }
            match result {
                csv_core::ReadRecordResult::Record => return Ok(true),
                csv_core::ReadRecordResult::End => return Ok(false),
                csv_core::ReadRecordResult::InputEmpty if at_end && wrote == 0 => return Ok(false),
                csv_core::ReadRecordResult::InputEmpty if at_end => {
                    return Err(self.wrong("a quote is opened in this record and never closed".into()));
                }
                csv_core::ReadRecordResult::InputEmpty => {}
                csv_core::ReadRecordResult::OutputFull if self.bytes.len() >= LONGEST => {
                    return Err(
                        self.wrong(format!("the record has more than {} MiB; is a quote left open?", LONGEST >> 20))
                    );
                }
                csv_core::ReadRecordResult::OutputFull => self.bytes.resize(2 * self.bytes.len(), 0),
                csv_core::ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
            }
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
