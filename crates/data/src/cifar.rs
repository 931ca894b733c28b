//! Reads the binary files of CIFAR-10 and CIFAR-100: colour images of 32×32 pixels in ten or a hundred classes.
//!
//! A record is a label of one byte (CIFAR-100: two, the coarse class and the fine) and 3,072 bytes of pixels: red, green
//! and blue planes, row by row. Images are `[image, 3, 32, 32]`, pixels of 0 to 255 divided by 255. Nothing is
//! downloaded.

use std::path::Path;

use gradus_graph::Tensor;

use crate::dataset::Dataset;
use crate::error::{DataError, Problem};
use crate::file;
use crate::split::Split;

const PIXELS: usize = 3 * 32 * 32;

/// CIFAR-10 from its folder: `data_batch_1.bin` to `data_batch_5.bin`, and `test_batch.bin`.
///
/// # Errors
/// If a file is missing or has the wrong content.
///
/// # Example
/// ```no_run
/// use gradus_data::{Split, cifar};
/// let Split { train, test } = cifar::load_10("data/cifar-10-batches-bin")?;
/// assert_eq!(train.inputs().shape().sizes(), [50_000, 3, 32, 32]);
/// # Ok::<(), gradus_data::DataError>(())
/// ```
pub fn load_10(folder: impl AsRef<Path>) -> Result<Split, DataError> {
    let folder = folder.as_ref();
    let parts: Vec<Dataset> =
        (1..=5).map(|k| read_10(folder.join(format!("data_batch_{k}.bin")))).collect::<Result<_, _>>()?;
    let inputs: Vec<_> = parts.iter().map(|part| part.inputs()).collect();
    let targets: Vec<_> = parts.iter().map(|part| part.targets()).collect();
    let train = Dataset::new(Tensor::concat(&inputs, 0), Tensor::concat(&targets, 0));
    Ok(Split { train, test: read_10(folder.join("test_batch.bin"))? })
}

/// CIFAR-100 with its fine classes from its folder: `train.bin` and `test.bin`.
///
/// # Errors
/// If a file is missing or has the wrong content.
pub fn load_100(folder: impl AsRef<Path>) -> Result<Split, DataError> {
    let folder = folder.as_ref();
    Ok(Split { train: read_100(folder.join("train.bin"))?, test: read_100(folder.join("test.bin"))? })
}

/// The images and labels of one file of CIFAR-10.
///
/// # Errors
/// If the file cannot be read, is not made of records of 3,073 bytes, or has a label above 9.
///
/// # Example
/// ```
/// let path = std::env::temp_dir().join(format!("gradus-cifar-{}", std::process::id()));
/// std::fs::write(&path, [vec![7; 1], vec![255; 3072]].concat())?;
/// let one = gradus_data::cifar::read_10(&path)?;
/// assert_eq!((one.targets().data(), one.inputs().at(&[0, 2, 31, 31])), (&[7][..], 1.0));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_10(path: impl AsRef<Path>) -> Result<Dataset, DataError> {
    records(path.as_ref(), 1, 10)
}

/// The images and fine labels of one file of CIFAR-100.
///
/// # Errors
/// If the file cannot be read, is not made of records of 3,074 bytes, or has a label above 99.
pub fn read_100(path: impl AsRef<Path>) -> Result<Dataset, DataError> {
    records(path.as_ref(), 2, 100)
}

/// The last byte before the pixels is the label.
fn records(path: &Path, labels: usize, classes: u8) -> Result<Dataset, DataError> {
    let bytes = file::read(path)?;
    let size = labels + PIXELS;
    let wrong = |reason| DataError::new(path, Problem::Format { format: "CIFAR", reason });
    if bytes.len() % size != 0 {
        return Err(wrong(format!("{} bytes cannot be divided into records of {size} bytes", bytes.len())));
    }
    let (mut pixels, mut targets) = (Vec::with_capacity(bytes.len() / size * PIXELS), Vec::new());
    for (number, record) in bytes.chunks(size).enumerate() {
        let label = record[labels - 1];
        if label >= classes {
            return Err(wrong(format!("record {number} has label {label}, where labels are below {classes}")));
        }
        targets.push(i64::from(label));
        pixels.extend(record[labels..].iter().map(|&pixel| f32::from(pixel) / 255.0));
    }
    Ok(Dataset::new(Tensor::new([targets.len(), 3, 32, 32], pixels), Tensor::from(targets)))
}
