//! Spectral normalisation.

use gradus_graph::{Graph, Param, Params, Real, Tensor, Var, expect_setting};

use crate::axis::resolve;
use crate::init::{Fans, Init};
use crate::layer::{Layer, Mode};

/// A layer whose weight is `w/σ(w)`, with the largest singular value `σ` of the weight as a matrix, so that no vector
/// gets longer by it.
///
/// `σ = uᵀ·w·v`, where a power iteration, `u = w·v/‖w·v‖` and `v = wᵀ·u/‖wᵀ·u‖`, approximates the first singular
/// vectors `u` and `v`. They are buffers: each training run continues from the last, and evaluation does not change
/// them. The derivative holds them fixed, as in PyTorch, which is exact where they are the singular vectors.
///
/// The wrapped layer's own weight is no parameter any more: `…weight` becomes `…parametrizations.weight.original`, and
/// `u` and `v` are the buffers `…parametrizations.weight.0._u` and `…0._v`, as in `torch.nn.utils.parametrizations`.
/// They start from random vectors and 15 steps of the iteration.
///
/// # Shapes
/// The weight counts as the matrix of its slices along an axis: `u` has the size of that axis, `v` that of a slice.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::{Dense, Mode, SpectralNorm};
/// let mut params: Params<f64> = Params::new(0);
/// let dense = Dense::new(&mut params, "critic", 2, 2);
/// params.set(dense.weight(), Tensor::from_rows([[3.0, 0.0], [0.0, 0.5]]));
/// let critic = SpectralNorm::new(&mut params, dense, Dense::weight);
/// let graph = Graph::new();
/// let weight = graph.eval_with(&[critic.weight(&graph, Mode::Eval)], &params, &Feed::new())?;
/// weight[0].real().assert_close(&Tensor::from_rows([[1.0, 0.0], [0.0, 0.5 / 3.0]]), 1e-9, 1e-12);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
///
/// # Reference
/// Miyato, Kataoka, Koyama and Yoshida, "Spectral normalization for generative adversarial networks" (2018).
#[derive(Clone, Debug)]
pub struct SpectralNorm<L> {
    layer: L,
    weight: Param,
    original: Param,
    u: Param,
    v: Param,
    options: SpectralNormOptions,
}

/// The options of a spectral normalisation.
///
/// The default is that of PyTorch's `spectral_norm`: axis 0, one step of the iteration, `eps` 1e-12.
///
/// # Example
/// ```
/// use gradus_graph::Params;
/// use gradus_nn::{ConvTranspose2d, SpectralNorm, SpectralNormOptions};
/// let mut params: Params = Params::new(0);
/// let layer = ConvTranspose2d::new(&mut params, "layer", 4, 3, 2);
/// // The filters are on the second axis.
/// let options = SpectralNormOptions::new().axis(1).iterations(3);
/// let layer = SpectralNorm::with(&mut params, layer, ConvTranspose2d::weight, options);
/// assert_eq!(params.find("layer.parametrizations.weight.0._u").expect("it is a buffer").shape().sizes(), [3]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpectralNormOptions {
    axis: isize,
    iterations: usize,
    eps: f64,
}

impl Default for SpectralNormOptions {
    fn default() -> Self {
        Self { axis: 0, iterations: 1, eps: 1e-12 }
    }
}

impl SpectralNormOptions {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The axis along which slices of the weight are the rows of the matrix, counted from the end if negative; by
    /// default 0, that of the outputs. PyTorch takes 1 for transposed convolutions.
    #[must_use]
    pub fn axis(self, axis: isize) -> Self {
        Self { axis, ..self }
    }

    /// The number of steps of the power iteration for each run of training; 1 by default.
    #[must_use]
    pub fn iterations(self, iterations: usize) -> Self {
        Self { iterations, ..self }
    }

    /// The smallest norm that a vector is divided by; 1e-12 by default.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }
}

/// Steps of the iteration when a layer is wrapped.
const FIRST: usize = 15;

impl<L> SpectralNorm<L> {
    /// Wraps a layer and divides the weight that `weight` returns by its largest singular value.
    ///
    /// # Panics
    /// If the weight has fewer than two axes.
    #[track_caller]
    pub fn new<T: Real>(params: &mut Params<T>, layer: L, weight: impl FnOnce(&L) -> &Param) -> Self {
        Self::with(params, layer, weight, SpectralNormOptions::new())
    }

    /// Wraps a layer with other options.
    ///
    /// # Panics
    /// If the weight has fewer than two axes, or not the one of the options.
    #[track_caller]
    pub fn with<T: Real>(
        params: &mut Params<T>,
        layer: L,
        weight: impl FnOnce(&L) -> &Param,
        options: SpectralNormOptions,
    ) -> Self {
        let weight = weight(&layer).clone();
        let shape = weight.shape();
        let Some(axis) = resolve(options.axis, shape.rank()).filter(|_| shape.rank() >= 2) else {
            panic!(
                "`SpectralNorm` of `{}` of {shape}: a matrix must have two axes, and one of them is {}",
                weight.name(),
                options.axis
            );
        };
        expect_setting("`SpectralNorm`: eps", options.eps, 0.0..);
        let (original, u, v) = params.beside(&weight, |params, own| {
            params.scope("parametrizations", |params| {
                params.scope(own, |params| {
                    let original = params.rename(&weight, "original");
                    let matrix = matrix(params.get(&original), axis);
                    params.scope("0", |params| {
                        let draw = |name: &str, size: usize| {
                            let seed = params.seed(name);
                            unit(
                                Init::normal(0.0, 1.0).tensor::<f64>([size], Fans::of([size]), seed).into_vec(),
                                options.eps,
                            )
                        };
                        let (mut u, mut v) = (draw("_u", matrix.len()), draw("_v", shape.len() / shape[axis].max(1)));
                        for _ in 0..FIRST {
                            u = unit(matrix.iter().map(|row| dot(row, &v)).collect(), options.eps);
                            let column = |j: usize| matrix.iter().zip(&u).map(|(row, u)| row[j] * u).sum();
                            v = unit((0..v.len()).map(column).collect(), options.eps);
                        }
                        let mut add = |name: &str, values: Vec<f64>| {
                            params.add_buffer(name, Tensor::from_slice(&values).cast::<T>())
                        };
                        (original, add("_u", u), add("_v", v))
                    })
                })
            })
        });
        let options = options.axis(axis as isize);
        Self { layer, weight, original, u, v, options }
    }

    /// The layer that is wrapped. Its own weight is no parameter any more.
    pub fn layer(&self) -> &L {
        &self.layer
    }

    /// The weight before it is divided.
    pub fn original(&self) -> &Param {
        &self.original
    }

    /// The weight, `w/σ(w)`; in training after some steps of the iteration, whose vectors the run leaves in the
    /// buffers.
    #[track_caller]
    pub fn weight<'g>(&self, graph: &'g Graph, mode: Mode) -> Var<'g> {
        let SpectralNormOptions { axis, iterations, eps } = self.options;
        let weight = graph.param(&self.original);
        let order: Vec<isize> =
            std::iter::once(axis).chain((0..weight.rank() as isize).filter(|&other| other != axis)).collect();
        let matrix = weight.permute(&order[..]).reshape([self.u.shape().len(), self.v.shape().len()]);
        let (mut u, mut v) = (graph.updated(&self.u), graph.updated(&self.v));
        if mode == Mode::Train {
            let fixed = matrix.stop_gradient();
            for _ in 0..iterations {
                u = unit_in_graph(fixed.matmul(v), eps);
                v = unit_in_graph(fixed.t().matmul(u), eps);
            }
            graph.update(&self.u, u);
            graph.update(&self.v, v);
        }
        weight / (u.stop_gradient() * matrix.matmul(v.stop_gradient())).sum()
    }

    /// Calls `trace` on the wrapped layer while its weight is `w/σ(w)`; for layers that take more than one variable. A
    /// layer of one is called with [`Layer::forward_in`].
    #[track_caller]
    pub fn trace<R>(&self, graph: &Graph, mode: Mode, trace: impl FnOnce(&L) -> R) -> R {
        let _weight = graph.substitute(&self.weight, self.weight(graph, mode));
        trace(&self.layer)
    }
}

#[track_caller]
fn unit_in_graph(x: Var<'_>, eps: f64) -> Var<'_> {
    x / x.norm_keep(0).maximum(eps)
}

/// The slices along an axis as rows.
fn matrix<T: Real>(value: &Tensor<T>, axis: usize) -> Vec<Vec<f64>> {
    let shape = value.shape();
    let (inner, size) = (shape[axis + 1..].iter().product::<usize>(), shape[axis]);
    let mut rows = vec![Vec::new(); size];
    for (k, x) in value.data().iter().enumerate() {
        rows[k / inner % size].push(x.as_f64());
    }
    rows
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A vector over its length.
fn unit(mut vector: Vec<f64>, eps: f64) -> Vec<f64> {
    let length = dot(&vector, &vector).sqrt().max(eps);
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

impl<L: Layer> Layer for SpectralNorm<L> {
    #[track_caller]
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let _weight = x.graph().substitute(&self.weight, self.weight(x.graph(), mode));
        self.layer.forward_in(x, mode)
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, check};

    use super::*;
    use crate::Dense;
    use crate::test_numbers::numbers;

    /// A dense layer `[3, 4]` whose weight has the singular values 2, 1 and ½.
    fn wrapped(params: &mut Params<f64>, options: SpectralNormOptions) -> SpectralNorm<Dense> {
        let dense = Dense::new(params, "critic", 4, 3);
        let (s, c) = (0.6, 0.8);
        let weight = Tensor::from_rows([[2.0 * c, 0.0, -s, 0.0], [2.0 * s, 0.0, c, 0.0], [0.0, 0.5, 0.0, 0.0]]);
        params.set(dense.weight(), weight);
        SpectralNorm::with(params, dense, Dense::weight, options)
    }

    #[test]
    fn the_largest_singular_value_becomes_one() {
        for axis in 0..2 {
            let mut params: Params<f64> = Params::new(1);
            let norm = wrapped(&mut params, SpectralNormOptions::new().axis(axis as isize));
            let graph = Graph::new();
            let found = graph.eval_with(&[norm.weight(&graph, Mode::Eval)], &params, &Feed::new()).unwrap();
            let expected = params.get(norm.original()).map(|w| w / 2.0);
            found[0].real().assert_close(&expected, 1e-6, 1e-9);
            assert!(graph.updates().is_empty());
            let names: Vec<&str> = params.iter().map(|(param, _)| param.name()).collect();
            let expected = ["original", "0._u", "0._v"].map(|name| format!("critic.parametrizations.weight.{name}"));
            assert_eq!(names, [&expected[0], "critic.bias", &expected[1], &expected[2]]);
        }
    }

    /// Training goes on with the iteration, here by hand from vectors that are far off.
    #[test]
    fn training_leaves_the_vectors_of_its_iteration() {
        let mut params: Params<f64> = Params::new(1);
        let norm = wrapped(&mut params, SpectralNormOptions::new().iterations(2));
        let mut v = vec![0.5; 4];
        params.set(&norm.v, Tensor::from_slice(&v));
        let rows = matrix(params.get(norm.original()), 0);
        let mut u = Vec::new();
        for _ in 0..2 {
            u = unit(rows.iter().map(|row| dot(row, &v)).collect(), 0.0);
            v = unit((0..4).map(|j| (0..3).map(|i| rows[i][j] * u[i]).sum()).collect(), 0.0);
        }
        let sigma: f64 = rows.iter().zip(&u).map(|(row, u)| u * dot(row, &v)).sum();
        let graph = Graph::new();
        let weight = norm.weight(&graph, Mode::Train);
        let updates = graph.updates();
        let found = graph.eval_with(&[weight, updates[0].1, updates[1].1], &params, &Feed::new()).unwrap();
        found[0].real().assert_close(&params.get(norm.original()).map(|w| w / sigma), 1e-13, 1e-13);
        found[1].real().assert_close(&Tensor::from_slice(&u), 1e-13, 1e-13);
        found[2].real().assert_close(&Tensor::from_slice(&v), 1e-13, 1e-13);
    }

    fn loss<'g>(norm: &SpectralNorm<Dense>, x: Var<'g>, mode: Mode) -> Var<'g> {
        norm.forward_in(x, mode).tanh().square().mean()
    }

    #[test]
    fn gradients_hold_the_vectors_fixed() {
        for axis in 0..2 {
            let mut params: Params<f64> = Params::new(1);
            let x = params.add("x", numbers([2, 4], 0));
            let norm = wrapped(&mut params, SpectralNormOptions::new().axis(axis as isize));
            check::assert_model(&params, (), |graph, []| loss(&norm, graph.param(&x), Mode::Eval));
            // In training the same, with the vectors after the iteration: these are the singular ones here.
            let graph = Graph::new();
            let original = graph.param(norm.original());
            let slopes = [Mode::Eval, Mode::Train].map(|mode| {
                let loss = loss(&norm, graph.param(&x), mode);
                graph.grad(loss, &[original]).unwrap()[0]
            });
            let found = graph.eval_with(&slopes, &params, &Feed::new()).unwrap();
            found[1].real().assert_close(found[0].real(), 1e-6, 1e-8);
        }
    }

    #[test]
    #[should_panic(
        expected = "`SpectralNorm` of `critic.bias` of [3]: a matrix must have two axes, and one of them is 0"
    )]
    fn a_vector_is_refused() {
        let mut params: Params<f64> = Params::new(1);
        let dense = Dense::new(&mut params, "critic", 4, 3);
        SpectralNorm::new(&mut params, dense, |dense| dense.bias().unwrap());
    }
}
