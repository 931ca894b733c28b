//! Checks of numeric settings: rates, probabilities, widths.

use std::ops::{Bound, RangeBounds};

/// The finite numbers above 0.
pub const POSITIVE: (Bound<f64>, Bound<f64>) = (Bound::Excluded(0.0), Bound::Unbounded);

/// Asserts that a setting lies in a range. NaN is in no range. An unbounded side of the range excludes infinity; to
/// allow it, write it: `0.0..=f64::INFINITY`.
///
/// # Panics
/// If it does not, at the caller's line.
///
/// # Example
/// ```
/// use gradus_graph::{POSITIVE, expect_setting};
/// expect_setting("`Adam::betas`: beta1", 0.9, 0.0..1.0);
/// expect_setting("`Adam::eps`: eps", 1e-8, 0.0..);
/// let refused = std::panic::catch_unwind(|| expect_setting("`Shampoo::eps`: eps", f64::NAN, POSITIVE));
/// let message = refused.unwrap_err().downcast::<String>().unwrap();
/// assert_eq!(*message, "`Shampoo::eps`: eps must be above 0 and finite, not NaN");
/// ```
#[track_caller]
pub fn expect_setting(setting: &str, value: f64, range: impl RangeBounds<f64>) {
    let (low, high) = (range.start_bound(), range.end_bound());
    let open = |bound: Bound<&f64>| bound == Bound::Unbounded;
    let inside = range.contains(&value) && !value.is_nan();
    if inside && (value.is_finite() || !open(if value < 0.0 { low } else { high })) {
        return;
    }
    let mut words = Vec::new();
    match low {
        Bound::Included(&low) if low > f64::NEG_INFINITY => words.push(format!("at least {low}")),
        Bound::Excluded(low) => words.push(format!("above {low}")),
        _ => {}
    }
    match high {
        Bound::Included(&high) if high < f64::INFINITY => words.push(format!("at most {high}")),
        Bound::Excluded(high) => words.push(format!("below {high}")),
        Bound::Unbounded => words.push("finite".to_owned()),
        Bound::Included(_) if words.is_empty() => words.push("a number".to_owned()),
        Bound::Included(_) => {}
    }
    panic!("{setting} must be {}, not {value}", words.join(" and "));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(value: f64, range: impl RangeBounds<f64> + std::panic::UnwindSafe) -> Option<String> {
        let refused = std::panic::catch_unwind(|| expect_setting("x", value, range)).err()?;
        Some(*refused.downcast::<String>().expect("a formatted message"))
    }

    #[test]
    fn ranges_are_kept_and_said() {
        let refused = |value: f64, message: &str, range: (Bound<f64>, Bound<f64>)| {
            assert_eq!(refusal(value, range).as_deref(), Some(message));
        };
        use Bound::{Excluded, Included, Unbounded};
        refused(f64::NAN, "x must be finite, not NaN", (Unbounded, Unbounded));
        refused(f64::NEG_INFINITY, "x must be finite, not -inf", (Unbounded, Unbounded));
        refused(f64::INFINITY, "x must be at least 0 and finite, not inf", (Included(0.0), Unbounded));
        refused(-1.0, "x must be at least 0 and finite, not -1", (Included(0.0), Unbounded));
        refused(0.0, "x must be above 0 and finite, not 0", POSITIVE);
        refused(1.0, "x must be at least 0 and below 1, not 1", (Included(0.0), Excluded(1.0)));
        refused(f64::NAN, "x must be at least 0 and at most 1, not NaN", (Included(0.0), Included(1.0)));
        refused(0.0, "x must be above 0, not 0", (Excluded(0.0), Included(f64::INFINITY)));
        refused(f64::NAN, "x must be a number, not NaN", (Included(f64::NEG_INFINITY), Included(f64::INFINITY)));
        for value in [0.0, 1e-320, 0.5, f64::MAX] {
            assert_eq!(refusal(value, 0.0..), None);
        }
        assert_eq!(refusal(f64::MIN, ..), None);
        assert_eq!(refusal(f64::INFINITY, 0.0..=f64::INFINITY), None);
        assert_eq!(refusal(f64::NEG_INFINITY, f64::NEG_INFINITY..=0.0), None);
    }
}
