//! Recurrent layers: W2, W3, W11's second, W15.

use gradus_graph::{Params, Tensor};
use gradus_nn::{Given, GruCell, Layer, Lstm, LstmCell, LstmState, Mode, Recurrent, RecurrentCell};
use gradus_optim::Adam;

use super::work::{Work, Workload, function, reals, training};

pub(super) const LSTM: Workload =
    Workload::new("W2", "LSTM 128→256, 64 steps, batch 32, Adam", Some([1.2, 1.2]), sequence::<LstmCell>);
pub(super) const LSTM_FORWARD: Workload = Workload::new("W2-forward", "its forward pass", Some([1.2, 1.2]), forward);
pub(super) const GRU: Workload =
    Workload::new("W3", "GRU 128→256, 64 steps, batch 32, Adam", Some([1.5, 2.2]), sequence::<GruCell>);
pub(super) const LSTM_STEP: Workload = Workload::new("W11-lstm", "LSTM step 128→256, batch 1", Some([1.3, 1.3]), step);
pub(super) const LENGTHS: Workload = Workload::new("W15", "LSTM 64→128, lengths 10…400, batch 32, Adam", None, lengths);

fn sequence<C: RecurrentCell + 'static>() -> Work {
    let mut params = Params::new(1);
    let layer = Recurrent::<C>::new(&mut params, "layer", 128, 256);
    training(params, Adam::new(1e-3), [("x", reals([64, 32, 128]))], move |_, [x]| {
        layer.forward_in(x, Mode::Train).square().mean()
    })
}

fn forward() -> Work {
    let mut params = Params::new(1);
    let layer = Lstm::new(&mut params, "layer", 128, 256);
    function(params, [("x", reals([64, 32, 128]))], move |_, [x]| [layer.forward_in(x, Mode::Eval)])
}

fn step() -> Work {
    let mut params = Params::new(1);
    let layer = LstmCell::new(&mut params, "cell", 128, 256);
    let inputs = [("x", reals([1, 128])), ("hidden", reals([1, 256])), ("cell", reals([1, 256]))];
    function(params, inputs, move |_, [x, hidden, cell]| {
        let LstmState { hidden, cell } = layer.step(x, LstmState { hidden, cell });
        [hidden, cell]
    })
}

fn lengths() -> Work {
    const LONGEST: usize = 400;
    let mut params = Params::new(1);
    let layer = Lstm::new(&mut params, "layer", 64, 128);
    let lengths = Tensor::from_fn([32], |k| if k == 31 { LONGEST as i64 } else { 10 + (k * 7919 % 391) as i64 });
    let inputs = [("x", reals([LONGEST, 32, 64])), ("lengths", lengths.into())];
    training(params, Adam::new(1e-3), inputs, move |_, [x, lengths]| {
        let given = Given { lengths: Some(lengths), ..Given::default() };
        layer.sequence(x, given, Mode::Train).outputs.square().sum() * 1e-5
    })
}
