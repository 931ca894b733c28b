//! Links that several rules use, and that users put before and after rules.

mod add_noise;
mod average;
mod centralize;
mod clip_adaptive;
mod clip_global_norm;
mod clip_norm;
mod clip_value;
mod decay_weights;
mod group;
mod learning_rate;
mod lookahead;
mod loss_scale;
mod momentum;
mod only;
mod units;

pub use add_noise::AddNoise;
pub use average::Average;
pub use centralize::Centralize;
pub use clip_adaptive::ClipAdaptive;
pub use clip_global_norm::ClipGlobalNorm;
pub use clip_norm::ClipNorm;
pub use clip_value::ClipValue;
pub use decay_weights::DecayWeights;
pub(crate) use group::Matches;
pub use group::{Group, RateFactor};
pub use learning_rate::LearningRate;
pub(crate) use learning_rate::ScaleByRate;
pub use lookahead::Lookahead;
pub use loss_scale::LossScale;
pub use momentum::Momentum;
pub use only::Only;
