//! Layer normalisation.

use gradus_graph::{IntoShape, Param, Params, Real, Shape, Var, expect_setting};

use super::affine::{Affine, initial_values};
use crate::init::{Init, expect_shape};
use crate::layer::layer;

/// `y = (x − mean)/√(variance + eps)·w + b`, with mean and biased variance `Σ(x − mean)²/n` over the last axes of each
/// example.
///
/// # Shapes
/// `[…, sizes]` keeps its shape. The parameters are `name.weight` and `name.bias`, both of the shape `sizes`.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::LayerNorm;
/// let mut params: Params<f64> = Params::new(0);
/// let norm = LayerNorm::new(&mut params, "norm", [4]);
/// let graph = Graph::new();
/// let y = norm.forward(graph.constant(&Tensor::from_rows([[1.0, 3.0, 1.0, 3.0]])));
/// let value = graph.eval_with(&[y], &params, &Feed::new())?;
/// value[0].real().assert_close(&Tensor::from_rows([[-1.0, 1.0, -1.0, 1.0]]), 1e-5, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Ba, Kiros and Hinton, "Layer normalization" (2016).
#[derive(Clone, Debug)]
pub struct LayerNorm {
    name: String,
    sizes: Shape,
    eps: f64,
    affine: Affine,
}

/// The options of a layer normalisation.
///
/// The default is that of PyTorch's `LayerNorm`: `eps` is 1e-5, the weight ones, the bias zeros.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{LayerNorm, LayerNormOptions};
/// let mut params: Params = Params::new(0);
/// let plain = LayerNormOptions::new().without_weight().without_bias();
/// LayerNorm::with(&mut params, "norm", [8], plain);
/// assert_eq!(params.len(), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNormOptions {
    eps: f64,
    weight: Option<Init>,
    bias: Option<Init>,
}

impl Default for LayerNormOptions {
    fn default() -> Self {
        Self { eps: 1e-5, weight: Some(Init::ones()), bias: Some(Init::zeros()) }
    }
}

impl LayerNormOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number added to the variance; 1e-5 by default.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }
}

initial_values!(LayerNormOptions: weight without_weight "ones", bias without_bias "zeros");

impl LayerNorm {
    /// Adds a normalisation of the last axes, which have the given sizes, with PyTorch's initial values.
    ///
    /// # Panics
    /// If there are no sizes or they make no shape, or the scope `name` has a `weight` or `bias` already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, sizes: impl IntoShape) -> Self {
        Self::with(params, name, sizes, LayerNormOptions::new())
    }

    /// Adds a normalisation with other options.
    ///
    /// # Panics
    /// As [`LayerNorm::new`], or if a number of the options has no meaning.
    #[track_caller]
    pub fn with(params: &mut Params<impl Real>, name: &str, sizes: impl IntoShape, options: LayerNormOptions) -> Self {
        let (sizes, LayerNormOptions { eps, weight, bias }) = (expect_shape("LayerNorm", sizes), options);
        assert!(sizes.rank() > 0, "`LayerNorm` needs the sizes of the axes that it normalises");
        expect_setting("`LayerNorm`: eps", eps, 0.0..);
        let affine = Affine::new(&mut params.enter(name), &sizes, weight, bias);
        Self { name: name.to_owned(), sizes, eps, affine }
    }

    /// The scale, if there is one.
    pub fn weight(&self) -> Option<&Param> {
        self.affine.weight.as_ref()
    }

    /// The shift, if there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.affine.bias.as_ref()
    }

    /// `(x − mean)/√(variance + eps)·w + b`
    ///
    /// # Panics
    /// If the last axes of `x` have other sizes.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (graph, shape) = (x.graph(), x.shape());
        expect_last("LayerNorm", &shape, &self.sizes);
        let _scope = graph.scope(&self.name);
        let rows = x.reshape(as_rows(&shape, &self.sizes));
        let (one, zero) = (graph.scalar(1.0), graph.scalar(0.0));
        let [y, ..] = rows.normalize(-1, self.eps, one, zero);
        self.affine.apply(y.reshape(shape), &self.sizes)
    }
}

/// Panics if the last axes have other sizes than a layer normalises.
#[track_caller]
pub(super) fn expect_last(layer: &str, shape: &Shape, sizes: &Shape) {
    let (count, plural) = (sizes.rank(), if sizes.rank() == 1 { "axis" } else { "axes" });
    assert!(
        shape.ends_with(sizes),
        "`{layer}` of {shape}: the last {plural} must be {sizes}, as the layer normalises {count} {plural} of that \
         shape"
    );
}

/// The shape with the last axes as one.
pub(super) fn as_rows(shape: &Shape, sizes: &Shape) -> Shape {
    shape[..shape.rank() - sizes.rank()].iter().copied().chain([sizes.len()]).collect()
}

layer!(LayerNorm, forward);

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Tensor, check};

    use super::*;
    use crate::norm::plain_loops::{by_hand, moved};
    use crate::test_numbers::numbers;

    #[test]
    fn values_agree_with_plain_loops() {
        for (shape, sizes) in
            [(vec![3, 4], vec![4]), (vec![2, 3, 2], vec![3, 2]), (vec![5], vec![5]), (vec![2, 1], vec![1])]
        {
            let mut params: Params<f64> = Params::new(1);
            let norm = LayerNorm::with(&mut params, "n", sizes.clone(), LayerNormOptions::new().eps(0.5));
            moved(&mut params);
            let (w, b) = (params.get(norm.weight().unwrap()).clone(), params.get(norm.bias().unwrap()).clone());
            let x = numbers(shape, 0);
            let size = w.len();
            let mut expected = by_hand(&x, |k| k / size, 0.5);
            for (k, y) in expected.iter_mut().enumerate() {
                *y = *y * w.data()[k % size] + b.data()[k % size];
            }
            let graph = Graph::new();
            let found = graph.eval_with(&[norm.forward(graph.constant(&x))], &params, &Feed::new()).unwrap();
            found[0].real().assert_close(&Tensor::new(x.shape().clone(), expected), 1e-13, 1e-13);
        }
    }

    #[test]
    fn gradients_of_input_weight_and_bias() {
        let mut params: Params<f64> = Params::new(1);
        let x = params.add("x", numbers([3, 2, 2], 0));
        let norm = LayerNorm::new(&mut params, "norm", [2, 2]);
        moved(&mut params);
        check::assert_model(&params, (), |graph, []| norm.forward(graph.param(&x)).tanh().square().mean());
    }

    /// A mean that is a million times the spread costs few digits.
    #[test]
    fn a_large_mean_costs_no_digits() {
        let mut params: Params<f64> = Params::new(0);
        let norm = LayerNorm::with(&mut params, "norm", [4], LayerNormOptions::new().eps(0.0));
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([1e9 + 1.0, 1e9 + 3.0, 1e9 + 1.0, 1e9 + 3.0]));
        let found = graph.eval_with(&[norm.forward(x)], &params, &Feed::new()).unwrap();
        assert_eq!(found[0].real().data(), [-1.0, 1.0, -1.0, 1.0]);
    }

    #[test]
    fn no_examples_and_rows_of_equal_elements() {
        let mut params: Params<f64> = Params::new(0);
        let norm = LayerNorm::new(&mut params, "norm", [3]);
        let graph = Graph::new();
        let (none, equal) = (norm.forward(graph.zeros([0, 3])), norm.forward(graph.full([2, 3], 7.0)));
        let found = graph.eval_with(&[none, equal], &params, &Feed::new()).unwrap();
        assert_eq!(found[0].real().shape().sizes(), [0, 3]);
        assert_eq!(found[1].real().data(), [0.0; 6]);
    }

    #[test]
    #[should_panic(
        expected = "`LayerNorm` of [2, 3]: the last axes must be [3, 2], as the layer normalises 2 axes of that shape"
    )]
    fn other_sizes_are_refused() {
        LayerNorm::new(&mut Params::<f32>::new(0), "norm", [3, 2]).forward(Graph::new().zeros([2, 3]));
    }
}
