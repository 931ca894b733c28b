//! Images changed at random, so that a model learns what does not matter.
//!
//! What happens to an image is a function of the seed, the epoch and the number of its row alone: not of its batch, its
//! thread, or what was drawn before. A run that resumes in the middle of an epoch sees the images that it would have
//! seen.

use gradus_graph::{Random, Tensor, expect_setting};

use crate::batches::Batch;
use crate::shuffle::mix;

/// Changes for images, in the order in which they are added.
///
/// Images are `[rows, height, width]` or `[rows, channels, height, width]`; what is uncovered is 0.
///
/// # Example
/// ```
/// use gradus_data::{Augment, digits};
/// let augment = Augment::new().shift(1, 1).rotate(10.0).noise(0.05);
/// let digits = digits::all();
/// for epoch in 0..2 {
///     for (rows, batch) in digits.batches(32).shuffled(7, epoch).numbered().take(3) {
///         let batch = augment.apply(batch, 7, epoch, &rows);
///         assert_eq!(batch.inputs.shape().sizes(), [32, 8, 8]);
///     }
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Augment {
    changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Shift { height: usize, width: usize },
    Flip { horizontal: bool },
    Crop { height: usize, width: usize },
    Rotate { degrees: f64 },
    CutOut { height: usize, width: usize },
    Noise { deviation: f64 },
}

impl Augment {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    fn and(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Moves an image by up to `height` pixels down or up, and up to `width` to the right or left, all distances equally probable.
    #[must_use]
    pub fn shift(self, height: usize, width: usize) -> Self {
        self.and(Change::Shift { height, width })
    }

    /// Exchanges left and right in half of the images.
    #[must_use]
    pub fn flip_horizontal(self) -> Self {
        self.and(Change::Flip { horizontal: true })
    }

    /// Exchanges up and down in half of the images.
    #[must_use]
    pub fn flip_vertical(self) -> Self {
        self.and(Change::Flip { horizontal: false })
    }

    /// Cuts a piece of this size out of an image, all places equally probable. A model that is evaluated takes
    /// [`centre_crop`].
    ///
    /// # Panics
    /// If a size is 0.
    #[must_use]
    #[track_caller]
    pub fn crop(self, height: usize, width: usize) -> Self {
        assert!(height > 0 && width > 0, "`Augment::crop`: a piece of {height}×{width} pixels");
        self.and(Change::Crop { height, width })
    }

    /// Turns an image about its centre, by up to `degrees` in either direction; between pixels, values are bilinear.
    ///
    /// # Panics
    /// If the angle is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn rotate(self, degrees: f64) -> Self {
        expect_setting("`Augment::rotate`: degrees", degrees, 0.0..);
        self.and(Change::Rotate { degrees })
    }

    /// Sets a rectangle of this size to 0. Its centre may be anywhere in the image, so a part may lie outside.
    #[must_use]
    pub fn cut_out(self, height: usize, width: usize) -> Self {
        self.and(Change::CutOut { height, width })
    }

    /// Adds to every element a number from the normal distribution with this standard deviation.
    ///
    /// # Panics
    /// If the deviation is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn noise(self, deviation: f64) -> Self {
        expect_setting("`Augment::noise`: deviation", deviation, 0.0..);
        self.and(Change::Noise { deviation })
    }

    /// The batch with changed inputs. `rows` are the numbers of its rows in the data set, which
    /// [`Batches::numbered`](crate::Batches::numbered) gives.
    ///
    /// # Panics
    /// If there is not one number for each row, the inputs are no images, or smaller than a piece that is to be cut out of
    /// them.
    #[track_caller]
    pub fn apply<Y: Clone>(&self, batch: Batch<f32, Y>, seed: u64, epoch: u64, rows: &[usize]) -> Batch<f32, Y> {
        Batch { inputs: self.images(&batch.inputs, seed, epoch, rows), targets: batch.targets }
    }

    /// The images, changed as by [`Augment::apply`].
    ///
    /// # Panics
    /// As [`Augment::apply`].
    #[track_caller]
    pub fn images(&self, images: &Tensor<f32>, seed: u64, epoch: u64, rows: &[usize]) -> Tensor<f32> {
        let shape = images.shape();
        assert!(
            (3..=4).contains(&shape.rank()),
            "`Augment`: images of shape {shape}; [rows, height, width] or [rows, channels, height, width] is expected"
        );
        assert!(shape[0] == rows.len(), "`Augment`: {} numbers of rows for images of shape {shape}", rows.len());
        let channels = if shape.rank() == 4 { shape[1] } else { 1 };
        let (height, width) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
        let mut size = [height, width];
        let mut values = Vec::new();
        for (place, &row) in rows.iter().enumerate() {
            let length = channels * height * width;
            let pixels = images.data()[place * length..(place + 1) * length].to_vec();
            let mut image = Image { channels, height, width, pixels };
            let mut random = random(seed, epoch, row);
            for change in &self.changes {
                image.change(*change, &mut random);
            }
            size = [image.height, image.width];
            values.extend(image.pixels);
        }
        let lead = shape[..shape.rank() - 2].iter().copied();
        Tensor::new(lead.chain(size).collect::<gradus_graph::Shape>(), values)
    }
}

/// The random numbers of a row in an epoch.
fn random(seed: u64, epoch: u64, row: usize) -> Random {
    Random::stream(seed, mix(mix(epoch).wrapping_add(row as u64)))
}

/// The middle piece of images of this size; what [`Augment::crop`] is in training.
///
/// # Panics
/// If the images are smaller.
///
/// # Example
/// ```
/// let digits = gradus_data::digits::all();
/// let middle = gradus_data::centre_crop(digits.inputs(), 4, 6);
/// assert_eq!(middle.shape().sizes(), [1797, 4, 6]);
/// assert_eq!(middle.at(&[0, 0, 0]), digits.inputs().at(&[0, 2, 1]));
/// ```
#[track_caller]
pub fn centre_crop(images: &Tensor<f32>, height: usize, width: usize) -> Tensor<f32> {
    let shape = images.shape();
    let fits = shape.rank() >= 2 && shape[shape.rank() - 2] >= height && shape[shape.rank() - 1] >= width;
    assert!(fits, "`centre_crop`: a piece of {height}×{width} pixels from images of shape {shape}");
    let (top, left) = ((shape[shape.rank() - 2] - height) / 2, (shape[shape.rank() - 1] - width) / 2);
    let rows = images.slice(-2, top as isize, (top + height) as isize);
    rows.slice(-1, left as isize, (left + width) as isize)
}

struct Image {
    channels: usize,
    height: usize,
    width: usize,
    /// `[channel, row, column]`.
    pixels: Vec<f32>,
}

impl Image {
    #[track_caller]
    fn change(&mut self, change: Change, random: &mut Random) {
        // A number of pixels from −most to most.
        let distance = |random: &mut Random, most: usize| random.below(2 * most + 1) as isize - most as isize;
        match change {
            Change::Shift { height, width } => {
                let (down, right) = (distance(random, height), distance(random, width));
                *self = self.piece(-down, -right, self.height, self.width);
            }
            Change::Crop { height, width } => {
                let fits = height <= self.height && width <= self.width;
                assert!(
                    fits,
                    "`Augment::crop`: a piece of {height}×{width} pixels from images of {}×{}",
                    self.height, self.width
                );
                let (top, left) = (random.below(self.height - height + 1), random.below(self.width - width + 1));
                *self = self.piece(top as isize, left as isize, height, width);
            }
            Change::Flip { horizontal } => {
                if random.below(2) == 1 {
                    self.flip(horizontal);
                }
            }
            Change::Rotate { degrees } => {
                let share: f64 = random.uniform::<f64>([1]).item();
                *self = self.turned((2.0 * share - 1.0) * degrees.to_radians());
            }
            Change::CutOut { height, width } => {
                if self.height > 0 && self.width > 0 {
                    let (centre_row, centre_column) = (random.below(self.height), random.below(self.width));
                    self.clear(centre_row, centre_column, height, width);
                }
            }
            Change::Noise { deviation } => {
                let noise = random.normal::<f64>([self.pixels.len()]);
                self.pixels
                    .iter_mut()
                    .zip(noise.data())
                    .for_each(|(pixel, noise)| *pixel += (noise * deviation) as f32);
            }
        }
    }

    /// The piece of this size whose first pixel is at this place; 0 where it is outside.
    fn piece(&self, top: isize, left: isize, height: usize, width: usize) -> Self {
        let mut pixels = Vec::with_capacity(self.channels * height * width);
        for channel in 0..self.channels {
            for row in 0..height {
                for column in 0..width {
                    let source = (top.checked_add_unsigned(row), left.checked_add_unsigned(column));
                    pixels.push(match source {
                        (Some(row), Some(column)) => self.at(channel, row, column),
                        _ => 0.0,
                    });
                }
            }
        }
        Self { channels: self.channels, height, width, pixels }
    }

    /// The pixel at a place, 0 outside.
    fn at(&self, channel: usize, row: isize, column: isize) -> f32 {
        match (usize::try_from(row), usize::try_from(column)) {
            (Ok(row), Ok(column)) if row < self.height && column < self.width => {
                self.pixels[(channel * self.height + row) * self.width + column]
            }
            _ => 0.0,
        }
    }

    fn flip(&mut self, horizontal: bool) {
        if self.width == 0 {
            return;
        }
        if horizontal {
            self.pixels.chunks_mut(self.width).for_each(<[f32]>::reverse);
            return;
        }
        for channel in self.pixels.chunks_mut(self.height * self.width) {
            for row in 0..self.height / 2 {
                let (upper, lower) = channel.split_at_mut((self.height - 1 - row) * self.width);
                upper[row * self.width..(row + 1) * self.width].swap_with_slice(&mut lower[..self.width]);
            }
        }
    }

    /// The image turned clockwise about its centre.
    fn turned(&self, angle: f64) -> Self {
        let (sine, cosine) = angle.sin_cos();
        let (middle_row, middle_column) = ((self.height as f64 - 1.0) / 2.0, (self.width as f64 - 1.0) / 2.0);
        let mut pixels = Vec::with_capacity(self.pixels.len());
        for channel in 0..self.channels {
            for row in 0..self.height {
                for column in 0..self.width {
                    let (down, right) = (row as f64 - middle_row, column as f64 - middle_column);
                    // Where the pixel comes from.
                    let (y, x) =
                        (middle_row + cosine * down - sine * right, middle_column + sine * down + cosine * right);
                    let (top, left) = (y.floor(), x.floor());
                    let (below, beside) = ((y - top) as f32, (x - left) as f32);
                    let at = |a: isize, b: isize| self.at(channel, top as isize + a, left as isize + b);
                    let upper = at(0, 0) * (1.0 - beside) + at(0, 1) * beside;
                    let lower = at(1, 0) * (1.0 - beside) + at(1, 1) * beside;
                    pixels.push(upper * (1.0 - below) + lower * below);
                }
            }
        }
        Self { pixels, ..*self }
    }

    fn clear(&mut self, centre_row: usize, centre_column: usize, height: usize, width: usize) {
        let range = |centre: usize, size: usize, end: usize| {
            centre.saturating_sub(size / 2)..end.min((centre + size.div_ceil(2)).max(centre.saturating_sub(size / 2)))
        };
        let columns = range(centre_column, width, self.width);
        for channel in 0..self.channels {
            for row in range(centre_row, height, self.height) {
                let start = (channel * self.height + row) * self.width;
                self.pixels[start + columns.start..start + columns.end].fill(0.0);
            }
        }
    }
}

/// Mixes each row of a batch with another one of it: inputs and targets become `share` of its own and `1 − share` of the
/// other's. The share is drawn from the beta distribution with both parameters `alpha`; the partner is the next row of
/// the batch, the first for the last. Targets are shares of `classes` classes, `[rows, classes]`, for
/// `nn::loss::cross_entropy_with`.
///
/// As in [`Augment`], what a row's share is depends on the seed, the epoch and the number of the row alone.
///
/// # Panics
/// If there is not one number for each row, a label is no class, or `alpha` is not above 0.
///
/// # Example
/// ```
/// use gradus_data::{digits, mix_up};
/// let (rows, batch) = digits::all().batches(8).numbered().next().unwrap();
/// let mixed = mix_up(&batch, 10, 0.4, 7, 0, &rows);
/// assert_eq!(mixed.targets.shape().sizes(), [8, 10]);
/// assert!(mixed.targets.data().chunks(10).all(|shares| (shares.iter().sum::<f32>() - 1.0).abs() < 1e-6));
/// ```
#[track_caller]
pub fn mix_up(
    batch: &Batch<f32, i64>,
    classes: usize,
    alpha: f64,
    seed: u64,
    epoch: u64,
    rows: &[usize],
) -> Batch<f32, f32> {
    expect_setting("`mix_up`: alpha", alpha, gradus_graph::POSITIVE);
    let count = batch.len();
    assert!(count == rows.len(), "`mix_up`: {} numbers of rows for a batch of {count}", rows.len());
    let size = batch.inputs.len() / count.max(1);
    let (mut inputs, mut targets) = (batch.inputs.clone(), Tensor::zeros([count, classes]));
    for (place, &row) in rows.iter().enumerate() {
        let share = beta(&mut random(!seed, epoch, row), alpha) as f32;
        let other = (place + 1) % count;
        for k in 0..size {
            let (own, others) = (batch.inputs.data()[place * size + k], batch.inputs.data()[other * size + k]);
            inputs.data_mut()[place * size + k] = share * own + (1.0 - share) * others;
        }
        for (from, part) in [(place, share), (other, 1.0 - share)] {
            let label = batch.targets.data()[from];
            let class = usize::try_from(label).ok().filter(|&class| class < classes);
            let Some(class) = class else { panic!("`mix_up`: the label {label}, and there are {classes} classes") };
            targets.data_mut()[place * classes + class] += part;
        }
    }
    Batch { inputs, targets }
}

/// A number from the beta distribution with both parameters `alpha`: of two numbers from the gamma distribution, the
/// first one's share.
fn beta(random: &mut Random, alpha: f64) -> f64 {
    let (first, second) = (gamma(random, alpha), gamma(random, alpha));
    // Both may vanish where alpha is small: then one side has all.
    if first + second > 0.0 { first / (first + second) } else { random.below(2) as f64 }
}

/// A number from the gamma distribution (Marsaglia and Tsang 2000; below shape 1, that of shape + 1 times a power).
fn gamma(random: &mut Random, shape: f64) -> f64 {
    if shape < 1.0 {
        let power = random.uniform::<f64>([1]).item().powf(1.0 / shape);
        return gamma(random, shape + 1.0) * power;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let normal = random.normal::<f64>([1]).item();
        let v = (1.0 + c * normal).powi(3);
        let uniform = 1.0 - random.uniform::<f64>([1]).item();
        if v > 0.0 && uniform.ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(rows: usize, channels: usize, height: usize, width: usize) -> Tensor<f32> {
        Tensor::from_fn([rows, channels, height, width], |k| k as f32 + 1.0)
    }

    #[test]
    fn what_happens_to_a_row_depends_on_its_number_alone() {
        let images = ramp(6, 2, 7, 5);
        let augment =
            Augment::new().shift(2, 1).flip_horizontal().flip_vertical().rotate(30.0).cut_out(2, 3).noise(0.5);
        let whole = augment.images(&images, 3, 4, &[0, 1, 2, 3, 4, 5]);
        assert_eq!(whole.shape(), images.shape());
        for row in 0..6 {
            let alone = augment.images(&images.rows(row, row + 1), 3, 4, &[row]);
            assert_eq!(alone, whole.rows(row, row + 1));
        }
        for (seed, epoch) in [(3, 5), (4, 4)] {
            assert_ne!(augment.images(&images, seed, epoch, &[0, 1, 2, 3, 4, 5]), whole);
        }
        assert_eq!(Augment::new().images(&images, 3, 4, &[0, 1, 2, 3, 4, 5]), images);
    }

    fn image(height: usize, width: usize) -> Image {
        let pixels = (0..height * width).map(|k| k as f32 + 1.0).collect();
        Image { channels: 1, height, width, pixels }
    }

    #[test]
    fn each_change_does_what_it_says() {
        let moved = image(2, 3).piece(-1, 1, 2, 3);
        assert_eq!(moved.pixels, [0.0, 0.0, 0.0, 2.0, 3.0, 0.0]);
        let mut flipped = image(2, 3);
        flipped.flip(true);
        assert_eq!(flipped.pixels, [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        let mut flipped = image(3, 2);
        flipped.flip(false);
        assert_eq!(flipped.pixels, [5.0, 6.0, 3.0, 4.0, 1.0, 2.0]);
        let mut cut = image(3, 4);
        cut.clear(0, 3, 2, 2);
        assert_eq!(cut.pixels, [1.0, 2.0, 0.0, 0.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        let mut all = image(2, 2);
        all.clear(1, 1, 10, 10);
        assert_eq!(all.pixels, [0.0; 4]);
        // A quarter of a turn, clockwise.
        let turned = image(2, 2).turned(std::f64::consts::FRAC_PI_2);
        for (found, expected) in turned.pixels.iter().zip([3.0, 1.0, 4.0, 2.0]) {
            assert!((found - expected).abs() < 1e-5, "{:?}", turned.pixels);
        }
        assert_eq!(image(3, 3).turned(0.0).pixels, image(3, 3).pixels);
    }

    #[test]
    fn every_place_and_side_is_drawn_as_often() {
        let rows: Vec<usize> = (0..3000).collect();
        let images = Tensor::stack(&vec![Tensor::from_rows([[1.0_f32, 2.0, 3.0]]); 3000], 0);
        let flipped = Augment::new().flip_horizontal().images(&images, 1, 0, &rows);
        let count = flipped.data().chunks(3).filter(|image| image[0] == 3.0).count();
        assert!((1350..1650).contains(&count), "{count}");
        let cropped = Augment::new().crop(1, 1).images(&images, 1, 0, &rows);
        assert_eq!(cropped.shape().sizes(), [3000, 1, 1]);
        for value in [1.0, 2.0, 3.0] {
            let count = cropped.data().iter().filter(|&&pixel| pixel == value).count();
            assert!((850..1150).contains(&count), "{value}: {count}");
        }
        let shifted = Augment::new().shift(0, 1).images(&images, 1, 0, &rows);
        for first in [0.0, 1.0, 2.0] {
            let count = shifted.data().chunks(3).filter(|image| image[0] == first).count();
            assert!((850..1150).contains(&count), "{first}: {count}");
        }
    }

    #[test]
    fn shares_follow_the_beta_distribution() {
        for (alpha, variance) in [(0.2, 0.25 / 1.4), (1.0, 1.0 / 12.0), (3.0, 0.25 / 7.0)] {
            let shares: Vec<f64> = (0..20_000).map(|row| beta(&mut random(1, 0, row), alpha)).collect();
            let mean = shares.iter().sum::<f64>() / 20_000.0;
            let spread = shares.iter().map(|share| (share - 0.5).powi(2)).sum::<f64>() / 20_000.0;
            assert!((mean - 0.5).abs() < 0.01 && (spread / variance - 1.0).abs() < 0.03, "{alpha}: {mean} {spread}");
        }
    }

    #[test]
    fn a_mixed_row_is_a_share_of_both() {
        let batch =
            Batch { inputs: Tensor::from_rows([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]), targets: Tensor::from([0, 1, 1]) };
        let mixed = mix_up(&batch, 2, 1.0, 5, 0, &[10, 11, 12]);
        let share = mixed.targets.at(&[0, 0]);
        assert!(share > 0.0 && share < 1.0);
        assert!((mixed.inputs.at(&[0, 0]) - (1.0 - share)).abs() < 1e-6);
        assert_eq!(mixed.targets.data()[2..4], [0.0, 1.0]);
        let alone = Batch { inputs: batch.inputs.rows(0, 2), targets: batch.targets.rows(0, 2) };
        assert_eq!(mix_up(&alone, 2, 1.0, 5, 0, &[10, 11]).targets.at(&[0, 0]), share);
    }

    #[test]
    #[should_panic = "`Augment::crop`: a piece of 4×2 pixels from images of 3×3"]
    fn a_piece_larger_than_the_image_is_refused() {
        let _ = Augment::new().crop(4, 2).images(&ramp(1, 1, 3, 3), 0, 0, &[0]);
    }

    #[test]
    #[should_panic = "`Augment`: images of shape [3, 4]"]
    fn what_is_no_image_is_refused() {
        let _ = Augment::new().images(&Tensor::zeros([3, 4]), 0, 0, &[0, 1, 2]);
    }
}
