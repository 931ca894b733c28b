//! Every option against plain loops over single sequences, gradients to second order, lengths bit for bit, dropout,
//! carried states, and what is refused.

mod reference;

use gradus_graph::{Feed, Graph, Param, Params, Tensor, Var, check};

use super::*;
use crate::layer::{Layer, Mode};
use crate::test_numbers::numbers;
use reference::{Kind as Family, Reference};

/// A layer in a store of its own, with parameters that are no initial values, so that zeros and ones hide nothing.
fn made<C: RecurrentCell>(options: RecurrentOptions<C::Options>) -> (Params<f64>, Recurrent<C>) {
    let mut params = Params::new(5);
    let layer = Recurrent::with(&mut params, "layer", 3, 2, options);
    let all: Vec<Param> = params.iter().map(|(param, _)| param.clone()).collect();
    for (salt, param) in all.iter().enumerate() {
        params.set(param, numbers(param.shape(), salt));
    }
    (params, layer)
}

fn values<'g>(graph: &'g Graph, params: &Params<f64>, vars: &[Var<'g>]) -> Vec<Tensor<f64>> {
    graph.eval_with(vars, params, &Feed::new()).unwrap().iter().map(|value| value.real().clone()).collect()
}

/// Outputs and states of a layer on a batch of unequal lengths, from a given state, against the reference.
#[track_caller]
fn agrees<C: RecurrentCell>(family: Family, options: RecurrentOptions<C::Options>) {
    let (time, lengths) = (4, [2, 4, 0]);
    let (params, layer) = made::<C>(options.clone());
    let graph = Graph::new();
    let x = numbers([time, 3, 3], 90);
    let mut fed = graph.constant(&x);
    if options.batch_first {
        fed = fed.transpose(0, 1);
    }
    let cells = layer.cells().len();
    let parts: Vec<Tensor<f64>> =
        layer.cells()[0].state_sizes().iter().map(|&size| numbers([cells, 3, size], 91 + size)).collect();
    let vars: Vec<Var<'_>> = parts.iter().map(|part| graph.constant(part)).collect();
    for lengths in [Some(lengths), None] {
        let state = Some(C::State::of(&vars));
        let var = lengths.map(|lengths| graph.index_constant(&Tensor::from(lengths)));
        let Sequence { outputs, state } = layer.sequence(fed, Given { state, lengths: var }, Mode::Eval);
        let outputs = if options.batch_first { outputs.transpose(0, 1) } else { outputs };
        let found = values(&graph, &params, &[vec![outputs], state.parts()].concat());
        let reference =
            Reference { family, params: &params, layers: options.layers, directions: cells / options.layers };
        let expected = reference.run(&x, lengths.unwrap_or([time as i64; 3]), &parts);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            found.assert_close(expected, 1e-12, 1e-13);
        }
    }
}

fn rnns() -> Vec<RnnCellOptions> {
    let activations = [RnnActivation::Tanh, RnnActivation::Relu];
    activations.map(|activation| RnnCellOptions::new().activation(activation)).to_vec()
}

fn grus() -> Vec<GruCellOptions> {
    let resets = [Reset::After, Reset::Before];
    let of = |reset| {
        [Biases::Two, Biases::One, Biases::None].map(|biases| GruCellOptions::new().reset(reset).biases(biases))
    };
    resets.into_iter().flat_map(of).collect()
}

fn lstms() -> Vec<LstmCellOptions> {
    let plain = LstmCellOptions::new();
    vec![
        plain,
        plain.biases(Biases::One),
        plain.biases(Biases::None),
        plain.projection(1),
        plain.peepholes(),
        plain.coupled(),
        plain.coupled().peepholes().projection(3).biases(Biases::None),
        plain.layer_norm(),
        plain.layer_norm().biases(Biases::One),
        plain.layer_norm().peepholes().projection(3),
    ]
}

fn family(options: &LstmCellOptions) -> Family {
    Family::Lstm { coupled: options.coupled }
}

/// The cell alone, and in two layers, bidirectional, batch first.
fn stacks<O: Clone + Default>(cell: O) -> [RecurrentOptions<O>; 2] {
    let one = RecurrentOptions::new().cell(cell);
    [one.clone(), one.layers(2).bidirectional().batch_first()]
}

#[test]
fn every_option_agrees_with_plain_loops_over_single_sequences() {
    for cell in rnns() {
        let relu = cell.activation == RnnActivation::Relu;
        stacks(cell).into_iter().for_each(|options| agrees::<RnnCell>(Family::Rnn { relu }, options));
    }
    for cell in grus() {
        let before = cell.reset == Reset::Before;
        stacks(cell).into_iter().for_each(|options| agrees::<GruCell>(Family::Gru { before }, options));
    }
    for cell in lstms() {
        stacks(cell).into_iter().for_each(|options| agrees::<LstmCell>(family(&cell), options));
    }
}

/// Parameters, input and initial state, over three steps of two sequences, one of which has ended after two.
#[track_caller]
fn gradients<C: RecurrentCell>(options: RecurrentOptions<C::Options>) {
    let (mut params, layer) = made::<C>(options);
    let x = params.add("x", numbers([3, 2, 3], 90));
    let cells = layer.cells().len();
    let parts: Vec<Param> = (layer.cells()[0].state_sizes().iter().enumerate())
        .map(|(part, &size)| params.add(&format!("state{part}"), numbers([cells, 2, size], 91 + part)))
        .collect();
    check::assert_model(&params, (), |graph, []| {
        let parts: Vec<Var<'_>> = parts.iter().map(|part| graph.param(part)).collect();
        let lengths = Some(graph.index_constant(&Tensor::from([3, 2])));
        let given = Given { state: Some(C::State::of(&parts)), lengths };
        let Sequence { outputs, state } = layer.sequence(graph.param(&x), given, Mode::Train);
        let weights = graph.constant(&numbers(outputs.shape(), 7));
        state.parts().into_iter().fold((outputs * weights).sum(), |sum, part| sum + part.square().sum())
    });
}

#[test]
fn gradients_of_plain_cells() {
    rnns().into_iter().for_each(|cell| gradients::<RnnCell>(RnnOptions::new().cell(cell)));
    gradients::<RnnCell>(RnnOptions::new().layers(2).bidirectional());
}

#[test]
fn gradients_of_grus() {
    grus().into_iter().for_each(|cell| gradients::<GruCell>(GruOptions::new().cell(cell)));
}

#[test]
fn gradients_of_lstms() {
    lstms().into_iter().for_each(|cell| gradients::<LstmCell>(LstmOptions::new().cell(cell)));
}

#[test]
fn gradients_with_dropout_of_each_kind() {
    let options = RnnOptions::new().layers(2).dropout(0.5).input_dropout(0.25).hidden_dropout(0.5);
    gradients::<RnnCell>(options);
}

#[test]
fn gradients_of_single_steps() {
    let mut params: Params<f64> = Params::new(1);
    let (gru, lstm) = (GruCell::new(&mut params, "gru", 2, 3), LstmCell::new(&mut params, "lstm", 3, 2));
    let x = params.add("x", numbers([2], 1));
    check::assert_model(&params, (), |graph, []| {
        let hidden = gru.step(graph.param(&x), graph.constant(&numbers([3], 2)));
        let state = lstm.step(hidden, lstm.zero_state(graph, &[]));
        state.hidden.sum() + state.cell.square().sum()
    });
}

/// Values and gradients (of parameters and input) of a bidirectional stack on padded sequences.
fn padded<C: RecurrentCell>(x: &Tensor<f64>, lengths: &[i64]) -> Vec<Tensor<f64>>
where
    C::Options: Default,
{
    let options = RecurrentOptions::new().layers(2).bidirectional();
    let (params, layer) = made::<C>(options);
    let graph = Graph::new();
    let x = graph.constant(x);
    let lengths = Some(graph.index_constant(&Tensor::from_slice(lengths)));
    let Sequence { outputs, state } = layer.sequence(x, Given { lengths, ..Given::default() }, Mode::Train);
    let time = outputs.shape()[0];
    let wanted = outputs.slice(0, 0, 3.min(time as isize));
    let loss = wanted.square().sum() + state.parts().into_iter().fold(graph.scalar(0.0), |sum, part| sum + part.sum());
    let wrt: Vec<Var<'_>> = [x].into_iter().chain(params.trainable().map(|param| graph.param(param))).collect();
    let mut all = graph.grad(loss, &wrt).unwrap();
    all[0] = all[0].slice(0, 0, 3.min(time as isize));
    values(&graph, &params, &[vec![wanted], state.parts(), all].concat())
}

/// What is in the padding, and how much of it there is, changes no bit: also if it is NaN or infinite.
fn padding_changes_nothing<C: RecurrentCell>()
where
    C::Options: Default,
{
    let lengths = [3, 1, 0, 2];
    let with = |time: usize, padding: f64| {
        let real = numbers([3, 4, 3], 3);
        Tensor::from_fn([time, 4, 3], |k| {
            let (t, batch) = (k / 12, k / 3 % 4);
            if (t as i64) < lengths[batch] { real.data()[k] } else { padding }
        })
    };
    let expected = padded::<C>(&with(3, 0.0), &lengths);
    assert!(expected.iter().all(|value| value.first_non_finite().is_none()));
    for (time, padding) in [(3, f64::NAN), (3, f64::INFINITY), (3, 1e300), (5, 0.0), (8, f64::NAN)] {
        let found = padded::<C>(&with(time, padding), &lengths);
        assert!(found == expected, "with {time} steps and {padding} beyond the ends");
    }
}

#[test]
fn padding_changes_no_bit_of_values_and_gradients() {
    padding_changes_nothing::<RnnCell>();
    padding_changes_nothing::<GruCell>();
    padding_changes_nothing::<LstmCell>();
}

/// A sequence gets in a padded batch what it gets alone, outputs, final states and the gradient of its input, to the
/// last bit: the order in which a product sums does not depend on its number of rows.
#[test]
fn a_sequence_in_a_batch_is_the_sequence_alone() {
    /// Outputs, the gradient of the input, and the final state.
    fn run<'g, C: RecurrentCell>(layer: &Recurrent<C>, x: Var<'g>, lengths: Option<Var<'g>>) -> Vec<Var<'g>> {
        let sequence = layer.sequence(x, Given { lengths, ..Given::default() }, Mode::Eval);
        let slope = x.graph().grad(sequence.outputs.square().sum(), &[x]).unwrap()[0];
        [vec![sequence.outputs, slope], sequence.state.parts()].concat()
    }
    fn one(x: Var<'_>, number: isize, steps: Option<isize>) -> Var<'_> {
        x.slice(0, 0, steps).slice(1, number, number + 1)
    }
    fn holds<C: RecurrentCell>(inputs: usize, hidden: usize) {
        let mut params: Params<f64> = Params::new(5);
        let options = RecurrentOptions::new().layers(2).bidirectional();
        let layer = Recurrent::<C>::with(&mut params, "layer", inputs, hidden, options);
        let (x, lengths) = (numbers([6, 4, inputs], 3), [4_i64, 6, 1, 3]);
        let graph = Graph::new();
        let var = graph.constant(&x);
        let together = run(&layer, var, Some(graph.index_constant(&Tensor::from(lengths))));
        for (number, length) in (0_isize..).zip(lengths.map(|length| length as isize)) {
            let alone = graph.constant(&values(&graph, &params, &[one(var, number, Some(length))])[0]);
            let steps = |k: usize| (k < 2).then_some(length);
            let of_batch: Vec<Var<'_>> =
                together.iter().enumerate().map(|(k, &var)| one(var, number, steps(k))).collect();
            let [alone, of_batch] = [run(&layer, alone, None), of_batch].map(|vars| values(&graph, &params, &vars));
            assert!(alone == of_batch, "sequence {number} of {hidden} units");
        }
    }
    for (inputs, hidden) in [(3, 2), (33, 70)] {
        holds::<RnnCell>(inputs, hidden);
        holds::<GruCell>(inputs, hidden);
        holds::<LstmCell>(inputs, hidden);
    }
}

#[test]
fn a_sequence_may_be_cut_where_its_state_is_carried() {
    let options = LstmOptions::new().layers(2);
    let (params, layer) = made::<LstmCell>(options);
    let graph = Graph::new();
    let x = graph.constant(&numbers([6, 2, 3], 3));
    let weights: Vec<Var<'_>> = params.trainable().map(|param| graph.param(param)).collect();
    let whole = layer.sequence(x, Given::default(), Mode::Train);
    // In parts of the given length, with or without a derivative that passes from part to part.
    let cut = |length: usize, truncated: bool| {
        let mut state = layer.zero_state(&graph, 2);
        let mut outputs = Vec::new();
        for start in (0..6).step_by(length) {
            let part = x.slice(0, start, start + length as isize);
            let sequence = layer.sequence(part, Given { state: Some(state), ..Given::default() }, Mode::Train);
            outputs.push(sequence.outputs);
            state = if truncated { sequence.state.stop_gradient() } else { sequence.state };
        }
        graph.concat(&outputs, 0)
    };
    let slopes = |outputs: Var<'_>| {
        let gradient = graph.grad(outputs.square().sum(), &weights).unwrap();
        values(&graph, &params, &gradient)
    };
    let expected = slopes(whole.outputs);
    let outputs = values(&graph, &params, &[whole.outputs, cut(2, true), cut(6, true)]);
    assert!(outputs[0] == outputs[1] && outputs[0] == outputs[2]);
    assert!(slopes(cut(6, true)) == expected, "one part of the whole length is the whole");
    let close = |found: &[Tensor<f64>]| found.iter().zip(&expected).all(|(a, b)| a.is_close(b, 1e-12, 1e-13));
    assert!(close(&slopes(cut(2, false))) && !close(&slopes(cut(2, true))));
}

/// One layer that gives back its input, so that outputs show masks.
fn echo(options: RnnOptions) -> (Params<f64>, Rnn) {
    let cell = RnnCellOptions::new().activation(RnnActivation::Relu).biases(Biases::None);
    let mut params: Params<f64> = Params::new(0);
    let layer = Rnn::with(&mut params, "echo", 8, 8, options.cell(cell));
    let all: Vec<Param> = params.iter().map(|(param, _)| param.clone()).collect();
    for param in all {
        let one = if param.name().contains("ih") { 1.0 } else { 0.0 };
        params.set(&param, Tensor::from_fn([8, 8], |k| if k % 9 == 0 { one } else { 0.0 }));
    }
    (params, layer)
}

#[test]
fn dropout_is_drawn_for_each_step_or_for_a_sequence() {
    let run = |options: RnnOptions, mode: Mode, recurrent: bool| {
        let (mut params, layer) = echo(options);
        if recurrent {
            let weight = layer.cells()[0].weight_hh().clone();
            params.set(&weight, Tensor::from_fn([8, 8], |k| if k % 9 == 0 { 1.0 } else { 0.0 }));
        }
        let graph = Graph::new();
        let outputs = layer.forward_in(graph.ones([5, 2, 8]), mode);
        let value = values(&graph, &params, &[outputs])[0].clone();
        value.into_vec().chunks(16).map(<[f64]>::to_vec).collect::<Vec<_>>()
    };
    let every = RnnOptions::new().layers(2).dropout(0.5).input_dropout(0.5).hidden_dropout(0.5);
    assert!(run(every, Mode::Eval, false).concat().iter().all(|&y| y == 1.0));

    let fresh = run(RnnOptions::new().layers(2).dropout(0.5), Mode::Train, false);
    assert!(fresh.concat().iter().all(|&y| y == 0.0 || y == 2.0) && fresh[0] != fresh[1]);
    assert!(run(RnnOptions::new().dropout(0.5), Mode::Train, false).concat() == [1.0; 80], "the last");

    let input = run(RnnOptions::new().input_dropout(0.5), Mode::Train, false);
    assert!(input[0].contains(&0.0) && input[0].contains(&2.0) && input.iter().all(|step| *step == input[0]));

    // h' = 1 + m·h: where the mask is 0 it stays at 1, elsewhere it grows by a factor of 2.
    let hidden = run(RnnOptions::new().hidden_dropout(0.5), Mode::Train, true);
    assert!(hidden[0] == [1.0; 16] && hidden[1].contains(&1.0) && hidden[1].contains(&3.0));
    assert!(hidden[4].iter().zip(&hidden[1]).all(|(&last, &second)| last == if second == 1.0 { 1.0 } else { 31.0 }));
}

#[test]
fn names_and_initial_values_are_those_of_pytorch() {
    let mut params: Params<f64> = Params::new(1);
    let cell = LstmCellOptions::new().projection(2);
    Lstm::with(&mut params, "lstm", 5, 9, LstmOptions::new().cell(cell).layers(2).bidirectional());
    let names: Vec<&str> = params.iter().map(|(param, _)| param.name()).collect();
    let mut expected = Vec::new();
    for suffix in ["l0", "l0_reverse", "l1", "l1_reverse"] {
        for name in ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"] {
            expected.push(format!("lstm.{name}_{suffix}"));
        }
    }
    assert_eq!(names, expected);
    let shape = |name: &str| params.find(name).unwrap().shape().to_vec();
    assert_eq!(shape("lstm.weight_ih_l1"), [36, 4]);
    assert_eq!(shape("lstm.weight_hh_l1"), [36, 2]);
    assert_eq!(shape("lstm.weight_hr_l0"), [2, 9]);
    for (param, value) in params.iter() {
        let largest = value.data().iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        assert!(largest <= 1.0 / 3.0 && largest > 0.25, "{param:?}: {largest}");
    }
    let cell = GruCell::new(&mut params, "cell", 2, 3);
    assert_eq!((cell.weight_ih().name(), cell.weight_hh().name()), ("cell.weight_ih", "cell.weight_hh"));
}

#[test]
fn orthogonal_weights_and_the_bias_of_the_forget_gate() {
    let mut params: Params<f64> = Params::new(1);
    let options = LstmCellOptions::new().init(RecurrentInit::Orthogonal).forget_bias(1.0);
    let cell = LstmCell::with(&mut params, "cell", 5, 3, options);
    let weight = params.get(cell.weight_hh()).data();
    for gate in weight.chunks(9) {
        for (i, j) in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)] {
            let product: f64 = (0..3).map(|k| gate[3 * i + k] * gate[3 * j + k]).sum();
            assert!((product - f64::from(u8::from(i == j))).abs() < 1e-14);
        }
    }
    assert_ne!(weight[..9], weight[9..18]);
    let bound = (6.0_f64 / 8.0).sqrt();
    assert!(params.get(cell.weight_ih()).data().iter().all(|w| w.abs() <= bound));
    let bias = |name: &str| params.get(params.find(name).unwrap()).data().to_vec();
    assert_eq!(bias("cell.bias_ih"), [[0.0; 3], [1.0; 3], [0.0; 3], [0.0; 3]].concat());
    assert_eq!(bias("cell.bias_hh"), [0.0; 12]);
}

#[test]
fn empty_batches_and_no_steps() {
    let (params, layer) = made::<LstmCell>(LstmOptions::new().bidirectional());
    for shape in [[0, 2, 3], [3, 0, 3], [1, 1, 3], [0, 0, 3]] {
        let graph = Graph::new();
        let lengths = graph.index_constant(&Tensor::full([shape[1]], shape[0] as i64));
        let x = graph.ones(shape);
        let all = layer.sequence(x, Given { lengths: Some(lengths), ..Given::default() }, Mode::Eval);
        assert_eq!(all.outputs.shape().sizes(), [shape[0], shape[1], 4]);
        assert_eq!(all.state.cell.shape().sizes(), [2, shape[1], 2]);
        let found = values(&graph, &params, &[all.outputs, all.state.cell]);
        assert!(found.iter().all(|value| value.first_non_finite().is_none()));
    }
}

/// The nodes of a graph with its gradient grow with the length and not with its square.
#[test]
fn a_long_sequence_takes_so_many_nodes_a_step() {
    let (params, layer) = made::<LstmCell>(LstmOptions::new());
    let nodes = |time: usize| {
        let graph = Graph::new();
        let outputs = layer.forward_in(graph.input("x", [time, 1, 3]), Mode::Train);
        let weights: Vec<Var<'_>> = params.trainable().map(|param| graph.param(param)).collect();
        graph.grad(outputs.sum(), &weights).unwrap();
        graph.len()
    };
    let [short, long] = [nodes(100), nodes(200)];
    assert!(long - short < 100 * 110, "{} nodes a step", (long - short) / 100);
    assert!(nodes(400) - long <= 2 * (long - short) + 10);
}

#[test]
fn a_wrong_length_is_an_error_of_the_run() {
    let (params, layer) = made::<RnnCell>(RnnOptions::new());
    for length in [4, -1] {
        let graph = Graph::new();
        let lengths = Some(graph.index_constant(&Tensor::from([1, length])));
        let outputs = layer.sequence(graph.ones([3, 2, 3]), Given { lengths, ..Given::default() }, Mode::Eval).outputs;
        let error = graph.eval_with(&[outputs], &params, &Feed::new()).unwrap_err().to_string();
        assert!(error.contains(&format!("index {length} at position [1] is out of range for depth 4")), "{error}");
        assert!(error.contains("scope `layer`"), "{error}");
    }
}

#[test]
#[should_panic(
    expected = "recurrent layer `layer` of [4, 2, 5]: the input must be [time, batch, inputs] with inputs = 3"
)]
fn an_input_that_does_not_fit_is_named() {
    made::<GruCell>(GruOptions::new()).1.forward_in(Graph::new().ones([4, 2, 5]), Mode::Eval);
}

#[test]
#[should_panic(expected = "recurrent layer `layer` of [4, 2, 3]: the state must be [1, 2, 2], not [2, 2]")]
fn a_state_that_does_not_fit_is_named() {
    let graph = Graph::new();
    let given = Given { state: Some(graph.zeros([2, 2])), ..Given::default() };
    made::<GruCell>(GruOptions::new()).1.sequence(graph.ones([4, 2, 3]), given, Mode::Eval);
}

#[test]
#[should_panic(
    expected = "recurrent layer `layer` of [4, 2, 3]: the lengths must be indices of shape [2], not Real of \
                           [2]"
)]
fn lengths_are_indices() {
    let graph = Graph::new();
    let given = Given { lengths: Some(graph.ones([2])), ..Given::default() };
    made::<GruCell>(GruOptions::new()).1.sequence(graph.ones([4, 2, 3]), given, Mode::Eval);
}

#[test]
#[should_panic(expected = "`LstmCell` of [7, 3]: the state must be [7, 2], not [7, 3]")]
fn a_cell_names_a_state_that_does_not_fit() {
    let mut params: Params = Params::new(0);
    let options = LstmCellOptions::new().projection(2);
    let cell = LstmCell::with(&mut params, "cell", 3, 4, options);
    let graph = Graph::new();
    cell.step(graph.ones([7, 3]), LstmState { hidden: graph.ones([7, 3]), cell: graph.ones([7, 4]) });
}

#[test]
#[should_panic(expected = "`RnnCell` of [7, 4]: the last axis must have size 3, as `cell.weight_ih` is [2, 3]")]
fn a_cell_names_an_input_that_does_not_fit() {
    let mut params: Params = Params::new(0);
    let cell = RnnCell::new(&mut params, "cell", 3, 2);
    let graph = Graph::new();
    cell.step(graph.ones([7, 4]), cell.zero_state(&graph, &[7]));
}

#[test]
fn checkpoints_change_memory_and_not_the_gradients() {
    let outcome = |checkpoints: Option<gradus_graph::CheckpointSchedule>, lengths: bool| {
        let options = LstmOptions { checkpoints, ..LstmOptions::new() }.layers(2).bidirectional().dropout(0.3);
        let (params, layer) = made::<LstmCell>(options);
        let graph = Graph::new();
        let x = graph.input("x", [64, 3, 3]);
        let lengths = lengths.then(|| graph.index_constant(&Tensor::from([64, 17, 0])));
        let Sequence { outputs, state } = layer.sequence(x, Given { lengths, ..Given::default() }, Mode::Train);
        let loss = outputs.square().mean() + state.cell.sum();
        let wrt: Vec<Var<'_>> = params.trainable().map(|param| graph.param(param)).collect();
        let gradients = graph.grad(loss, &wrt).unwrap();
        let plan = gradus_graph::Plan::new(&graph, &[vec![loss], gradients].concat()).unwrap();
        let x = numbers([64, 3, 3], 7);
        let mut session = plan.session();
        let outputs = session.run(&params, &Feed::new().with("x", &x).random(1, 2)).unwrap().all().to_vec();
        (plan.summary().arena, outputs)
    };
    for lengths in [false, true] {
        let (plain, expected) = outcome(None, lengths);
        let (again, found) = outcome(Some(gradus_graph::CheckpointSchedule::SquareRoot), lengths);
        assert!(2 * again < plain, "{again} elements, {plain} without checkpoints");
        for (found, expected) in found.iter().zip(&expected) {
            found.real().assert_close(expected.real(), 1e-13, 1e-15);
        }
    }
}
