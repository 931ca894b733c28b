//! Features between two bounds.

use std::collections::BTreeMap;

use gradus_graph::{Real, Tensor};

use super::fitted::{Fitted, expect_lengths, reals};
use super::{expect_features, map_features, values_by_feature};
use crate::array::FileArray;
use crate::error::Problem;

/// Moves the least value of each feature to one bound and the largest to another.
///
/// A feature that does not vary comes to the lower bound. Later values may lie outside.
///
/// # Example
/// ```
/// use gradus_data::MinMax;
/// use gradus_graph::Tensor;
/// let scale = MinMax::fit(&Tensor::from([10.0, 20.0, 30.0]), 0.0, 1.0)?;
/// assert_eq!(scale.transform(&Tensor::from([15.0, 40.0])).data(), [0.25, 1.5]);
/// assert_eq!(scale.inverse(&Tensor::from([0.25, 1.5])).data(), [15.0, 40.0]);
/// # Ok::<(), gradus_data::Problem>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MinMax {
    factors: Vec<f64>,
    offsets: Vec<f64>,
}

impl MinMax {
    /// The bounds of the features, which are to become `low` and `high`.
    ///
    /// # Errors
    /// If a value is infinite, or a feature has none.
    ///
    /// # Panics
    /// If the tensor is a scalar, or `low` is not below `high`.
    #[track_caller]
    pub fn fit<T: Real>(x: &Tensor<T>, low: f64, high: f64) -> Result<Self, Problem> {
        assert!(low < high, "`MinMax::fit`: the lower bound {low} is not below the upper bound {high}");
        let (mut factors, mut offsets) = (Vec::new(), Vec::new());
        for values in values_by_feature("MinMax::fit", x)? {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // Below ten units in the last place of 1, a range is no range.
            let range = if largest - least < 10.0 * f64::EPSILON { 1.0 } else { largest - least };
            factors.push((high - low) / range);
            offsets.push(low - least * ((high - low) / range));
        }
        Ok(Self { factors, offsets })
    }

    /// The features between the bounds.
    ///
    /// # Panics
    /// If there are not as many features as were fitted.
    #[track_caller]
    pub fn transform<T: Real>(&self, x: &Tensor<T>) -> Tensor<T> {
        expect_features("MinMax::transform", x, self.factors.len());
        map_features(x, self.factors.len(), |value, k| value * self.factors[k] + self.offsets[k])
    }

    /// The features that [`MinMax::transform`] makes these of.
    ///
    /// # Panics
    /// If there are not as many features as were fitted.
    #[track_caller]
    pub fn inverse<T: Real>(&self, x: &Tensor<T>) -> Tensor<T> {
        expect_features("MinMax::inverse", x, self.factors.len());
        map_features(x, self.factors.len(), |value, k| (value - self.offsets[k]) / self.factors[k])
    }
}

impl Fitted for MinMax {
    fn to_arrays(&self) -> BTreeMap<String, FileArray> {
        let array = |values: &Vec<f64>| Tensor::from(values.clone()).into();
        BTreeMap::from([("factors".into(), array(&self.factors)), ("offsets".into(), array(&self.offsets))])
    }

    fn from_arrays(arrays: &BTreeMap<String, FileArray>) -> Result<Self, Problem> {
        let (factors, offsets) = (reals(arrays, "factors")?, reals(arrays, "offsets")?);
        expect_lengths(factors.len(), offsets.len())?;
        Ok(Self { factors, offsets })
    }
}
