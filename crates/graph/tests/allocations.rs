//! A session asks for no memory after its first run: counted over all threads, for kernels of many inputs, of eight axes,
//! and of work that is divided.
//!
//! One test, since the count is that of the process.

use gradus_graph::check::CountingAllocator;
use gradus_graph::{Convolution, Feed, Graph, Params, Plan, Session, Span, Tensor, Var, Window};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Ops of every form of work on values that are worth several threads, on twenty inputs, and on eight axes.
fn outputs<'g>(graph: &'g Graph, x: Var<'g>) -> Vec<Var<'g>> {
    let mut outputs = Vec::new();
    // Divided: a loop, a product, a convolution and its derivatives, pooling.
    let wide = x.reshape([300, 400]);
    let filters = graph.full([8, 3, 3, 3], 0.1);
    let images = x.slice(0, 0, 96_000).reshape([2, 3, 100, 160]);
    let y = images.conv(filters, Convolution { padding: [[1, 1]; 2], ..Convolution::default() });
    let spans: Vec<Span> = (0..50).map(|k| Span { start: 2 * k, step: 1, count: 2 }).collect();
    let loss = (wide.sin() * wide).sum() + wide.matmul(wide.t()).mean() + y.square().mean();
    outputs.extend(graph.grad(loss, &[x, filters]).unwrap());
    outputs.extend([loss, y.max_pool(&spans, &spans).0]);
    // Many inputs.
    let rows = x.slice(0, 0, 400).reshape([20, 20]).unstack(0);
    let turned: Vec<Var<'_>> = rows.iter().rev().map(|row| row.exp()).collect();
    outputs.push(graph.concat(&turned, 0).cumsum(0));
    let places: Vec<Var<'_>> = rows.iter().map(|row| row.reshape([1, 20]).argmax(1)).collect();
    outputs.push(x.index_select(0, graph.concat(&places, 0)));
    // Many axes.
    let axes = x.slice(0, 0, 256).reshape([2; 8]);
    let window = [Window { size: 2, stride: 1, dilation: 1 }; 2];
    let deep = [
        axes.permute([7, 6, 5, 4, 3, 2, 1, 0]).cumsum(3),
        axes.permute([1, 0, 3, 2, 5, 4, 7, 6]).sum_axes([0, 3, 6]),
        axes.pad(2, 1, 1).pad(6, 0, 2).slice_step(6, None, None, 2),
        axes.flip(4).softmax(2),
        axes.logsumexp_axes([1, 5]),
        axes.max_axes([2, 6]),
        axes.permute([0, 2, 1, 3, 4, 5, 7, 6]).matmul(axes),
        x.slice(0, 0, 64).reshape([2; 6]).square().windows(&window).fold(&[2, 2], &window),
        axes.argmax(3).to_real(),
        axes.tril(0).take_along(5, axes.argmax(5).unsqueeze(5)),
        axes.prod_axes([3, 4]),
    ];
    for value in deep {
        outputs.push(value);
        if value.graph().grad(value.sum(), &[x]).is_ok() {
            outputs.push(graph.grad(value.square().sum(), &[x]).unwrap()[0]);
        }
    }
    outputs
}

fn count(session: &mut Session<f32>, runs: usize, x: &Tensor<f32>) -> usize {
    let params = Params::new(0);
    let mut run = |step: u64| _ = session.run(&params, &Feed::new().with("x", x).random(0, step)).unwrap();
    run(0);
    run(1);
    // The least of several: threads of the test harness and of pools may ask for memory at any time.
    let counts = (0..4).map(|_| {
        let before = CountingAllocator::allocations_of_all_threads();
        (0..runs).for_each(|step| run(step as u64));
        CountingAllocator::allocations_of_all_threads() - before
    });
    counts.min().unwrap_or(usize::MAX)
}

#[test]
fn a_run_asks_for_no_memory() {
    let graph = Graph::new();
    let x = graph.input("x", [120_000]);
    let data = Tensor::from_fn([120_000], |k| ((k * 7919) % 1013) as f32 / 1013.0 + 0.1);
    let outputs = outputs(&graph, x);
    let pools = [1, 2, 4].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    // Each alone, so that the one that asks is seen.
    for (number, &output) in outputs.iter().enumerate() {
        let plan = Plan::new(&graph, &[output]).unwrap();
        for pool in &pools {
            let count = pool.install(|| count(&mut plan.session(), 3, &data));
            assert_eq!(count, 0, "output {number}, {output:?}, on {} threads", pool.current_num_threads());
        }
    }
    // From outside of any pool.
    let count = count(&mut Plan::new(&graph, &outputs).unwrap().session(), 63, &data);
    assert_eq!(count, 0, "of 63 runs");
    a_weight_is_packed_in_memory_of_the_first_run();
}

/// The second run of a session packs a weight that has not changed.
fn a_weight_is_packed_in_memory_of_the_first_run() {
    let (graph, mut params) = (Graph::new(), Params::<f32>::new(0));
    let weight = params.add("weight", Tensor::full([200, 300], 0.01));
    let y = graph.input("x", [2, 300]).matmul(graph.param(&weight).t());
    let plan = Plan::new(&graph, &[y]).unwrap();
    let x = Tensor::<f32>::ones([2, 300]);
    let counts = (0..4).map(|_| {
        let mut session = plan.session::<f32>();
        let mut run = || _ = session.run(&params, &Feed::new().with("x", &x)).unwrap();
        run();
        let before = CountingAllocator::allocations_of_all_threads();
        (0..3).for_each(|_| run());
        CountingAllocator::allocations_of_all_threads() - before
    });
    assert_eq!(counts.min(), Some(0), "of runs after the first");
}
