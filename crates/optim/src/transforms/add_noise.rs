//! The transform `AddNoise`.

use gradus_graph::kernel::random::RandomStream;
use gradus_graph::{Real, expect_setting};

use crate::{Block, StepInfo, Transform};

/// Adds normal noise that fades.
///
/// `u ← u + σₜ·n` with `n` normal and `σₜ² = η / (1 + t)^γ`, `t` the steps before this one.
///
/// As `optax.add_noise`, with other random numbers: element `i` of a parameter at a step under a seed is a function of
/// these, and of the parameter's name, alone. Defaults: γ 0.55. No state.
///
/// Neelakantan and others: Adding gradient noise improves learning for very deep networks, 2015.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{AddNoise, Optimizer, Sgd};
/// let run = |seed| {
///     let mut params: Params<f64> = Params::new(0);
///     let x = params.add("x", Tensor::from([0.0]));
///     let mut rule = Optimizer::new((AddNoise::new(0.01, seed), Sgd::new(1.0)));
///     rule.step(&mut params, [(&x, &Tensor::from([1.0]))]).unwrap();
///     params.get(&x).item()
/// };
/// assert_eq!(run(1), run(1));
/// assert!(run(1) != run(2) && (run(1) + 1.0).abs() < 0.5);
/// ```
#[derive(Clone, Debug)]
pub struct AddNoise {
    eta: f64,
    gamma: f64,
    seed: u64,
}

impl AddNoise {
    /// Noise of variance η at the first step.
    ///
    /// # Panics
    /// If η is negative or not finite.
    #[track_caller]
    pub fn new(eta: f64, seed: u64) -> Self {
        expect_setting("`AddNoise::new`: eta", eta, 0.0..);
        Self { eta, gamma: 0.55, seed }
    }

    /// The power of the step by which the variance falls; 0 keeps it.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn gamma(self, gamma: f64) -> Self {
        expect_setting("`AddNoise::gamma`: gamma", gamma, 0.0..);
        Self { gamma, ..self }
    }
}

/// The number of elements whose noise is drawn at once, on the stack.
const DRAWN: usize = 64;

impl Transform for AddNoise {
    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let sigma = T::of((self.eta / (step.number as f64).powf(self.gamma)).sqrt());
        // Half of the parameter's number tells the stream, the other half joins the seed.
        let (low, high) = (step.stream as u32, step.stream >> 32);
        let stream = RandomStream { seed: self.seed ^ (high << 32), step: step.number, stream: low };
        move |block| {
            let start = block.start();
            let mut noise = [T::zero(); DRAWN];
            for (piece, update) in block.update().chunks_mut(DRAWN).enumerate() {
                let noise = &mut noise[..update.len()];
                stream.normal(start + piece * DRAWN, noise);
                update.iter_mut().zip(noise).for_each(|(u, n)| *u += sigma * *n);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Momentum, Optimizer, Sgd, testing};
    use gradus_graph::{Params, Tensor};

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((AddNoise::new(0.01, 3), Sgd::new(0.0005)));
        testing::assert_rule((Momentum::new(0.5), AddNoise::new(0.01, 3), Sgd::new(0.0005)));
    }

    #[test]
    fn the_noise_is_normal_fades_and_differs_between_parameters() {
        let mut params: Params<f64> = Params::new(0);
        let list = ["a", "b"].map(|name| params.add(name, Tensor::zeros([50_000])));
        let gradients = [Tensor::zeros([50_000]), Tensor::zeros([50_000])];
        let mut rule = Optimizer::new((AddNoise::new(4.0, 7).gamma(1.0), Sgd::new(1.0)));
        rule.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
        let first = list.clone().map(|param| params.get(&param).clone());
        rule.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
        let mean_of_product = |a: &Tensor<f64>, b: &Tensor<f64>| {
            a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum::<f64>() / a.len() as f64
        };
        let [a, b] = &first;
        assert!((mean_of_product(a, a) - 4.0).abs() < 0.1);
        assert!(mean_of_product(a, b).abs() < 0.1, "the parameters have the same noise");
        let second = Tensor::from_fn([50_000], |k| params.get(&list[0]).data()[k] - a.data()[k]);
        assert!((mean_of_product(&second, &second) - 2.0).abs() < 0.1);
        assert!(mean_of_product(a, &second).abs() < 0.1, "two steps have the same noise");
    }
}
