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
    const ZERO: Ctc = Ctc { blank: 0, zero_infinity: true };
    vec![
        Case::of("mean", |inputs| vec![loss(inputs, Ctc::default())]),
        Case::of("terms", |inputs| vec![terms(inputs, Ctc::default())]),
        Case::of("sum_with_another_blank", |inputs| vec![terms(inputs, Ctc { blank: 2, ..Ctc::default() }).sum()]),
        Case::of("zero_infinity", |inputs| vec![terms(inputs, ZERO)]),
        Case::of("zero_infinity_mean", |inputs| vec![loss(inputs, ZERO)]),
    ]
}
