//! A generative adversarial network: `cargo run --release --example gan [SEED]`
//!
//! The data are points around eight centres on a circle. A generator makes points of noise; a discriminator tells them
//! from the data; both are trained in turn (Goodfellow et al. 2014). They live in one store under two scopes, and each
//! has a step and an optimizer of its own that see only its scope. The discriminator pays for steep slopes at the data,
//! `γ/2·‖∇D‖²`, which keeps the game from circling (Mescheder, Geiger and Nowozin 2018): a derivative within a loss.

use std::path::Path;
use std::time::Instant;

use gradus::nn::{Dense, Layer, LeakyRelu, Relu, loss};
use gradus::optim::{Adam, Optimizer};
use gradus::train::plot::Plot;
use gradus::train::{Function, Progress, Step};
use gradus::{Graph, Params, Tensor, Var};

const MODES: usize = 8;
const SPREAD: f64 = 0.1;
const NOISE: usize = 8;
const BATCH: usize = 256;
const STEPS: usize = 6000;
const PENALTY: f64 = 0.5;

struct Generator(Dense, Relu, Dense, Relu, Dense);

impl Generator {
    fn new(params: &mut Params) -> Self {
        params.scope("generator", |params| {
            let [first, second] =
                [("hidden1", NOISE), ("hidden2", 64)].map(|(name, size)| Dense::new(params, name, size, 64));
            Self(first, Relu, second, Relu, Dense::new(params, "output", 64, 2))
        })
    }

    /// `count` points out of noise.
    fn points<'g>(&self, graph: &'g Graph, count: usize) -> Var<'g> {
        let Self(first, bend, second, again, output) = self;
        (first, bend, second, again, output).forward(graph.normal([count, NOISE]))
    }
}

struct Discriminator(Dense, LeakyRelu, Dense, LeakyRelu, Dense);

impl Discriminator {
    fn new(params: &mut Params) -> Self {
        params.scope("discriminator", |params| {
            let [first, second] =
                [("hidden1", 2), ("hidden2", 64)].map(|(name, size)| Dense::new(params, name, size, 64));
            let bend = LeakyRelu::new(0.2);
            Self(first, bend, second, bend, Dense::new(params, "output", 64, 1))
        })
    }

    /// For each point a logit, high for data.
    fn judge<'g>(&self, points: Var<'g>) -> Var<'g> {
        let Self(first, bend, second, again, output) = self;
        (first, bend, second, again, output).forward(points)
    }
}

/// Centres on a circle of radius 2.
fn centre(mode: usize) -> [f64; 2] {
    let angle = std::f64::consts::TAU * mode as f64 / MODES as f64;
    [2.0 * angle.cos(), 2.0 * angle.sin()]
}

/// Points of the data: a centre drawn at random, and normal noise around it.
fn data<'g>(graph: &'g Graph, count: usize) -> Var<'g> {
    let centres = graph.constant(&Tensor::from_rows(std::array::from_fn::<_, MODES, _>(centre)));
    let chosen = (graph.uniform([count, 1]) * MODES as f64).floor();
    let numbers = graph.constant(&Tensor::from_fn([MODES], |mode| mode as f64));
    chosen.equal(numbers).matmul(centres) + graph.normal([count, 2]) * SPREAD
}

/// What points are worth: how many centres have their share (a quarter of it at least), the share of all points that
/// lie within three deviations of a centre, and how far these are spread around it.
struct Worth {
    covered: usize,
    near: f64,
    spread: f64,
}

fn measure(points: &Tensor<f32>) -> Worth {
    let (mut counts, mut squares) = ([0; MODES], 0.0);
    for point in points.data().chunks(2) {
        let away = |mode: usize| {
            let [x, y] = centre(mode);
            (f64::from(point[0]) - x).hypot(f64::from(point[1]) - y)
        };
        let nearest = (0..MODES).min_by(|&a, &b| away(a).total_cmp(&away(b))).expect("there are centres");
        if away(nearest) < 3.0 * SPREAD {
            counts[nearest] += 1;
            squares += away(nearest).powi(2);
        }
    }
    let (rows, near) = (points.shape()[0], counts.iter().sum::<usize>());
    let covered = counts.iter().filter(|&&count| 4 * count * MODES >= rows).count();
    // Two coordinates each.
    Worth { covered, near: near as f64 / rows as f64, spread: (squares / (2 * near.max(1)) as f64).sqrt() }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = match std::env::args().nth(1) {
        None => 1,
        Some(text) => text.parse().map_err(|_| format!("the seed is an integer, not `{text}`"))?,
    };
    let mut params = Params::new(seed);
    let (generator, discriminator) = (Generator::new(&mut params), Discriminator::new(&mut params));

    let mut judge = Step::new(|graph, []| {
        let real = data(graph, BATCH);
        let (on_data, on_made) = (discriminator.judge(real), discriminator.judge(generator.points(graph, BATCH)));
        let slope = graph.grad(on_data.sum(), &[real]).expect("the discriminator uses its input")[0];
        let penalty = slope.square().sum_axes(-1).mean() * (PENALTY / 2.0);
        on_made.softplus().mean() + (-on_data).softplus().mean() + penalty
    });
    let mut forge = Step::new(|graph, []| {
        let made = discriminator.judge(generator.points(graph, BATCH));
        loss::binary_cross_entropy_with_logits(made, graph.ones(made.shape()))
    });
    judge = judge.only(["discriminator"]).seed(seed);
    forge = forge.only(["generator"]).seed(seed + 1);
    let rate = |step: u64| if step < STEPS as u64 * 3 / 4 { 1e-3 } else { 2e-4 };
    let [mut judge_adam, mut forge_adam] = [0, 1].map(|_| Optimizer::new(Adam::new(rate).betas(0.5, 0.99)));

    let mut losses = [Vec::new(), Vec::new()];
    let mut progress = Progress::new(STEPS / 100);
    let start = Instant::now();
    for number in 0..STEPS {
        let gradients = judge.run(&mut params, ())?;
        judge_adam.step(&mut params, &gradients)?;
        let judged = gradients.loss();
        let gradients = forge.run(&mut params, ())?;
        forge_adam.step(&mut params, &gradients)?;
        if number % 100 == 99 {
            let both = [judged, gradients.loss()];
            losses.iter_mut().zip(both).for_each(|(list, loss)| list.push((number as f64, f64::from(loss))));
            progress.advance(1, format_args!("losses {:.3} and {:.3}", both[0], both[1]));
        }
    }
    progress.finish();
    println!("{STEPS} steps of each in {:.1} s", start.elapsed().as_secs_f64());

    let mut draw = Function::new(|graph, []| [data(graph, 2000), generator.points(graph, 2000)]).seed(seed + 2);
    let [real, made] = draw.run(&params, ())?.map(|points| points.real());
    for (name, points) in [("the data", real), ("what was made", made)] {
        let Worth { covered, near, spread } = measure(points);
        println!("{name}: {covered} of {MODES} centres covered, {:.1}% near one, spread {spread:.3}", 100.0 * near);
    }
    let list = |points: &Tensor<f32>| -> Vec<(f64, f64)> {
        points.data().chunks(2).map(|point| (f64::from(point[0]), f64::from(point[1]))).collect()
    };
    let (real, made) = (list(real), list(made));
    let [picture, curves] = ["target/gan.svg", "target/gan-loss.svg"].map(Path::new);
    Plot::new("Points on a circle").axes("x", "y").points("data", &real).points("made", &made).save(picture)?;
    let game = Plot::new("The game").axes("step", "loss, nats");
    game.line("discriminator", &losses[0]).line("generator", &losses[1]).save(curves)?;
    println!("the points are in {}, the losses in {}", picture.display(), curves.display());
    Ok(())
}
