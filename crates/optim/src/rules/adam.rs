//! The rule `Adam`.

use gradus_graph::Real;

use super::moments::Moments;
use crate::{Block, Chain, Part, Rate, RateSchedule, StateTensor, StepInfo, Transform};

/// Adam: a step of about the learning rate for each element, whatever the scale of its gradient.
///
/// `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`, `p ← p − lr·m̂ / (√v̂ + ε)` with `m̂ = m/(1−β₁ᵗ)`, `v̂ = v/(1−β₂ᵗ)`.
///
/// As `torch.optim.Adam` and the paper's Algorithm 1: ε is outside the root and the moments are corrected.
///
/// Defaults: β₁ 0.9, β₂ 0.999, ε 1e-8. State: `first_moment`, `second_moment`, from zero.
///
/// Kingma, Ba: Adam: a method for stochastic optimization, 2015.
///
/// The gradient of a table that comes as rows ([`Gradient`](crate::Gradient)) is taken as a tensor, unless the rule is
/// [`lazy`](Self::lazy).
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Adam, Optimizer};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([1.0, 1.0]));
/// let mut adam = Optimizer::new(Adam::new(0.25).betas(0.9, 0.99));
/// adam.step(&mut params, [(&x, &Tensor::from([1e-3, -1e3]))]).unwrap();
/// params.get(&x).assert_close(&Tensor::from([0.75, 1.25]), 1e-5, 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct Adam {
    learning_rate: Rate,
    moments: ScaleByMoments,
}

impl Adam {
    /// Adam with the given learning rate: a number, or a function of the number of steps taken.
    ///
    /// # Panics
    /// If the learning rate is a number that is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: impl RateSchedule) -> Self {
        Self { learning_rate: Rate::new(learning_rate), moments: ScaleByMoments::new(Moments::ADAM) }
    }

    /// Leaves alone the rows that a gradient of rows ([`Gradient`](crate::Gradient)) does not have: their parameters
    /// stay, and their moments do not decay. The step then costs nothing for them.
    ///
    /// In the given rows the formula is that of Adam with the number `t` of all steps of the table. As
    /// `torch.optim.SparseAdam`, but for the place of ε: that divides by `√v + ε` and corrects the quotient, so its ε is
    /// larger by `1/√(1−β₂ᵗ)`, which is 32 in the first step and falls to 1. A row that is seldom read moves further than
    /// with Adam: its old moments are not forgotten meanwhile. A gradient that comes as a tensor moves all rows.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, SparseRows, Tensor};
    /// use gradus_optim::{Adam, Optimizer};
    /// let mut params: Params = Params::new(0);
    /// let table = params.add("table", Tensor::zeros([1000, 1]));
    /// let mut adam = Optimizer::new(Adam::new(0.25).lazy());
    /// let mut gradient = SparseRows::new();
    /// for row in [7, 3] {
    ///     gradient.set_sum(table.shape(), 1, |_| (&[row], &[2.0]))?;
    ///     adam.step(&mut params, [(&table, &gradient)])?;
    /// }
    /// assert_eq!(params.get(&table).data()[7], -0.25); // Adam's moments would have moved it again.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn lazy(mut self) -> Self {
        self.moments.is_lazy = true;
        self
    }

    /// The decay rates of the two moments.
    ///
    /// # Panics
    /// If a rate lies outside `0..1`.
    #[must_use]
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.moments.moments = self.moments.moments.with_betas("Adam", beta1, beta2);
        self
    }

    /// The number that keeps the denominator from zero.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn eps(mut self, eps: f64) -> Self {
        self.moments.moments = self.moments.moments.with_eps("Adam", eps);
        self
    }
}

impl Part for Adam {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.then(self.moments).learning_rate(self.learning_rate);
    }
}

/// Adam's transform: divides the mean of the update by the root of its mean square.
#[derive(Clone, Debug)]
pub(super) struct ScaleByMoments {
    pub(super) moments: Moments,
    is_lazy: bool,
}

impl ScaleByMoments {
    pub(super) fn new(moments: Moments) -> Self {
        Self { moments, is_lazy: false }
    }
}

impl Transform for ScaleByMoments {
    fn state(&self) -> Vec<StateTensor> {
        ["first_moment", "second_moment"].map(StateTensor::zeros).to_vec()
    }

    fn is_lazy(&self) -> bool {
        self.is_lazy
    }

    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let moments = self.moments.at::<T>(step.number);
        move |block| {
            block.each(|_, update, [first, second]| {
                moments.average(first, update);
                moments.average_square(second, update);
                moments.correct1 * *first / moments.denominator(*second)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn by_hand() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([1.0]));
        let mut adam = Optimizer::new(Adam::new(0.1).betas(0.5, 0.75).eps(1.0));
        adam.step(&mut params, [(&x, &Tensor::from([2.0]))]).unwrap(); // m̂ = 2, v̂ = 4: 2/3 of 0.1
        // m = 0.5·1 + 0.5·1 = 1, m̂ = 4/3; v = 0.75·1 + 0.25·1 = 1, v̂ = 16/7.
        adam.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap();
        let expected = 1.0 - 0.1 * (2.0 / 3.0) - 0.1 * (4.0 / 3.0) / (1.0 + 4.0 / 7.0_f64.sqrt());
        params.get(&x).assert_close(&Tensor::from([expected]), 1e-15, 0.0);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule(Adam::new(0.01));
        testing::assert_rule(Adam::new(0.01).lazy());
    }
}
