//! Plans against plain evaluation: random graphs of many ops, in both precisions, with and without fusion and threads.

use proptest::prelude::*;

use super::*;
use crate::error::testing::panic_of;
use crate::params::Params;
use crate::real::Real;
use crate::tape::op::Pointwise;
use crate::tensor::Data;

/// A random program over a stack of matrices: views, pointwise chains, sums and products in any order.
fn program<'g>(x: Var<'g>, y: Var<'g>, steps: &[(u8, u8)]) -> Vec<Var<'g>> {
    let graph = x.graph();
    let square = |v: Var<'g>| v.broadcast_to([3, 3]);
    let mut values = vec![square(x), square(y), graph.full([3, 3], 0.5), graph.uniform([3, 3])];
    for &(choice, pick) in steps {
        let a = values[pick as usize % values.len()];
        let b = values[(pick / 7) as usize % values.len()];
        values.push(match choice % 14 {
            0 => a + b,
            1 => a * b * 0.25,
            2 => a - b,
            3 => -a,
            4 => a.t(),
            5 => a.matmul(b) * 0.125,
            6 => a.flip(0),
            7 => square(a.sum_axes(0)) * 0.25,
            8 => square(a.sum_keep(1)) * 0.25,
            9 => a.slice(0, 0, 2).pad(0, 0, 1),
            10 => a.t().reshape([9]).reshape([3, 3]),
            11 => square(b.sum()) * 0.125 + a,
            12 => (a.square() + 1.0).sqrt(),
            _ => a.stop_gradient() + a,
        });
    }
    values
}

fn compare<T: Real>(steps: &[(u8, u8)]) -> Result<(), TestCaseError> {
    let graph = Graph::new();
    let (x, y) = (graph.input("x", [3, 1]), graph.input("y", [3]));
    let values = program(x, y, steps);
    let loss = values[values.len() - 1].sum() + values[values.len() / 2].sum();
    let mut wanted: Vec<Var<'_>> = graph.grad_or_zeros(loss, &[x, y]).unwrap();
    wanted.push(loss);
    wanted.extend(values.iter().rev().take(3));
    let x = Tensor::new([3, 1], [0.5, -1.0, 0.25].map(T::of).to_vec());
    let y = Tensor::from([1.0, 0.75, -0.5].map(T::of));
    let feed = Feed::new().with("x", Data::Real(&x)).with("y", Data::Real(&y)).random(3, 4);
    let plain = graph.eval_with(&wanted, &Params::new(0), &feed).unwrap();
    for plan in [Plan::new(&graph, &wanted).unwrap(), Plan::with_anomaly_checks(&graph, &wanted).unwrap()] {
        let mut session = plan.session::<T>();
        for _ in 0..2 {
            let outputs = session.run(&Params::new(0), &feed).unwrap();
            prop_assert_eq!(outputs.all(), &plain[..]);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn plans_give_the_bits_of_plain_evaluation(steps in prop::collection::vec(any::<(u8, u8)>(), 1..24)) {
        compare::<f64>(&steps)?;
        compare::<f32>(&steps)?;
    }
}

/// A model of all kinds of work that are divided over threads, each large enough, with its gradients.
fn divided(graph: &Graph) -> Vec<Var<'_>> {
    let x = graph.input("x", [400, 500]);
    let places = graph.index_input("places", [700]);
    let loop_of_steps = (x * x + x.t().reshape([400, 500])).sqrt() * x.sum_keep(0);
    let heads = x.slice(0, 0, 384).slice(1, 0, 480).reshape([96, 4, 480]);
    let heads = heads.reshape([32, 12, 480]);
    let attention = heads.matmul(heads.permute([0, 2, 1])).softmax(-1);
    let rows = x.index_select(0, places) + graph.normal([700, 500]) * graph.bernoulli(0.5, [700, 500]);
    let scaled = |axis: isize| x.normalize(axis, 1e-5, x.max_keep(axis), x.min_keep(axis));
    let ([kept, mean, variance], [columns, ..]) = (scaled(1), scaled(0));
    let mut outputs = vec![
        loop_of_steps,
        loop_of_steps.sum(),
        x.matmul(x.t()),
        attention.matmul(heads),
        rows.log_softmax(1),
        rows.logsumexp_axes(1),
        rows.softmax(0),
        x.sum_axes(0),
        x.sum_axes(1),
        x.reshape([20, 20, 500]).mean_axes([0, 2]),
        x.reshape([20, 20, 500]).max_axes(1),
        kept,
        mean,
        variance,
        columns,
        graph.uniform([123_457]),
        graph.randint(0..400, [50_001]).to_real(),
    ];
    let loss = outputs.iter().map(|output| output.square().mean()).reduce(|a, b| a + b).expect("there are outputs");
    outputs.push(graph.grad(loss, &[x]).unwrap()[0]);
    outputs
}

#[test]
fn threads_do_not_change_the_bits() {
    let graph = Graph::new();
    let plan = Plan::new(&graph, &divided(&graph)).unwrap();
    let x = Tensor::from_fn([400, 500], |k| ((k * 7919) % 1013) as f32 / 1013.0);
    let places = Tensor::from_fn([700], |k| ((k * 7919) % 400) as i64);
    let run = |session: &mut Session<f32>| {
        let feed = Feed::new().with("x", &x).with("places", &places).random(3, 4);
        session.run(&Params::new(0), &feed).unwrap().all().to_vec()
    };
    let pools = [1, 2, 3, 8].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    let one = pools[0].install(|| run(&mut plan.session()));
    for pool in &pools {
        let mut session = pool.install(|| plan.session());
        for _ in 0..3 {
            assert!(pool.install(|| run(&mut session)) == one, "{} threads", pool.current_num_threads());
        }
        // In another pool than the one that it was made for, and outside of any.
        pools.iter().for_each(|other| assert!(other.install(|| run(&mut session)) == one));
        assert!(run(&mut session) == one);
    }
    // Several at once, each on a thread of its own and in one pool.
    std::thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(|| (0..3).for_each(|_| assert!(pool.install(|| run(&mut plan.session())) == one)));
            scope.spawn(|| (0..3).for_each(|_| assert!(run(&mut plan.session()) == one)));
        }
    });
}

/// The identity, which panics when it is told to, on any thread but one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PanicsOnHelpers(std::thread::ThreadId);

/// Whether [`PanicsOnHelpers`] does.
static PANICS: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(true);

impl Pointwise for PanicsOnHelpers {
    const NAME: &'static str = "panics_on_helpers";

    fn value<T: Real>(&self, x: &[T]) -> T {
        let is_helper = std::thread::current().id() != self.0;
        assert!(!is_helper || !PANICS.load(std::sync::atomic::Ordering::Relaxed), "on a helper");
        x[0]
    }

    fn slope<'g>(&self, _x: &[Var<'g>], y: Var<'g>, _input: usize) -> Var<'g> {
        y * 0.0 + 1.0
    }
}

#[test]
fn a_panic_of_an_op_on_another_thread_is_one_of_the_run() {
    let graph = Graph::new();
    let x = graph.input("x", [1_000_000]);
    let leader = std::thread::current().id();
    let y = graph.call(PanicsOnHelpers(leader), &[x]);
    let mut session = Plan::new(&graph, &[y]).unwrap().session::<f32>();
    let x = Tensor::from_fn([1_000_000], |k| k as f32);
    let mut run = || {
        let outputs = session.run(&Params::new(0), &Feed::new().with("x", &x)).unwrap();
        outputs.real(0).clone()
    };
    let begin = std::time::Instant::now();
    let panic = loop {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut run));
        match result {
            Err(panic) => break panic,
            Ok(y) => assert!(y == x && begin.elapsed().as_secs() < 20, "no other thread takes part"),
        }
    };
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on a helper"));
    PANICS.store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(run() == x && run() == x, "the session is as it was");
}

#[test]
fn plans_are_shared_and_sessions_sent_between_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Plan>();
    sent::<Session<f32>>();
}

#[test]
fn an_output_that_the_caller_keeps_is_not_overwritten() {
    let graph = Graph::new();
    let x = graph.input("x", [2]);
    let mut session = Plan::new(&graph, &[x * 2.0, x]).unwrap().session::<f64>();
    let mut run = |value: f64| {
        let x = Tensor::full([2], value);
        let outputs = session.run(&Params::new(0), &Feed::new().with("x", &x)).unwrap();
        (outputs.real(0).clone(), outputs.real(1).clone())
    };
    let first = run(1.0);
    let second = run(5.0);
    assert_eq!((first.0.data()[0], first.1.data()[0]), (2.0, 1.0));
    assert_eq!((second.0.data()[0], second.1.data()[0]), (10.0, 5.0));
}

#[test]
fn a_view_of_nothing_may_begin_beyond_it() {
    let graph = Graph::new();
    let x = graph.input("x", [0, 3]);
    let mut session = Plan::new(&graph, &[x.slice(1, 2, 3).cumsum(1)]).unwrap().session::<f64>();
    let nothing: Tensor<f64> = Tensor::zeros([0, 3]);
    let outputs = session.run(&Params::new(0), &Feed::new().with("x", &nothing));
    assert_eq!(outputs.unwrap().real(0).shape().sizes(), [0, 1]);
}

/// The summary of the plan of one output.
fn summary(output: Var<'_>) -> Summary {
    Plan::new(output.graph(), &[output]).unwrap().summary().clone()
}

#[test]
fn equal_work_is_done_once() {
    let graph = Graph::new();
    let (x, w) = (graph.input("x", [8, 8]), graph.input("w", [8, 8]));
    let work = || (x.matmul(w) + 1.0).sqrt();
    let once = work();
    let (twice, shared) = (summary(work().square() + work()), summary(once.square() + once));
    assert_eq!(twice, shared);
    assert!(shared.multiply_adds == 8 * 8 * 8);
}

#[test]
fn what_follows_from_constants_alone_is_no_work_of_a_run() {
    let graph = Graph::new();
    let x = graph.input("x", [8, 8]);
    let (made, given) =
        (graph.full([8, 8], 2.0).matmul(graph.ones([8, 8])).cumsum(0), graph.constant(&Tensor::<f64>::ones([8, 8])));
    let (made, given) = (summary(x * made), summary(x * given));
    assert_eq!((made.units, made.arena), (given.units, given.arena));
}

#[test]
fn memory_is_used_again() {
    let graph = Graph::new();
    let mut y = graph.input("x", [100, 100]);
    for _ in 0..20 {
        y = y.matmul(y) * 0.01;
    }
    let summary = summary(y.sum());
    // A product reads one matrix and writes another; forty are made.
    assert!(summary.arena * 10 < summary.activations, "{summary}");
}

#[test]
fn a_run_says_what_was_not_fed_well() {
    let graph = Graph::new();
    let x = graph.input("x", [2, 3]);
    let mut session = Plan::new(&graph, &[x * 2.0]).unwrap().session::<f64>();
    let mut message = |feed: Feed<'_, f64>| {
        let text = session.run(&Params::new(0), &feed).unwrap_err().to_string();
        // The line and column of this file are not the point.
        text.split("crates/graph").next().unwrap().to_owned()
    };
    let (wrong, index, extra) =
        (Tensor::<f64>::zeros([3, 2]), Tensor::full([2, 3], 0_i64), Tensor::<f64>::zeros([2, 3]));
    assert_eq!(
        message(Feed::new()),
        "input `x` was not fed (nothing was); it is declared as real numbers of shape [2, 3] at "
    );
    assert_eq!(
        message(Feed::new().with("x", &wrong)),
        "input `x` was fed real numbers of shape [3, 2]; it is declared as real numbers of shape [2, 3] at "
    );
    assert_eq!(
        message(Feed::new().with("x", &index)),
        "input `x` was fed indices of shape [2, 3]; it is declared as real numbers of shape [2, 3] at "
    );
    assert_eq!(
        message(Feed::new().with("x", &extra).with("y", &extra)),
        "the graph has no input named `y`, but it was fed; its inputs are: `x`"
    );
}

#[test]
fn a_long_chain_neither_overflows_nor_slows() {
    let graph = Graph::new();
    let x = graph.input("x", []);
    let mut z = x;
    for _ in 0..100_000 {
        z = z * 0.5 + z.square() * 0.25;
    }
    let gradient = graph.grad(z, &[x]).unwrap()[0];
    let mut session = Plan::new(&graph, &[z, gradient]).unwrap().session::<f64>();
    let x = Tensor::scalar(1.0);
    let outputs = session.run(&Params::new(0), &Feed::new().with("x", &x)).unwrap();
    assert!(outputs.real(0).item().is_finite() && outputs.real(1).item().is_finite());
}

#[test]
fn a_constant_cotangent_does_not_cut_a_loop_in_two() {
    let graph = Graph::new();
    let x = graph.input("x", [100]);
    let value = (x.sigmoid() * x.tanh() + (-x.square()).exp()).mean();
    let gradient = graph.grad(value, &[x]).unwrap()[0];
    let (both, alone) = (Plan::new(&graph, &[value, gradient]).unwrap(), summary(value));
    // The gradient is made in the loop of the value, and of all that leads to both one tensor is stored for the mean.
    assert_eq!((both.summary().units, both.summary().arena), (alone.units, alone.arena));
    assert!(alone.units < alone.nodes && alone.arena * 4 < alone.activations, "{alone}");
}

#[test]
fn a_product_that_is_read_transposed_is_written_so() {
    let graph = Graph::new();
    let (x, w, turned) = (graph.input("x", [4, 3]), graph.input("w", [5, 3]), graph.input("turned", [3, 5]));
    let gradient = |product: Var<'_>, wrt| summary(graph.grad(product.square().sum(), &[wrt]).unwrap()[0]);
    // No copy that turns the gradient.
    assert_eq!(gradient(x.matmul(w.t()), w).units, gradient(x.matmul(turned), turned).units);
    // Nor of a gradient that is a sum of products.
    let (x, w, turned) = (graph.input("rows", [4, 5]), graph.input("v", [5, 5]), graph.input("other", [5, 5]));
    let thrice = |w| x.matmul(w).tanh().matmul(w).tanh().matmul(w);
    let (plain, through) = (gradient(thrice(turned), turned), gradient(thrice(w.t()), w));
    assert_eq!(plain.units, through.units);
}

/// Random indices are the same by every way, in every precision, and in a checkpointed part; another step draws others.
#[test]
fn random_indices_by_a_plan_and_plainly() {
    let graph = Graph::new();
    let classes = graph.randint(-3..4, [200]);
    let x = graph.constant(&Tensor::<f64>::from_fn([200], |k| k as f64));
    let inside = graph.checkpoint(|| graph.randint(0..200, [50]).one_hot(200).matmul(x.unsqueeze(1)).sum());
    let slope = graph.grad(inside, &[x]).unwrap()[0];
    let vars = [classes, slope, inside];
    let (params, feed) = (Params::<f64>::new(0), Feed::new().random(3, 7));
    let plain = graph.eval_with(&vars, &params, &feed).unwrap();
    let plan = Plan::new(&graph, &vars).unwrap();
    let mut session = plan.session::<f64>();
    let outputs = session.run(&params, &feed).unwrap();
    assert_eq!((outputs.indices(0), outputs.real(1)), (plain[0].index(), plain[1].real()));
    assert_eq!(plain[1].real().sum(), 50.0);
    assert_eq!((plain[1].real() * &Tensor::from_fn([200], |k| k as f64)).sum(), plain[2].real().item());
    let single = graph.eval_with::<f32>(&vars[..1], &Params::new(0), &Feed::new().random(3, 7)).unwrap();
    assert_eq!(single[0].index(), plain[0].index());
    for value in -3..4 {
        assert!(plain[0].index().data().contains(&value));
    }
    let other = session.run(&params, &Feed::new().random(3, 8)).unwrap();
    assert_ne!(other.indices(0), plain[0].index());
}

#[test]
fn a_range_without_integers_is_refused() {
    let line = line!() + 1;
    let (message, place) = panic_of(|| _ = Graph::new().randint(2..2, [1]));
    assert_eq!(message, "`randint`: there is no integer in 2..2");
    assert_eq!(place, (file!().to_owned(), line));
}
