//! Updates of ten million `f32` parameters, as a share of the speed of a plain pass `x ← a·x + b` over as many numbers.
//!
//! Bytes are those of the arrays that an update has to move: the parameter and each tensor of state is read and
//! written, the gradient is read. A look at the gradients before the first write reads one array more, which is not
//! counted; the share without it is that of an optimizer that trusts its gradients to be finite.

use gradus_graph::check::CountingAllocator;
use std::hint::black_box;
use std::time::Instant;

use gradus_graph::kernel::simd::{Loop, vectorized};
use gradus_graph::{Param, Params, Tensor};
use gradus_optim::{Adam, AdamW, Lion, NonFinite, Optimizer, Part, Sgd};

use crate::table::Table;

const COUNT: usize = 10_000_000;
const ROUNDS: usize = 40;

pub(crate) fn run() -> Table {
    let mut table = Table::new(&["ms", "GB/s", "pass GB/s", "share", "share trusting", "allocations"]);
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of two threads at most");
        for tensors in [10, 1] {
            let case = Case { threads, tensors };
            pool.install(|| {
                case.measure(&mut table, "SGD", 0, Sgd::new(1e-3));
                case.measure(&mut table, "momentum", 1, Sgd::new(1e-3).momentum(0.9));
                case.measure(&mut table, "Adam", 2, Adam::new(1e-3));
                case.measure(&mut table, "AdamW", 2, AdamW::new(1e-3));
                case.measure(&mut table, "Lion", 1, Lion::new(1e-4));
            });
        }
    }
    table.note("ms, GB/s and share: as an optimizer is made, with its look at the gradients before the first write");
    table.note("share: of the bytes per second of x ← a·x + b over as many numbers; least times of rounds in turn");
    table
}

#[derive(Clone, Copy)]
struct Case {
    threads: usize,
    tensors: usize,
}

impl Case {
    fn measure(self, table: &mut Table, name: &str, state: usize, rule: impl Part + Clone) {
        let len = COUNT / self.tensors;
        let mut params: Params = Params::new(0);
        let list: Vec<Param> =
            (0..self.tensors).map(|k| params.add(&format!("x{k}"), Tensor::full([len], 0.5))).collect();
        let gradients: Vec<Tensor<f32>> =
            (0..self.tensors).map(|_| Tensor::from_fn([len], |k| (k % 1000) as f32 * 1e-3 - 0.5)).collect();
        let mut optimizer = Optimizer::new(rule);
        let mut arrays: Vec<Vec<f32>> = (0..self.tensors).map(|_| vec![0.5; len]).collect();
        let mut update = |optimizer: &mut Optimizer| {
            let start = Instant::now();
            optimizer.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
            start.elapsed().as_secs_f64()
        };
        let mut pass = || {
            let start = Instant::now();
            arrays.iter_mut().for_each(|array| scale_and_shift(array, self.threads));
            black_box(&mut arrays);
            start.elapsed().as_secs_f64()
        };
        update(&mut optimizer);
        pass();
        let before = CountingAllocator::allocations_of_all_threads();
        update(&mut optimizer);
        let allocated = CountingAllocator::allocations_of_all_threads() - before;
        // Four bytes a number: parameter and state read and written, the gradient read; the pass reads and writes one.
        let (moved, passed) = ((3 + 2 * state) as f64 * 4e-9 * COUNT as f64, 8e-9 * COUNT as f64);
        // The least times of rounds in turn: what else the machine does only adds to them.
        let mut race = |optimizer: &mut Optimizer| {
            let rounds = (0..ROUNDS).map(|_| (update(optimizer), pass()));
            rounds.fold((f64::MAX, f64::MAX), |least, time| (least.0.min(time.0), least.1.min(time.1)))
        };
        let (time, bar) = race(&mut optimizer);
        let share = |(time, bar): (f64, f64)| (moved / time) / (passed / bar);
        let trusting = share(race(&mut optimizer.on_non_finite(NonFinite::Trust)));
        let row = format!("{name}, {} × {len}, {} thread(s)", self.tensors, self.threads);
        table.row(row, &[time * 1e3, moved / time, passed / bar, share((time, bar)), trusting, allocated as f64]);
    }
}

/// `x ← a·x + b` in place.
fn scale_and_shift(array: &mut [f32], threads: usize) {
    struct Pass<'a>(&'a mut [f32]);

    impl Loop for Pass<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            let (a, b) = black_box((0.999_f32, 1e-3_f32));
            self.0.iter_mut().for_each(|x| *x = a * *x + b);
        }
    }

    let half = array.len() / threads;
    let (left, right) = array.split_at_mut(half);
    if threads == 1 {
        return vectorized(Pass(left));
    }
    rayon::join(|| vectorized(Pass(left)), || vectorized(Pass(right)));
}
