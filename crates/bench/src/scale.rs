//! The chain `z ← sin(z)·0.5 + z`, built, differentiated, compiled, run and dropped at growing lengths.

use std::time::Instant;

use gradus_graph::{Feed, Graph, Params, Plan, Tensor};

use crate::table::Table;

pub(crate) fn run() -> Table {
    let mut table = Table::new(&[
        "nodes",
        "build ns",
        "grad ns",
        "compile ns",
        "first run ns",
        "run ns",
        "drop ns",
        "first three µs",
    ]);
    // One short chain first, so that the first row does not pay for the program's start.
    measure(1_000);
    for length in [10_000, 100_000, 1_000_000] {
        table.row(format!("{length} links"), &measure(length));
    }
    table.note(
        "nanoseconds per node of the graph with its gradient; the last column is build + grad + compile, µs per node",
    );
    table
}

fn measure(length: usize) -> [f64; 8] {
    let mut times = Vec::new();
    let mut clock = Instant::now();
    let mut lap = |times: &mut Vec<f64>| {
        times.push(clock.elapsed().as_nanos() as f64);
        clock = Instant::now();
    };
    let graph = Graph::new();
    let x = graph.input("x", []);
    let mut z = x;
    for _ in 0..length {
        z = z.sin() * 0.5 + z;
    }
    lap(&mut times);
    let gradient = graph.grad(z, &[x]).expect("the chain depends on x")[0];
    let nodes = graph.len() as f64;
    lap(&mut times);
    let plan = Plan::new(&graph, &[z, gradient]).expect("the chain compiles");
    lap(&mut times);
    let mut session = plan.session::<f32>();
    let (params, at) = (Params::new(0), Tensor::scalar(0.1));
    let feed = Feed::new().with("x", &at);
    session.run(&params, &feed).expect("the chain runs");
    lap(&mut times);
    let outputs = session.run(&params, &feed).expect("the chain runs again");
    assert!(outputs.real(0).item().is_finite(), "the chain stays within bounds");
    lap(&mut times);
    drop(session);
    drop(plan);
    drop(graph);
    lap(&mut times);
    let per_node: Vec<f64> = times.iter().map(|time| time / nodes).collect();
    let [build, grad, compile, first, run, drop] = per_node[..] else { unreachable!("six phases were timed") };
    [nodes, build, grad, compile, first, run, drop, (build + grad + compile) / 1000.0]
}
