//! Scaled dot-product attention: `softmax(q·kᵀ/√E)·v`.

use gradus_graph::Var;

use super::mask::Mask;

/// `softmax(q·kᵀ/√E)·v`: for each query the mean of the values, weighted by how well their keys fit it.
///
/// For another scale than `1/√E`, scale the queries. Dropout goes between the weights and the values:
/// `dropout.forward_in(attention_weights(q, k, mask), mode).matmul(v)`. A query none of whose keys is left by the mask
/// gets zeros, in value and derivatives.
///
/// # Shapes
/// Queries `[…, L, E]`, keys `[…, S, E]` and values `[…, S, F]`, whose leading axes broadcast, give `[…, L, F]`.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::{Mask, scaled_dot_product_attention};
/// let graph = Graph::new();
/// let q = graph.constant(&Tensor::from_rows([[0.0, 0.0], [1e4, 0.0]]));
/// let k = graph.constant(&Tensor::from_rows([[1.0, 0.0], [-1.0, 0.0]]));
/// let v = graph.constant(&Tensor::from_rows([[2.0], [4.0]]));
/// let y = graph.eval(scaled_dot_product_attention(q, k, v, Mask::none()))?;
/// assert_eq!(y.data(), [3.0, 2.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Vaswani et al., "Attention is all you need" (2017).
#[track_caller]
pub fn scaled_dot_product_attention<'g>(q: Var<'g>, k: Var<'g>, v: Var<'g>, mask: Mask<'g>) -> Var<'g> {
    let (keys, values) = (k.shape(), v.shape());
    assert!(
        values.rank() >= 2 && keys.rank() >= 2 && keys[keys.rank() - 2] == values[values.rank() - 2],
        "attention with keys {keys} and values {values}: there must be a value for each key, on the axis before the \
         last"
    );
    attention_weights(q, k, mask).matmul(v)
}

/// `softmax(q·kᵀ/√E)`: for each query the weights of the keys, which sum to 1, or are all 0 if the mask leaves none.
///
/// # Shapes
/// Queries `[…, L, E]` and keys `[…, S, E]`, whose leading axes broadcast, give `[…, L, S]`.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn attention_weights<'g>(q: Var<'g>, k: Var<'g>, mask: Mask<'g>) -> Var<'g> {
    let (queries, keys) = (q.shape(), k.shape());
    assert!(
        queries.rank() >= 2 && keys.rank() >= 2 && queries.last() == keys.last(),
        "attention with queries {queries} and keys {keys}: the last axes must have the same size"
    );
    let size = queries[queries.rank() - 1] as f64;
    let scores = (q * (1.0 / size.sqrt())).matmul(k.t());
    mask.apply(scores).softmax(-1)
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Graph, Tensor, check};

    use super::*;
    use crate::test_numbers::numbers;

    /// The formula in plain loops, for one sequence; `weight` is 0 for a key that is shut out.
    fn by_hand(
        [q, k, v]: [&[f64]; 3],
        [queries, keys, size, out]: [usize; 4],
        score: impl Fn(usize, usize, f64) -> f64,
    ) -> Vec<f64> {
        let mut y = vec![0.0; queries * out];
        for i in 0..queries {
            let dot = |j: usize| (0..size).map(|e| q[i * size + e] * k[j * size + e]).sum::<f64>();
            let weights: Vec<f64> = (0..keys).map(|j| score(i, j, dot(j) / (size as f64).sqrt()).exp()).collect();
            let total: f64 = weights.iter().sum();
            for j in (0..keys).filter(|_| total > 0.0) {
                (0..out).for_each(|f| y[i * out + f] += weights[j] / total * v[j * out + f]);
            }
        }
        y
    }

    #[test]
    fn values_agree_with_plain_loops_under_every_mask() {
        let (examples, queries, keys, size, out) = (2, 3, 4, 2, 3);
        let q = numbers([examples, queries, size], 1);
        let k = numbers([examples, keys, size], 2);
        let v = numbers([examples, keys, out], 3);
        let allowed = Tensor::from_fn([queries, keys], |k| f64::from(k % 3 > 0));
        let added = numbers([examples, 1, keys], 4);
        let lengths = Tensor::from([3, 1]);
        let none = f64::NEG_INFINITY;
        for causal in [false, true] {
            for parts in 0..8_usize {
                let graph = Graph::new();
                let mask = Mask {
                    causal,
                    allowed: (parts & 1 > 0).then(|| graph.constant(&allowed)),
                    added: (parts & 2 > 0).then(|| graph.constant(&added)),
                    lengths: (parts & 4 > 0).then(|| graph.index_constant(&lengths)),
                };
                let [a, b, c] = [&q, &k, &v].map(|x| graph.constant(x));
                let found = graph.eval(scaled_dot_product_attention(a, b, c, mask)).unwrap();
                let example = |n: usize| {
                    let score = |i: usize, j: usize, score: f64| {
                        let out = (causal && j > i)
                            || (parts & 1 > 0 && allowed.data()[i * keys + j] == 0.0)
                            || (parts & 4 > 0 && j as i64 >= lengths.data()[n]);
                        let bias = if parts & 2 > 0 { added.data()[n * keys + j] } else { 0.0 };
                        if out { none } else { score + bias }
                    };
                    let parts = [&q, &k, &v].map(|x| x.rows(n, n + 1).into_vec());
                    by_hand([0, 1, 2].map(|i| &parts[i][..]), [queries, keys, size, out], score)
                };
                let expected = [example(0), example(1)].concat();
                found.assert_close(&Tensor::new([examples, queries, out], expected), 1e-13, 1e-13);
            }
        }
    }

    #[test]
    fn gradients_of_all_inputs_also_of_an_added_mask() {
        let inputs = [[2, 2, 2], [2, 3, 2], [2, 3, 1], [2, 2, 3]];
        let inputs: Vec<_> = (0..4).map(|k| numbers(inputs[k], k)).collect();
        check::assert_gradients(&inputs[..3], |x| scaled_dot_product_attention(x[0], x[1], x[2], Mask::none()));
        check::assert_gradients(&inputs, |x| {
            let mask = Mask { added: Some(x[3]), ..Mask::causal() };
            scaled_dot_product_attention(x[0], x[1], x[2], mask)
        });
    }

    /// The second query of the first example has no key, the second example none at all.
    #[test]
    fn a_query_without_keys_gets_zeros_in_value_and_derivatives() {
        let inputs: Vec<_> = (0..3).map(|k| numbers([2, 2, 2], k)).collect();
        let rows = Tensor::from_rows([[1.0, 1.0], [0.0, 0.0]]);
        let lengths = Tensor::from([2, 0]);
        check::assert_gradients(&inputs, |x| {
            let graph = x[0].graph();
            let mask = Mask { lengths: Some(graph.index_constant(&lengths)), ..Mask::allowed(graph.constant(&rows)) };
            scaled_dot_product_attention(x[0], x[1], x[2], mask)
        });
        let graph = Graph::new();
        let x: Vec<Var<'_>> = inputs.iter().map(|x| graph.constant(x)).collect();
        for added in [false, true] {
            let mask = match added {
                false => Mask::allowed(graph.zeros([2, 2])),
                true => Mask { added: Some(graph.full([2, 2], f64::NEG_INFINITY)), ..Mask::none() },
            };
            let y = scaled_dot_product_attention(x[0], x[1], x[2], mask);
            let slopes = graph.grad((y + 1.0).square().sum(), &x).unwrap();
            for value in slopes.into_iter().chain([y]) {
                assert_eq!(graph.eval(value).unwrap().data(), [0.0; 8]);
            }
        }
    }

    #[test]
    fn leading_axes_broadcast_and_may_be_empty() {
        let graph = Graph::new();
        let attend = |q: &[usize], k: &[usize]| {
            let k = graph.ones(k);
            let y = scaled_dot_product_attention(graph.ones(q), k, k, Mask::causal());
            graph.eval(y).unwrap()
        };
        assert_eq!(attend(&[5, 1, 2, 3], &[4, 6, 3]).shape().sizes(), [5, 4, 2, 3]);
        assert_eq!(attend(&[0, 2, 3], &[0, 6, 3]).shape().sizes(), [0, 2, 3]);
        assert_eq!(attend(&[0, 3], &[6, 3]).shape().sizes(), [0, 3]);
        assert_eq!(attend(&[2, 1], &[0, 1]).data(), [0.0; 2]);
        assert_eq!(attend(&[1, 1], &[1, 1]).data(), [1.0]);
    }

    #[test]
    #[should_panic(expected = "attention with queries [2, 3] and keys [2, 4]: the last axes must have the same size")]
    fn keys_of_another_size_are_refused() {
        let graph = Graph::new();
        attention_weights(graph.zeros([2, 3]), graph.zeros([2, 4]), Mask::none());
    }

    #[test]
    #[should_panic(expected = "`Mask` of [3, 3]: `allowed` must broadcast to the scores, which are [2, 2]")]
    fn a_mask_of_another_shape_is_refused() {
        let graph = Graph::new();
        let x = graph.zeros([2, 3]);
        attention_weights(x, x, Mask::allowed(graph.ones([3, 3])));
    }

    #[test]
    #[should_panic(expected = "`Mask` of [3]: `lengths` must be indices of the size of the first axis of the scores")]
    fn lengths_of_another_size_are_refused() {
        let graph = Graph::new();
        let x = graph.zeros([2, 3, 1]);
        attention_weights(x, x, Mask::lengths(graph.index_constant(&Tensor::from([1, 2, 3]))));
    }
}
