//! The UCI handwritten digits: 1,797 grey images of 8×8 pixels in ten classes, built into the crate.
//!
//! E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository, 1998,
//! <https://doi.org/10.24432/C50P49>, CC BY 4.0; `digits/ATTRIBUTION.md` says which part this is. Pixels of 0 to 16
//! are divided by 16.
//!
//! **The split never changes.** Walk the images in the order of `all().batches(1).shuffled(0, 0)`; the first 36 of each
//! digit are the test part. Images of one writer fall into both parts, as in any random split of this file; so results
//! compare with other random splits, not with the repository's own split by writers, which is harder.

use std::io::Read;

use flate2::read::GzDecoder;
use gradus_graph::Tensor;

use crate::dataset::Dataset;
use crate::shuffle::permutation;
use crate::split::Split;

const FILE: &[u8] = include_bytes!("../digits/digits.csv.gz");
const HELD_OUT_OF_EACH: usize = 36;

/// The digits in two fixed parts: 1,437 images to learn from, and 360 held out, 36 of each digit.
///
/// # Example
/// ```
/// use gradus_data::{Split, digits};
/// let Split { train, test } = digits::load();
/// assert_eq!(train.inputs().shape().sizes(), [1437, 8, 8]);
/// assert_eq!(test.targets().shape().sizes(), [360]);
/// ```
pub fn load() -> Split {
    let all = all();
    let labels = all.targets().data();
    let mut left = [HELD_OUT_OF_EACH; 10];
    let mut is_test = vec![false; all.len()];
    for row in permutation(all.len(), 0, 0) {
        let left = &mut left[labels[row] as usize];
        if *left > 0 {
            *left -= 1;
            is_test[row] = true;
        }
    }
    let (test, train): (Vec<_>, Vec<_>) = (0..all.len()).partition(|&row| is_test[row]);
    Split { train: all.select(&train), test: all.select(&test) }
}

/// All 1,797 digits in the order of the file.
///
/// # Example
/// ```
/// let digits = gradus_data::digits::all();
/// assert_eq!(digits.classes(), 10);
/// assert_eq!(digits.targets().data()[..4], [0, 1, 2, 3]);
/// assert_eq!(digits.inputs().at(&[0, 0, 3]), 13.0 / 16.0);
/// ```
pub fn all() -> Dataset {
    let mut text = String::new();
    GzDecoder::new(FILE).read_to_string(&mut text).expect("the built-in file is gzip");
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let numbers = line.split(',').map(|number| number.parse::<u8>().expect("the built-in file holds numbers"));
        pixels.extend(numbers.clone().take(64).map(|ink| f32::from(ink) / 16.0));
        labels.extend(numbers.skip(64).map(i64::from));
    }
    Dataset::new(Tensor::new([labels.len(), 8, 8], pixels), Tensor::from(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each image as the 65 bytes of its line.
    fn lines(dataset: &Dataset) -> Vec<Vec<u8>> {
        let images = dataset.inputs().data().chunks(64);
        let line = |(image, &label): (&[f32], &i64)| {
            image.iter().map(|pixel| (pixel * 16.0) as u8).chain([label as u8]).collect()
        };
        images.zip(dataset.targets().data()).map(line).collect()
    }

    /// FNV-1a.
    fn checksum(dataset: &Dataset) -> u64 {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        lines(dataset).into_iter().flatten().fold(0xcbf2_9ce4_8422_2325, step)
    }

    #[test]
    fn the_file_is_whole() {
        let all = all();
        assert_eq!(all.inputs().shape().sizes(), [1797, 8, 8]);
        assert!(all.inputs().data().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        let counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180];
        for (digit, count) in (0_i64..).zip(counts) {
            assert_eq!(all.targets().data().iter().filter(|&&label| label == digit).count(), count);
        }
    }

    #[test]
    fn the_split_is_a_partition() {
        let split = load();
        let mut parts = [lines(&split.train), lines(&split.test)].concat();
        let mut whole = lines(&all());
        parts.sort_unstable();
        whole.sort_unstable();
        assert!(parts == whole);
        whole.dedup();
        assert_eq!(whole.len(), 1797, "no image occurs twice, so none can be in both parts");
    }

    #[test]
    fn the_split_holds_out_as_many_of_each_digit() {
        let test = load().test;
        for digit in 0..10 {
            assert_eq!(test.targets().data().iter().filter(|&&label| label == digit).count(), 36);
        }
    }

    /// The numbers come from a separate program that follows the description above.
    #[test]
    fn the_split_never_changes() {
        let split = load();
        assert_eq!(checksum(&split.train), 0xb41b_f8b5_4775_ca53);
        assert_eq!(checksum(&split.test), 0xf3e9_d565_b2f2_819b);
    }
}
