//! The ready-made rules, one a file: each a short chain of transforms under its usual name.

mod adabelief;
mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod amsgrad;
mod asgd;
mod dadapt_adam;
mod dadapt_sgd;
mod lamb;
mod lars;
mod lion;
mod moments;
mod muon;
mod nadam;
mod novograd;
mod prodigy;
mod radam;
mod rmsprop;
mod rprop;
mod schedule_free_adamw;
mod schedule_free_sgd;
mod sgd;
mod shampoo;
mod sign_sgd;
mod soap;
mod sophia;
mod yogi;

pub use adabelief::AdaBelief;
pub use adadelta::Adadelta;
pub use adafactor::Adafactor;
pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adamax::Adamax;
pub use adamw::AdamW;
pub use amsgrad::AmsGrad;
pub use asgd::Asgd;
pub use dadapt_adam::DAdaptAdam;
pub use dadapt_sgd::DAdaptSgd;
pub use lamb::Lamb;
pub use lars::Lars;
pub use lion::Lion;
pub use muon::Muon;
pub use nadam::NAdam;
pub use novograd::NovoGrad;
pub use prodigy::Prodigy;
pub use radam::RAdam;
pub use rmsprop::RmsProp;
pub use rprop::Rprop;
pub use schedule_free_adamw::ScheduleFreeAdamW;
pub use schedule_free_sgd::ScheduleFreeSgd;
pub use sgd::Sgd;
pub use shampoo::Shampoo;
pub use sign_sgd::SignSgd;
pub use soap::Soap;
pub use sophia::Sophia;
pub use yogi::Yogi;

use gradus_graph::Real;

use crate::{Chain, DecayWeights, Rate};

/// Ends a rule with decoupled weight decay, if there is any, and the learning rate.
fn end<T: Real>(chain: &mut Chain<T>, decay: f64, learning_rate: Rate) {
    if decay > 0.0 {
        chain.then(DecayWeights::new(decay));
    }
    chain.learning_rate(learning_rate);
}
