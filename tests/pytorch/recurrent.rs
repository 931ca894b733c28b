//! The cases of `recurrent.py` with our layers.

use gradus::nn::{
    Biases, Given, GruCell, GruCellOptions, LstmCell, LstmCellOptions, LstmState, Mode, Recurrent, RecurrentCell,
    RecurrentOptions, RnnActivation, RnnCell, RnnCellOptions, State,
};
use gradus::{Params, Var};

use crate::case::{Case, Forward, Inputs, forward};

fn rnn(activation: RnnActivation, biases: Biases) -> RnnCellOptions {
    RnnCellOptions { activation, biases, ..Default::default() }
}

fn gru(biases: Biases) -> GruCellOptions {
    GruCellOptions { biases, ..Default::default() }
}

fn lstm(biases: Biases, projection: Option<usize>) -> LstmCellOptions {
    LstmCellOptions { biases, projection, ..Default::default() }
}

fn one<O: Default>(cell: O) -> RecurrentOptions<O> {
    RecurrentOptions { cell, ..RecurrentOptions::default() }
}

fn deep<O: Default>(cell: O) -> RecurrentOptions<O> {
    RecurrentOptions { layers: 2, bidirectional: true, ..one(cell) }
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
        lstm_cell("lstm_cell", lstm(two, None)),
        lstm_cell("lstm_cell_without_bias", lstm(none, None)),
        layer::<RnnCell>("rnn", one(rnn(Tanh, two)), plain),
        layer::<RnnCell>("rnn_relu_deep", deep(rnn(Relu, two)), [false, true]),
        layer::<GruCell>("gru", one(gru(two)), plain),
        layer::<GruCell>("gru_without_bias", one(gru(none)), plain),
        layer::<LstmCell>("lstm", one(lstm(two, None)), plain),
        layer::<LstmCell>("lstm_without_bias", one(lstm(none, None)), plain),
        layer::<LstmCell>("lstm_projection", one(lstm(two, Some(2))), [false, true]),
        layer::<RnnCell>("rnn_lengths", deep(rnn(Tanh, two)), [true, true]),
        layer::<GruCell>("gru_lengths", deep(gru(two)), [true, true]),
        layer::<LstmCell>("lstm_lengths", deep(lstm(two, None)), [true, true]),
        layer::<GruCell>("gru_batch_first", RecurrentOptions { batch_first: true, ..deep(gru(two)) }, [true, false]),
        layer::<LstmCell>("lstm_all", RecurrentOptions { batch_first: true, ..deep(lstm(two, Some(2))) }, [true, true]),
        layer::<LstmCell>(
            "lstm_in_evaluation",
            RecurrentOptions { layers: 2, dropout: 0.5, ..one(lstm(two, None)) },
            plain,
        ),
    ]
}
