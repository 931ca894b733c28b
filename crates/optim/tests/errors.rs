//! What a step refuses, in which words, and that nothing has moved then.

use gradus_graph::{Param, Params, Tensor};
use gradus_optim::{Adam, ClipGlobalNorm, NonFinite, Optimizer, SavedState, Sgd};

fn store() -> (Params<f64>, [Param; 2]) {
    let mut params = Params::new(0);
    let weight = params.scope("hidden", |params| params.add("weight", Tensor::full([2, 2], 1.0)));
    let bias = params.scope("hidden", |params| params.add("bias", Tensor::full([2], 1.0)));
    (params, [weight, bias])
}

/// Asserts that a step is refused with the message, and that parameters and state are as they were.
#[track_caller]
fn refused(params: &mut Params<f64>, gradients: &[(&Param, Tensor<f64>)], message: &str) {
    for mut optimizer in [Optimizer::new(Adam::new(0.1)), Optimizer::new((ClipGlobalNorm::new(1.0), Sgd::new(0.1)))] {
        let good: Vec<_> = params.trainable().map(|param| (param.clone(), Tensor::ones(param.shape()))).collect();
        optimizer.step(params, good.iter().map(|(param, gradient)| (param, gradient))).expect("these are right");
        let values = |params: &Params<f64>| params.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
        let before = (values(params), optimizer.state());
        let error = optimizer.step(params, gradients.iter().map(|(param, gradient)| (*param, gradient))).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!((values(params), optimizer.state()) == before, "something has moved");
    }
}

#[test]
fn a_gradient_that_is_not_finite_names_its_element() {
    let (mut params, [weight, bias]) = store();
    let bad = Tensor::from_rows([[0.0, 1.0], [f64::NEG_INFINITY, f64::NAN]]);
    let message = "the gradient of `hidden.weight` is -inf at [1, 0] in step 2; no parameter was changed";
    refused(&mut params, &[(&bias, Tensor::ones([2])), (&weight, bad)], message);
}

#[test]
fn gradients_fit_their_parameters() {
    let (mut params, [weight, bias]) = store();
    let message = "parameter `hidden.bias` has shape [2]; its gradient has [3]";
    refused(&mut params, &[(&weight, Tensor::ones([2, 2])), (&bias, Tensor::ones([3]))], message);
    let message = "two gradients were given for parameter `hidden.bias`";
    refused(&mut params, &[(&bias, Tensor::ones([2])), (&bias, Tensor::ones([2]))], message);
    let strange = Params::<f64>::new(0).add("strange", Tensor::ones([1]));
    refused(&mut params, &[(&strange, Tensor::ones([1]))], "parameter `strange` of shape [1] is not in this store");
    params.set_trainable(false, |name| name == "hidden.bias");
    let message = "parameter `hidden.bias` is frozen, but a gradient was given for it";
    refused(&mut params, &[(&bias, Tensor::ones([2]))], message);
}

#[test]
fn skipped_steps_are_counted() {
    let (mut params, [_, bias]) = store();
    let mut adam = Optimizer::new(Adam::new(0.1)).on_non_finite(NonFinite::Skip);
    adam.step(&mut params, [(&bias, &Tensor::from([1.0, f64::NAN]))]).expect("the step is skipped");
    assert_eq!((adam.steps(), adam.skipped()), (0, 1));
    assert_eq!(params.get(&bias).data(), [1.0, 1.0]);
    adam.step(&mut params, [(&bias, &Tensor::from([1.0, 1.0]))]).expect("the gradient is finite");
    assert_eq!((adam.steps(), adam.skipped(), adam.state().counts["skipped"]), (1, 1, 1));
}

#[test]
fn a_large_finite_gradient_is_finite() {
    let (mut params, [_, bias]) = store();
    let mut sgd = Optimizer::new((ClipGlobalNorm::new(1.0), Sgd::new(1.0)));
    sgd.step(&mut params, [(&bias, &Tensor::from([1e200, 0.0]))]).expect("the gradient is finite");
    assert_eq!(params.get(&bias).first_non_finite(), None);
}

#[test]
fn a_parameter_without_a_gradient_stays_and_starts_fresh() {
    let (mut params, list) = store();
    let mut adam = Optimizer::new(Adam::new(0.125));
    for _ in 0..50 {
        adam.step(&mut params, [(&list[0], &Tensor::ones([2, 2]))]).expect("the gradient is right");
    }
    assert_eq!(params.get(&list[1]).data(), [1.0, 1.0]);
    // Its bias correction is that of a first step, not of the fifty-first.
    adam.step(&mut params, [(&list[1], &Tensor::ones([2]))]).expect("the gradient is right");
    params.get(&list[1]).assert_close(&Tensor::from([0.875, 0.875]), 1e-7, 0.0);
}

#[test]
fn a_state_that_does_not_fit_is_refused_with_all_reasons() {
    let (mut params, list) = store();
    let mut adam = Optimizer::new(Adam::new(0.1));
    let gradients = [Tensor::ones([2, 2]), Tensor::ones([2])];
    adam.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
    let mut state = adam.state();
    state.tensors.remove("hidden.weight/first_moment");
    state.tensors.insert("hidden.bias/second_moment".to_owned(), Tensor::ones([3]));
    state.tensors.insert("head.weight/first_moment".to_owned(), Tensor::ones([3]));
    let error = adam.restore(&params, &state).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the state does not fit the part that is restored, or its parameters; missing: hidden.weight/first_moment; \
         unexpected: head.weight/first_moment; wrong shape: hidden.bias/second_moment ([3] for [2])"
    );
    // However much is wrong, the message is short.
    let mut crowded = state.clone();
    crowded.counts.extend((0..1000).map(|number| (format!("strange{number:03}"), number)));
    crowded.counts.insert("x".repeat(1_000_000), 0);
    let error = adam.restore(&params, &crowded).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("unexpected: head.weight/first_moment, strange000, strange001, "), "{text}");
    assert!(text.contains("strange018, … and 982 more; wrong shape: "), "{text}");
    assert_eq!(format!("{error:?}"), text);
    crowded.counts.retain(|name, _| !name.starts_with("strange"));
    assert!(adam.restore(&params, &crowded).unwrap_err().to_string().len() < 1000);
    assert_eq!(adam.state().tensors.len(), 4, "the optimizer is as it was");
    Optimizer::new(Adam::new(0.1)).restore(&params, &SavedState::default()).unwrap_err();
    let fresh = Optimizer::<f64>::new(Adam::new(0.1)).state();
    adam.restore(&params, &fresh).expect("the state before the first step fits");
    assert_eq!(adam.steps(), 0);
}

#[test]
#[should_panic(expected = "an update without a learning rate")]
fn an_update_needs_a_learning_rate() {
    Optimizer::<f32>::new(ClipGlobalNorm::new(1.0));
}

#[test]
#[should_panic(expected = "an update has one learning rate")]
fn two_rules_are_one_too_many() {
    Optimizer::<f32>::new((Sgd::new(0.1), Adam::new(0.1)));
}
