//! What the layers of transformers share: their options, and the two dense layers after the attention,
//! `W₂·φ(W₁·x + b₁) + b₂`.

use gradus_graph::{Params, Real, Var, expect_setting};

use super::multi_head::expect_heads;
use super::multi_head::{MultiHeadAttention, MultiHeadAttentionOptions};
use super::rotary::Rotary;
use crate::dense::{Dense, DenseOptions};
use crate::dropout::Dropout;
use crate::init::Init;
use crate::layer::Mode;
use crate::norm::{LayerNorm, LayerNormOptions};

/// The activation between the two dense layers of a transformer's layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformerActivation {
    /// `max(x, 0)`
    Relu,
    /// `x·Φ(x)`
    Gelu,
}

/// The sizes and options of a transformer's layers.
///
/// The default is that of PyTorch's `TransformerEncoderLayer` and `TransformerDecoderLayer`: 2048 hidden units, ReLU,
/// dropout of 0.1, normalisation after each part, examples on the second axis, biases.
///
/// # Example
/// ```
/// use gradus_nn::{TransformerActivation, TransformerOptions};
/// let options = TransformerOptions { hidden: 64, norm_first: true, ..TransformerOptions::default() };
/// assert_eq!(options.activation, TransformerActivation::Relu);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransformerOptions {
    /// The units between the two dense layers; PyTorch's `dim_feedforward`.
    pub hidden: usize,
    /// The activation between the two dense layers.
    pub activation: TransformerActivation,
    /// The probability of dropping weights of the attention, hidden units, and what each part adds.
    pub dropout: f64,
    /// What the normalisations add to the variance.
    pub eps: f64,
    /// Whether each part starts with its normalisation (`x + f(norm(x))`) or ends in it (`norm(x + f(x))`).
    pub norm_first: bool,
    /// Whether the examples are on the first axis.
    pub batch_first: bool,
    /// Whether attention, dense layers and normalisations have biases.
    pub bias: bool,
    /// Turns the queries and keys of the attention of a sequence to itself by their positions.
    pub rotary: Option<Rotary>,
}

impl Default for TransformerOptions {
    fn default() -> Self {
        Self {
            hidden: 2048,
            activation: TransformerActivation::Relu,
            dropout: 0.1,
            eps: 1e-5,
            norm_first: false,
            batch_first: false,
            bias: true,
            rotary: None,
        }
    }
}

impl TransformerOptions {
    /// Says so if the options of a layer have no meaning. The parts are made inside of scopes, where the caller's line is
    /// lost.
    #[track_caller]
    pub(super) fn expect(&self, layer: &str, size: usize, heads: usize) {
        expect_heads(layer, size, heads);
        expect_setting(&format!("`{layer}`: dropout"), self.dropout, 0.0..1.0);
        expect_setting(&format!("`{layer}`: eps"), self.eps, 0.0..);
    }

    /// Adds an attention under the store's present scope.
    #[track_caller]
    pub(super) fn attention(
        &self,
        params: &mut Params<impl Real>,
        name: &str,
        size: usize,
        heads: usize,
        rotary: Option<Rotary>,
    ) -> MultiHeadAttention {
        let &Self { bias, dropout, batch_first, .. } = self;
        let options = MultiHeadAttentionOptions { bias, dropout, batch_first, rotary, ..Default::default() };
        MultiHeadAttention::with(params, name, size, heads, options)
    }

    /// Adds a normalisation under the store's present scope.
    #[track_caller]
    pub(super) fn norm(&self, params: &mut Params<impl Real>, name: &str, size: usize) -> LayerNorm {
        let bias = self.bias.then(Init::zeros);
        LayerNorm::with(params, name, size, LayerNormOptions { eps: self.eps, bias, ..LayerNormOptions::default() })
    }
}

/// `W₂·φ(W₁·x + b₁) + b₂`, with dropout of the hidden units.
#[derive(Clone, Debug)]
pub(super) struct FeedForward {
    linear1: Dense,
    linear2: Dense,
    activation: TransformerActivation,
    dropout: Dropout,
}

impl FeedForward {
    /// Adds `linear1` and `linear2` under the store's present scope.
    #[track_caller]
    pub(super) fn new(params: &mut Params<impl Real>, size: usize, options: &TransformerOptions) -> Self {
        let dense = DenseOptions { bias: options.bias.then(Init::default), ..DenseOptions::default() };
        Self {
            linear1: Dense::with(params, "linear1", size, options.hidden, dense),
            linear2: Dense::with(params, "linear2", options.hidden, size, dense),
            activation: options.activation,
            dropout: Dropout::new(options.dropout),
        }
    }

    #[track_caller]
    pub(super) fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let hidden = self.linear1.forward(x);
        let hidden = match self.activation {
            TransformerActivation::Relu => hidden.relu(),
            TransformerActivation::Gelu => hidden.gelu(),
        };
        self.linear2.forward(self.dropout.forward_in(hidden, mode))
    }
}

/// A part of a layer beside the way around it: `x + f(norm(x))` or `norm(x + f(x))`, with dropout of what `f` gives.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    norm: LayerNorm,
    dropout: Dropout,
    norm_first: bool,
}

impl Residual {
    /// Adds the normalisation under the store's present scope.
    #[track_caller]
    pub(super) fn new(params: &mut Params<impl Real>, name: &str, size: usize, options: &TransformerOptions) -> Self {
        let (norm, dropout) = (options.norm(params, name, size), Dropout::new(options.dropout));
        Self { norm, dropout, norm_first: options.norm_first }
    }

    /// What `f` takes.
    #[track_caller]
    pub(super) fn before<'g>(&self, x: Var<'g>) -> Var<'g> {
        if self.norm_first { self.norm.forward(x) } else { x }
    }

    /// What comes out, from `x` and what `f` gave.
    #[track_caller]
    pub(super) fn after<'g>(&self, x: Var<'g>, y: Var<'g>, mode: Mode) -> Var<'g> {
        let sum = x + self.dropout.forward_in(y, mode);
        if self.norm_first { sum } else { self.norm.forward(sum) }
    }
}

/// The formulas of the parts, for the tests of the layers.
#[cfg(test)]
pub(super) mod formula {
    use super::*;

    pub(in crate::attention) fn wave(k: usize) -> f64 {
        ((k * k + 5 * k) as f64 * 0.37).sin()
    }

    /// A normalisation as it starts.
    pub(in crate::attention) fn norm(x: Var<'_>) -> Var<'_> {
        let centred = x - x.mean_keep(-1);
        centred / (centred.square().mean_keep(-1) + 1e-5).sqrt()
    }

    /// The dense layers of the layer named `layer`.
    pub(in crate::attention) fn dense<'g>(params: &Params<f64>, x: Var<'g>) -> Var<'g> {
        let value = |name: &str| x.graph().param(params.find(&format!("layer.{name}")).unwrap());
        let hidden = x.matmul(value("linear1.weight").t()) + value("linear1.bias");
        hidden.gelu().matmul(value("linear2.weight").t()) + value("linear2.bias")
    }
}
