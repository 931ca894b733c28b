//! The options of recurrent layers.

use gradus_graph::CheckpointSchedule;

#[cfg(doc)]
use gradus_graph::Graph;

/// The options of a recurrent layer: those of its cells, and how they are combined.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{Lstm, LstmCellOptions, LstmOptions, RecurrentInit};
/// let mut params: Params = Params::new(0);
/// let cell = LstmCellOptions { init: RecurrentInit::Orthogonal, forget_bias: Some(1.0), ..Default::default() };
/// let options = LstmOptions { cell, layers: 2, dropout: 0.2, ..LstmOptions::default() };
/// let lstm = Lstm::with(&mut params, "encoder", 16, 32, options);
/// assert!(params.find("encoder.weight_hh_l1").is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecurrentOptions<O> {
    /// The options of each cell.
    pub cell: O,
    /// The number of layers; each takes the outputs of the one before it.
    pub layers: usize,
    /// Whether each layer also has cells that read from the end; what both give is joined.
    pub bidirectional: bool,
    /// Whether inputs and outputs are `[batch, time, size]` and not `[time, batch, size]`. States are not affected.
    pub batch_first: bool,
    /// The probability with which an output of a layer is dropped before the next layer; each step draws anew.
    pub dropout: f64,
    /// The probability with which a feature of a layer's input is dropped for a whole sequence.
    pub input_dropout: f64,
    /// The probability with which a feature of the hidden state is dropped for a whole sequence, before the recurrent
    /// weights. With `input_dropout` this is the variational dropout of Gal and Ghahramani (2016).
    pub hidden_dropout: f64,
    /// Which steps the backward pass computes again instead of keeping their values, for long sequences; none by
    /// default. The outputs of all steps are kept in any case: where even these are too many, unroll a cell with
    /// [`Graph::checkpoint_steps`].
    pub checkpoints: Option<CheckpointSchedule>,
}

impl<O: Default> Default for RecurrentOptions<O> {
    fn default() -> Self {
        Self {
            cell: O::default(),
            layers: 1,
            bidirectional: false,
            batch_first: false,
            dropout: 0.0,
            input_dropout: 0.0,
            hidden_dropout: 0.0,
            checkpoints: None,
        }
    }
}
