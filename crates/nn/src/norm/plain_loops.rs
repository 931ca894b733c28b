//! What the layers' tests share: inputs, and normalisation by plain loops.

use gradus_graph::{Params, Tensor};

/// Moves all parameters away from ones and zeros.
pub(super) fn moved(params: &mut Params<f64>) {
    let all: Vec<_> = params.iter().map(|(param, _)| param.clone()).filter(|param| !param.is_buffer()).collect();
    for param in all {
        let mut k = param.index() * 5;
        params.get_mut(&param).data_mut().iter_mut().for_each(|value| {
            k += 1;
            *value += 0.3 * (k as f64).cos();
        });
    }
}

/// Each element less the mean of its group, over the root of the group's variance and eps: plain loops.
pub(super) fn by_hand(x: &Tensor<f64>, group: impl Fn(usize) -> usize, eps: f64) -> Vec<f64> {
    let (mean, variance, _) = moments(x, &group);
    let value = |k: usize| (x.data()[k] - mean[group(k)]) / (variance[group(k)] + eps).sqrt();
    (0..x.len()).map(value).collect()
}

/// Mean, biased variance and number of elements of each group.
pub(super) fn moments(x: &Tensor<f64>, group: impl Fn(usize) -> usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let groups = (0..x.len()).map(&group).max().map_or(0, |last| last + 1);
    let (mut count, mut mean, mut variance) = (vec![0.0; groups], vec![0.0; groups], vec![0.0; groups]);
    for (k, x) in x.data().iter().enumerate() {
        count[group(k)] += 1.0;
        mean[group(k)] += x;
    }
    (0..groups).for_each(|g| mean[g] /= count[g]);
    for (k, x) in x.data().iter().enumerate() {
        variance[group(k)] += (x - mean[group(k)]).powi(2);
    }
    (0..groups).for_each(|g| variance[g] /= count[g]);
    (mean, variance, count)
}
