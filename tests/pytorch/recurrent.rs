//! The cases of `recurrent.py` with our layers.

use gradus::nn::{
    Biases, Given, GruCell, GruCellOptions, LstmCell, LstmCellOptions, LstmState, Mode, Recurrent, RecurrentCell,
    RecurrentOptions, RnnActivation, RnnCell, RnnCellOptions, State,
};
use gradus::{Params, Var};

use crate::case::{Case, Forward, Inputs, forward};

fn rnn(activation: RnnActivation, biases: Biases) -> RnnCellOptions {
    RnnCellOptions::new().activation(activation).biases(biases)
}

fn gru(biases: Biases) -> GruCellOptions {
    GruCellOptions::new().biases(biases)
}

fn lstm(biases: Biases) -> LstmCellOptions {
    LstmCellOptions::new().biases(biases)
}

fn one<O: Default>(cell: O) -> RecurrentOptions<O> {
    RecurrentOptions::new().cell(cell)
}

fn deep<O: Default>(cell: O) -> RecurrentOptions<O> {
    one(cell).layers(2).bidirectional()
}

/// A layer of size 3 on inputs of size 2, with the lengths and the initial state that the case has.
fn layer<C: RecurrentCell + 'static>(
    name: &'static str,
    options: RecurrentOptions<C::Options>,
    [lengths, state]: [bool; 2],
) -> Case
where
    C::Options: 'static,
{
    Case::new(name, move |params: &mut Params<f64>| -> Forward {
        let layer = Recurrent::<C>::with(params, "layer", 2, 3, options.clone());
        forward(move |inputs: &Inputs<'_>| sequence(&layer, inputs, lengths, state))
    })
}

fn sequence<'g, C: RecurrentCell>(
    layer: &Recurrent<C>,
    inputs: &Inputs<'g>,
    lengths: bool,
    state: bool,
) -> Vec<Var<'g>> {
    let lengths = lengths.then(|| inputs.get("lengths"));
    let parts = 0..layer.cells()[0].state_sizes().len();
    let state = state.then(|| C::State::of(&parts.map(|k| inputs.get(&format!("state{k}"))).collect::<Vec<_>>()));
    let sequence = layer.sequence(inputs.get("x"), Given { state, lengths }, Mode::Eval);
    [vec![sequence.outputs], sequence.state.parts()].concat()
}

fn rnn_cell(name: &'static str, options: RnnCellOptions) -> Case {
    Case::new(name, move |params: &mut Params<f64>| {
        let cell = RnnCell::with(params, "layer", 3, 4, options);
        forward(move |inputs: &Inputs<'_>| vec![cell.step(inputs.get("x"), inputs.get("h"))])
    })
}

fn gru_cell(name: &'static str, options: GruCellOptions) -> Case {
    Case::new(name, move |params: &mut Params<f64>| {
        let cell = GruCell::with(params, "layer", 3, 4, options);
        forward(move |inputs: &Inputs<'_>| vec![cell.step(inputs.get("x"), inputs.get("h"))])
    })
}

fn lstm_cell(name: &'static str, options: LstmCellOptions) -> Case {
    Case::new(name, move |params: &mut Params<f64>| {
        let cell = LstmCell::with(params, "layer", 3, 4, options);
        forward(move |inputs: &Inputs<'_>| {
            let state = LstmState { hidden: inputs.get("h"), cell: inputs.get("c") };
            cell.step(inputs.get("x"), state).parts()
        })
    })
}

pub(crate) fn cases() -> Vec<Case> {
    use RnnActivation::{Relu, Tanh};
    let (two, none) = (Biases::Two, Biases::None);
    let plain = [false, false];
    vec![
        rnn_cell("rnn_cell", rnn(Tanh, two)),
        rnn_cell("rnn_cell_relu_without_bias", rnn(Relu, none)),
        gru_cell("gru_cell", gru(two)),
        gru_cell("gru_cell_without_bias", gru(none)),
        lstm_cell("lstm_cell", lstm(two)),
        lstm_cell("lstm_cell_without_bias", lstm(none)),
        layer::<RnnCell>("rnn", one(rnn(Tanh, two)), plain),
        layer::<RnnCell>("rnn_relu_deep", deep(rnn(Relu, two)), [false, true]),
        layer::<GruCell>("gru", one(gru(two)), plain),
        layer::<GruCell>("gru_without_bias", one(gru(none)), plain),
        layer::<LstmCell>("lstm", one(lstm(two)), plain),
        layer::<LstmCell>("lstm_without_bias", one(lstm(none)), plain),
        layer::<LstmCell>("lstm_projection", one(lstm(two).projection(2)), [false, true]),
        layer::<RnnCell>("rnn_lengths", deep(rnn(Tanh, two)), [true, true]),
        layer::<GruCell>("gru_lengths", deep(gru(two)), [true, true]),
        layer::<LstmCell>("lstm_lengths", deep(lstm(two)), [true, true]),
        layer::<GruCell>("gru_batch_first", deep(gru(two)).batch_first(), [true, false]),
        layer::<LstmCell>("lstm_all", deep(lstm(two).projection(2)).batch_first(), [true, true]),
        layer::<LstmCell>("lstm_in_evaluation", one(lstm(two)).layers(2).dropout(0.5), plain),
    ]
}
