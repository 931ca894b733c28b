//! Messages name the caller's line, never one inside of this crate: those of the layers, and those of the nodes that
//! they record, which a run or a derivative may have to name later.

#[path = "../../optim/tests/refusals/mod.rs"]
mod refusals;

use gradus_graph::{CheckpointSchedule, Graph, Params, Tensor, Var};
use gradus_nn::loss::*;
use gradus_nn::*;
use petgraph::graph::NodeIndex;
use petgraph::visit::NodeCount;
use refusals::refusal;

type Trace = for<'g> fn(&'g Graph, &mut Params<f64>, Var<'g>, Var<'g>);

/// Functions of a matrix `[4, 6]` and labels `[4]`, and layers made for it, by name.
#[rustfmt::skip]
fn traces() -> Vec<(&'static str, Trace)> {
    vec![
        ("Dense", |_, p, x, _| _ = Dense::new(p, "l", 6, 2).forward(x)),
        ("Bilinear", |_, p, x, _| _ = Bilinear::new(p, "l", 6, 6, 2).forward(x, x)),
        ("Embedding", |_, p, _, i| _ = Embedding::new(p, "l", 6, 2).forward(i)),
        ("Maxout", |_, p, x, _| _ = Maxout::new(p, "l", 6, 2, 3).forward(x)),
        ("PRelu", |_, p, x, _| _ = PRelu::new(p, "l", 1).forward(x)),
        ("BatchNorm", |_, p, x, _| _ = BatchNorm::new(p, "l", 6).forward_in(x, Mode::Train)),
        ("BatchNorm", |_, p, x, _| _ = BatchNorm::new(p, "l", 6).forward_in(x, Mode::Eval)),
        ("InstanceNorm", |_, p, x, _| _ = InstanceNorm::with(p, "l", 4, InstanceNormOptions::new().running()).forward_in(x.unsqueeze(0), Mode::Train)),
        ("GroupNorm", |_, p, x, _| _ = GroupNorm::new(p, "l", 2, 6).forward(x)),
        ("LayerNorm", |_, p, x, _| _ = LayerNorm::new(p, "l", 6).forward(x)),
        ("RmsNorm", |_, p, x, _| _ = RmsNorm::new(p, "l", 6).forward(x)),
        ("WeightNorm", |_, p, x, _| { let d = Dense::new(p, "l", 6, 2); _ = WeightNorm::new(p, d, |d| d.weight(), 0).forward_in(x, Mode::Train); }),
        ("SpectralNorm", |_, p, x, _| { let d = Dense::new(p, "l", 6, 2); _ = SpectralNorm::new(p, d, |d| d.weight()).forward_in(x, Mode::Train); }),
        ("Dropout", |_, _, x, _| _ = Dropout::new(0.5).forward_in(x, Mode::Train)),
        ("ChannelDropout", |_, _, x, _| _ = ChannelDropout::new(0.5).forward_in(x, Mode::Train)),
        ("VariationalDropout", |_, _, x, _| _ = VariationalDropout::new(0.5, 0).forward_in(x, Mode::Train)),
        ("AlphaDropout", |_, _, x, _| _ = AlphaDropout::new(0.5).forward_in(x, Mode::Train)),
        ("DropConnect", |_, p, x, _| _ = DropConnect::new(Dense::new(p, "l", 6, 2), 0.5).forward_in(x, Mode::Train)),
        ("GaussianNoise", |_, _, x, _| _ = GaussianNoise::new(0.5).forward_in(x, Mode::Train)),
        ("GaussianDropout", |_, _, x, _| _ = GaussianDropout::new(0.5).forward_in(x, Mode::Train)),
        ("activations", |_, _, x, _| _ = (Relu, Gelu, LeakyRelu::default(), Elu::default(), Softmax::default(), LogSoftmax::default()).forward(x)),
        ("stack", |_, p, x, _| _ = (Dense::new(p, "a", 6, 6), Tanh, vec![Dense::new(p, "b", 6, 6)], Box::new(Dense::new(p, "c", 6, 1))).forward(x)),
        ("Sequential", |_, p, x, _| {
            let mut stack: Sequential = vec![Box::new(Dense::new(p, "a", 6, 6)), Box::new(Tanh), Box::new(Dropout::new(0.5)), Box::new(Residual(Dense::new(p, "b", 6, 6)))];
            stack.push(Box::new((LayerNorm::new(p, "n", 6), Glu::default(), Checkpointed(Dense::new(p, "c", 3, 3)))));
            _ = stack.forward_in(x, Mode::Train);
        }),
        ("Flatten", |_, _, x, _| _ = Flatten::default().forward(x)),
        ("Glu", |_, _, x, _| { _ = Glu::default().forward(x); _ = SwiGlu::default().forward(x); _ = GeGlu::default().forward(x); }),
        ("Highway", |_, p, x, _| _ = { let d = Dense::new(p, "d", 6, 6); Highway::new(p, "l", 6, d).forward_in(x, Mode::Train) }),
        ("Residual", |_, p, x, _| _ = Residual(Dense::new(p, "d", 6, 6)).forward(x)),
        ("Conv2d", |_, p, x, _| _ = Conv2d::new(p, "l", 1, 2, [2, 2]).forward(x.reshape([1, 1, 4, 6]))),
        ("Conv1d", |_, p, x, _| _ = Conv1d::new(p, "l", 4, 2, 2).forward(x.unsqueeze(0))),
        ("ConvTranspose2d", |_, p, x, _| _ = ConvTranspose2d::new(p, "l", 1, 2, [2, 2]).forward(x.reshape([1, 1, 4, 6]))),
        ("ConvTranspose1d", |_, p, x, _| _ = ConvTranspose1d::new(p, "l", 4, 2, 2).forward(x.unsqueeze(0))),
        ("pools", |_, _, x, _| {
            let x = x.reshape([1, 1, 4, 6]);
            _ = MaxPool2d::new(2).forward(x);
            _ = AvgPool2d::new(2).forward(x);
            _ = AdaptiveAvgPool2d::new(3).forward(x);
            _ = AdaptiveMaxPool2d::new(3).forward(x);
            _ = GlobalAvgPool2d {}.forward(x);
            _ = GlobalMaxPool2d {}.forward(x);
        }),
        ("Upsample", |_, _, x, _| {
            _ = Upsample2d::new(2, Interpolation::Nearest).forward(x.reshape([1, 1, 4, 6]));
            _ = Upsample2d::new(2, Interpolation::Linear { align_corners: false }).forward(x.reshape([1, 1, 4, 6]));
        }),
        ("attention", |g, p, x, _| {
            let x = x.unsqueeze(1);
            _ = MultiHeadAttention::new(p, "a", 6, 2).forward_in(x, x, x, Mask::default(), Mode::Train);
            _ = MultiHeadAttention::with(p, "b", 6, 1, MultiHeadAttentionOptions::new().rotary(Rotary::new())).forward_in(x, x, x, Mask::causal(), Mode::Train);
            let layer = MultiHeadAttention::with(p, "c", 6, 1, MultiHeadAttentionOptions::new().rotary(Rotary::new().base(9.0).first(1)));
            let cache = g.zeros(layer.cache_shape(1, 8)).exp();
            _ = layer.decode(x, KeyValueCache { keys: cache, values: cache }, g.index_constant(&Tensor::scalar(2)));
        }),
        ("encoder", |_, p, x, _| _ = TransformerEncoder::new(p, "t", 2, 6, 2).with_norm(p).forward_in(x.unsqueeze(1), Mask::default(), Mode::Train)),
        ("decoder", |_, p, x, _| { let x = x.unsqueeze(1); _ = TransformerDecoder::new(p, "t", 2, 6, 2).with_norm(p).forward_in(x, x, Mask::causal(), Mask::default(), Mode::Train); }),
        ("positions", |g, p, x, _| { _ = LearnedPositions::new(p, "l", 5, 6).forward(x); _ = sinusoidal_positions(g, 4, 6); }),
        ("recurrent", |g, p, x, _| {
            let (x, lengths) = (x.unsqueeze(1), Some(g.index_constant(&Tensor::from([3]))));
            let (rnn, gru, lstm) = (RnnOptions::new().hidden_dropout(0.5), GruOptions::new().bidirectional(), LstmOptions::new().layers(2));
            let schedule = CheckpointSchedule::SquareRoot;
            let checkpointed = (rnn.checkpoints(schedule), gru.checkpoints(schedule), lstm.checkpoints(schedule));
            for (number, (rnn, gru, lstm)) in [(rnn, gru, lstm), checkpointed].into_iter().enumerate() {
                let name = |name: &str| format!("{name}{number}");
                _ = Rnn::with(p, &name("r"), 6, 2, rnn).sequence(x, Given { lengths, ..Given::default() }, Mode::Train);
                _ = Gru::with(p, &name("g"), 6, 2, gru).sequence(x, Given::default(), Mode::Train);
                _ = Lstm::with(p, &name("l"), 6, 2, lstm).sequence(x, Given::default(), Mode::Train);
            }
            let (rnn, gru, lstm) = (RnnCell::new(p, "rc", 6, 2), GruCell::new(p, "gc", 6, 2), LstmCell::new(p, "lc", 6, 2));
            _ = rnn.step(x, rnn.zero_state(g, &[4, 1]));
            _ = gru.step(x, gru.zero_state(g, &[4, 1]));
            _ = lstm.step(x, lstm.zero_state(g, &[4, 1]));
        }),
        ("losses", |g, _, x, i| {
            let (y, one) = (x * 0.5, g.ones([4, 6]));
            _ = (mse(x, y), mae(x, y), huber(x, y, 1.0), cosine(x, y), cosine_embedding(x, y, g.ones([4]), 0.5));
            _ = (binary_cross_entropy(x.sigmoid(), one), binary_cross_entropy_with_logits(x, one), binary_cross_entropy_with_logits_weighted(x, one, 2.0), hinge(x, one), soft_margin(x, one));
            _ = (contrastive(x, one, 1.0), info_nce(x, y, 0.5), nt_xent(x, y, 0.5), margin_ranking(x, y, one, 0.5));
            _ = (cross_entropy(x, i), cross_entropy_with(x, y), nll(x, i), focal(x, i, 2.0), binary_focal(x, one, Some(0.5), 2.0));
            _ = (kl_divergence(x, y), kl_divergence_of_logs(x, y), multi_margin(x, i, 1.0), distance(x, y, 3.0));
            _ = (gaussian_nll(x, y, one, true), poisson_nll(one, y, true), poisson_nll_of_logs(x, one, true));
            _ = Triplet::new().swap().loss(x, y, one);
            let weighted = CrossEntropy::new().weights([1.0; 6]).smoothing(0.5);
            _ = weighted.clone().ignored(1).loss(x, i);
            _ = weighted.loss_with(x, y);
        }),
        ("ctc", |g, _, x, _| {
            let index = |values: &[i64]| g.index_constant(&Tensor::from_slice(values));
            let targets = CtcTargets { labels: index(&[1, 2]).unsqueeze(0), label_lengths: index(&[2]), input_lengths: index(&[4]) };
            _ = ctc(x.unsqueeze(1), targets);
        }),
    ]
}

/// Where nodes are recorded whose line is not the caller's: an op of the graph makes what it stands for.
const ELSEWHERE: &[&str] = &["graph/src/ops/"];

#[test]
fn nodes_have_the_line_of_the_caller() {
    let mut wrong = Vec::new();
    for (name, trace) in traces() {
        let graph = Graph::new();
        let (x, labels) = (graph.input("x", [4, 6]), graph.index_input("labels", [4]));
        trace(&graph, &mut Params::new(0), x, labels);
        let view = graph.view();
        for node in 0..view.node_count() {
            let node = view.describe(NodeIndex::new(node));
            if !node.contains("tests/lines.rs") && !ELSEWHERE.iter().any(|place| node.contains(place)) {
                wrong.push(format!("{name}: {node}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} nodes: {}", wrong.len(), wrong.join("\n"));
}

/// What does not fit is refused with the caller's line, through all that stands in between.
#[test]
#[rustfmt::skip]
fn refusals_have_the_line_of_the_caller() {
    let misuses: Vec<(&str, Trace)> = vec![
        ("mask", |g, p, x, _| { _ = TransformerEncoder::new(p, "t", 1, 6, 2).forward_in(x.unsqueeze(1), Mask::allowed(g.ones([5, 7])), Mode::Eval); }),
        ("mask of the decoder", |g, p, x, _| {
            let x = x.unsqueeze(1);
            _ = TransformerDecoder::new(p, "t", 1, 6, 2).forward_in(x, x, Mask::default(), Mask::allowed(g.ones([5, 7])), Mode::Eval);
        }),
        ("lengths of a mask", |g, p, x, _| { let x = x.unsqueeze(1); _ = MultiHeadAttention::new(p, "a", 6, 2).forward_in(x, x, x, Mask::lengths(g.ones([3])), Mode::Eval); }),
        ("memory", |g, p, x, _| { let x = x.unsqueeze(1); _ = TransformerDecoder::new(p, "t", 1, 6, 2).forward_in(x, g.ones([4, 1, 5]), Mask::default(), Mask::default(), Mode::Eval); }),
        ("stack", |_, p, x, _| _ = (Dense::new(p, "a", 6, 3), Tanh, vec![Dense::new(p, "b", 6, 6)]).forward(x)),
        ("sequential", |_, p, x, _| { let stack: Sequential = vec![Box::new(Tanh), Box::new(Dense::new(p, "b", 5, 5))]; _ = stack.forward_in(x, Mode::Eval); }),
        ("weight norm", |g, p, _, _| { let d = Dense::new(p, "l", 6, 2); _ = WeightNorm::new(p, d, |d| d.weight(), 0).forward(g.ones([3, 5])); }),
        ("spectral norm", |g, p, _, _| { let d = Dense::new(p, "l", 6, 2); _ = SpectralNorm::new(p, d, |d| d.weight()).forward_in(g.ones([3, 5]), Mode::Train); }),
        ("highway", |g, p, _, _| { let d = Dense::new(p, "d", 5, 6); _ = Highway::new(p, "l", 6, d).forward_in(g.ones([3, 6]), Mode::Train); }),
        ("softmax", |_, _, x, _| _ = Softmax::new(2).forward(x)),
        ("log softmax", |_, _, x, _| _ = LogSoftmax::new(-3).forward(x)),
        ("glu", |_, _, x, _| _ = Glu::new(2).forward(x)),
        ("flatten", |_, _, x, _| _ = Flatten::default().forward(x.sum())),
        ("variational dropout", |_, _, x, _| _ = VariationalDropout::new(0.5, 4).forward_in(x, Mode::Train)),
        ("multi margin", |_, _, x, _| _ = multi_margin(x, x, 1.0)),
        ("nll", |_, _, x, _| _ = nll(x, x)),
        ("cross entropy", |_, _, x, _| _ = CrossEntropy::new().smoothing(0.5).loss(x, x)),
        ("ctc", |_, _, x, i| _ = ctc(x, CtcTargets { labels: i, label_lengths: i, input_lengths: i })),
        ("embedding", |_, p, x, _| _ = Embedding::new(p, "e", 3, 2).forward(x)),
        ("recurrent", |_, p, x, _| _ = Gru::new(p, "g", 6, 2).sequence(x, Given::default(), Mode::Eval)),
        ("transformer", |_, p, _, _| _ = TransformerEncoder::new(p, "t", 1, 6, 4)),
        ("spectral axis", |_, p, _, _| { let d = Dense::new(p, "l", 6, 2); _ = SpectralNorm::with(p, d, |d| d.weight(), SpectralNormOptions::new().axis(2)); }),
        ("weight axis", |_, p, _, _| { let d = Dense::new(p, "l", 6, 2); _ = WeightNorm::new(p, d, |d| d.weight(), 2); }),
        ("forget bias", |_, p, _, _| {
            let cell = LstmCellOptions::new().forget_bias(1.0).biases(Biases::None);
            _ = Lstm::with(p, "r", 2, 2, LstmOptions::new().cell(cell));
        }),
        ("max pool", |_, _, x, _| _ = MaxPool2d::new(7).forward(x.reshape([1, 1, 4, 6]))),
        ("average pool", |_, _, x, _| _ = AvgPool2d::new(7).forward(x.reshape([1, 1, 4, 6]))),
        ("adaptive pool", |g, _, _, _| _ = AdaptiveMaxPool2d::new(2).forward(g.zeros([1, 1, 0, 6]))),
        ("global pool", |_, _, x, _| _ = GlobalAvgPool2d::new().forward(x)),
        ("sizes", |_, p, _, _| _ = LayerNorm::new(p, "n", [usize::MAX, 2])),
        ("weight", |_, p, _, _| _ = Dense::new(p, "d", usize::MAX, 2)),
        ("padding", |_, p, _, _| _ = Embedding::with(p, "e", 3, 2, EmbeddingOptions::new().padding(3))),
    ];
    let mut wrong = Vec::new();
    for (name, misuse) in misuses {
        let graph = Graph::new();
        let (x, labels) = (graph.input("x", [4, 6]), graph.index_input("labels", [4]));
        let mut params = Params::new(0);
        let refused = refusal(|| misuse(&graph, &mut params, x, labels));
        let at = refused.as_ref().map(|(message, file)| format!("{file}: {message}")).unwrap_or_default();
        if !at.contains("tests/lines.rs") || at.contains("nn/src/") {
            wrong.push(format!("{name}: {at}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
