//! Vectors over a power of two, so that products of gradients of any size stay in range.

use gradus_linalg::{dot, power_of_two_near};

/// A vector over a power of two near its largest element: `values·unit`. The division rounds nothing, so a formula in
/// such vectors has the bits of the plain one wherever that does not overflow or underflow.
#[derive(Clone, Debug)]
pub(crate) struct Scaled {
    pub(crate) values: Vec<f64>,
    pub(crate) unit: f64,
}

impl Scaled {
    pub(crate) fn of(vector: &[f64]) -> Self {
        let unit = power_of_two_near(vector);
        Self { values: vector.iter().map(|x| x / unit).collect(), unit }
    }

    /// The product over both units.
    pub(crate) fn dot(&self, other: &Self) -> f64 {
        dot(&self.values, &other.values)
    }

    /// The negated vector.
    pub(crate) fn negated(&self) -> Self {
        Self { values: self.values.iter().map(|x| -x).collect(), unit: self.unit }
    }

    /// `self − other`
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let terms = self.values.iter().zip(&other.values);
        Self::of(&terms.map(|(a, b)| self.unit * a - other.unit * b).collect::<Vec<f64>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_any_size_are_those_of_size_one() {
        let (a, b) = ([3.0, -0.1, 0.7], [0.2, 5.0, 1.3]);
        let expected = Scaled::of(&a).dot(&Scaled::of(&b)) * 2.0 * 4.0;
        assert_eq!(expected, dot(&a, &b));
        for exponent in [-600, 600] {
            let size = 2.0_f64.powi(exponent);
            let (a, b) = (Scaled::of(&a.map(|a| size * a)), Scaled::of(&b.map(|b| size * b)));
            assert_eq!((a.dot(&b) * 8.0, a.unit, b.unit), (expected, 2.0 * size, 4.0 * size));
            assert_eq!(a.minus(&b).unit, 4.0 * size);
        }
    }
}
