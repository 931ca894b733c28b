//! Permutations that are the same on every platform and in every release.
//!
//! The generator is SplitMix64: `state += γ; output = mix(state)`. It starts from `mix(mix(seed) + epoch)`, so that
//! neighbouring seeds and epochs have nothing in common. A number below `n` is the high word of `n·output`; the few
//! outputs that would favour some numbers are drawn again (Lemire 2019). Rows are exchanged by Fisher and Yates from
//! the last to the second.

/// The odd number nearest to 2⁶⁴ divided by the golden ratio.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Puts the elements into the order that belongs to the seed and the epoch.
pub(crate) fn shuffle<T>(elements: &mut [T], seed: u64, epoch: u64) {
    let mut random = SplitMix64::of(seed, epoch);
    for last in (1..elements.len()).rev() {
        elements.swap(last, random.below(last as u64 + 1) as usize);
    }
}

/// The numbers below `count` in the order that belongs to the seed and the epoch.
pub(crate) fn permutation(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    shuffle(&mut order, seed, epoch);
    order
}

#[derive(Clone, Debug)]
pub(crate) struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    pub(crate) fn of(seed: u64, epoch: u64) -> Self {
        Self { state: mix(mix(seed).wrapping_add(epoch)) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let favoured = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next()) * u128::from(bound);
            if product as u64 >= favoured {
                return (product >> 64) as u64;
            }
        }
    }
}

pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_generator_is_splitmix64() {
        let mut random = SplitMix64 { state: 1_234_567 };
        let published = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(published.map(|_| random.next()), published);
    }

    #[test]
    fn orders_never_change() {
        // From a separate program that follows the header of this file.
        assert_eq!(permutation(10, 0, 0), [4, 9, 2, 5, 1, 7, 6, 0, 3, 8]);
        assert_eq!(permutation(10, 0, 1), [9, 4, 0, 5, 2, 1, 6, 8, 3, 7]);
        assert_eq!(permutation(10, 1, 0), [5, 6, 1, 8, 7, 4, 3, 9, 0, 2]);
    }

    #[test]
    fn every_order_of_four_is_as_likely_as_another() {
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..24_000 {
            *counts.entry(permutation(4, 3, epoch)).or_insert(0_i32) += 1;
        }
        assert_eq!(counts.len(), 24);
        let squares: i32 = counts.values().map(|count| (count - 1000).pow(2)).sum();
        // χ² with 23 degrees of freedom exceeds 49.7 once in a thousand.
        assert!(f64::from(squares) / 1000.0 < 49.7, "{counts:?}");
    }

    proptest! {
        #[test]
        fn an_order_has_every_row_once(count in 0_usize..300, seed: u64, epoch: u64) {
            let mut order = permutation(count, seed, epoch);
            order.sort_unstable();
            prop_assert!(order.into_iter().eq(0..count));
        }

        #[test]
        fn a_number_stays_below_its_bound(state: u64, bound in 1_u64..) {
            let mut random = SplitMix64 { state };
            prop_assert!(random.below(bound) < bound);
        }
    }
}
