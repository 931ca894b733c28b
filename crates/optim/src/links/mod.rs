//! Links that several rules use, and that users put before and after rules.

mod clip_global_norm;
mod clip_value;
mod decay_weights;
mod group;
mod learning_rate;
mod loss_scale;
mod momentum;
mod only;
mod orthogonalize;
mod penalty_l1;
mod proximal_l1;
mod running_mean;
mod schedule_free;
mod sign;
mod trust_ratio;

pub use clip_global_norm::ClipGlobalNorm;
pub use clip_value::ClipValue;
pub use decay_weights::DecayWeights;
pub(crate) use group::Matches;
pub use group::{Group, RateFactor};
pub use learning_rate::LearningRate;
pub(crate) use learning_rate::ScaleByRate;
pub use loss_scale::LossScale;
pub use momentum::Momentum;
pub use only::Only;
pub use orthogonalize::{MatrixScale, Orthogonalize};
pub use penalty_l1::PenaltyL1;
pub use proximal_l1::ProximalL1;
pub use running_mean::RunningMean;
pub use schedule_free::ScheduleFree;
pub use sign::Sign;
pub(crate) use sign::sign;
pub use trust_ratio::TrustRatio;
