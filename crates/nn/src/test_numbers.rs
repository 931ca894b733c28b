//! Numbers for the tests of layers.

use gradus_graph::{IntoShape, Random, Tensor};

/// Numbers from −1.2 to 1.8 without a pattern and with a mean that is not 0, no two nearer than 3 divided by their
/// number. Each seed has others.
pub(crate) fn numbers(shape: impl IntoShape, seed: usize) -> Tensor<f64> {
    let shape = shape.try_into_shape().expect("the sizes make a shape");
    let count = shape.len();
    let order = Random::new(seed as u64).permutation(count);
    Tensor::from_fn(shape, |k| 3.0 * (order[k] as f64 + 0.4) / count as f64 - 1.2)
}
