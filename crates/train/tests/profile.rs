//! A profile names the ops, scopes and lines of a step, and changes nothing.

use gradus_graph::{Params, Tensor};
use gradus_nn::{Dense, Dropout, Layer, Mode, Relu, loss};
use gradus_train::Step;
use serde_json::Value;

#[test]
fn a_profile_names_what_takes_the_time() {
    let mut params: Params = Params::new(0);
    let model = (
        Dense::new(&mut params, "first", 64, 128),
        Relu,
        Dropout::new(0.5),
        Dense::new(&mut params, "second", 128, 10),
    );
    let mut step = Step::new(|_, [x, y]| loss::cross_entropy(model.forward_in(x, Mode::Train), y));
    let (x, y) = (Tensor::from_fn([32, 64], |k| (k as f32 * 0.1).sin()), Tensor::from_fn([32], |k| k as i64 % 10));
    let before = step.run(&mut params, (&x, &y)).expect("it runs").loss();
    let position = step.position();
    let profile = step.profile(&params, (&x, &y), 5).expect("it runs");
    assert_eq!((step.position(), profile.runs()), (position, 5));
    step.set_position(0);
    assert_eq!(step.run(&mut params, (&x, &y)).expect("it runs").loss(), before);

    // Two products forward, and for each the gradient of the weights; that of the input for the second alone.
    let ops = profile.by_op();
    let products = ops.iter().find(|entry| entry.name == "matmul").expect("there are products");
    assert_eq!(products.units, 5);
    assert_eq!(products.operations, 2 * 32 * (2 * 64 * 128 + 3 * 128 * 10));
    assert_eq!(products.operations, products.product_operations);
    let scopes: Vec<String> = profile.by_scope().into_iter().map(|entry| entry.scope).collect();
    assert!(scopes.iter().any(|scope| scope == "first") && scopes.iter().any(|scope| scope == "second"), "{scopes:?}");
    let lines = profile.by_line();
    assert!(lines.iter().any(|entry| entry.line.contains("tests/profile.rs")), "{profile}");
    assert!(lines.is_sorted_by(|a, b| a.seconds >= b.seconds));
    let whole: f64 = profile.units().iter().map(|entry| entry.seconds).sum();
    let grouped: f64 = lines.iter().map(|entry| entry.seconds).sum();
    assert!((whole - grouped).abs() <= 1e-9 * whole);
    assert_eq!(lines.iter().map(|entry| entry.units).sum::<usize>(), profile.units().len());
    assert!(profile.units().iter().all(|entry| entry.bytes > 0 && entry.operations > 0));

    let text = profile.to_string();
    assert!(text.lines().next().is_some_and(|line| line.starts_with("a run in f32: ")), "{text}");
    assert!(text.contains("matmul  first  ") && text.contains("limits: products "), "{text}");
    let picture = profile.to_svg();
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n") && picture.contains("matmul"));

    let trace: Value = serde_json::from_str(&profile.to_chrome_trace()).expect("it is JSON");
    let events = trace.as_array().expect("it is a list");
    assert_eq!(events.len(), profile.units().len());
    let mut end = 0.0;
    for (event, entry) in events.iter().zip(profile.units()) {
        assert_eq!((event["ph"].as_str(), event["name"].as_str()), (Some("X"), Some(&entry.name[..])));
        assert_eq!(event["args"]["bytes"].as_u64(), Some(entry.bytes));
        assert!(event["ts"].as_f64().expect("a number") >= end - 0.01);
        end = event["ts"].as_f64().expect("a number") + event["dur"].as_f64().expect("a number");
    }
}

#[test]
#[should_panic = "a profile measures at least one run, not 0"]
fn no_run_is_refused() {
    let function = gradus_train::Function::new(|_, [x]| [x * 2.0]);
    let _ = function.profile(&Params::new(0), &Tensor::<f64>::ones([2]), 0);
}
