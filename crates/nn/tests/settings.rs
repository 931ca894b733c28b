//! What layers, initial values and losses refuse where it is given: a number without a meaning.

use std::path::Path;

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
        ("BatchNorm: eps", NOT_NEGATIVE, |x| _ = BatchNorm::with(&mut store(), "n", 2, BatchNormOptions { eps: x, ..Default::default() })),
        ("BatchNorm: momentum", SHARE, |x| _ = BatchNorm::with(&mut store(), "n", 2, BatchNormOptions { momentum: Some(x), ..Default::default() })),
        ("InstanceNorm: eps", NOT_NEGATIVE, |x| _ = InstanceNorm::with(&mut store(), "n", 2, InstanceNormOptions { eps: x, ..Default::default() })),
        ("InstanceNorm: momentum", SHARE, |x| _ = InstanceNorm::with(&mut store(), "n", 2, InstanceNormOptions { momentum: x, ..Default::default() })),
        ("LayerNorm: eps", NOT_NEGATIVE, |x| _ = LayerNorm::with(&mut store(), "n", 2, LayerNormOptions { eps: x, ..Default::default() })),
        ("GroupNorm: eps", NOT_NEGATIVE, |x| _ = GroupNorm::with(&mut store(), "n", 1, 2, GroupNormOptions { eps: x, ..Default::default() })),
        ("RmsNorm: eps", NOT_NEGATIVE, |x| _ = RmsNorm::with(&mut store(), "n", 2, RmsNormOptions { eps: x, ..Default::default() })),
        ("SpectralNorm: eps", NOT_NEGATIVE, |x| {
            let mut params = store();
            let dense = Dense::new(&mut params, "d", 2, 2);
            _ = SpectralNorm::with(&mut params, dense, |dense| dense.weight(), SpectralNormOptions { eps: x, ..Default::default() });
        }),
        ("Recurrent: dropout", BELOW_ONE, |x| _ = Gru::with(&mut store(), "r", 2, 2, GruOptions { dropout: x, ..Default::default() })),
        ("Recurrent: input_dropout", BELOW_ONE, |x| _ = Rnn::with(&mut store(), "r", 2, 2, RnnOptions { input_dropout: x, ..Default::default() })),
        ("Recurrent: hidden_dropout", BELOW_ONE, |x| _ = Lstm::with(&mut store(), "r", 2, 2, LstmOptions { hidden_dropout: x, ..Default::default() })),
        ("LstmCell: forget_bias", FINITE, |x| _ = LstmCell::with(&mut store(), "r", 2, 2, LstmCellOptions { forget_bias: Some(x), ..Default::default() })),
        ("LstmCell: forget_bias", FINITE, |x| {
            let cell = LstmCellOptions { forget_bias: Some(x), ..Default::default() };
            _ = Lstm::with(&mut store(), "r", 2, 2, LstmOptions { cell, ..Default::default() });
        }),
        ("MultiHeadAttention: dropout", BELOW_ONE, |x| _ = MultiHeadAttention::with(&mut store(), "a", 2, 1, MultiHeadAttentionOptions { dropout: x, ..Default::default() })),
        ("TransformerEncoderLayer: dropout", BELOW_ONE, |x| _ = TransformerEncoderLayer::with(&mut store(), "t", 2, 1, TransformerOptions { dropout: x, ..Default::default() })),
        ("TransformerDecoderLayer: dropout", BELOW_ONE, |x| _ = TransformerDecoderLayer::with(&mut store(), "t", 2, 1, TransformerOptions { dropout: x, ..Default::default() })),
        ("TransformerEncoder: eps", NOT_NEGATIVE, |x| _ = TransformerEncoder::with(&mut store(), "t", 1, 2, 1, TransformerOptions { eps: x, ..Default::default() })),
        ("TransformerDecoder: eps", NOT_NEGATIVE, |x| _ = TransformerDecoder::with(&mut store(), "t", 1, 2, 1, TransformerOptions { eps: x, ..Default::default() })),
        ("Rotary: base", POSITIVE, |x| on(|_, rows| Rotary { base: x, first: 0 }.turn(rows).shape())),
        ("LeakyRelu: slope", FINITE, |x| on(|_, rows| LeakyRelu { slope: x }.forward(rows).shape())),
        ("Elu: alpha", FINITE, |x| on(|_, rows| Elu { alpha: x }.forward(rows).shape())),
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
        ("Triplet: margin", NOT_NEGATIVE, |x| on(|_, a| Triplet { margin: x, ..Triplet::default() }.loss(a, a, a).shape())),
        ("Triplet: p", EXPONENT, |x| on(|_, a| Triplet { p: x, ..Triplet::default() }.loss(a, a, a).shape())),
        ("CrossEntropy: smoothing", SHARE, |x| on(|_, a| CrossEntropy { smoothing: x, ..CrossEntropy::default() }.loss_with(a, a).shape())),
        ("CrossEntropy: weights[1]", NOT_NEGATIVE, |x| on(|graph, a| {
            let weights = Some(vec![1.0, x]);
            CrossEntropy { weights, ..CrossEntropy::default() }.loss(a, graph.index_constant(&Tensor::from([0, 1]))).shape()
        })),
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
    let mut found = Vec::new();
    settings_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 50, "the sources have more settings than {}", found.len());
    let names: Vec<&str> = table().iter().map(|row| row.0).collect();
    let known = |(owner, setting): &(String, String)| {
        let is =
            |name: &&str| name.split_once(": ").is_some_and(|(o, s)| o.starts_with(owner) && s.starts_with(setting));
        names.iter().any(is)
    };
    let missing: Vec<_> = found.iter().filter(|pair| !known(pair)).collect();
    assert!(missing.is_empty(), "no test gives these settings a NaN: {missing:?}");
}

/// The numbers that public functions and public fields take, each with its function or type.
fn settings_in(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("the sources are here") {
        let path = entry.expect("the sources can be read").path();
        if path.is_dir() {
            settings_in(&path, found);
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("the sources can be read");
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let mut owner = String::new();
        let mut lines = source.lines();
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        while let Some(line) = lines.next() {
            let header = line.strip_prefix("impl ").or(line.strip_prefix("pub struct "));
            if let Some(header) = header {
                owner = if header.contains(" for ") { String::new() } else { word(header) };
            }
            let kind_of = |kind: &str| matches!(kind, "f64" | "Option<f64>" | "Option<Vec<f64>>");
            let field = line.strip_prefix("    pub ").and_then(|field| field.strip_suffix(',')?.split_once(": "));
            if let Some((name, _)) = field.filter(|(_, kind)| kind_of(kind)) {
                found.push((owner.trim_end_matches("Options").to_owned(), name.to_owned()));
            }
            let method = line.strip_prefix("    pub fn ").or(line.strip_prefix("    pub const fn "));
            let Some(signature) = line.strip_prefix("pub fn ").or(method) else { continue };
            let (mut signature, function) = (signature.to_owned(), word(signature));
            while !signature.contains('{') {
                let Some(line) = lines.next() else { break };
                signature += line.trim();
                signature.push(' ');
            }
            let name = match (method, function.as_str()) {
                (None, function) => function.trim_end_matches("_terms").to_owned(),
                (Some(_), "new") => owner.clone(),
                (Some(_), function) => format!("{owner}::{function}"),
            };
            for argument in signature.split(") -> ").next().unwrap_or_default().split([',', '(']) {
                let Some((setting, kind)) = argument.trim().split_once(": ") else { continue };
                if kind_of(kind) || kind == "impl Into<f64>" {
                    found.push((name.clone(), setting.to_owned()));
                }
            }
        }
    }
}
