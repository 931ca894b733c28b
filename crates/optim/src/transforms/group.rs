//! Groups of parameters, each with a rule of its own; and the learning rate of some as a factor of their rule's.

use std::sync::Arc;

use gradus_graph::{Real, expect_setting};

use crate::{Chain, Part};

/// A predicate on dotted names.
pub(crate) type Matches = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// A rule for the parameters whose dotted name satisfies a predicate.
///
/// Each parameter belongs to one group: a step returns an error if one belongs to two or to none, or if a group is
/// empty. What precedes and follows the groups in a tuple is for all parameters. Parameters that shall not move are
/// frozen with [`Params::set_trainable`](gradus_graph::Params::set_trainable).
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{AdamW, ClipGlobalNorm, Group, Optimizer, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let list = [params.add("weight", Tensor::from([1.0])), params.add("bias", Tensor::from([1.0]))];
/// let mut rule = Optimizer::new((
///     ClipGlobalNorm::new(10.0),
///     Group::new(|name| name.ends_with("bias"), Sgd::new(0.5)),
///     Group::rest(AdamW::new(0.1).decay(0.5)),
/// ));
/// let gradients = [Tensor::from([0.0]), Tensor::from([1.0])];
/// rule.step(&mut params, list.iter().zip(&gradients)).unwrap();
/// assert_eq!(params.get(&list[0]).data(), [0.95]);
/// assert_eq!(params.get(&list[1]).data(), [0.5]);
/// ```
#[derive(Clone)]
pub struct Group<P> {
    matches: Option<Matches>,
    rule: P,
}

impl<P: Part> Group<P> {
    /// Moves the parameters that satisfy the predicate by that rule, or tuple of transforms and a rule.
    pub fn new(matches: impl Fn(&str) -> bool + Send + Sync + 'static, rule: P) -> Self {
        Self { matches: Some(Arc::new(matches)), rule }
    }

    /// Moves the parameters that are in no group before this one.
    pub fn rest(rule: P) -> Self {
        Self { matches: None, rule }
    }
}

impl<P: Part> Part for Group<P> {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.group(self.matches, self.rule);
    }
}

/// Multiplies the learning rate of the parameters whose dotted name satisfies a predicate.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, RateFactor, Sgd};
/// let mut params: Params<f64> = Params::new(0);
/// let list = [params.add("encoder", Tensor::from([1.0])), params.add("head", Tensor::from([1.0]))];
/// let mut rule = Optimizer::new((Sgd::new(0.5), RateFactor::new(|name| name.starts_with("encoder"), 0.5)));
/// let gradients = [Tensor::from([1.0]), Tensor::from([1.0])];
/// rule.step(&mut params, list.iter().zip(&gradients)).unwrap();
/// assert_eq!(params.get(&list[0]).data(), [0.75]);
/// assert_eq!(params.get(&list[1]).data(), [0.5]);
/// ```
#[derive(Clone)]
pub struct RateFactor {
    matches: Matches,
    factor: f64,
}

impl RateFactor {
    /// Multiplies the rate by `factor` where the predicate holds, wherever it is in a tuple.
    ///
    /// # Panics
    /// If the factor is negative or not finite.
    #[track_caller]
    pub fn new(matches: impl Fn(&str) -> bool + Send + Sync + 'static, factor: f64) -> Self {
        expect_setting("`RateFactor::new`: factor", factor, 0.0..);
        Self { matches: Arc::new(matches), factor }
    }
}

impl Part for RateFactor {
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.rate_factor(self.matches, self.factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, ClipGlobalNorm, ClipValue, Momentum, Optimizer, Sgd, testing};
    use gradus_graph::{Param, Params, Tensor};

    /// Those of the layer, and of the testing's two other tensors the large one.
    fn in_layer(name: &str) -> bool {
        name.starts_with("la")
    }

    #[test]
    fn passes_the_tests_of_rules() {
        let groups = (Group::new(in_layer, Sgd::new(0.0005).momentum(0.5)), Group::rest(Adam::new(0.01)));
        testing::assert_rule((groups, ClipValue::new(0.1)));
        let inner = (Momentum::new(0.5), ClipGlobalNorm::new(1.0), Sgd::new(0.001));
        testing::assert_rule((Group::new(|name| !in_layer(name), inner), Group::rest(Adam::new(0.01))));
        testing::assert_rule((RateFactor::new(in_layer, 0.5), Sgd::new(1e-3)));
    }

    fn store() -> (Params<f64>, [Param; 3]) {
        let mut params: Params<f64> = Params::new(0);
        let a = params.add("a", Tensor::from([1.0]));
        let [b, c] = ["b", "c"].map(|name| params.scope("layer", |params| params.add(name, Tensor::from([1.0]))));
        (params, [a, b, c])
    }

    /// Each group does what its rule alone does.
    #[test]
    fn a_group_is_its_rule() {
        let sgd = || (ClipValue::new(0.5), Sgd::new(|done: u64| 0.1 / (done + 1) as f64).momentum(0.5));
        let adam = || Adam::new(0.1);
        let run = |mut rule: Optimizer<f64>| {
            let (mut params, list) = store();
            for step in 0..10 {
                let gradients = [1.0, -2.0, 3.0].map(|slope| Tensor::from([slope + f64::from(step)]));
                rule.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
            }
            list.map(|param| params.get(&param).item())
        };
        let [a, ..] = run(Optimizer::new(sgd()));
        let [_, b, c] = run(Optimizer::new(adam()));
        assert_eq!(run(Optimizer::new((Group::new(in_layer, adam()), Group::rest(sgd())))), [a, b, c]);
        assert_eq!(run(Optimizer::new((Group::new(|name| !in_layer(name), sgd()), Group::rest(adam())))), [a, b, c]);
    }

    #[test]
    fn a_parameter_belongs_to_one_group() {
        let (mut params, list) = store();
        let before: Vec<Tensor<f64>> = params.iter().map(|(_, value)| value.clone()).collect();
        let mut refused = |mut rule: Optimizer<f64>, message: &str| {
            let gradients = [1.0, 1.0, 1.0].map(|slope| Tensor::from([slope]));
            let error = rule.step(&mut params, list.iter().zip(&gradients)).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(params.iter().map(|(_, value)| value).eq(&before), "something has moved");
        };
        let sgd = || Sgd::new(0.1);
        let message = "parameter `a` belongs to no group; `Group::rest` takes those of no other";
        refused(Optimizer::new(Group::new(in_layer, sgd())), message);
        let message = "parameter `layer.b` belongs to two groups of the rule";
        refused(Optimizer::new((Group::new(|_| true, sgd()), Group::new(in_layer, sgd()))), message);
        let message = "no parameter belongs to group 1 of the rule";
        refused(Optimizer::new((Group::new(|name| name == "A", sgd()), Group::rest(sgd()))), message);
    }

    #[test]
    #[should_panic(expected = "a group is inside no mask and no other group")]
    fn a_group_after_a_rule_is_refused() {
        let _ = Optimizer::<f64>::new((Sgd::new(0.1), Group::rest(Sgd::new(0.1))));
    }

    #[test]
    #[should_panic(expected = "an update has one learning rate")]
    fn a_rule_after_the_groups_is_refused() {
        let _ = Optimizer::<f64>::new((Group::rest(Sgd::new(0.1)), Sgd::new(0.1)));
    }

    #[test]
    #[should_panic(expected = "a group without a learning rate")]
    fn a_group_needs_a_rule() {
        let _ = Optimizer::<f64>::new((Group::new(in_layer, ClipValue::new(1.0)), Group::rest(Sgd::new(0.1))));
    }
}
