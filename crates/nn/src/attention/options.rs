//! The options of transformer layers.

use gradus_graph::{Params, Real, expect_setting};

use super::multi_head::expect_heads;
use super::multi_head::{MultiHeadAttention, MultiHeadAttentionOptions};
use super::rotary::Rotary;
use crate::init::Init;
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
    /// The probability of dropping weights of the attention, hidden units, and the output of each part.
    pub dropout: f64,
    /// The number that the normalisations add to the variance.
    pub eps: f64,
    /// Whether each part starts with its normalisation (`x + f(norm(x))`) or ends in it (`norm(x + f(x))`).
    pub norm_first: bool,
    /// Whether the examples are on the first axis.
    pub batch_first: bool,
    /// Whether attention, dense layers and normalisations have biases.
    pub bias: bool,
    /// Rotary position encoding of the queries and keys of the attention of a sequence to itself; none by default.
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
    /// Panics if the options of a layer have no meaning, with the name of the layer rather than that of its part.
    #[track_caller]
    pub(super) fn expect_valid(&self, layer: &str, size: usize, heads: usize) {
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
