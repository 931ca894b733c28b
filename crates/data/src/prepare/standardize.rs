//! Features of mean 0 and standard deviation 1.

use std::collections::BTreeMap;

use gradus_graph::{Real, Tensor};

use super::fitted::{Fitted, expect_lengths, reals};
use super::{expect_features, map_features, values_by_feature};
use crate::array::FileArray;
use crate::error::Problem;

/// (x − mean) / standard deviation, of each feature.
///
/// The variance is that of the population, as in scikit-learn's `StandardScaler`; a feature that does not vary is
/// divided by 1.
///
/// # Example
/// ```
/// use gradus_data::Standardize;
/// use gradus_graph::Tensor;
/// let train = Tensor::from_rows([[1.0, 5.0], [3.0, 5.0]]);
/// let scale = Standardize::fit(&train)?;
/// let scaled = scale.transform(&train);
/// assert_eq!(scaled, Tensor::from_rows([[-1.0, 0.0], [1.0, 0.0]]));
/// assert_eq!(scale.inverse(&scaled), train);
/// # Ok::<(), gradus_data::Problem>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Standardize {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Standardize {
    /// The means and deviations of the features.
    ///
    /// # Errors
    /// If a value is infinite, or a feature has none.
    ///
    /// # Panics
    /// If the tensor is a scalar.
    #[track_caller]
    pub fn fit<T: Real>(x: &Tensor<T>) -> Result<Self, Problem> {
        let (mut means, mut deviations) = (Vec::new(), Vec::new());
        for values in values_by_feature("Standardize::fit", x)? {
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            // What the mean lost by rounding is taken from the sum of squares.
            let (mut rest, mut squares) = (0.0, 0.0);
            for value in &values {
                rest += value - mean;
                squares += (value - mean) * (value - mean);
            }
            let variance = (squares - rest * rest / count) / count;
            // Rounding gives equal values a variance of about this size.
            let noise = count * f64::EPSILON * variance + (count * mean * f64::EPSILON).powi(2);
            means.push(mean + rest / count);
            deviations.push(if variance <= noise { 1.0 } else { variance.sqrt() });
        }
        Ok(Self { means, deviations })
    }

    /// The mean of each feature.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// The standard deviation of each feature, or 1 if it does not vary.
    pub fn deviations(&self) -> &[f64] {
        &self.deviations
    }

    /// The features with these means and deviations taken out.
    ///
    /// # Panics
    /// If there are not as many features as were fitted.
    #[track_caller]
    pub fn transform<T: Real>(&self, x: &Tensor<T>) -> Tensor<T> {
        expect_features("Standardize::transform", x, self.means.len());
        map_features(x, self.means.len(), |value, k| (value - self.means[k]) / self.deviations[k])
    }

    /// The features that [`Standardize::transform`] makes these of.
    ///
    /// # Panics
    /// If there are not as many features as were fitted.
    #[track_caller]
    pub fn inverse<T: Real>(&self, x: &Tensor<T>) -> Tensor<T> {
        expect_features("Standardize::inverse", x, self.means.len());
        map_features(x, self.means.len(), |value, k| value * self.deviations[k] + self.means[k])
    }
}

impl Fitted for Standardize {
    fn to_arrays(&self) -> BTreeMap<String, FileArray> {
        let array = |values: &Vec<f64>| Tensor::from(values.clone()).into();
        BTreeMap::from([("means".into(), array(&self.means)), ("deviations".into(), array(&self.deviations))])
    }

    fn from_arrays(arrays: &BTreeMap<String, FileArray>) -> Result<Self, Problem> {
        let (means, deviations) = (reals(arrays, "means")?, reals(arrays, "deviations")?);
        expect_lengths(means.len(), deviations.len())?;
        Ok(Self { means, deviations })
    }
}
