//! The dense layer.

use gradus_graph::{Param, Params, Real, Var};

use crate::dropout::drop;
use crate::init::{Fans, Init, optional_param};
use crate::layer::layer;

/// `y = x·Wᵀ + b`: every output is a weighted sum of all inputs, and a bias. PyTorch's `Linear`.
///
/// The weight `W` has the shape `[outputs, inputs]`, as in PyTorch, so that weights carry over as they are; the
/// transpose is a view and copies nothing.
///
/// # Shapes
/// `[…, inputs]` gives `[…, outputs]`. The parameters are `name.weight` `[outputs, inputs]` and `name.bias`
/// `[outputs]`.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::Dense;
/// let mut params = Params::new(0);
/// let layer = Dense::new(&mut params, "layer", 2, 1);
/// params.set(layer.weight(), Tensor::from_rows([[10.0, 1.0]]));
/// params.set(layer.bias().expect("there is one"), Tensor::from([0.5]));
///
/// let graph = Graph::new();
/// let y = layer.forward(graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]])));
/// let value = graph.eval_with::<f64>(&[y], &params, &Feed::new())?;
/// assert_eq!(value[0].real(), &Tensor::from_rows([[12.5], [34.5]]));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dense {
    name: String,
    weight: Param,
    bias: Option<Param>,
}

/// The options of a dense layer: its initial values.
///
/// The default is that of PyTorch's `Linear`, so that models carry over: weight and bias uniform on `±1/√inputs`. Its
/// variance is a sixth of what `relu` needs to keep signals alive; for deep stacks of that take [`Init::he_normal`].
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{Dense, DenseOptions, Init};
/// let mut params: Params = Params::new(0);
/// let options = DenseOptions::new().weight(Init::he_normal()).bias(Init::zeros());
/// let hidden = Dense::with(&mut params, "hidden", 4, 8, options);
/// assert_eq!(params.get(hidden.bias().expect("there is one")).data(), [0.0; 8]);
/// let output = Dense::with(&mut params, "output", 8, 1, DenseOptions::new().without_bias());
/// assert!(output.bias().is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseOptions {
    pub(crate) weight: Init,
    pub(crate) bias: Option<Init>,
}

impl Default for DenseOptions {
    fn default() -> Self {
        Self { weight: Init::default(), bias: Some(Init::default()) }
    }
}

impl DenseOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The initial weight, by default uniform on `±1/√inputs`.
    #[must_use]
    pub fn weight(self, weight: Init) -> Self {
        Self { weight, ..self }
    }

    /// The initial bias, by default uniform on `±1/√inputs`.
    #[must_use]
    pub fn bias(self, bias: Init) -> Self {
        Self { bias: Some(bias), ..self }
    }

    /// Leaves the bias out.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }
}

impl Dense {
    /// Adds a layer to the store, with PyTorch's initial values.
    ///
    /// # Panics
    /// If the scope `name` has a `weight` or `bias` already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, inputs: usize, outputs: usize) -> Self {
        Self::with(params, name, inputs, outputs, DenseOptions::new())
    }

    /// Adds a layer to the store that starts from the given values, or has no bias.
    ///
    /// # Panics
    /// If the scope `name` has a `weight` or `bias` already.
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        inputs: usize,
        outputs: usize,
        options: DenseOptions,
    ) -> Self {
        let fans = Fans { inputs, outputs };
        let mut scope = params.enter(name);
        let params = &mut *scope;
        let weight = options.weight.param(params, "weight", [outputs, inputs], fans);
        let bias = optional_param(options.bias, params, "bias", [outputs], fans);
        Self { name: name.to_owned(), weight, bias }
    }

    /// The weight, `[outputs, inputs]`.
    pub fn weight(&self) -> &Param {
        &self.weight
    }

    /// The bias, `[outputs]`, if there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.bias.as_ref()
    }

    /// The size of the last axis of the input.
    pub fn inputs(&self) -> usize {
        self.weight.shape()[1]
    }

    /// The size of the last axis of the output.
    pub fn outputs(&self) -> usize {
        self.weight.shape()[0]
    }

    /// `x·Wᵀ + b`
    ///
    /// # Panics
    /// If the last axis of `x` does not have the size `inputs`.
    #[track_caller]
    pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        self.forward_dropping(x, 0.0)
    }

    /// [`Dense::forward`] with weights dropped with that probability.
    #[track_caller]
    pub(crate) fn forward_dropping<'g>(&self, x: Var<'g>, probability: f64) -> Var<'g> {
        let shape = x.shape();
        assert!(
            shape.last() == Some(&self.inputs()),
            "`Dense` of {shape}: the last axis must have size {}, as `{}` is {}",
            self.inputs(),
            self.weight.name(),
            self.weight.shape()
        );
        let graph = x.graph();
        let _scope = graph.scope(&self.name);
        let weight = drop(graph.param(&self.weight), probability, self.weight.shape().clone());
        let y = x.matmul(weight.t());
        match &self.bias {
            Some(bias) => y + graph.param(bias),
            None => y,
        }
    }
}

layer!(Dense, forward);

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_model;
    use gradus_graph::{Feed, Graph, Tensor};

    use super::*;

    #[test]
    fn names_and_initial_values_are_those_of_pytorch() {
        let mut params: Params<f64> = Params::new(1);
        let layer = params.scope("encoder", |params| Dense::new(params, "hidden", 16, 40));
        let names: Vec<&str> = params.iter().map(|(param, _)| param.name()).collect();
        assert_eq!(names, ["encoder.hidden.weight", "encoder.hidden.bias"]);
        assert_eq!((layer.inputs(), layer.outputs()), (16, 40));
        for (param, value) in params.iter() {
            let largest = value.data().iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            assert!(largest <= 0.25 && largest > 0.2, "{param:?}: {largest}");
        }
    }

    #[test]
    fn vectors_matrices_and_batches_go_through() {
        let mut params: Params<f64> = Params::new(0);
        let layer = Dense::new(&mut params, "layer", 3, 2);
        let graph = Graph::new();
        let shapes = [vec![3], vec![5, 3], vec![2, 5, 3], vec![0, 3]];
        for shape in shapes {
            let mut expected = shape.clone();
            *expected.last_mut().unwrap() = 2;
            let y = layer.forward(graph.ones(shape));
            assert_eq!(y.shape().sizes(), expected);
            graph.eval_with(&[y], &params, &Feed::new()).unwrap();
        }
        let empty = Dense::new(&mut params, "empty", 0, 2);
        let y = graph.eval_with(&[empty.forward(graph.ones([4, 0]))], &params, &Feed::new()).unwrap();
        assert!(y[0].real().data().iter().all(|value| value.is_finite()));
    }

    #[test]
    fn gradients_of_input_weight_and_bias() {
        for [rows, inputs, outputs] in [[0, 2, 1], [1, 1, 1], [3, 2, 4]] {
            let mut params: Params<f64> = Params::new(4);
            let layer = Dense::new(&mut params, "layer", inputs, outputs);
            let x = params.add("x", Tensor::from_fn([rows, inputs], |k| (k as f64 * 1.7).sin()));
            assert_model(&params, (), |graph, []| layer.forward(graph.param(&x)).square().sum());
        }
    }

    #[test]
    fn values_are_those_of_plain_loops() {
        let mut params: Params<f64> = Params::new(4);
        let layer = Dense::new(&mut params, "layer", 3, 2);
        let graph = Graph::new();
        let x = Tensor::from_rows([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]);
        let y = graph.eval_with(&[layer.forward(graph.constant(&x))], &params, &Feed::new()).unwrap();
        let (weight, bias) = (params.get(layer.weight()), params.get(layer.bias().unwrap()));
        for (row, output) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let sum: f64 = (0..3).map(|k| x.at(&[row, k]) * weight.at(&[output, k])).sum();
            assert!((y[0].real().at(&[row, output]) - sum - bias.data()[output]).abs() < 1e-15);
        }
    }

    #[test]
    #[should_panic(expected = "`Dense` of [8, 5]: the last axis must have size 4, as `hidden.weight` is [2, 4]")]
    fn a_shape_that_does_not_fit_is_named() {
        let mut params: Params = Params::new(0);
        let layer = Dense::new(&mut params, "hidden", 4, 2);
        layer.forward(Graph::new().zeros([8, 5]));
    }
}
