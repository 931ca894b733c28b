//! The encoder of a transformer.

use gradus_graph::{Params, Real, Var};

use super::block::Block;
use super::mask::Mask;
use super::multi_head::MultiHeadAttention;
use super::options::TransformerOptions;
use super::stack::Stack;
use crate::layer::{Layer, Mode};

/// One layer of an encoder: attention of a sequence to itself and two dense layers, `W₂·φ(W₁·x + b₁) + b₂`, each with a
/// residual connection and a normalisation.
///
/// It has no `forward` without a [`Mode`]. With [`Mask::causal`] it is the layer of a language model.
///
/// # Shapes
/// `[L, N, E]` keeps its shape; with `batch_first` `[N, L, E]`; without examples `[L, E]`. The parameters are those of
/// `self_attn`, `linear1`, `linear2`, `norm1` and `norm2`, as in PyTorch.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{Mask, Mode, TransformerEncoderLayer, TransformerOptions};
/// let mut params: Params = Params::new(0);
/// let options = TransformerOptions::new().hidden(16).batch_first();
/// let layer = TransformerEncoderLayer::with(&mut params, "layer", 8, 2, options);
/// let graph = Graph::new();
/// let y = layer.forward_in(graph.zeros([3, 5, 8]), Mask::causal(), Mode::Train);
/// assert_eq!(y.shape().sizes(), [3, 5, 8]);
/// ```
///
/// # Reference
/// Vaswani et al., "Attention is all you need" (2017); with `norm_first` Xiong et al., "On layer normalization in the
/// transformer architecture" (2020).
#[derive(Clone, Debug)]
pub struct TransformerEncoderLayer {
    block: Block,
}

impl TransformerEncoderLayer {
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
    /// As [`TransformerEncoderLayer::new`], or if the dropout is not in `0..1`.
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        size: usize,
        heads: usize,
        options: TransformerOptions,
    ) -> Self {
        Self { block: Block::new(params, ["TransformerEncoderLayer", name], size, heads, false, &options) }
    }

    /// The attention of the sequence to itself.
    pub fn attention(&self) -> &MultiHeadAttention {
        &self.block.attention
    }

    /// The layer's output for a sequence.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mask: Mask<'g>, mode: Mode) -> Var<'g> {
        self.block.forward_in("TransformerEncoderLayer", x, None, mask, mode)
    }
}

/// Layers of an encoder, one after another, and a normalisation at the end if there is one.
///
/// Unlike in PyTorch, where they are copies of one layer, the layers start from different values.
///
/// # Shapes
/// As [`TransformerEncoderLayer`]. The layers are `name.layers.0` and so on, the normalisation `name.norm`.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{Mask, Mode, TransformerEncoder, TransformerOptions};
/// let mut params: Params = Params::new(0);
/// let options = TransformerOptions::new().hidden(16).norm_first();
/// let encoder = TransformerEncoder::with(&mut params, "encoder", 2, 8, 2, options).with_norm(&mut params);
/// let graph = Graph::new();
/// let y = encoder.forward_in(graph.zeros([5, 3, 8]), Mask::none(), Mode::Eval);
/// assert_eq!(y.shape().sizes(), [5, 3, 8]);
/// assert!(params.find("encoder.layers.1.linear2.bias").is_some() && params.find("encoder.norm.weight").is_some());
/// ```
#[derive(Clone, Debug)]
pub struct TransformerEncoder {
    stack: Stack<TransformerEncoderLayer>,
}

impl TransformerEncoder {
    /// Adds `depth` layers with PyTorch's options.
    ///
    /// # Panics
    /// As [`TransformerEncoderLayer::new`].
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, depth: usize, size: usize, heads: usize) -> Self {
        Self::with(params, name, depth, size, heads, TransformerOptions::new())
    }

    /// Adds `depth` layers with other options.
    ///
    /// # Panics
    /// As [`TransformerEncoderLayer::with`].
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        depth: usize,
        size: usize,
        heads: usize,
        options: TransformerOptions,
    ) -> Self {
        options.expect_valid("TransformerEncoder", size, heads);
        let mut layers = Vec::with_capacity(depth);
        let mut scope = params.enter(name);
        let mut params = scope.enter("layers");
        for number in 0..depth {
            layers.push(TransformerEncoderLayer::with(&mut params, &number.to_string(), size, heads, options));
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
    pub fn layers(&self) -> &[TransformerEncoderLayer] {
        &self.stack.layers
    }

    /// The output of the last layer for a sequence, one after another.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward_in<'g>(&self, x: Var<'g>, mask: Mask<'g>, mode: Mode) -> Var<'g> {
        self.stack.expect_input("TransformerEncoder", x);
        let _scope = x.graph().scope(&self.stack.name);
        let mut y = x;
        for layer in &self.stack.layers {
            y = layer.forward_in(y, mask, mode);
        }
        self.stack.finish(y)
    }
}

/// Without a mask.
impl Layer for TransformerEncoderLayer {
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        Self::forward_in(self, x, Mask::none(), mode)
    }
}

/// Without a mask.
impl Layer for TransformerEncoder {
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        Self::forward_in(self, x, Mask::none(), mode)
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, check};

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
            let layer = TransformerEncoderLayer::with(&mut params, "layer", 4, 2, options);
            let graph = Graph::new();
            let x = graph.constant(&numbers([3, 2, 4], 0));
            let found = layer.forward_in(x, Mask::causal(), Mode::Eval);
            let attend = |x| layer.attention().forward_in(x, x, x, Mask::causal(), Mode::Eval);
            let expected = if norm_first {
                let x = x + attend(norm(x));
                x + dense(&params, norm(x))
            } else {
                let x = norm(x + attend(x));
                norm(x + dense(&params, x))
            };
            let values = graph.eval_with::<f64>(&[found, expected], &params, &Feed::new()).unwrap();
            values[0].real().assert_close(values[1].real(), 1e-12, 1e-12);
        }
    }

    #[test]
    fn gradients_before_and_after_and_through_dropout() {
        for options in [options(), options().norm_first(), options().norm_first().dropout(0.25)] {
            let mut params: Params<f64> = Params::new(3);
            let options = options.batch_first();
            let encoder = TransformerEncoder::with(&mut params, "encoder", 1, 2, 1, options).with_norm(&mut params);
            let x = params.add("x", numbers([1, 2, 2], 0));
            let weights = numbers([1, 2, 2], 3);
            check::assert_model(&params, (), |graph, []| {
                let y = encoder.forward_in(graph.param(&x), Mask::causal(), Mode::Train);
                (y.tanh() * graph.constant(&weights)).sum()
            });
        }
    }

    #[test]
    fn names_are_those_of_pytorch_and_layers_start_apart() {
        let mut params: Params<f64> = Params::new(3);
        let encoder = TransformerEncoder::with(&mut params, "encoder", 2, 4, 2, options());
        assert_eq!((encoder.layers().len(), params.len()), (2, 24));
        for name in ["self_attn.in_proj_weight", "self_attn.out_proj.bias", "linear1.weight", "norm2.bias"] {
            assert!(params.find(&format!("encoder.layers.1.{name}")).is_some(), "{name}");
        }
        let weight = |layer: usize| params.get(params.find(&format!("encoder.layers.{layer}.linear1.weight")).unwrap());
        assert_ne!(weight(0), weight(1));
        let mut params: Params<f64> = Params::new(3);
        TransformerEncoderLayer::with(&mut params, "layer", 4, 2, options().without_bias());
        assert!(params.iter().all(|(param, _)| !param.name().contains("bias")));
    }

    #[test]
    fn no_examples_and_one_position() {
        let mut params: Params<f64> = Params::new(3);
        let encoder = TransformerEncoder::with(&mut params, "encoder", 1, 4, 2, options());
        let graph = Graph::new();
        for shape in [vec![3, 0, 4], vec![1, 2, 4], vec![5, 4]] {
            let y = Layer::forward_in(&encoder, graph.ones(shape.clone()), Mode::Eval);
            assert_eq!(graph.eval_with(&[y], &params, &Feed::new()).unwrap()[0].real().shape().sizes(), shape);
        }
    }

    #[test]
    #[should_panic(
        expected = "`TransformerEncoderLayer` of [3, 2, 5]: there must be three axes, or two without examples, and the last \
                    of size 4"
    )]
    fn another_size_is_refused() {
        let layer = TransformerEncoderLayer::with(&mut Params::<f64>::new(3), "layer", 4, 2, options());
        layer.forward_in(Graph::new().zeros([3, 2, 5]), Mask::none(), Mode::Eval);
    }
}
