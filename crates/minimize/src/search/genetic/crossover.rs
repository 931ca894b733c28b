//! How two parents make two children.

use gradus_graph::expect_setting;

use super::super::draws::Draws;

/// How two parents make two children.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CrossoverOperator {
    /// Each element from one parent or the other.
    Uniform,
    /// The elements up to a point from one parent, the others from the other.
    OnePoint,
    /// Each element uniform between the parents' and, on both sides, this fraction of their distance beyond (BLX-α).
    Blend(f64),
    /// Half of the pairs of elements at equal distances from the parents' mean, near to the parents for a large η, and
    /// given to the two children in either order (SBX).
    SimulatedBinary(f64),
}

impl CrossoverOperator {
    #[track_caller]
    pub(super) fn check(self) {
        match self {
            Self::Blend(alpha) => expect_setting("`CrossoverOperator::Blend`: alpha", alpha, 0.0..),
            Self::SimulatedBinary(eta) => expect_setting("`CrossoverOperator::SimulatedBinary`: eta", eta, 0.0..),
            Self::Uniform | Self::OnePoint => {}
        }
    }

    pub(super) fn cross(self, parents: [&[f64]; 2], draws: &mut Draws) -> [Vec<f64>; 2] {
        let n = parents[0].len();
        let cut = if self == Self::OnePoint { draws.below(n + 1) } else { 0 };
        let pair = |k: usize| {
            let [a, b] = parents.map(|parent| parent[k]);
            match self {
                Self::Uniform => {
                    if draws.chance(0.5) {
                        [a, b]
                    } else {
                        [b, a]
                    }
                }
                Self::OnePoint => {
                    if k < cut {
                        [a, b]
                    } else {
                        [b, a]
                    }
                }
                Self::Blend(alpha) => {
                    let (low, width) = (a.min(b), (a - b).abs());
                    [0, 1].map(|_| low + width * ((1.0 + 2.0 * alpha) * draws.uniform() - alpha))
                }
                Self::SimulatedBinary(eta) => {
                    // Half of the elements stay as they are.
                    if draws.chance(0.5) {
                        return [a, b];
                    }
                    let u = draws.uniform();
                    let spread = if u <= 0.5 { 2.0 * u } else { 1.0 / (2.0 * (1.0 - u)) }.powf(1.0 / (eta + 1.0));
                    let (middle, half) = ((a + b) / 2.0, spread * (b - a) / 2.0);
                    // Without this each child would have all its elements from the neighbourhood of one parent.
                    if draws.chance(0.5) { [middle - half, middle + half] } else { [middle + half, middle - half] }
                }
            }
        };
        let (one, other) = (0..n).map(pair).map(|[a, b]| (a, b)).unzip();
        [one, other]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_lie_where_they_are_said_to() {
        let parents = [&[0.0, 1.0, 2.0, 3.0][..], &[10.0, 11.0, 12.0, 13.0]];
        for number in 0..200 {
            let cross = |crossover: CrossoverOperator| crossover.cross(parents, &mut Draws::new(1, 0, number));
            for crossover in
                [CrossoverOperator::Uniform, CrossoverOperator::OnePoint, CrossoverOperator::SimulatedBinary(2.0)]
            {
                let [one, other] = cross(crossover);
                // What one child takes, the other leaves.
                (0..4).for_each(|k| assert!((one[k] + other[k] - 10.0 - 2.0 * k as f64).abs() < 1e-12));
            }
            let [one, _] = cross(CrossoverOperator::OnePoint);
            assert!(one.windows(2).filter(|pair| (pair[1] - pair[0]).abs() > 1.5).count() <= 1, "{one:?}");
            let [one, _] = cross(CrossoverOperator::Blend(0.1));
            (0..4).for_each(|k| assert!((k as f64 - 1.0..k as f64 + 11.0).contains(&one[k])));
        }
    }
}
