//! The rule `Muon`.

use gradus_graph::{Real, expect_setting};

use super::adam::ScaleByMoments;
use super::end;
use super::moments::Moments;
use crate::whole_tensor::is_matrix;
use crate::{Chain, MatrixScale, Momentum, Orthogonalize, Part, Rate, RateSchedule};

/// Muon: steps for matrices whose singular values are all about one.
///
/// `m ← momentum·m + g`, `p ← p − lr·(s·orthogonal(g + momentum·m) + decay·p)` for matrices; Adam for the rest.
///
/// As `torch.optim.Muon`, and `torch.optim.AdamW` with the same learning rate and decay for tensors that are not
/// matrices, which that class refuses. The scale is `s = √max(1, rows/columns)`, for weights of the shape
/// `[outputs, inputs]`; `scale` takes others. Difference: orthogonalised in the precision of the parameters, where
/// PyTorch works in bfloat16: see [`Orthogonalize`](crate::Orthogonalize).
///
/// Defaults: momentum 0.95, Nesterov, ε 1e-7, decay 0.1; Adam β₁ 0.9, β₂ 0.999, ε 1e-8. State: `momentum` of
/// matrices, `first_moment` and `second_moment` of the rest.
///
/// Jordan et al.: Muon: an optimizer for hidden layers in neural networks, 2024; Liu et al.: Muon is scalable for LLM
/// training, 2025.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Muon, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::zeros([2, 2]));
/// let mut rule = Optimizer::new(Muon::new(0.1));
/// rule.step(&mut params, [(&x, &Tensor::from_rows([[1.0, 0.0], [0.0, 1e3]]))]).unwrap();
/// let step = params.get(&x).at(&[1, 1]);
/// assert!((-0.12..-0.06).contains(&step), "{step}"); // about the learning rate, whatever the gradient
/// ```
#[derive(Clone, Debug)]
pub struct Muon {
    learning_rate: Rate,
    momentum: f64,
    nesterov: bool,
    orthogonal: Orthogonalize,
    moments: ScaleByMoments,
    decay: f64,
}

impl Muon {
    /// Muon with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self {
            learning_rate: Rate::new(learning_rate),
            momentum: 0.95,
            nesterov: true,
            orthogonal: Orthogonalize::new().scale(MatrixScale::Tall),
            moments: ScaleByMoments::new(Moments::ADAM),
            decay: 0.1,
        }
    }

    /// The factor of the momentum.
    ///
    /// # Panics
    /// If the factor lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn momentum(self, momentum: f64) -> Self {
        expect_setting("`Muon::momentum`: momentum", momentum, 0.0..1.0);
        Self { momentum, ..self }
    }

    /// Takes the momentum as it is, without looking ahead.
    #[must_use]
    pub fn plain_momentum(self) -> Self {
        Self { nesterov: false, ..self }
    }

    /// The factor of the step by the shape of the matrix.
    #[must_use]
    pub fn scale(self, scale: MatrixScale) -> Self {
        Self { orthogonal: self.orthogonal.scale(scale), ..self }
    }

    /// The smallest norm of a momentum that is divided by.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(self, eps: f64) -> Self {
        expect_setting("`Muon::eps`: eps", eps, 0.0..);
        Self { orthogonal: self.orthogonal.eps(eps), ..self }
    }

    /// The decay rates of Adam's moments, for tensors that are not matrices.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.moments.moments = self.moments.moments.with_betas("Muon", beta1, beta2);
        self
    }

    /// The factor of the decoupled weight decay (default: 0.1).
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn decay(self, decay: f64) -> Self {
        expect_setting("`Muon::decay`: decay", decay, 0.0..);
        Self { decay, ..self }
    }
}

impl Part for Muon {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        let momentum = Momentum::new(self.momentum);
        let ahead = self.nesterov && self.momentum > 0.0;
        chain.only(is_matrix, if ahead { momentum.nesterov() } else { momentum });
        chain.then(self.orthogonal).only(|param| !is_matrix(param), self.moments);
        end(chain, self.decay, self.learning_rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Muon::new(1e-3));
        testing::assert_rule(Muon::new(1e-3).scale(MatrixScale::Rms(0.2)));
        testing::assert_rule(Muon::new(1e-3).plain_momentum());
    }
}
