//! How an element of a child mutates.

use gradus_graph::expect_setting;

use super::super::draws::Draws;

/// How an element mutates. Distances are in units of the region where the search starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MutationOperator {
    /// By a normal number of this standard deviation.
    Gaussian(f64),
    /// To anywhere in the region.
    Uniform,
    /// By at most 1, seldom far for a large η.
    Polynomial(f64),
}

impl MutationOperator {
    #[track_caller]
    pub(super) fn check(self) {
        match self {
            Self::Gaussian(width) => expect_setting("`MutationOperator::Gaussian`: width", width, 0.0..),
            Self::Polynomial(eta) => expect_setting("`MutationOperator::Polynomial`: eta", eta, 0.0..),
            Self::Uniform => {}
        }
    }

    pub(super) fn mutate(self, element: &mut f64, draws: &mut Draws) {
        match self {
            Self::Gaussian(width) => *element += width * draws.normal(),
            Self::Uniform => *element = draws.uniform(),
            Self::Polynomial(eta) => {
                let (u, power) = (draws.uniform(), 1.0 / (eta + 1.0));
                let down = u < 0.5;
                *element += if down { (2.0 * u).powf(power) - 1.0 } else { 1.0 - (2.0 * (1.0 - u)).powf(power) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean square of the change from 0.5: σ², 1/12, and 2/((η+2)(η+3)) in closed form.
    #[test]
    fn changes_are_as_large_as_said() {
        let cases = [
            (MutationOperator::Gaussian(0.2), 0.04),
            (MutationOperator::Uniform, 1.0 / 12.0),
            (MutationOperator::Polynomial(3.0), 2.0 / 30.0),
        ];
        for (mutation, expected) in cases {
            let (mut draws, mut sum) = (Draws::new(1, 0, 0), 0.0);
            for _ in 0..100_000 {
                let mut element = 0.5;
                mutation.mutate(&mut element, &mut draws);
                sum += (element - 0.5).powi(2) / 100_000.0;
            }
            assert!((sum / expected - 1.0).abs() < 0.02, "{mutation:?}: {sum} for {expected}");
        }
    }
}
