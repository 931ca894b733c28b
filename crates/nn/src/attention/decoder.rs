//! The decoder of a transformer.

use gradus_graph::{Params, Real, Var};

use super::block::Block;
use super::mask::Mask;
use super::multi_head::MultiHeadAttention;
use super::options::TransformerOptions;
use super::stack::Stack;
use crate::layer::Mode;

/// One layer of a decoder: attention of a sequence to itself, attention to the output of an encoder (the memory), and
/// two dense layers, `W₂·φ(W₁·x + b₁) + b₂`, each with a residual connection and a normalisation.
///
/// # Shapes
/// A sequence `[L, N, E]` keeps its shape; the memory, the output of the encoder, is `[S, N, E]`. With `batch_first`
/// `N` comes first; without examples it is left out. The parameters are those of `self_attn`, `multihead_attn`,
/// `linear1`, `linear2`, `norm1`, `norm2` and `norm3`, as in PyTorch.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{Mask, Mode, TransformerDecoderLayer, TransformerOptions};
/// let mut params: Params = Params::new(0);
/// let options = TransformerOptions::new().hidden(16).batch_first();
/// let layer = TransformerDecoderLayer::with(&mut params, "layer", 8, 2, options);
/// let graph = Graph::new();
/// let (x, memory) = (graph.zeros([3, 5, 8]), graph.zeros([3, 7, 8]));
/// let y = layer.forward_in(x, memory, Mask::causal(), Mask::none(), Mode::Train);
/// assert_eq!(y.shape().sizes(), [3, 5, 8]);
/// ```
///
/// # Reference
/// Vaswani et al., "Attention is all you need" (2017).
#[derive(Clone, Debug)]
pub struct TransformerDecoderLayer {
    block: Block,
}

impl TransformerDecoderLayer {
    /// Adds a layer over vectors of `size` elements with `heads` heads, with PyTorch's options.
    ///
    /// # Panics
    /// If the size is not a multiple of the number of heads, or the scope `name` has parameters of the layer already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, size: usize, heads: usize) -> Self {
        Self::with(params, name, size, heads, TransformerOptions::new())
    }

    /// Adds a layer with other options.
    ///
    /// # Panics
    /// As [`TransformerDecoderLayer::new`], or if the dropout is not in `0..1`.
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        size: usize,
        heads: usize,
        options: TransformerOptions,
    ) -> Self {
        Self { block: Block::new(params, ["TransformerDecoderLayer", name], size, heads, true, &options) }
    }

    /// The attention of the sequence to itself.
    pub fn attention(&self) -> &MultiHeadAttention {
        &self.block.attention
    }

    /// The attention to the memory.
    pub fn to_memory(&self) -> &MultiHeadAttention {
        self.block.to_memory().expect("a layer of a decoder attends to a memory")
    }

    /// The layer's output for a sequence and the memory. `mask` is for the attention of the sequence to itself and
    /// nearly always causal, `memory_mask` for that to the memory.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward_in<'g>(
        &self,
        x: Var<'g>,
        memory: Var<'g>,
        mask: Mask<'g>,
        memory_mask: Mask<'g>,
        mode: Mode,
    ) -> Var<'g> {
        self.block.forward_in("TransformerDecoderLayer", x, Some((memory, memory_mask)), mask, mode)
    }
}

/// Layers of a decoder, one after another, and a normalisation at the end if there is one.
///
/// Unlike in PyTorch, where they are copies of one layer, the layers start from different values.
///
/// # Shapes
/// As [`TransformerDecoderLayer`]. The layers are `name.layers.0` and so on, the normalisation `name.norm`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{Mask, Mode, TransformerDecoder, TransformerOptions};
/// let mut params: Params = Params::new(0);
/// let options = TransformerOptions::new().hidden(16);
/// let decoder = TransformerDecoder::with(&mut params, "decoder", 2, 8, 2, options).with_norm(&mut params);
/// let graph = Graph::new();
/// let (x, memory) = (graph.zeros([5, 3, 8]), graph.zeros([7, 3, 8]));
/// let y = decoder.forward_in(x, memory, Mask::causal(), Mask::none(), Mode::Eval);
/// assert_eq!(y.shape().sizes(), [5, 3, 8]);
/// ```
#[derive(Clone, Debug)]
pub struct TransformerDecoder {
    stack: Stack<TransformerDecoderLayer>,
}

impl TransformerDecoder {
    /// Adds `depth` layers with PyTorch's options.
    ///
    /// # Panics
    /// As [`TransformerDecoderLayer::new`].
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, depth: usize, size: usize, heads: usize) -> Self {
        Self::with(params, name, depth, size, heads, TransformerOptions::new())
    }

    /// Adds `depth` layers with other options.
    ///
    /// # Panics
    /// As [`TransformerDecoderLayer::with`].
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        depth: usize,
        size: usize,
        heads: usize,
        options: TransformerOptions,
    ) -> Self {
        options.expect_valid("TransformerDecoder", size, heads);
        let mut layers = Vec::with_capacity(depth);
        let mut scope = params.enter(name);
        let mut params = scope.enter("layers");
        for number in 0..depth {
            layers.push(TransformerDecoderLayer::with(&mut params, &number.to_string(), size, heads, options));
        }
        Self { stack: Stack::new(name, layers, size, options) }
    }

    /// With a normalisation at the end, as layers with `norm_first` need it.
    #[must_use]
    #[track_caller]
    pub fn with_norm(mut self, params: &mut Params<impl Real>) -> Self {
        self.stack.add_norm(params);
        self
    }

    /// The layers.
    pub fn layers(&self) -> &[TransformerDecoderLayer] {
        &self.stack.layers
    }

    /// The output of the last layer for a sequence and the memory, one after another; all attend to the same memory.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward_in<'g>(
        &self,
        x: Var<'g>,
        memory: Var<'g>,
        mask: Mask<'g>,
        memory_mask: Mask<'g>,
        mode: Mode,
    ) -> Var<'g> {
        self.stack.expect_input("TransformerDecoder", x);
        let _scope = x.graph().scope(&self.stack.name);
        let mut y = x;
        for layer in &self.stack.layers {
            y = layer.forward_in(y, memory, mask, memory_mask, mode);
        }
        self.stack.finish(y)
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Tensor, check};

    use super::*;
    use crate::attention::TransformerActivation;
    use crate::attention::block::formula::{dense, norm};
    use crate::test_numbers::numbers;

    fn options() -> TransformerOptions {
        TransformerOptions::new().hidden(3).activation(TransformerActivation::Gelu).dropout(0.0)
    }

    /// The layer's formula in terms of its parts, which have tests of their own.
    #[test]
    fn values_are_those_of_the_formula_before_and_after() {
        for (options, norm_first) in [(options(), false), (options().norm_first(), true)] {
            let mut params: Params<f64> = Params::new(3);
            let layer = TransformerDecoderLayer::with(&mut params, "layer", 4, 2, options);
            let graph = Graph::new();
            let x = graph.constant(&numbers([3, 2, 4], 0));
            let memory = graph.constant(&numbers([5, 2, 4], 3));
            let lengths = Mask::lengths(graph.index_constant(&Tensor::from([5, 2])));
            let found = layer.forward_in(x, memory, Mask::causal(), lengths, Mode::Eval);
            let attend = |x| layer.attention().forward_in(x, x, x, Mask::causal(), Mode::Eval);
            let look = |x| layer.to_memory().forward_in(x, memory, memory, lengths, Mode::Eval);
            let expected = if norm_first {
                let x = x + attend(norm(x));
                let x = x + look(norm(x));
                x + dense(&params, norm(x))
            } else {
                let x = norm(x + attend(x));
                let x = norm(x + look(x));
                norm(x + dense(&params, x))
            };
            let values = graph.eval_with::<f64>(&[found, expected], &params, &Feed::new()).unwrap();
            values[0].real().assert_close(values[1].real(), 1e-12, 1e-12);
        }
    }

    #[test]
    fn gradients_of_a_decoder_also_into_the_memory() {
        for options in [options(), options().norm_first()] {
            let mut params: Params<f64> = Params::new(3);
            let decoder = TransformerDecoder::with(&mut params, "decoder", 1, 2, 1, options).with_norm(&mut params);
            let memory = params.add("memory", numbers([2, 1, 2], 0));
            let x = numbers([2, 1, 2], 11);
            let weights = numbers([2, 1, 2], 3);
            check::assert_model(&params, (), |graph, []| {
                let (x, memory) = (graph.constant(&x), graph.param(&memory));
                let y = decoder.forward_in(x, memory, Mask::causal(), Mask::none(), Mode::Train);
                (y.tanh() * graph.constant(&weights)).sum()
            });
        }
    }

    #[test]
    fn names_are_those_of_pytorch() {
        let mut params: Params<f64> = Params::new(3);
        let decoder = TransformerDecoder::with(&mut params, "decoder", 2, 4, 2, options()).with_norm(&mut params);
        assert_eq!((decoder.layers().len(), params.len()), (2, 2 * 18 + 2));
        for name in ["layers.0.multihead_attn.in_proj_weight", "layers.1.norm3.bias", "norm.weight"] {
            assert!(params.find(&format!("decoder.{name}")).is_some(), "{name}");
        }
    }

    #[test]
    fn no_examples() {
        let mut params: Params<f64> = Params::new(3);
        let decoder = TransformerDecoder::with(&mut params, "decoder", 1, 4, 2, options());
        let graph = Graph::new();
        let (x, memory) = (graph.zeros([3, 0, 4]), graph.zeros([2, 0, 4]));
        let y = decoder.forward_in(x, memory, Mask::causal(), Mask::none(), Mode::Eval);
        assert_eq!(graph.eval_with(&[y], &params, &Feed::new()).unwrap()[0].real().shape().sizes(), [3, 0, 4]);
    }

    #[test]
    #[should_panic(
        expected = "`MultiHeadAttention` of queries [3, 2, 4], keys [3, 2, 5] and values [3, 2, 5]: the last axes must have \
                    the sizes [4, 4, 4]"
    )]
    fn a_memory_of_another_size_is_refused() {
        let layer = TransformerDecoderLayer::with(&mut Params::<f64>::new(3), "layer", 4, 2, options());
        let graph = Graph::new();
        layer.forward_in(graph.zeros([3, 2, 4]), graph.zeros([3, 2, 5]), Mask::none(), Mask::none(), Mode::Eval);
    }
}
