//! The bilinear layer.

use gradus_graph::{Param, Params, Real, Var};

use crate::dense::DenseOptions;
use crate::init::{Fans, optional_param};

/// `yₖ = aᵀ·Wₖ·b + cₖ` of two inputs `a` and `b`: a product of both with a matrix for each output.
///
/// The weight has the shape `[outputs, left, right]`, as in PyTorch. It has two inputs, so it is not a
/// [`Layer`](crate::Layer).
///
/// # Shapes
/// `[…, left]` and `[…, right]` with the same leading axes give `[…, outputs]`. The parameters are `name.weight`
/// `[outputs, left, right]` and `name.bias` `[outputs]`.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::Bilinear;
/// let mut params = Params::new(0);
/// let layer = Bilinear::new(&mut params, "layer", 2, 2, 1);
/// params.set(layer.weight(), Tensor::new([1, 2, 2], vec![1.0, 0.0, 0.0, 10.0]));
/// params.set(layer.bias().expect("there is one"), Tensor::from([0.5]));
///
/// let graph = Graph::new();
/// let a = graph.constant(&Tensor::from_rows([[1.0, 2.0]]));
/// let b = graph.constant(&Tensor::from_rows([[3.0, 4.0]]));
/// let value = graph.eval_with::<f64>(&[layer.forward(a, b)], &params, &Feed::new())?;
/// assert_eq!(value[0].real().data(), [1.0 * 3.0 + 2.0 * 10.0 * 4.0 + 0.5]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bilinear {
    name: String,
    weight: Param,
    bias: Option<Param>,
}

impl Bilinear {
    /// Adds a layer to the store, with PyTorch's initial values: weight and bias uniform on `±1/√left`.
    ///
    /// # Panics
    /// If the scope `name` has a `weight` or `bias` already.
    #[track_caller]
    pub fn new(params: &mut Params<impl Real>, name: &str, left: usize, right: usize, outputs: usize) -> Self {
        Self::with(params, name, left, right, outputs, DenseOptions::new())
    }

    /// Adds a layer to the store that starts from the given values, or has no bias. The fan in is `left`, as in
    /// PyTorch.
    ///
    /// # Panics
    /// If the scope `name` has a `weight` or `bias` already.
    #[track_caller]
    pub fn with(
        params: &mut Params<impl Real>,
        name: &str,
        left: usize,
        right: usize,
        outputs: usize,
        options: DenseOptions,
    ) -> Self {
        let fans = Fans { inputs: left, outputs };
        let mut scope = params.enter(name);
        let params = &mut *scope;
        let weight = options.weight.param(params, "weight", [outputs, left, right], fans);
        let bias = optional_param(options.bias, params, "bias", [outputs], fans);
        Self { name: name.to_owned(), weight, bias }
    }

    /// The weight, `[outputs, left, right]`.
    pub fn weight(&self) -> &Param {
        &self.weight
    }

    /// The bias, `[outputs]`, if there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.bias.as_ref()
    }

    /// `aᵀ·Wₖ·b + cₖ`
    ///
    /// # Panics
    /// If the last axes do not have the sizes `left` and `right`, or the leading axes differ.
    #[track_caller]
    pub fn forward<'g>(&self, a: Var<'g>, b: Var<'g>) -> Var<'g> {
        let (left, right) = (a.shape(), b.shape());
        let sizes = self.weight.shape();
        let fits = left.last() == Some(&sizes[1])
            && right.last() == Some(&sizes[2])
            && left[..left.rank() - 1] == right[..right.rank() - 1];
        assert!(
            fits,
            "`Bilinear` of {left} and {right}: the last axes must have the sizes {} and {}, as `{}` is {sizes}, and the \
             others be alike",
            sizes[1],
            sizes[2],
            self.weight.name(),
        );
        let graph = a.graph();
        let _scope = graph.scope(&self.name);
        let leading = &left[..left.rank() - 1];
        let rows: usize = leading.iter().product();
        let (a, b) = (a.reshape([rows, sizes[1]]), b.reshape([rows, sizes[2]]));
        // One product for each output, `[outputs, rows, right]`: the weight is used as it lies.
        let products = a.matmul(graph.param(&self.weight));
        let y = (products * b).sum_axes(-1).t().reshape([leading, &[sizes[0]]].concat());
        match &self.bias {
            Some(bias) => y + graph.param(bias),
            None => y,
        }
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_model;
    use gradus_graph::{Feed, Graph, Tensor};

    use super::*;

    #[test]
    fn values_are_those_of_plain_loops() {
        let mut params: Params<f64> = Params::new(3);
        let layer = Bilinear::new(&mut params, "layer", 2, 3, 4);
        let largest = params.get(layer.weight()).data().iter().fold(0.0_f64, |largest, w| largest.max(w.abs()));
        assert!(largest <= 0.5_f64.sqrt() && largest > 0.5, "{largest}");
        let (a, b) = (Tensor::from_fn([2, 5, 2], |k| (k as f64).sin()), Tensor::from_fn([2, 5, 3], |k| k as f64 / 9.0));
        let graph = Graph::new();
        let y = layer.forward(graph.constant(&a), graph.constant(&b));
        let values = graph.eval_with(&[y], &params, &Feed::new()).unwrap()[0].real().clone();
        let (weight, bias) = (params.get(&layer.weight), params.get(layer.bias().unwrap()));
        let expected = Tensor::from_fn([2, 5, 4], |index| {
            let (row, k) = (index / 4, index % 4);
            let terms =
                (0..6).map(|ij| a.data()[row * 2 + ij / 3] * weight.data()[k * 6 + ij] * b.data()[row * 3 + ij % 3]);
            terms.sum::<f64>() + bias.data()[k]
        });
        values.assert_close(&expected, 1e-14, 1e-15);
    }

    #[test]
    fn gradients_of_both_inputs_and_all_parameters() {
        let mut params: Params<f64> = Params::new(5);
        let a = params.add("a", Tensor::from_fn([3, 2], |k| (k as f64 + 0.5).cos()));
        let b = params.add("b", Tensor::from_fn([3, 3], |k| (k as f64).sin()));
        let layer = Bilinear::new(&mut params, "layer", 2, 3, 2);
        assert_model(&params, (), |graph, []| layer.forward(graph.param(&a), graph.param(&b)).tanh().square().sum());
    }

    #[test]
    fn vectors_batches_and_no_rows() {
        let mut params: Params<f64> = Params::new(0);
        let options = DenseOptions::new().without_bias();
        let layer = Bilinear::with(&mut params, "layer", 2, 1, 3, options);
        assert_eq!(params.len(), 1);
        let graph = Graph::new();
        for leading in [vec![], vec![4], vec![2, 4], vec![0]] {
            let axes = |size: usize| [&leading[..], &[size]].concat();
            let y = layer.forward(graph.ones(axes(2)), graph.ones(axes(1)));
            assert_eq!(y.shape().sizes(), axes(3));
            graph.eval_with(&[y], &params, &Feed::new()).unwrap();
        }
    }

    #[test]
    #[should_panic(
        expected = "`Bilinear` of [5, 2] and [4, 3]: the last axes must have the sizes 2 and 3, as `pair.weight` is [1, 2, 3], \
                    and the others be alike"
    )]
    fn shapes_that_do_not_fit_are_named() {
        let mut params: Params = Params::new(0);
        let layer = Bilinear::new(&mut params, "pair", 2, 3, 1);
        let graph = Graph::new();
        layer.forward(graph.zeros([5, 2]), graph.zeros([4, 3]));
    }
}
