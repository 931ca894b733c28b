//! Models of text: W10, W12, W17.

use gradus_graph::{Params, Tensor};
use gradus_nn::{
    Dense, Embedding, EmbeddingOptions, Init, LearnedPositions, Mask, Mode, TransformerActivation, TransformerEncoder,
    TransformerEncoderLayer, TransformerOptions, loss,
};
use gradus_optim::{Adam, AdamW, Sgd};

use super::work::{Work, Workload, indices, reals, training};

pub(super) const BLOCK: Workload =
    Workload::new("W10", "transformer block d 256, 4 heads, 128 tokens, batch 8, Adam", Some([2.0, 2.0]), block);
pub(super) const GPT: Workload = Workload::new(
    "W12",
    "GPT, 4 layers, d 128, 4 heads, 128 tokens, batch 8, 96 symbols, AdamW",
    Some([1.8, 1.8]),
    gpt,
);
pub(super) const WORDS: Workload =
    Workload::new("W17", "word2vec 20,000×100, batch 512, 5 negatives, SGD", None, words);

fn options(size: usize) -> TransformerOptions {
    let options = TransformerOptions::new().hidden(4 * size).activation(TransformerActivation::Gelu);
    options.dropout(0.0).norm_first().batch_first()
}

fn block() -> Work {
    let mut params = Params::new(1);
    let layer = TransformerEncoderLayer::with(&mut params, "layer", 256, 4, options(256));
    training(params, Adam::new(1e-3), [("x", reals([8, 128, 256]))], move |_, [x]| {
        layer.forward_in(x, Mask::none(), Mode::Train).square().mean()
    })
}

fn gpt() -> Work {
    let (symbols, length, size) = (96, 128, 128);
    let mut params = Params::new(1);
    let table = Embedding::new(&mut params, "symbols", symbols, size);
    let positions = LearnedPositions::new(&mut params, "positions", length, size);
    let encoder = TransformerEncoder::with(&mut params, "encoder", 4, size, 4, options(size)).with_norm(&mut params);
    let output = Dense::new(&mut params, "output", size, symbols);
    let text = |shift: usize| {
        Tensor::from_fn([8, length], |k| ((k + shift) as u32).wrapping_mul(2_654_435_761) as i64 % symbols as i64)
    };
    let inputs = [("text", text(0).into()), ("following", text(1).into())];
    training(params, AdamW::new(1e-3).decay(1e-2), inputs, move |_, [text, following]| {
        let x = positions.forward(table.forward(text));
        loss::cross_entropy(output.forward(encoder.forward_in(x, Mask::causal(), Mode::Train)), following)
    })
}

fn words() -> Work {
    let (count, size, batch) = (20_000, 100, 512);
    let mut params = Params::new(1);
    let small = EmbeddingOptions::new().weight(Init::normal(0.0, 0.1));
    let [words, contexts] = ["words", "contexts"].map(|name| Embedding::with(&mut params, name, count, size, small));
    let labels = Tensor::from_fn([batch, 6], |k| if k % 6 == 0 { 1.0 } else { 0.0 });
    let inputs =
        [("words", indices([batch], count)), ("contexts", indices([batch, 6], count)), ("labels", labels.into())];
    training(params, Sgd::new(0.5), inputs, move |_, [word, context, labels]| {
        let word = words.forward(word).unsqueeze(2);
        let scores = contexts.forward(context).matmul(word).squeeze(2);
        loss::binary_cross_entropy_with_logits(scores, labels)
    })
}
