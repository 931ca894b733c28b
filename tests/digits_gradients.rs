//! The gradients of a classifier of digits, end to end: batch, layers, loss, reverse sweep and compiled plan against
//! differences of the loss in double precision, and the same plan in single precision against that.
//!
//! A difference along a unit direction is extrapolated twice; its bound is what the last extrapolation changed, and
//! the rounding of the loss over the step. The bound itself must be below a ten-millionth of the gradient's norm, so
//! that a comparison that passes says something.
//!
//! With tanh the loss is smooth everywhere. With ReLU it has kinks: there the test takes the eight digits that lie
//! farthest from them, and asserts at every point of every difference that no unit has changed sides.

use gradus::data::digits;
use gradus::nn::{Dense, loss};
use gradus::plan::Data;
use gradus::{Feed, Graph, Param, Params, Plan, Random, Session, Tensor, Var};

struct Mlp {
    layers: [Dense; 3],
    smooth: bool,
}

impl Mlp {
    fn new(params: &mut Params, smooth: bool) -> Self {
        let hidden = Dense::new(params, "hidden1", 64, 14);
        let deeper = Dense::new(params, "hidden2", 14, 12);
        let output = Dense::new(params, "output", 12, 10);
        Self { layers: [hidden, deeper, output], smooth }
    }

    /// The logits, and what the hidden units are given.
    fn forward<'g>(&self, images: Var<'g>) -> (Var<'g>, [Var<'g>; 2]) {
        let bend = |x: Var<'g>| if self.smooth { x.tanh() } else { x.relu() };
        let first = self.layers[0].forward(images);
        let second = self.layers[1].forward(bend(first));
        (self.layers[2].forward(bend(second)), [first, second])
    }

    /// Loss, gradients of all parameters, and what the hidden units are given.
    fn plan(&self, params: &Params, rows: usize) -> Plan {
        let graph = Graph::new();
        let (images, labels) = (graph.input("images", [rows, 64]), graph.index_input("labels", [rows]));
        let (logits, given) = self.forward(images);
        let loss = loss::cross_entropy(logits, labels);
        let wrt: Vec<Var<'_>> = params.trainable().map(|param| graph.param(param)).collect();
        let gradients = graph.grad(loss, &wrt).expect("every parameter is used");
        Plan::new(&graph, &[&[loss], &gradients[..], &given].concat()).expect("the graph compiles")
    }
}

/// A direction of length 1.
fn direction(random: &mut Random, size: usize) -> Vec<f64> {
    let numbers: Tensor<f64> = random.normal([size]);
    let length = norm(numbers.data());
    numbers.data().iter().map(|number| number / length).collect()
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The plan at a point of the space of parameters.
struct Landscape<'a> {
    session: Session<f64>,
    params: Params<f64>,
    images: &'a Tensor<f64>,
    labels: &'a Tensor<i64>,
    /// For each hidden unit and row whether it is above the kink, if there are kinks.
    sides: Option<Vec<bool>>,
    loss: f64,
    gradients: Vec<Vec<f64>>,
}

fn sides(given: &[&Tensor<f64>]) -> Vec<bool> {
    given.iter().flat_map(|tensor| tensor.data()).map(|&value| value > 0.0).collect()
}

impl<'a> Landscape<'a> {
    fn new(plan: &Plan, params: &Params, images: &'a Tensor<f64>, labels: &'a Tensor<i64>, smooth: bool) -> Self {
        let (mut session, params) = (plan.session::<f64>(), params.cast::<f64>());
        let feed = Feed::new().with("images", Data::Real(images)).with("labels", labels);
        let outputs = session.run(&params, &feed).expect("the plan runs");
        let count = params.len();
        let loss = outputs.real(0).item();
        let gradients = (1..=count).map(|k| outputs.real(k).data().to_vec()).collect();
        let sides = (!smooth).then(|| sides(&[outputs.real(count + 1), outputs.real(count + 2)]));
        Self { session, params, images, labels, sides, loss, gradients }
    }

    /// The loss with the parameters moved by `step` along the directions.
    fn loss_at(&mut self, along: &[(Param, Vec<f64>)], step: f64) -> f64 {
        let kept: Vec<Tensor<f64>> = along.iter().map(|(param, _)| self.params.get(param).clone()).collect();
        for (param, direction) in along {
            let values = self.params.get_mut(param).data_mut();
            values.iter_mut().zip(direction).for_each(|(value, part)| *value += step * part);
        }
        let feed = Feed::new().with("images", Data::Real(self.images)).with("labels", self.labels);
        let outputs = self.session.run(&self.params, &feed).expect("the plan runs");
        let count = self.params.len();
        if let Some(before) = &self.sides {
            assert!(*before == sides(&[outputs.real(count + 1), outputs.real(count + 2)]), "a step crossed a kink");
        }
        let loss = outputs.real(0).item();
        for ((param, _), value) in along.iter().zip(kept) {
            self.params.set(param, value);
        }
        loss
    }

    /// The derivative along the directions, with its bound: central differences at three steps, extrapolated twice.
    fn slope(&mut self, along: &[(Param, Vec<f64>)]) -> (f64, f64) {
        let widest = if self.sides.is_none() { 2e-2 } else { 1e-3 };
        let steps = [widest, widest / 2.0, widest / 4.0];
        let [wide, half, quarter] =
            steps.map(|step| (self.loss_at(along, step) - self.loss_at(along, -step)) / (2.0 * step));
        let (first, second) = ((4.0 * half - wide) / 3.0, (4.0 * quarter - half) / 3.0);
        let slope = (16.0 * second - first) / 15.0;
        // A mean over rows of sums of some hundred terms: the rounding of a loss is some ulps of the terms.
        let rounding = 32.0 * f64::EPSILON * self.loss.max(1.0) / steps[2];
        (slope, (slope - second).abs() + rounding)
    }

    fn compare(&mut self, along: &[(Param, Vec<f64>)], scale: f64) {
        let analytic: f64 = along
            .iter()
            .flat_map(|(param, direction)| self.gradients[param.index()].iter().zip(direction))
            .map(|(slope, part)| slope * part)
            .sum();
        let (numeric, bound) = self.slope(along);
        let names: Vec<&str> = along.iter().map(|(param, _)| param.name()).collect();
        assert!(bound <= 1e-7 * scale, "{names:?}: the bound {bound:e} decides nothing at the scale {scale:e}");
        assert!((analytic - numeric).abs() <= bound, "{names:?}: {analytic:e} against {numeric:e} ± {bound:e}");
    }

    /// Every parameter along random directions and at single elements, then all of them together.
    fn check(&mut self) {
        let mut random = Random::new(7);
        let params: Vec<Param> = self.params.trainable().cloned().collect();
        for param in &params {
            let scale = norm(&self.gradients[param.index()]);
            let size = param.shape().len();
            for _ in 0..3 {
                self.compare(&[(param.clone(), direction(&mut random, size))], scale);
            }
            for _ in 0..4 {
                let place = random.below(size);
                let direction = (0..size).map(|k| if k == place { 1.0 } else { 0.0 }).collect();
                self.compare(&[(param.clone(), direction)], scale);
            }
        }
        let scale = norm(&self.gradients.concat());
        for _ in 0..3 {
            let long = direction(&mut random, self.params.count());
            let mut parts = &long[..];
            let cut = |param: &Param| {
                let (part, rest) = parts.split_at(param.shape().len());
                parts = rest;
                (param.clone(), part.to_vec())
            };
            let along: Vec<(Param, Vec<f64>)> = params.iter().map(cut).collect();
            self.compare(&along, scale);
        }
    }
}

/// The f32 session of the plan gives the f64 gradients to the rounding of f32.
fn check_single(plan: &Plan, params: &Params, images: &Tensor<f32>, labels: &Tensor<i64>, exact: &Landscape<'_>) {
    let mut session = plan.session::<f32>();
    let outputs = session.run(params, &Feed::new().with("images", images).with("labels", labels)).expect("it runs");
    assert!((f64::from(outputs.real(0).item()) - exact.loss).abs() <= 1e-6 * exact.loss);
    for (number, (param, _)) in params.iter().enumerate() {
        let exact = &exact.gradients[number];
        let single = outputs.real(number + 1).cast::<f64>();
        let difference: Vec<f64> = single.data().iter().zip(exact).map(|(a, b)| a - b).collect();
        let relative = norm(&difference) / norm(exact);
        assert!(relative <= 1e-5, "{param:?}: f32 differs by {relative:e}");
        assert!(relative > 0.0, "{param:?}: f32 is not expected to be exact");
    }
}

#[test]
fn with_tanh() {
    let batch = digits::load().train.reshaped([64]).batches(16).shuffled(3, 0).next().expect("there are digits");
    let mut params = Params::new(5);
    let plan = Mlp::new(&mut params, true).plan(&params, 16);
    let images = batch.inputs.cast::<f64>();
    let mut landscape = Landscape::new(&plan, &params, &images, &batch.targets, true);
    landscape.check();
    check_single(&plan, &params, &batch.inputs, &batch.targets, &landscape);
}

#[test]
fn with_relu_away_from_its_kinks() {
    let digits = digits::load().train.reshaped([64]);
    let mut params = Params::new(5);
    let model = Mlp::new(&mut params, false);
    // For each digit how near its nearest hidden unit is to the kink.
    let graph = Graph::new();
    let (_, given) = model.forward(graph.constant(digits.inputs()));
    let given = graph.eval_with::<f64>(&given, &params.cast(), &Feed::new()).expect("it runs");
    let nearest = |row: usize| {
        let of = |tensor: &Tensor<f64>| tensor.rows(row, row + 1).data().iter().map(|x| x.abs()).fold(9.0, f64::min);
        f64::min(of(given[0].real()), of(given[1].real()))
    };
    let mut rows: Vec<usize> = (0..digits.len()).collect();
    rows.sort_by(|&a, &b| nearest(b).total_cmp(&nearest(a)));
    let batch = digits.select(&rows[..8]).full_batch();
    let plan = model.plan(&params, 8);
    let images = batch.inputs.cast::<f64>();
    let mut landscape = Landscape::new(&plan, &params, &images, &batch.targets, false);
    landscape.check();
    check_single(&plan, &params, &batch.inputs, &batch.targets, &landscape);
}
