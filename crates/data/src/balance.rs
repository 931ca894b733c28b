//! Labels of which some are rarer than others: weights for the loss, or rows taken more often.

use std::collections::BTreeMap;

use gradus_graph::{Real, Tensor};

use crate::shuffle::shuffle;

/// The weight of each of `classes` classes in a loss: rows / (classes that occur · rows of the class), so that all that
/// occur weigh the same. A class that does not occur has weight 0.
///
/// # Panics
/// If a label is no class.
///
/// # Example
/// ```
/// let weights = gradus_data::balance::class_weights::<f32>(&[0, 0, 0, 2], 3);
/// assert_eq!(weights.data(), [2.0 / 3.0, 0.0, 2.0]);
/// ```
#[track_caller]
pub fn class_weights<T: Real>(labels: &[i64], classes: usize) -> Tensor<T> {
    let mut counts = vec![0_usize; classes];
    for (row, &label) in labels.iter().enumerate() {
        let class = usize::try_from(label).ok().filter(|&class| class < classes);
        let Some(class) = class else {
            panic!("`balance::class_weights`: row {row} has the label {label}, and there are {classes} classes")
        };
        counts[class] += 1;
    }
    let present = counts.iter().filter(|&&count| count > 0).count();
    let weight = |&count: &usize| match count {
        0 => T::zero(),
        _ => T::of(labels.len() as f64 / (present * count) as f64),
    };
    Tensor::from(counts.iter().map(weight).collect::<Vec<_>>())
}

/// Rows of which every label has as many as the commonest: those of the others are taken again and again, whole rounds
/// first and then some drawn by the seed and the epoch. The rows of a label stand together; batches are to be shuffled.
///
/// # Example
/// ```
/// let rows = gradus_data::balance::oversampled(&[0, 0, 0, 1], 7, 0);
/// assert_eq!(rows, [0, 1, 2, 3, 3, 3]);
/// ```
pub fn oversampled(labels: &[i64], seed: u64, epoch: u64) -> Vec<usize> {
    let most = rows_of(labels).values().map(Vec::len).max().unwrap_or(0);
    sampled(labels, most, seed, epoch)
}

/// Rows of which every label has as many as the rarest, drawn by the seed and the epoch. The rows of a label stand
/// together; batches are to be shuffled.
pub fn undersampled(labels: &[i64], seed: u64, epoch: u64) -> Vec<usize> {
    let least = rows_of(labels).values().map(Vec::len).min().unwrap_or(0);
    sampled(labels, least, seed, epoch)
}

fn rows_of(labels: &[i64]) -> BTreeMap<i64, Vec<usize>> {
    let mut rows = BTreeMap::<i64, Vec<usize>>::new();
    labels.iter().enumerate().for_each(|(row, &label)| rows.entry(label).or_default().push(row));
    rows
}

fn sampled(labels: &[i64], each: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut all = Vec::new();
    for (label, rows) in rows_of(labels) {
        for _ in 0..each / rows.len() {
            all.extend(&rows);
        }
        let mut drawn = rows.clone();
        shuffle(&mut drawn, seed ^ label as u64, epoch);
        all.extend(&drawn[..each % rows.len()]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_as_many_rows() {
        let labels: Vec<i64> = (0..100).map(|row| i64::from(row % 7 == 0) + i64::from(row % 3 == 0)).collect();
        for (rows, each) in [(oversampled(&labels, 1, 0), 56), (undersampled(&labels, 1, 0), 5)] {
            for label in 0..3 {
                assert_eq!(rows.iter().filter(|&&row| labels[row] == label).count(), each);
            }
        }
        let over = oversampled(&labels, 1, 0);
        assert!((0..100).all(|row| over.contains(&row)));
        assert_ne!(undersampled(&labels, 1, 0), undersampled(&labels, 1, 1));
        assert_eq!(oversampled(&[], 1, 0), [0_usize; 0]);
    }

    #[test]
    fn a_class_that_does_not_occur_weighs_nothing() {
        assert_eq!(class_weights::<f64>(&[0, 0, 0, 2], 3).data(), [4.0 / 6.0, 0.0, 2.0]);
    }

    #[test]
    #[should_panic = "`balance::class_weights`: row 1 has the label 2, and there are 2 classes"]
    fn a_label_that_is_no_class_is_refused() {
        class_weights::<f32>(&[0, 2], 2);
    }
}
