//! Losses: functions of a prediction and a target that give one number to minimise.
//!
//! Each loss is the mean of its terms, and each has a twin that gives the terms alone: [`mse`] is
//! `mse_terms(..).mean()`. So another reduction is a method of the variable. In PyTorch's words:
//!
//! | `reduction` | here |
//! |---|---|
//! | `mean` | `mse(..)`; with weights of classes or an ignored label [`CrossEntropy::loss`] |
//! | `sum` | `mse_terms(..).sum()` |
//! | `none` | `mse_terms(..)` |
//! | `mean` of `CTCLoss` | `ctc(..)`, each term divided by its number of labels; the plain mean is `ctc_terms(..).mean()` |
//! | `batchmean` | `mse_terms(..).sum() / n as f64`; for divergences of matrices it is the mean of the terms |
//! | `weight` of elements | `(mse_terms(..) * weights).mean()` |
//!
//! Losses of elements take a prediction and a target of one shape and do not broadcast: `[n, 1]` against `[n]` would
//! silently compare every prediction with every target. Losses of rows (cross entropy, divergence, cosine, distances)
//! go along the last axis; [`CrossEntropy`] takes another.

mod binary;
mod contrastive;
mod cosine;
mod cross_entropy;
mod ctc;
mod divergence;
mod focal;
mod hinge;
mod likelihood;
mod regression;
mod triplet;

use gradus_graph::{Ops, Shape, Var};

pub use binary::{
    binary_cross_entropy, binary_cross_entropy_terms, binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_terms, binary_cross_entropy_with_logits_weighted,
    binary_cross_entropy_with_logits_weighted_terms,
};
pub use contrastive::{contrastive, contrastive_terms, info_nce, info_nce_terms, nt_xent, nt_xent_terms};
pub use cosine::{cosine, cosine_embedding, cosine_embedding_terms, cosine_similarity, cosine_terms};
pub use cross_entropy::{
    CrossEntropy, cross_entropy, cross_entropy_terms, cross_entropy_with, cross_entropy_with_terms, nll, nll_terms,
};
pub use ctc::{Ctc, CtcTargets, ctc, ctc_terms};
pub use divergence::{kl_divergence, kl_divergence_of_logs, kl_divergence_of_logs_terms, kl_divergence_terms};
pub use focal::{binary_focal, binary_focal_terms, focal, focal_terms};
pub use hinge::{
    hinge, hinge_terms, margin_ranking, margin_ranking_terms, multi_margin, multi_margin_terms, soft_margin,
    soft_margin_terms,
};
pub use likelihood::{
    gaussian_nll, gaussian_nll_terms, poisson_nll, poisson_nll_of_logs, poisson_nll_of_logs_terms, poisson_nll_terms,
};
pub use regression::{huber, huber_terms, mae, mae_terms, mse, mse_terms};
pub use triplet::{Triplet, distance};

/// Panics if prediction and target differ in shape.
#[track_caller]
fn expect_alike(loss: &str, prediction: Var<'_>, target: Var<'_>) {
    let (prediction, target) = (prediction.shape(), target.shape());
    assert!(prediction == target, "`{loss}` of {prediction} and {target}: prediction and target must have one shape");
}

/// Panics if the classes of these scores may be the last axis and, as in PyTorch, the second: for
/// `[2, 3, 3]` and labels of `[2, 3]`.
#[track_caller]
fn expect_unambiguous(loss: &str, scores: Var<'_>, labels: Var<'_>) {
    let (scores, labels) = (scores.shape(), labels.shape());
    let without = |axis: usize| {
        let mut sizes = scores.sizes().to_vec();
        sizes.remove(axis);
        Shape::from(&sizes[..]) == labels
    };
    if scores.rank() < 3 || !without(1) {
        return;
    }
    let which = "say which with `CrossEntropy::new().axis(-1)` or `axis(1)`";
    assert!(
        !without(scores.rank() - 1),
        "`{loss}` of {scores} with labels {labels}: the classes may be the last axis, or axis 1 as in PyTorch; {which}"
    );
    panic!(
        "`{loss}` of {scores} with labels {labels}: the classes are expected in the last axis, and seem to be axis 1 as in \
         PyTorch; {which}"
    );
}

/// Adds the ops of losses that files may hold.
pub(crate) fn saved(ops: Ops) -> Ops {
    [binary::saved, cross_entropy::saved, ctc::saved, divergence::saved].into_iter().fold(ops, |ops, saved| saved(ops))
}
