//! Named arrays in a file of the safetensors format: an eight-byte length, a JSON header, the elements.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::path::Path;

use gradus_graph::{Real, Shape, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, View, serialize};

use crate::replace::replace;

/// Named arrays, as a file holds them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Archive {
    arrays: BTreeMap<String, Array>,
}

/// An array of numbers of some type, in little-endian bytes.
#[derive(Clone, Debug, PartialEq)]
struct Array {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &Array {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl Archive {
    pub(crate) fn put_tensor<T: Real>(&mut self, name: String, tensor: &Tensor<T>) {
        let values = tensor.data().iter().map(|value| value.as_f64());
        let (dtype, bytes) = match T::NAME {
            "f32" => (Dtype::F32, values.flat_map(|value| (value as f32).to_le_bytes()).collect()),
            _ => (Dtype::F64, values.flat_map(f64::to_le_bytes).collect()),
        };
        self.arrays.insert(name, Array { dtype, shape: tensor.shape().sizes().to_vec(), bytes });
    }

    pub(crate) fn put_count(&mut self, name: String, count: u64) {
        let bytes = count.to_le_bytes().to_vec();
        self.arrays.insert(name, Array { dtype: Dtype::U64, shape: Vec::new(), bytes });
    }

    pub(crate) fn put_number(&mut self, name: String, number: f64) {
        self.put_tensor(name, &Tensor::scalar(number));
    }

    /// The names that begin with the prefix, without it.
    pub(crate) fn names(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.arrays.keys().filter_map(move |name| name.strip_prefix(prefix))
    }

    /// The array of that name as a tensor. Numbers of a smaller type are widened, which is exact; of a larger one they
    /// are refused. Whole numbers are taken where they are exact, as counts of batches are.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub(crate) fn tensor<T: Real>(&self, name: &str) -> Result<Tensor<T>, String> {
        let array = self.arrays.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
        let Array { dtype, shape, bytes } = array;
        let values: Vec<T> = match dtype {
            Dtype::F16 => bytes.as_chunks().0.iter().map(|&bytes| T::of(half(u16::from_le_bytes(bytes)))).collect(),
            Dtype::BF16 => {
                let wide = |bytes: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                bytes.as_chunks().0.iter().map(|bytes| T::of(wide(bytes).into())).collect()
            }
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&bytes| T::of(f32::from_le_bytes(bytes).into())).collect(),
            Dtype::F64 if T::NAME == "f64" => {
                bytes.as_chunks().0.iter().map(|&bytes| T::of(f64::from_le_bytes(bytes))).collect()
            }
            Dtype::I64 => {
                let whole = |bytes: &[u8; 8]| {
                    let number = i64::from_le_bytes(*bytes);
                    let real = T::of(number as f64);
                    (real.as_f64() as i128 == i128::from(number)).then_some(real).ok_or(number)
                };
                let values: Result<Vec<T>, i64> = bytes.as_chunks().0.iter().map(whole).collect();
                values.map_err(|number| format!("`{name}` holds {number}, which does not fit into {}", T::NAME))?
            }
            _ => return Err(format!("`{name}` holds {dtype:?}, which does not fit into {}", T::NAME)),
        };
        Tensor::try_new(Shape::from(&shape[..]), values).map_err(|problem| format!("`{name}`: {problem}"))
    }

    /// The type of the numbers of that name, as the file has it.
    pub(crate) fn is<T: Real>(&self, name: &str) -> bool {
        let dtype = if T::NAME == "f32" { Dtype::F32 } else { Dtype::F64 };
        self.arrays.get(name).is_some_and(|array| array.dtype == dtype)
    }

    pub(crate) fn count(&self, name: &str) -> Result<u64, String> {
        let array = self.arrays.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
        let bytes = <[u8; 8]>::try_from(&array.bytes[..]).ok().filter(|_| array.dtype == Dtype::U64);
        bytes.map(u64::from_le_bytes).ok_or_else(|| format!("`{name}` is not a count"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<f64, String> {
        let tensor = self.tensor::<f64>(name)?;
        if tensor.len() == 1 { Ok(tensor.item()) } else { Err(format!("`{name}` is not a number")) }
    }

    /// Writes the file, complete or not at all. `format` says what it is in the header.
    pub(crate) fn write(&self, path: &Path, format: &str) -> Result<(), Error> {
        let notes = [("format".to_owned(), format.to_owned())].into_iter().collect();
        let bytes = serialize(&self.arrays, Some(notes)).map_err(|problem| wrong(path, &problem.to_string()))?;
        replace(path, &bytes)
    }

    /// Reads a file; every array lies within it.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path)
            .map_err(|problem| Error::new(problem.kind(), format!("{}: {problem}", path.display())))?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|problem| wrong(path, &format!("not a complete safetensors file ({problem})")))?;
        let array = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
            let array = Array { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
            (name.to_owned(), array)
        };
        Ok(Self { arrays: file.iter().map(array).collect() })
    }
}

/// The error that a file does not hold what it should.
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
            let array = Array { dtype: Dtype::I64, shape: Vec::new(), bytes: whole.to_le_bytes().to_vec() };
            archive.arrays.insert(name.to_owned(), array);
        }
        archive.write(&path, "test").expect("the file can be written");
        let read = Archive::read(&path).expect("the file can be read");
        assert_eq!(read, archive);
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
