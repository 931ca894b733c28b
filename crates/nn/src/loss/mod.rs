//! Losses: functions of a prediction and a target that give one number to minimise.
//!
//! Each loss is the mean of its terms, and each has a twin that gives the terms alone: [`mse`] is
//! `mse_terms(..).mean()`. So another reduction is a method of the variable: `mse_terms(..).sum()`, or
//! `(mse_terms(..) * weights).sum()`, or the terms themselves.
//!
//! Losses of elements want prediction and target of one shape and do not broadcast: `[n, 1]` against `[n]` would
//! silently compare every prediction with every target. Losses of rows (cross entropy, divergence, cosine) go along the
//! last axis.

mod binary;
mod cosine;
mod cross_entropy;
mod divergence;
mod hinge;
mod regression;

use std::panic::Location;

use gradus_graph::Var;

pub use binary::{binary_cross_entropy, binary_cross_entropy_terms};
pub use cosine::{cosine, cosine_similarity, cosine_terms};
pub use cross_entropy::{
    cross_entropy, cross_entropy_smoothed, cross_entropy_smoothed_terms, cross_entropy_terms, cross_entropy_with,
    cross_entropy_with_terms, nll, nll_terms,
};
pub use divergence::{kl_divergence, kl_divergence_terms};
pub use hinge::{hinge, hinge_terms};
pub use regression::{huber, huber_terms, mae, mae_terms, mse, mse_terms};

/// Panics at the caller's line if prediction and target have not one shape.
#[track_caller]
fn expect_alike(loss: &str, prediction: Var<'_>, target: Var<'_>) {
    let (prediction, target, caller) = (prediction.shape(), target.shape(), Location::caller());
    assert!(
        prediction == target,
        "`{loss}` of {prediction} and {target}: prediction and target must have one shape (at {caller})"
    );
}
