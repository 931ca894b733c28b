//! Links that several rules use, and that users put before and after rules.

mod clip_global_norm;
mod clip_value;
mod decay_weights;
mod learning_rate;
mod momentum;
mod only;

pub use clip_global_norm::ClipGlobalNorm;
pub use clip_value::ClipValue;
pub use decay_weights::DecayWeights;
pub use learning_rate::LearningRate;
pub(crate) use learning_rate::ScaleByRate;
pub use momentum::Momentum;
pub use only::Only;
