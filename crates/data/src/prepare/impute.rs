//! Values in place of missing ones.

use std::collections::BTreeMap;

use gradus_graph::{Real, Tensor};

use super::fitted::{Fitted, reals};
use super::{expect_features, features, map_features, values_by_feature};
use crate::array::FileArray;
use crate::error::Problem;

/// What takes the place of a missing value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filling {
    /// The mean of the feature.
    Mean,
    /// The middle value of the feature, or the mean of the two in the middle.
    Median,
    /// The value that occurs most often; of several, the least.
    MostFrequent,
    /// This value.
    Constant(f64),
}

/// Replaces NaN, feature by feature.
///
/// # Example
/// ```
/// use gradus_data::{Filling, Impute};
/// use gradus_graph::Tensor;
/// let ages = Tensor::from([20.0, f64::NAN, 30.0, 70.0]);
/// let fill = Impute::fit(&ages, Filling::Median)?;
/// assert_eq!(fill.transform(&ages).data(), [20.0, 30.0, 30.0, 70.0]);
/// # Ok::<(), gradus_data::Problem>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Impute {
    values: Vec<f64>,
}

impl Impute {
    /// The value for each feature.
    ///
    /// # Errors
    /// If a value is infinite, or a feature has none; with [`Filling::Constant`] never.
    ///
    /// # Panics
    /// If the tensor is a scalar.
    #[track_caller]
    pub fn fit<T: Real>(x: &Tensor<T>, filling: Filling) -> Result<Self, Problem> {
        if let Filling::Constant(value) = filling {
            return Ok(Self { values: vec![value; features("Impute::fit", x)] });
        }
        let mut fillings = Vec::new();
        for mut values in values_by_feature("Impute::fit", x)? {
            values.sort_by(f64::total_cmp);
            let half = values.len() / 2;
            fillings.push(match filling {
                Filling::Median if values.len() % 2 == 1 => values[half],
                Filling::Median => 0.5 * values[half - 1] + 0.5 * values[half],
                Filling::MostFrequent => {
                    let runs = values.chunk_by(|a, b| a == b);
                    runs.rev().max_by_key(|run| run.len()).map_or(f64::NAN, |run| run[0])
                }
                Filling::Mean | Filling::Constant(_) => values.iter().sum::<f64>() / values.len() as f64,
            });
        }
        Ok(Self { values: fillings })
    }

    /// The value for each feature.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The features with no value missing.
    ///
    /// # Panics
    /// If there are not as many features as were fitted.
    #[track_caller]
    pub fn transform<T: Real>(&self, x: &Tensor<T>) -> Tensor<T> {
        expect_features("Impute::transform", x, self.values.len());
        map_features(x, self.values.len(), |value, k| if value.is_nan() { self.values[k] } else { value })
    }
}

impl Fitted for Impute {
    fn to_arrays(&self) -> BTreeMap<String, FileArray> {
        BTreeMap::from([("values".into(), Tensor::from(self.values.clone()).into())])
    }

    fn from_arrays(arrays: &BTreeMap<String, FileArray>) -> Result<Self, Problem> {
        Ok(Self { values: reals(arrays, "values")? })
    }
}
