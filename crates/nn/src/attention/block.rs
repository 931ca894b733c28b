//! What the layers of an encoder and of a decoder share: attention and two dense layers, each with a residual
//! connection and a normalisation.

use gradus_graph::{Params, Real, Shape, Var};

use super::mask::Mask;
use super::multi_head::MultiHeadAttention;
use super::options::{TransformerActivation, TransformerOptions};
use crate::dense::{Dense, DenseOptions};
use crate::dropout::Dropout;
use crate::layer::Mode;
use crate::norm::LayerNorm;

/// Attention of a sequence to itself, in a decoder also to a memory, and two dense layers.
#[derive(Clone, Debug)]
pub(super) struct Block {
    name: String,
    pub(super) attention: MultiHeadAttention,
    attention_residual: Residual,
    memory: Option<(MultiHeadAttention, Residual)>,
    dense: FeedForward,
    dense_residual: Residual,
}

impl Block {
    /// Adds a block to the store: `self_attn`, `multihead_attn` if it attends to a memory, `linear1`, `linear2`, and
    /// the normalisations `norm1`, `norm2` and so on. `layer` is the name of the type in messages.
    #[track_caller]
    pub(super) fn new(
        params: &mut Params<impl Real>,
        [layer, name]: [&str; 2],
        size: usize,
        heads: usize,
        has_memory: bool,
        options: &TransformerOptions,
    ) -> Self {
        options.expect_valid(layer, size, heads);
        let mut scope = params.enter(name);
        let params = &mut *scope;
        let attention = options.attention(params, "self_attn", size, heads, options.rotary);
        let to_memory =
            if has_memory { Some(options.attention(params, "multihead_attn", size, heads, None)) } else { None };
        let dense = FeedForward::new(params, size, options);
        let attention_residual = Residual::new(params, "norm1", size, options);
        // No closure: the line of the caller passes through.
        let mut memory = None;
        if let Some(attention) = to_memory {
            memory = Some((attention, Residual::new(params, "norm2", size, options)));
        }
        let last = if has_memory { "norm3" } else { "norm2" };
        let dense_residual = Residual::new(params, last, size, options);
        Self { name: name.to_owned(), attention, attention_residual, memory, dense, dense_residual }
    }

    /// The attention to the memory, in a decoder.
    pub(super) fn to_memory(&self) -> Option<&MultiHeadAttention> {
        self.memory.as_ref().map(|(attention, _)| attention)
    }

    /// The block's output for a sequence and, in a decoder, the memory with its mask.
    #[track_caller]
    pub(super) fn forward_in<'g>(
        &self,
        layer: &str,
        x: Var<'g>,
        memory: Option<(Var<'g>, Mask<'g>)>,
        mask: Mask<'g>,
        mode: Mode,
    ) -> Var<'g> {
        expect_sequence(layer, &x.shape(), self.attention.size());
        let _scope = x.graph().scope(&self.name);
        let residual = &self.attention_residual;
        let h = residual.before(x);
        let mut x = residual.after(x, self.attention.forward_in(h, h, h, mask, mode), mode);
        if let (Some((attention, residual)), Some((memory, mask))) = (&self.memory, memory) {
            let h = residual.before(x);
            x = residual.after(x, attention.forward_in(h, memory, memory, mask, mode), mode);
        }
        let residual = &self.dense_residual;
        residual.after(x, self.dense.forward_in(residual.before(x), mode), mode)
    }
}

/// Panics if a shape is not that of sequences of vectors of the given size.
#[track_caller]
pub(super) fn expect_sequence(layer: &str, shape: &Shape, size: usize) {
    assert!(
        (shape.rank() == 2 || shape.rank() == 3) && shape.last() == Some(&size),
        "`{layer}` of {shape}: there must be three axes, or two without examples, and the last of size {size}"
    );
}

/// `W₂·φ(W₁·x + b₁) + b₂`, with dropout of the hidden units.
#[derive(Clone, Debug)]
struct FeedForward {
    linear1: Dense,
    linear2: Dense,
    activation: TransformerActivation,
    dropout: Dropout,
}

impl FeedForward {
    /// Adds `linear1` and `linear2` under the store's present scope.
    #[track_caller]
    fn new(params: &mut Params<impl Real>, size: usize, options: &TransformerOptions) -> Self {
        let dense = if options.bias { DenseOptions::new() } else { DenseOptions::new().without_bias() };
        Self {
            linear1: Dense::with(params, "linear1", size, options.hidden, dense),
            linear2: Dense::with(params, "linear2", options.hidden, size, dense),
            activation: options.activation,
            dropout: Dropout::new(options.dropout),
        }
    }

    #[track_caller]
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let hidden = self.linear1.forward(x);
        let hidden = match self.activation {
            TransformerActivation::Relu => hidden.relu(),
            TransformerActivation::Gelu => hidden.gelu(),
        };
        self.linear2.forward(self.dropout.forward_in(hidden, mode))
    }
}

/// A residual connection around a part `f` of a layer: `x + f(norm(x))` or `norm(x + f(x))`, with dropout of the output
/// of `f`.
#[derive(Clone, Debug)]
struct Residual {
    norm: LayerNorm,
    dropout: Dropout,
    norm_first: bool,
}

impl Residual {
    /// Adds the normalisation under the store's present scope.
    #[track_caller]
    fn new(params: &mut Params<impl Real>, name: &str, size: usize, options: &TransformerOptions) -> Self {
        let (norm, dropout) = (options.norm(params, name, size), Dropout::new(options.dropout));
        Self { norm, dropout, norm_first: options.norm_first }
    }

    /// The input of `f`.
    #[track_caller]
    fn before<'g>(&self, x: Var<'g>) -> Var<'g> {
        if self.norm_first { self.norm.forward(x) } else { x }
    }

    /// The sum, from `x` and the output of `f`.
    #[track_caller]
    fn after<'g>(&self, x: Var<'g>, y: Var<'g>, mode: Mode) -> Var<'g> {
        let sum = x + self.dropout.forward_in(y, mode);
        if self.norm_first { sum } else { self.norm.forward(sum) }
    }
}

/// The formulas of the parts, for the tests of the layers.
#[cfg(test)]
pub(super) mod formula {
    use super::*;

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
