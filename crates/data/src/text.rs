//! Reads text, and turns it into the codes of its bytes, characters, words or lines.
//!
//! # Example
//! ```
//! use gradus_data::text::{Unit, Vocabulary};
//! let vocabulary = Vocabulary::fit(Unit::Characters, "abba");
//! let codes = vocabulary.transform("bab")?;
//! assert_eq!((codes.data(), vocabulary.len()), (&[1, 0, 1][..], 2));
//! assert_eq!(vocabulary.inverse(&codes)?, "bab");
//! assert_eq!(vocabulary.transform("abc").unwrap_err().to_string(), "`c` is none of the 2 categories `a`, `b`");
//! # Ok::<(), gradus_data::Problem>(())
//! ```

use std::io::{BufRead, BufReader};
use std::path::Path;

use gradus_graph::Tensor;

use crate::error::{DataError, Problem};
use crate::file;
use crate::table::Categories;

/// The text of a file.
///
/// # Errors
/// If the file cannot be read, or is not UTF-8; the message has the line.
pub fn read(path: impl AsRef<Path>) -> Result<String, DataError> {
    let path = path.as_ref();
    String::from_utf8(file::read(path)?).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count() as u64;
        DataError::new(path, not_utf8(line))
    })
}

fn not_utf8(line: u64) -> Problem {
    Problem::Line { line, reason: "it is not UTF-8, as all text is expected to be".into() }
}

/// The lines of a file without their ends, one at a time: the file may be larger than memory.
///
/// # Errors
/// If the file cannot be opened. A line that cannot be read or is not UTF-8 is an error, after which there are no more.
///
/// # Example
/// ```
/// let path = std::env::temp_dir().join(format!("gradus-lines-{}", std::process::id()));
/// std::fs::write(&path, "one\ntwo\r\n")?;
/// let lines: Vec<String> = gradus_data::text::lines(&path)?.collect::<Result<_, _>>()?;
/// assert_eq!(lines, ["one", "two"]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lines(path: impl AsRef<Path>) -> Result<impl Iterator<Item = Result<String, DataError>> + Send, DataError> {
    let path = path.as_ref().to_owned();
    let mut file = BufReader::new(file::open(&path)?);
    let (mut line, mut failed) = (0, false);
    Ok(std::iter::from_fn(move || {
        if failed {
            return None;
        }
        line += 1;
        let mut bytes = Vec::new();
        let read = file.read_until(b'\n', &mut bytes).map_err(Problem::Io);
        let text = match read {
            Ok(0) => return None,
            Ok(_) => {
                let end = bytes.iter().rposition(|byte| ![b'\n', b'\r'].contains(byte)).map_or(0, |last| last + 1);
                bytes.truncate(end);
                String::from_utf8(bytes).map_err(|_| not_utf8(line))
            }
            Err(problem) => Err(problem),
        };
        failed = text.is_err();
        Some(text.map_err(|problem| DataError::new(&path, problem)))
    }))
}

/// What a code stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// A byte of UTF-8; its value is its code, and every text has codes.
    Bytes,
    /// A character.
    Characters,
    /// A run of letters and digits, or another character that is no blank. Blanks are not kept.
    Words,
    /// A line.
    Lines,
}

/// The units of a text, each with a code. Kept with a model, it gives later texts the same codes.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    unit: Unit,
    /// None for bytes.
    tokens: Option<Categories>,
}

impl Vocabulary {
    /// The different units of a text, in alphabetical order.
    pub fn fit(unit: Unit, text: &str) -> Self {
        Self { unit, tokens: (unit != Unit::Bytes).then(|| Categories::fit(units(unit, text))) }
    }

    /// The units of these names, in this order: of a fitted vocabulary, say, with one more for what is not known.
    ///
    /// # Panics
    /// If the unit is a byte.
    #[track_caller]
    pub fn new(unit: Unit, tokens: Categories) -> Self {
        assert!(unit != Unit::Bytes, "`Vocabulary::new`: the codes of bytes are their values");
        Self { unit, tokens: Some(tokens) }
    }

    /// What a code stands for.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The names of the codes; nothing for bytes.
    pub fn tokens(&self) -> Option<&Categories> {
        self.tokens.as_ref()
    }

    /// The number of codes.
    #[allow(clippy::len_without_is_empty)] // It says how wide an embedding is.
    pub fn len(&self) -> usize {
        self.tokens.as_ref().map_or(256, Categories::len)
    }

    /// The codes of a text.
    ///
    /// # Errors
    /// If it has a unit that the vocabulary does not have.
    pub fn transform(&self, text: &str) -> Result<Tensor<i64>, Problem> {
        match &self.tokens {
            None => Ok(Tensor::from(text.bytes().map(i64::from).collect::<Vec<_>>())),
            Some(tokens) => tokens.transform(units(self.unit, text)),
        }
    }

    /// The text of codes: words with blanks between them, lines with ends.
    ///
    /// # Errors
    /// If there is no such code, or bytes are not UTF-8.
    pub fn inverse(&self, codes: &Tensor<i64>) -> Result<String, Problem> {
        let Some(tokens) = &self.tokens else {
            let bytes = codes.data().iter().map(|&code| u8::try_from(code));
            let bytes: Result<Vec<u8>, _> = bytes.collect();
            let bytes = bytes.map_err(|_| Problem::Other("a code of a byte is 0 to 255".into()))?;
            return String::from_utf8(bytes).map_err(|_| Problem::Other("the bytes are not UTF-8".into()));
        };
        let names = tokens.inverse(codes)?;
        Ok(match self.unit {
            Unit::Words => names.join(" "),
            Unit::Lines => names.iter().flat_map(|line| [line, "\n"]).collect(),
            Unit::Characters | Unit::Bytes => names.concat(),
        })
    }
}

fn units(unit: Unit, text: &str) -> Vec<&str> {
    match unit {
        Unit::Lines => text.lines().collect(),
        Unit::Words => words(text),
        Unit::Characters | Unit::Bytes => {
            text.char_indices().map(|(start, character)| &text[start..start + character.len_utf8()]).collect()
        }
    }
}

fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first.is_alphanumeric() {
            true => rest.find(|character: char| !character.is_alphanumeric()).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        if !first.is_whitespace() {
            words.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_every_kind_come_back() {
        let text = "Größe: 3 m,\nà la mode\n";
        for unit in [Unit::Bytes, Unit::Characters, Unit::Lines] {
            let vocabulary = Vocabulary::fit(unit, text);
            let codes = vocabulary.transform(text).unwrap();
            assert!(codes.data().iter().all(|&code| code < vocabulary.len() as i64));
            assert_eq!(vocabulary.inverse(&codes).unwrap(), text, "{unit:?}");
        }
        assert_eq!(words(text), ["Größe", ":", "3", "m", ",", "à", "la", "mode"]);
        let vocabulary = Vocabulary::fit(Unit::Words, text);
        let codes = vocabulary.transform("la mode : 3").unwrap();
        assert_eq!(vocabulary.inverse(&codes).unwrap(), "la mode : 3");
    }

    #[test]
    fn what_has_no_code_or_no_text_is_refused() {
        let bytes = Vocabulary::fit(Unit::Bytes, "");
        assert_eq!(bytes.inverse(&Tensor::from([256])).unwrap_err().to_string(), "a code of a byte is 0 to 255");
        assert_eq!(bytes.inverse(&Tensor::from([255])).unwrap_err().to_string(), "the bytes are not UTF-8");
    }
}
