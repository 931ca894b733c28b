//! The rules step for step beside PyTorch's and Optax's, in double precision; `trajectories.py` made the numbers.
//!
//! Muon of PyTorch rounds to bfloat16 inside; the script replaces that one function by the same in double precision.
//! SOAP is compared where its first gradient has full rank, since the eigenvectors of the eigenvalue 0 are not unique.

use gradus_graph::{Param, Params, Tensor};
use gradus_optim::{
    AdaBelief, Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, AmsGrad, Asgd, ClipGlobalNorm, ClipValue, DAdaptAdam,
    DAdaptSgd, DecayWeights, Lamb, Lars, Lion, MatrixScale, Momentum, Muon, NAdam, Norm, NovoGrad, Optimizer, Prodigy,
    RAdam, RmsProp, Rprop, RunningMean, ScheduleFreeAdamW, ScheduleFreeSgd, Sgd, Shampoo, SignSgd, Soap, Sophia,
    StepError, WarmUp, Yogi,
};

fn halving(done: u64) -> f64 {
    1e-3 * 0.5_f64.powi((done / 20) as i32)
}

/// The rule of that name in `trajectories.py`.
fn rule(name: &str) -> Optimizer<f64> {
    match name {
        "sgd" => Optimizer::new(Sgd::new(1e-3)),
        "sgd_momentum" => Optimizer::new(Sgd::new(1e-4).momentum(0.9)),
        "sgd_dampening" => Optimizer::new(Sgd::new(1e-3).momentum(0.9).dampening(0.5)),
        "sgd_nesterov" => Optimizer::new(Sgd::new(1e-4).momentum(0.9).nesterov()),
        "sgd_l2" => Optimizer::new((DecayWeights::new(0.1), Momentum::new(0.9), Sgd::new(1e-4))),
        "sgd_halving" => Optimizer::new(Sgd::new(halving)),
        "sgd_mean" => Optimizer::new((RunningMean::new(0.9), Sgd::new(1e-3))),
        "adam" => Optimizer::new(Adam::new(0.02)),
        "adam_betas" => Optimizer::new(Adam::new(0.02).betas(0.8, 0.95).eps(1e-3)),
        "adam_l2" => Optimizer::new((DecayWeights::new(0.1), Adam::new(0.02))),
        "adamw" => Optimizer::new(AdamW::new(0.02)),
        "adamw_decay" => Optimizer::new(AdamW::new(0.02).decay(0.3)),
        "amsgrad" => Optimizer::new(AmsGrad::new(0.02)),
        "amsgrad_decay" => Optimizer::new((AmsGrad::new(0.02), DecayWeights::new(0.3))),
        "adamax" => Optimizer::new(Adamax::new(0.02)),
        "adamax_decay" => Optimizer::new((Adamax::new(0.02), DecayWeights::new(0.3))),
        "nadam" => Optimizer::new(NAdam::new(0.02)),
        "nadam_decay" => Optimizer::new((NAdam::new(0.02).momentum_decay(0.1), DecayWeights::new(0.3))),
        "radam" => Optimizer::new(RAdam::new(1e-3)),
        "radam_decay" => Optimizer::new((RAdam::new(1e-3).eps(1e-3), DecayWeights::new(0.3))),
        "adabelief" => Optimizer::new(AdaBelief::new(5e-3)),
        "yogi" => Optimizer::new(Yogi::new(0.02)),
        "lion" => Optimizer::new(Lion::new(0.002)),
        "lion_decay" => Optimizer::new(Lion::new(0.002).betas(0.95, 0.98).decay(0.5)),
        "lamb" => Optimizer::new(Lamb::new(0.01)),
        "lamb_decay" => Optimizer::new(Lamb::new(0.01).decay(0.1)),
        "lars" => Optimizer::new(Lars::new(0.5)),
        "lars_decay" => Optimizer::new(Lars::new(0.5).decay(0.1).nesterov().eps(1e-3)),
        "novograd" => Optimizer::new(NovoGrad::new(1e-3)),
        "novograd_decay" => Optimizer::new(NovoGrad::new(1e-3).betas(0.95, 0.98).decay(0.1)),
        "rmsprop" => Optimizer::new(RmsProp::new(1e-3)),
        "rmsprop_momentum" => Optimizer::new(RmsProp::new(1e-3).alpha(0.9).momentum(0.5)),
        "rmsprop_centred" => Optimizer::new(RmsProp::new(1e-3).eps(1e-3).centred()),
        "rmsprop_both" => Optimizer::new(RmsProp::new(1e-3).eps(1e-3).centred().momentum(0.5)),
        "adagrad" => Optimizer::new(Adagrad::new(0.05)),
        "adagrad_lr_decay" => Optimizer::new(Adagrad::new(0.1).lr_decay(0.01)),
        "adagrad_initial" => Optimizer::new(Adagrad::new(0.1).initial_sum(0.5).eps(1e-3)),
        "adadelta" => Optimizer::new(Adadelta::new(1.0)),
        "adadelta_rho" => Optimizer::new(Adadelta::new(0.5).rho(0.95).eps(1e-5)),
        "rprop" => Optimizer::new(Rprop::new(1e-3)),
        "rprop_factors" => Optimizer::new(Rprop::new(0.01).factors(0.6, 1.1).limits(1e-4, 0.02)),
        "asgd" | "asgd_averaged" => Optimizer::new(Asgd::new(5e-4).decay(0.1).start(20)),
        "sign_sgd" => Optimizer::new(SignSgd::new(0.002)),
        "adafactor" => Optimizer::new(Adafactor::new(0.01)),
        "adafactor_decay" => Optimizer::new(Adafactor::new(0.003).decay(0.1).limit(1.5).eps(0.3, 1.5)),
        "sophia" => Optimizer::new(Sophia::new(1e-3)),
        "muon" => Optimizer::new(Muon::new(0.002)),
        "muon_plain" => Optimizer::new(Muon::new(0.002).momentum(0.8).plain_momentum().scale(MatrixScale::Rms(0.2))),
        "schedule_free_sgd" | "schedule_free_sgd_averaged" => Optimizer::new(ScheduleFreeSgd::new(1e-3)),
        "schedule_free_adamw" => Optimizer::new(ScheduleFreeAdamW::new(0.02).decay(0.1)),
        "schedule_free_adamw_averaged" => Optimizer::new(ScheduleFreeAdamW::new(0.02).betas(0.95, 0.99).power(1.0)),
        "schedule_free_adamw_warm_up" | "schedule_free_adamw_warm_up_averaged" => {
            Optimizer::new(ScheduleFreeAdamW::new(WarmUp::new(9, 0.02).from(0.1)).decay(0.1))
        }
        "schedule_free_adamw_power" => {
            let rate = WarmUp::new(29, 0.02).from(1.0 / 30.0);
            Optimizer::new(ScheduleFreeAdamW::new(rate).betas(0.95, 0.99).power(1.0))
        }
        "schedule_free_sgd_warm_up" => Optimizer::new(ScheduleFreeSgd::new(WarmUp::new(9, 1e-3).from(0.1))),
        "prodigy" => Optimizer::new(Prodigy::new(0.1).initial(1e-3)),
        "prodigy_decay" => {
            Optimizer::new(Prodigy::new(0.1).initial(1e-3).decay(0.1).coefficient(0.5).safeguard_warm_up())
        }
        "dadapt_adam" => Optimizer::new(DAdaptAdam::new(0.1).initial(1e-3)),
        "dadapt_adam_decay" => Optimizer::new(DAdaptAdam::new(0.1).initial(1e-3).decay(0.1)),
        "dadapt_sgd" => Optimizer::new(DAdaptSgd::new(0.05).initial(1e-2).growth(1.02)),
        "dadapt_sgd_momentum" => Optimizer::new(DAdaptSgd::new(0.05).initial(1e-2).growth(1.02).momentum(0.5)),
        "shampoo" => Optimizer::new(Shampoo::new(0.05)),
        "shampoo_every" => Optimizer::new(Shampoo::new(0.05).eps(1e-2).every(3)),
        "soap" => Optimizer::new(Soap::new(0.01)),
        "soap_every" => Optimizer::new(Soap::new(0.02).betas(0.9, 0.9).eps(1e-2).every(3).decay(0.1)),
        "clip_norm_sgd" => Optimizer::new((ClipGlobalNorm::new(1.0), Sgd::new(0.02))),
        "clip_norm_adamw" => Optimizer::new((ClipGlobalNorm::new(1.0), AdamW::new(0.02))),
        "clip_norm_one" => Optimizer::new((ClipGlobalNorm::new(2.0).norm(Norm::One), Sgd::new(0.02))),
        "clip_norm_max" => Optimizer::new((ClipGlobalNorm::new(0.5).norm(Norm::Max), Sgd::new(0.02))),
        "adam_decoupled" => Optimizer::new((Adam::new(0.02), DecayWeights::new(0.3))),
        "clip_value_sgd" => Optimizer::new((ClipValue::new(0.5), Sgd::new(0.02))),
        _ => panic!("no rule here is named {name}"),
    }
}

fn bowl(x: &[f64]) -> Vec<f64> {
    [1.0, 4.0, 0.5, 2.0].iter().zip(x).map(|(curvature, x)| curvature * (x - 1.0)).collect()
}

fn wide_bowl(x: &[f64]) -> Vec<f64> {
    let curvatures = [8.0, 1.0, 3.0, 6.0, 0.5, 2.0, 5.0, 0.75, 2.5];
    curvatures.iter().zip(x).map(|(curvature, x)| curvature * (x - 0.5)).collect()
}

fn valley(x: &[f64]) -> Vec<f64> {
    let slope = |u: f64, v: f64| [-2.0 * (1.0 - u) - 400.0 * u * (v - u * u), 200.0 * (v - u * u)];
    let (a, b) = (slope(x[0], x[2]), slope(x[1], x[3]));
    vec![a[0], b[0], a[1], b[1]]
}

/// The gradient of half the mean square error of a network with three inputs, four tanh units and two outputs on five
/// examples; the parameters are weights and biases of the hidden layer, then of the outputs.
fn network(point: &[f64]) -> Vec<f64> {
    let (w, rest) = point.split_at(12);
    let (b, rest) = rest.split_at(4);
    let (v, c) = rest.split_at(8);
    let mut gradient = vec![0.0; 26];
    for example in 0..5_usize {
        let x: [f64; 3] = std::array::from_fn(|j| (((7 * example + 5 * j) % 11) as f64 - 5.0) / 4.0);
        let target: [f64; 2] = std::array::from_fn(|k| (((5 * example + 3 * k) % 7) as f64 - 3.0) / 4.0);
        let h: [f64; 4] =
            std::array::from_fn(|i| (b[i] + w[3 * i] * x[0] + w[3 * i + 1] * x[1] + w[3 * i + 2] * x[2]).tanh());
        let e: [f64; 2] = std::array::from_fn(|k| {
            let v = &v[4 * k..];
            (c[k] + v[0] * h[0] + v[1] * h[1] + v[2] * h[2] + v[3] * h[3] - target[k]) / 5.0
        });
        for k in 0..2 {
            gradient[24 + k] += e[k];
            for i in 0..4 {
                gradient[16 + 4 * k + i] += e[k] * h[i];
            }
        }
        for i in 0..4 {
            let slope = (e[0] * v[i] + e[1] * v[4 + i]) * (1.0 - h[i] * h[i]);
            gradient[12 + i] += slope;
            for j in 0..3 {
                gradient[3 * i + j] += slope * x[j];
            }
        }
    }
    gradient
}

/// A problem: the gradient, and the shapes and first values of the parameters.
struct Problem {
    gradient: fn(&[f64]) -> Vec<f64>,
    shapes: &'static [&'static [usize]],
    start: Vec<f64>,
}

impl Problem {
    fn named(name: &str) -> Self {
        let (bowl_start, valley_start) = (vec![-1.0, 2.0, 3.0, -0.5], vec![-1.2, 0.5, 1.0, 0.0]);
        let wide_start = vec![0.6, 1.0, 0.4, 0.45, 0.8, 0.7, 0.52, -0.2, 0.65];
        let ramp = |count: usize, pace: usize| (0..count).map(move |k| (((pace * k) % 13) as f64 - 6.0) / 8.0);
        match name {
            "bowl" => Self { gradient: bowl, shapes: &[&[2], &[2]], start: bowl_start },
            "valley" => Self { gradient: valley, shapes: &[&[2], &[2]], start: valley_start },
            "square_bowl" => Self { gradient: bowl, shapes: &[&[2, 2]], start: bowl_start },
            "square_valley" => Self { gradient: valley, shapes: &[&[2, 2]], start: valley_start },
            "wide_bowl" => Self { gradient: wide_bowl, shapes: &[&[3, 3]], start: wide_start },
            "network" => Self {
                gradient: network,
                shapes: &[&[4, 3], &[4], &[2, 4], &[2]],
                start: ramp(12, 5).chain(ramp(4, 3)).chain(ramp(8, 7)).chain(ramp(2, 11)).collect(),
            },
            _ => panic!("no problem here is named {name}"),
        }
    }

    /// The numbers as tensors of the parameters' shapes.
    fn tensors(&self, numbers: &[f64]) -> Vec<Tensor<f64>> {
        let mut rest = numbers;
        let take = |shape: &&[usize]| {
            let (own, others) = rest.split_at(shape.iter().product());
            rest = others;
            Tensor::new(shape.to_vec(), own.to_vec())
        };
        self.shapes.iter().map(take).collect()
    }
}

fn numbers(params: &Params<f64>) -> Vec<f64> {
    params.iter().flat_map(|(_, value)| value.data()).copied().collect()
}

/// The points after the steps of one case.
fn walk(name: &str, problem: &str) -> Result<Vec<Vec<f64>>, StepError> {
    let problem = Problem::named(problem);
    let mut params: Params<f64> = Params::new(0);
    let starts = problem.tensors(&problem.start).into_iter().enumerate();
    let list: Vec<Param> = starts.map(|(i, start)| params.add(&format!("p{i}"), start)).collect();
    let mut optimizer = rule(name);
    let mut points = Vec::new();
    for done in 0..100 {
        let slopes = (problem.gradient)(&numbers(&params));
        let gradients = problem.tensors(&slopes);
        optimizer.step(&mut params, list.iter().zip(&gradients))?;
        if name == "sophia" && done % 10 == 0 {
            let estimates: Vec<_> = gradients.iter().map(|slope| Sophia::gauss_newton_bartlett(slope, 8)).collect();
            optimizer.observe(&params, list.iter().zip(&estimates))?;
        }
        let shown = if name.ends_with("_averaged") { optimizer.averaged(&params) } else { params.clone() };
        points.push(numbers(&shown));
    }
    Ok(points)
}

#[test]
fn every_rule_follows_its_reference() -> Result<(), StepError> {
    let (mut case, mut points, mut cases, mut compared, mut wrong) = ("", Vec::new(), 0, 0, Vec::new());
    for line in include_str!("trajectories.txt").lines().skip(1) {
        let words: Vec<&str> = line.split(' ').collect();
        if let [name, problem] = words[..] {
            (case, points) = (line, walk(name, problem)?);
            cases += 1;
            continue;
        }
        let numbers: Vec<f64> = words.iter().map(|word| word.parse().expect("the file holds numbers")).collect();
        let (step, theirs) = (numbers[0] as usize, &numbers[1..]);
        let ours = &points[step - 1];
        assert_eq!(ours.len(), theirs.len(), "{case}, step {step}");
        let largest = theirs.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
        let difference = ours.iter().zip(theirs).fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
        // `max` passes a NaN over: it is wrong as well.
        if difference > 1e-12 * largest || ours.iter().any(|number| number.is_nan()) {
            wrong.push(format!("{case}, step {step}: off by {:.1e}", difference / largest));
        }
        compared += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((cases, compared), (CASES, CASES * 7));
    Ok(())
}

/// Those of `trajectories.py`: rules times problems.
const CASES: usize = 223;
