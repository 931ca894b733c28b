//! Reads images and labels from files of the user's own in the format of MNIST, plain or compressed with gzip.
//!
//! MNIST, Fashion-MNIST, KMNIST and others come as four IDX files of these names; pixels of 0 to 255 are divided by
//! 255. Nothing is downloaded.

use std::path::{Path, PathBuf};

use gradus_graph::Tensor;

use crate::array::FileArray;
use crate::dataset::Dataset;
use crate::error::{DataError, Problem};
use crate::idx;
use crate::split::Split;

/// The four usual files of a folder: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`
/// and `t10k-labels-idx1-ubyte`, each with the ending `.gz` or without; `.idx3-ubyte` and `.idx1-ubyte` are found too.
///
/// # Errors
/// If a file is missing, has the wrong content, or has a different number of rows than its companion.
///
/// # Example
/// ```no_run
/// use gradus_data::{Split, mnist};
/// let Split { train, test } = mnist::load("data/mnist")?;
/// assert_eq!(train.inputs().shape().sizes(), [60_000, 28, 28]);
/// assert_eq!(test.len(), 10_000);
/// # Ok::<(), gradus_data::DataError>(())
/// ```
pub fn load(folder: impl AsRef<Path>) -> Result<Split, DataError> {
    let folder = folder.as_ref();
    std::fs::read_dir(folder).map_err(|error| DataError::new(folder, Problem::Io(error)))?;
    let pair = |images, labels| read(find(folder, images)?, find(folder, labels)?);
    Ok(Split {
        train: pair("train-images-idx3-ubyte", "train-labels-idx1-ubyte")?,
        test: pair("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")?,
    })
}

fn find(folder: &Path, name: &'static str) -> Result<PathBuf, DataError> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
    let mut paths = names.into_iter().map(|name| folder.join(name));
    paths.find(|path| path.is_file()).ok_or_else(|| DataError::new(folder, Problem::Missing { name }))
}

/// The images of one file with the labels of another.
///
/// # Errors
/// As [`read_images`] and [`read_labels`], and if there is not one label for each image.
///
/// # Example
/// ```
/// let folder = std::env::temp_dir();
/// let images = folder.join(format!("gradus-images-{}", std::process::id()));
/// let labels = folder.join(format!("gradus-labels-{}", std::process::id()));
/// std::fs::write(&images, [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255])?;
/// std::fs::write(&labels, [0, 0, 8, 1, 0, 0, 0, 1, 4])?;
///
/// let one = gradus_data::mnist::read(&images, &labels)?;
/// assert_eq!(one.inputs().data(), [0.0, 1.0]);
/// assert_eq!(one.targets().data(), [4]);
/// # std::fs::remove_file(&images)?;
/// # std::fs::remove_file(&labels)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Dataset, DataError> {
    let (images_path, labels_path) = (images.as_ref(), labels.as_ref());
    let (images, labels) = (read_images(images_path)?, read_labels(labels_path)?);
    let counts = (images.shape()[0], labels.shape()[0]);
    if counts.0 != counts.1 {
        let images_path = images_path.to_owned();
        return Err(DataError::new(labels_path, Problem::Unpaired { labels: counts.1, images: counts.0, images_path }));
    }
    Ok(Dataset::new(images, labels))
}

/// The images of one file, pixels divided by 255: `[image, row, column]`, or with further axes if the file has them.
///
/// # Errors
/// If the file cannot be read, is not IDX, or holds anything but unsigned bytes along three axes or more.
///
/// # Example
/// ```
/// let path = std::env::temp_dir().join(format!("gradus-read-images-{}", std::process::id()));
/// std::fs::write(&path, [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 51, 255])?;
/// assert_eq!(gradus_data::mnist::read_images(&path)?.data(), [0.2, 1.0]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_images(path: impl AsRef<Path>) -> Result<Tensor<f32>, DataError> {
    let path = path.as_ref();
    match idx::read(path)? {
        FileArray::U8(pixels) if pixels.shape().rank() >= 3 => Ok(pixels.map(|&pixel| f32::from(pixel) / 255.0)),
        other => {
            let problem = Problem::NotImages { shape: other.shape().clone(), element: other.element() };
            Err(DataError::new(path, problem))
        }
    }
}

/// The labels of one file.
///
/// # Errors
/// If the file cannot be read, is not IDX, or holds anything but integers along one axis.
///
/// # Example
/// ```
/// let path = std::env::temp_dir().join(format!("gradus-read-labels-{}", std::process::id()));
/// std::fs::write(&path, [0, 0, 8, 1, 0, 0, 0, 2, 4, 9])?;
/// assert_eq!(gradus_data::mnist::read_labels(&path)?.data(), [4, 9]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_labels(path: impl AsRef<Path>) -> Result<Tensor<i64>, DataError> {
    let path = path.as_ref();
    let array = idx::read(path)?;
    match array.to_i64() {
        Some(labels) if labels.shape().rank() == 1 => Ok(labels),
        _ => {
            let problem = Problem::NotLabels { shape: array.shape().clone(), element: array.element() };
            Err(DataError::new(path, problem))
        }
    }
}
