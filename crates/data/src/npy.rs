//! Reads and writes npy files, the format in which NumPy saves one array.
//!
//! A magic word, a version, and a header in the syntax of a Python dictionary: element type with its byte order, whether
//! the first axis runs fastest, and the sizes. The elements follow. Versions 1 to 3, booleans, integers and reals of all
//! sizes in either byte order, in C and in Fortran order are read; Python objects, texts, dates, complex numbers and
//! records are refused. Headers are not trusted: memory is allocated only for elements that were read.
//!
//! # Example
//! ```
//! use gradus_data::npy;
//! use gradus_graph::Tensor;
//! let path = std::env::temp_dir().join(format!("gradus-npy-{}.npy", std::process::id()));
//! let squares = Tensor::from_fn([2, 3], |k| (k * k) as f32);
//! std::fs::write(&path, npy::encode(&squares))?;
//! assert_eq!(npy::read(&path)?.to_f32(), squares);
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::Path;

use gradus_graph::Shape;

use crate::array::{Element, FileArray, Source};
use crate::error::{DataError, Problem, quoted};
use crate::file;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes of headers, a multiple of which NumPy makes them so that elements can be mapped into memory.
const ALIGNMENT: usize = 64;

/// The array of the file.
///
/// # Errors
/// If the file is no regular file, cannot be read, or is not a whole npy file of booleans, integers or reals, and nothing
/// more.
pub fn read(path: impl AsRef<Path>) -> Result<FileArray, DataError> {
    let path = path.as_ref();
    decode(&file::read(path)?).map_err(|problem| DataError::new(path, problem))
}

/// The array of an npy file that is in memory already.
///
/// # Errors
/// As [`read`], for the bytes.
pub fn decode(bytes: &[u8]) -> Result<FileArray, Problem> {
    let (header, start) = header(bytes)?;
    let source = Source { size: bytes.len(), compressed: false };
    let read = |shape| header.element.read(header.big_endian, shape, &bytes[start..], source);
    if !header.fortran_order {
        return read(header.shape.clone());
    }
    let reversed: Shape = header.shape.iter().rev().copied().collect();
    let axes: Vec<isize> = (0..header.shape.rank() as isize).rev().collect();
    Ok(read(reversed)?.permute(&axes))
}

/// The array as an npy file: version 1, little-endian, in C order, as NumPy writes it.
pub fn encode(array: impl Into<FileArray>) -> Vec<u8> {
    let array = array.into();
    let sizes: String = array.shape().iter().map(|size| format!("{size}, ")).collect();
    // A comma after a single size is what makes it a tuple in Python.
    let sizes = if array.shape().rank() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    let code = code(array.kind());
    let mut header = format!("{{'descr': '{code}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(ALIGNMENT) - unpadded));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    match u16::try_from(header.len()) {
        Ok(length) => {
            bytes.extend([1, 0]);
            bytes.extend(length.to_le_bytes());
        }
        // Thousands of axes.
        Err(_) => {
            bytes.extend([2, 0]);
            bytes.extend((header.len() as u32).to_le_bytes());
        }
    }
    bytes.extend(header.bytes());
    array.append_bytes(&mut bytes);
    bytes
}

/// As NumPy writes it, little-endian.
fn code(element: Element) -> &'static str {
    CODES.iter().find(|(_, known)| *known == element).expect("every type has a code").0
}

const CODES: [(&str, Element); 12] = [
    ("|b1", Element::Bool),
    ("|u1", Element::U8),
    ("<u2", Element::U16),
    ("<u4", Element::U32),
    ("<u8", Element::U64),
    ("|i1", Element::I8),
    ("<i2", Element::I16),
    ("<i4", Element::I32),
    ("<i8", Element::I64),
    ("<f2", Element::F16),
    ("<f4", Element::F32),
    ("<f8", Element::F64),
];

/// What the header says.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) element: Element,
    pub(crate) big_endian: bool,
    pub(crate) fortran_order: bool,
    pub(crate) shape: Shape,
}

fn wrong(reason: impl Into<String>) -> Problem {
    Problem::Format { format: "npy", reason: reason.into() }
}

/// The bytes before the header's text.
const PREFIX: usize = 12;

/// How many bytes from the beginning of a file have all of the header, if the first of them are these.
pub(crate) fn header_size(first: &[u8]) -> Result<usize, Problem> {
    if !first.starts_with(MAGIC) {
        let begins = match first {
            [] => "it is empty".into(),
            _ => format!("it begins with {}", hex(&first[..first.len().min(6)])),
        };
        return Err(wrong(format!("such a file begins with the bytes 93 4e 55 4d 50 59; {begins}")));
    }
    match first[MAGIC.len()..] {
        [1, _, low, high, ..] => Ok(10 + usize::from(u16::from_le_bytes([low, high]))),
        [2 | 3, _, a, b, c, d, ..] => Ok(PREFIX + u32::from_le_bytes([a, b, c, d]) as usize),
        [major, minor, ..] if !(1..=3).contains(&major) => {
            Err(wrong(format!("its version is {major}.{minor}; 1.0, 2.0 and 3.0 are read")))
        }
        _ => Err(wrong("its header is cut short")),
    }
}

/// The header, and the number of bytes that it takes.
pub(crate) fn header(bytes: &[u8]) -> Result<(Header, usize), Problem> {
    let end = header_size(&bytes[..bytes.len().min(PREFIX)])?;
    let start = if bytes[MAGIC.len()] == 1 { 10 } else { PREFIX };
    let Some(text) = bytes.get(start..end) else {
        return Err(wrong(format!("its header takes {end} bytes; the file has {}", bytes.len())));
    };
    let Ok(text) = std::str::from_utf8(text) else { return Err(wrong("its header is no text")) };
    let mut literal = Literal { rest: text };
    let header = literal.header().ok_or_else(|| {
        let place = text.len() - literal.rest.len();
        wrong(format!("its header cannot be understood from character {place} on: {}", quoted(text)))
    })?;
    Ok((header?, end))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// The text of a Python literal that is left to read.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    /// Skips the token, if it is next.
    fn skip(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.trim_start();
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn text(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start();
        let quote = self.rest.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
        let (text, rest) = self.rest[1..].split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.skip("True") {
            Some(()) => Some(true),
            None => self.skip("False").map(|()| false),
        }
    }

    /// Sizes in parentheses; those that no address has are the largest that one has.
    fn sizes(&mut self) -> Option<Vec<usize>> {
        self.skip("(")?;
        let mut sizes = Vec::new();
        while self.skip(")").is_none() {
            if !sizes.is_empty() {
                self.skip(",")?;
                if self.skip(")").is_some() {
                    break;
                }
            }
            self.rest = self.rest.trim_start();
            let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = self.rest.split_at(digits);
            if number.is_empty() {
                return None;
            }
            sizes.push(number.parse().unwrap_or(usize::MAX));
            // Python 2 wrote long integers with an L.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
        }
        Some(sizes)
    }

    /// Nothing if it is no dictionary of these three keys.
    fn header(&mut self) -> Option<Result<Header, Problem>> {
        let (mut code, mut fortran_order, mut sizes) = (None, None, None);
        self.skip("{")?;
        while self.skip("}").is_none() {
            let key = self.text()?;
            self.skip(":")?;
            match key {
                "descr" => {
                    if self.rest.trim_start().starts_with(['[', '(']) {
                        return Some(Err(wrong("it holds records of several fields; save each field as an array")));
                    }
                    code = Some(self.text()?);
                }
                "fortran_order" => fortran_order = Some(self.bool()?),
                "shape" => sizes = Some(self.sizes()?),
                _ => return None,
            }
            if self.skip(",").is_none() {
                self.skip("}")?;
                break;
            }
        }
        if !self.rest.trim().is_empty() {
            return None;
        }
        let (code, fortran_order, sizes) = (code?, fortran_order?, sizes?);
        Some(element(code).and_then(|(element, big_endian)| match Shape::try_new(&sizes[..]) {
            Ok(shape) => Ok(Header { element, big_endian, fortran_order, shape }),
            Err(_) => Err(Problem::TooLarge { sizes, element: element.name() }),
        }))
    }
}

/// The element type of a code such as `<f4`, and whether its first byte is the highest.
fn element(code: &str) -> Result<(Element, bool), Problem> {
    let (order, kind) = code.split_at_checked(1).unwrap_or_default();
    let known = CODES.iter().find(|(known, _)| known[1..] == *kind && ["<", ">", "|", "="].contains(&order));
    known.map(|&(_, element)| (element, order == ">")).ok_or_else(|| {
        let held = match kind.chars().next() {
            Some('O') => "Python objects",
            Some('U' | 'S' | 'a') => "texts",
            Some('M' | 'm') => "dates or times",
            Some('c') => "complex numbers",
            Some('V') => "raw bytes",
            _ => "elements of an unknown type",
        };
        wrong(format!("it holds {held} ({}); b1, u1 to u8, i1 to i8, f2, f4 and f8 are read", quoted(code)))
    })
}
