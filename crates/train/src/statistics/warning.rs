//! What is wrong, where, and what helps.

use std::fmt;

/// A kind of trouble in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// A weight, a gradient or an activation is NaN or infinite.
    NotFinite,
    /// A gradient is 0 throughout.
    NoGradient,
    /// The gradient of a layer is far smaller than that of a later one.
    VanishingGradient,
    /// A gradient is very large.
    ExplodingGradient,
    /// A parameter moves far beside its size.
    LargeUpdate,
    /// A parameter with a gradient hardly moves.
    SmallUpdate,
    /// Units give the same on the whole batch and have no slope.
    DeadUnits,
    /// Most outputs are where the slope is nearly 0.
    Saturated,
}

/// A trouble with its place; as text, a sentence that ends with a suggestion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The name of the parameter or of the layer.
    pub name: String,
    /// What is wrong.
    pub trouble: Trouble,
    /// What was found, without the name.
    pub found: String,
}

impl Warning {
    /// Something that often helps.
    pub fn suggestion(&self) -> &'static str {
        match self.trouble {
            Trouble::NotFinite => {
                "lower the learning rate, clip the gradients, and look for a division or logarithm of 0"
            }
            Trouble::NoGradient => "see whether the loss depends on it, and whether the units behind it are dead",
            Trouble::VanishingGradient => {
                "use ReLU or GELU in place of a saturating function, normalisation, residual connections, or another \
                 initialisation"
            }
            Trouble::ExplodingGradient => "clip the gradients, lower the learning rate, or normalise the inputs",
            Trouble::LargeUpdate => "lower the learning rate, or warm it up",
            Trouble::SmallUpdate => "raise the learning rate, or see whether a schedule has ended",
            Trouble::DeadUnits => "lower the learning rate, or use LeakyRelu, GELU or a smaller bias",
            Trouble::Saturated => "use smaller initial weights, normalisation, or inputs of a smaller size",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}; {}", self.name, self.found, self.suggestion())
    }
}

/// What is too much, and what too little.
///
/// # Example
/// ```
/// use gradus_train::statistics::Thresholds;
/// let strict = Thresholds { large_update: 0.01, ..Thresholds::default() };
/// assert!(strict.large_update < Thresholds::default().large_update);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// The largest mean change of a weight matrix beside its mean magnitude, 0.1. About 0.001 is usual; the first steps
    /// of Adam at its usual rate change wide layers by up to 0.09.
    pub large_update: f64,
    /// The smallest, 1e-6.
    pub small_update: f64,
    /// The smallest root mean square of a weight matrix's gradient beside the largest of a later one, 1e-5.
    pub vanishing: f64,
    /// The largest Euclidean norm of a parameter's gradient, 1000.
    pub exploding: f64,
    /// The largest share of dead units, 0.1.
    pub dead: f64,
    /// The largest share of saturated outputs, 0.5.
    pub saturated: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { large_update: 0.1, small_update: 1e-6, vanishing: 1e-5, exploding: 1e3, dead: 0.1, saturated: 0.5 }
    }
}
