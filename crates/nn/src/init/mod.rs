//! Initial values: constants, uniform and normal numbers, numbers scaled to a layer's size, orthogonal matrices.

mod fan;
mod gain;
mod orthogonal;

use gradus_graph::kernel::random::RandomStream;
use gradus_graph::{IntoShape, Param, Params, Real, Shape, Tensor, expect_setting};

pub use fan::{Fan, Fans};
pub use gain::Gain;

/// How the initial value of a parameter is drawn.
///
/// Scaled values have the standard deviation `σ = gain/√fan`: normal `N(0, σ²)`, or uniform on `±√3·σ`, which has the
/// same variance. They differ in the fan and the usual gain:
///
/// - LeCun et al., "Efficient BackProp" (1998): fan in, gain 1.
/// - Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010), called
///   Xavier: the average of both fans, gain 1.
/// - He et al., "Delving deep into rectifiers" (2015), called Kaiming: fan in, gain √2.
///
/// The numbers depend on the seed alone and are drawn in double precision: a store in `f32` holds the rounded numbers
/// of one in `f64`. For values of another kind, set them after the layer was made: [`Params::set`].
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// use gradus_nn::{Fan, Fans, Gain, Init};
/// let init = Init::he_normal().fan(Fan::Out).gain(Gain::LeakyRelu(0.1));
/// let weight: Tensor<f32> = init.tensor([300, 100], Fans::of([300, 100]), 7);
/// let variance = weight.data().iter().map(|w| w * w).sum::<f32>() / 30_000.0;
/// assert!((variance - 2.0 / (1.0 + 0.01) / 300.0).abs() < 1e-4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Init {
    draw: Draw,
    gain: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Draw {
    Constant(f64),
    Uniform { low: f64, high: f64 },
    Normal { mean: f64, std: f64 },
    TruncatedNormal { mean: f64, std: f64 },
    ScaledUniform(Fan),
    ScaledNormal(Fan),
    Orthogonal,
}

impl Default for Init {
    /// Uniform on `±1/√(fan in)`: what PyTorch's `Linear` and convolutions draw weights and biases from.
    fn default() -> Self {
        Self::lecun_uniform().gain(1.0 / 3.0_f64.sqrt())
    }
}

impl Init {
    const fn of(draw: Draw, gain: f64) -> Self {
        Self { draw, gain }
    }

    /// Zeros.
    pub const fn zeros() -> Self {
        Self::of(Draw::Constant(0.0), 1.0)
    }

    /// Ones.
    pub const fn ones() -> Self {
        Self::of(Draw::Constant(1.0), 1.0)
    }

    /// One number everywhere.
    ///
    /// # Panics
    /// If it is NaN.
    #[track_caller]
    pub fn constant(value: f64) -> Self {
        expect_setting("`Init::constant`: value", value, f64::NEG_INFINITY..=f64::INFINITY);
        Self::of(Draw::Constant(value), 1.0)
    }

    /// Uniform between two numbers.
    ///
    /// # Panics
    /// If they are not finite or out of order.
    #[track_caller]
    pub fn uniform(low: f64, high: f64) -> Self {
        expect_setting("`Init::uniform`: low", low, ..);
        expect_setting("`Init::uniform`: high", high, low..);
        Self::of(Draw::Uniform { low, high }, 1.0)
    }

    /// Normal.
    ///
    /// # Panics
    /// If a number is not finite, or the standard deviation is negative.
    #[track_caller]
    pub fn normal(mean: f64, std: f64) -> Self {
        expect_setting("`Init::normal`: mean", mean, ..);
        expect_setting("`Init::normal`: std", std, 0.0..);
        Self::of(Draw::Normal { mean, std }, 1.0)
    }

    /// Normal numbers, those farther than `2·std` from the mean drawn again.
    ///
    /// As in PyTorch, `std` is that of the normal distribution before truncation; afterwards it is 0.8796 of it. Unlike
    /// in PyTorch, where the bounds are −2 and 2 unless given, the bounds follow the mean and `std`.
    ///
    /// # Panics
    /// If a number is not finite, or the standard deviation is negative.
    #[track_caller]
    pub fn truncated_normal(mean: f64, std: f64) -> Self {
        expect_setting("`Init::truncated_normal`: mean", mean, ..);
        expect_setting("`Init::truncated_normal`: std", std, 0.0..);
        Self::of(Draw::TruncatedNormal { mean, std }, 1.0)
    }

    /// Glorot and Bengio's: uniform on `±gain·√(6/(fan in + fan out))`.
    pub const fn xavier_uniform() -> Self {
        Self::of(Draw::ScaledUniform(Fan::Average), 1.0)
    }

    /// Glorot and Bengio's: normal with variance `gain²·2/(fan in + fan out)`.
    pub const fn xavier_normal() -> Self {
        Self::of(Draw::ScaledNormal(Fan::Average), 1.0)
    }

    /// He's: uniform on `±gain·√(3/fan)`, with fan in and the gain √2 of `relu` unless others are set.
    pub const fn he_uniform() -> Self {
        Self::of(Draw::ScaledUniform(Fan::In), std::f64::consts::SQRT_2)
    }

    /// He's: normal with variance `gain²/fan`, with fan in and the gain √2 of `relu` unless others are set.
    pub const fn he_normal() -> Self {
        Self::of(Draw::ScaledNormal(Fan::In), std::f64::consts::SQRT_2)
    }

    /// LeCun's: uniform on `±gain·√(3/fan in)`.
    pub const fn lecun_uniform() -> Self {
        Self::of(Draw::ScaledUniform(Fan::In), 1.0)
    }

    /// LeCun's: normal with variance `gain²/fan in`; not truncated.
    pub const fn lecun_normal() -> Self {
        Self::of(Draw::ScaledNormal(Fan::In), 1.0)
    }

    /// A random matrix with orthonormal rows or columns, whichever are fewer, times the gain. Axes after the first
    /// count as one.
    ///
    /// # Reference
    /// Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    /// networks" (2014).
    pub const fn orthogonal() -> Self {
        Self::of(Draw::Orthogonal, 1.0)
    }

    /// With another gain: a number, or that of an activation. It replaces the usual one; every value is a multiple of
    /// it.
    ///
    /// # Panics
    /// If it is not finite.
    #[must_use]
    #[track_caller]
    pub fn gain(self, gain: impl Into<f64>) -> Self {
        let gain = gain.into();
        expect_setting("`Init::gain`: gain", gain, ..);
        Self { gain, ..self }
    }

    /// With another fan.
    ///
    /// # Panics
    /// If the distribution is not scaled to the layer's size.
    #[must_use]
    #[track_caller]
    pub fn fan(self, fan: Fan) -> Self {
        let draw = match self.draw {
            Draw::ScaledUniform(_) => Draw::ScaledUniform(fan),
            Draw::ScaledNormal(_) => Draw::ScaledNormal(fan),
            other => panic!("{other:?} does not depend on a fan; Xavier's, He's and LeCun's do"),
        };
        Self { draw, ..self }
    }

    /// The values for a parameter of the given shape.
    ///
    /// # Panics
    /// If the sizes make no shape, or an orthogonal matrix is asked for that has fewer than two axes.
    #[track_caller]
    pub fn tensor<T: Real>(self, shape: impl IntoShape, fans: Fans, seed: u64) -> Tensor<T> {
        let shape = expect_shape("Init::tensor", shape);
        let values = self.values(&shape, fans, RandomStream { seed, step: 0, stream: 0 });
        Tensor::new(shape, values.into_iter().map(|value| T::of(self.gain * value)).collect())
    }

    /// Adds a parameter with such values under the store's present scope. The seed follows
    /// from the store's seed and the parameter's name.
    ///
    /// # Panics
    /// If the name is taken, or as [`Init::tensor`].
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Params;
    /// use gradus_nn::{Fans, Init};
    /// let mut params: Params = Params::new(0);
    /// let scale = Init::ones().param(&mut params, "scale", [4], Fans::of([4]));
    /// assert_eq!(params.get(&scale).data(), [1.0; 4]);
    /// ```
    #[track_caller]
    pub fn param(self, params: &mut Params<impl Real>, name: &str, shape: impl IntoShape, fans: Fans) -> Param {
        let (seed, shape) = (params.seed(name), expect_shape(name, shape));
        params.add(name, self.tensor(shape, fans, seed))
    }

    #[track_caller]
    fn values(self, shape: &Shape, fans: Fans, stream: RandomStream) -> Vec<f64> {
        let mut values = vec![0.0; shape.len()];
        // A layer without inputs has no weights, but its bias has a size.
        let scale = |fan: Fan| 1.0 / fans.size(fan).max(1.0).sqrt();
        match self.draw {
            Draw::Constant(value) => values.fill(value),
            Draw::Uniform { low, high } => {
                stream.uniform(0, &mut values);
                values.iter_mut().for_each(|value| *value = low + (high - low) * *value);
            }
            Draw::ScaledUniform(fan) => {
                let bound = 3.0_f64.sqrt() * scale(fan);
                return Self::uniform(-bound, bound).values(shape, fans, stream);
            }
            Draw::Normal { mean, std } => {
                stream.normal(0, &mut values);
                values.iter_mut().for_each(|value| *value = mean + std * *value);
            }
            Draw::ScaledNormal(fan) => return Self::normal(0.0, scale(fan)).values(shape, fans, stream),
            Draw::TruncatedNormal { mean, std } => {
                for (element, value) in values.iter_mut().enumerate() {
                    *value = mean + std * truncated(stream, element);
                }
            }
            Draw::Orthogonal => {
                assert!(shape.rank() >= 2, "an orthogonal matrix has two axes or more; the shape is {shape}");
                let columns = shape.iter().skip(1).product();
                return orthogonal::orthogonal(shape[0], columns, stream);
            }
        }
        values
    }
}

/// [`Init::param`] of a parameter that a layer may be without.
#[track_caller]
pub(crate) fn optional_param(
    init: Option<Init>,
    params: &mut Params<impl Real>,
    name: &str,
    shape: impl IntoShape,
    fans: Fans,
) -> Option<Param> {
    let init = init?;
    Some(init.param(params, name, shape, fans))
}

/// The shape that a layer or parameter is made with. Panics if the sizes make none.
#[track_caller]
pub(crate) fn expect_shape(what: &str, shape: impl IntoShape) -> Shape {
    match shape.try_into_shape() {
        Ok(shape) => shape,
        Err(problem) => panic!("`{what}`: {problem}"),
    }
}

/// A normal number between −2 and 2. Each attempt at an element has a stream of its own, so that one element's
/// attempts do not move the others.
fn truncated(stream: RandomStream, element: usize) -> f64 {
    let attempt = |number: u32| -> f64 {
        let mut drawn = [0.0];
        RandomStream { stream: number, ..stream }.normal(element, &mut drawn);
        drawn[0]
    };
    (0..).map(attempt).find(|value| value.abs() <= 2.0).expect("about one attempt in twenty fails")
}

#[cfg(test)]
mod tests;
