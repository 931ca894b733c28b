//! The cases of `attention.py` with our layers.

use gradus::nn::{
    Embedding, EmbeddingOptions, Mask, Mode, MultiHeadAttention, MultiHeadAttentionOptions, TransformerActivation,
    TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer, TransformerOptions,
    scaled_dot_product_attention,
};
use gradus::{Tensor, Var};

use crate::case::{Case, Inputs, forward};

fn embedding(name: &'static str, options: EmbeddingOptions) -> Case {
    Case::new(name, move |params| {
        let layer = Embedding::with(params, "layer", 4, 3, options);
        forward(move |x| vec![layer.forward(x.get("indices"))])
    })
}

fn dot(name: &'static str, mask: impl for<'g> Fn(&Inputs<'g>) -> Mask<'g> + Copy + 'static) -> Case {
    Case::of(name, move |x| {
        let [q, k, v] = ["q", "k", "v"].map(|name| x.get(name));
        vec![scaled_dot_product_attention(q, k, v, mask(x))]
    })
}

fn chosen<'g>(x: &Inputs<'g>) -> Mask<'g> {
    let rows = [[1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]];
    Mask::allowed(x.get("q").graph().constant(&Tensor::<f64>::from_rows(rows)))
}

fn added<'g>(x: &Inputs<'g>) -> Mask<'g> {
    Mask { added: Some(x.get("added")), ..Mask::none() }
}

fn lengths<'g>(x: &Inputs<'g>) -> Mask<'g> {
    Mask::lengths(x.get("lengths"))
}

/// An attention of the inputs that are named, and its weights.
fn heads(
    name: &'static str,
    heads: usize,
    options: MultiHeadAttentionOptions,
    inputs: [&'static str; 3],
    mask: impl for<'g> Fn(&Inputs<'g>) -> Mask<'g> + Copy + 'static,
) -> Case {
    Case::new(name, move |params| {
        let layer = MultiHeadAttention::with(params, "layer", 4, heads, options);
        forward(move |x| {
            let [q, k, v] = inputs.map(|name| x.get(name));
            let (y, weights) = layer.with_weights(q, k, v, mask(x), Mode::Train);
            let weights: Var<'_> = if q.rank() == 2 { weights.squeeze(0) } else { weights };
            vec![y, weights]
        })
    })
}

fn encoder_layer(
    name: &'static str,
    options: TransformerOptions,
    mask: impl for<'g> Fn(&Inputs<'g>) -> Mask<'g> + Copy + 'static,
) -> Case {
    Case::new(name, move |params| {
        let layer = TransformerEncoderLayer::with(params, "layer", 4, 2, options);
        forward(move |x| vec![layer.forward_in(x.get("x"), mask(x), Mode::Train)])
    })
}

fn decoder_layer(
    name: &'static str,
    options: TransformerOptions,
    memory_mask: impl for<'g> Fn(&Inputs<'g>) -> Mask<'g> + Copy + 'static,
) -> Case {
    Case::new(name, move |params| {
        let layer = TransformerDecoderLayer::with(params, "layer", 4, 2, options);
        forward(move |x| {
            let (y, memory) = (x.get("x"), x.get("memory"));
            vec![layer.forward_in(y, memory, Mask::causal(), memory_mask(x), Mode::Train)]
        })
    })
}

pub(crate) fn cases() -> Vec<Case> {
    let plain = MultiHeadAttentionOptions::new();
    let batch_first = plain.batch_first();
    let sizes = batch_first.key_size(3).value_size(5);
    let layer = TransformerOptions::new().hidden(3).dropout(0.0);
    let first = layer.norm_first().activation(TransformerActivation::Gelu);
    vec![
        embedding("embedding", EmbeddingOptions::new()),
        embedding("embedding_with_padding", EmbeddingOptions::new().padding(1)),
        Case::new("embedding_as_output", |params| {
            let options = EmbeddingOptions::new().padding(1);
            let layer = Embedding::with(params, "layer", 4, 3, options);
            forward(move |x| vec![layer.logits(layer.forward(x.get("indices")).tanh())])
        }),
        dot("attention", |_| Mask::none()),
        dot("attention_causal", |_| Mask::causal()),
        dot("attention_chosen", chosen),
        dot("attention_added", added),
        Case::of("attention_scaled", |x| {
            let [q, k, v] = ["q", "k", "v"].map(|name| x.get(name));
            vec![scaled_dot_product_attention(q * (0.3 * 2.0_f64.sqrt()), k, v, Mask::none())]
        }),
        heads("heads_own", 2, plain, ["x"; 3], |_| Mask::none()),
        heads("heads_own_batch_first", 2, batch_first, ["x"; 3], |_| Mask::none()),
        heads("heads_own_single", 2, plain.without_bias(), ["x"; 3], |_| Mask::none()),
        heads("heads_own_causal", 1, plain, ["x"; 3], |_| Mask::causal()),
        heads("heads_of_another", 2, plain, ["q", "k", "v"], |_| Mask::none()),
        heads("heads_of_other_sizes", 2, sizes, ["q", "k", "v"], lengths),
        heads("heads_added", 2, plain, ["q", "k", "k"], added),
        encoder_layer("encoder_layer", layer, |_| Mask::none()),
        encoder_layer("encoder_layer_norm_first", first.batch_first(), lengths),
        encoder_layer("encoder_layer_without_bias", layer.without_bias().eps(0.1), |_| Mask::causal()),
        Case::new("encoder", move |params| {
            let layer = TransformerEncoder::with(params, "layer", 2, 4, 2, first).with_norm(params);
            forward(move |x| vec![layer.forward_in(x.get("x"), Mask::causal(), Mode::Train)])
        }),
        decoder_layer("decoder_layer", layer, |_| Mask::none()),
        decoder_layer("decoder_layer_norm_first", first, lengths),
        Case::new("decoder", move |params| {
            let layer = TransformerDecoder::with(params, "layer", 2, 4, 2, layer).with_norm(params);
            forward(move |x| {
                let (y, memory) = (x.get("x"), x.get("memory"));
                vec![layer.forward_in(y, memory, Mask::none(), Mask::none(), Mode::Train)]
            })
        }),
    ]
}
