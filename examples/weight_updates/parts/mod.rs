//! The comparisons, one a file.

mod activations;
mod algorithms;
mod batch_size;
mod beliefs;
mod descent;
mod initialization;
mod learning_rate;
mod momentum;
mod online;
mod optimizers;
mod recurrent;
mod regularization;
mod supervision;

use crate::Failure;
use crate::report::Part;
use crate::study::Study;

/// All parts, in the order of the report.
pub(crate) const ALL: [fn(&Study) -> Result<Part, Failure>; 13] = [
    algorithms::part,
    descent::part,
    optimizers::part,
    initialization::part,
    learning_rate::part,
    recurrent::part,
    batch_size::part,
    momentum::part,
    activations::part,
    regularization::part,
    supervision::part,
    beliefs::part,
    online::part,
];
