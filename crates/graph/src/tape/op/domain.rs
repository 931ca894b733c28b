//! The domain of an op, and the points in it where the op is not differentiable.

use std::f64::consts::FRAC_PI_2;

/// The domain of an input of an op: the open interval in which the op is defined and, except at its kinks,
/// differentiable. Checks draw inputs from it, and verify that values or derivatives are not finite at its ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Domain {
    /// The lower end, not included.
    pub low: f64,
    /// The upper end, not included.
    pub high: f64,
    /// A number between the ends that does not belong to it.
    pub without: Option<f64>,
}

impl Domain {
    /// All real numbers.
    pub const REAL: Self = Self::between(f64::NEG_INFINITY, f64::INFINITY);
    /// The numbers above 0.
    pub const POSITIVE: Self = Self::between(0.0, f64::INFINITY);
    /// All numbers but 0.
    pub const NONZERO: Self = Self { without: Some(0.0), ..Self::REAL };

    /// The numbers between two.
    pub const fn between(low: f64, high: f64) -> Self {
        Self { low, high, without: None }
    }

    /// Whether a number belongs to it.
    pub fn contains(&self, x: f64) -> bool {
        x > self.low && x < self.high && self.without != Some(x)
    }

    /// The condition on a variable of that name, such as `x > 0`; `None` for all numbers.
    pub(crate) fn condition(&self, x: &str) -> Option<String> {
        let Self { low, high, without } = *self;
        let within = match (low.is_finite(), high.is_finite()) {
            (false, false) => None,
            (true, false) => Some(format!("{x} > {}", number(low))),
            (false, true) => Some(format!("{x} < {}", number(high))),
            (true, true) => Some(format!("{} < {x} < {}", number(low), number(high))),
        };
        let hole = without.map(|hole| format!("{x} ≠ {}", number(hole)));
        let parts: Vec<String> = within.into_iter().chain(hole).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The finite numbers at which it ends.
    pub(crate) fn ends(&self) -> impl Iterator<Item = f64> {
        [self.low, self.high].into_iter().filter(|end| end.is_finite()).chain(self.without)
    }
}

/// A number as documentation and messages show it: up to four decimals, and `π/2` as a symbol.
pub(crate) fn number(x: f64) -> String {
    let digits = format!("{:.4}", x.abs());
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let sign = if x < 0.0 { "−" } else { "" };
    if x.abs() == FRAC_PI_2 { format!("{sign}π/2") } else { format!("{sign}{digits}") }
}

/// The points where an op is defined but not differentiable, and the subgradient that is used there. Checks avoid the
/// declared kinks, search for others, and verify that the derivative at a kink is the declared one, and that it lies
/// between the one-sided derivatives.
#[derive(Clone, Debug, PartialEq)]
pub enum Kinks {
    /// Nowhere.
    None,
    /// At these values of the input, each with its subgradient.
    At(Vec<(f64, f64)>),
    /// At `first + k·step` for every integer `k`; the derivative there is 0.
    Every {
        /// One of them.
        first: f64,
        /// The distance between neighbours.
        step: f64,
    },
    /// Where compared elements are equal; they share the derivative equally.
    Ties,
    /// At points that depend on several inputs, such as the branch cut of `atan2`: they are not declared, and checks
    /// use only the given samples.
    Joint,
}

impl Kinks {
    /// The kink that is nearest to `x`, with its subgradient.
    pub(crate) fn nearest(&self, x: f64) -> Option<(f64, f64)> {
        match self {
            Self::None | Self::Ties | Self::Joint => None,
            Self::At(kinks) => kinks.iter().copied().min_by(|(a, _), (b, _)| (a - x).abs().total_cmp(&(b - x).abs())),
            Self::Every { first, step } => Some((first + step * ((x - first) / step).round(), 0.0)),
        }
    }
}
