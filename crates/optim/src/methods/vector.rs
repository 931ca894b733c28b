//! Sums over vectors, in one order, so that results depend on nothing but the numbers.

/// `Σ aᵢbᵢ`
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `√Σ aᵢ²`, without overflow on the way.
pub(super) fn norm(a: &[f64]) -> f64 {
    let largest = max_norm(a);
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * a.iter().map(|a| (a / largest) * (a / largest)).sum::<f64>().sqrt()
}

/// `max |aᵢ|`; NaN if an element is.
pub(super) fn max_norm(a: &[f64]) -> f64 {
    // `f64::max` passes over a NaN, this comparison keeps it.
    a.iter().fold(0.0, |largest, a| if a.abs() <= largest || f64::is_nan(largest) { largest } else { a.abs() })
}

/// `a ← a + c·b`
pub(super) fn add_scaled(a: &mut [f64], c: f64, b: &[f64]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += c * b;
    }
}
