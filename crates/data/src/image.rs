//! Folders of PNG and JPEG images, a subfolder for each class.
//!
//! Images are decoded when their rows are asked for, so a folder may be larger than memory. Pixels of 0 to 255 are
//! divided by 255.

use std::path::{Path, PathBuf};

use gradus_graph::Tensor;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_jpeg::{ImageInfo as JpegInfo, JpegDecoder};

use crate::batches::Batch;
use crate::error::{DataError, Problem};
use crate::file;
use crate::rows::Rows;
use crate::table::Categories;

/// The colours of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Colours {
    /// One channel of brightness: 0.299 red + 0.587 green + 0.114 blue.
    Grey,
    /// Three channels.
    Rgb,
}

impl Colours {
    fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// The image of a PNG or JPEG file, `[channel, row, column]`, pixels divided by 255; transparency is left out.
///
/// # Errors
/// If the file cannot be read, is neither PNG nor JPEG, is damaged, or has more pixels than is plausible for its size.
pub fn read(path: impl AsRef<Path>, colours: Colours) -> Result<Tensor<f32>, DataError> {
    let path = path.as_ref();
    decode(&file::read(path)?, colours).map_err(|problem| DataError::new(path, problem))
}

/// The image of a PNG or JPEG file that is in memory already.
///
/// # Errors
/// As [`read`], for the bytes.
pub fn decode(bytes: &[u8], colours: Colours) -> Result<Tensor<f32>, Problem> {
    let pixels = if bytes.starts_with(b"\x89PNG") {
        png(bytes)?
    } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        jpeg(bytes)?
    } else {
        let begins: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let reason =
            format!("a PNG begins with 89 50 4e 47, a JPEG with ff d8 ff; this file begins with {}", begins.join(" "));
        return Err(Problem::Format { format: "PNG or JPEG", reason });
    };
    Ok(pixels.tensor(colours))
}

/// Bytes, the channels of a pixel one after the other.
struct Pixels {
    rows: usize,
    columns: usize,
    channels: usize,
    bytes: Vec<u8>,
}

impl Pixels {
    fn tensor(&self, colours: Colours) -> Tensor<f32> {
        let area = self.rows * self.columns;
        let mut values = vec![0.0; colours.channels() * area];
        for (place, pixel) in self.bytes.chunks_exact(self.channels).enumerate() {
            // Grey, grey with transparency, three colours, three with transparency.
            let [red, green, blue] = match *pixel {
                [grey] | [grey, _] => [grey; 3],
                [red, green, blue, ..] => [red, green, blue],
                [] => unreachable!("a pixel has a channel"),
            }
            .map(f32::from);
            match colours {
                Colours::Grey if self.channels < 3 => values[place] = red / 255.0,
                Colours::Grey => values[place] = (0.299 * red + 0.587 * green + 0.114 * blue) / 255.0,
                Colours::Rgb => {
                    for (channel, value) in [red, green, blue].into_iter().enumerate() {
                        values[channel * area + place] = value / 255.0;
                    }
                }
            }
        }
        Tensor::new([colours.channels(), self.rows, self.columns], values)
    }
}

/// Bytes of a row that a decoder may hold for each byte of a file, beyond a mebibyte.
const ROOM: usize = 8;

fn png(bytes: &[u8]) -> Result<Pixels, Problem> {
    let wrong = |error: png::DecodingError| Problem::Format { format: "PNG", reason: error.to_string() };
    let limits = png::Limits { bytes: (1 << 20) + ROOM * bytes.len() };
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(wrong)?;
    let (rows, columns) = (reader.info().height as usize, reader.info().width as usize);
    let channels = reader.output_color_type().0.samples();
    // The rows as they come: what a header promises is not asked of the allocator.
    let (mut content, mut interlaced) = (Vec::new(), Vec::new());
    while let Some(row) = reader.next_interlaced_row().map_err(wrong)? {
        if let png::InterlaceInfo::Adam7(info) = row.interlace() {
            interlaced.push((*info, content.len()));
        }
        content.extend_from_slice(row.data());
    }
    if content.len() != rows * columns * channels {
        return Err(Problem::Format { format: "PNG", reason: "rows are missing".into() });
    }
    if !interlaced.is_empty() {
        let mut image = vec![0; content.len()];
        let ends = interlaced[1..].iter().map(|&(_, start)| start).chain([content.len()]);
        for (&(info, start), end) in interlaced.iter().zip(ends) {
            png::expand_interlaced_row(&mut image, columns * channels, &content[start..end], &info, 8 * channels as u8);
        }
        content = image;
    }
    Ok(Pixels { rows, columns, channels, bytes: content })
}

/// Bytes of pixels that a byte of a JPEG stands for at most, beyond a mebibyte; one of a single colour has 300.
const RATIO: usize = 1000;

fn jpeg(bytes: &[u8]) -> Result<Pixels, Problem> {
    // Its messages have several lines.
    let wrong = |error: &dyn std::fmt::Debug| {
        let reason = format!("{error:?}").split_whitespace().collect::<Vec<_>>().join(" ");
        Problem::Format { format: "JPEG", reason }
    };
    let options = DecoderOptions::default().set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| wrong(&error))?;
    let Some(JpegInfo { width, height, components, .. }) = decoder.info() else { return Err(wrong(&"no header")) };
    let grey = components == 1;
    let (rows, columns, channels) = (usize::from(height), usize::from(width), if grey { 1 } else { 3 });
    if rows * columns * channels > (1 << 20) + RATIO * bytes.len() {
        let reason = format!("{rows}×{columns} pixels are not plausible for a file of {} bytes", bytes.len());
        return Err(Problem::Format { format: "JPEG", reason });
    }
    let colours = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = options.jpeg_set_out_colorspace(colours);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let content = decoder.decode().map_err(|error| wrong(&error))?;
    Ok(Pixels { rows, columns, channels, bytes: content })
}

/// The images in the subfolders of a folder; the name of a subfolder is the class of its images.
///
/// Classes are in alphabetical order, and so are the images of each. All images have the size of the first one, or are
/// brought to one size by [`ImageFolder::resized`].
///
/// # Example
/// ```no_run
/// use gradus_data::{Rows, image::{Colours, ImageFolder}};
/// let flowers = ImageFolder::open("flowers", Colours::Rgb)?.resized(64, 64);
/// println!("{} images of {:?}", flowers.len(), flowers.classes().names());
/// for epoch in 0..10 {
///     for batch in flowers.batches(32).shuffled(7, epoch) {
///         assert_eq!(batch?.inputs.shape()[1..], [3, 64, 64]);
///     }
/// }
/// # Ok::<(), gradus_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolder {
    colours: Colours,
    classes: Categories,
    files: Vec<(PathBuf, i64)>,
    size: Option<[usize; 2]>,
}

impl ImageFolder {
    /// Lists the images; files whose names do not end with `.png`, `.jpg` or `.jpeg` are not taken.
    ///
    /// # Errors
    /// If the folder cannot be read, has no subfolders, or one of them has no images.
    pub fn open(folder: impl AsRef<Path>, colours: Colours) -> Result<Self, DataError> {
        let folder = folder.as_ref();
        let mut classes: Vec<PathBuf> = entries(folder)?.into_iter().filter(|path| path.is_dir()).collect();
        classes.sort();
        if classes.is_empty() {
            return Err(DataError::other(folder, "the folder has no subfolders, one a class"));
        }
        let (mut names, mut files) = (Vec::new(), Vec::new());
        for (label, class) in (0..).zip(&classes) {
            let name = class.file_name().and_then(|name| name.to_str());
            names.push(name.ok_or_else(|| DataError::other(class, "the name of the class is not UTF-8"))?.to_owned());
            let is_image = |path: &PathBuf| {
                let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
                ["png", "jpg", "jpeg"].contains(&ending.to_ascii_lowercase().as_str())
            };
            let mut images: Vec<PathBuf> = entries(class)?.into_iter().filter(is_image).collect();
            if images.is_empty() {
                return Err(DataError::other(
                    class,
                    "the folder has no images: no names that end with .png, .jpg or .jpeg",
                ));
            }
            images.sort();
            files.extend(images.into_iter().map(|path| (path, label)));
        }
        // The order of paths is not always that of names, and classes have to be in theirs.
        let classes = Categories::new(names).map_err(|problem| DataError::new(folder, problem))?;
        Ok(Self { colours, classes, files, size: None })
    }

    /// Brings all images to this size: bilinear, between the centres of pixels; smaller sizes average over what they
    /// leave out.
    ///
    /// # Panics
    /// If a size is 0.
    #[must_use]
    #[track_caller]
    pub fn resized(self, rows: usize, columns: usize) -> Self {
        assert!(rows > 0 && columns > 0, "`ImageFolder::resized`: an image of {rows}×{columns} pixels");
        Self { size: Some([rows, columns]), ..self }
    }

    /// The classes; the label of an image is the code of its class.
    pub fn classes(&self) -> &Categories {
        &self.classes
    }

    /// The labels of all images, for splits and weights.
    pub fn labels(&self) -> Tensor<i64> {
        self.files.iter().map(|&(_, label)| label).collect::<Vec<_>>().into()
    }

    fn image(&self, row: usize) -> Result<Tensor<f32>, DataError> {
        let image = read(&self.files[row].0, self.colours)?;
        Ok(match self.size {
            Some(size) => resize(&image, size),
            None => image,
        })
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    list().map_err(|error| DataError::new(folder, Problem::Io(error)))
}

impl Rows for ImageFolder {
    type Batch = Batch<f32, i64>;

    fn len(&self) -> usize {
        self.files.len()
    }

    fn get(&self, rows: &[usize]) -> Result<Self::Batch, DataError> {
        let mut images: Vec<Tensor<f32>> = Vec::new();
        for &row in rows {
            let image = self.image(row)?;
            if let Some(first) = images.first().filter(|first| first.shape() != image.shape()) {
                let (shape, other, path) = (image.shape(), first.shape(), self.files[rows[0]].0.display());
                let reason =
                    format!("the image is {shape}, and {path} is {other}; bring them to one size by `resized`");
                return Err(DataError::other(&self.files[row].0, reason));
            }
            images.push(image);
        }
        let labels: Vec<i64> = rows.iter().map(|&row| self.files[row].1).collect();
        Ok(Batch { inputs: Tensor::stack(&images, 0), targets: Tensor::from(labels) })
    }
}

/// A triangle of influence around each new pixel, as wide as the distance of the old or the new pixels, whichever is
/// larger.
fn resize(image: &Tensor<f32>, size: [usize; 2]) -> Tensor<f32> {
    let [channels, rows, columns] = image.shape().sizes() else { unreachable!("an image has three axes") };
    // Along columns, then along rows.
    let wide = along(image.data(), channels * rows, *columns, 1, size[1]);
    let values = along(&wide, *channels, *rows, size[1], size[0]);
    Tensor::new([*channels, size[0], size[1]], values)
}

/// Resizes the middle axis of `[outer, from, inner]`.
fn along(values: &[f32], outer: usize, from: usize, inner: usize, to: usize) -> Vec<f32> {
    let scale = from as f64 / to as f64;
    let radius = scale.max(1.0);
    let mut resized = vec![0.0; outer * to * inner];
    for place in 0..to {
        let centre = (place as f64 + 0.5) * scale - 0.5;
        let first = (centre - radius).ceil().max(0.0) as usize;
        let last = ((centre + radius).floor() as usize).min(from - 1);
        let weights: Vec<f64> = (first..=last).map(|k| (1.0 - (k as f64 - centre).abs() / radius).max(0.0)).collect();
        let total: f64 = weights.iter().sum();
        for block in 0..outer {
            for (k, weight) in (first..=last).zip(&weights) {
                let share = (weight / total) as f32;
                for lane in 0..inner {
                    resized[(block * to + place) * inner + lane] += share * values[(block * from + k) * inner + lane];
                }
            }
        }
    }
    resized
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resizing_keeps_what_is_even() {
        let flat = Tensor::full([3, 5, 7], 0.25_f32);
        for size in [[5, 7], [2, 3], [9, 20], [1, 1]] {
            resize(&flat, size).assert_close(&Tensor::full([3, size[0], size[1]], 0.25), 1e-6, 0.0);
        }
        let ramp = Tensor::from_fn([1, 1, 8], |k| k as f32);
        assert_eq!(resize(&ramp, [1, 8]), ramp);
        // Pixels of twice the size have their centres between two of the old.
        let half = resize(&ramp, [1, 4]);
        half.slice(2, 1, 3).assert_close(&Tensor::new([1, 1, 2], vec![2.5, 4.5]), 1e-6, 0.0);
    }
}
