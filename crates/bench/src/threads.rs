//! Training steps in `f32` with Adam on one thread and on as many as the machine has, or as `RAYON_NUM_THREADS` says:
//! called from a thread outside of any pool, as most programs do, and in a pool.
//!
//! With `--busy`, another thread takes a core of the machine meanwhile.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gradus_graph::check::CountingAllocator;
use gradus_graph::{Graph, Params, Tensor, Var};
use gradus_nn::{
    Conv2d, Conv2dOptions, Dense, Flatten, Gru, Layer, Lstm, Mask, MaxPool2d, Mode, Padding, Relu,
    TransformerEncoderLayer, TransformerOptions, loss,
};
use gradus_optim::{Adam, Optimizer};
use gradus_train::Step;

use crate::conv::numbers;
use crate::table::Table;

/// How long the steps of one kind are timed, in turns.
const TIME: Duration = Duration::from_millis(2500);
const TURN: Duration = Duration::from_millis(50);

pub(crate) fn run(is_busy: bool) -> Table {
    let threads = rayon::current_num_threads();
    let mut table = Table::new(&["1 thread ms", "outside ms", "of 1", "in a pool ms", "of 1", "allocations"]);
    let ends = AtomicBool::new(!is_busy);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                black_box(());
            }
        });
        let mut params = Params::new(1);
        let mlp = (dense(&mut params, "0", 784, 512), Relu, dense(&mut params, "1", 512, 512), Relu);
        let mlp = (mlp, dense(&mut params, "2", 512, 10));
        let x = [tensor([128, 784]), tensor([128, 10])];
        step(&mut table, "MLP 784-512-512-10, batch 128", params, x, |x| mlp.forward(x));

        let mut params = Params::new(1);
        let small = (dense(&mut params, "0", 64, 64), Relu, dense(&mut params, "1", 64, 10));
        let x = [tensor([64, 64]), tensor([64, 10])];
        step(&mut table, "MLP 64-64-10, batch 64", params, x, |x| small.forward(x));

        let mut params = Params::new(1);
        let lstm = Lstm::new(&mut params, "lstm", 128, 256);
        let x = [tensor([64, 32, 128]), tensor([64, 32, 256])];
        step(&mut table, "LSTM 128 → 256, 64 steps, batch 32", params, x, |x| lstm.forward_in(x, Mode::Train));

        let mut params = Params::new(1);
        let gru = Gru::new(&mut params, "gru", 128, 256);
        let x = [tensor([64, 32, 128]), tensor([64, 32, 256])];
        step(&mut table, "GRU 128 → 256, 64 steps, batch 32", params, x, |x| gru.forward_in(x, Mode::Train));

        let mut params = Params::new(1);
        let same = Conv2dOptions::new().padding(Padding::Same);
        let first = Conv2d::with(&mut params, "first", 1, 8, 5, same);
        let second = Conv2d::with(&mut params, "second", 8, 16, 5, same);
        let (hidden, output) = (dense(&mut params, "hidden", 16 * 49, 128), dense(&mut params, "output", 128, 10));
        let pool = || MaxPool2d::new(2);
        let cnn = ((first, Relu, pool(), second, Relu, pool()), Flatten::new(), (hidden, Relu, output));
        let x = [tensor([64, 1, 28, 28]), tensor([64, 10])];
        step(&mut table, "CNN 28×28, 5×5×8, 5×5×16, batch 64", params, x, |x| cnn.forward(x));

        let mut params = Params::new(1);
        let options = TransformerOptions::new().hidden(1024).dropout(0.0).batch_first();
        let block = TransformerEncoderLayer::with(&mut params, "block", 256, 4, options);
        let x = [tensor([8, 128, 256]), tensor([8, 128, 256])];
        step(&mut table, "transformer d 256, 4 heads, 8×128", params, x, |x| {
            block.forward_in(x, Mask::causal(), Mode::Train)
        });
        ends.store(true, Ordering::Relaxed);
    });
    table.note(format!("{threads} threads; medians of steps in turns, each with the update by Adam"));
    table
}

fn dense(params: &mut Params, name: &str, from: usize, to: usize) -> Dense {
    Dense::new(params, name, from, to)
}

fn tensor<const N: usize>(shape: [usize; N]) -> Tensor<f32> {
    Tensor::new(shape, numbers(shape.iter().product()))
}

fn step(
    table: &mut Table,
    name: &str,
    params: Params,
    [x, y]: [Tensor<f32>; 2],
    forward: impl for<'g> Fn(Var<'g>) -> Var<'g> + Sync,
) {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
    let pools = [pool(1), pool(rayon::current_num_threads())];
    let mut trainings = [(); 3].map(|()| {
        let mut params = params.clone();
        let mut step = Step::new(|_: &Graph, [x, y]| loss::mse(forward(x), y));
        let mut adam = Optimizer::new(Adam::new(1e-3));
        let (x, y) = (&x, &y);
        move || {
            let gradients = step.run(&mut params, (x, y)).expect("the step runs");
            adam.step(&mut params, &gradients).expect("the update is made");
        }
    });
    let mut times = [const { Vec::new() }; 3];
    let mut allocated = 0;
    let begin = Instant::now();
    let mut warm = false;
    while begin.elapsed() < TIME {
        for (number, (train, times)) in trainings.iter_mut().zip(&mut times).enumerate() {
            let mut turn = || {
                let start = Instant::now();
                let before = CountingAllocator::allocations_of_all_threads();
                let mut list = Vec::with_capacity(10_000);
                let mut last = start;
                while start.elapsed() < TURN {
                    train();
                    let now = Instant::now();
                    list.push((now - last).as_secs_f64() * 1e3);
                    last = now;
                }
                // The list itself is one.
                (list, CountingAllocator::allocations_of_all_threads() - before - 1)
            };
            let (list, count) = match number {
                0 => pools[0].install(turn),
                1 => turn(),
                _ => pools[1].install(turn),
            };
            if warm {
                times.extend(list);
                allocated += count;
            }
        }
        warm = true;
    }
    let median = |list: &mut Vec<f64>| {
        list.sort_by(f64::total_cmp);
        list.get(list.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let [one, outside, inside] = times.each_mut().map(median);
    table.row(name, &[one, outside, outside / one, inside, inside / one, allocated as f64]);
}
