//! Gains: factors of initial values that compensate for the variance that an activation removes.

/// The gain for the activation that follows a layer, as PyTorch's `calculate_gain` gives it.
///
/// # Example
/// ```
/// use gradus_nn::{Gain, Init};
/// assert_eq!(f64::from(Gain::Tanh), 5.0 / 3.0);
/// assert_eq!(Init::xavier_uniform().gain(Gain::Tanh), Init::xavier_uniform().gain(5.0 / 3.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gain {
    /// No activation: 1.
    Linear,
    /// 1.
    Sigmoid,
    /// 5/3.
    Tanh,
    /// √2.
    Relu,
    /// `√(2/(1 + a²))` for the slope `a` below 0.
    LeakyRelu(f64),
    /// 3/4, as in PyTorch; self-normalising networks need 1 with [`Init::lecun_normal`](crate::Init::lecun_normal).
    Selu,
}

impl From<Gain> for f64 {
    fn from(gain: Gain) -> Self {
        match gain {
            Gain::Linear | Gain::Sigmoid => 1.0,
            Gain::Tanh => 5.0 / 3.0,
            Gain::Relu => std::f64::consts::SQRT_2,
            Gain::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Gain::Selu => 0.75,
        }
    }
}
