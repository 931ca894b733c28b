//! The embedding: a row of a table for each index.

use gradus_graph::{Kind, Param, Params, Real, Shape, Var};

use crate::init::{Fans, Init};
use crate::layer::layer;

/// `y = E[index]`: a learned vector for each of `count` words, classes or positions.
///
/// The derivative adds the cotangents of the selected rows to the rows of the table; other rows get zero.
///
/// An index that is not in `0..count` is an error of the run.
///
/// PyTorch's `max_norm`, which rewrites the table while it is read, and `scale_grad_by_freq` are left out.
///
/// # Shapes
/// Indices of any shape `[…]` give `[…, size]`. The parameter is `name.weight` `[count, size]`.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::Embedding;
/// let mut params = Params::new(0);
/// let words = Embedding::new(&mut params, "words", 3, 2);
/// params.set(words.weight(), Tensor::from_rows([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]));
///
/// let graph = Graph::new();
/// let y = words.forward(graph.index_constant(&Tensor::from([2, 0])));
/// let value = graph.eval_with::<f64>(&[y], &params, &Feed::new())?;
/// assert_eq!(value[0].real(), &Tensor::from_rows([[4.0, 5.0], [0.0, 1.0]]));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    name: String,
    weight: Param,
    padding: Option<usize>,
}

/// The options of an embedding: its initial values, and a padding index.
///
/// The default is that of PyTorch's `Embedding`: standard normal numbers, and no padding.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{Embedding, EmbeddingOptions};
/// let mut params: Params = Params::new(0);
/// let options = EmbeddingOptions::new().padding(0);
/// let words = Embedding::with(&mut params, "words", 100, 8, options);
/// assert_eq!(params.get(words.weight()).rows(0, 1).data(), [0.0; 8]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmbeddingOptions {
    weight: Init,
    padding: Option<usize>,
}

impl Default for EmbeddingOptions {
    fn default() -> Self {
        Self { weight: Init::normal(0.0, 1.0), padding: None }
    }
}

impl EmbeddingOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The initial table, by default standard normal numbers.
    #[must_use]
    pub fn weight(self, weight: Init) -> Self {
        Self { weight, ..self }
    }

    /// The index that pads short sequences, by default none: its row starts at zero and gets a gradient of zero, so
    /// that it does not change. A tied output layer, [`Embedding::logits`], does move it, as in PyTorch.
    #[must_use]
    pub fn padding(self, index: usize) -> Self {
        Self { padding: Some(index), ..self }
    }
}

impl Embedding {
    /// Adds a table of `count` rows of `size` elements to the store, with PyTorch's initial values.
    ///
    /// # Panics
    /// If the scope `name` has a `weight` already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, count: usize, size: usize) -> Self {
        Self::with(params, name, count, size, EmbeddingOptions::new())
    }

    /// Adds a table to the store that starts from other values, or has an index for padding.
    ///
    /// # Panics
    /// If the scope `name` has a `weight` already, or the padding is not in `0..count`.
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        count: usize,
        size: usize,
        options: EmbeddingOptions,
    ) -> Self {
        let padding = options.padding;
        if let Some(row) = padding {
            assert!(row < count, "`Embedding` of {count} rows: the padding {row} is not one of them");
        }
        let mut scope = params.enter(name);
        let params = &mut *scope;
        let weight = options.weight.param(params, "weight", [count, size], Fans { inputs: count, outputs: size });
        if let Some(row) = padding {
            params.get_mut(&weight).data_mut()[row * size..][..size].fill(Real::of(0.0));
        }
        Self { name: name.to_owned(), weight, padding }
    }

    /// The table, `[count, size]`.
    pub fn weight(&self) -> &Param {
        &self.weight
    }

    /// The number of rows.
    pub fn count(&self) -> usize {
        self.weight.shape()[0]
    }

    /// The size of a row.
    pub fn size(&self) -> usize {
        self.weight.shape()[1]
    }

    /// `E[index]`
    ///
    /// # Panics
    /// If `indices` is real.
    #[track_caller]
    pub fn forward<'g>(&self, indices: Var<'g>) -> Var<'g> {
        let shape = indices.shape();
        assert!(indices.kind() == Kind::Index, "`Embedding` of {shape}: expects indices where real numbers were given");
        let graph = indices.graph();
        let _scope = graph.scope(&self.name);
        let flat = indices.reshape([shape.len()]);
        let mut rows = graph.param(&self.weight).index_select(0, flat);
        if let Some(row) = self.padding {
            let is_padding = flat.to_real().equal(row as f64).unsqueeze(-1);
            rows = is_padding.where_(rows.stop_gradient(), rows);
        }
        rows.reshape(shape.iter().copied().chain([self.size()]).collect::<Shape>())
    }

    /// `x·Eᵀ`: the table as the output layer of the same model, with shared (tied) weights.
    ///
    /// # Shapes
    /// `[…, size]` gives `[…, count]`, a logit for each row of the table.
    ///
    /// # Panics
    /// If the last axis of `x` does not have the size `size`.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Params, Tensor};
    /// use gradus_nn::{Dense, Embedding, loss};
    /// let mut params: Params = Params::new(0);
    /// let words = Embedding::new(&mut params, "words", 50, 8);
    /// let hidden = Dense::new(&mut params, "hidden", 8, 8);
    ///
    /// let graph = Graph::new();
    /// let word = graph.index_constant(&Tensor::from([3, 14]));
    /// let next = graph.index_constant(&Tensor::from([14, 15]));
    /// let logits = words.logits(hidden.forward(words.forward(word)).tanh());
    /// assert_eq!(logits.shape().sizes(), [2, 50]);
    /// // One table, which learns from both of its uses.
    /// let table = graph.param(words.weight());
    /// let slope = graph.grad(loss::cross_entropy(logits, next), &[table])?[0];
    /// assert_eq!((params.len(), slope.shape().sizes()), (3, &[50, 8][..]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    ///
    /// # Reference
    /// Press and Wolf, "Using the output embedding to improve language models" (2017).
    #[track_caller]
    pub fn logits<'g>(&self, x: Var<'g>) -> Var<'g> {
        let shape = x.shape();
        assert!(
            shape.last() == Some(&self.size()),
            "`Embedding::logits` of {shape}: the last axis must have size {}, as `{}` is {}",
            self.size(),
            self.weight.name(),
            self.weight.shape()
        );
        let graph = x.graph();
        let _scope = graph.scope(&self.name);
        x.matmul(graph.param(&self.weight).t())
    }
}

layer!(Embedding, forward);

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Tensor, check};

    use super::*;

    fn padded(params: &mut Params<f64>, padding: Option<usize>) -> Embedding {
        let options = EmbeddingOptions { padding, ..EmbeddingOptions::new() };
        Embedding::with(params, "words", 4, 3, options)
    }

    #[test]
    fn initial_values_are_those_of_pytorch() {
        let mut params: Params<f64> = Params::new(3);
        let words = Embedding::new(&mut params, "words", 100, 50);
        assert_eq!((words.weight().name(), words.count(), words.size()), ("words.weight", 100, 50));
        let values = params.get(words.weight()).data();
        let mean = values.iter().sum::<f64>() / 5000.0;
        let variance = values.iter().map(|x| x * x).sum::<f64>() / 5000.0;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.1, "{mean} {variance}");
    }

    #[test]
    fn rows_of_any_shape_of_indices() {
        let mut params: Params<f64> = Params::new(0);
        let words = padded(&mut params, None);
        let table = params.get(words.weight()).clone();
        let graph = Graph::new();
        for shape in [vec![], vec![5], vec![2, 3], vec![2, 0], vec![1, 1, 1]] {
            let indices = Tensor::from_fn(shape.clone(), |k| ((k * 3 + 1) % 4) as i64);
            let y = words.forward(graph.index_constant(&indices));
            assert_eq!(y.shape().sizes(), [shape, vec![3]].concat());
            let found = graph.eval_with(&[y], &params, &Feed::new()).unwrap();
            let row = |&index: &i64| table.rows(index as usize, index as usize + 1).into_vec();
            let expected: Vec<f64> = indices.data().iter().flat_map(row).collect();
            assert_eq!(found[0].real().data(), expected);
        }
    }

    #[test]
    fn gradients_of_lookup_and_tied_output() {
        let mut params: Params<f64> = Params::new(1);
        let words = padded(&mut params, None);
        let indices = Tensor::from_rows([[1, 3, 1], [0, 3, 3]]);
        check::assert_model(&params, (), |graph, []| {
            let y = words.forward(graph.index_constant(&indices));
            words.logits(y.tanh()).square().mean()
        });
    }

    /// The row of the padding takes part in the value and not in the derivative.
    #[test]
    fn the_padding_gets_no_gradient() {
        let mut params: Params<f64> = Params::new(1);
        let words = padded(&mut params, Some(1));
        assert_eq!(params.get(words.weight()).rows(1, 2).data(), [0.0; 3]);
        params.get_mut(words.weight()).data_mut()[3..6].fill(7.0);
        let graph = Graph::new();
        let y = words.forward(graph.index_constant(&Tensor::from([1, 2, 1, 2])));
        let slope = graph.grad(y.square().sum(), &[graph.param(words.weight())]).unwrap()[0];
        let found = graph.eval_with(&[y, slope], &params, &Feed::new()).unwrap();
        assert_eq!(found[0].real().rows(0, 1).data(), [7.0; 3]);
        let table = params.get(words.weight()).data();
        let expected: Vec<f64> = (0..12).map(|k| if k / 3 == 2 { 4.0 * table[k] } else { 0.0 }).collect();
        assert_eq!(found[1].real().data(), expected);
    }

    #[test]
    fn an_index_out_of_range_is_an_error_of_the_run() {
        let mut params: Params<f64> = Params::new(0);
        let words = padded(&mut params, None);
        for index in [4, -1] {
            let graph = Graph::new();
            let y = words.forward(graph.index_constant(&Tensor::from([0, index])));
            let error = graph.eval_with(&[y], &params, &Feed::new()).unwrap_err().to_string();
            assert!(error.contains(&format!("{index}")) && error.contains("out of range"), "{error}");
            assert!(error.contains("embedding.rs"), "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "`Embedding` of [2]: expects indices where real numbers were given")]
    fn real_numbers_are_refused() {
        padded(&mut Params::new(0), None).forward(Graph::new().zeros([2]));
    }

    #[test]
    #[should_panic(
        expected = "`Embedding::logits` of [2]: the last axis must have size 3, as `words.weight` is [4, 3]"
    )]
    fn logits_of_another_size_are_refused() {
        padded(&mut Params::new(0), None).logits(Graph::new().zeros([2]));
    }

    #[test]
    #[should_panic(expected = "`Embedding` of 4 rows: the padding 4 is not one of them")]
    fn the_padding_is_a_row() {
        padded(&mut Params::new(0), Some(4));
    }
}
