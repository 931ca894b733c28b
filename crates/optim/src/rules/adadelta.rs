//! The rule `Adadelta`.

use gradus_graph::{Real, expect_setting};

use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// Adadelta: steps in the units of the parameter, as large as the steps before.
///
/// `s ← ρs + (1−ρ)g²`, `d = g·√(v + ε)/√(s + ε)`, `v ← ρv + (1−ρ)d²`, `p ← p − lr·d`.
///
/// As `torch.optim.Adadelta` and `optax.adadelta`: both ε are inside the roots. The usual learning rate is 1.
///
/// Defaults: ρ 0.9, ε 1e-6. State: `mean_square`, `mean_square_of_changes`, from zero.
///
/// Zeiler: Adadelta: an adaptive learning rate method, 2012.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Adadelta, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0]));
/// let mut rule = Optimizer::new(Adadelta::new(1.0).rho(0.75).eps(1.0));
/// rule.step(&mut params, [(&x, &Tensor::from([4.0]))]).unwrap();
/// params.get(&x).assert_close(&Tensor::from([1.0 - 4.0 / 5.0_f64.sqrt()]), 1e-15, 0.0); // s = 4
/// ```
#[derive(Clone, Debug)]
pub struct Adadelta {
    learning_rate: Rate,
    scale: ScaleByChanges,
}

impl Adadelta {
    /// Adadelta with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self { learning_rate: Rate::new(learning_rate), scale: ScaleByChanges { rho: 0.9, eps: 1e-6 } }
    }

    /// The decay rate of the means.
    ///
    /// # Panics
    /// If the rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn rho(mut self, rho: f64) -> Self {
        expect_setting("`Adadelta::rho`: rho", rho, 0.0..1.0);
        self.scale.rho = rho;
        self
    }

    /// The number under both roots.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        expect_setting("`Adadelta::eps`: eps", eps, 0.0..);
        self.scale.eps = eps;
        self
    }
}

impl Part for Adadelta {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.scale).learning_rate(self.learning_rate);
    }
}

/// Adadelta's transform.
#[derive(Clone, Debug)]
struct ScaleByChanges {
    rho: f64,
    eps: f64,
}

impl Transform for ScaleByChanges {
    fn state(&self) -> Vec<StateTensor> {
        ["mean_square", "mean_square_of_changes"].map(StateTensor::zeros).to_vec()
    }

    fn prepare<T: Real>(&self, _step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let (rho, take, eps) = (T::of(self.rho), T::of(1.0 - self.rho), T::of(self.eps));
        move |block| {
            block.each(|_, update, [square, changes]| {
                *square = rho * *square + take * update * update;
                let change = (*changes + eps).sqrt() / (*square + eps).sqrt() * update;
                *changes = rho * *changes + take * change * change;
                change
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Adadelta::new(1.0));
    }
}
