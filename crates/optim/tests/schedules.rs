//! The schedules step for step beside those of PyTorch and Optax; `schedules.py` made the numbers.

use gradus_optim::{
    Cosine, CosineRestarts, Cyclic, Exponential, InverseSqrt, Join, MultiStep, OneCycle, Polynomial, Rate,
    RateSchedule, ReduceOnPlateau, StepDecay, WarmUp,
};

const STEPS: u64 = 60;

/// The schedule of that name in `schedules.py`.
fn schedule(name: &str) -> Rate {
    match name {
        "step" => Rate::new(StepDecay::new(0.5, 7).gamma(0.3)),
        "multi_step" => Rate::new(MultiStep::new(0.5, [5, 20, 21]).gamma(0.3)),
        "exponential" => Rate::new(Exponential::new(0.5, 0.9)),
        "exponential_every" => Rate::new(Exponential::new(0.5, 0.6).every(8)),
        "polynomial" => Rate::new(Polynomial::new(0.5, 40).power(1.7)),
        "polynomial_end" => Rate::new(Polynomial::new(0.5, 40).power(2.5).end(0.1)),
        "rise" => Rate::new(Polynomial::new(0.1, 40).end(0.6)),
        "cosine" => Rate::new(Cosine::new(0.5, 40).end(0.1)),
        "restarts" => Rate::new(CosineRestarts::new(0.5, 9).end(0.05)),
        "restarts_growing" => Rate::new(CosineRestarts::new(0.5, 6).multiply(2)),
        "warm_up_cosine" => Rate::new(WarmUp::new(10, Cosine::new(0.5, 35).end(0.05)).from(0.2)),
        "join" => Rate::new(Join::new(0.3).then(12, Exponential::new(0.5, 0.6).every(8))),
        "sequence" => Rate::new(WarmUp::new(10, StepDecay::new(0.5, 15).gamma(0.5)).from(1.0 / 3.0)),
        "one_cycle" => Rate::new(OneCycle::new(0.5, STEPS)),
        "one_cycle_linear" => Rate::new(OneCycle::new(0.5, STEPS).rise(0.4).linear().divide(10.0, 100.0)),
        "one_cycle_three" => Rate::new(OneCycle::new(0.5, STEPS).three_phases()),
        "triangular" => Rate::new(Cyclic::new(0.1, 0.5, 8).down(5)),
        "triangular2" => Rate::new(Cyclic::new(0.1, 0.5, 8).halving()),
        "exp_range" => Rate::new(Cyclic::new(0.1, 0.5, 8).exponential(0.95)),
        "inverse_sqrt" => Rate::new(InverseSqrt::new(0.5, 16)),
        _ => panic!("no schedule here is named {name}"),
    }
}

/// The rates of that name in `schedules.py`.
fn rates(name: &str) -> Vec<f64> {
    let (watch, sign) = match name {
        "plateau" => (ReduceOnPlateau::new().gamma(0.5).patience(2).threshold(0.02).cooldown(1), 1.0),
        "plateau_max" => {
            let watch = ReduceOnPlateau::new().gamma(0.5).patience(1).absolute_threshold(0.5).maximize();
            (watch.least(0.2), -1.0)
        }
        "plateau_eps" => (ReduceOnPlateau::new().gamma(0.5).patience(0).cooldown(1).eps(0.04), 1.0),
        "plateau_deep" => {
            let mut watch = ReduceOnPlateau::new().patience(0);
            return std::iter::once(1.0).chain((0..24).map(|_| watch.report(1.0))).collect();
        }
        _ => return (0..STEPS).map(|done| schedule(name).at(done)).collect(),
    };
    let metrics = [
        5.0, 4.0, 4.2, 4.1, 4.05, 3.9, 3.9, 3.9, 3.9, 3.9, 3.9, 3.9, 3.9, 3.0, 2.0, 2.1, 2.1, 2.1, 2.1, 2.1, 2.1, 2.1,
        1.0, 1.0, 1.0,
    ];
    let (mut watch, mut rate) = (watch, 0.5);
    let mut next = |metric: f64| std::mem::replace(&mut rate, 0.5 * watch.report(sign * metric));
    metrics.map(&mut next).to_vec()
}

#[test]
fn every_schedule_follows_its_reference() {
    let mut compared = 0;
    for line in include_str!("schedules.txt").lines().skip(1) {
        let mut words = line.split(' ');
        let name = words.next().expect("a line begins with a name");
        let reference: Vec<f64> = words.map(|word| word.parse().expect("the file holds numbers")).collect();
        let ours = rates(name);
        assert_eq!(ours.len(), reference.len(), "{name}");
        for (step, (ours, theirs)) in ours.iter().zip(&reference).enumerate() {
            // Near the end of a wave both subtract almost equal numbers; the rates are of order one half.
            let allowed = 1e-12 * theirs.abs() + 1e-15;
            assert!((ours - theirs).abs() <= allowed, "{name}, step {step}: {ours} against {theirs}");
        }
        compared += 1;
    }
    assert_eq!(compared, 24);
}
