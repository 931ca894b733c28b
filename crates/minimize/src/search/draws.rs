//! Random numbers of one candidate in one generation.

use gradus_graph::expect_setting;
use gradus_graph::kernel::random::RandomStream;

/// A sequence of random numbers: a function of the seed, the generation and the number it was asked for with.
///
/// # Example
/// ```
/// use gradus_minimize::search::Draws;
/// let mut draws = Draws::new(7, 0, 3);
/// let (first, second) = (draws.uniform(), draws.uniform());
/// assert!(first != second && (0.0..1.0).contains(&first));
/// assert_eq!(Draws::new(7, 0, 3).uniform(), first);
/// assert!(draws.below(6) < 6);
/// ```
#[derive(Clone, Debug)]
pub struct Draws {
    stream: RandomStream,
    next: usize,
    /// The last two uniform numbers, which the generator makes at once, and the index of their pair.
    pair: [f64; 2],
    pair_index: usize,
}

impl Draws {
    /// The sequence of a seed, a generation and a number within it.
    pub fn new(seed: u64, generation: u64, number: u32) -> Self {
        Self {
            stream: RandomStream { seed, step: generation, stream: number },
            next: 0,
            pair: [0.0; 2],
            pair_index: usize::MAX,
        }
    }

    /// A number in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        if self.pair_index != self.next / 2 {
            self.pair_index = self.next / 2;
            self.stream.uniform(2 * self.pair_index, &mut self.pair);
        }
        self.next += 1;
        self.pair[(self.next - 1) % 2]
    }

    /// A number from the normal distribution with mean 0 and standard deviation 1.
    pub fn normal(&mut self) -> f64 {
        let mut out = [0.0];
        self.stream.normal(self.next, &mut out);
        self.next += 1;
        out[0]
    }

    /// `count` normal numbers.
    pub fn normals(&mut self, count: usize) -> Vec<f64> {
        let mut out = vec![0.0; count];
        self.stream.normal(self.next, &mut out);
        self.next += count;
        out
    }

    /// Whether something of the given probability happens.
    ///
    /// # Panics
    /// If it lies outside `0..=1`.
    #[track_caller]
    pub fn chance(&mut self, probability: f64) -> bool {
        expect_setting("`Draws::chance`: probability", probability, 0.0..=1.0);
        self.uniform() < probability
    }

    /// An integer below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        (self.uniform() * count as f64) as usize
    }

    /// Different integers below `count`, none of which is `but`.
    ///
    /// # Panics
    /// If there are fewer than `N`.
    #[track_caller]
    pub fn distinct<const N: usize>(&mut self, count: usize, but: usize) -> [usize; N] {
        assert!(N + usize::from(but < count) <= count, "{N} different numbers below {count} but {but}");
        let mut chosen = [usize::MAX; N];
        for i in 0..N {
            while chosen[i] == usize::MAX {
                let number = self.below(count);
                if number != but && !chosen[..i].contains(&number) {
                    chosen[i] = number;
                }
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_drawn_twice() {
        let (mut mixed, mut uniform, mut normal) = (Draws::new(3, 1, 4), Draws::new(3, 1, 4), Draws::new(3, 1, 4));
        let (uniforms, normals): (Vec<f64>, Vec<f64>) =
            ((0..8).map(|_| uniform.uniform()).collect(), normal.normals(8));
        assert_eq!(mixed.uniform(), uniforms[0]);
        assert_eq!(mixed.normal(), normals[1]);
        assert_eq!(mixed.normals(2), normals[2..4]);
        assert_eq!([mixed.uniform(), mixed.uniform()], uniforms[4..6]);
        assert_eq!(mixed.normal(), normals[6]);
    }

    #[test]
    fn distinct_numbers_are_distinct() {
        for number in 0..100 {
            let [a, b, c] = Draws::new(0, 0, number).distinct(4, 2);
            assert_eq!([a, b, c].iter().map(|k| 1 << k).sum::<usize>(), 0b1011);
        }
    }
}
