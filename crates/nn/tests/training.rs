//! Layers, losses and penalties together: small models that learn by plain gradient descent, in single precision.

use gradus_graph::{Feed, Graph, Param, Params, Plan, Tensor, Var};
use gradus_nn::{Dense, Dropout, Layer, Mode, Tanh, loss, penalty};

/// Runs `steps` steps of gradient descent; gives the last loss.
fn descend(params: &mut Params, rate: f32, steps: u64, build: impl for<'g> Fn(&'g Graph) -> Var<'g>) -> f32 {
    let graph = Graph::new();
    let loss = build(&graph);
    let (names, vars): (Vec<Param>, Vec<Var<'_>>) = graph.params().into_iter().unzip();
    let mut outputs = vec![loss];
    outputs.extend(graph.grad(loss, &vars).expect("the loss depends on every parameter"));
    let mut session = Plan::new(&graph, &outputs).expect("the graph can be planned").session::<f32>();
    let mut last = f32::NAN;
    for step in 0..steps {
        let feed = Feed::new().random(5, step);
        let values = session.run(params, &feed).expect("a run without inputs cannot fail");
        last = values.real(0).item();
        for (number, param) in names.iter().enumerate() {
            let target = params.get_mut(param).data_mut();
            target.iter_mut().zip(values.real(number + 1).data()).for_each(|(w, g)| *w -= rate * g);
        }
    }
    last
}

const CORNERS: [[f64; 2]; 4] = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];

#[test]
fn a_stack_learns_exclusive_or() {
    let mut params = Params::new(2);
    let model = (Dense::new(&mut params, "hidden", 2, 8), Tanh, Dense::new(&mut params, "output", 8, 1));
    let last = descend(&mut params, 1.0, 500, |graph| {
        let y = model.forward(graph.constant(&Tensor::from_rows(CORNERS)));
        let targets = graph.constant(&Tensor::from([0.0, 1.0, 1.0, 0.0])).reshape([4, 1]);
        loss::binary_cross_entropy_with_logits(y, targets)
    });
    assert!(last < 0.05, "{last}");
}

#[test]
fn dropout_trains_and_evaluation_is_a_fixed_function() {
    let mut params = Params::new(3);
    let model =
        (Dense::new(&mut params, "hidden", 2, 64), Tanh, Dropout::new(0.2), Dense::new(&mut params, "output", 64, 2));
    let last = descend(&mut params, 0.5, 500, |graph| {
        let logits = model.forward_in(graph.constant(&Tensor::from_rows(CORNERS)), Mode::Train);
        loss::cross_entropy(logits, graph.index_constant(&Tensor::from([0, 1, 1, 0])))
    });
    assert!(last < 0.3, "{last}");
    let graph = Graph::new();
    let logits = model.forward_in(graph.constant(&Tensor::from_rows(CORNERS)), Mode::Eval);
    let at = |step| {
        graph.eval_with(&[logits], &params, &Feed::new().random(0, step)).expect("there is nothing to feed")[0]
            .real()
            .clone()
    };
    let values = at(0);
    assert_eq!(values, at(1));
    for (row, label) in [0, 1, 1, 0].into_iter().enumerate() {
        assert!(values.at(&[row, label]) > values.at(&[row, 1 - label]), "{values}");
    }
}

#[test]
fn penalties_shrink_what_they_are_given_and_nothing_else() {
    let mut params = Params::new(4);
    let layer = Dense::new(&mut params, "layer", 3, 2);
    let before = params.clone();
    let weights: Vec<Param> =
        params.iter().map(|(param, _)| param.clone()).filter(|p| p.name().ends_with("weight")).collect();
    descend(&mut params, 0.1, 100, |graph| penalty::l2(graph, &weights));
    assert!(params.get(layer.weight()).data().iter().all(|w| w.abs() < 1e-6));
    let bias = layer.bias().expect("there is one");
    assert_eq!(params.get(bias), before.get(bias));
}
