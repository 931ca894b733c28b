//! Convolutions in `f32` on one thread: the values, and the values with all gradients, each as a share of what the
//! product of matrices alone sustains in the same run.
//!
//! `peers/conv.py` times PyTorch on the same layers.

use gradus_graph::check::CountingAllocator;
use std::hint::black_box;
use std::time::Instant;

use gradus_graph::kernel::gemm::{Gemm, MatrixView};
use gradus_graph::{Feed, Graph, Params, Plan, Tensor, Var};
use gradus_nn::{Conv2d, Conv2dOptions, MaxPool2d};

use crate::table::Table;

/// Images, channels, rows and columns, filters, kernel, stride, groups, and whether gradients of the images are wanted.
type Case = (&'static str, [usize; 3], usize, usize, usize, usize, bool);

const CASES: [Case; 9] = [
    ("64×1×28×28 → 32, 3×3", [64, 1, 28], 32, 3, 1, 1, false),
    ("64×32×28×28 → 64, 3×3", [64, 32, 28], 64, 3, 1, 1, true),
    ("64×64×14×14 → 128, 3×3", [64, 64, 14], 128, 3, 1, 1, true),
    ("64×64×28×28 → 64, 3×3, stride 2", [64, 64, 28], 64, 3, 2, 1, true),
    ("32×256×7×7 → 256, 3×3", [32, 256, 7], 256, 3, 1, 1, true),
    ("64×64×28×28 → 64, 1×1", [64, 64, 28], 64, 1, 1, 1, true),
    ("64×64×28×28 → 64, 3×3, depthwise", [64, 64, 28], 64, 3, 1, 64, true),
    ("64×64×28×28 → 64, 3×3, 4 groups", [64, 64, 28], 64, 3, 1, 4, true),
    ("1×64×56×56 → 64, 3×3", [1, 64, 56], 64, 3, 1, 1, true),
];

const ROUNDS: usize = 5;
/// Seconds that a timing takes at least.
const LONG: f64 = 0.1;

pub(crate) fn run() -> Table {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    pool.install(|| {
        let mut table = Table::new(&["values µs", "values share", "gradients µs", "gradients share", "allocations"]);
        for case in CASES {
            layer(&mut table, case);
        }
        pool_of_planes(&mut table);
        table.note(
            "share: of the multiplications a second that a product 512×512×512 reaches; gradients: with the values",
        );
        table.note("each time is the least of several runs that alternate with the product's");
        table
    })
}

/// Numbers that look random, in [−1, 1).
pub(crate) fn numbers(count: usize) -> Vec<f32> {
    (0..count as u32).map(|k| (k.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// The seconds for a piece of work, which is repeated.
pub(crate) fn seconds(work: &mut dyn FnMut(), repeat: usize) -> f64 {
    let start = Instant::now();
    (0..repeat).for_each(|_| work());
    start.elapsed().as_secs_f64() / repeat as f64
}

/// How often a piece of work has to be repeated to be timed.
fn repeats(work: &mut dyn FnMut()) -> usize {
    let start = Instant::now();
    work();
    (LONG / start.elapsed().as_secs_f64()).ceil().max(1.0) as usize
}

/// Times values and gradients of `y`, a function of `x` and the parameters, and gives the multiplications of both and
/// the allocations of a later run.
pub(crate) fn time(
    params: &Params,
    x: &Tensor<f32>,
    of_input: bool,
    y: impl for<'g> Fn(Var<'g>) -> Var<'g>,
) -> ([f64; 3], [usize; 2], usize) {
    let graph = Graph::new();
    let input = graph.input("x", x.shape());
    let value = y(input);
    let loss = (value * graph.input("g", value.shape())).sum();
    let mut wanted: Vec<Var<'_>> = params.iter().map(|(param, _)| graph.param(param)).collect();
    if of_input {
        wanted.push(input);
    }
    let mut outputs = graph.grad(loss, &wanted).expect("the loss depends on all of them");
    outputs.push(value);
    let g = Tensor::new(value.shape(), numbers(value.shape().len()));
    let plans =
        [Plan::new(&graph, &[value]), Plan::new(&graph, &outputs)].map(|plan| plan.expect("the layer compiles"));
    let multiplications = plans.each_ref().map(|plan| plan.summary().multiply_adds);
    let [mut values, mut gradients] = plans.map(|plan| plan.session::<f32>());
    let (feed, both) = (Feed::new().with("x", x), Feed::new().with("x", x).with("g", &g));
    let mut values = || {
        black_box(values.run(params, &feed).expect("the values are computed"));
    };
    let mut gradients = || {
        black_box(gradients.run(params, &both).expect("the gradients are computed"));
    };

    const SIZE: usize = 512;
    let (a, mut c) = (numbers(SIZE * SIZE), vec![0.0; SIZE * SIZE]);
    let mut workspace = vec![0.0; f32::workspace(SIZE, SIZE, SIZE)];
    let mut product = || {
        let a = MatrixView { data: &a, offset: 0, row: SIZE as isize, col: 1 };
        f32::gemm(SIZE, SIZE, SIZE, a, a, false, black_box(&mut c), &mut workspace);
    };
    values();
    gradients();
    let before = CountingAllocator::allocations_of_all_threads();
    values();
    gradients();
    let allocated = CountingAllocator::allocations_of_all_threads() - before;
    let mut least = [f64::INFINITY; 3];
    let repeat = [repeats(&mut values), repeats(&mut gradients), repeats(&mut product)];
    for _ in 0..ROUNDS {
        let times =
            [seconds(&mut values, repeat[0]), seconds(&mut gradients, repeat[1]), seconds(&mut product, repeat[2])];
        for (least, time) in least.iter_mut().zip(times) {
            *least = least.min(time);
        }
    }
    least[2] /= (SIZE * SIZE * SIZE) as f64;
    (least, multiplications, allocated)
}

fn layer(table: &mut Table, (name, [images, channels, size], filters, kernel, stride, groups, of_input): Case) {
    let mut params: Params = Params::new(1);
    let options = Conv2dOptions::new().stride(stride).padding(kernel / 2).groups(groups);
    let layer = Conv2d::with(&mut params, "layer", channels, filters, kernel, options);
    let x = Tensor::new([images, channels, size, size], numbers(images * channels * size * size));
    let (least, multiplications, allocated) = time(&params, &x, of_input, |x| layer.forward(x));
    let share = |k: usize| multiplications[k] as f64 * least[2] / least[k];
    table.row(name, &[1e6 * least[0], share(0), 1e6 * least[1], share(1), allocated as f64]);
}

fn pool_of_planes(table: &mut Table) {
    let x = Tensor::new([64, 32, 28, 28], numbers(64 * 32 * 28 * 28));
    let (least, _, allocated) = time(&Params::new(0), &x, true, |x| MaxPool2d::new(2).forward(x));
    table.row("64×32×28×28, the largest of 2×2", &[1e6 * least[0], 0.0, 1e6 * least[1], 0.0, allocated as f64]);
}
