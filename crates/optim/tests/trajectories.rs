//! The rules step for step beside PyTorch's, in double precision; `trajectories.py` made the numbers.

use gradus_graph::{Params, Tensor};
use gradus_optim::{
    Adagrad, Adam, AdamW, ClipGlobalNorm, ClipValue, DecayWeights, Momentum, Optimizer, RmsProp, Sgd, StepError,
};

/// The rule of that name in `trajectories.py`.
fn rule(name: &str) -> Optimizer<f64> {
    match name {
        "sgd" => Optimizer::new(Sgd::new(1e-3)),
        "sgd_momentum" => Optimizer::new(Sgd::new(1e-4).momentum(0.9)),
        "sgd_dampening" => Optimizer::new(Sgd::new(1e-3).momentum(0.9).dampening(0.5)),
        "sgd_nesterov" => Optimizer::new(Sgd::new(1e-4).momentum(0.9).nesterov()),
        "sgd_l2" => Optimizer::new((DecayWeights::new(0.1), Momentum::new(0.9), Sgd::new(1e-4))),
        "sgd_halving" => Optimizer::new(Sgd::new(|done: u64| 1e-3 * 0.5_f64.powi((done / 20) as i32))),
        "adam" => Optimizer::new(Adam::new(0.02)),
        "adam_betas" => Optimizer::new(Adam::new(0.02).betas(0.8, 0.95).eps(1e-3)),
        "adam_l2" => Optimizer::new((DecayWeights::new(0.1), Adam::new(0.02))),
        "adamw" => Optimizer::new(AdamW::new(0.02)),
        "adamw_decay" => Optimizer::new(AdamW::new(0.02).decay(0.3)),
        "rmsprop" => Optimizer::new(RmsProp::new(1e-3)),
        "rmsprop_momentum" => Optimizer::new(RmsProp::new(1e-3).alpha(0.9).momentum(0.5)),
        "rmsprop_centred" => Optimizer::new(RmsProp::new(1e-3).eps(1e-3).centred()),
        "rmsprop_both" => Optimizer::new(RmsProp::new(1e-3).eps(1e-3).centred().momentum(0.5)),
        "adagrad" => Optimizer::new(Adagrad::new(0.05)),
        "adagrad_lr_decay" => Optimizer::new(Adagrad::new(0.1).lr_decay(0.01)),
        "adagrad_initial" => Optimizer::new(Adagrad::new(0.1).initial_sum(0.5).eps(1e-3)),
        "clip_norm_sgd" => Optimizer::new((ClipGlobalNorm::new(1.0), Sgd::new(0.02))),
        "clip_norm_adamw" => Optimizer::new((ClipGlobalNorm::new(1.0), AdamW::new(0.02))),
        "clip_value_sgd" => Optimizer::new((ClipValue::new(0.5), Sgd::new(0.02))),
        _ => panic!("no rule here is named {name}"),
    }
}

fn bowl(x: [f64; 4]) -> [f64; 4] {
    let curvatures = [1.0, 4.0, 0.5, 2.0];
    std::array::from_fn(|i| curvatures[i] * (x[i] - 1.0))
}

fn valley(x: [f64; 4]) -> [f64; 4] {
    let slope = |u: f64, v: f64| [-2.0 * (1.0 - u) - 400.0 * u * (v - u * u), 200.0 * (v - u * u)];
    let (a, b) = (slope(x[0], x[2]), slope(x[1], x[3]));
    [a[0], b[0], a[1], b[1]]
}

/// The points after the steps of one case.
fn walk(name: &str, problem: &str) -> Result<Vec<[f64; 4]>, StepError> {
    let in_bowl = problem == "bowl";
    let start = if in_bowl { [-1.0, 2.0, 3.0, -0.5] } else { [-1.2, 0.5, 1.0, 0.0] };
    let mut params: Params<f64> = Params::new(0);
    let list = [params.add("x", Tensor::from_slice(&start[..2])), params.add("y", Tensor::from_slice(&start[2..]))];
    let mut optimizer = rule(name);
    let (mut point, mut points) = (start, Vec::new());
    for _ in 0..100 {
        let slopes = if in_bowl { bowl(point) } else { valley(point) };
        let gradients = [Tensor::from_slice(&slopes[..2]), Tensor::from_slice(&slopes[2..])];
        optimizer.step(&mut params, list.iter().zip(&gradients))?;
        let (x, y) = (params.get(&list[0]).data(), params.get(&list[1]).data());
        point = [x[0], x[1], y[0], y[1]];
        points.push(point);
    }
    Ok(points)
}

#[test]
fn every_rule_follows_pytorch() -> Result<(), StepError> {
    let (mut case, mut points, mut compared) = ("", Vec::new(), 0);
    for line in include_str!("trajectories.txt").lines().skip(1) {
        let words: Vec<&str> = line.split(' ').collect();
        if let [name, problem] = words[..] {
            (case, points) = (line, walk(name, problem)?);
            continue;
        }
        let numbers: Vec<f64> = words.iter().map(|word| word.parse().expect("the file holds numbers")).collect();
        let step = numbers[0] as usize;
        let largest = numbers[1..].iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
        for (ours, theirs) in points[step - 1].iter().zip(&numbers[1..]) {
            assert!((ours - theirs).abs() <= 1e-12 * largest, "{case}, step {step}: {ours} against {theirs}");
        }
        compared += 1;
    }
    assert_eq!(compared, 21 * 2 * 15);
    Ok(())
}
