//! The cases of `other.py` with our layers.

use gradus::nn::{Dense, DenseOptions};

use crate::case::{Case, forward};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("dense", |params| {
            let layer = Dense::new(params, "layer", 3, 4);
            forward(move |x| vec![layer.forward(x.get("x"))])
        }),
        Case::new("dense_without_bias", |params| {
            let options = DenseOptions { bias: None, ..DenseOptions::default() };
            let layer = Dense::with(params, "layer", 3, 4, options);
            forward(move |x| vec![layer.forward(x.get("x"))])
        }),
    ]
}
