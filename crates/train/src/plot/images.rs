//! Several images in rows.

use std::io::Error;
use std::path::Path;

use gradus_graph::{Real, Tensor};

use super::nothing;
use super::svg::Svg;
use crate::replace::replace_file;

/// The side of a pixel, in units of the picture.
const PIXEL: f64 = 5.0;
/// Between images.
const GAP: [u8; 3] = [157, 180, 192];

/// A picture of images of one size, row by row with a given number in a row.
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// use gradus_train::plot::Images;
/// let picture = Images::new(&Tensor::<f32>::zeros([12, 8, 8]), 6);
/// assert!(picture.to_svg()?.starts_with("<svg"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Images {
    columns: usize,
    rows: usize,
    /// Their pixels, with one free between images and around them, and how many are side by side.
    pixels: Vec<[u8; 3]>,
    across: usize,
}

impl Images {
    /// Grey images `[n, height, width]`, of which 0 is white and 1 is black, or images in colour `[n, 3, height, width]`.
    /// Numbers beyond 0 to 1 are clamped.
    ///
    /// # Panics
    /// If the tensor has another shape, or the number in a row is 0.
    #[track_caller]
    pub fn new<T: Real>(images: &Tensor<T>, columns: usize) -> Self {
        let shape = images.shape();
        let (count, channels, height, width) = match shape[..] {
            [count, height, width] => (count, 1, height, width),
            [count, 3, height, width] => (count, 3, height, width),
            _ => panic!("images need the shape [n, height, width] or [n, 3, height, width]; these have {shape}"),
        };
        assert!(columns > 0, "at least one image must stand in a row");
        let (columns, rows) = (columns.min(count), count.div_ceil(columns));
        let (across, down) = (columns * (width + 1) + 1, rows * (height + 1) + 1);
        let mut pixels = vec![GAP; across * down];
        let size = height * width;
        for (place, image) in images.data().chunks((channels * size).max(1)).enumerate() {
            let (left, top) = (place % columns * (width + 1) + 1, place / columns * (height + 1) + 1);
            for k in 0..size {
                let byte = |channel: usize| {
                    let value = image[channel * size + k].as_f64().clamp(0.0, 1.0);
                    (255.0 * if channels == 1 { 1.0 - value } else { value }).round() as u8
                };
                let pixel = if channels == 1 { [byte(0); 3] } else { [0, 1, 2].map(byte) };
                pixels[(top + k / width) * across + left + k % width] = pixel;
            }
        }
        Self { columns, rows, pixels, across }
    }

    /// The text of the picture.
    ///
    /// # Errors
    /// If there are no images.
    pub fn to_svg(&self) -> Result<String, Error> {
        if self.columns * self.rows == 0 {
            return Err(nothing("images", "there are no images"));
        }
        let [width, height] = [self.across, self.pixels.len() / self.across].map(|count| PIXEL * count as f64);
        let description = format!("images in {} rows of {}", self.rows, self.columns);
        let mut svg = Svg::new(width, height, "", &description);
        svg.cells(&self.pixels, self.across, [0.0, 0.0], [PIXEL; 2]);
        Ok(svg.finish())
    }

    /// Writes the picture to a file, which is complete or is not changed.
    ///
    /// # Errors
    /// As [`Images::to_svg`], and if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        replace_file(path, self.to_svg()?.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pixel_has_its_place() {
        let images = Images::new(&Tensor::new([3, 1, 2], vec![0.0, 1.0, 0.5, -1.0, 2.0, 0.0]), 2);
        let (gap, white, black, grey) = (GAP, [255; 3], [0; 3], [128; 3]);
        #[rustfmt::skip]
        let wanted = [
            gap, gap,   gap,   gap, gap,  gap,   gap,
            gap, white, black, gap, grey, white, gap,
            gap, gap,   gap,   gap, gap,  gap,   gap,
            gap, black, white, gap, gap,  gap,   gap,
            gap, gap,   gap,   gap, gap,  gap,   gap,
        ];
        assert_eq!(images.pixels, wanted);
        let picture = images.to_svg().unwrap();
        assert!(picture.contains("viewBox=\"0 0 35 25\""), "{picture}");
        let red = Images::new(&Tensor::new([1, 3, 1, 1], vec![1.0, 0.0, 0.0]), 9);
        assert_eq!(red.pixels[4], [255, 0, 0]);
    }

    #[test]
    fn no_images_are_an_error() {
        let empty = Images::new(&Tensor::<f32>::zeros([0, 8, 8]), 4).to_svg().unwrap_err();
        assert_eq!(empty.to_string(), "the plot `images` has nothing to draw: there are no images");
        assert!(Images::new(&Tensor::<f32>::zeros([2, 0, 8]), 4).to_svg().is_ok());
    }
}
