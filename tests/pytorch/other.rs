//! The cases of `other.py` with our layers.

use gradus::nn::{
    Bilinear, Dense, DenseOptions, Elu, GeGlu, Gelu, GeluTanh, Glu, HardSigmoid, HardSwish, HardTanh, LeakyRelu,
    LogSigmoid, LogSoftmax, Mish, PRelu, Relu, Selu, Sigmoid, Silu, Softmax, Softplus, Softsign, Steady, SwiGlu, Tanh,
};

use crate::case::{Case, forward};

/// A layer without parameters.
fn plain(name: &'static str, layer: impl Steady + Copy + 'static) -> Case {
    Case::of(name, move |x| vec![layer.forward(x.get("x"))])
}

fn without_bias() -> DenseOptions {
    DenseOptions::new().without_bias()
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("dense", |params| {
            let layer = Dense::new(params, "layer", 3, 4);
            forward(move |x| vec![layer.forward(x.get("x"))])
        }),
        Case::new("dense_without_bias", |params| {
            let layer = Dense::with(params, "layer", 3, 4, without_bias());
            forward(move |x| vec![layer.forward(x.get("x"))])
        }),
        Case::new("bilinear", |params| {
            let layer = Bilinear::new(params, "layer", 3, 2, 4);
            forward(move |x| vec![layer.forward(x.get("a"), x.get("b"))])
        }),
        Case::new("bilinear_without_bias", |params| {
            let layer = Bilinear::with(params, "layer", 2, 2, 1, without_bias());
            forward(move |x| vec![layer.forward(x.get("a"), x.get("b"))])
        }),
        Case::new("prelu", |params| {
            let layer = PRelu::new(params, "layer", 1);
            forward(move |x| vec![layer.forward(x.get("x"))])
        }),
        Case::new("prelu_channels", |params| {
            let layer = PRelu::new(params, "layer", 3);
            forward(move |x| vec![layer.forward(x.get("x"))])
        }),
        plain("glu", Glu::default()),
        plain("glu_axis", Glu::new(0)),
        plain("geglu", GeGlu::default()),
        plain("swiglu", SwiGlu::default()),
        plain("relu", Relu),
        plain("sigmoid", Sigmoid),
        plain("tanh", Tanh),
        plain("gelu", Gelu),
        plain("gelu_tanh", GeluTanh),
        plain("silu", Silu),
        plain("mish", Mish),
        plain("selu", Selu),
        plain("softplus", Softplus),
        plain("softsign", Softsign),
        plain("log_sigmoid", LogSigmoid),
        plain("hard_sigmoid", HardSigmoid),
        plain("hard_swish", HardSwish),
        plain("hard_tanh", HardTanh),
        plain("leaky_relu", LeakyRelu::default()),
        plain("leaky_relu_slope", LeakyRelu::new(0.2)),
        plain("elu", Elu::default()),
        plain("elu_alpha", Elu::new(0.5)),
        plain("softmax", Softmax::default()),
        plain("softmax_axis", Softmax::new(0)),
        plain("log_softmax", LogSoftmax::default()),
        plain("log_softmax_axis", LogSoftmax::new(0)),
    ]
}
