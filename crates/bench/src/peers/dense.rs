//! Networks of dense layers: W1, W5, W8, W11's first, W14.

use std::hint::black_box;

use gradus_graph::{AnyTensor, Params, Tensor, Var};
use gradus_nn::{Dense, loss};
use gradus_optim::Adam;
use gradus_train::Step;

use super::work::{Limit, Named, Work, Workload, arrays, function, indices, reals, sample, training};

pub(super) const WIDE: Workload = Workload::new("W1", "MLP 784-512-512-10, batch 128, Adam", Some([1.3, 1.5]), wide);
pub(super) const SMALL: Workload = Workload::new("W5", "MLP 4-32-32-1, batch 16, Adam", None, small);
pub(super) const SMALL_LOOP: Workload =
    Workload::new("W5-loop", "W5 beside 1,000 steps in one call of JAX", Some([2.0, 2.0]), small);
pub(super) const HESSIAN: Workload =
    Workload::new("W8", "Hessian-vector product of W1, tanh", Some([1.3, 1.3]), hessian);
pub(super) const WIDE_FORWARD: Workload =
    Workload::new("W11-mlp", "W1 forward, batch 1", Some([1.3, 1.3]), wide_forward);
pub(super) const SMALL_NETWORKS: [Workload; 4] = [
    Workload::new("W14-policy", "policy 4-64-64-2, batch 1", None, policy),
    Workload::new("W14-dqn", "DQN 4-64-64-2, batch 32, Adam", None, dqn),
    Workload::new("W14-ppo", "PPO 4-64-64, batch 64, Adam", None, ppo),
    Workload::new("W14-twin-q", "twin Q 23-256-256-1, batch 256, Adam", None, twin),
];

const SIZES: [usize; 4] = [784, 512, 512, 10];

type Network = [Dense; 3];

fn network(params: &mut Params, prefix: &str, sizes: [usize; 4]) -> Network {
    std::array::from_fn(|k| Dense::new(params, &format!("{prefix}{k}"), sizes[k], sizes[k + 1]))
}

fn relu<'g>([first, second, last]: &Network, x: Var<'g>) -> Var<'g> {
    last.forward(second.forward(first.forward(x).relu()).relu())
}

fn tanh<'g>([first, second, last]: &Network, x: Var<'g>) -> Var<'g> {
    last.forward(second.forward(first.forward(x).tanh()).tanh())
}

fn images(batch: usize) -> Named<f32, 2> {
    [("x", reals([batch, SIZES[0]])), ("labels", indices([batch], 10))]
}

fn wide() -> Work {
    // From this seed no unit is so close to 0 that rounding decides its slope.
    let mut params = Params::new(2);
    let layers = network(&mut params, "layer", SIZES);
    training(params, Adam::new(1e-3), images(128), move |_, [x, labels]| loss::cross_entropy(relu(&layers, x), labels))
}

fn wide_forward() -> Work {
    let mut params = Params::new(1);
    let layers = network(&mut params, "layer", SIZES);
    function(params, [("x", reals([1, SIZES[0]]))], move |_, [x]| [relu(&layers, x)])
}

fn small() -> Work {
    let mut params = Params::new(1);
    let layers = network(&mut params, "layer", [4, 32, 32, 1]);
    let inputs = [("x", reals([16, 4])), ("y", reals([16, 1]))];
    training(params, Adam::new(1e-3), inputs, move |_, [x, y]| loss::mse(tanh(&layers, x), y))
}

fn hessian() -> Work {
    let mut params: Params = Params::new(1);
    let layers = network(&mut params, "layer", SIZES);
    let mut direction = params.clone();
    for (param, value) in params.iter() {
        let AnyTensor::Real(numbers) = reals([value.shape().len()]) else { unreachable!("they are real") };
        direction.set(param, numbers.reshape(value.shape()));
    }
    let inputs = images(128);
    let mut arrays = arrays(&params, &inputs);
    arrays.extend(direction.iter().map(|(param, value)| (format!("direction.{}", param.name()), value.into())));
    let inputs = inputs.map(|(_, input)| input);
    let mut step = Step::new(move |_, [x, labels]| loss::cross_entropy(tanh(&layers, x), labels));
    let products = step.hvp(&params, inputs.each_ref(), &direction).expect("the product is computed");
    let mut numbers: super::peer::Numbers =
        products.iter().map(|(param, value)| (format!("grad.{}", param.name()), sample(value))).collect();
    numbers.insert("loss".to_owned(), vec![f64::from(products.loss())]);
    let limit = Limit::Products(step.summary().map_or(0, |summary| summary.multiply_adds));
    let run = move || {
        black_box(step.hvp(&params, inputs.each_ref(), &direction).expect("the product is computed").loss());
    };
    Work { arrays, numbers, limit, run: Box::new(run) }
}

fn policy() -> Work {
    let mut params = Params::new(1);
    let layers = network(&mut params, "layer", [4, 64, 64, 2]);
    function(params, [("x", reals([1, 4]))], move |_, [x]| [tanh(&layers, x).softmax(-1)])
}

/// What each row has at its index.
fn chosen<'g>(rows: Var<'g>, indices: Var<'g>) -> Var<'g> {
    rows.take_along(1, indices.unsqueeze(1)).squeeze(1)
}

/// Rewards, whether an episode ends with them, and what follows.
fn transitions(batch: usize, observed: usize) -> Named<f32, 3> {
    let ends = Tensor::from_fn([batch], |k| if k % 7 == 0 { 1.0 } else { 0.0 });
    [("rewards", reals([batch])), ("done", ends.into()), ("following", reals([batch, observed]))]
}

fn dqn() -> Work {
    let mut params = Params::new(1);
    let [online, target] = ["online", "target"].map(|name| network(&mut params, name, [4, 64, 64, 2]));
    params.set_trainable(false, |name| name.starts_with("target"));
    let [rewards, done, following] = transitions(32, 4);
    let inputs = [("x", reals([32, 4])), ("actions", indices([32], 2)), rewards, done, following];
    training(params, Adam::new(1e-3), inputs, move |_, [x, actions, rewards, done, following]| {
        let best = relu(&target, following).max_axes(1);
        let goal = rewards + (1.0 - done) * best * 0.99;
        loss::huber(chosen(relu(&online, x), actions), goal, 1.0)
    })
}

fn ppo() -> Work {
    let mut params = Params::new(1);
    let actor = network(&mut params, "actor", [4, 64, 64, 2]);
    let critic = network(&mut params, "critic", [4, 64, 64, 1]);
    let inputs = [
        ("x", reals([64, 4])),
        ("actions", indices([64], 2)),
        ("old", Tensor::from_fn([64], |k| -0.7 - 0.05 * (k % 5) as f32).into()),
        ("advantages", reals([64])),
        ("returns", reals([64])),
    ];
    training(params, Adam::new(1e-3), inputs, move |_, [x, actions, old, advantages, returns]| {
        let logs = tanh(&actor, x).log_softmax(-1);
        let ratio = (chosen(logs, actions) - old).exp();
        let gain = (ratio * advantages).minimum(ratio.clamp(0.8, 1.2) * advantages).mean();
        let entropy = -(logs.exp() * logs).sum_axes(1).mean();
        let values = tanh(&critic, x).squeeze(1);
        loss::mse(values, returns) * 0.5 - gain - entropy * 0.01
    })
}

fn twin() -> Work {
    let mut params = Params::new(1);
    let names = ["critic1_", "critic2_", "target1_", "target2_"];
    let [first, second, first_target, second_target] = names.map(|name| network(&mut params, name, [23, 256, 256, 1]));
    params.set_trainable(false, |name| name.starts_with("target"));
    let [rewards, done, following] = transitions(256, 23);
    let inputs = [("x", reals([256, 23])), rewards, done, following];
    training(params, Adam::new(1e-3), inputs, move |_, [x, rewards, done, following]| {
        let [first_best, second_best] = [&first_target, &second_target].map(|net| relu(net, following).squeeze(1));
        let goal = rewards + (1.0 - done) * first_best.minimum(second_best) * 0.99;
        let [first, second] = [&first, &second].map(|net| loss::mse(relu(net, x).squeeze(1), goal));
        first + second
    })
}
