//! Trains a network on the handwritten digits: `cargo run --release --example digits`.
//!
//! The network is a multilayer perceptron 64-256-128-10 with ReLU and dropout. It sees an image as 64 numbers and knows
//! nothing of neighbouring pixels. Dropout and decoupled weight decay keep 50,826 parameters from learning 1,437 images
//! by heart, and the learning rate falls along a cosine.

use std::path::Path;
use std::time::Instant;

use gradus::data::{Split, digits};
use gradus::nn::{Dense, Dropout, Layer, Mode, Relu, loss};
use gradus::optim::{AdamW, Cosine};
use gradus::train::{Confusion, Function, Trainer};
use gradus::{Params, Var};

const EPOCHS: u64 = 60;
const BATCH: usize = 32;

struct Classifier {
    layers: (Dense, Relu, Dropout, Dense, Relu, Dropout, Dense),
}

impl Classifier {
    fn new(params: &mut Params) -> Self {
        let hidden = Dense::new(params, "hidden1", 64, 256);
        let deeper = Dense::new(params, "hidden2", 256, 128);
        let output = Dense::new(params, "output", 128, 10);
        Self { layers: (hidden, Relu, Dropout::new(0.2), deeper, Relu, Dropout::new(0.2), output) }
    }

    /// Logits `[n, 10]` of images `[n, 64]`.
    fn forward<'g>(&self, images: Var<'g>, mode: Mode) -> Var<'g> {
        self.layers.forward_in(images, mode)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Split { train, test } = digits::load().reshaped([64]);
    let mut params = Params::new(7);
    let model = Classifier::new(&mut params);
    println!("{params:?}\n\n{} images to train on, {} held out\n", train.len(), test.len());

    let steps = EPOCHS * train.len().div_ceil(BATCH) as u64;
    let rule = AdamW::new(Cosine::new(3e-3, steps)).decay(0.05);
    let mut trainer =
        Trainer::new(rule, |_, [images, digits]| loss::cross_entropy(model.forward(images, Mode::Train), digits))
            .epochs(EPOCHS)
            .seed(7)
            .progress();
    let start = Instant::now();
    let history = trainer.fit(&mut params, |epoch| train.batches(BATCH).shuffled(7, epoch))?;
    println!("{EPOCHS} epochs in {:.1} s, last loss {:.4}", start.elapsed().as_secs_f64(), history.last("loss"));

    let held_out = test.full_batch();
    let mut classify = Function::new(|_, [images]| [model.forward(images, Mode::Eval)]);
    let [logits] = classify.run(&params, &held_out.inputs)?;
    let confusion = Confusion::new(logits.real(), &held_out.targets);
    println!("accuracy on the held-out digits: {:.2}%\n\n{confusion}\n", 100.0 * confusion.accuracy());

    let picture = Path::new("target/digits-loss.svg");
    history.plot("Handwritten digits").axes("epoch", "cross-entropy, nats").save(picture)?;
    println!("the loss curve is in {}", picture.display());
    Ok(())
}
