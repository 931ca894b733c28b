//! What images are worth.

use gradus::Tensor;
use gradus::data::Dataset;

/// A probability from which on a classifier counts as sure.
const SURE: f32 = 0.9;

/// Of probabilities of the ten digits, a row an image: the share of images of which one is sure, and how many digits
/// there are, as the exponential of the entropy of their frequencies.
pub(super) fn verdict(probabilities: &Tensor<f32>) -> [f64; 2] {
    let (mut counts, mut sure) = ([0.0_f64; 10], 0.0);
    let rows = probabilities.shape()[0] as f64;
    for row in probabilities.data().chunks(10) {
        let digit = (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("there are ten");
        counts[digit] += 1.0;
        sure += f64::from(u8::from(row[digit] > SURE));
    }
    let shares = counts.iter().map(|count| count / rows).filter(|&share| share > 0.0);
    [sure / rows, shares.map(|share| -share * share.ln()).sum::<f64>().exp()]
}

/// The distance of each image from the nearest of others.
pub(super) fn distances(images: &Tensor<f32>, others: &Tensor<f32>) -> Vec<f32> {
    let nearest = |image: &[f32]| {
        let away = |other: &[f32]| image.iter().zip(other).map(|(x, y)| (x - y).powi(2)).sum::<f32>();
        others.data().chunks(64).map(away).fold(f32::INFINITY, f32::min).sqrt()
    };
    images.data().chunks(64).map(nearest).collect()
}

/// The squared error a pixel.
pub(super) fn squared_error(images: &Tensor<f32>, rebuilt: &Tensor<f32>) -> f64 {
    let pairs = images.data().iter().zip(rebuilt.data());
    pairs.map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>() / images.len() as f64
}

/// The squared error a pixel of test images that are projected on the first principal components of the training images;
/// of none, it is that of the mean image.
pub(super) fn principal_components(train: &Dataset, test: &Dataset, count: usize) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let rows = |data: &Dataset| -> Vec<Vec<f64>> {
        data.inputs().data().chunks(64).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
    };
    let (mut known, mut left) = (rows(train), rows(test));
    let mean: Vec<f64> = (0..64).map(|k| known.iter().map(|row| row[k]).sum::<f64>() / known.len() as f64).collect();
    let centre = |row: &mut Vec<f64>| row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean);
    known.iter_mut().chain(&mut left).for_each(centre);
    for _ in 0..count {
        let mut direction = vec![0.125; 64];
        for _ in 0..100 {
            // A multiplication by the covariance of what is left, at length 1.
            let mut next = vec![0.0; 64];
            for row in &known {
                let along = dot(row, &direction);
                next.iter_mut().zip(row).for_each(|(next, x)| *next += along * x);
            }
            let length = dot(&next, &next).sqrt();
            direction = next.iter().map(|x| x / length).collect();
        }
        for row in known.iter_mut().chain(&mut left) {
            let along = dot(row, &direction);
            row.iter_mut().zip(&direction).for_each(|(x, d)| *x -= along * d);
        }
    }
    left.iter().map(|row| dot(row, row)).sum::<f64>() / (64 * left.len()) as f64
}
