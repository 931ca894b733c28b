//! Reads IDX files, the format of MNIST: any element type, any number of axes, plain or compressed with gzip.
//!
//! Two zero bytes, a byte for the element type, a byte for the number of axes; the sizes of the axes, four bytes each;
//! the elements in row-major order. All numbers are big-endian. A file compressed with gzip is known by its first two
//! bytes, not by its name. Headers are not trusted: memory is allocated only for elements that were read, and no more
//! is decompressed than the header promises, which must be plausible for the size of the file.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use gradus_graph::Shape;

use crate::array::{Element, FileArray, Source, up_to};
use crate::error::{DataError, Problem};
use crate::file;

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
pub fn read(path: impl AsRef<Path>) -> Result<FileArray, DataError> {
    let path = path.as_ref();
    let bytes = file::read(path)?;
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
pub fn decode(bytes: &[u8]) -> Result<FileArray, Problem> {
    match bytes.starts_with(&[0x1f, 0x8b]) {
        true => decode_plain(MultiGzDecoder::new(bytes), Source { size: bytes.len(), compressed: true }),
        false => decode_plain(bytes, Source { size: bytes.len(), compressed: false }),
    }
}

fn decode_plain(mut bytes: impl Read, source: Source) -> Result<FileArray, Problem> {
    let (element, shape) = header(&mut bytes)?;
    element.read(true, shape, bytes, source)
}

/// The element type and the sizes, with which the file begins.
pub(crate) fn header(source: &mut impl Read) -> Result<(Element, Shape), Problem> {
    let magic = up_to(source, 4)?;
    let axes = match magic[..] {
        [0, 0, _, axes] => usize::from(axes),
        [first, second, ..] if (first, second) != (0, 0) => return Err(Problem::Magic([first, second])),
        _ => return Err(Problem::Header { expected: 4, found: magic.len() }),
    };
    let element = match magic[2] {
        0x08 => Element::U8,
        0x09 => Element::I8,
        0x0b => Element::I16,
        0x0c => Element::I32,
        0x0d => Element::F32,
        0x0e => Element::F64,
        code => return Err(Problem::ElementType(code)),
    };
    let sizes = up_to(source, 4 * axes)?;
    if sizes.len() < 4 * axes {
        return Err(Problem::Header { expected: 4 + 4 * axes, found: 4 + sizes.len() });
    }
    let sizes: Vec<usize> = sizes.as_chunks().0.iter().map(|&size| u32::from_be_bytes(size) as usize).collect();
    match Shape::try_new(&sizes[..]) {
        Ok(shape) => Ok((element, shape)),
        Err(_) => Err(Problem::TooLarge { sizes, element: element.name() }),
    }
}
