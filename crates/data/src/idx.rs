//! Reads IDX files, the format of MNIST: any element type, any number of axes, plain or compressed with gzip.
//!
//! Two zero bytes, a byte for the element type, a byte for the number of axes; the sizes of the axes, four bytes each;
//! the elements in row-major order. All numbers are big-endian. A file compressed with gzip is known by its first two
//! bytes, not by its name. Headers are not trusted: memory is allocated only for elements that were read, and no more
//! is decompressed than the header promises, which must be plausible for the size of the file.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use gradus_graph::{Shape, Tensor};

use crate::error::{APPENDED, DataError, Problem};

/// The content of an IDX file, in the element type of the file.
#[derive(Clone, PartialEq)]
pub enum Array {
    /// Type 08: unsigned bytes.
    U8(Tensor<u8>),
    /// Type 09: signed bytes.
    I8(Tensor<i8>),
    /// Type 0b: integers of two bytes.
    I16(Tensor<i16>),
    /// Type 0c: integers of four bytes.
    I32(Tensor<i32>),
    /// Type 0d: reals of four bytes.
    F32(Tensor<f32>),
    /// Type 0e: reals of eight bytes.
    F64(Tensor<f64>),
}

impl Array {
    /// The sizes of the axes.
    pub fn shape(&self) -> &Shape {
        match self {
            Self::U8(tensor) => tensor.shape(),
            Self::I8(tensor) => tensor.shape(),
            Self::I16(tensor) => tensor.shape(),
            Self::I32(tensor) => tensor.shape(),
            Self::F32(tensor) => tensor.shape(),
            Self::F64(tensor) => tensor.shape(),
        }
    }

    /// The name of the element type: `"u8"`, `"i8"`, `"i16"`, `"i32"`, `"f32"` or `"f64"`.
    pub fn element(&self) -> &'static str {
        match self {
            Self::U8(_) => "u8",
            Self::I8(_) => "i8",
            Self::I16(_) => "i16",
            Self::I32(_) => "i32",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
        }
    }

    /// The elements as reals, each the nearest `f32`; nothing is scaled.
    pub fn to_f32(&self) -> Tensor<f32> {
        match self {
            Self::U8(tensor) => tensor.map(|&value| f32::from(value)),
            Self::I8(tensor) => tensor.map(|&value| f32::from(value)),
            Self::I16(tensor) => tensor.map(|&value| f32::from(value)),
            Self::I32(tensor) => tensor.map(|&value| value as f32),
            Self::F32(tensor) => tensor.clone(),
            Self::F64(tensor) => tensor.map(|&value| value as f32),
        }
    }

    /// The elements as indices, or nothing if they are reals.
    pub fn to_i64(&self) -> Option<Tensor<i64>> {
        match self {
            Self::U8(tensor) => Some(tensor.map(|&value| i64::from(value))),
            Self::I8(tensor) => Some(tensor.map(|&value| i64::from(value))),
            Self::I16(tensor) => Some(tensor.map(|&value| i64::from(value))),
            Self::I32(tensor) => Some(tensor.map(|&value| i64::from(value))),
            Self::F32(_) | Self::F64(_) => None,
        }
    }
}

impl fmt::Debug for Array {
    /// Element type and shape only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array {} {}", self.element(), self.shape())
    }
}

/// The content of the file.
///
/// # Errors
/// If the file is no regular file, cannot be read, or is not a whole IDX file and nothing more. A compressed file whose
/// elements take more than 64 MiB and more than a hundred times its own size is refused as well; decompressed, it is
/// read.
///
/// # Example
/// ```
/// let path = std::env::temp_dir().join(format!("gradus-idx-{}", std::process::id()));
/// std::fs::write(&path, [0, 0, 0x0b, 1, 0, 0, 0, 2, 0xff, 0xff, 1, 0])?;
/// let array = gradus_data::idx::read(&path)?;
/// assert_eq!(array.element(), "i16");
/// assert_eq!(array.to_f32().data(), [-1.0, 256.0]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(path: impl AsRef<Path>) -> Result<Array, DataError> {
    let path = path.as_ref();
    let read = || match path.metadata()? {
        metadata if metadata.is_file() => std::fs::read(path),
        metadata if metadata.is_dir() => Err(io::Error::other("it is a folder, not a regular file")),
        _ => Err(io::Error::other("it is a device, a pipe or a socket, not a regular file")),
    };
    let bytes = read().map_err(|error| DataError::new(path, Problem::Io(error)))?;
    decode(&bytes).map_err(|problem| DataError::new(path, problem))
}

/// The content of an IDX file that is in memory already.
///
/// # Errors
/// As [`read`], for the bytes.
///
/// # Example
/// ```
/// use gradus_data::idx;
/// let array = idx::decode(&[0, 0, 0x08, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9])?;
/// assert_eq!(array.to_i64().unwrap().at(&[0, 2]), 9);
/// # Ok::<(), gradus_data::Problem>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<Array, Problem> {
    match bytes.starts_with(&[0x1f, 0x8b]) {
        true => decode_plain(MultiGzDecoder::new(bytes), File { size: bytes.len(), compressed: true }),
        false => decode_plain(bytes, File { size: bytes.len(), compressed: false }),
    }
}

/// The source of the elements.
#[derive(Clone, Copy)]
struct File {
    /// In bytes.
    size: usize,
    compressed: bool,
}

fn decode_plain(mut source: impl Read, file: File) -> Result<Array, Problem> {
    let magic = up_to(&mut source, 4)?;
    let axes = match magic[..] {
        [0, 0, _, axes] => axes,
        [first, second, ..] if (first, second) != (0, 0) => return Err(Problem::Magic([first, second])),
        _ => return Err(Problem::Header { expected: 4, found: magic.len() }),
    };
    match magic[2] {
        0x08 => Ok(Array::U8(elements(source, file, axes, "u8", u8::from_be_bytes)?)),
        0x09 => Ok(Array::I8(elements(source, file, axes, "i8", i8::from_be_bytes)?)),
        0x0b => Ok(Array::I16(elements(source, file, axes, "i16", i16::from_be_bytes)?)),
        0x0c => Ok(Array::I32(elements(source, file, axes, "i32", i32::from_be_bytes)?)),
        0x0d => Ok(Array::F32(elements(source, file, axes, "f32", f32::from_be_bytes)?)),
        0x0e => Ok(Array::F64(elements(source, file, axes, "f64", f64::from_be_bytes)?)),
        code => Err(Problem::ElementType(code)),
    }
}

/// Bytes of elements that compressed data of any size may hold.
const PLAUSIBLE: usize = 64 << 20;
/// Bytes of elements that a byte of compressed data stands for at most, beyond that. Images and labels are compressed
/// two to thirty times; only nearly constant data are compressed more than a hundred times.
const RATIO: usize = 100;
/// Bytes that are converted at once, a multiple of the size of every element.
const CHUNK: usize = 1 << 16;

/// The sizes of the axes, then the elements of `N` bytes each.
fn elements<T: Clone, const N: usize>(
    mut source: impl Read,
    file: File,
    axes: u8,
    element: &'static str,
    from_bytes: fn([u8; N]) -> T,
) -> Result<Tensor<T>, Problem> {
    let sizes = up_to(&mut source, 4 * usize::from(axes))?;
    if sizes.len() < 4 * usize::from(axes) {
        return Err(Problem::Header { expected: 4 + 4 * usize::from(axes), found: 4 + sizes.len() });
    }
    let sizes: Vec<usize> = sizes.as_chunks().0.iter().map(|&size| u32::from_be_bytes(size) as usize).collect();
    let Ok(shape) = Shape::try_new(&sizes[..]) else { return Err(Problem::TooLarge { sizes, element }) };
    let expected = N * shape.len();
    if file.compressed && expected > PLAUSIBLE.max(file.size.saturating_mul(RATIO)) {
        return Err(Problem::Implausible { shape, element, expected, compressed: file.size });
    }
    let mut values: Vec<T> = Vec::new();
    let mut found = 0;
    while found < expected {
        let bytes = up_to(&mut source, CHUNK.min(expected - found))?;
        if bytes.is_empty() {
            break;
        }
        found += bytes.len();
        if values.capacity() - values.len() < bytes.len() / N {
            // At first the size of the file, then doubled; never more than the header promises.
            let first = CHUNK.max(file.size).min(expected) / N;
            let capacity = (2 * values.capacity()).clamp(first, expected / N);
            values.reserve_exact(capacity - values.len());
        }
        values.extend(bytes.as_chunks().0.iter().map(|&bytes| from_bytes(bytes)));
    }
    // Appended bytes are counted up to a limit.
    let appended = io::copy(&mut source.take(APPENDED), &mut io::sink()).map_err(Problem::Gzip)?;
    if found < expected || appended > 0 {
        return Err(Problem::Length { shape, element, expected, found: found as u64 + appended });
    }
    Ok(Tensor::new(shape, values))
}

/// The next bytes: as many as asked for, or fewer at the end. Only gzip data can fail; the file is in memory.
fn up_to(source: &mut impl Read, count: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(count);
    source.take(count as u64).read_to_end(&mut bytes).map_err(Problem::Gzip)?;
    Ok(bytes)
}
