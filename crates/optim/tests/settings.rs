//! What rules, transforms and schedules refuse where it is given: a number without a meaning.

mod refusals;

use gradus_graph::{Param, Params, Real, Tensor};
use gradus_optim::*;
use refusals::*;

struct Plain(f64);

impl Part for Plain {
    #[track_caller]
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.learning_rate(self.0);
    }
}

struct Inside(f64);

impl Part for Inside {
    #[track_caller]
    fn add_to<T: Real>(self, chain: &mut Chain<T>) {
        chain.learning_rate_inside(self.0);
    }
}

#[rustfmt::skip]
fn table() -> Vec<Row> {
    vec![
        ("AdaBelief::new: learning_rate", NOT_NEGATIVE, |x| _ = AdaBelief::new(x)),
        ("AdaBelief::betas: beta1", BELOW_ONE, |x| _ = AdaBelief::new(0.1).betas(x, 0.5)),
        ("AdaBelief::betas: beta2", BELOW_ONE, |x| _ = AdaBelief::new(0.1).betas(0.5, x)),
        ("AdaBelief::eps: eps", NOT_NEGATIVE, |x| _ = AdaBelief::new(0.1).eps(x)),
        ("Adadelta::new: learning_rate", NOT_NEGATIVE, |x| _ = Adadelta::new(x)),
        ("Adadelta::rho: rho", BELOW_ONE, |x| _ = Adadelta::new(0.1).rho(x)),
        ("Adadelta::eps: eps", NOT_NEGATIVE, |x| _ = Adadelta::new(0.1).eps(x)),
        ("Adafactor::new: learning_rate", NOT_NEGATIVE, |x| _ = Adafactor::new(x)),
        ("Adafactor::power: power", NOT_NEGATIVE, |x| _ = Adafactor::new(0.1).power(x)),
        ("Adafactor::eps: moments", NOT_NEGATIVE, |x| _ = Adafactor::new(0.1).eps(x, 0.5)),
        ("Adafactor::eps: parameter", NOT_NEGATIVE, |x| _ = Adafactor::new(0.1).eps(0.5, x)),
        ("Adafactor::limit: limit", LIMIT, |x| _ = Adafactor::new(0.1).limit(x)),
        ("Adafactor::decay: decay", NOT_NEGATIVE, |x| _ = Adafactor::new(0.1).decay(x)),
        ("Adagrad::new: learning_rate", NOT_NEGATIVE, |x| _ = Adagrad::new(x)),
        ("Adagrad::lr_decay: lr_decay", NOT_NEGATIVE, |x| _ = Adagrad::new(0.1).lr_decay(x)),
        ("Adagrad::initial_sum: initial", NOT_NEGATIVE, |x| _ = Adagrad::new(0.1).initial_sum(x)),
        ("Adagrad::eps: eps", NOT_NEGATIVE, |x| _ = Adagrad::new(0.1).eps(x)),
        ("Adam::new: learning_rate", NOT_NEGATIVE, |x| _ = Adam::new(x)),
        ("Adam::betas: beta1", BELOW_ONE, |x| _ = Adam::new(0.1).betas(x, 0.5)),
        ("Adam::betas: beta2", BELOW_ONE, |x| _ = Adam::new(0.1).betas(0.5, x)),
        ("Adam::eps: eps", NOT_NEGATIVE, |x| _ = Adam::new(0.1).eps(x)),
        ("Adamax::new: learning_rate", NOT_NEGATIVE, |x| _ = Adamax::new(x)),
        ("Adamax::betas: beta1", BELOW_ONE, |x| _ = Adamax::new(0.1).betas(x, 0.5)),
        ("Adamax::betas: beta2", BELOW_ONE, |x| _ = Adamax::new(0.1).betas(0.5, x)),
        ("Adamax::eps: eps", NOT_NEGATIVE, |x| _ = Adamax::new(0.1).eps(x)),
        ("AdamW::new: learning_rate", NOT_NEGATIVE, |x| _ = AdamW::new(x)),
        ("AdamW::betas: beta1", BELOW_ONE, |x| _ = AdamW::new(0.1).betas(x, 0.5)),
        ("AdamW::betas: beta2", BELOW_ONE, |x| _ = AdamW::new(0.1).betas(0.5, x)),
        ("AdamW::eps: eps", NOT_NEGATIVE, |x| _ = AdamW::new(0.1).eps(x)),
        ("AdamW::decay: decay", NOT_NEGATIVE, |x| _ = AdamW::new(0.1).decay(x)),
        ("AmsGrad::new: learning_rate", NOT_NEGATIVE, |x| _ = AmsGrad::new(x)),
        ("AmsGrad::betas: beta1", BELOW_ONE, |x| _ = AmsGrad::new(0.1).betas(x, 0.5)),
        ("AmsGrad::betas: beta2", BELOW_ONE, |x| _ = AmsGrad::new(0.1).betas(0.5, x)),
        ("AmsGrad::eps: eps", NOT_NEGATIVE, |x| _ = AmsGrad::new(0.1).eps(x)),
        ("Asgd::new: learning_rate", NOT_NEGATIVE, |x| _ = Asgd::new(x)),
        ("Asgd::decay: decay", NOT_NEGATIVE, |x| _ = Asgd::new(0.1).decay(x)),
        ("Asgd::power: power", NOT_NEGATIVE, |x| _ = Asgd::new(0.1).power(x)),
        ("DAdaptAdam::new: learning_rate", NOT_NEGATIVE, |x| _ = DAdaptAdam::new(x)),
        ("DAdaptAdam::betas: beta1", BELOW_ONE, |x| _ = DAdaptAdam::new(0.1).betas(x, 0.5)),
        ("DAdaptAdam::betas: beta2", BELOW_ONE, |x| _ = DAdaptAdam::new(0.1).betas(0.5, x)),
        ("DAdaptAdam::eps: eps", NOT_NEGATIVE, |x| _ = DAdaptAdam::new(0.1).eps(x)),
        ("DAdaptAdam::initial: initial", POSITIVE, |x| _ = DAdaptAdam::new(0.1).initial(x)),
        ("DAdaptAdam::decay: decay", NOT_NEGATIVE, |x| _ = DAdaptAdam::new(0.1).decay(x)),
        ("DAdaptSgd::new: learning_rate", NOT_NEGATIVE, |x| _ = DAdaptSgd::new(x)),
        ("DAdaptSgd::momentum: momentum", BELOW_ONE, |x| _ = DAdaptSgd::new(0.1).momentum(x)),
        ("DAdaptSgd::initial: initial", POSITIVE, |x| _ = DAdaptSgd::new(0.1).initial(x)),
        ("DAdaptSgd::growth: growth", &[1.0, 2.0, f64::INFINITY], |x| _ = DAdaptSgd::new(0.1).growth(x)),
        ("Lamb::new: learning_rate", NOT_NEGATIVE, |x| _ = Lamb::new(x)),
        ("Lamb::betas: beta1", BELOW_ONE, |x| _ = Lamb::new(0.1).betas(x, 0.5)),
        ("Lamb::betas: beta2", BELOW_ONE, |x| _ = Lamb::new(0.1).betas(0.5, x)),
        ("Lamb::eps: eps", NOT_NEGATIVE, |x| _ = Lamb::new(0.1).eps(x)),
        ("Lamb::decay: decay", NOT_NEGATIVE, |x| _ = Lamb::new(0.1).decay(x)),
        ("Lars::new: learning_rate", NOT_NEGATIVE, |x| _ = Lars::new(x)),
        ("Lars::momentum: momentum", NOT_NEGATIVE, |x| _ = Lars::new(0.1).momentum(x)),
        ("Lars::trust: trust", POSITIVE, |x| _ = Lars::new(0.1).trust(x)),
        ("Lars::eps: eps", NOT_NEGATIVE, |x| _ = Lars::new(0.1).eps(x)),
        ("Lars::decay: decay", NOT_NEGATIVE, |x| _ = Lars::new(0.1).decay(x)),
        ("Lion::new: learning_rate", NOT_NEGATIVE, |x| _ = Lion::new(x)),
        ("Lion::betas: beta1", BELOW_ONE, |x| _ = Lion::new(0.1).betas(x, 0.5)),
        ("Lion::betas: beta2", BELOW_ONE, |x| _ = Lion::new(0.1).betas(0.5, x)),
        ("Lion::decay: decay", NOT_NEGATIVE, |x| _ = Lion::new(0.1).decay(x)),
        ("Muon::new: learning_rate", NOT_NEGATIVE, |x| _ = Muon::new(x)),
        ("Muon::momentum: momentum", BELOW_ONE, |x| _ = Muon::new(0.1).momentum(x)),
        ("Muon::eps: eps", NOT_NEGATIVE, |x| _ = Muon::new(0.1).eps(x)),
        ("Muon::betas: beta1", BELOW_ONE, |x| _ = Muon::new(0.1).betas(x, 0.5)),
        ("Muon::betas: beta2", BELOW_ONE, |x| _ = Muon::new(0.1).betas(0.5, x)),
        ("Muon::decay: decay", NOT_NEGATIVE, |x| _ = Muon::new(0.1).decay(x)),
        ("NAdam::new: learning_rate", NOT_NEGATIVE, |x| _ = NAdam::new(x)),
        ("NAdam::betas: beta1", BELOW_ONE, |x| _ = NAdam::new(0.1).betas(x, 0.5)),
        ("NAdam::betas: beta2", BELOW_ONE, |x| _ = NAdam::new(0.1).betas(0.5, x)),
        ("NAdam::eps: eps", NOT_NEGATIVE, |x| _ = NAdam::new(0.1).eps(x)),
        ("NAdam::momentum_decay: momentum_decay", NOT_NEGATIVE, |x| _ = NAdam::new(0.1).momentum_decay(x)),
        ("NovoGrad::new: learning_rate", NOT_NEGATIVE, |x| _ = NovoGrad::new(x)),
        ("NovoGrad::betas: beta1", BELOW_ONE, |x| _ = NovoGrad::new(0.1).betas(x, 0.5)),
        ("NovoGrad::betas: beta2", BELOW_ONE, |x| _ = NovoGrad::new(0.1).betas(0.5, x)),
        ("NovoGrad::eps: eps", NOT_NEGATIVE, |x| _ = NovoGrad::new(0.1).eps(x)),
        ("NovoGrad::decay: decay", NOT_NEGATIVE, |x| _ = NovoGrad::new(0.1).decay(x)),
        ("Prodigy::new: learning_rate", NOT_NEGATIVE, |x| _ = Prodigy::new(x)),
        ("Prodigy::betas: beta1", BELOW_ONE, |x| _ = Prodigy::new(0.1).betas(x, 0.5)),
        ("Prodigy::betas: beta2", BELOW_ONE, |x| _ = Prodigy::new(0.1).betas(0.5, x)),
        ("Prodigy::beta3: beta3", BELOW_ONE, |x| _ = Prodigy::new(0.1).beta3(x)),
        ("Prodigy::eps: eps", NOT_NEGATIVE, |x| _ = Prodigy::new(0.1).eps(x)),
        ("Prodigy::initial: initial", POSITIVE, |x| _ = Prodigy::new(0.1).initial(x)),
        ("Prodigy::coefficient: coefficient", POSITIVE, |x| _ = Prodigy::new(0.1).coefficient(x)),
        ("Prodigy::decay: decay", NOT_NEGATIVE, |x| _ = Prodigy::new(0.1).decay(x)),
        ("RAdam::new: learning_rate", NOT_NEGATIVE, |x| _ = RAdam::new(x)),
        ("RAdam::betas: beta1", BELOW_ONE, |x| _ = RAdam::new(0.1).betas(x, 0.5)),
        ("RAdam::betas: beta2", BELOW_ONE, |x| _ = RAdam::new(0.1).betas(0.5, x)),
        ("RAdam::eps: eps", NOT_NEGATIVE, |x| _ = RAdam::new(0.1).eps(x)),
        ("RmsProp::new: learning_rate", NOT_NEGATIVE, |x| _ = RmsProp::new(x)),
        ("RmsProp::alpha: alpha", BELOW_ONE, |x| _ = RmsProp::new(0.1).alpha(x)),
        ("RmsProp::eps: eps", NOT_NEGATIVE, |x| _ = RmsProp::new(0.1).eps(x)),
        ("RmsProp::momentum: momentum", NOT_NEGATIVE, |x| _ = RmsProp::new(0.1).momentum(x)),
        ("Rprop::new: learning_rate", POSITIVE, |x| _ = Rprop::new(x)),
        ("Rprop::factors: shrink", INSIDE, |x| _ = Rprop::new(0.1).factors(x, 2.0)),
        ("Rprop::factors: grow", &[2.0], |x| _ = Rprop::new(0.1).factors(0.5, x)),
        ("Rprop::limits: smallest", NOT_NEGATIVE, |x| _ = Rprop::new(0.1).limits(x, 3.0)),
        ("Rprop::limits: largest", LIMIT, |x| _ = Rprop::new(0.1).limits(0.1, x)),
        ("ScheduleFreeAdamW::new: learning_rate", NOT_NEGATIVE, |x| _ = ScheduleFreeAdamW::new(x)),
        ("ScheduleFreeAdamW::betas: beta1", &[0.5, 1.0], |x| _ = ScheduleFreeAdamW::new(0.1).betas(x, 0.5)),
        ("ScheduleFreeAdamW::betas: beta2", BELOW_ONE, |x| _ = ScheduleFreeAdamW::new(0.1).betas(0.5, x)),
        ("ScheduleFreeAdamW::eps: eps", NOT_NEGATIVE, |x| _ = ScheduleFreeAdamW::new(0.1).eps(x)),
        ("ScheduleFreeAdamW::decay: decay", NOT_NEGATIVE, |x| _ = ScheduleFreeAdamW::new(0.1).decay(x)),
        ("ScheduleFreeAdamW::power: power", NOT_NEGATIVE, |x| _ = ScheduleFreeAdamW::new(0.1).power(x)),
        ("ScheduleFreeSgd::new: learning_rate", NOT_NEGATIVE, |x| _ = ScheduleFreeSgd::new(x)),
        ("ScheduleFreeSgd::beta: beta", &[0.5, 1.0], |x| _ = ScheduleFreeSgd::new(0.1).beta(x)),
        ("ScheduleFreeSgd::power: power", NOT_NEGATIVE, |x| _ = ScheduleFreeSgd::new(0.1).power(x)),
        ("Sgd::new: learning_rate", NOT_NEGATIVE, |x| _ = Sgd::new(x)),
        ("Sgd::momentum: momentum", NOT_NEGATIVE, |x| _ = Sgd::new(0.1).momentum(x)),
        ("Sgd::dampening: dampening", SHARE, |x| _ = Sgd::new(0.1).dampening(x)),
        ("Shampoo::new: learning_rate", NOT_NEGATIVE, |x| _ = Shampoo::new(x)),
        ("Shampoo::eps: eps", POSITIVE, |x| _ = Shampoo::new(0.1).eps(x)),
        ("SignSgd::new: learning_rate", NOT_NEGATIVE, |x| _ = SignSgd::new(x)),
        ("SignSgd::momentum: momentum", BELOW_ONE, |x| _ = SignSgd::new(0.1).momentum(x)),
        ("Soap::new: learning_rate", NOT_NEGATIVE, |x| _ = Soap::new(x)),
        ("Soap::betas: beta1", BELOW_ONE, |x| _ = Soap::new(0.1).betas(x, 0.5)),
        ("Soap::betas: beta2", BELOW_ONE, |x| _ = Soap::new(0.1).betas(0.5, x)),
        ("Soap::eps: eps", NOT_NEGATIVE, |x| _ = Soap::new(0.1).eps(x)),
        ("Soap::decay: decay", NOT_NEGATIVE, |x| _ = Soap::new(0.1).decay(x)),
        ("Sophia::new: learning_rate", NOT_NEGATIVE, |x| _ = Sophia::new(x)),
        ("Sophia::betas: beta1", BELOW_ONE, |x| _ = Sophia::new(0.1).betas(x, 0.5)),
        ("Sophia::betas: beta2", BELOW_ONE, |x| _ = Sophia::new(0.1).betas(0.5, x)),
        ("Sophia::gamma: gamma", POSITIVE, |x| _ = Sophia::new(0.1).gamma(x)),
        ("Sophia::eps: eps", NOT_NEGATIVE, |x| _ = Sophia::new(0.1).eps(x)),
        ("Sophia::limit: limit", LIMIT, |x| _ = Sophia::new(0.1).limit(x)),
        ("Sophia::decay: decay", NOT_NEGATIVE, |x| _ = Sophia::new(0.1).decay(x)),
        ("Yogi::new: learning_rate", NOT_NEGATIVE, |x| _ = Yogi::new(x)),
        ("Yogi::betas: beta1", BELOW_ONE, |x| _ = Yogi::new(0.1).betas(x, 0.5)),
        ("Yogi::betas: beta2", BELOW_ONE, |x| _ = Yogi::new(0.1).betas(0.5, x)),
        ("Yogi::eps: eps", NOT_NEGATIVE, |x| _ = Yogi::new(0.1).eps(x)),
        ("Yogi::initial: initial", NOT_NEGATIVE, |x| _ = Yogi::new(0.1).initial(x)),
        ("AddNoise::new: eta", NOT_NEGATIVE, |x| _ = AddNoise::new(x, 0)),
        ("AddNoise::gamma: gamma", NOT_NEGATIVE, |x| _ = AddNoise::new(0.1, 0).gamma(x)),
        ("Average::ema: decay", BELOW_ONE, |x| _ = Average::ema(x)),
        ("ClipAdaptive::new: share", LIMIT, |x| _ = ClipAdaptive::new(x)),
        ("ClipAdaptive::eps: eps", NOT_NEGATIVE, |x| _ = ClipAdaptive::new(0.1).eps(x)),
        ("ClipGlobalNorm::new: limit", LIMIT, |x| _ = ClipGlobalNorm::new(x)),
        ("ClipNorm::new: limit", LIMIT, |x| _ = ClipNorm::new(x)),
        ("ClipValue::new: limit", LIMIT, |x| _ = ClipValue::new(x)),
        ("DecayWeights::new: decay", NOT_NEGATIVE, |x| _ = DecayWeights::new(x)),
        ("RateFactor::new: factor", NOT_NEGATIVE, |x| _ = RateFactor::new(|_| true, x)),
        ("Lookahead::alpha: alpha", SHARE, |x| _ = Lookahead::new().alpha(x)),
        ("LossScale::fixed: factor", POSITIVE, |x| _ = LossScale::fixed(x)),
        ("LossScale::start: factor", POSITIVE, |x| _ = LossScale::dynamic().start(x)),
        ("LossScale::growth: growth", &[2.0], |x| _ = LossScale::dynamic().growth(x, 9)),
        ("LossScale::backoff: backoff", INSIDE, |x| _ = LossScale::dynamic().backoff(x)),
        ("Momentum::new: momentum", NOT_NEGATIVE, |x| _ = Momentum::new(x)),
        ("Momentum::dampening: dampening", SHARE, |x| _ = Momentum::new(0.5).dampening(x)),
        ("Orthogonalize::polynomial: a", FINITE, |x| _ = Orthogonalize::new().polynomial(x, 0.5, 0.5)),
        ("Orthogonalize::polynomial: b", FINITE, |x| _ = Orthogonalize::new().polynomial(0.5, x, 0.5)),
        ("Orthogonalize::polynomial: c", FINITE, |x| _ = Orthogonalize::new().polynomial(0.5, 0.5, x)),
        ("Orthogonalize::eps: eps", NOT_NEGATIVE, |x| _ = Orthogonalize::new().eps(x)),
        ("PenaltyL1::new: penalty", NOT_NEGATIVE, |x| _ = PenaltyL1::new(x)),
        ("ProximalL1::new: penalty", NOT_NEGATIVE, |x| _ = ProximalL1::new(x)),
        ("RunningMean::new: decay", BELOW_ONE, |x| _ = RunningMean::new(x)),
        ("ScheduleFree::beta: beta", &[0.5, 1.0], |x| _ = ScheduleFree::new().beta(x)),
        ("ScheduleFree::power: power", NOT_NEGATIVE, |x| _ = ScheduleFree::new().power(x)),
        ("TrustRatio::trust: trust", POSITIVE, |x| _ = TrustRatio::new().trust(x)),
        ("TrustRatio::eps: eps", NOT_NEGATIVE, |x| _ = TrustRatio::new().eps(x)),
        ("StateTensor::mean_of_observed: decay", BELOW_ONE, |x| _ = StateTensor::zeros("mean").mean_of_observed(x)),
        ("Sam::new: rho", NOT_NEGATIVE, |x| _ = Sam::<f64>::new(x)),
        ("Cosine::new: rate", NOT_NEGATIVE, |x| _ = Cosine::new(x, 9)),
        ("Cosine::end: end", NOT_NEGATIVE, |x| _ = Cosine::new(0.1, 9).end(x)),
        ("CosineRestarts::new: rate", NOT_NEGATIVE, |x| _ = CosineRestarts::new(x, 9)),
        ("CosineRestarts::end: end", NOT_NEGATIVE, |x| _ = CosineRestarts::new(0.1, 9).end(x)),
        ("Cyclic::new: low", NOT_NEGATIVE, |x| _ = Cyclic::new(x, 4.0, 9)),
        ("Cyclic::new: high", POSITIVE, |x| _ = Cyclic::new(0.25, x, 9)),
        ("Cyclic::exponential: gamma", NOT_NEGATIVE, |x| _ = Cyclic::new(0.1, 0.2, 9).exponential(x)),
        ("Exponential::new: rate", NOT_NEGATIVE, |x| _ = Exponential::new(x, 0.5)),
        ("Exponential::new: gamma", NOT_NEGATIVE, |x| _ = Exponential::new(0.1, x)),
        ("InverseSqrt::new: rate", NOT_NEGATIVE, |x| _ = InverseSqrt::new(x, 9)),
        ("MultiStep::new: rate", NOT_NEGATIVE, |x| _ = MultiStep::new(x, [9])),
        ("MultiStep::gamma: gamma", NOT_NEGATIVE, |x| _ = MultiStep::new(0.1, [9]).gamma(x)),
        ("OneCycle::new: high", NOT_NEGATIVE, |x| _ = OneCycle::new(x, 9)),
        ("OneCycle::rise: rise", BELOW_ONE, |x| _ = OneCycle::new(0.1, 9).rise(x)),
        ("OneCycle::divide: first", POSITIVE, |x| _ = OneCycle::new(0.1, 9).divide(x, 2.0)),
        ("OneCycle::divide: last", POSITIVE, |x| _ = OneCycle::new(0.1, 9).divide(2.0, x)),
        ("Polynomial::new: rate", NOT_NEGATIVE, |x| _ = Polynomial::new(x, 9)),
        ("Polynomial::power: power", NOT_NEGATIVE, |x| _ = Polynomial::new(0.1, 9).power(x)),
        ("Polynomial::end: end", NOT_NEGATIVE, |x| _ = Polynomial::new(0.1, 9).end(x)),
        ("RangeTest::new: low", POSITIVE, |x| _ = RangeTest::new(x, 4.0, 9)),
        ("RangeTest::new: high", &[0.5, 1.0, 2.0], |x| _ = RangeTest::new(0.25, x, 9)),
        ("ReduceOnPlateau::gamma: gamma", BELOW_ONE, |x| _ = ReduceOnPlateau::new().gamma(x)),
        ("ReduceOnPlateau::threshold: threshold", NOT_NEGATIVE, |x| _ = ReduceOnPlateau::new().threshold(x)),
        ("ReduceOnPlateau::absolute_threshold: threshold", NOT_NEGATIVE, |x| _ = ReduceOnPlateau::new().absolute_threshold(x)),
        ("ReduceOnPlateau::eps: eps", NOT_NEGATIVE, |x| _ = ReduceOnPlateau::new().eps(x)),
        ("ReduceOnPlateau::least: factor", SHARE, |x| _ = ReduceOnPlateau::new().least(x)),
        ("StepDecay::new: rate", NOT_NEGATIVE, |x| _ = StepDecay::new(x, 9)),
        ("StepDecay::gamma: gamma", NOT_NEGATIVE, |x| _ = StepDecay::new(0.1, 9).gamma(x)),
        ("WarmUp::from: from", SHARE, |x| _ = WarmUp::new(9, 0.1).from(x)),
        ("LearningRate::new: schedule", NOT_NEGATIVE, |x| _ = LearningRate::new(x)),
        ("Rate::new: schedule", NOT_NEGATIVE, |x| _ = Rate::new(x)),
        ("Accumulator::add: weight", POSITIVE, |x| _ = Accumulator::<f64>::new().add(&Params::new(0), [] as [(&Param, &Tensor<f64>); 0], x)),
        ("Chain::learning_rate: schedule", NOT_NEGATIVE, |x| _ = Optimizer::<f64>::new(Plain(x))),
        ("Chain::learning_rate_inside: schedule", NOT_NEGATIVE, |x| _ = Optimizer::<f64>::new(Inside(x))),
        ("Join::new: first", NOT_NEGATIVE, |x| _ = Join::new(x)),
        ("Join::then: next", NOT_NEGATIVE, |x| _ = Join::new(0.1).then(9, x)),
        ("WarmUp::new: then", NOT_NEGATIVE, |x| _ = WarmUp::new(9, x)),
    ]
}

/// One test for all, since a hook for panics is of the whole process.
#[test]
fn settings_without_a_meaning_are_refused_where_they_are_given() {
    let mut wrong = faults(&table());
    let nesterov: [(&str, fn()); 6] = [
        ("Sgd", || _ = Sgd::new(0.1).nesterov()),
        ("Sgd", || _ = Sgd::new(0.1).momentum(0.9).nesterov().dampening(0.5)),
        ("Sgd", || _ = Sgd::new(0.1).momentum(0.9).dampening(0.5).nesterov()),
        ("Momentum", || _ = Momentum::new(0.0).nesterov()),
        ("Momentum", || _ = Momentum::new(0.9).dampening(0.5).nesterov()),
        ("Lars", || _ = Lars::new(0.1).nesterov().momentum(0.0)),
    ];
    for (rule, give) in nesterov {
        let found = refusal(give);
        let start = format!("`{rule}::nesterov` needs a momentum above 0 and a dampening of 0, not ");
        if !found.as_ref().is_some_and(|(message, file)| message.starts_with(&start) && file.ends_with("settings.rs")) {
            wrong.push(format!("{rule}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Functions whose numbers are no settings: any value has a meaning, or the next step refuses it.
const FREE: &[&str] = &["StateTensor::full: value", "ReduceOnPlateau::report: metric", "Optimizer::scale_rate: factor"];

/// A new rule, transform or schedule is in the table, with every number that it is given.
#[test]
fn every_setting_is_in_the_table() {
    let missing = missing(env!("CARGO_MANIFEST_DIR"), 150, &table(), FREE);
    assert!(missing.is_empty(), "no test gives these settings a NaN: {missing:?}");
}

/// A schedule is refused at the step at which it gives no rate, and nothing has changed then.
#[test]
fn a_step_without_a_learning_rate_is_refused() {
    fn check<T: Real>(rule: impl Part + Clone, before: u64, message: &str) {
        let mut params: Params<T> = Params::new(0);
        let list = [params.add("x", Tensor::from([T::one()])), params.add("y", Tensor::from([T::one()]))];
        let gradients = [Tensor::from([T::one()]), Tensor::from([T::one()])];
        let mut optimizer = Optimizer::new(rule);
        for _ in 0..before {
            optimizer.step(&mut params, list.iter().zip(&gradients)).expect("the rate is right");
        }
        let values = |params: &Params<T>| list.each_ref().map(|param| params.get(param).item());
        let state = (values(&params), optimizer.state());
        let error = optimizer.step(&mut params, list.iter().zip(&gradients)).unwrap_err();
        assert_eq!(error.to_string(), format!("{message}; no parameter was changed"));
        if before > 0 {
            assert!((values(&params), optimizer.state()) == state, "something has moved");
        }
    }
    fn falling(done: u64) -> f64 {
        if done < 3 { 0.1 } else { -0.1 }
    }
    let of = |step: u64| format!("the learning rate of step {step} must be at least 0 and finite, but the schedule ");
    check::<f32>(
        Adam::new(falling),
        3,
        &(of(4) + "`settings::a_step_without_a_learning_rate_is_refused::falling` gives -0.1"),
    );
    let groups = (
        Group::new(|name| name == "x", Sgd::new(0.1)),
        Group::rest(Adam::new(Join::new(0.1).then(2, |_: u64| f64::NAN))),
    );
    check::<f64>(groups, 2, &(of(3) + "`gradus_optim::schedules::join::Join` gives NaN"));
    let growing = Exponential::new(1.0, 1e20);
    let of = |step: u64| of(step) + "`gradus_optim::schedules::exponential::Exponential` gives 1";
    check::<f32>(Sgd::new(growing.clone()), 2, &(of(3) + &"0".repeat(40)));
    let factor = (Sgd::new(growing), RateFactor::new(|name| name == "y", 1e300));
    let message = of(2) + &"0".repeat(20) + ", which is multiplied by 1" + &"0".repeat(300);
    check::<f64>(factor, 1, &message);
}
