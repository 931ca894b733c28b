//! What is fitted on the training part and applied to all: scales, values in place of missing ones, codes; and how it is
//! kept with a model.
//!
//! The features of a tensor lie along its last axis; a tensor of one axis is one feature. Statistics are taken in double
//! precision over all other axes, and are scikit-learn's. NaN stands for a missing value: scales leave it out and leave
//! it as it is, [`Impute`] replaces it.

mod encoder;
mod fitted;
mod impute;
mod min_max;
mod one_hot;
mod standardize;

pub use encoder::{TableEncoder, TableRecipe};
pub use fitted::{Fitted, FittedState};
pub use impute::{Filling, Impute};
pub use min_max::MinMax;
pub use one_hot::OneHot;
pub use standardize::Standardize;

use gradus_graph::{Real, Tensor};

use crate::error::Problem;

/// The number of features.
#[track_caller]
fn features<T: Clone>(method: &str, x: &Tensor<T>) -> usize {
    match x.shape().sizes() {
        [] => panic!("`{method}`: a scalar has no features"),
        [_] => 1,
        [.., features] => *features,
    }
}

/// Checks that a tensor has as many features as there were to fit.
#[track_caller]
fn expect_features<T: Clone>(method: &str, x: &Tensor<T>, fitted: usize) {
    let found = features(method, x);
    assert!(found == fitted, "`{method}`: {found} features, of shape {}, where {fitted} were fitted", x.shape());
}

/// The values of each feature that are not missing.
#[track_caller]
fn values_by_feature<T: Real>(method: &str, x: &Tensor<T>) -> Result<Vec<Vec<f64>>, Problem> {
    let features = features(method, x);
    let mut values = vec![Vec::new(); features];
    for (place, value) in x.data().iter().enumerate() {
        let value = value.as_f64();
        if value.is_infinite() {
            let (row, feature) = (place / features, place % features);
            return Err(Problem::Other(format!("`{method}`: row {row} of feature {feature} is {value}")));
        }
        if !value.is_nan() {
            values[place % features].push(value);
        }
    }
    if let Some(feature) = values.iter().position(Vec::is_empty) {
        return Err(Problem::Other(format!("`{method}`: feature {feature} has no value that is not missing")));
    }
    Ok(values)
}

/// Applies `f` to every value and the number of its feature.
fn map_features<T: Real>(x: &Tensor<T>, features: usize, f: impl Fn(f64, usize) -> f64) -> Tensor<T> {
    let mut place = 0..;
    x.map(|value| T::of(f(value.as_f64(), place.next().unwrap_or_default() % features)))
}
