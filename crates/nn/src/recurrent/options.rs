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
/// let cell = LstmCellOptions::new().init(RecurrentInit::Orthogonal).forget_bias(1.0);
/// let options = LstmOptions::new().cell(cell).layers(2).dropout(0.2);
/// let lstm = Lstm::with(&mut params, "encoder", 16, 32, options);
/// assert!(params.find("encoder.weight_hh_l1").is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecurrentOptions<O> {
    pub(super) cell: O,
    pub(super) layers: usize,
    pub(super) bidirectional: bool,
    pub(super) batch_first: bool,
    pub(super) dropout: f64,
    pub(super) input_dropout: f64,
    pub(super) hidden_dropout: f64,
    pub(super) checkpoints: Option<CheckpointSchedule>,
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

impl<O: Default> RecurrentOptions<O> {
    /// One layer in one direction, with PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<O> RecurrentOptions<O> {
    /// The options of each cell.
    #[must_use]
    pub fn cell(self, cell: O) -> Self {
        Self { cell, ..self }
    }

    /// The number of layers, 1 by default; each takes the outputs of the one before it.
    #[must_use]
    pub fn layers(self, layers: usize) -> Self {
        Self { layers, ..self }
    }

    /// Adds to each layer cells that read from the end; the outputs of both directions are concatenated.
    #[must_use]
    pub fn bidirectional(self) -> Self {
        Self { bidirectional: true, ..self }
    }

    /// Makes inputs and outputs `[batch, time, size]`; by default they are `[time, batch, size]`. States are
    /// `[layers·directions, batch, size]` in either case.
    #[must_use]
    pub fn batch_first(self) -> Self {
        Self { batch_first: true, ..self }
    }

    /// The probability that an output of a layer is dropped before the next layer, drawn anew for each step; at least 0
    /// and below 1, 0 by default.
    #[must_use]
    pub fn dropout(self, probability: f64) -> Self {
        Self { dropout: probability, ..self }
    }

    /// The probability that a feature of a layer's input is dropped for a whole sequence; at least 0 and below 1, 0 by
    /// default.
    #[must_use]
    pub fn input_dropout(self, probability: f64) -> Self {
        Self { input_dropout: probability, ..self }
    }

    /// The probability that a feature of the hidden state is dropped for a whole sequence, before the recurrent
    /// weights; at least 0 and below 1, 0 by default. With `input_dropout` this is the variational dropout of Gal and
    /// Ghahramani (2016).
    #[must_use]
    pub fn hidden_dropout(self, probability: f64) -> Self {
        Self { hidden_dropout: probability, ..self }
    }

    /// Computes steps again in the backward pass instead of keeping their values, for long sequences; by default all
    /// values are kept. The outputs of all steps are kept in any case: where even these are too many, unroll a cell
    /// with [`Graph::checkpoint_steps`].
    #[must_use]
    pub fn checkpoints(self, schedule: CheckpointSchedule) -> Self {
        Self { checkpoints: Some(schedule), ..self }
    }
}
