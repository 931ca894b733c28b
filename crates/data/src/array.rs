//! Arrays of any element type, as files hold them, and how their elements are read from bytes.

use std::fmt;
use std::io::{self, Read};

use gradus_graph::{Shape, Tensor};

use crate::error::{APPENDED, Problem};
use crate::half;

/// Writes [`FileArray`], [`Element`] and what depends on each element type: its name, its size, its bytes.
macro_rules! elements {
    ($($variant:ident, $type:ty, $name:literal, $size:literal, $doc:literal, $from_be:expr, $from_le:expr, $to_le:expr;)*) => {
        /// An array in the element type that it has in a file.
        ///
        /// # Example
        /// ```
        /// use gradus_data::FileArray;
        /// use gradus_graph::Tensor;
        /// let array = FileArray::from(Tensor::from([1_u8, 255]));
        /// assert_eq!((array.element(), array.shape().sizes()), ("u8", &[2][..]));
        /// assert_eq!(array.to_f32().data(), [1.0, 255.0]);
        /// assert_eq!(array.to_i64().unwrap().data(), [1, 255]);
        /// ```
        #[derive(Clone, PartialEq)]
        pub enum FileArray {
            $(#[doc = $doc] $variant(Tensor<$type>),)*
        }

        /// An element type.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(crate) enum Element {
            $($variant,)*
        }

        impl FileArray {
            /// The sizes of the axes.
            pub fn shape(&self) -> &Shape {
                match self { $(Self::$variant(tensor) => tensor.shape(),)* }
            }

            pub(crate) fn kind(&self) -> Element {
                match self { $(Self::$variant(_) => Element::$variant,)* }
            }

            /// The elements in row-major order, each little-endian.
            pub(crate) fn append_bytes(&self, bytes: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(tensor) => {
                        let to_bytes: fn($type) -> [u8; $size] = $to_le;
                        bytes.extend(tensor.data().iter().flat_map(|&value| to_bytes(value)));
                    })*
                }
            }

            pub(crate) fn permute(&self, axes: &[isize]) -> Self {
                match self { $(Self::$variant(tensor) => Self::$variant(tensor.permute(axes)),)* }
            }
        }

        impl Element {
            /// As Rust calls it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// In bytes.
            pub(crate) fn size(self) -> usize {
                match self { $(Self::$variant => $size,)* }
            }

            /// The elements of an array, which must be all that is left of the bytes.
            pub(crate) fn read(
                self,
                big_endian: bool,
                shape: Shape,
                bytes: impl Read,
                source: Source,
            ) -> Result<FileArray, Problem> {
                match self {
                    $(Self::$variant => {
                        let from_bytes: fn([u8; $size]) -> $type = if big_endian { $from_be } else { $from_le };
                        Ok(FileArray::$variant(elements(bytes, source, shape, self, from_bytes)?))
                    })*
                }
            }
        }
    };
}

elements! {
    Bool, bool, "bool", 1, "Booleans of one byte each; all but 0 is true.", |[byte]| byte != 0, |[byte]| byte != 0, |value| [u8::from(value)];
    U8, u8, "u8", 1, "Unsigned bytes.", u8::from_be_bytes, u8::from_le_bytes, u8::to_le_bytes;
    U16, u16, "u16", 2, "Unsigned integers of two bytes.", u16::from_be_bytes, u16::from_le_bytes, u16::to_le_bytes;
    U32, u32, "u32", 4, "Unsigned integers of four bytes.", u32::from_be_bytes, u32::from_le_bytes, u32::to_le_bytes;
    U64, u64, "u64", 8, "Unsigned integers of eight bytes.", u64::from_be_bytes, u64::from_le_bytes, u64::to_le_bytes;
    I8, i8, "i8", 1, "Signed bytes.", i8::from_be_bytes, i8::from_le_bytes, i8::to_le_bytes;
    I16, i16, "i16", 2, "Integers of two bytes.", i16::from_be_bytes, i16::from_le_bytes, i16::to_le_bytes;
    I32, i32, "i32", 4, "Integers of four bytes.", i32::from_be_bytes, i32::from_le_bytes, i32::to_le_bytes;
    I64, i64, "i64", 8, "Integers of eight bytes.", i64::from_be_bytes, i64::from_le_bytes, i64::to_le_bytes;
    F16, f32, "f16", 2, "Reals of two bytes, widened; written, each becomes the nearest.", |bytes| half::widen(u16::from_be_bytes(bytes)), |bytes| half::widen(u16::from_le_bytes(bytes)), |value| half::narrow(value).to_le_bytes();
    F32, f32, "f32", 4, "Reals of four bytes.", f32::from_be_bytes, f32::from_le_bytes, f32::to_le_bytes;
    F64, f64, "f64", 8, "Reals of eight bytes.", f64::from_be_bytes, f64::from_le_bytes, f64::to_le_bytes;
}

impl FileArray {
    /// The name of the element type as Rust has it, such as `"u8"` or `"f32"`; of booleans `"bool"`.
    pub fn element(&self) -> &'static str {
        self.kind().name()
    }

    /// The elements as reals, each the nearest `f64`; nothing is scaled.
    pub fn to_f64(&self) -> Tensor<f64> {
        match self {
            Self::Bool(tensor) => tensor.map(|&value| f64::from(u8::from(value))),
            Self::U8(tensor) => tensor.map(|&value| f64::from(value)),
            Self::U16(tensor) => tensor.map(|&value| f64::from(value)),
            Self::U32(tensor) => tensor.map(|&value| f64::from(value)),
            Self::U64(tensor) => tensor.map(|&value| value as f64),
            Self::I8(tensor) => tensor.map(|&value| f64::from(value)),
            Self::I16(tensor) => tensor.map(|&value| f64::from(value)),
            Self::I32(tensor) => tensor.map(|&value| f64::from(value)),
            Self::I64(tensor) => tensor.map(|&value| value as f64),
            Self::F16(tensor) | Self::F32(tensor) => tensor.map(|&value| f64::from(value)),
            Self::F64(tensor) => tensor.clone(),
        }
    }

    /// The elements as reals, each the nearest `f32`; nothing is scaled.
    pub fn to_f32(&self) -> Tensor<f32> {
        match self {
            Self::U8(tensor) => tensor.map(|&value| f32::from(value)),
            // By way of f64 these would be rounded twice.
            Self::U64(tensor) => tensor.map(|&value| value as f32),
            Self::I64(tensor) => tensor.map(|&value| value as f32),
            Self::F16(tensor) | Self::F32(tensor) => tensor.clone(),
            other => other.to_f64().map(|&value| value as f32),
        }
    }

    /// The elements as indices; nothing if they are reals, or one is too large.
    pub fn to_i64(&self) -> Option<Tensor<i64>> {
        match self {
            Self::Bool(tensor) => Some(tensor.map(|&value| i64::from(value))),
            Self::U8(tensor) => Some(tensor.map(|&value| i64::from(value))),
            Self::U16(tensor) => Some(tensor.map(|&value| i64::from(value))),
            Self::U32(tensor) => Some(tensor.map(|&value| i64::from(value))),
            Self::U64(tensor) => {
                let fit = tensor.data().iter().all(|&value| i64::try_from(value).is_ok());
                fit.then(|| tensor.map(|&value| value as i64))
            }
            Self::I8(tensor) => Some(tensor.map(|&value| i64::from(value))),
            Self::I16(tensor) => Some(tensor.map(|&value| i64::from(value))),
            Self::I32(tensor) => Some(tensor.map(|&value| i64::from(value))),
            Self::I64(tensor) => Some(tensor.clone()),
            Self::F16(_) | Self::F32(_) | Self::F64(_) => None,
        }
    }
}

impl fmt::Debug for FileArray {
    /// Element type and shape only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array {} {}", self.element(), self.shape())
    }
}

macro_rules! from_tensors {
    ($($variant:ident $type:ty),*) => {$(
        impl From<Tensor<$type>> for FileArray {
            fn from(tensor: Tensor<$type>) -> Self {
                Self::$variant(tensor)
            }
        }

        impl From<&Tensor<$type>> for FileArray {
            /// Shares the elements.
            fn from(tensor: &Tensor<$type>) -> Self {
                Self::$variant(tensor.clone())
            }
        }
    )*};
}

from_tensors!(Bool bool, U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64, F32 f32, F64 f64);

impl From<&FileArray> for FileArray {
    /// Shares the elements.
    fn from(array: &FileArray) -> Self {
        array.clone()
    }
}

/// The source of the elements.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    /// In bytes.
    pub(crate) size: usize,
    pub(crate) compressed: bool,
}

/// Bytes of elements that compressed data of any size may hold.
const PLAUSIBLE: usize = 64 << 20;
/// Bytes of elements that a byte of compressed data stands for at most, beyond that. Images and labels are compressed
/// two to thirty times; only nearly constant data are compressed more than a hundred times.
const RATIO: usize = 100;
/// Bytes that are converted at once, a multiple of the size of every element.
const CHUNK: usize = 1 << 16;

/// The bytes that compressed data of that size may hold.
pub(crate) fn plausible(compressed: usize) -> usize {
    PLAUSIBLE.max(compressed.saturating_mul(RATIO))
}

/// The elements of `N` bytes each.
fn elements<T: Clone, const N: usize>(
    mut bytes: impl Read,
    source: Source,
    shape: Shape,
    element: Element,
    from_bytes: fn([u8; N]) -> T,
) -> Result<Tensor<T>, Problem> {
    let element = element.name();
    let Some(expected) = N.checked_mul(shape.len()) else {
        return Err(Problem::TooLarge { sizes: shape.sizes().to_vec(), element });
    };
    if source.compressed && expected > plausible(source.size) {
        return Err(Problem::Implausible { shape, element, expected, compressed: source.size });
    }
    let mut values: Vec<T> = Vec::new();
    let mut found = 0;
    while found < expected {
        let bytes = up_to(&mut bytes, CHUNK.min(expected - found))?;
        if bytes.is_empty() {
            break;
        }
        found += bytes.len();
        if values.capacity() - values.len() < bytes.len() / N {
            // At first the size of the file, then doubled; never more than the header promises.
            let first = CHUNK.max(source.size).min(expected) / N;
            let capacity = (2 * values.capacity()).clamp(first, expected / N);
            values.reserve_exact(capacity - values.len());
        }
        values.extend(bytes.as_chunks().0.iter().map(|&bytes| from_bytes(bytes)));
    }
    // Appended bytes are counted up to a limit.
    let appended = io::copy(&mut bytes.take(APPENDED), &mut io::sink()).map_err(Problem::Gzip)?;
    if found < expected || appended > 0 {
        return Err(Problem::Length { shape, element, expected, found: found as u64 + appended });
    }
    Ok(Tensor::new(shape, values))
}

/// The next bytes: as many as asked for, or fewer at the end. Only gzip data can fail; others are in memory.
pub(crate) fn up_to(source: &mut impl Read, count: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(count);
    source.take(count as u64).read_to_end(&mut bytes).map_err(Problem::Gzip)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_converted_once() {
        let large = FileArray::from(Tensor::from([(1_i64 << 60) + (1 << 36) + 1, i64::MIN]));
        assert_eq!(large.to_f32().data()[0], ((1_i64 << 60) + (1 << 36) + 1) as f32);
        let unsigned = FileArray::from(Tensor::from([u64::MAX]));
        assert_eq!(unsigned.to_i64(), None);
        assert_eq!(unsigned.to_f32().data(), [18_446_744_073_709_551_615.0]);
        assert_eq!(FileArray::from(Tensor::from([true, false])).to_i64().unwrap().data(), [1, 0]);
        assert_eq!(FileArray::F16(Tensor::from([1.5])).to_f64().data(), [1.5]);
    }
}
