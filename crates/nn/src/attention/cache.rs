//! Decoding: attention of new elements to the past of their sequence, whose keys and values are kept.

use gradus_graph::{Kind, Shape, Tensor, Var};

use super::dot_product::attention_weights;
use super::mask::Mask;
use super::multi_head::MultiHeadAttention;
use crate::layer::Mode;

/// The keys and values of a sequence so far, as inputs and outputs of a step of decoding:
/// [`MultiHeadAttention::decode`].
///
/// Entries beyond the elements so far must be finite and have no effect, so a cache may begin as zeros, or as that of
/// another sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyValueCache<'g> {
    /// The keys of each head, `[N, H, S, E/H]` for up to `S` elements.
    pub keys: Var<'g>,
    /// The values of each head, of the same shape.
    pub values: Var<'g>,
}

impl MultiHeadAttention {
    /// The shape of the keys and of the values in a [`KeyValueCache`], `[N, H, S, E/H]`.
    pub fn cache_shape(&self, examples: usize, capacity: usize) -> Shape {
        Shape::from([examples, self.heads(), capacity, self.size() / self.heads()])
    }

    /// One step of decoding: the output for new elements of a sequence, each of which attends to itself and the
    /// elements before it, and the cache with their keys and values.
    ///
    /// The rows are those of [`MultiHeadAttention::forward_in`] on the whole sequence under [`Mask::causal`], without
    /// dropout. The position of the first new element is an input: so one compiled graph does every step.
    ///
    /// # Shapes
    /// Elements `[L, N, E]`, with `batch_first` `[N, L, E]`, or `[L, E]` for one example, keep their shape; `L` is 1,
    /// or more to begin with. The position is an index `[N]`, or `[]` if it is that of all examples. A position that is
    /// beyond the capacity of the cache is an error of the run.
    ///
    /// # Panics
    /// If the shapes do not fit, or keys or values have a size of their own.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Feed, Graph, Params, Plan, Tensor};
    /// use gradus_nn::{KeyValueCache, MultiHeadAttention};
    /// let mut params: Params = Params::new(0);
    /// let attention = MultiHeadAttention::new(&mut params, "attention", 8, 2);
    /// let graph = Graph::new();
    /// let shape = attention.cache_shape(1, 16);
    /// let cache = KeyValueCache { keys: graph.input("keys", &shape), values: graph.input("values", &shape) };
    /// let position = graph.index_input("position", []);
    /// let (y, cache) = attention.decode(graph.input("x", [1, 8]), cache, position);
    /// let mut session = Plan::new(&graph, &[y, cache.keys, cache.values])?.session::<f32>();
    /// let (mut keys, mut values) = (Tensor::zeros(&shape), Tensor::zeros(&shape));
    /// for step in 0..3 {
    ///     let (x, position) = (Tensor::<f32>::ones([1, 8]), Tensor::scalar(step));
    ///     let feed = Feed::new().with("x", &x).with("position", &position);
    ///     let outputs = session.run(&params, &feed.with("keys", &keys).with("values", &values))?;
    ///     (keys, values) = (outputs.real(1).clone(), outputs.real(2).clone());
    /// }
    /// assert!(keys.at(&[0, 0, 2, 0]) != 0.0 && keys.at(&[0, 0, 3, 0]) == 0.0);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn decode<'g>(&self, x: Var<'g>, cache: KeyValueCache<'g>, position: Var<'g>) -> (Var<'g>, KeyValueCache<'g>) {
        let graph = x.graph();
        self.expect_inputs([x; 3]);
        let _scope = graph.scope(self.name());
        let [q, k, v] = self.project([x; 3]);
        let (examples, length) = (q.shape()[0], q.shape()[2]);
        let (keys, values, first) = (cache.keys.shape(), cache.values.shape(), position.meta());
        let capacity = keys.get(2).copied().unwrap_or(0);
        assert!(
            keys == self.cache_shape(examples, capacity) && values == keys,
            "`MultiHeadAttention::decode` of {} with keys {keys} and values {values} in the cache: they must be {} for \
             some capacity",
            x.shape(),
            self.cache_shape(examples, capacity)
        );
        assert!(
            first.kind == Kind::Index && (first.shape.rank() == 0 || *first.shape == [examples]),
            "`MultiHeadAttention::decode` of {} at a position of {}: it must be an index, one or {examples}",
            x.shape(),
            first.shape
        );
        let ahead = graph.index_constant(&Tensor::from((0..length as i64).collect::<Vec<_>>()));
        let positions = position.broadcast_to([examples]).unsqueeze(1) + ahead;
        let [q, k] = match self.rotary() {
            Some(rotary) => {
                let each = positions.unsqueeze(1);
                [rotary.rotate_at(q, each, capacity), rotary.rotate_at(k, each, capacity)]
            }
            None => [q, k],
        };
        // For each element its index as one-hot, `[N, L, S]`; and for each index whether there is a new element.
        let indices = positions.one_hot(capacity);
        let is_new = indices.sum_axes(1).reshape([examples, 1, capacity, 1]);
        let mut parts = [(cache.keys, k), (cache.values, v)];
        for (kept, new) in &mut parts {
            // A single element broadcasts to its index; several are moved to theirs.
            let placed = if length == 1 { *new } else { indices.t().unsqueeze(1).matmul(*new) };
            *kept = is_new.where_(placed, *kept);
        }
        let [(keys, _), (values, _)] = parts;
        let before = graph.constant(&Tensor::<f64>::arange(0.0, capacity as f64, 1.0));
        let allowed = before.less_equal(positions.to_real().unsqueeze(2)).unsqueeze(1);
        let weights = attention_weights(q, keys, Mask::allowed(allowed));
        let y = self.gathered(weights, values, x.rank() == 2, Mode::Eval);
        (y, KeyValueCache { keys, values })
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Params, Plan};

    use super::*;
    use crate::attention::{MultiHeadAttentionOptions, Rotary};
    use crate::test_numbers::numbers;

    fn attention(params: &mut Params<f64>, options: MultiHeadAttentionOptions) -> MultiHeadAttention {
        let layer = MultiHeadAttention::with(params, "attention", 8, 2, options);
        let bias = params.find("attention.in_proj_bias").unwrap().clone();
        params.set(&bias, numbers([24], 9));
        layer
    }

    /// Runs the steps of decoding a sequence `[N, L, E]`, as many elements at a time as listed.
    fn decoded(params: &Params<f64>, layer: &MultiHeadAttention, x: &Tensor<f64>, steps: &[usize]) -> Tensor<f64> {
        let (examples, size, capacity) = (x.shape()[0], x.shape()[2], 7);
        let shape = layer.cache_shape(examples, capacity);
        // From numbers that must not count.
        let [mut keys, mut values] = [1, 2].map(|seed| numbers(&shape, seed));
        let (mut rows, mut done) = (Vec::new(), 0);
        for &step in steps {
            let graph = Graph::new();
            let cache = KeyValueCache { keys: graph.input("keys", &shape), values: graph.input("values", &shape) };
            let position = graph.index_input("position", []);
            let (y, cache) = layer.decode(graph.input("x", [examples, step, size]), cache, position);
            let mut session = Plan::new(&graph, &[y, cache.keys, cache.values]).unwrap().session();
            let part = x.slice(1, done as isize, (done + step) as isize);
            let at = Tensor::scalar(done as i64);
            let feed = Feed::new().with("keys", &keys).with("values", &values);
            let outputs = session.run(params, &feed.with("position", &at).with("x", &part)).unwrap();
            rows.push(outputs.real(0).clone());
            (keys, values) = (outputs.real(1).clone(), outputs.real(2).clone());
            done += step;
        }
        Tensor::concat(&rows, 1)
    }

    #[test]
    fn decoding_step_by_step_is_the_masked_attention_of_the_whole() {
        let options = MultiHeadAttentionOptions::new().batch_first().dropout(0.5);
        for options in [options, options.rotary(Rotary::new().base(100.0).first(3))] {
            let mut params: Params<f64> = Params::new(3);
            let layer = attention(&mut params, options);
            let x = numbers([2, 6, 8], 5);
            let graph = Graph::new();
            let whole = graph.constant(&x);
            let y = layer.forward_in(whole, whole, whole, Mask::causal(), Mode::Eval);
            let expected = graph.eval_with(&[y], &params, &Feed::new()).unwrap()[0].real().clone();
            for steps in [&[1; 6][..], &[3, 1, 1, 1], &[2, 4], &[6]] {
                decoded(&params, &layer, &x, steps).assert_close(&expected, 1e-13, 1e-13);
            }
        }
    }

    /// Each example at a position of its own, and a sequence without the axis of the examples.
    #[test]
    fn positions_are_of_each_example() {
        let mut params: Params<f64> = Params::new(3);
        let options = MultiHeadAttentionOptions::new().rotary(Rotary::new()).batch_first();
        let layer = attention(&mut params, options);
        let graph = Graph::new();
        let shape = layer.cache_shape(2, 5);
        let [keys, values] = [1, 2].map(|seed| graph.constant(&numbers(&shape, seed)));
        let x = graph.constant(&numbers([2, 1, 8], 5));
        let position = Tensor::from([4, 1]);
        let (y, cache) = layer.decode(x, KeyValueCache { keys, values }, graph.index_constant(&position));
        let mut wanted = vec![y, cache.keys];
        for example in 0..2 {
            let at = graph.index_constant(&Tensor::scalar(position.data()[example]));
            let (from, to) = (example as isize, example as isize + 1);
            let cache = KeyValueCache { keys: keys.slice(0, from, to), values: values.slice(0, from, to) };
            let (y, cache) = layer.decode(x.slice(0, from, to).squeeze(0), cache, at);
            wanted.extend([y, cache.keys]);
        }
        let found = graph.eval_with(&wanted, &params, &Feed::new()).unwrap();
        for example in 0..2 {
            let row = found[0].real().rows(example, example + 1).reshape([1, 8]);
            found[2 + 2 * example].real().assert_close(&row, 1e-13, 1e-13);
            let keys = found[1].real().rows(example, example + 1);
            found[3 + 2 * example].real().assert_close(&keys, 1e-13, 1e-13);
        }
    }

    #[test]
    fn a_position_beyond_the_capacity_is_an_error_of_the_run() {
        let mut params: Params<f64> = Params::new(3);
        let layer = attention(&mut params, MultiHeadAttentionOptions::new());
        let graph = Graph::new();
        let zeros = graph.zeros(layer.cache_shape(1, 4));
        let cache = KeyValueCache { keys: zeros, values: zeros };
        for position in [4, -1] {
            let (y, _) = layer.decode(graph.zeros([1, 8]), cache, graph.index_constant(&Tensor::scalar(position)));
            let error = graph.eval_with(&[y], &params, &Feed::new()).unwrap_err().to_string();
            assert!(
                error.contains(&format!("index {position} at position [0, 0] is out of range for depth 4")),
                "{error}"
            );
        }
    }

    #[test]
    #[should_panic(
        expected = "`MultiHeadAttention::decode` of [1, 8] with keys [2, 2, 4, 4] and values [2, 2, 4, 4] in the cache: \
                    they must be [1, 2, 4, 4] for some capacity"
    )]
    fn a_cache_of_another_shape_is_refused() {
        let layer = attention(&mut Params::new(0), MultiHeadAttentionOptions::new());
        let graph = Graph::new();
        let zeros = graph.zeros(layer.cache_shape(2, 4));
        let position = graph.index_constant(&Tensor::scalar(0));
        layer.decode(graph.zeros([1, 8]), KeyValueCache { keys: zeros, values: zeros }, position);
    }

    #[test]
    #[should_panic(
        expected = "`MultiHeadAttention::decode` of [1, 8] at a position of []: it must be an index, one or 1"
    )]
    fn a_real_position_is_refused() {
        let layer = attention(&mut Params::new(0), MultiHeadAttentionOptions::new());
        let graph = Graph::new();
        let zeros = graph.zeros(layer.cache_shape(1, 4));
        layer.decode(graph.zeros([1, 8]), KeyValueCache { keys: zeros, values: zeros }, graph.scalar(0.0));
    }
}
