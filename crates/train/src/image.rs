//! Images of bytes, and how they are written as PNG.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use gradus_graph::{Real, Tensor};

/// An image of grey or red, green and blue bytes, row by row.
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// use gradus_train::Image;
/// let image = Image::of(&Tensor::from_rows([[0.0, 0.5], [1.0, 2.0]]));
/// assert_eq!((image.height(), image.width(), image.channels()), (2, 2, 1));
/// assert_eq!(image.bytes(), [0, 128, 255, 255]);
/// assert!(image.png().starts_with(b"\x89PNG"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    height: usize,
    width: usize,
    channels: usize,
    bytes: Vec<u8>,
}

impl Image {
    /// The image of a tensor `[height, width]`, or `[channels, height, width]` with one channel, which is grey, or three.
    /// 0 is black and 1 is white; numbers beyond are clamped, and NaN is black.
    ///
    /// # Panics
    /// If the tensor has another shape, or no elements.
    #[track_caller]
    pub fn of<T: Real>(pixels: &Tensor<T>) -> Self {
        let shape = pixels.shape();
        let (channels, height, width) = match shape[..] {
            [height, width] => (1, height, width),
            [channels @ (1 | 3), height, width] => (channels, height, width),
            _ => panic!("an image needs the shape [height, width] or [1 or 3, height, width]; this has {shape}"),
        };
        assert!(height * width > 0, "an image needs pixels; this has the shape {shape}");
        let byte = |k: usize| {
            let (pixel, channel) = (k / channels, k % channels);
            (255.0 * pixels.data()[channel * height * width + pixel].as_f64().clamp(0.0, 1.0)).round() as u8
        };
        Self { height, width, channels, bytes: (0..height * width * channels).map(byte).collect() }
    }

    /// The number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The number of columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// 1 for a grey image, 3 for one in colour.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The bytes row by row, those of the channels of a pixel side by side.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content of a PNG file.
    pub fn png(&self) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        let [width, height] = [self.width, self.height].map(|size| (size as u32).to_be_bytes());
        // Eight bits a channel, without a palette, without interlacing.
        let colour = if self.channels == 3 { 2 } else { 0 };
        chunk(&mut file, b"IHDR", &[&width[..], &height[..], &[8, colour, 0, 0, 0]].concat());
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        let write = |packed: &mut ZlibEncoder<Vec<u8>>| -> std::io::Result<()> {
            for row in self.bytes.chunks(self.width * self.channels) {
                packed.write_all(&[0])?;
                packed.write_all(row)?;
            }
            Ok(())
        };
        write(&mut packed).expect("memory takes what is written");
        chunk(&mut file, b"IDAT", &packed.finish().expect("memory takes what is written"));
        chunk(&mut file, b"IEND", &[]);
        file
    }
}

/// A part of a PNG file: its length, its kind, its content and a checksum of the last two.
fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    file.extend((content.len() as u32).to_be_bytes());
    file.extend(kind);
    file.extend(content);
    let mut checksum = flate2::Crc::new();
    checksum.update(kind);
    checksum.update(content);
    file.extend(checksum.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_png_holds_the_bytes() {
        let pixels = Tensor::from_fn([3, 2, 5], |k| k as f64 / 29.0);
        let image = Image::of(&pixels);
        // The channels of a pixel stand together.
        assert_eq!(image.bytes()[..3], [0.0, 10.0, 20.0_f64].map(|k| (255.0 * k / 29.0).round() as u8));
        let file = image.png();
        assert_eq!(file[8..33], *b"\0\0\0\x0dIHDR\0\0\0\x05\0\0\0\x02\x08\x02\0\0\0\x1f\x08\x81\x0a"[..25].as_ref());
        let length = u32::from_be_bytes(file[33..37].try_into().unwrap()) as usize;
        assert_eq!(&file[37..41], b"IDAT");
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(&file[41..41 + length]).read_to_end(&mut rows).unwrap();
        let wanted: Vec<u8> = image.bytes().chunks(15).flat_map(|row| [&[0], row].concat()).collect();
        assert_eq!(rows, wanted);
        assert_eq!(file[file.len() - 12..], *b"\0\0\0\0IEND\xae\x42\x60\x82");
    }

    #[test]
    #[should_panic(
        expected = "an image needs the shape [height, width] or [1 or 3, height, width]; this has [2, 4, 4]"
    )]
    fn two_channels_are_no_image() {
        Image::of(&Tensor::<f32>::zeros([2, 4, 4]));
    }
}
