//! Recurrent cells, and layers of them over sequences.

mod cell;
mod gru;
mod layer;
mod lengths;
mod lstm;
mod options;
mod rnn;

pub use cell::{Biases, RecurrentCell, RecurrentInit, State};
pub use gru::{Gru, GruCell, GruCellOptions, GruOptions, Reset};
pub use layer::{Given, Recurrent, Sequence};
pub use lstm::{Lstm, LstmCell, LstmCellOptions, LstmOptions, LstmState};
pub use options::RecurrentOptions;
pub use rnn::{Rnn, RnnActivation, RnnCell, RnnCellOptions, RnnOptions};

#[cfg(test)]
mod tests;
