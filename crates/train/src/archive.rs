//! Named arrays in a file of the safetensors format: an eight-byte length, a JSON header, the elements.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::ops::Bound;
use std::path::Path;

use crate::faults::brief;
use crate::header::{Array, Dtype, Header, NOTES};
use crate::replace::{check_file, replace_file};
use gradus_graph::{AnyTensor, Real, Shape, Tensor};

/// Named arrays, as a file holds them.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    header: Header,
    /// The elements of all arrays, little-endian.
    data: Vec<u8>,
}

/// An array with its elements.
struct Viewed<'a>(&'a Array, &'a [u8]);

impl Archive {
    fn put(&mut self, name: String, dtype: Dtype, shape: &[usize], bytes: impl Iterator<Item = u8>) {
        let start = self.data.len();
        self.data.extend(bytes);
        self.header.arrays.insert(name, Array { dtype, shape: shape.to_vec(), bytes: start..self.data.len() });
    }

    pub(crate) fn put_tensor<T: Real>(&mut self, name: String, tensor: &Tensor<T>) {
        let shape = tensor.shape().sizes();
        // Not by way of f64: that would make a quiet NaN of a signalling one.
        match (tensor as &dyn Any).downcast_ref::<Tensor<f32>>() {
            Some(tensor) => {
                self.put(name, Dtype::F32, shape, tensor.data().iter().flat_map(|value| value.to_le_bytes()))
            }
            None => {
                self.put(name, Dtype::F64, shape, tensor.data().iter().flat_map(|value| value.as_f64().to_le_bytes()))
            }
        }
    }

    pub(crate) fn put_count(&mut self, name: String, count: u64) {
        self.put(name, Dtype::U64, &[], count.to_le_bytes().into_iter());
    }

    pub(crate) fn put_number(&mut self, name: String, number: f64) {
        self.put_tensor(name, &Tensor::scalar(number));
    }

    /// A tensor in the smaller type if that has all of its numbers, to the bit.
    pub(crate) fn put_exact(&mut self, name: String, tensor: &Tensor<f64>) {
        let narrow = tensor.cast::<f32>();
        let is_exact = |(wide, narrow): (&f64, &f32)| wide.to_bits() == f64::from(*narrow).to_bits();
        match tensor.data().iter().zip(narrow.data()).all(is_exact) {
            true => self.put_tensor(name, &narrow),
            false => self.put_tensor(name, tensor),
        }
    }

    pub(crate) fn put_indices(&mut self, name: String, tensor: &Tensor<i64>) {
        let bytes = tensor.data().iter().flat_map(|index| index.to_le_bytes());
        self.put(name, Dtype::I64, tensor.shape().sizes(), bytes);
    }

    /// Adds a text to the notes of the header.
    pub(crate) fn put_note(&mut self, name: &str, text: String) {
        self.header.notes.insert(name.to_owned(), text);
    }

    /// A text among the notes of the header.
    pub(crate) fn note(&self, name: &str) -> Option<&str> {
        self.header.notes.get(name).map(String::as_str)
    }

    /// A constant of a graph, if there is one of that name: integers are indices.
    pub(crate) fn constant(&self, name: &str) -> Result<Option<AnyTensor<f64>>, String> {
        match self.header.arrays.get(name) {
            None => Ok(None),
            Some(Array { dtype: Dtype::I64, shape, bytes }) => {
                let bytes = self.data[bytes.clone()].as_chunks().0;
                let indices = bytes.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect();
                let tensor = Tensor::try_new(Shape::from(&shape[..]), indices);
                tensor.map(|tensor| Some(tensor.into())).map_err(|problem| format!("`{name}`: {problem}"))
            }
            Some(_) => self.tensor(name).map(|tensor: Tensor<f64>| Some(tensor.into())),
        }
    }

    /// The format in the header.
    pub(crate) fn format(&self) -> Option<&str> {
        self.note(FORMAT)
    }

    /// The names that begin with the prefix, without it.
    pub(crate) fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        self.header.arrays.range::<str, _>(from).map_while(move |(name, _)| name.strip_prefix(prefix))
    }

    fn get(&self, name: &str) -> Result<Viewed<'_>, String> {
        let array = self.header.arrays.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
        Ok(Viewed(array, &self.data[array.bytes.clone()]))
    }

    /// The array of that name as a tensor. Numbers of a smaller type are widened, which is exact; of a larger one they
    /// are refused. Integers are accepted where they are exact, as counts of batches are.
    ///
    /// # Errors
    /// The problem, in one sentence.
    pub(crate) fn tensor<T: Real>(&self, name: &str) -> Result<Tensor<T>, String> {
        let Viewed(Array { dtype, shape, .. }, bytes) = self.get(name)?;
        let values: Vec<T> = match dtype {
            Dtype::F16 => bytes.as_chunks().0.iter().map(|&bytes| T::of(half(u16::from_le_bytes(bytes)))).collect(),
            Dtype::BF16 => {
                let wide = |bytes: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                bytes.as_chunks().0.iter().map(|bytes| T::of(wide(bytes).into())).collect()
            }
            Dtype::F32 => widened(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
            Dtype::F64 if T::NAME == "f64" => {
                bytes.as_chunks().0.iter().map(|&bytes| T::of(f64::from_le_bytes(bytes))).collect()
            }
            Dtype::I64 => {
                let integer = |bytes: &[u8; 8]| {
                    let number = i64::from_le_bytes(*bytes);
                    let real = T::of(number as f64);
                    (real.as_f64() as i128 == i128::from(number)).then_some(real).ok_or(number)
                };
                let values: Result<Vec<T>, i64> = bytes.as_chunks().0.iter().map(integer).collect();
                values.map_err(|number| format!("`{name}` holds {number}, which does not fit into {}", T::NAME))?
            }
            _ => return Err(format!("`{name}` holds {dtype:?}, which does not fit into {}", T::NAME)),
        };
        Tensor::try_new(Shape::from(&shape[..]), values).map_err(|problem| format!("`{name}`: {problem}"))
    }

    /// The type of the numbers of that name, as the file has it.
    pub(crate) fn is<T: Real>(&self, name: &str) -> bool {
        let dtype = if T::NAME == "f32" { Dtype::F32 } else { Dtype::F64 };
        self.header.arrays.get(name).is_some_and(|array| array.dtype == dtype)
    }

    pub(crate) fn count(&self, name: &str) -> Result<u64, String> {
        let Viewed(array, bytes) = self.get(name)?;
        let bytes = <[u8; 8]>::try_from(bytes).ok().filter(|_| array.dtype == Dtype::U64);
        bytes.map(u64::from_le_bytes).ok_or_else(|| format!("`{name}` is not a count"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<f64, String> {
        let tensor = self.tensor::<f64>(name)?;
        if tensor.len() == 1 { Ok(tensor.item()) } else { Err(format!("`{name}` is not a number")) }
    }

    /// Writes the file, complete or not at all. `format` is the format in its header.
    ///
    /// # Errors
    /// If the file cannot be written, or an array has the name that the format keeps for its notes.
    pub(crate) fn write(&self, path: &Path, format: &str) -> Result<(), Error> {
        if self.header.arrays.contains_key(NOTES) {
            return Err(wrong(path, &format!("the format keeps the name `{NOTES}` for its own notes")));
        }
        let mut notes = self.header.notes.clone();
        notes.insert(FORMAT.to_owned(), format.to_owned());
        // As the format asks: wider types first, so that every array is aligned.
        let mut order: Vec<(&String, &Array)> = self.header.arrays.iter().collect();
        order.sort_by_key(|(_, array)| std::cmp::Reverse(array.dtype.bits()));
        let mut arrays = BTreeMap::new();
        let mut elements = Vec::with_capacity(self.data.len());
        for (name, array) in order {
            let start = elements.len();
            elements.extend_from_slice(&self.data[array.bytes.clone()]);
            arrays.insert(name.clone(), Array { bytes: start..elements.len(), ..array.clone() });
        }
        let mut header = Header { notes, arrays }.to_string();
        while !header.len().is_multiple_of(LENGTH) {
            header.push(' ');
        }
        let length = header.len() as u64;
        if length > LONGEST {
            let problem = format!("the names and shapes of its arrays take {length} bytes, of at most {LONGEST}");
            return Err(wrong(path, &problem));
        }
        let length = length.to_le_bytes();
        replace_file(path, &[&length, header.as_bytes(), &elements].concat())
    }

    /// Reads a file; every array lies within it. The memory that it takes is a small multiple of the file's size.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let read = || {
            check_file(&path.metadata()?)?;
            std::fs::read(path)
        };
        let bytes = read().map_err(|problem| Error::new(problem.kind(), format!("{}: {problem}", path.display())))?;
        Self::decode(bytes).map_err(|problem| wrong(path, &problem))
    }

    /// The content of a file.
    fn decode(data: Vec<u8>) -> Result<Self, String> {
        let strange = |problem: String| Err(format!("not a safetensors file: {problem}"));
        let incomplete = |problem: String| format!("not a complete safetensors file ({})", brief(problem));
        let Some((length, rest)) = data.split_first_chunk() else {
            return strange(format!("it has {} bytes, and such a file begins with a number of {LENGTH}", data.len()));
        };
        let length = u64::from_le_bytes(*length);
        if length > LONGEST || rest.first().is_some_and(|&byte| byte != b'{') {
            let first: Vec<String> = data.iter().take(LENGTH).map(|byte| format!("{byte:02x}")).collect();
            return strange(format!("it begins with the bytes {}", first.join(" ")));
        }
        let Some((header, elements)) = rest.split_at_checked(length as usize) else {
            return Err(incomplete(format!("its header has {length} bytes, of which {} are there", rest.len())));
        };
        let start = LENGTH + header.len();
        let mut header: Header = serde_json::from_slice(header).map_err(|problem| incomplete(problem.to_string()))?;
        check_tiles(&header.arrays, elements.len()).map_err(incomplete)?;
        for Array { bytes, .. } in header.arrays.values_mut() {
            *bytes = bytes.start + start..bytes.end + start;
        }
        Ok(Self { header, data })
    }
}

/// Bytes of the number that a file begins with: the length of its header.
const LENGTH: usize = size_of::<u64>();
/// The longest header that is written or read.
const LONGEST: u64 = 100_000_000;

/// The name of the format among the notes of a header.
pub(crate) const FORMAT: &str = "format";

/// Returns an error unless the arrays take the bytes from 0 to `total`, one after another and each as many as its shape
/// needs.
fn check_tiles(arrays: &BTreeMap<String, Array>, total: usize) -> Result<(), String> {
    let mut placed: Vec<(&String, &Array)> = arrays.iter().collect();
    placed.sort_unstable_by_key(|(_, array)| (array.bytes.start, array.bytes.end));
    let mut next = 0;
    for (name, Array { dtype, shape, bytes }) in placed {
        // A size of 0 counts as 1, so that the other sizes multiply without overflow too, whoever multiplies them later.
        let sizes = shape.iter().try_fold(dtype.bits(), |bits, &size| bits.checked_mul(size.max(1)));
        let bits = if shape.contains(&0) { sizes.map(|_| 0) } else { sizes };
        if bits.is_none_or(|bits| bits % 8 != 0 || bytes.start.checked_add(bits / 8) != Some(bytes.end)) {
            return Err(format!("`{name}` of {dtype:?} and shape {shape:?} lies at {bytes:?}"));
        }
        if bytes.start != next {
            return Err(format!("`{name}` begins at {}, where {next} is expected", bytes.start));
        }
        next = bytes.end;
    }
    if next == total { Ok(()) } else { Err(format!("its elements take {next} bytes, of which {total} are there")) }
}

/// The numbers in another precision. In their own they keep their bits, those of a signalling NaN among them, which a
/// conversion by way of f64 would make quiet.
fn widened<T: Real>(mut values: Vec<f32>) -> Vec<T> {
    match (&mut values as &mut dyn Any).downcast_mut::<Vec<T>>() {
        Some(same) => std::mem::take(same),
        None => values.into_iter().map(|value| T::of(value.into())).collect(),
    }
}

/// The error for a file with the wrong content.
pub(crate) fn wrong(path: &Path, problem: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{}: {problem}", path.display()))
}

/// A number of IEEE half precision: sign, five bits of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let size = match (bits >> 10) & 0x1f {
        0 => fraction * (-24.0_f64).exp2(),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * (f64::from(exponent) - 25.0).exp2(),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_by_hand() {
        let cases = [(0x0000, 0.0), (0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 2.0_f64.powi(-24))];
        for (bits, value) in cases {
            assert_eq!(half(bits), value);
        }
        assert_eq!(half(0x3555), 0.333_251_953_125);
        assert_eq!(half(0xfc00), f64::NEG_INFINITY);
        assert!(half(0x7e00).is_nan() && half(0x8000).is_sign_negative());
    }

    #[test]
    fn a_file_gives_back_what_was_put() {
        let path = std::env::temp_dir().join(format!("gradus-archive-{}.safetensors", std::process::id()));
        let mut archive = Archive::default();
        let strange = Tensor::from([f64::MIN_POSITIVE / 8.0, -0.0, f64::INFINITY, 0.1]);
        archive.put_tensor("a.strange".to_owned(), &strange);
        archive.put_tensor("empty".to_owned(), &Tensor::<f32>::zeros([0, 3]));
        archive.put_tensor("scalar".to_owned(), &Tensor::scalar(0.1_f32));
        archive.put_count("count".to_owned(), u64::MAX);
        archive.put_number("number".to_owned(), -1e-300);
        for (name, whole) in [("few", 7_i64), ("many", i64::MAX)] {
            archive.put(name.to_owned(), Dtype::I64, &[], whole.to_le_bytes().into_iter());
        }
        archive.write(&path, "test").expect("the file can be written");
        let read = Archive::read(&path).expect("the file can be read");
        assert_eq!(read.format(), Some("test"));
        assert!(read.header.arrays.keys().eq(archive.header.arrays.keys()));
        for name in archive.header.arrays.keys() {
            let (was, is) = (archive.get(name).expect("it is there"), read.get(name).expect("it is there"));
            assert_eq!((is.0.dtype, &is.0.shape, is.1), (was.0.dtype, &was.0.shape, was.1), "{name}");
        }
        let bits = |tensor: &Tensor<f64>| tensor.data().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read.tensor("a.strange").expect("it is there")), bits(&strange));
        assert_eq!(read.tensor::<f32>("empty").expect("it is there").shape().sizes(), [0, 3]);
        assert_eq!(read.tensor::<f64>("scalar").expect("f32 widens").item(), f64::from(0.1_f32));
        assert_eq!((read.count("count"), read.number("number")), (Ok(u64::MAX), Ok(-1e-300)));
        assert_eq!(read.tensor::<f32>("few").expect("it is exact").item(), 7.0);
        let problem = read.tensor::<f64>("many").unwrap_err();
        assert_eq!(problem, "`many` holds 9223372036854775807, which does not fit into f64");
        assert_eq!(read.tensor::<f32>("number").unwrap_err(), "`number` holds F64, which does not fit into f32");
        std::fs::remove_file(&path).expect("the file can be removed");
    }
}
