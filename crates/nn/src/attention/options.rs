//! The options of transformer layers.

use gradus_graph::{Params, Real, expect_setting};

use super::multi_head::expect_heads;
use super::multi_head::{MultiHeadAttention, MultiHeadAttentionOptions};
use super::rotary::Rotary;
use crate::norm::{LayerNorm, LayerNormOptions};

/// The activation between the two dense layers of a transformer's layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformerActivation {
    /// `max(x, 0)`
    Relu,
    /// `x·Φ(x)`
    Gelu,
}

/// The options of the layers of a transformer.
///
/// The default is that of PyTorch's `TransformerEncoderLayer` and `TransformerDecoderLayer`: 2048 hidden units, ReLU,
/// dropout of 0.1, normalisation after each part, examples on the second axis, biases.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{TransformerActivation, TransformerEncoderLayer, TransformerOptions};
/// let mut params: Params = Params::new(0);
/// let options = TransformerOptions::new().hidden(64).activation(TransformerActivation::Gelu).norm_first().dropout(0.0);
/// TransformerEncoderLayer::with(&mut params, "layer", 8, 2, options);
/// assert_eq!(params.find("layer.linear1.weight").expect("it is there").shape().sizes(), [64, 8]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransformerOptions {
    pub(super) hidden: usize,
    pub(super) activation: TransformerActivation,
    pub(super) dropout: f64,
    pub(super) eps: f64,
    pub(super) norm_first: bool,
    pub(super) batch_first: bool,
    pub(super) bias: bool,
    pub(super) rotary: Option<Rotary>,
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
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of hidden units between the two dense layers; 2048 by default. PyTorch's `dim_feedforward`.
    #[must_use]
    pub fn hidden(self, units: usize) -> Self {
        Self { hidden: units, ..self }
    }

    /// The activation between the two dense layers; ReLU by default.
    #[must_use]
    pub fn activation(self, activation: TransformerActivation) -> Self {
        Self { activation, ..self }
    }

    /// The probability that an attention weight, a hidden unit or an element of the output of a part is dropped in
    /// training, at least 0 and below 1; 0.1 by default.
    #[must_use]
    pub fn dropout(self, probability: f64) -> Self {
        Self { dropout: probability, ..self }
    }

    /// The number that the normalisations add to the variance; 1e-5 by default.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// Normalises the input of each part, `x + f(norm(x))`; by default the sum, `norm(x + f(x))`.
    #[must_use]
    pub fn norm_first(self) -> Self {
        Self { norm_first: true, ..self }
    }

    /// Puts the examples on the first axis, `[N, L, E]`; by default they are on the second, `[L, N, E]`.
    #[must_use]
    pub fn batch_first(self) -> Self {
        Self { batch_first: true, ..self }
    }

    /// Leaves out the biases of attention, dense layers and normalisations.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// Encodes positions by rotating the queries and keys of the attention of a sequence to itself; by default there is
    /// no position encoding.
    #[must_use]
    pub fn rotary(self, rotary: Rotary) -> Self {
        Self { rotary: Some(rotary), ..self }
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
        let options = MultiHeadAttentionOptions {
            bias: self.bias,
            dropout: self.dropout,
            batch_first: self.batch_first,
            rotary,
            ..MultiHeadAttentionOptions::new()
        };
        MultiHeadAttention::with(params, name, size, heads, options)
    }

    /// Adds a normalisation under the store's present scope.
    #[track_caller]
    pub(super) fn norm(&self, params: &mut Params<impl Real>, name: &str, size: usize) -> LayerNorm {
        let options = LayerNormOptions::new().eps(self.eps);
        let options = if self.bias { options } else { options.without_bias() };
        LayerNorm::with(params, name, size, options)
    }
}
