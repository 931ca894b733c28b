//! Random numbers from a counter: element `i` of stream `s` at step `t` under a seed is a function of these four and
//! of nothing else, so neither threads nor the order of work change it.
//!
//! Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). One block
//! of the generator makes two elements. The numbers of an `f32` run are those of the `f64` run, truncated to 24 bits
//! for uniform numbers and rounded for normal ones.

use std::ops::Range;

use crate::kernel::math::{Math, sin_and_cos};
use crate::kernel::parallel::in_pieces;
use crate::real::Real;

/// The numbers that are worth a thread, several microseconds.
pub(crate) const GRAIN: usize = 1 << 10;

/// A stream of the generator: seed and step of the run, number of the node.
#[derive(Clone, Copy, Debug)]
pub struct RandomStream {
    /// The seed of the run.
    pub seed: u64,
    /// The step of the run.
    pub step: u64,
    /// The number of the random node within its graph.
    pub stream: u32,
}

impl RandomStream {
    /// The two 64-bit words for elements `2·block` and `2·block + 1`.
    pub fn words(self, block: u64) -> [u64; 2] {
        let counter = [block as u32, (block >> 32) as u32, self.stream, self.step as u32];
        let key = [self.seed as u32, (self.seed >> 32) as u32 ^ (self.step >> 32) as u32];
        let [a, b, c, d] = philox(counter, key);
        [u64::from(a) | u64::from(b) << 32, u64::from(c) | u64::from(d) << 32]
    }

    /// Fills `out` with the elements from `start` on, uniform in [0, 1).
    pub fn uniform<T: Real>(self, start: usize, out: &mut [T]) {
        // Truncated to the bits of the precision, so that rounding cannot give 1.
        let digits = (1.0 / T::EPS).log2() as i32 + 1;
        let (shift, unit) = (64 - digits, (-f64::from(digits)).exp2());
        self.fill(start, out, |[a, b]| [a, b].map(|word| T::of((word >> shift) as f64 * unit)));
    }

    /// Fills `out` with the elements from `start` on, 1 with the given probability and else 0.
    pub fn bernoulli<T: Real>(self, probability: f64, start: usize, out: &mut [T]) {
        let draw = |word: u64| if unit(word) < probability { T::one() } else { T::zero() };
        self.fill(start, out, |[a, b]| [draw(a), draw(b)]);
    }

    /// Fills `out` with the elements from `start` on, normal with mean 0 and standard deviation 1 (Box–Muller).
    pub fn normal<T: Real>(self, start: usize, out: &mut [T]) {
        self.fill(start, out, |[a, b]| {
            let radius = Math::sqrt(-2.0 * Math::ln(1.0 - unit(a)));
            let [sin, cos] = sin_and_cos(std::f64::consts::TAU * unit(b));
            [T::of(radius * cos), T::of(radius * sin)]
        });
    }

    /// Fills `out` with the elements from `start` on, integers of a nonempty range with equal probabilities up to 2⁻⁶⁴.
    pub fn integers(self, range: Range<i64>, start: usize, out: &mut [i64]) {
        let count = range.end.abs_diff(range.start);
        let draw = |word: u64| range.start.wrapping_add(((u128::from(word) * u128::from(count)) >> 64) as i64);
        self.fill(start, out, |[a, b]| [draw(a), draw(b)]);
    }

    fn fill<T: Copy + Send>(self, start: usize, out: &mut [T], pair: impl Fn([u64; 2]) -> [T; 2] + Sync) {
        in_pieces(out, GRAIN, 2, &|from, out| {
            let mut position = 0;
            while position < out.len() {
                let element = start + from + position;
                let both = pair(self.words(element as u64 / 2));
                out[position] = both[element % 2];
                position += 1;
                if element.is_multiple_of(2) && position < out.len() {
                    out[position] = both[1];
                    position += 1;
                }
            }
        });
    }
}

/// A word as a number in [0, 1), to 53 bits.
fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let low = u64::from(counter[0]) * 0xd251_1f53;
        let high = u64::from(counter[2]) * 0xcd9e_8d57;
        counter = [
            (high >> 32) as u32 ^ counter[1] ^ key[0],
            high as u32,
            (low >> 32) as u32 ^ counter[3] ^ key[1],
            low as u32,
        ];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors of Philox publish with their library.
    #[test]
    fn philox_gives_the_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn any_part_of_a_stream_is_the_same_as_in_the_whole() {
        let stream = RandomStream { seed: 1, step: 2, stream: 3 };
        let mut whole = [0.0_f64; 20];
        stream.normal(0, &mut whole);
        for start in 0..20 {
            let mut part = vec![0.0_f64; 20 - start];
            stream.normal(start, &mut part);
            assert_eq!(part, whole[start..]);
        }
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let stream = RandomStream { seed: 5, step: 0, stream: 0 };
        let n = 100_000;
        let mut x = vec![0.0_f32; n];
        let mean = |x: &[f32], power: i32| x.iter().map(|&v| f64::from(v).powi(power)).sum::<f64>() / n as f64;
        stream.uniform(0, &mut x);
        assert!(x.iter().all(|v| (0.0..1.0).contains(v)));
        assert!((mean(&x, 1) - 0.5).abs() < 5e-3 && (mean(&x, 2) - 1.0 / 3.0).abs() < 5e-3);
        stream.normal(0, &mut x);
        assert!(mean(&x, 1).abs() < 0.01 && (mean(&x, 2) - 1.0).abs() < 0.02 && (mean(&x, 4) - 3.0).abs() < 0.1);
        stream.bernoulli(0.3, 0, &mut x);
        assert!((mean(&x, 1) - 0.3).abs() < 5e-3);
        let mut counts = [0; 6];
        let mut dice = vec![0; n];
        stream.integers(-2..4, 0, &mut dice);
        dice.iter().for_each(|&x| counts[(x + 2) as usize] += 1);
        assert!(counts.iter().all(|&count| (f64::from(count) / n as f64 - 1.0 / 6.0).abs() < 5e-3), "{counts:?}");
        stream.integers(i64::MIN..i64::MAX, 0, &mut dice);
        // Five standard deviations.
        assert!((dice.iter().filter(|&&x| x < 0).count() as f64 / n as f64 - 0.5).abs() < 8e-3);
    }
}
