//! The two moments of Adam, and of the rules derived from it.

use gradus_graph::{Real, expect_setting};

/// Decay rates of the running means of the gradient and of its square, and the ε of the denominator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    pub(super) beta1: f64,
    pub(super) beta2: f64,
    pub(super) eps: f64,
}

impl Moments {
    /// The defaults of Adam.
    pub(super) const ADAM: Self = Self { beta1: 0.9, beta2: 0.999, eps: 1e-8 };

    /// Other decay rates. Panics outside `0..1`, with the name of the rule.
    #[track_caller]
    pub(super) fn with_betas(self, rule: &str, beta1: f64, beta2: f64) -> Self {
        expect_setting(&format!("`{rule}::betas`: beta1"), beta1, 0.0..1.0);
        expect_setting(&format!("`{rule}::betas`: beta2"), beta2, 0.0..1.0);
        Self { beta1, beta2, ..self }
    }

    /// Another ε. Panics if it is negative or not finite, with the name of the rule.
    #[track_caller]
    pub(super) fn with_eps(self, rule: &str, eps: f64) -> Self {
        expect_setting(&format!("`{rule}::eps`: eps"), eps, 0.0..);
        Self { eps, ..self }
    }

    /// The factors of a step, in the precision of the parameters.
    pub(super) fn at<T: Real>(&self, number: u64) -> MomentsAt<T> {
        // From there on the power is less than half of the distance from 1 to the next smaller number: ln β < β − 1.
        let is_gone = |beta: f64| number as f64 * (1.0 - beta) > 40.0;
        let left = |beta: f64| if is_gone(beta) { 1.0 } else { 1.0 - beta.powf(number as f64) };
        let [left1, left2] = [left(self.beta1), left(self.beta2)];
        MomentsAt {
            beta1: T::of(self.beta1),
            beta2: T::of(self.beta2),
            take1: T::of(1.0 - self.beta1),
            take2: T::of(1.0 - self.beta2),
            correct1: T::of(1.0 / left1),
            root2: T::of((1.0 / left2).sqrt()),
            eps: T::of(self.eps),
        }
    }
}

/// The moments at a step. The corrections are factors: a division for each element would cost more than all the rest.
#[derive(Clone, Copy)]
pub(super) struct MomentsAt<T> {
    beta1: T,
    pub(super) beta2: T,
    take1: T,
    pub(super) take2: T,
    /// The correction of the mean, `1/(1 − β₁ᵗ)`.
    pub(super) correct1: T,
    /// The correction of the root of the mean square, `1/√(1 − β₂ᵗ)`.
    root2: T,
    pub(super) eps: T,
}

impl<T: Real> MomentsAt<T> {
    /// `m ← β₁m + (1 − β₁)u`
    #[inline(always)]
    pub(super) fn average(&self, mean: &mut T, update: T) {
        *mean = self.beta1 * *mean + self.take1 * update;
    }

    /// `v ← β₂v + (1 − β₂)u²`
    #[inline(always)]
    pub(super) fn average_square(&self, square: &mut T, update: T) {
        *square = self.beta2 * *square + self.take2 * update * update;
    }

    /// `√v̂ + ε`
    #[inline(always)]
    pub(super) fn denominator(&self, square: T) -> T {
        self.root2 * square.sqrt() + self.eps
    }
}

#[cfg(test)]
mod tests {
    use super::Moments;

    #[test]
    fn a_correction_that_is_gone_is_that_of_the_power() {
        for beta in [0.0, 0.5, 0.9, 0.99, 0.999] {
            let moments = Moments { beta1: beta, beta2: beta, ..Moments::ADAM };
            let end = (40.0 / (1.0 - beta)) as u64;
            for number in [1, end / 2, end - 1, end, end + 1, end + 2, 2 * end, 1 << 60] {
                let correct: f64 = 1.0 / (1.0 - beta.powf(number as f64));
                assert_eq!(moments.at::<f64>(number).correct1.to_bits(), correct.to_bits(), "{beta} {number}");
            }
        }
    }
}
