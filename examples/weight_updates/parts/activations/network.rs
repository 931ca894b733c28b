//! A small convolutional network, and how its units respond.

use std::fmt;

use gradus::data::Dataset;
use gradus::nn::{Conv2d, Conv2dOptions, Dense, DenseOptions, Flatten, Init, Layer, MaxPool2d, Mode, Padding};
use gradus::train::Function;
use gradus::train::statistics::{ActivationStatistics, Nonlinearity};
use gradus::{Params, Var};

use crate::Failure;

/// An activation with the initial weights that are made for it.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Activation {
    Relu,
    Gelu,
    Tanh,
    Sigmoid,
    /// Four times Xavier's weights, as the slope of the sigmoid is at most a quarter.
    ScaledSigmoid,
}

pub(super) const ACTIVATIONS: [Activation; 5] =
    [Activation::Relu, Activation::Gelu, Activation::Tanh, Activation::Sigmoid, Activation::ScaledSigmoid];

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relu => "ReLU",
            Self::Gelu => "GELU",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::ScaledSigmoid => "sigmoid, weights ×4",
        })
    }
}

impl Activation {
    fn init(self) -> Init {
        match self {
            Self::Relu | Self::Gelu => Init::he_normal(),
            Self::Tanh | Self::Sigmoid => Init::xavier_normal(),
            Self::ScaledSigmoid => Init::xavier_normal().gain(4.0),
        }
    }

    fn of<'g>(self, x: Var<'g>) -> Var<'g> {
        match self {
            Self::Relu => x.relu(),
            Self::Gelu => x.gelu(),
            Self::Tanh => x.tanh(),
            Self::Sigmoid | Self::ScaledSigmoid => x.sigmoid(),
        }
    }

    fn nonlinearity(self) -> Nonlinearity {
        match self {
            Self::Relu | Self::Gelu => Nonlinearity::Relu,
            Self::Tanh => Nonlinearity::Tanh,
            Self::Sigmoid | Self::ScaledSigmoid => Nonlinearity::Sigmoid,
        }
    }
}

/// The layers with weights, from the image on.
pub(super) const LAYERS: [&str; 4] = ["strokes", "parts", "hidden", "output"];

/// Two convolutions of 3×3, each followed by the activation and by pooling, and two dense layers.
pub(super) struct Network {
    strokes: Conv2d,
    parts: Conv2d,
    hidden: Dense,
    output: Dense,
    activation: Activation,
}

impl Network {
    pub(super) fn new(params: &mut Params, activation: Activation) -> Self {
        let conv = Conv2dOptions::new().padding(Padding::Same).weight(activation.init()).bias(Init::zeros());
        let dense = DenseOptions::new().weight(activation.init()).bias(Init::zeros());
        Self {
            strokes: Conv2d::with(params, "strokes", 1, 6, 3, conv),
            parts: Conv2d::with(params, "parts", 6, 12, 3, conv),
            hidden: Dense::with(params, "hidden", 12 * 2 * 2, 24, dense),
            output: Dense::with(params, "output", 24, 10, dense),
            activation,
        }
    }

    /// The sums that the activation is taken of, and the logits.
    fn trace<'g>(&self, images: Var<'g>) -> ([Var<'g>; 3], Var<'g>) {
        let pooled = |sums| MaxPool2d::new(2).forward(self.activation.of(sums));
        let strokes = self.strokes.forward(images);
        let parts = self.parts.forward(pooled(strokes));
        let hidden = self.hidden.forward(Flatten::new().forward(pooled(parts)));
        ([strokes, parts, hidden], self.output.forward(self.activation.of(hidden)))
    }

    /// How the layers with an activation respond to images.
    ///
    /// An output is flat where it lies in the last hundredth of the range of sigmoid, or beyond ±0.99 with tanh, or is 0 with
    /// ReLU; GELU, whose outputs do not tell, is flat where its slope is below 0.02.
    pub(super) fn responses(&self, params: &Params, data: &Dataset) -> Result<[ActivationStatistics; 3], Failure> {
        let mut function = Function::new(|graph, [images]| {
            let (sums, _) = self.trace(images);
            sums.map(|sums| {
                let outputs = self.activation.of(sums);
                if self.activation != Activation::Gelu {
                    return outputs;
                }
                let slope = graph.grad(outputs.sum(), &[sums]).expect("GELU has a derivative")[0];
                (slope.abs() - 0.02).relu()
            })
        });
        let outputs = function.run(params, data.inputs())?;
        let layer = |number: usize| {
            ActivationStatistics::of(LAYERS[number], self.activation.nonlinearity(), outputs[number].real(), 1)
        };
        Ok([0, 1, 2].map(layer))
    }
}

impl Layer for Network {
    fn forward_in<'g>(&self, images: Var<'g>, _mode: Mode) -> Var<'g> {
        self.trace(images).1
    }
}
