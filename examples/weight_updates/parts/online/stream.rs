//! A stream of digits that turn.

use gradus::Tensor;
use gradus::data::{Dataset, Split};

use crate::study::Digits;

/// Images that the model learns from before it is deployed; the others make the stream.
pub(super) const KNOWN: usize = 500;
/// By how much the images have turned in the end.
pub(super) const DEGREES: f64 = 90.0;

/// The lengths of a stream.
#[derive(Clone, Copy)]
pub(super) struct Length {
    /// Examples; the images turn in the middle half.
    pub(super) stream: usize,
    /// Examples from one retraining to the next.
    pub(super) interval: usize,
    /// Examples in a row of the history.
    pub(super) window: usize,
}

impl Length {
    /// The angle of an example, in degrees.
    pub(super) fn angle(self, place: usize) -> f64 {
        DEGREES * (2.0 * place as f64 / self.stream as f64 - 0.5).clamp(0.0, 1.0)
    }
}

/// An image of 8×8 pixels turned about its middle, between pixels by bilinear interpolation.
fn turned(image: &[f32], degrees: f64) -> Vec<f32> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let at = |row: f64, column: f64| -> f64 {
        let is_inside = (0.0..8.0).contains(&row) && (0.0..8.0).contains(&column);
        if is_inside { f64::from(image[row as usize * 8 + column as usize]) } else { 0.0 }
    };
    let pixel = |place: usize| {
        let (y, x) = ((place / 8) as f64 - 3.5, (place % 8) as f64 - 3.5);
        // Rounded, so that a whole turn finds the pixels themselves.
        let [row, column] = [y * cos - x * sin + 3.5, y * sin + x * cos + 3.5].map(|x| (x * 1e9).round() / 1e9);
        let (top, left) = (row.floor(), column.floor());
        let (down, right) = (row - top, column - left);
        let upper = at(top, left) * (1.0 - right) + at(top, left + 1.0) * right;
        let lower = at(top + 1.0, left) * (1.0 - right) + at(top + 1.0, left + 1.0) * right;
        (upper * (1.0 - down) + lower * down) as f32
    };
    (0..64).map(pixel).collect()
}

/// Each image turned by an angle in degrees.
pub(super) fn all_turned(data: &Dataset, degrees: impl Fn(usize) -> f64) -> Dataset {
    let rows = data.inputs().data().chunks(64).enumerate();
    let pixels = rows.flat_map(|(place, image)| turned(image, degrees(place))).collect();
    Dataset::new(Tensor::new([data.len(), 64], pixels), data.targets().clone())
}

/// The images for the first training, and the stream: the other images in random order, again and again.
pub(super) fn stream(digits: &Digits, length: Length, seed: u64) -> (Dataset, Dataset) {
    let Split { train: others, test: known } = digits.train.split(KNOWN, seed);
    let epochs = (0..).flat_map(|epoch| others.batches(1).shuffled(seed, epoch));
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (place, example) in epochs.take(length.stream).enumerate() {
        pixels.extend(turned(example.inputs.data(), length.angle(place)));
        labels.push(example.targets.item());
    }
    (known, Dataset::new(Tensor::new([length.stream, 64], pixels), labels.into()))
}
