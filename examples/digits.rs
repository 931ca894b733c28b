//! Trains a network on the handwritten digits: `cargo run --release --example digits`.
//!
//! The network is a multilayer perceptron 64-256-128-10 with ReLU and dropout. It sees an image as 64 numbers and knows
//! nothing of neighbouring pixels. Dropout and decoupled weight decay keep 50,826 parameters from learning 1,437 images
//! by heart, and the learning rate falls along a cosine.

use std::path::Path;
use std::time::Instant;

use gradus::data::{Split, digits};
use gradus::nn::{Dense, Dropout, Layer, Mode, Relu, loss};
use gradus::optim::{AdamW, Cosine, Optimizer};
use gradus::train::plot::Plot;
use gradus::train::{Confusion, Function, Progress, Step};
use gradus::{Params, Var};

const EPOCHS: usize = 60;
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

    let mut step =
        Step::new(|_, [images, digits]| loss::cross_entropy(model.forward(images, Mode::Train), digits)).seed(7);
    let mut classify = Function::new(|_, [images]| [model.forward(images, Mode::Eval)]);
    let cosine = Cosine::new(3e-3, (EPOCHS * train.len().div_ceil(BATCH)) as u64);
    let mut optimizer = Optimizer::new(AdamW::new(cosine).decay(0.05));

    let mut losses = Vec::new();
    let mut progress = Progress::new(EPOCHS);
    let start = Instant::now();
    for epoch in 0..EPOCHS {
        let mut total = 0.0;
        for batch in train.batches(BATCH).shuffled(7, epoch as u64) {
            let gradients = step.run(&mut params, (&batch.inputs, &batch.targets))?;
            total += f64::from(gradients.loss()) * batch.len() as f64;
            optimizer.step(&mut params, &gradients)?;
        }
        let loss = total / train.len() as f64;
        losses.push((epoch as f64 + 1.0, loss));
        progress.advance(1, format_args!("loss {loss:.4}"));
    }
    progress.finish();
    println!("{EPOCHS} epochs in {:.1} s, last loss {:.4}", start.elapsed().as_secs_f64(), losses[losses.len() - 1].1);

    let held_out = test.full_batch();
    let [logits] = classify.run(&params, &held_out.inputs)?;
    let confusion = Confusion::new(logits.real(), &held_out.targets);
    println!("accuracy on the held-out digits: {:.2}%\n\n{confusion}\n", 100.0 * confusion.accuracy());

    let picture = Path::new("target/digits-loss.svg");
    Plot::new("Handwritten digits")
        .axes("epoch", "cross-entropy, nats")
        .line("training loss", &losses)
        .save(picture)?;
    println!("the loss curve is in {}", picture.display());
    Ok(())
}
