//! Errors of data files: which file, what was found in it, and what was expected.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use gradus_graph::Shape;

/// A piece of a file in backticks, with at most 60 characters of it.
pub(crate) fn quoted(text: &str) -> String {
    let escaped = |character: char| match character.is_control() {
        true => character.escape_debug().to_string(),
        false => character.to_string(),
    };
    let mut brief: String = text.chars().take(60).map(escaped).collect();
    if text.chars().nth(60).is_some() {
        brief.push('…');
    }
    format!("`{brief}`")
}

/// Names in backticks, at most twelve of them.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.peekable();
    if names.peek().is_none() {
        return "none".into();
    }
    let shown: Vec<String> = names.by_ref().take(12).map(quoted).collect();
    let left = names.count();
    let more = if left > 0 { format!(" and {left} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// How many bytes after the last element are counted.
pub(crate) const APPENDED: u64 = 1 << 20;

/// A data file that could not be read. Its text is one sentence that begins with the file.
///
/// # Example
/// ```
/// use gradus_data::{Problem, mnist};
/// let error = mnist::read_labels("no/such/file").unwrap_err();
/// assert!(error.to_string().starts_with("no/such/file: cannot be read: "));
/// assert!(matches!(error.problem(), Problem::Io(_)));
/// ```
#[derive(Debug)]
pub struct DataError {
    path: PathBuf,
    problem: Box<Problem>,
}

impl DataError {
    pub(crate) fn new(path: &Path, problem: Problem) -> Self {
        Self { path: path.to_owned(), problem: Box::new(problem) }
    }

    /// An error of a reader of one's own: the file, and what is wrong with it in one sentence.
    ///
    /// # Example
    /// ```
    /// let error = gradus_data::DataError::other("run/log.bin", "it holds no rows");
    /// assert_eq!(error.to_string(), "run/log.bin: it holds no rows");
    /// ```
    pub fn other(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::new(path.as_ref(), Problem::Other(reason.into()))
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl std::error::Error for DataError {}

/// A problem of a data file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The operating system reports an error.
    Io(io::Error),
    /// The gzip data are damaged or incomplete.
    Gzip(io::Error),
    /// The header is cut short.
    Header {
        /// The length of the header in bytes.
        expected: usize,
        /// The bytes there are.
        found: usize,
    },
    /// The first two bytes are not those of an IDX file.
    Magic([u8; 2]),
    /// The third byte stands for no element type.
    ElementType(u8),
    /// The sizes in the header multiply to more than memory can address.
    TooLarge {
        /// The sizes in the header.
        sizes: Vec<usize>,
        /// The element type in the header.
        element: &'static str,
    },
    /// There are fewer or more bytes of elements than the header promises.
    Length {
        /// The sizes in the header.
        shape: Shape,
        /// The element type in the header.
        element: &'static str,
        /// The bytes that such elements take.
        expected: usize,
        /// The bytes after the header; of those beyond the expected ones, at most 1 MiB is counted.
        found: u64,
    },
    /// The compressed file is too small for the elements that its header promises.
    Implausible {
        /// The sizes in the header.
        shape: Shape,
        /// The element type in the header.
        element: &'static str,
        /// The bytes that such elements take.
        expected: usize,
        /// The bytes of the compressed file.
        compressed: usize,
    },
    /// Images were asked for, and the file holds something else.
    NotImages {
        /// The sizes in the header.
        shape: Shape,
        /// The element type in the header.
        element: &'static str,
    },
    /// Labels were asked for, and the file holds something else.
    NotLabels {
        /// The sizes in the header.
        shape: Shape,
        /// The element type in the header.
        element: &'static str,
    },
    /// The numbers of labels and images differ.
    Unpaired {
        /// The number of labels.
        labels: usize,
        /// The number of images.
        images: usize,
        /// The file with the images.
        images_path: PathBuf,
    },
    /// The folder lacks one of the files.
    Missing {
        /// The usual name of that file.
        name: &'static str,
    },
    /// The content is not of the format, or uses a part of it that is not read.
    Format {
        /// The name of the format.
        format: &'static str,
        /// What is wrong, in one sentence.
        reason: String,
    },
    /// A member of an archive, such as an array of an npz file.
    Member {
        /// Its name.
        name: String,
        /// Its problem.
        problem: Box<Problem>,
    },
    /// A line of a text file.
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong, in one sentence.
        reason: String,
    },
    /// A cell of a table.
    Cell {
        /// The number of the line on which its row begins, from 1.
        line: u64,
        /// The number of its column, from 1.
        column: usize,
        /// The name of its column.
        name: String,
        /// What is wrong, in one sentence.
        reason: String,
    },
    /// A column of a table.
    Column {
        /// Its name.
        name: String,
        /// What is wrong, in one sentence.
        reason: String,
    },
    /// Anything else, in one sentence.
    Other(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::Gzip(error) => write!(f, "the gzip data are damaged: {error}"),
            Self::Header { expected, found } => {
                write!(f, "the header of an IDX file like this takes {expected} bytes; the file has {found}")
            }
            Self::Magic([first, second]) => {
                write!(f, "an IDX file begins with the bytes 00 00; this one begins with {first:02x} {second:02x}")
            }
            Self::ElementType(code) => write!(
                f,
                "unknown element type {code:02x}; IDX has 08 (u8), 09 (i8), 0b (i16), 0c (i32), 0d (f32) and 0e (f64)"
            ),
            Self::TooLarge { sizes, element } => {
                write!(f, "the header promises {element} elements of shape {sizes:?}, more than memory can address")
            }
            Self::Length { shape, element, expected, found } => {
                let verdict = if *found < *expected as u64 { "the file is cut short" } else { "something is appended" };
                let least = if *found >= (*expected as u64).saturating_add(APPENDED) { "at least " } else { "" };
                write!(
                    f,
                    "{element} elements of shape {shape} take {expected} bytes after the header, \
                     where {least}{found} were found: {verdict}"
                )
            }
            Self::Implausible { shape, element, expected, compressed } => write!(
                f,
                "{element} elements of shape {shape} take {expected} bytes, more than a hundred times the {compressed} \
                 bytes of the compressed file; if that is right, decompress it first"
            ),
            Self::NotImages { shape, element } => write!(
                f,
                "images are u8 elements with at least three axes (image, row, column); \
                 the file holds {element} elements of shape {shape}"
            ),
            Self::NotLabels { shape, element } => {
                write!(f, "labels are integers along one axis; the file holds {element} elements of shape {shape}")
            }
            Self::Unpaired { labels, images, images_path } => {
                write!(f, "one label for each image is expected; {labels} labels were found, and {images} images in ")?;
                write!(f, "{}", images_path.display())
            }
            Self::Missing { name } => write!(f, "the folder has no file {name}, plain or with the ending .gz"),
            Self::Format { format, reason } => write!(f, "cannot be read as {format}: {reason}"),
            Self::Member { name, problem } => write!(f, "{}: {problem}", quoted(name)),
            Self::Line { line, reason } => write!(f, "line {line}: {reason}"),
            Self::Cell { line, column, name, reason } => {
                write!(f, "line {line}, column {column} ({}): {reason}", quoted(name))
            }
            Self::Column { name, reason } => write!(f, "column {}: {reason}", quoted(name)),
            Self::Other(reason) => write!(f, "{reason}"),
        }
    }
}

impl std::error::Error for Problem {}
