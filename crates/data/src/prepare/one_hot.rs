//! A feature for each code.

use std::collections::BTreeMap;

use gradus_graph::{Real, Shape, Tensor};

use super::features;
use super::fitted::{Fitted, integers};
use crate::array::FileArray;
use crate::error::Problem;

/// Replaces each feature of codes by as many features as it has different codes: 1 for the code of a row, 0 for others.
///
/// A negative code stands for a missing value: all of its features are 0.
///
/// # Example
/// ```
/// use gradus_data::OneHot;
/// use gradus_graph::Tensor;
/// let codes = Tensor::from_rows([[0, 7], [2, 7], [0, 5]]);
/// let one_hot = OneHot::fit(&codes);
/// assert_eq!(one_hot.len(), 4);
/// let features = one_hot.transform::<f32>(&codes)?;
/// assert_eq!(features.rows(1, 2).data(), [0.0, 1.0, 0.0, 1.0]);
/// assert_eq!(one_hot.inverse(&features), codes);
/// let error = one_hot.transform::<f32>(&Tensor::from_rows([[1, 7]])).unwrap_err();
/// assert_eq!(error.to_string(), "`OneHot::transform`: row 0 of feature 0 has the code 1, which was not fitted");
/// # Ok::<(), gradus_data::Problem>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OneHot {
    /// The codes of each feature, sorted.
    codes: Vec<Vec<i64>>,
}

impl OneHot {
    /// The different codes of each feature, in order.
    ///
    /// # Panics
    /// If the tensor is a scalar.
    #[track_caller]
    pub fn fit(x: &Tensor<i64>) -> Self {
        let features = features("OneHot::fit", x);
        let codes = (0..features).map(|feature| {
            let mut codes: Vec<i64> = x.data().iter().skip(feature).step_by(features).copied().collect();
            codes.sort_unstable();
            codes.dedup();
            codes.retain(|&code| code >= 0);
            codes
        });
        Self { codes: codes.collect() }
    }

    /// One feature with the codes 0 to `count` − 1, whether they occur or not.
    pub fn of(count: usize) -> Self {
        Self { codes: vec![(0..count as i64).collect()] }
    }

    /// The number of features that are made.
    #[allow(clippy::len_without_is_empty)] // It says how wide a layer is.
    pub fn len(&self) -> usize {
        self.codes.iter().map(Vec::len).sum()
    }

    /// A feature for each code: `[…, features]` becomes `[…, codes]`, and `[rows]` `[rows, codes]`.
    ///
    /// # Errors
    /// If a code was not there when it was fitted.
    ///
    /// # Panics
    /// If there are not as many features as were fitted.
    #[track_caller]
    pub fn transform<T: Real>(&self, x: &Tensor<i64>) -> Result<Tensor<T>, Problem> {
        super::expect_features("OneHot::transform", x, self.codes.len());
        let lead = if x.shape().rank() == 1 { &x.shape()[..] } else { &x.shape()[..x.shape().rank() - 1] };
        let shape: Shape = lead.iter().copied().chain([self.len()]).collect();
        let mut values = vec![T::zero(); shape.len()];
        let mut start = 0;
        for (place, &code) in x.data().iter().enumerate() {
            let (row, feature) = (place / self.codes.len(), place % self.codes.len());
            match self.codes[feature].binary_search(&code) {
                Ok(hot) => values[start + hot] = T::one(),
                Err(_) if code < 0 => {}
                Err(_) => {
                    return Err(Problem::Other(format!(
                        "`OneHot::transform`: row {row} of feature {feature} has the code {code}, which was not fitted"
                    )));
                }
            }
            start += self.codes[feature].len();
        }
        Ok(Tensor::new(shape, values))
    }

    /// The codes of the largest of each group of features; −1 where all are 0.
    ///
    /// # Panics
    /// If the last axis is not as long as [`OneHot::len`].
    #[track_caller]
    pub fn inverse<T: Real>(&self, x: &Tensor<T>) -> Tensor<i64> {
        super::expect_features("OneHot::inverse", x, self.len());
        let rows = x.shape()[..x.shape().rank().saturating_sub(1)].iter().copied();
        let shape: Shape = rows.chain((self.codes.len() > 1).then_some(self.codes.len())).collect();
        let mut codes = Vec::with_capacity(shape.len());
        for row in x.data().chunks(self.len().max(1)) {
            let mut rest = row;
            for known in &self.codes {
                let (group, next) = rest.split_at(known.len());
                rest = next;
                let mut hottest: Option<usize> = None;
                for (place, value) in group.iter().enumerate().filter(|(_, value)| **value != T::zero()) {
                    if hottest.is_none_or(|best| *value > group[best]) {
                        hottest = Some(place);
                    }
                }
                codes.push(hottest.map_or(-1, |place| known[place]));
            }
        }
        Tensor::new(shape, codes)
    }
}

impl Fitted for OneHot {
    fn to_arrays(&self) -> BTreeMap<String, FileArray> {
        let counts: Vec<i64> = self.codes.iter().map(|codes| codes.len() as i64).collect();
        let codes = Tensor::from(self.codes.concat());
        BTreeMap::from([("codes".into(), codes.into()), ("counts".into(), Tensor::from(counts).into())])
    }

    fn from_arrays(arrays: &BTreeMap<String, FileArray>) -> Result<Self, Problem> {
        let all = integers(arrays, "codes")?;
        let (mut rest, mut codes) = (&all[..], Vec::new());
        for count in integers(arrays, "counts")? {
            let part = usize::try_from(count).ok().and_then(|count| rest.split_at_checked(count));
            let part = part.filter(|(own, _)| own.windows(2).all(|pair| pair[0] < pair[1]));
            let Some((own, next)) = part else { return Err(Problem::Other("`counts` does not fit `codes`".into())) };
            codes.push(own.to_vec());
            rest = next;
        }
        match rest.is_empty() {
            true => Ok(Self { codes }),
            false => Err(Problem::Other("`counts` does not fit `codes`".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_code_has_no_feature() {
        let codes = Tensor::from([2, -1, 5]);
        let one_hot = OneHot::fit(&codes);
        assert_eq!(one_hot, OneHot { codes: vec![vec![2, 5]] });
        let features = one_hot.transform::<f64>(&codes).unwrap();
        assert_eq!(features, Tensor::from_rows([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]));
        assert_eq!(one_hot.inverse(&features), codes);
    }
}
