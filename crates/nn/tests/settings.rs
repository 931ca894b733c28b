//! What layers, initial values and losses refuse where it is given: a number without a meaning.

#[path = "../../optim/tests/refusals/mod.rs"]
mod refusals;

use gradus_graph::{Graph, Params, Tensor, Var};
use gradus_nn::loss::*;
use gradus_nn::*;
use refusals::*;

const EXPONENT: &[f64] = &[1.0, 2.0, f64::INFINITY];

/// An empty store, for layers that are made with the setting.
fn store() -> Params<f64> {
    Params::new(0)
}

/// Calls a function of rows of numbers.
fn on<R>(function: impl FnOnce(&Graph, Var<'_>) -> R) {
    let graph = Graph::new();
    function(&graph, graph.constant(&Tensor::from_rows([[0.5, 0.25], [0.75, 0.5]])));
}

#[rustfmt::skip]
fn table() -> Vec<Row> {
    vec![
        ("Dropout: probability", BELOW_ONE, |x| _ = Dropout::new(x)),
        ("ChannelDropout: probability", BELOW_ONE, |x| _ = ChannelDropout::new(x)),
        ("VariationalDropout: probability", BELOW_ONE, |x| _ = VariationalDropout::new(x, 0)),
        ("AlphaDropout: probability", BELOW_ONE, |x| _ = AlphaDropout::new(x)),
        ("GaussianDropout: probability", BELOW_ONE, |x| _ = GaussianDropout::new(x)),
        ("GaussianNoise: deviation", NOT_NEGATIVE, |x| _ = GaussianNoise::new(x)),
        ("DropConnect: probability", BELOW_ONE, |x| _ = DropConnect::new(Dense::new(&mut store(), "d", 2, 2), x)),
        ("BatchNorm: eps", NOT_NEGATIVE, |x| _ = BatchNorm::with(&mut store(), "n", 2, BatchNormOptions::new().eps(x))),
        ("BatchNorm: momentum", SHARE, |x| _ = BatchNorm::with(&mut store(), "n", 2, BatchNormOptions::new().momentum(x))),
        ("InstanceNorm: eps", NOT_NEGATIVE, |x| _ = InstanceNorm::with(&mut store(), "n", 2, InstanceNormOptions::new().eps(x))),
        ("InstanceNorm: momentum", SHARE, |x| _ = InstanceNorm::with(&mut store(), "n", 2, InstanceNormOptions::new().momentum(x))),
        ("LayerNorm: eps", NOT_NEGATIVE, |x| _ = LayerNorm::with(&mut store(), "n", 2, LayerNormOptions::new().eps(x))),
        ("GroupNorm: eps", NOT_NEGATIVE, |x| _ = GroupNorm::with(&mut store(), "n", 1, 2, GroupNormOptions::new().eps(x))),
        ("RmsNorm: eps", NOT_NEGATIVE, |x| _ = RmsNorm::with(&mut store(), "n", 2, RmsNormOptions::new().eps(x))),
        ("SpectralNorm: eps", NOT_NEGATIVE, |x| {
            let mut params = store();
            let dense = Dense::new(&mut params, "d", 2, 2);
            _ = SpectralNorm::with(&mut params, dense, |dense| dense.weight(), SpectralNormOptions::new().eps(x));
        }),
        ("Recurrent: dropout", BELOW_ONE, |x| _ = Gru::with(&mut store(), "r", 2, 2, GruOptions::new().dropout(x))),
        ("Recurrent: input_dropout", BELOW_ONE, |x| _ = Rnn::with(&mut store(), "r", 2, 2, RnnOptions::new().input_dropout(x))),
        ("Recurrent: hidden_dropout", BELOW_ONE, |x| _ = Lstm::with(&mut store(), "r", 2, 2, LstmOptions::new().hidden_dropout(x))),
        ("LstmCell: forget_bias", FINITE, |x| _ = LstmCell::with(&mut store(), "r", 2, 2, LstmCellOptions::new().forget_bias(x))),
        ("LstmCell: forget_bias", FINITE, |x| {
            let cell = LstmCellOptions::new().forget_bias(x);
            _ = Lstm::with(&mut store(), "r", 2, 2, LstmOptions::new().cell(cell));
        }),
        ("MultiHeadAttention: dropout", BELOW_ONE, |x| _ = MultiHeadAttention::with(&mut store(), "a", 2, 1, MultiHeadAttentionOptions::new().dropout(x))),
        ("TransformerEncoderLayer: dropout", BELOW_ONE, |x| _ = TransformerEncoderLayer::with(&mut store(), "t", 2, 1, TransformerOptions::new().dropout(x))),
        ("TransformerDecoderLayer: dropout", BELOW_ONE, |x| _ = TransformerDecoderLayer::with(&mut store(), "t", 2, 1, TransformerOptions::new().dropout(x))),
        ("TransformerEncoder: eps", NOT_NEGATIVE, |x| _ = TransformerEncoder::with(&mut store(), "t", 1, 2, 1, TransformerOptions::new().eps(x))),
        ("TransformerDecoder: eps", NOT_NEGATIVE, |x| _ = TransformerDecoder::with(&mut store(), "t", 1, 2, 1, TransformerOptions::new().eps(x))),
        ("Rotary::base: base", POSITIVE, |x| _ = Rotary::new().base(x)),
        ("LeakyRelu: slope", FINITE, |x| _ = LeakyRelu::new(x)),
        ("Elu: alpha", FINITE, |x| _ = Elu::new(x)),
        ("Init::constant: value", ANY, |x| _ = Init::constant(x)),
        ("Init::uniform: low", FINITE, |x| _ = Init::uniform(x, 4.0)),
        ("Init::uniform: high", POSITIVE, |x| _ = Init::uniform(0.25, x)),
        ("Init::normal: mean", FINITE, |x| _ = Init::normal(x, 1.0)),
        ("Init::normal: std", NOT_NEGATIVE, |x| _ = Init::normal(0.0, x)),
        ("Init::truncated_normal: mean", FINITE, |x| _ = Init::truncated_normal(x, 1.0)),
        ("Init::truncated_normal: std", NOT_NEGATIVE, |x| _ = Init::truncated_normal(0.0, x)),
        ("Init::gain: gain", FINITE, |x| _ = Init::default().gain(x)),
        ("contrastive: margin", NOT_NEGATIVE, |x| on(|_, a| contrastive(a, a, x).shape())),
        ("info_nce: temperature", POSITIVE, |x| on(|_, a| info_nce(a, a, x).shape())),
        ("nt_xent: temperature", POSITIVE, |x| on(|_, a| nt_xent(a, a, x).shape())),
        ("cosine_embedding: margin", &[-1.0, 0.0, 0.5, 1.0], |x| on(|graph, a| cosine_embedding(a, a, graph.ones([2]), x).shape())),
        ("margin_ranking: margin", FINITE, |x| on(|_, a| margin_ranking(a, a, a, x).shape())),
        ("multi_margin: margin", FINITE, |x| on(|graph, a| multi_margin(a, graph.index_constant(&Tensor::from([0, 1])), x).shape())),
        ("binary_focal: alpha", SHARE, |x| on(|_, a| binary_focal(a, a, Some(x), 2.0).shape())),
        ("binary_focal: gamma", NOT_NEGATIVE, |x| on(|_, a| binary_focal(a, a, None, x).shape())),
        ("focal: gamma", NOT_NEGATIVE, |x| on(|graph, a| focal(a, graph.index_constant(&Tensor::from([0, 1])), x).shape())),
        ("huber: delta", POSITIVE, |x| on(|_, a| huber(a, a, x).shape())),
        ("distance: p", EXPONENT, |x| on(|_, a| distance(a, a, x).shape())),
        ("Triplet::margin: margin", NOT_NEGATIVE, |x| _ = Triplet::new().margin(x)),
        ("Triplet::p: p", EXPONENT, |x| _ = Triplet::new().p(x)),
        ("CrossEntropy::smoothing: smoothing", SHARE, |x| _ = CrossEntropy::new().smoothing(x)),
        ("CrossEntropy::weights: weights[1]", NOT_NEGATIVE, |x| _ = CrossEntropy::new().weights([1.0, x])),
    ]
}

/// One test for all, since a hook for panics is of the whole process.
#[test]
fn settings_without_a_meaning_are_refused_where_they_are_given() {
    let wrong = faults(&table());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A new layer or loss is in the table, with every number that it is given.
#[test]
fn every_setting_is_in_the_table() {
    let missing = missing(env!("CARGO_MANIFEST_DIR"), 50, &table(), &[]);
    assert!(missing.is_empty(), "no test gives these settings a NaN: {missing:?}");
}
