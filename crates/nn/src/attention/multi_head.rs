//! Multi-head attention.

use gradus_graph::{Param, Params, Real, Shape, Var, expect_setting};

use super::dot_product::attention_weights;
use super::mask::Mask;
use super::rotary::Rotary;
use crate::dense::{Dense, DenseOptions};
use crate::dropout::Dropout;
use crate::init::{Fans, Init, optional_param};
use crate::layer::Mode;

/// Attention with several heads, of a sequence to itself or to another: `concat(head₁ … head_H)·Wᵒᵀ + bᵒ`, each head an
/// attention over projections of queries, keys and values to `E/H` elements.
///
/// The projections of all heads are one matrix each, and the three are concatenated, queries first, as in PyTorch:
/// `in_proj_weight` `[3E, E]`. If keys or values have another size, there are `q_proj_weight`, `k_proj_weight` and
/// `v_proj_weight`. They start uniform on Glorot's bound, biases as zeros.
///
/// PyTorch's `add_bias_kv` and `add_zero_attn` are left out.
///
/// # Shapes
/// Queries `[L, N, E]`, keys `[S, N, key_size]` and values `[S, N, value_size]` give `[L, N, E]`; with `batch_first`
/// `N` comes first; without examples the axis `N` is left out. Scores, for the mask, are `[N, H, L, S]` always.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{Mask, Mode, MultiHeadAttention, MultiHeadAttentionOptions};
/// let mut params: Params = Params::new(0);
/// let options = MultiHeadAttentionOptions::new().batch_first();
/// let attention = MultiHeadAttention::with(&mut params, "attention", 8, 2, options);
/// let graph = Graph::new();
/// let (x, memory) = (graph.zeros([3, 5, 8]), graph.zeros([3, 7, 8]));
/// // Of a sequence to its own past, and to another sequence.
/// let y = attention.forward_in(x, x, x, Mask::causal(), Mode::Eval);
/// let (z, weights) = attention.with_weights(y, memory, memory, Mask::none(), Mode::Eval);
/// assert_eq!((z.shape().sizes(), weights.shape().sizes()), (&[3, 5, 8][..], &[3, 2, 5, 7][..]));
/// ```
///
/// # Reference
/// Vaswani et al., "Attention is all you need" (2017).
#[derive(Clone, Debug)]
pub struct MultiHeadAttention {
    name: String,
    heads: usize,
    projections: Projections,
    bias: Option<Param>,
    output: Dense,
    dropout: Dropout,
    batch_first: bool,
    rotary: Option<Rotary>,
}

/// The weights of queries, keys and values.
#[derive(Clone, Debug)]
enum Projections {
    /// Concatenated along the first axis.
    Joint(Param),
    Apart([Param; 3]),
}

/// The options of a multi-head attention.
///
/// The default is that of PyTorch's `MultiheadAttention`: equal sizes, biases, no dropout, examples on the second axis.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{MultiHeadAttention, MultiHeadAttentionOptions};
/// let mut params: Params = Params::new(0);
/// let options = MultiHeadAttentionOptions::new().key_size(3).value_size(5);
/// MultiHeadAttention::with(&mut params, "attention", 8, 2, options);
/// assert_eq!(params.find("attention.k_proj_weight").expect("it is apart").shape().sizes(), [8, 3]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiHeadAttentionOptions {
    pub(super) key_size: Option<usize>,
    pub(super) value_size: Option<usize>,
    pub(super) bias: bool,
    pub(super) dropout: f64,
    pub(super) batch_first: bool,
    pub(super) rotary: Option<Rotary>,
}

impl Default for MultiHeadAttentionOptions {
    fn default() -> Self {
        Self { key_size: None, value_size: None, bias: true, dropout: 0.0, batch_first: false, rotary: None }
    }
}

impl MultiHeadAttentionOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The size of the keys; by default that of the queries.
    #[must_use]
    pub fn key_size(self, size: usize) -> Self {
        Self { key_size: Some(size), ..self }
    }

    /// The size of the values; by default that of the queries.
    #[must_use]
    pub fn value_size(self, size: usize) -> Self {
        Self { value_size: Some(size), ..self }
    }

    /// Leaves out the biases of the projections and of the output.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// The probability that an attention weight is dropped in training, at least 0 and below 1; 0 by default.
    #[must_use]
    pub fn dropout(self, probability: f64) -> Self {
        Self { dropout: probability, ..self }
    }

    /// Puts the examples on the first axis, `[N, L, E]`; by default they are on the second, `[L, N, E]`.
    #[must_use]
    pub fn batch_first(self) -> Self {
        Self { batch_first: true, ..self }
    }

    /// Encodes positions by rotating the queries and keys of each head; by default there is no position encoding.
    #[must_use]
    pub fn rotary(self, rotary: Rotary) -> Self {
        Self { rotary: Some(rotary), ..self }
    }
}

/// Panics if vectors cannot be divided into heads.
#[track_caller]
pub(super) fn expect_heads(layer: &str, size: usize, heads: usize) {
    assert!(
        heads > 0 && size.is_multiple_of(heads),
        "`{layer}` of size {size}: it cannot be divided into {heads} equal heads"
    );
}

impl MultiHeadAttention {
    /// Adds an attention over vectors of `size` elements with `heads` heads, with PyTorch's options and initial values.
    ///
    /// # Panics
    /// If the size is not a multiple of the number of heads, or the scope `name` has parameters of the layer already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, size: usize, heads: usize) -> Self {
        Self::with(params, name, size, heads, MultiHeadAttentionOptions::new())
    }

    /// Adds an attention with other options.
    ///
    /// # Panics
    /// As [`MultiHeadAttention::new`], or if the dropout is not in `0..1`.
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        size: usize,
        heads: usize,
        options: MultiHeadAttentionOptions,
    ) -> Self {
        expect_heads("MultiHeadAttention", size, heads);
        let sizes = [size, options.key_size.unwrap_or(size), options.value_size.unwrap_or(size)];
        expect_setting("`MultiHeadAttention`: dropout", options.dropout, 0.0..1.0);
        let dropout = Dropout::new(options.dropout);
        let mut scope = params.enter(name);
        let params = &mut *scope;
        let (xavier, all) = (Init::xavier_uniform(), size.saturating_mul(3));
        let projections = if sizes == [size; 3] {
            Projections::Joint(xavier.param(params, "in_proj_weight", [all, size], Fans::of([all, size])))
        } else {
            let [q, k, v] = sizes.map(|columns| [size, columns]);
            Projections::Apart([
                xavier.param(params, "q_proj_weight", q, Fans::of(q)),
                xavier.param(params, "k_proj_weight", k, Fans::of(k)),
                xavier.param(params, "v_proj_weight", v, Fans::of(v)),
            ])
        };
        let bias = optional_param(options.bias.then(Init::zeros), params, "in_proj_bias", [all], Fans::of([all]));
        let output = DenseOptions { bias: options.bias.then(Init::zeros), ..DenseOptions::new() };
        Self {
            name: name.to_owned(),
            heads,
            projections,
            bias,
            output: Dense::with(params, "out_proj", size, size, output),
            dropout,
            batch_first: options.batch_first,
            rotary: options.rotary,
        }
    }

    /// The size of the queries and of the output.
    pub fn size(&self) -> usize {
        self.output.outputs()
    }

    /// The sizes of queries, keys and values.
    fn sizes(&self) -> [usize; 3] {
        match &self.projections {
            Projections::Joint(_) => [self.size(); 3],
            Projections::Apart(all) => [0, 1, 2].map(|input| all[input].shape()[1]),
        }
    }

    /// The output for the queries. For an attention of a sequence to itself give the same variable three
    /// times: then the three projections are one product.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward_in<'g>(&self, query: Var<'g>, key: Var<'g>, value: Var<'g>, mask: Mask<'g>, mode: Mode) -> Var<'g> {
        self.with_weights(query, key, value, mask, mode).0
    }

    /// [`MultiHeadAttention::forward_in`], and the weights `[N, H, L, S]` of each head before dropout.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn with_weights<'g>(
        &self,
        query: Var<'g>,
        key: Var<'g>,
        value: Var<'g>,
        mask: Mask<'g>,
        mode: Mode,
    ) -> (Var<'g>, Var<'g>) {
        let graph = query.graph();
        self.expect_inputs([query, key, value]);
        let _scope = graph.scope(&self.name);
        // From here on the axes are [N, L, E].
        let single = query.rank() == 2;
        let [q, k, v] = self.project([query, key, value]);
        let [q, k] = match self.rotary {
            Some(rotary) => [rotary.rotate(q), rotary.rotate(k)],
            None => [q, k],
        };
        let weights = attention_weights(q, k, mask);
        (self.gathered(weights, v, single, mode), weights)
    }

    /// The output from the weights and the values `[N, H, S, E/H]` of the heads, in the layout of the queries.
    #[track_caller]
    pub(super) fn gathered<'g>(&self, weights: Var<'g>, v: Var<'g>, single: bool, mode: Mode) -> Var<'g> {
        let heads = self.dropout.forward_in(weights, mode).matmul(v).transpose(1, 2);
        let y = self.output.forward(heads.reshape([heads.shape()[0], heads.shape()[1], self.size()]));
        match (single, self.batch_first) {
            (true, _) => y.squeeze(0),
            (false, true) => y,
            (false, false) => y.transpose(0, 1),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn heads(&self) -> usize {
        self.heads
    }

    pub(super) fn rotary(&self) -> Option<Rotary> {
        self.rotary
    }

    /// A sequence as `[N, L, E]`.
    #[track_caller]
    fn ordered<'g>(&self, x: Var<'g>) -> Var<'g> {
        match (x.rank() == 2, self.batch_first) {
            (true, _) => x.unsqueeze(0),
            (false, true) => x,
            (false, false) => x.transpose(0, 1),
        }
    }

    /// Queries, keys and values of the heads, `[N, H, L, E/H]` each.
    #[track_caller]
    pub(super) fn project<'g>(&self, inputs: [Var<'g>; 3]) -> [Var<'g>; 3] {
        let graph = inputs[0].graph();
        // A closure would lose the caller's line.
        let mut bias = None;
        if let Some(param) = &self.bias {
            bias = Some(graph.param(param));
        }
        let [q, k, v] = match &self.projections {
            Projections::Joint(weight) if inputs == [inputs[0]; 3] => {
                let all = self.ordered(inputs[0]).matmul(graph.param(weight).t());
                let all = match bias {
                    Some(bias) => all + bias,
                    None => all,
                };
                [self.part(all, -1, 0), self.part(all, -1, 1), self.part(all, -1, 2)]
            }
            _ => [self.apart(inputs, bias, 0), self.apart(inputs, bias, 1), self.apart(inputs, bias, 2)],
        };
        [self.heads_of(q), self.heads_of(k), self.heads_of(v)]
    }

    /// One of the three parts of what holds all projections.
    #[track_caller]
    fn part<'g>(&self, all: Var<'g>, axis: isize, part: usize) -> Var<'g> {
        let size = self.size();
        all.slice(axis, (part * size) as isize, ((part + 1) * size) as isize)
    }

    /// One projection by itself.
    #[track_caller]
    fn apart<'g>(&self, inputs: [Var<'g>; 3], bias: Option<Var<'g>>, part: usize) -> Var<'g> {
        let graph = inputs[0].graph();
        let weight = match &self.projections {
            Projections::Joint(weight) => self.part(graph.param(weight), 0, part),
            Projections::Apart(all) => graph.param(&all[part]),
        };
        let y = self.ordered(inputs[part]).matmul(weight.t());
        match bias {
            Some(bias) => y + self.part(bias, 0, part),
            None => y,
        }
    }

    #[track_caller]
    fn heads_of<'g>(&self, x: Var<'g>) -> Var<'g> {
        let shape = x.shape();
        x.reshape([shape[0], shape[1], self.heads, self.size() / self.heads]).transpose(1, 2)
    }

    /// Panics if the shapes do not fit.
    #[track_caller]
    pub(super) fn expect_inputs(&self, inputs: [Var<'_>; 3]) {
        let shapes = inputs.map(|x| x.shape());
        let sizes = self.sizes();
        let what = || {
            let [q, k, v] = &shapes;
            format!("`MultiHeadAttention` of queries {q}, keys {k} and values {v}")
        };
        let rank = shapes[0].rank();
        assert!(
            (rank == 2 || rank == 3) && shapes.iter().all(|shape| shape.rank() == rank),
            "{}: they must have three axes each, or two without examples",
            what()
        );
        assert!(
            shapes.iter().zip(sizes).all(|(shape, size)| shape[rank - 1] == size),
            "{}: the last axes must have the sizes {sizes:?}",
            what()
        );
        let (example, position) = if self.batch_first || rank == 2 { (0, rank - 2) } else { (1, 0) };
        let alike = |axis: usize, of: &[Shape]| of.iter().all(|shape| shape[axis] == of[0][axis]);
        assert!(
            alike(position, &shapes[1..]) && (rank == 2 || alike(example, &shapes)),
            "{}: there must be a value for each key, and equally many examples of each",
            what()
        );
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Tensor, check};

    use super::*;
    use crate::test_numbers::numbers;

    /// An attention whose biases are not zeros.
    fn attention(params: &mut Params<f64>, options: MultiHeadAttentionOptions) -> MultiHeadAttention {
        let layer = MultiHeadAttention::with(params, "attention", 4, 2, options);
        for name in ["attention.in_proj_bias", "attention.out_proj.bias"] {
            if let Some(bias) = params.find(name).cloned() {
                params.set(&bias, numbers(bias.shape().clone(), 9));
            }
        }
        layer
    }

    fn batch_first() -> MultiHeadAttentionOptions {
        MultiHeadAttentionOptions::new().batch_first()
    }

    #[test]
    fn names_and_initial_values_are_those_of_pytorch() {
        let mut params: Params<f64> = Params::new(0);
        MultiHeadAttention::new(&mut params, "a", 32, 4);
        let names: Vec<&str> = params.iter().map(|(param, _)| param.name()).collect();
        assert_eq!(names, ["a.in_proj_weight", "a.in_proj_bias", "a.out_proj.weight", "a.out_proj.bias"]);
        let largest = |name: &str| {
            let values = params.get(params.find(name).unwrap()).data().iter();
            values.fold(0.0_f64, |largest, x| largest.max(x.abs()))
        };
        let bound = (6.0 / 128.0_f64).sqrt();
        assert!((0.98 * bound..=bound).contains(&largest("a.in_proj_weight")));
        assert_eq!((largest("a.in_proj_bias"), largest("a.out_proj.bias")), (0.0, 0.0));
    }

    /// Each head by itself, with the matrices sliced by hand.
    #[test]
    fn values_agree_with_heads_by_hand() {
        let mut params: Params<f64> = Params::new(3);
        let layer = attention(&mut params, batch_first());
        let [q, k, v] = [(2, 3), (2, 5), (2, 5)].map(|(n, l)| numbers([n, l, 4], n + l));
        let graph = Graph::new();
        let [x, y, z] = [&q, &k, &v].map(|x| graph.constant(x));
        let (out, weights) = layer.with_weights(x, y, z, Mask::causal(), Mode::Eval);
        let found = graph.eval_with(&[out, weights], &params, &Feed::new()).unwrap();
        let value = |name: &str| params.get(params.find(&format!("attention.{name}")).unwrap());
        let (w, b) = (value("in_proj_weight"), value("in_proj_bias"));
        let project = |x: &Tensor<f64>, part: usize, row: usize, column: usize| {
            let at = part * 4 + column;
            b.data()[at] + (0..4).map(|e| x.data()[row * 4 + e] * w.at(&[at, e])).sum::<f64>()
        };
        for n in 0..2 {
            for l in 0..3 {
                let mut heads = [0.0; 4];
                for h in 0..2 {
                    let score = |s: usize| {
                        let dot =
                            |d: usize| project(&q, 0, n * 3 + l, 2 * h + d) * project(&k, 1, n * 5 + s, 2 * h + d);
                        ((dot(0) + dot(1)) / 2.0_f64.sqrt()).exp()
                    };
                    let total: f64 = (0..=l).map(score).sum();
                    for s in 0..=l {
                        let weight = score(s) / total;
                        assert!((found[1].real().at(&[n, h, l, s]) - weight).abs() < 1e-14);
                        (0..2).for_each(|d| heads[2 * h + d] += weight * project(&v, 2, n * 5 + s, 2 * h + d));
                    }
                }
                for e in 0..4 {
                    let row = (0..4).map(|i| heads[i] * value("out_proj.weight").at(&[e, i])).sum::<f64>();
                    let expected = row + value("out_proj.bias").data()[e];
                    assert!((found[0].real().at(&[n, l, e]) - expected).abs() < 1e-13);
                }
            }
        }
    }

    /// Self-attention by one product and by three, both layouts, and one example without its axis.
    #[test]
    fn layouts_agree_and_so_do_joint_and_separate_products() {
        for options in [batch_first(), batch_first().rotary(Rotary::new())] {
            let mut params: Params<f64> = Params::new(3);
            let mut layer = attention(&mut params, options);
            let x = numbers([2, 3, 4], 1);
            let graph = Graph::new();
            let (a, b) = (graph.constant(&x), graph.constant(&x));
            let mask = Mask::causal();
            let joint = layer.forward_in(a, a, a, mask, Mode::Eval);
            let apart = layer.forward_in(a, b, b, mask, Mode::Eval);
            let first = a.slice(0, 0, 1).squeeze(0);
            let single = layer.forward_in(first, first, first, mask, Mode::Eval);
            layer.batch_first = false;
            let turned = a.transpose(0, 1);
            let other = layer.forward_in(turned, turned, turned, mask, Mode::Eval).transpose(0, 1);
            let found = graph.eval_with(&[joint, apart, other, single], &params, &Feed::new()).unwrap();
            found[1].real().assert_close(found[0].real(), 1e-13, 1e-13);
            found[2].real().assert_close(found[0].real(), 1e-13, 1e-13);
            found[3].real().assert_close(&found[0].real().rows(0, 1).reshape([3, 4]), 1e-13, 1e-13);
        }
    }

    #[test]
    fn gradients_of_self_and_cross_attention() {
        let mut params: Params<f64> = Params::new(3);
        let layer = attention(&mut params, batch_first().rotary(Rotary::new()));
        let x = params.add("x", numbers([1, 3, 4], 1));
        check::assert_model(&params, (), |graph, []| {
            let x = graph.param(&x);
            layer.forward_in(x, x, x, Mask::causal(), Mode::Eval).square().mean()
        });
        let mut params: Params<f64> = Params::new(3);
        let sizes = batch_first().key_size(2).value_size(3).without_bias();
        let layer = attention(&mut params, sizes);
        let [q, k, v] = [(2, 4), (3, 2), (3, 3)].map(|(l, e)| numbers([1, l, e], l + e));
        check::assert_model(&params, (), |graph, []| {
            let [q, k, v] = [&q, &k, &v].map(|x| graph.constant(x));
            layer.forward_in(q, k, v, Mask::none(), Mode::Eval).square().mean()
        });
    }

    #[test]
    fn dropout_acts_in_training_and_is_the_same_in_the_derivative() {
        let mut params: Params<f64> = Params::new(3);
        let layer = attention(&mut params, batch_first().dropout(0.5));
        let x = numbers([1, 3, 4], 1);
        let loss = |graph: &Graph, mode: Mode| {
            let x = graph.constant(&x);
            let loss = layer.forward_in(x, x, x, Mask::none(), mode).square().mean();
            graph.eval_with::<f64>(&[loss], &params, &Feed::new()).unwrap()[0].real().item()
        };
        assert_ne!(loss(&Graph::new(), Mode::Train), loss(&Graph::new(), Mode::Eval));
        check::assert_model(&params, (), |graph, []| {
            let x = graph.constant(&x);
            layer.forward_in(x, x, x, Mask::none(), Mode::Train).square().mean()
        });
    }

    #[test]
    fn no_examples_and_sequences_of_one() {
        let mut params: Params<f64> = Params::new(3);
        let layer = attention(&mut params, batch_first());
        let graph = Graph::new();
        for shape in [[0, 3, 4], [2, 1, 4], [2, 0, 4]] {
            let x = graph.ones(shape);
            let y = layer.forward_in(x, x, x, Mask::causal(), Mode::Eval);
            let found = graph.eval_with::<f64>(&[y], &params, &Feed::new()).unwrap();
            assert_eq!(found[0].real().shape().sizes(), shape);
        }
    }

    #[test]
    #[should_panic(
        expected = "`MultiHeadAttention` of queries [3, 2, 4], keys [3, 2, 5] and values [3, 2, 5]: the last axes must have \
                    the sizes [4, 4, 4]"
    )]
    fn keys_of_another_size_are_refused() {
        let layer = attention(&mut Params::new(0), MultiHeadAttentionOptions::new());
        let graph = Graph::new();
        let (q, k) = (graph.zeros([3, 2, 4]), graph.zeros([3, 2, 5]));
        layer.forward_in(q, k, k, Mask::none(), Mode::Eval);
    }

    #[test]
    #[should_panic(expected = "`MultiHeadAttention` of size 4: it cannot be divided into 3 equal heads")]
    fn heads_are_equal() {
        MultiHeadAttention::new(&mut Params::<f32>::new(0), "attention", 4, 3);
    }
}
