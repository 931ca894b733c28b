//! Normalisation by the root mean square.

use gradus_graph::{IntoShape, Param, Params, Real, Shape, Var, expect_setting};

use super::affine::{Affine, initial_values};
use super::layer::{as_rows, expect_last};
use crate::init::{Init, expect_shape};
use crate::layer::layer;

/// `y = x/√(mean x² + eps)·w` over the last axes of each example: layer normalisation without the mean and the bias.
///
/// # Shapes
/// `[…, sizes]` keeps its shape. The parameter is `name.weight` of the shape `sizes`.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::RmsNorm;
/// let mut params: Params<f64> = Params::new(0);
/// let norm = RmsNorm::new(&mut params, "norm", [2]);
/// let graph = Graph::new();
/// let y = norm.forward(graph.constant(&Tensor::from_rows([[1.0, 7.0], [-5.0, 5.0]])));
/// let value = graph.eval_with(&[y], &params, &Feed::new())?;
/// value[0].real().assert_close(&Tensor::from_rows([[0.2, 1.4], [-1.0, 1.0]]), 1e-7, 0.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Zhang and Sennrich, "Root mean square layer normalization" (2019).
#[derive(Clone, Debug)]
pub struct RmsNorm {
    name: String,
    sizes: Shape,
    eps: f64,
    affine: Affine,
}

/// The options of a normalisation by the root mean square.
///
/// As in PyTorch, `eps` is inside the root, and its default is the machine epsilon. There it is that of the
/// precision of the input; a graph has no precision, so that the default is that of `f32`, 2⁻²³, always.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{RmsNorm, RmsNormOptions};
/// let mut params: Params = Params::new(0);
/// let norm = RmsNorm::with(&mut params, "norm", [8], RmsNormOptions::new().eps(1e-6).without_weight());
/// assert!(norm.weight().is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsNormOptions {
    eps: f64,
    weight: Option<Init>,
}

impl Default for RmsNormOptions {
    fn default() -> Self {
        Self { eps: f64::from(f32::EPSILON), weight: Some(Init::ones()) }
    }
}

impl RmsNormOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number added to the mean square; 2⁻²³ by default.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }
}

initial_values!(RmsNormOptions: weight without_weight "ones");

impl RmsNorm {
    /// Adds a normalisation of the last axes, which have the given sizes, with a weight of ones.
    ///
    /// # Panics
    /// If there are no sizes or they make no shape, or the scope `name` has a `weight` already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, sizes: impl IntoShape) -> Self {
        Self::with(params, name, sizes, RmsNormOptions::new())
    }

    /// Adds a normalisation with other options.
    ///
    /// # Panics
    /// As [`RmsNorm::new`], or if a number of the options has no meaning.
    #[track_caller]
    pub fn with(params: &mut Params<impl Real>, name: &str, sizes: impl IntoShape, options: RmsNormOptions) -> Self {
        let (sizes, RmsNormOptions { eps, weight }) = (expect_shape("RmsNorm", sizes), options);
        assert!(sizes.rank() > 0, "`RmsNorm` needs the sizes of the axes that it normalises");
        expect_setting("`RmsNorm`: eps", eps, 0.0..);
        let affine = Affine::new(&mut params.enter(name), &sizes, weight, None);
        Self { name: name.to_owned(), sizes, eps, affine }
    }

    /// The scale, if there is one.
    pub fn weight(&self) -> Option<&Param> {
        self.affine.weight.as_ref()
    }

    /// `x/√(mean x² + eps)·w`
    ///
    /// # Panics
    /// If the last axes of `x` have other sizes.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let shape = x.shape();
        expect_last("RmsNorm", &shape, &self.sizes);
        let _scope = x.graph().scope(&self.name);
        let rows = x.reshape(as_rows(&shape, &self.sizes));
        // √(mean x² + eps) without squares, which would leave the range of numbers before it does.
        let root_mean_square = rows.norm_keep(-1) / (self.sizes.len() as f64).sqrt();
        let y = rows / root_mean_square.hypot(self.eps.sqrt());
        self.affine.apply(y.reshape(shape), &self.sizes)
    }
}

layer!(RmsNorm, forward);

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Graph, Tensor, check};

    use super::*;
    use crate::norm::plain_loops::moved;
    use crate::test_numbers::numbers;

    #[test]
    fn rows_of_any_size_keep_their_digits() {
        let mut params: Params<f32> = Params::new(1);
        let options = RmsNormOptions::new().eps(0.0);
        let norm = RmsNorm::with(&mut params, "norm", [2], options);
        for scale in [1e-30, 1.0, 1e30] {
            let graph = Graph::new();
            let x = graph.constant(&Tensor::from_rows([[1.0, 7.0], [-5.0, 5.0]])) * scale;
            let y = norm.forward(x);
            let slope = graph.grad(y.slice(-1, 0, 1).sum(), &[x]).unwrap()[0] * scale;
            let found = graph.eval_with(&[y, slope], &params, &Feed::new()).unwrap();
            found[0].real().assert_close(&Tensor::from_rows([[0.2, 1.4], [-1.0, 1.0]]), 1e-6, 0.0);
            found[1].real().assert_close(&Tensor::from_rows([[0.196, -0.028], [0.1, 0.1]]), 1e-5, 1e-8);
        }
    }

    #[test]
    fn values_agree_with_plain_loops() {
        for (shape, sizes) in [(vec![3, 4], vec![4]), (vec![2, 3, 2], vec![3, 2]), (vec![2, 1], vec![1])] {
            let mut params: Params<f64> = Params::new(1);
            let options = RmsNormOptions::new().eps(0.25);
            let norm = RmsNorm::with(&mut params, "norm", sizes, options);
            moved(&mut params);
            let weight = params.get(norm.weight().unwrap()).clone();
            let (x, size) = (numbers(shape, 0), weight.len());
            let square = |row: usize| x.data()[row * size..][..size].iter().map(|x| x * x).sum::<f64>() / size as f64;
            let value = |k: usize| x.data()[k] / (square(k / size) + 0.25).sqrt() * weight.data()[k % size];
            let expected = Tensor::from_fn(x.shape().clone(), value);
            let graph = Graph::new();
            let found = graph.eval_with(&[norm.forward(graph.constant(&x))], &params, &Feed::new()).unwrap();
            found[0].real().assert_close(&expected, 1e-13, 1e-13);
        }
    }

    #[test]
    fn gradients_of_input_and_weight() {
        let mut params: Params<f64> = Params::new(1);
        let x = params.add("x", numbers([3, 2, 2], 0));
        let norm = RmsNorm::new(&mut params, "norm", [2, 2]);
        moved(&mut params);
        check::assert_model(&params, (), |graph, []| norm.forward(graph.param(&x)).tanh().square().mean());
    }

    #[test]
    fn no_examples_and_zeros() {
        let mut params: Params<f64> = Params::new(0);
        let norm = RmsNorm::new(&mut params, "norm", [3]);
        let graph = Graph::new();
        let (none, zeros) = (norm.forward(graph.zeros([0, 3])), norm.forward(graph.zeros([2, 3])));
        let found = graph.eval_with(&[none, zeros], &params, &Feed::new()).unwrap();
        assert_eq!(found[0].real().shape().sizes(), [0, 3]);
        assert_eq!(found[1].real().data(), [0.0; 6]);
    }

    #[test]
    #[should_panic(
        expected = "`RmsNorm` of [2]: the last axis must be [3], as the layer normalises 1 axis of that shape"
    )]
    fn other_sizes_are_refused() {
        RmsNorm::new(&mut Params::<f32>::new(0), "norm", [3]).forward(Graph::new().zeros([2]));
    }
}
