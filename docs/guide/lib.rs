use gradus::Params;
use gradus::nn::{Dense, Dropout, Relu};

pub type Model = (Dense, Relu, Dropout, Dense);

/// Logits `[rows, classes]` of features `[rows, features]`.
pub fn model(params: &mut Params, features: usize, classes: usize) -> Model {
    let hidden = Dense::new(params, "hidden", features, 32);
    let output = Dense::new(params, "output", 32, classes);
    (hidden, Relu, Dropout::new(0.2), output)
}
