//! The transform `DecayWeights`.

use gradus_graph::{Real, expect_setting};

use crate::{Block, StepInfo, Transform};

/// Adds a multiple of the parameter to the update.
///
/// `u ← u + decay·p`.
///
/// Before a rule this is L2 regularisation (the decay passes through momentum and moments, PyTorch's `weight_decay` of
/// SGD and Adam). After a rule, whose steps have the learning rate in them, it is `u ← u + lr·decay·p`, the decoupled
/// decay of `torch.optim.AdamW`: `(Adam::new(lr), DecayWeights::new(d))` is `AdamW::new(lr).decay(d)`. In Optax
/// `add_decayed_weights` at that place is not multiplied by the learning rate. No state.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{DecayWeights, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([8.0]));
/// let mut rule = Optimizer::new((DecayWeights::new(0.25), Sgd::new(0.5)));
/// rule.step(&mut params, [(&x, &Tensor::from([0.0]))]).unwrap();
/// assert_eq!(params.get(&x).data(), [7.0]);
/// ```
#[derive(Clone, Debug)]
pub struct DecayWeights {
    decay: f64,
}

impl DecayWeights {
    /// Decay with the given factor.
    ///
    /// # Panics
    /// If the factor is negative or not finite.
    #[track_caller]
    pub fn new(decay: f64) -> Self {
        expect_setting("`DecayWeights::new`: decay", decay, 0.0..);
        Self { decay }
    }
}

impl Transform for DecayWeights {
    fn prepare<T: Real>(&self, step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
        let decay = T::of(if step.scaled { step.learning_rate * self.decay } else { self.decay });
        move |block| block.each(|parameter, update, []| update + decay * parameter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, AdamW, Group, Lookahead, Optimizer, PenaltyL1, Sgd, WarmUp, testing};
    use gradus_graph::{Params, Tensor};

    /// Where some steps lead.
    fn walk(rule: impl crate::Part) -> Tensor<f64> {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([8.0, -3.0]));
        let mut rule = Optimizer::new(rule);
        for gradient in [[1.0, -2.0], [0.5, 0.0], [-3.0, 1.0]] {
            rule.step(&mut params, [(&x, &Tensor::from(gradient))]).expect("the gradient is right");
        }
        params.get(&x).clone()
    }

    #[test]
    fn after_a_rule_it_is_decoupled_and_scaled_by_the_learning_rate() {
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([8.0]));
        let mut rule = Optimizer::new((Sgd::new(0.5), DecayWeights::new(0.25)));
        rule.step(&mut params, [(&x, &Tensor::from([2.0]))]).expect("the gradient is right");
        assert_eq!(params.get(&x).data(), [6.0]); // 8 − 0.5·2 − 0.5·0.25·8

        let rate = || WarmUp::new(2, 0.1).from(0.5);
        let decoupled = walk(AdamW::new(rate()).decay(0.3));
        walk((Adam::new(rate()), DecayWeights::new(0.3))).assert_close(&decoupled, 1e-15, 0.0);
        walk(Group::rest((Adam::new(rate()), DecayWeights::new(0.3)))).assert_close(&decoupled, 1e-15, 0.0);
        // Whether the rate is applied at the end, or by a transform between.
        let never = || Lookahead::new().every(1000);
        walk((Adam::new(rate()), never(), DecayWeights::new(0.3))).assert_close(&decoupled, 1e-15, 0.0);
        // The other penalty, too.
        let mut params: Params<f64> = Params::new(0);
        let x = params.add("x", Tensor::from([8.0, -8.0]));
        let mut rule = Optimizer::new((Sgd::new(0.5), PenaltyL1::new(0.25)));
        rule.step(&mut params, [(&x, &Tensor::from([0.0, 0.0]))]).expect("the gradient is right");
        assert_eq!(params.get(&x).data(), [7.875, -7.875]);
    }

    #[test]
    fn passes_the_tests_of_rules() {
        testing::assert_rule((DecayWeights::new(1e-3), Sgd::new(0.0005)));
    }
}
