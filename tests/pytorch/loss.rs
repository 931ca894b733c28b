//! The cases of `loss.py` with our losses.

use gradus::nn::loss::{self, CrossEntropy, Triplet};
use gradus::{Tensor, Var};

use crate::case::{Case, forward};

const WEIGHTS: [f64; 4] = [0.5, 2.0, 1.25, 0.75];

/// Targets 1 and −1 in turn, as many as there are rows.
fn signs<'g>(x: Var<'g>) -> Var<'g> {
    x.graph().constant(&Tensor::from_fn([x.shape()[0]], |k| if k % 2 == 0 { 1.0 } else { -1.0 }))
}

/// Weights of positive targets, one a class.
fn positive<'g>(x: Var<'g>) -> Var<'g> {
    x.graph().constant(&Tensor::from([0.5, 3.0, 1.0, 2.0]))
}

/// Mean and terms.
fn cross_entropy(name: &'static str, loss: CrossEntropy) -> Case {
    Case::new(name, move |_| {
        let loss = loss.clone();
        forward(move |x| {
            let (logits, labels) = (x.get("x"), x.get("y"));
            vec![loss.loss(logits, labels), loss.terms(logits, labels)]
        })
    })
}

/// Targets with zeros among them.
fn zeros<'g>(x: Var<'g>) -> Var<'g> {
    x.graph().constant(&Tensor::from_fn([5, 4], |k| [0.0, 0.25, 0.75, 0.0][k % 4]))
}

fn triplet(name: &'static str, loss: Triplet) -> Case {
    Case::of(name, move |x| {
        let (anchor, positive, negative) = (x.get("a"), x.get("p"), x.get("n"));
        vec![loss.loss(anchor, positive, negative), loss.terms(anchor, positive, negative)]
    })
}

fn classes() -> Vec<Case> {
    let option = |number: usize| {
        let mut loss = CrossEntropy::new();
        if number & 1 > 0 {
            loss = loss.weights(WEIGHTS);
        }
        if number & 2 > 0 {
            loss = loss.ignored(-100);
        }
        if number & 4 > 0 {
            loss = loss.smoothing(0.1);
        }
        loss
    };
    vec![
        cross_entropy("cross_entropy_0", option(0)),
        cross_entropy("cross_entropy_1", option(1)),
        cross_entropy("cross_entropy_2", option(2)),
        cross_entropy("cross_entropy_3", option(3)),
        cross_entropy("cross_entropy_4", option(4)),
        cross_entropy("cross_entropy_5", option(5)),
        cross_entropy("cross_entropy_6", option(6)),
        cross_entropy("cross_entropy_7", option(7)),
        Case::of("cross_entropy_ignored_class", |x| {
            let loss = CrossEntropy::new().weights(WEIGHTS).ignored(1).smoothing(0.2);
            vec![loss.loss(x.get("x"), x.get("y"))]
        }),
        Case::of("cross_entropy_sequences", |x| {
            let loss = CrossEntropy::new().weights(WEIGHTS).ignored(-100).smoothing(0.1);
            vec![loss.loss(x.get("x"), x.get("y"))]
        }),
        Case::of("cross_entropy_axis", |x| {
            let loss = CrossEntropy::new().weights(WEIGHTS).axis(1);
            vec![loss.loss(x.get("x"), x.get("y")), loss.terms(x.get("x"), x.get("y"))]
        }),
        Case::of("cross_entropy_with_axis", |x| {
            let loss = CrossEntropy::new().smoothing(0.1).axis(1);
            vec![loss.loss_with(x.get("x"), x.get("p"))]
        }),
        Case::of("kl_divergence_of_zero", |x| vec![loss::kl_divergence(x.get("x").log_softmax(-1), zeros(x.get("x")))]),
        Case::of("cross_entropy_with", |x| {
            let (logits, chances) = (x.get("x"), x.get("p"));
            vec![loss::cross_entropy_with(logits, chances), loss::cross_entropy_with_terms(logits, chances)]
        }),
        Case::of("cross_entropy_with_options", |x| {
            let loss = CrossEntropy::new().weights(WEIGHTS).smoothing(0.1);
            let (logits, chances) = (x.get("x"), x.get("p"));
            let terms = loss.terms_with(logits, chances);
            vec![loss.loss_with(logits, chances), terms, terms.sum()]
        }),
        Case::of("nll", |x| vec![loss::nll(x.get("x"), x.get("y")), loss::nll_terms(x.get("x"), x.get("y"))]),
        Case::of("nll_weighted", |x| {
            let loss = CrossEntropy::new().weights(WEIGHTS).ignored(-100);
            vec![loss.loss(x.get("x").log_softmax(-1), x.get("y"))]
        }),
        Case::of("multi_margin", |x| {
            let (scores, labels) = (x.get("x"), x.get("y"));
            vec![loss::multi_margin(scores, labels, 1.0), loss::multi_margin_terms(scores, labels, 0.5)]
        }),
        Case::of("kl_divergence", |x| {
            let (prediction, target) = (x.get("x").log_softmax(-1), x.get("p"));
            let terms = loss::kl_divergence_terms(prediction, target);
            vec![loss::kl_divergence(prediction, target), terms.sum(), terms]
        }),
        Case::of("kl_divergence_of_logs", |x| {
            vec![loss::kl_divergence_of_logs(x.get("x").log_softmax(-1), x.get("p").log_softmax(-1))]
        }),
    ]
}

fn elements() -> Vec<Case> {
    vec![
        Case::of("binary", |x| {
            let (logits, targets) = (x.get("x"), x.get("t"));
            let sum = loss::binary_cross_entropy_with_logits_terms(logits, targets).sum();
            vec![loss::binary_cross_entropy_with_logits(logits, targets), sum]
        }),
        Case::of("binary_probabilities", |x| {
            let chances = x.get("p");
            let targets = chances.graph().constant(&Tensor::from([1.0, 0.0, 1.0, 0.3, 1.0, 0.4, 1.0, 0.0]));
            let terms = loss::binary_cross_entropy_terms(chances, targets);
            vec![loss::binary_cross_entropy(chances, targets), terms.sum(), terms]
        }),
        Case::of("binary_weighted", |x| {
            let (logits, targets) = (x.get("x"), x.get("t"));
            let terms = loss::binary_cross_entropy_with_logits_weighted_terms(logits, targets, positive(logits));
            vec![loss::binary_cross_entropy_with_logits_weighted(logits, targets, positive(logits)), terms]
        }),
        Case::of("binary_elements", |x| {
            let terms = loss::binary_cross_entropy_with_logits_terms(x.get("x"), x.get("t"));
            vec![(terms * positive(terms)).mean()]
        }),
        Case::of("mse", |x| {
            let terms = loss::mse_terms(x.get("x"), x.get("y"));
            vec![loss::mse(x.get("x"), x.get("y")), terms.sum(), terms]
        }),
        Case::of("mae", |x| vec![loss::mae(x.get("x"), x.get("y")), loss::mae_terms(x.get("x"), x.get("y"))]),
        Case::of("huber", |x| {
            vec![loss::huber(x.get("x"), x.get("y"), 0.75), loss::huber(x.get("x"), x.get("y"), 1.0)]
        }),
        Case::of("smooth_l1", |x| vec![loss::huber(x.get("x"), x.get("y"), 0.75) / 0.75]),
        Case::of("soft_margin", |x| vec![loss::soft_margin(x.get("s"), signs(x.get("s")))]),
        Case::of("margin_ranking", |x| {
            let (a, b) = (x.get("a"), x.get("b"));
            vec![loss::margin_ranking(a, b, signs(a), 0.5), loss::margin_ranking(a, b, signs(a), 0.0)]
        }),
        Case::of("gaussian_nll_False", |x| vec![loss::gaussian_nll_terms(x.get("m"), x.get("t"), x.get("v"), false)]),
        Case::of("gaussian_nll_True", |x| vec![loss::gaussian_nll_terms(x.get("m"), x.get("t"), x.get("v"), true)]),
        Case::of("poisson_nll_False", |x| vec![loss::poisson_nll_terms(x.get("x"), x.get("t"), false)]),
        Case::of("poisson_nll_True", |x| vec![loss::poisson_nll_terms(x.get("x"), x.get("t"), true)]),
        Case::of("poisson_nll_of_logs_False", |x| {
            let (logs, counts) = (x.get("x"), x.get("t"));
            vec![loss::poisson_nll_of_logs(logs, counts, false), loss::poisson_nll_of_logs_terms(logs, counts, false)]
        }),
        Case::of("poisson_nll_of_logs_True", |x| {
            let (logs, counts) = (x.get("x"), x.get("t"));
            vec![loss::poisson_nll_of_logs(logs, counts, true), loss::poisson_nll_of_logs_terms(logs, counts, true)]
        }),
    ]
}

fn vectors() -> Vec<Case> {
    vec![
        Case::of("cosine_similarity", |x| vec![loss::cosine_similarity(x.get("a"), x.get("b"))]),
        Case::of("cosine_embedding", |x| {
            let (a, b) = (x.get("a"), x.get("b"));
            vec![loss::cosine_embedding(a, b, signs(a), 0.0), loss::cosine_embedding(a, b, signs(a), 0.25)]
        }),
        Case::of("distance_1.0", |x| vec![loss::distance(x.get("a"), x.get("b"), 1.0)]),
        Case::of("distance_2.0", |x| vec![loss::distance(x.get("a"), x.get("b"), 2.0)]),
        Case::of("distance_3.0", |x| vec![loss::distance(x.get("a"), x.get("b"), 3.0)]),
        Case::of("distance_inf", |x| vec![loss::distance(x.get("a"), x.get("b"), f64::INFINITY)]),
        triplet("triplet", Triplet::new()),
        triplet("triplet_swap", Triplet::new().swap().margin(2.0)),
        triplet("triplet_p", Triplet::new().p(3.0).margin(0.5)),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = classes();
    cases.extend(elements());
    cases.extend(vectors());
    cases
}
