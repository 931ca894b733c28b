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

/// Runs a comparison.
type Comparison = fn(&Study) -> Result<Part, Failure>;

/// All parts, in the order of the report.
pub(crate) const ALL: [Comparison; 13] = [
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
