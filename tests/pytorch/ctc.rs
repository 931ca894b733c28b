//! The cases of `ctc.py` with our loss.

use gradus::Var;
use gradus::nn::loss::{Ctc, CtcTargets};

use crate::case::{Case, Inputs};

/// Log-probabilities and targets of a case.
fn given<'g>(inputs: &Inputs<'g>) -> (Var<'g>, CtcTargets<'g>) {
    let targets = CtcTargets {
        labels: inputs.get("labels"),
        label_lengths: inputs.get("label_lengths"),
        input_lengths: inputs.get("input_lengths"),
    };
    (inputs.get("logits").log_softmax(-1), targets)
}

fn loss<'g>(inputs: &Inputs<'g>, ctc: Ctc) -> Var<'g> {
    let (log_probabilities, targets) = given(inputs);
    ctc.loss(log_probabilities, targets)
}

fn terms<'g>(inputs: &Inputs<'g>, ctc: Ctc) -> Var<'g> {
    let (log_probabilities, targets) = given(inputs);
    ctc.terms(log_probabilities, targets)
}

pub(crate) fn cases() -> Vec<Case> {
    let zero = Ctc::new().zero_infinity();
    vec![
        Case::of("mean", |inputs| vec![loss(inputs, Ctc::new())]),
        Case::of("terms", |inputs| vec![terms(inputs, Ctc::new())]),
        Case::of("sum_with_another_blank", |inputs| vec![terms(inputs, Ctc::new().blank(2)).sum()]),
        Case::of("zero_infinity", move |inputs| vec![terms(inputs, zero)]),
        Case::of("zero_infinity_mean", move |inputs| vec![loss(inputs, zero)]),
    ]
}
