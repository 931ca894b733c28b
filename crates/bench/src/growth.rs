//! Time against size: layers' width, depth, steps and batch, rows and axis of reductions, number and size of parameters,
//! each in steps of two over three decades, on one thread.
//!
//! What the arithmetic asks for is known, so a row shows the time for a unit of it, which must not grow: it falls while
//! fixed costs are spread over more work, and rises once where the data leave a cache.

use std::hint::black_box;
use std::time::Instant;

use gradus_graph::{Feed, Graph, Params, Plan, Tensor, Var};
use gradus_nn::{Dense, Gru, Layer, Mode, loss};
use gradus_optim::{Adam, Optimizer};
use gradus_train::Step;
use gradus_train::plot::Plot;

use crate::conv::numbers;
use crate::table::Table;

/// Seconds of one measurement, and how many of them there are; the least counts.
const TURN: f64 = 0.01;
const TURNS: usize = 5;

/// The table and the picture of all measurements.
pub(crate) fn run() -> (Table, Plot) {
    let mut growth = Growth {
        table: Table::new(&["first run µs", "µs", "work", "ns per work", "of the least"]),
        plot: Plot::new("Time against size, each size twice the one before")
            .axes("size", "a run, microseconds")
            .log_x()
            .log_y(),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread starts");
    pool.install(|| {
        growth.sweep("width of 2 layers, batch 16", 1..=11, |width| mlp(width, 2, 16));
        growth.sweep("layers 32 wide, batch 16", 0..=10, |depth| mlp(32, depth, 16));
        growth.sweep("batch of 2 layers 64 wide", 0..=12, |batch| mlp(64, 2, batch));
        growth.sweep("steps of a GRU 32 wide, batch 8", 0..=10, gru);
        growth.sweep("rows of 64 that are summed", 3..=14, |rows| reduction([rows, 64], |x| x.sum_axes(1)));
        growth.sweep("axis of 64 rows that is summed", 3..=14, |axis| reduction([64, axis], |x| x.sum_axes(1)));
        growth.sweep("axis of 2²⁰ elements that is summed", 0..=20, |axis| {
            reduction([(1 << 20) / axis, axis], |x| x.sum_axes(1))
        });
        growth.sweep("first axis of 2²⁰ elements that is summed", 0..=20, |axis| {
            reduction([axis, (1 << 20) / axis], |x| x.sum_axes(0))
        });
        growth.sweep("axis of a softmax over 2²⁰ elements", 0..=20, |axis| {
            reduction([(1 << 20) / axis, axis], |x| x.softmax(1))
        });
        growth.sweep("parameters of 16 elements, Adam", 0..=12, |count| update(count, 16));
        growth.sweep("elements of a parameter, Adam", 10..=24, |count| update(1, count));
    });
    growth.table.note(format!(
        "one thread; least of {TURNS} measurements; work: multiply-adds of layers, elements of reductions and updates"
    ));
    growth.table.note("of the least: the time per work over the least of the sizes up to this one");
    (growth.table, growth.plot)
}

struct Growth {
    table: Table,
    plot: Plot,
}

impl Growth {
    /// Measures powers of two.
    fn sweep(&mut self, name: &str, powers: std::ops::RangeInclusive<u32>, build: impl Fn(usize) -> Measured) {
        let (mut points, mut least) = (Vec::new(), f64::INFINITY);
        for power in powers {
            let size = 1 << power;
            let start = Instant::now();
            let Measured { work, mut run } = build(size);
            run();
            let first = start.elapsed().as_secs_f64() * 1e6;
            let time = least_time(&mut run) * 1e6;
            let each = time * 1e3 / work;
            least = each.min(least);
            self.table.row(format!("{name}: {size}"), &[first, time, work, each, each / least]);
            points.push((size as f64, time));
        }
        self.plot = std::mem::replace(&mut self.plot, Plot::new("")).line(name, &points);
    }
}

/// Work of a size: how much it is, and how it is done.
struct Measured {
    work: f64,
    run: Box<dyn FnMut()>,
}

fn least_time(run: &mut dyn FnMut()) -> f64 {
    let mut timed = |repeat: usize| {
        let start = Instant::now();
        (0..repeat).for_each(|_| run());
        start.elapsed().as_secs_f64() / repeat as f64
    };
    let once = timed(1).min(timed(1)).max(1e-8);
    let repeat = (TURN / once).ceil() as usize;
    (0..TURNS).map(|_| timed(repeat)).fold(f64::INFINITY, f64::min)
}

fn tensor<const N: usize>(shape: [usize; N]) -> Tensor<f32> {
    Tensor::new(shape, numbers(shape.iter().product()))
}

/// The loss and gradients of layers of one width.
fn mlp(width: usize, depth: usize, batch: usize) -> Measured {
    let mut params = Params::new(1);
    let layers: Vec<Dense> = (0..depth).map(|k| Dense::new(&mut params, &format!("layer{k}"), width, width)).collect();
    training(params, tensor([batch, width]), tensor([batch, width]), move |x| {
        layers.iter().fold(x, |x, layer| layer.forward(x).tanh())
    })
}

/// The loss and gradients of a recurrent layer.
fn gru(steps: usize) -> Measured {
    let mut params = Params::new(1);
    let layer = Gru::new(&mut params, "layer", 32, 32);
    training(params, tensor([steps, 8, 32]), tensor([steps, 8, 32]), move |x| layer.forward_in(x, Mode::Train))
}

fn training(
    mut params: Params,
    x: Tensor<f32>,
    y: Tensor<f32>,
    forward: impl for<'g> Fn(Var<'g>) -> Var<'g> + 'static,
) -> Measured {
    let mut step = Step::new(move |_: &Graph, [x, y]| loss::mse(forward(x), y));
    step.run(&mut params, (&x, &y)).expect("the step runs");
    let work = step.summary().map_or(0, |summary| summary.multiply_adds) as f64;
    let run = move || {
        black_box(step.run(&mut params, (&x, &y)).expect("the step runs").loss());
    };
    Measured { work, run: Box::new(run) }
}

/// A function of all elements.
fn reduction(shape: [usize; 2], value: impl for<'g> Fn(Var<'g>) -> Var<'g>) -> Measured {
    let graph = Graph::new();
    let y = value(graph.input("x", shape));
    let mut session = Plan::new(&graph, &[y]).expect("the graph compiles").session::<f32>();
    let (params, x) = (Params::new(0), tensor(shape));
    let run = move || {
        black_box(session.run(&params, &Feed::new().with("x", &x)).expect("the plan runs").real(0));
    };
    Measured { work: shape.iter().product::<usize>() as f64, run: Box::new(run) }
}

/// Updates of as many parameters, each of as many elements.
fn update(count: usize, len: usize) -> Measured {
    let mut params: Params = Params::new(0);
    let list: Vec<_> = (0..count).map(|k| params.add(&format!("x{k}"), Tensor::full([len], 0.5))).collect();
    let gradients: Vec<Tensor<f32>> = list.iter().map(|_| tensor([len])).collect();
    let mut optimizer = Optimizer::new(Adam::new(1e-3));
    let run = move || optimizer.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
    Measured { work: (count * len) as f64, run: Box::new(run) }
}
