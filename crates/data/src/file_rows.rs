//! The rows of an npy or IDX file, read when they are asked for: the file may be larger than memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gradus_graph::Shape;

use crate::array::{Element, FileArray, Source};
use crate::error::{DataError, Problem};
use crate::file;
use crate::idx;
use crate::npy;
use crate::rows::Rows;

/// The rows of an npy or IDX file along the first axis of its array.
///
/// The file is open as long as the value lives, and must not change. Rows of neighbouring numbers are read at once.
///
/// # Example
/// ```
/// use gradus_data::{FileRows, Rows, npy};
/// use gradus_graph::Tensor;
/// let path = std::env::temp_dir().join(format!("gradus-rows-{}.npy", std::process::id()));
/// std::fs::write(&path, npy::encode(Tensor::from_fn([100, 2], |k| k as f32)))?;
/// let rows = FileRows::open(&path)?;
/// assert_eq!(rows.get(&[7, 3])?.to_f32(), Tensor::from_rows([[14.0, 15.0], [6.0, 7.0]]));
/// let batches = rows.into_batches(32).shuffled(7, 0).read_ahead(1);
/// assert_eq!(batches.map(|batch| batch.unwrap().shape()[0]).collect::<Vec<_>>(), [32, 32, 32, 4]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileRows {
    path: PathBuf,
    file: Mutex<File>,
    element: Element,
    big_endian: bool,
    shape: Shape,
    /// Where the elements begin.
    start: u64,
}

/// Bytes at the beginning that tell how long the header is, and most often hold it.
const FIRST: usize = 4096;

impl FileRows {
    /// Reads the header.
    ///
    /// # Errors
    /// If the file cannot be read, is neither npy nor IDX, is compressed, in Fortran order, or has more or fewer elements
    /// than its header says.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let file = file::open(path)?;
        Self::read(path, file).map_err(|problem| DataError::new(path, problem))
    }

    fn read(path: &Path, mut file: File) -> Result<Self, Problem> {
        let length = file.metadata().map_err(Problem::Io)?.len();
        let mut first = Vec::new();
        file.by_ref().take(FIRST as u64).read_to_end(&mut first).map_err(Problem::Io)?;
        if first.starts_with(&[0x1f, 0x8b]) {
            return Err(Problem::Other("it is compressed; rows are found in plain files alone".into()));
        }
        let (element, big_endian, shape, start) = if first.starts_with(&[0, 0]) {
            let (element, shape) = idx::header(&mut first.as_slice())?;
            let start = 4 + 4 * shape.rank();
            (element, true, shape, start)
        } else {
            let size = npy::header_size(&first)?;
            if size > first.len() && size as u64 <= length {
                file.seek(SeekFrom::Start(0)).map_err(Problem::Io)?;
                first.clear();
                file.by_ref().take(size as u64).read_to_end(&mut first).map_err(Problem::Io)?;
            }
            let (header, start) = npy::header(&first)?;
            if header.fortran_order && header.shape.rank() > 1 {
                let reason =
                    "it is in Fortran order, where a row is not in one piece; save it by `numpy.ascontiguousarray`";
                return Err(Problem::Other(reason.into()));
            }
            (header.element, header.big_endian, header.shape, start)
        };
        if shape.rank() == 0 {
            return Err(Problem::Other("it holds a scalar, which has no rows".into()));
        }
        let Some(expected) = shape.len().checked_mul(element.size()) else {
            return Err(Problem::TooLarge { sizes: shape.sizes().to_vec(), element: element.name() });
        };
        let found = length.saturating_sub(start as u64);
        if found != expected as u64 {
            return Err(Problem::Length { shape, element: element.name(), expected, found });
        }
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), element, big_endian, shape, start: start as u64 })
    }

    /// The sizes of the axes of the whole array.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The bytes of some rows.
    fn bytes(&self, rows: &[usize], size: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; rows.len() * size];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        for run in rows.chunk_by(|a, b| a + 1 == *b) {
            file.seek(SeekFrom::Start(self.start + run[0] as u64 * size as u64))?;
            file.read_exact(&mut bytes[done..done + run.len() * size])?;
            done += run.len() * size;
        }
        Ok(bytes)
    }
}

impl Rows for FileRows {
    type Batch = FileArray;

    fn len(&self) -> usize {
        self.shape[0]
    }

    fn get(&self, rows: &[usize]) -> Result<FileArray, DataError> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.len()) {
            panic!("row {row} of {}, an array of shape {}", self.path.display(), self.shape);
        }
        let wrong = |problem| DataError::new(&self.path, problem);
        let size = self.shape[1..].iter().product::<usize>() * self.element.size();
        let shape = self.shape.with_size(0, rows.len()).map_err(|reason| wrong(Problem::Other(reason)))?;
        let bytes = self.bytes(rows, size).map_err(|error| wrong(Problem::Io(error)))?;
        let source = Source { size: bytes.len(), compressed: false };
        self.element.read(self.big_endian, shape, bytes.as_slice(), source).map_err(wrong)
    }
}
