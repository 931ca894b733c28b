//! What a step gives beside the loss and its gradients: auxiliary values, gradients with respect to inputs, products of
//! the Hessian. And that the closure that is trained is the one that is checked.

use std::cell::Cell;

use gradus_graph::check::{self, Check};
use gradus_graph::{AnyTensor, ErrorKind, Params, Tensor, Var, loss_fn, loss_with_aux_fn, model_fn};
use gradus_nn::{Dense, Given, Lstm, LstmState, Mode, Sequence, loss};
use gradus_train::{Function, Step};

fn wave(shape: impl Into<Vec<usize>>, phase: f64) -> Tensor<f64> {
    Tensor::from_fn(shape.into(), |k| (0.7 * k as f64 + phase).sin())
}

/// The outputs of an LSTM, and its state after them.
fn read<'g>(lstm: &Lstm, x: Var<'g>, [hidden, cell]: [Var<'g>; 2]) -> (Var<'g>, [Var<'g>; 2]) {
    let given = Given { state: Some(LstmState { hidden, cell }), ..Given::default() };
    let Sequence { outputs, state } = lstm.sequence(x, given, Mode::Train);
    (outputs, [state.hidden, state.cell])
}

#[test]
fn the_state_of_a_sequence_goes_from_part_to_part() {
    let mut params: Params<f64> = Params::new(1);
    let lstm = Lstm::new(&mut params, "lstm", 2, 3);
    let mut step = Step::with_aux(|_, [x, hidden, cell]| {
        let (outputs, state) = read(&lstm, x, [hidden, cell]);
        (outputs.square().mean(), state)
    });
    let mut whole = Function::new(|_, [x, hidden, cell]| [read(&lstm, x, [hidden, cell]).0]);
    let x = wave([6, 2, 2], 0.0);
    let zeros = Tensor::zeros([1, 2, 3]);
    let [expected] = whole.run(&params, (&x, &zeros, &zeros)).expect("it runs");
    let [mut hidden, mut cell] = [0, 1].map(|_| AnyTensor::Real(zeros.clone()));
    let mut gradients_of_parts = Vec::new();
    for part in 0..3 {
        let x = x.rows(2 * part, 2 * part + 2);
        let gradients = step.run(&mut params, (&x, &hidden, &cell)).expect("it runs");
        let gradient = gradients.iter().next().expect("there are parameters").1.clone();
        gradients_of_parts.push(gradient);
        [hidden, cell] = gradients.aux().map(AnyTensor::clone);
    }
    // The last state is that of the sequence as a whole.
    let last = expected.real().rows(5, 6);
    hidden.real().assert_close(&last, 1e-14, 0.0);
    assert_eq!(step.traces(), 1);
    // Each gradient is that of its part alone, from a state that is a constant.
    let mut alone = Step::new(|graph, [x]| {
        let zeros = graph.zeros([1, 2, 3]);
        read(&lstm, x, [zeros, zeros]).0.square().mean()
    });
    let gradients = alone.run(&mut params, &x.rows(0, 2)).expect("it runs");
    gradients_of_parts[0].assert_close(gradients.iter().next().expect("there are parameters").1, 1e-14, 0.0);
    assert!(gradients_of_parts[1] != gradients_of_parts[0]);
}

#[test]
fn captured_values_are_constants_and_inputs_are_not() {
    let mut params: Params = Params::new(0);
    let w = params.add("w", Tensor::from([1.0, 2.0]));
    let captured = Cell::new(1.0);
    let mut step = Step::new(|graph, [weight]| {
        let w = graph.param(&w);
        w.sum() * captured.get() + w.square().sum() * weight
    });
    let mut gradient = |weight: f32| {
        let gradients = step.run(&mut params, &Tensor::scalar(weight)).expect("it runs");
        gradients.iter().next().expect("there is one").1.data().to_vec()
    };
    assert_eq!(gradient(0.5), [2.0, 3.0]);
    captured.set(100.0);
    assert_eq!(gradient(0.5), [2.0, 3.0]);
    assert_eq!(gradient(0.25), [1.5, 2.0]);
    assert_eq!(step.traces(), 1);
}

#[test]
fn gradients_of_inputs_are_given_on_request() {
    let mut params: Params<f64> = Params::new(2);
    let dense = Dense::new(&mut params, "dense", 3, 4);
    let loss = loss_fn(|_, [x, classes, weights]| loss::cross_entropy(dense.forward(x * weights), classes));
    let (x, classes, weights) = (wave([2, 3], 0.2), Tensor::from([3, 0]), wave([3], 1.0));
    let mut plain = Step::new(&loss);
    let mut step = Step::new(&loss).wrt_inputs([2, 0]);
    let expected = plain.run(&mut params, (&x, &classes, &weights)).expect("it runs");
    let gradients = step.run(&mut params, (&x, &classes, &weights)).expect("it runs");
    assert_eq!(gradients.loss(), expected.loss());
    assert!(gradients.iter().eq(expected.iter()));
    let found = [gradients.input(0).clone(), gradients.input(2).clone()];
    let mut at =
        |x: &Tensor<f64>, weights: &Tensor<f64>| plain.at(&params, (x, &classes, weights)).expect("it runs").loss();
    for (number, base) in [&x, &weights].into_iter().enumerate() {
        for element in 0..base.len() {
            let moved = |by: f64| {
                let mut moved = base.clone();
                moved.data_mut()[element] += by;
                moved
            };
            let value = |moved: &Tensor<f64>, at: &mut dyn FnMut(&Tensor<f64>, &Tensor<f64>) -> f64| match number {
                0 => at(moved, &weights),
                _ => at(&x, moved),
            };
            let slope = (value(&moved(1e-5), &mut at) - value(&moved(-1e-5), &mut at)) / 2e-5;
            assert!((slope - found[number].data()[element]).abs() < 1e-9, "input {number}, element {element}");
        }
    }
    // An adversarial example of a model that is frozen.
    params.set_trainable(false, |_| true);
    let gradients = step.run(&mut params, (&x, &classes, &weights)).expect("it runs");
    assert_eq!((gradients.iter().count(), gradients.input(0)), (0, &found[0]));
    let error =
        Step::new(&loss).wrt_inputs([1]).run(&mut params, (&x, &classes, &weights)).expect_err("these are classes");
    assert_eq!(error.kind(), ErrorKind::Derivative);
    assert_eq!(error.to_string(), "input 1 is indices, which have no gradient: `Step::wrt_inputs` asks for it");
}

#[test]
#[should_panic(expected = "`Step::wrt_inputs`: there is no input 1: the closure takes 1")]
fn an_input_that_is_not_there_has_no_gradient() {
    let _ = Step::<_, 1>::new(|_, [x]| x.sum()).wrt_inputs([1]);
}

#[test]
#[should_panic(expected = "there is no gradient of input 0: ask for it with `Step::wrt_inputs`")]
fn a_gradient_that_was_not_asked_for() {
    let mut params: Params = Params::new(0);
    let w = params.add("w", Tensor::scalar(1.0));
    let mut step = Step::new(|graph, [x]| (graph.param(&w) * x).sum());
    step.run(&mut params, &Tensor::<f32>::ones([2])).expect("it runs").input(0);
}

#[test]
fn products_of_the_hessian_are_differences_of_gradients() {
    let mut params: Params<f64> = Params::new(3);
    let (hidden, output) = (Dense::new(&mut params, "hidden", 3, 4), Dense::new(&mut params, "output", 4, 2));
    let scale = params.add_buffer("scale", Tensor::scalar(1.0));
    let mut step = Step::new(|graph, [x, y]| {
        graph.update(&scale, graph.updated(&scale) * 2.0);
        loss::mse(output.forward(hidden.forward(x).tanh()), y)
    });
    let (x, y) = (wave([5, 3], 0.1), wave([5, 2], 0.5));
    let mut direction = params.clone();
    for (number, param) in params.trainable().cloned().collect::<Vec<_>>().iter().enumerate() {
        direction.set(param, wave(param.shape().sizes(), number as f64));
    }
    let products: Vec<Tensor<f64>> = {
        let products = step.hvp(&params, (&x, &y), &direction).expect("it runs");
        let names: Vec<&str> = products.iter().map(|(param, _)| param.name()).collect();
        assert_eq!(names, ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]);
        products.iter().map(|(_, product)| product.clone()).collect()
    };
    assert_eq!(params.get(&scale).item(), 1.0);
    let mut gradient = |by: f64| -> Vec<Tensor<f64>> {
        let mut moved = params.clone();
        for param in params.trainable() {
            let step = direction.get(param).data();
            moved.get_mut(param).data_mut().iter_mut().zip(step).for_each(|(x, d)| *x += by * d);
        }
        let gradients = step.at(&moved, (&x, &y)).expect("it runs");
        gradients.iter().map(|(_, gradient)| gradient.clone()).collect()
    };
    // The error of these differences is about 1e-10, of the third derivative and of rounding.
    for ((product, above), below) in products.iter().zip(gradient(1e-5)).zip(gradient(-1e-5)) {
        let pairs = product.data().iter().zip(above.data().iter().zip(below.data()));
        for (product, (above, below)) in pairs {
            assert!((product - (above - below) / 2e-5).abs() < 1e-8);
        }
    }
    assert_eq!(step.traces(), 2, "one of first and one of second order");
    let other: Params<f64> = Params::new(3);
    let error = step.hvp(&params, (&x, &y), &other).expect_err("the direction is of another store");
    assert_eq!(error.to_string(), "the direction has no parameter `hidden.weight`: it must be a clone of the store");
}

#[test]
fn a_step_tells_its_seed_and_its_plan() {
    let mut params: Params = Params::new(0);
    let w = params.add("w", Tensor::zeros([4, 5]));
    let mut step = Step::new(|graph, [x]| x.matmul(graph.param(&w)).mean()).seed(9);
    assert_eq!((step.random_seed(), step.summary()), (9, None));
    fn to_another_thread<S: Send + Sync>(_: &S) {}
    to_another_thread(&step);
    for (rows, multiply_adds) in [(2, 2 * 2 * 4 * 5), (3, 2 * 3 * 4 * 5)] {
        step.run(&mut params, &Tensor::<f32>::ones([rows, 4])).expect("it runs");
        let summary = step.summary().expect("there is a trace");
        assert_eq!((summary.parameters, summary.multiply_adds), (20, multiply_adds));
    }
}

#[test]
fn several_scopes_are_trained_together() {
    let mut params: Params = Params::new(0);
    let all = ["a", "ab", "b"].map(|name| params.scope(name, |params| params.add("x", Tensor::scalar(2.0))));
    let product = loss_fn(|graph, []| all.iter().fold(graph.scalar(1.0), |product, x| product * graph.param(x)));
    let mut step = Step::new(&product).only(["a", "b"]);
    let gradients = step.run(&mut params, ()).expect("it runs");
    assert_eq!(gradients.iter().map(|(param, _)| param.name()).collect::<Vec<_>>(), ["a.x", "b.x"]);
    let refused = |scopes: &[&str], params: &mut Params| {
        Step::new(&product).only(scopes).run(params, ()).expect_err("a scope is empty").to_string()
    };
    // A name that is misspelt is found, though the other scope has parameters.
    assert_eq!(refused(&["a", "c"], &mut params), "there is no trainable parameter in the scope `c`");
    params.set_trainable(false, |name| name != "ab.x");
    assert_eq!(refused(&["a", "b"], &mut params), "there is no trainable parameter in the scopes `a`, `b`");
}

#[test]
fn the_loss_that_is_trained_is_the_loss_that_is_checked() {
    let mut params: Params = Params::new(4);
    let (hidden, output) = (Dense::new(&mut params, "hidden", 3, 4), Dense::new(&mut params, "output", 4, 3));
    let model = model_fn(|x| output.forward(hidden.forward(x).tanh()));
    let (x, classes) = (wave([2, 3], 0.3).cast::<f32>(), Tensor::from([2, 0]));

    let plain = loss_fn(|_, [x, classes]| loss::cross_entropy(model(x), classes));
    let first = Step::new(&plain).run(&mut params, (&x, &classes)).expect("it runs").loss();
    check::assert_model(&params, (&x, &classes), plain);

    let with_logits = loss_with_aux_fn(|_, [x, classes]| {
        let logits = model(x);
        (loss::cross_entropy(logits, classes), [logits])
    });
    let mut step = Step::with_aux(&with_logits);
    let gradients = step.run(&mut params, (&x, &classes)).expect("it runs");
    let [logits] = gradients.aux();
    assert_eq!((gradients.loss(), logits.shape().sizes()), (first, &[2, 3][..]));
    check::assert_model(&params, (&x, &classes), |graph, inputs| with_logits(graph, inputs).0);

    let wrong = loss_fn(|_, [x, classes]| {
        let lost: Var<'_> = model(x);
        loss::cross_entropy(lost * lost.stop_gradient(), classes)
    });
    let failure = Check::new().model(&params, (&x, &classes), wrong).expect_err("half of the derivative is lost");
    assert_eq!(failure.op.as_ref().expect("an op is at fault").name, "stop_gradient");
}
