//! Moments and bounds of the distributions, orthogonality, and that values depend on seeds alone.

use super::*;

const SHAPE: [usize; 2] = [200, 300];

fn draw(init: Init) -> Vec<f64> {
    init.tensor::<f64>(SHAPE, Fans::of(SHAPE), 3).into_vec()
}

/// The `power`-th moment about zero.
fn moment(values: &[f64], power: i32) -> f64 {
    values.iter().map(|value| value.powi(power)).sum::<f64>() / values.len() as f64
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// The bound that is expected, and the variance that goes with it.
fn assert_uniform(init: Init, bound: f64) {
    let values = draw(init);
    assert!(largest(&values) <= bound && largest(&values) > 0.999 * bound, "{init:?}: {}", largest(&values));
    assert!(moment(&values, 1).abs() < 0.01 * bound, "{init:?}");
    assert!((moment(&values, 2) / (bound * bound / 3.0) - 1.0).abs() < 0.02, "{init:?}");
}

fn assert_normal(init: Init, variance: f64) {
    let values = draw(init);
    assert!(moment(&values, 1).abs() < 0.02 * variance.sqrt(), "{init:?}");
    assert!((moment(&values, 2) / variance - 1.0).abs() < 0.02, "{init:?}");
    assert!((moment(&values, 4) / (variance * variance) - 3.0).abs() < 0.15, "{init:?}");
}

#[test]
fn scaled_values_have_the_bounds_and_variances_of_the_papers() {
    assert_uniform(Init::xavier_uniform(), (6.0_f64 / 500.0).sqrt());
    assert_uniform(Init::xavier_uniform().gain(Gain::Tanh), 5.0 / 3.0 * (6.0_f64 / 500.0).sqrt());
    assert_uniform(Init::he_uniform(), (6.0_f64 / 300.0).sqrt());
    assert_uniform(Init::he_uniform().fan(Fan::Out), (6.0_f64 / 200.0).sqrt());
    assert_uniform(Init::he_uniform().gain(Gain::LeakyRelu(5.0_f64.sqrt())), (1.0_f64 / 300.0).sqrt());
    assert_uniform(Init::lecun_uniform(), (3.0_f64 / 300.0).sqrt());
    assert_uniform(Init::default(), (1.0_f64 / 300.0).sqrt());
    assert_normal(Init::xavier_normal(), 2.0 / 500.0);
    assert_normal(Init::he_normal(), 2.0 / 300.0);
    assert_normal(Init::he_normal().fan(Fan::Average), 2.0 / 250.0);
    assert_normal(Init::lecun_normal(), 1.0 / 300.0);
}

#[test]
fn plain_distributions_have_what_they_are_asked_for() {
    assert!(draw(Init::zeros()).iter().all(|&value| value == 0.0));
    assert!(draw(Init::constant(2.5)).iter().all(|&value| value == 2.5));
    assert_uniform(Init::uniform(-0.5, 0.5), 0.5);
    let values = draw(Init::uniform(2.0, 3.0));
    assert!(values.iter().all(|value| (2.0..3.0).contains(value)) && (moment(&values, 1) - 2.5).abs() < 0.01);
    let values: Vec<f64> = draw(Init::normal(4.0, 0.5)).iter().map(|value| value - 4.0).collect();
    assert!(moment(&values, 1).abs() < 0.01 && (moment(&values, 2) - 0.25).abs() < 0.01);
}

#[test]
fn the_truncated_normal_keeps_its_bounds_and_loses_the_known_variance() {
    let values: Vec<f64> = draw(Init::truncated_normal(1.0, 0.5)).iter().map(|value| value - 1.0).collect();
    assert!(largest(&values) <= 1.0 && largest(&values) > 0.99);
    // The variance left between ±2σ is 1 − 4·φ(2)/(2·Φ(2) − 1).
    let left: f64 = 1.0 - 4.0 * 0.053_990_966_513_188 / 0.954_499_736_103_642;
    assert!((left.sqrt() - 0.879_6).abs() < 1e-4);
    assert!((moment(&values, 2) / (0.25 * left) - 1.0).abs() < 0.02 && moment(&values, 1).abs() < 0.01);
}

#[test]
fn orthogonal_matrices_are_orthogonal() {
    for shape in [vec![5, 5], vec![7, 3], vec![3, 7], vec![4, 3, 2], vec![1, 1], vec![0, 3]] {
        let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
        let q = Init::orthogonal().gain(2.0).tensor::<f64>(shape.clone(), Fans::of(shape.clone()), 9).into_vec();
        let line = |number: usize, index: usize| {
            if rows <= columns { q[number * columns + index] } else { q[index * columns + number] }
        };
        for i in 0..rows.min(columns) {
            for j in 0..rows.min(columns) {
                let product: f64 = (0..rows.max(columns)).map(|index| line(i, index) * line(j, index)).sum();
                let expected = if i == j { 4.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-14, "{shape:?}: {product}");
            }
        }
    }
}

/// Evenly distributed orthogonal matrices of size 2 are as often reflections as rotations, and their first row points
/// in all directions alike.
#[test]
fn orthogonal_matrices_are_spread_evenly() {
    let draws: Vec<Vec<f64>> =
        (0..4000).map(|seed| Init::orthogonal().tensor::<f64>([2, 2], Fans::of([2, 2]), seed).into_vec()).collect();
    let share = |holds: &dyn Fn(&[f64]) -> bool| draws.iter().filter(|q| holds(q)).count() as f64 / 4000.0;
    assert!((share(&|q| q[0] * q[3] - q[1] * q[2] > 0.0) - 0.5).abs() < 0.03);
    assert!((share(&|q| q[0] > 0.0) - 0.5).abs() < 0.03);
    assert!((share(&|q| q[3] > 0.0) - 0.5).abs() < 0.03);
    assert!((draws.iter().map(|q| q[0] * q[0]).sum::<f64>() / 4000.0 - 0.5).abs() < 0.02);
}

#[test]
fn values_depend_on_the_seed_and_single_precision_only_rounds() {
    let all = [Init::he_normal(), Init::default(), Init::orthogonal(), Init::truncated_normal(0.0, 1.0)];
    for init in all {
        let double = init.tensor::<f64>([6, 4], Fans::of([6, 4]), 1);
        assert_eq!(double, init.tensor([6, 4], Fans::of([6, 4]), 1));
        assert_ne!(double, init.tensor([6, 4], Fans::of([6, 4]), 2));
        assert_eq!(double.cast::<f32>(), init.tensor([6, 4], Fans::of([6, 4]), 1));
    }
}

#[test]
#[should_panic(expected = "Orthogonal does not depend on a fan; Xavier's, He's and LeCun's do")]
fn a_fan_is_refused_where_it_means_nothing() {
    let _ = Init::orthogonal().fan(Fan::Out);
}
