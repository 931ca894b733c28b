//! Compiled steps and functions: what they keep, what they refuse, and how they grow.

use std::time::Instant;

use gradus_graph::{Error, ErrorKind, Graph, Param, Params, Tensor, Var};
use gradus_nn::{BatchNorm, Dense, Layer, Mode};
use gradus_optim::{Adam, Optimizer};
use gradus_train::{Function, Step, checkpoint};

/// Asserts that the message names a line of this file from `first` on, and gives it with the position as `HERE`.
#[track_caller]
fn told(error: &Error, first: u32) -> String {
    let message = error.to_string();
    let (before, rest) = message.split_once(concat!(file!(), ":")).expect("the message names a line of the test");
    let (position, after) = rest.split_at(rest.find(|c: char| c != ':' && !c.is_ascii_digit()).unwrap_or(rest.len()));
    let line: u32 = position.split(':').next().and_then(|line| line.parse().ok()).expect("a line has a number");
    assert!((first..first + 12).contains(&line), "line {line} is not behind {first}: {message}");
    format!("{before}HERE{after}")
}

fn values(params: &Params) -> Vec<Tensor<f32>> {
    params.iter().map(|(_, value)| value.clone()).collect()
}

#[test]
fn traces_are_bounded_and_the_last_used_stay() {
    let mut params: Params = Params::new(0);
    let w = params.add("w", Tensor::from([2.0]));
    let mut step = Step::new(|graph, [x]| (graph.param(&w) * x).sum());
    let mut loss = |rows: usize| step.run(&mut params, &Tensor::<f32>::ones([rows])).map(|g| g.loss());
    // Kept without bound, batches of 1 to 3000 rows of a middling model took 19 GB.
    for rows in 1..=3000 {
        assert_eq!(loss(rows).expect("it runs"), 2.0 * rows as f32);
    }
    for rows in (3000 - 63..=3000).rev().chain([3000 - 64]) {
        assert_eq!(loss(rows).expect("it runs"), 2.0 * rows as f32);
    }
    assert_eq!(step.traces(), 3001, "the last 64 were kept, and those alone");
    let mut double = Function::new(|_, [x]| [x * 2.0]).keep(1);
    // The kind of an input and its shape tell traces apart; an evaluation of nothing is fine.
    for rows in [1, 0, 0, 1] {
        let x = Tensor::<f32>::ones([rows, 3]);
        assert_eq!(double.run(&params, &x).expect("it runs")[0].shape().sizes(), [rows, 3]);
    }
    assert_eq!(double.traces(), 3);
}

#[test]
fn frozen_parameters_have_traces_of_their_own() {
    let mut params: Params = Params::new(0);
    let [a, b] = ["a", "b"].map(|name| params.scope(name, |params| params.add("x", Tensor::scalar(2.0))));
    let mut step = Step::new(|graph, []| graph.param(&a) * graph.param(&b));
    let mut only = Step::new(|graph, []| graph.param(&a) * graph.param(&b)).only(["b"]);
    let names = |gradients: gradus_train::Gradients<'_, f32>| -> Vec<String> {
        gradients.iter().map(|(param, _)| param.name().to_owned()).collect()
    };
    for (frozen, expected) in [("", &["a.x", "b.x"][..]), ("a", &["b.x"]), ("", &["a.x", "b.x"]), ("b", &["a.x"])] {
        params.set_trainable(true, |_| true);
        params.set_trainable(false, |name| !frozen.is_empty() && name.starts_with(frozen));
        assert_eq!(names(step.run(&mut params, ()).expect("it runs")), expected);
        if frozen == "b" {
            let error = only.run(&mut params, ()).expect_err("nothing is left");
            assert_eq!(error.to_string(), "there is no trainable parameter in the scope `b`");
        } else {
            assert_eq!(names(only.run(&mut params, ()).expect("it runs")), ["b.x"]);
        }
    }
    // What is frozen outside the scope is nothing to the step of the scope.
    assert_eq!((step.traces(), only.traces()), (3, 1));
}

#[test]
fn nothing_to_train_is_an_error() {
    let mut params: Params = Params::new(0);
    let mut none = Step::new(|graph, []| graph.scalar(1.0));
    let error = none.run(&mut params, ()).expect_err("the store is empty");
    assert_eq!(error.to_string(), "there is no parameter in the store");
    let dense = Dense::new(&mut params, "dense", 2, 1);
    params.add_buffer("mean", Tensor::scalar(0.0));
    params.set_trainable(false, |_| true);
    let mut step = Step::new(|_, [x]| dense.forward(x).sum());
    let x = Tensor::<f32>::ones([3, 2]);
    for _ in 0..2 {
        let error = step.run(&mut params, &x).expect_err("all is frozen");
        assert_eq!(error.kind(), ErrorKind::Derivative);
        assert_eq!(
            error.to_string(),
            "there is no trainable parameter: all 3 tensors of the store are frozen or buffers; \
             `Params::set_trainable` frees parameters, and `Function` evaluates without gradients"
        );
    }
    params.set_trainable(true, |_| true);
    assert_eq!(step.run(&mut params, &x).expect("it runs").iter().count(), 2);
}

#[test]
fn a_loss_that_is_no_scalar_names_the_line_that_made_it() {
    let mut params: Params = Params::new(0);
    let dense = Dense::new(&mut params, "dense", 2, 1);
    let x = Tensor::<f32>::ones([3, 2]);
    let line = line!();
    let mut step = Step::new(|_, [x]| dense.forward(x).square());
    let error = step.run(&mut params, &x).expect_err("it has three elements");
    assert_eq!(error.kind(), ErrorKind::Derivative);
    let text = told(&error, line);
    let expected =
        "`grad` of a value of shape [3, 1], `square` at HERE only a real scalar has a gradient; take `sum()`";
    assert!(text.starts_with(expected), "{text}");
    let line = line!();
    let mut step = Step::new(|_, [x]| dense.forward(x).reshape([3]).argmax(0));
    let error = step.at(&params, &x).expect_err("an index has no gradient");
    assert!(
        told(&error, line).starts_with("`grad` of indices, `argmax` at HERE indices have no derivative"),
        "{error}"
    );
}

#[test]
fn what_a_loss_does_not_depend_on_names_the_line_of_the_step() {
    let mut params: Params = Params::new(0);
    let (w, v) = (params.add("w", Tensor::scalar(1.0)), params.add("v", Tensor::scalar(1.0)));
    let mut step = Step::new(|graph, []| {
        let _lost = graph.param(&v);
        graph.param(&w) * 2.0
    });
    let line = line!();
    let error = step.run(&mut params, ()).expect_err("`v` does not matter");
    let text = error.to_string();
    assert!(text.ends_with(&format!("gives zeros instead (at {}:{}:22)", file!(), line + 1)), "{text}");
}

#[test]
fn an_empty_batch_is_refused_by_a_step() {
    let mut params: Params = Params::new(0);
    let dense = Dense::new(&mut params, "dense", 64, 1);
    let mut step = Step::new(|_, [x, places]| dense.forward(x).mean() + places.to_real().sum());
    let (x, places) = (Tensor::<f32>::ones([2, 64]), Tensor::from([1_i64]));
    let (no_x, no_places) = (Tensor::<f32>::ones([0, 64]), Tensor::<i64>::from(vec![]));
    let before = values(&params);
    for (x, places, name, shape) in [(&no_x, &places, "input0", "[0, 64]"), (&x, &no_places, "input1", "[0]")] {
        for error in [
            step.run(&mut params, (x, places)).expect_err("a batch is empty"),
            step.at(&params, (x, places)).expect_err("a batch is empty"),
        ] {
            assert_eq!(error.kind(), ErrorKind::Feed);
            let expected = format!("input `{name}` of shape {shape} has no elements: there is nothing to learn from");
            assert_eq!(error.to_string(), expected);
        }
    }
    assert_eq!((step.traces(), step.position(), values(&params)), (0, 0, before));
    let mut output = Function::new(|_, [x]| [dense.forward(x)]);
    assert_eq!(output.run(&params, &no_x).expect("it runs")[0].shape().sizes(), [0, 1]);
}

#[test]
fn a_batch_that_is_not_finite_does_not_enter_the_running_statistics() {
    let mut params: Params = Params::new(0);
    let model = (
        BatchNorm::new(&mut params, "first", 2),
        Dense::new(&mut params, "dense", 2, 2),
        BatchNorm::new(&mut params, "second", 2),
    );
    let mut step = Step::new(|_, [x]| model.forward_in(x, Mode::Train).square().sum());
    let mut optimizer = Optimizer::new(Adam::new(0.1));
    let good = Tensor::<f32>::from_fn([4, 2], |k| (k as f32).sin());
    let gradients = step.run(&mut params, &good).expect("it runs");
    optimizer.step(&mut params, &gradients).expect("the gradients are finite");
    let before = values(&params);
    for wrong in [f32::NAN, f32::INFINITY, 1e30] {
        let mut bad = good.clone();
        bad.data_mut()[3] = wrong;
        let error = step.run(&mut params, &bad).expect_err("the batch is not finite");
        assert_eq!(error.kind(), ErrorKind::Run);
        let text = error.to_string();
        assert!(text.starts_with("the new value of buffer `first.running_"), "{text}");
        assert!(text.ends_with(" at [1]; no buffer was changed"), "{text}");
        assert_eq!(values(&params), before);
        step.at(&params, &bad).expect("a look changes no buffer");
    }
    step.run(&mut params, &good).expect("the next batch is right");
}

/// A store of `count` parameters, and a step whose loss is a balanced tree of their sums.
fn crowd(count: usize) -> (Params, Vec<Param>) {
    let mut params: Params = Params::new(0);
    let list = (0..count).map(|k| params.add(&format!("p{k}"), Tensor::scalar(k as f32))).collect();
    (params, list)
}

fn total<'g>(graph: &'g Graph, list: &[Param]) -> Var<'g> {
    let mut terms: Vec<Var<'g>> = list.iter().map(|param| graph.param(param)).collect();
    while terms.len() > 1 {
        terms = terms.chunks(2).map(|pair| if pair.len() == 2 { pair[0] + pair[1] } else { pair[0] }).collect();
    }
    terms[0]
}

/// Time that grows with the square of the number of parameters shows here: a minute or more.
#[test]
fn a_hundred_thousand_parameters_are_trained() {
    let start = Instant::now();
    let (mut params, list) = crowd(100_000);
    let mut step = Step::new(|graph, []| total(graph, &list));
    let mut optimizer = Optimizer::new(Adam::new(1.0));
    for _ in 0..2 {
        let gradients = step.run(&mut params, ()).expect("it runs");
        optimizer.step(&mut params, &gradients).expect("the gradients are finite");
    }
    assert_eq!(step.traces(), 1);
    assert!((params.get(&list[7]).item() - 5.0).abs() < 1e-3);
    let seconds = start.elapsed().as_secs_f64();
    assert!(seconds < 30.0, "{seconds:.1} s");
}

#[test]
fn many_parameters_are_saved_and_resumed() {
    let start = Instant::now();
    let (mut params, list) = crowd(20_000);
    let mut optimizer = Optimizer::new(Adam::new(1.0));
    let gradient = Tensor::scalar(1.0);
    optimizer.step(&mut params, list.iter().map(|param| (param, &gradient))).expect("the gradients are finite");
    let path = std::env::temp_dir().join(format!("gradus-many-{}", std::process::id()));
    let mut resumed = Optimizer::new(Adam::new(1.0));
    checkpoint::save(&path, &params, &[("optimizer", &optimizer)]).expect("it can be written");
    checkpoint::load(&path, &mut params, &mut [("optimizer", &mut resumed)]).expect("it can be read");
    std::fs::remove_file(&path).expect("it can be removed");
    assert!(resumed.state() == optimizer.state());
    let seconds = start.elapsed().as_secs_f64();
    assert!(seconds < 30.0, "{seconds:.1} s");
}

#[test]
fn a_parameter_of_another_store_is_named_with_its_line() {
    // A student and a teacher under the same names, in stores of their own.
    let build = || {
        let mut params: Params = Params::new(0);
        let weight = params.scope("d", |params| params.add("weight", Tensor::from([params.len() as f32 + 1.0])));
        (params, weight)
    };
    let ((mut student, ours), (_, theirs)) = (build(), build());
    let first = line!();
    let mut step = Step::new(|graph, []| {
        let (a, b) = (graph.param(&ours), graph.param(&theirs));
        (a - b).square().sum()
    });
    let error = step.run(&mut student, ()).unwrap_err();
    assert_eq!(
        told(&error, first),
        "parameter `d.weight` at HERE, of shape [1], is not in this store: a store that was built apart is another, \
         also if its names are the same"
    );
}
