//! The ready-made schedules, one a file: each a closed-form function of the number of steps taken.

mod cosine;
mod cosine_restarts;
mod cyclic;
mod exponential;
mod inverse_sqrt;
mod join;
mod multi_step;
mod one_cycle;
mod polynomial;
mod range_test;
mod reduce_on_plateau;
mod step_decay;
mod warm_up;

pub use cosine::Cosine;
pub use cosine_restarts::CosineRestarts;
pub use cyclic::Cyclic;
pub use exponential::Exponential;
pub use inverse_sqrt::InverseSqrt;
pub use join::Join;
pub use multi_step::MultiStep;
pub use one_cycle::OneCycle;
pub use polynomial::Polynomial;
pub use range_test::{RangeCurve, RangeTest};
pub use reduce_on_plateau::ReduceOnPlateau;
pub use step_decay::StepDecay;
pub use warm_up::WarmUp;

/// Asserts that a number of steps is not zero.
#[track_caller]
fn some_steps(steps: u64) -> u64 {
    assert!(steps > 0, "a schedule needs at least one step");
    steps
}

/// Half a wave of the cosine, from `from` to `to` while `share` goes from 0 to 1.
fn half_wave(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
}
