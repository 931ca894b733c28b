//! Single functions, updates and solvers: W6, W7, W9, W13.

use std::hint::black_box;

use gradus_graph::{Feed, Graph, Param, Params, Plan, Tensor, Var};
use gradus_nn::{Dense, loss};
use gradus_optim::{Adam, Optimizer};

use super::peer::Numbers;
use super::work::{Limit, STEPS, Work, Workload, gradients, reals, sample, training};

pub(super) const POINTWISE: Workload =
    Workload::new("W6", "mean(σ(x)·tanh x + exp(−x²)), 10⁶ elements, with gradient", Some([1.5, 1.5]), pointwise);
pub(super) const CHAIN_RUN: Workload =
    Workload::new("W7-run", "chain of 100,000 scalar operations with gradient, run", Some([1.0, 1.0]), chain_run);
pub(super) const CHAIN_WHOLE: Workload =
    Workload::new("W7-whole", "its building, gradient, compilation and run", None, chain_whole);
pub(super) const UPDATES: Workload = Workload::new("W9", "Adam, 10 × 10⁶ parameters", Some([1.05, 1.05]), updates);
pub(super) const ODE: Workload =
    Workload::new("W13", "RK4 of an MLP 2-50-2, 200 steps, batch 20, Adam", Some([2.5, 2.5]), ode);

fn pointwise() -> Work {
    const COUNT: usize = 1_000_000;
    let work = gradients(Params::<f32>::new(0), [("x", reals([COUNT]))], &[0], |_, [x]| {
        (x.sigmoid() * x.tanh() + (-x.square()).exp()).mean()
    });
    // What is read and written at least: x and the gradient.
    Work { limit: Limit::Bytes(2 * 4 * COUNT), ..work }
}

/// The last of `z ← 3·10⁻⁵·sin z + z`, whose derivative neither grows nor vanishes.
fn chain(x: Var<'_>) -> Var<'_> {
    (0..33_333).fold(x, |z, _| z.sin() * 3e-5 + z)
}

fn chain_run() -> Work {
    gradients(Params::<f32>::new(0), [("x", Tensor::scalar(0.5).into())], &[0], |_, [x]| chain(x))
}

fn chain_whole() -> Work {
    let x = Tensor::scalar(0.5_f32);
    let arrays = [("in.x".to_owned(), (&x).into())].into();
    let once = move || {
        let graph = Graph::new();
        let input = graph.input("x", []);
        let z = chain(input);
        let gradient = graph.grad(z, &[input]).expect("the chain depends on x")[0];
        let mut session = Plan::new(&graph, &[z, gradient]).expect("the chain compiles").session::<f32>();
        let found = session.run(&Params::new(0), &Feed::new().with("x", &x)).expect("the chain runs");
        [found.real(0).clone(), found.real(1).clone()]
    };
    let [z, gradient] = once();
    let numbers = [("loss".to_owned(), vec![f64::from(z.item())]), ("grad.x".to_owned(), sample(&gradient))];
    let run = move || {
        black_box(once());
    };
    Work { arrays, numbers: numbers.into(), limit: Limit::None, run: Box::new(run) }
}

fn updates() -> Work {
    const COUNT: usize = 1_000_000;
    const TENSORS: usize = 10;
    let mut params: Params = Params::new(0);
    let x = Tensor::full([COUNT], 0.5_f32);
    let gradient = reals([COUNT]).real().clone();
    let arrays = [("in.x".to_owned(), (&x).into()), ("in.gradient".to_owned(), (&gradient).into())].into();
    let list: Vec<Param> = (0..TENSORS).map(|k| params.add(&format!("x{k}"), x.clone())).collect();
    // Each has an array of its own.
    let gradients: Vec<Tensor<f32>> = list.iter().map(|_| Tensor::new([COUNT], gradient.data().to_vec())).collect();
    let mut optimizer = Optimizer::new(Adam::new(1e-3));
    for _ in 0..STEPS {
        optimizer.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
    }
    let numbers: Numbers =
        params.iter().enumerate().map(|(number, (_, value))| (format!("out.{number}"), sample(value))).collect();
    let run = move || optimizer.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
    // Parameter and two means are changed, the gradient is read.
    Work { arrays, numbers, limit: Limit::Pass(TENSORS * COUNT), run: Box::new(run) }
}

fn ode() -> Work {
    const LENGTH: usize = 200;
    const H: f64 = 0.02;
    let mut params = Params::new(1);
    let hidden = Dense::new(&mut params, "hidden", 2, 50);
    let output = Dense::new(&mut params, "output", 50, 2);
    let inputs = [("start", reals([20, 2])), ("target", reals([LENGTH, 20, 2]))];
    training(params, Adam::new(1e-3), inputs, move |graph, [start, target]| {
        let field = |y| output.forward(hidden.forward(y).tanh());
        let mut path = Vec::with_capacity(LENGTH);
        let mut y = start;
        for _ in 0..LENGTH {
            let k1 = field(y);
            let k2 = field(y + k1 * (H / 2.0));
            let k3 = field(y + k2 * (H / 2.0));
            let k4 = field(y + k3 * H);
            y += (k1 + k2 * 2.0 + k3 * 2.0 + k4) * (H / 6.0);
            path.push(y);
        }
        loss::mse(graph.stack(&path, 0), target)
    })
}
