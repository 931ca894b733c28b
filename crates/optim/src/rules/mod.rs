//! The ready-made rules, one a file: each a short chain of links under its usual name.

mod adagrad;
mod adam;
mod adamw;
mod rmsprop;
mod sgd;

pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adamw::AdamW;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

/// Asserts that a decay rate lies in `0..1`.
#[track_caller]
fn decay_rate(name: &str, value: f64) -> f64 {
    assert!((0.0..1.0).contains(&value), "{name} lies in 0..1, not at {value}");
    value
}
