//! Rules on gradients that come as rows, beside those of PyTorch on sparse gradients, step for step in double precision;
//! `sparse.py` made the numbers. Momentum takes all elements, with the result of PyTorch's sparse momentum.

use gradus_graph::{Params, SparseRows, Tensor};
use gradus_optim::{Adagrad, Adam, Optimizer, Sgd};

const ROWS: usize = 7;
const WIDTH: usize = 3;
const STEPS: usize = 8;

/// The rule of that name in `sparse.py`.
fn rule(name: &str) -> Optimizer<f64> {
    match name {
        "sgd" => Optimizer::new(Sgd::new(0.05)),
        "momentum" => Optimizer::new(Sgd::new(0.05).momentum(0.9).dampening(0.25)),
        "adagrad" => Optimizer::new(Adagrad::new(0.05)),
        "adagrad_options" => Optimizer::new(Adagrad::new(0.1).lr_decay(0.01).initial_sum(0.5).eps(1e-3)),
        "lazy_adam" => Optimizer::new(Adam::new(0.02).eps(1e-30).lazy()),
        "lazy_adam_betas" => Optimizer::new(Adam::new(0.02).betas(0.8, 0.95).eps(1e-30).lazy()),
        _ => panic!("no rule here is named {name}"),
    }
}

fn gradient(step: usize) -> SparseRows<f64> {
    let indices: Vec<i64> = (0..4).map(|k| ((step * k * k + 3 * k + step) % ROWS) as i64).collect();
    let value = |k: usize, j: usize| (((7 * k + 5 * j + 11 * step) % 13) as f64 - 6.0) / 4.0;
    let values: Vec<f64> = (0..4).flat_map(|k| (0..WIDTH).map(move |j| value(k, j))).collect();
    let mut rows = SparseRows::new();
    rows.set_sum(&[ROWS, WIDTH].into(), 1, |_| (&indices, &values)).expect("the rows are right");
    rows
}

#[test]
fn they_are_those_of_pytorch() {
    let mut lines = include_str!("sparse.txt").lines();
    let mut cases = 0;
    while let Some(name) = lines.next() {
        let mut params: Params<f64> = Params::new(0);
        let start = Tensor::from_fn([ROWS, WIDTH], |k| ((5 * k % 13) as f64 - 6.0) / 8.0);
        let table = params.add("table", start);
        let mut rule = rule(name);
        for step in 1..=STEPS {
            rule.step(&mut params, [(&table, &gradient(step))]).expect("the gradient is right");
            let line = lines.next().expect("there is a line for each step");
            let expected: Vec<f64> = line.split(' ').map(|x| x.parse().expect("a number")).collect();
            for (k, (found, expected)) in params.get(&table).data().iter().zip(&expected).enumerate() {
                assert!((found - expected).abs() < 1e-13, "{name}, step {step}, element {k}: {found} for {expected}");
            }
        }
        cases += 1;
    }
    assert_eq!(cases, 6);
}
