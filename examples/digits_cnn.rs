//! Trains a convolutional network on the handwritten digits: `cargo run --release --example digits_cnn -- [SEED]`.
//!
//! Two convolutions of 3×3 see strokes where `digits` sees 64 numbers. Each image is moved by up to a pixel to any side
//! before each step, as the same digit; dropout and weight decay do the rest, and the learning rate falls along a cosine.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use gradus::data::{Split, digits};
use gradus::nn::{Conv2d, Conv2dOptions, Dense, Dropout, Flatten, Layer, MaxPool2d, Mode, Padding, Relu, loss};
use gradus::optim::{AdamW, Cosine, Optimizer};
use gradus::train::plot::Plot;
use gradus::train::{Confusion, Function, Progress, Step};
use gradus::{Params, Random, Tensor, Var};

const EPOCHS: usize = 40;
const BATCH: usize = 32;

struct Classifier {
    features: (Conv2d, Relu, Conv2d, Relu, MaxPool2d, Dropout, Flatten),
    head: (Dense, Relu, Dropout, Dense),
}

impl Classifier {
    fn new(params: &mut Params) -> Self {
        let same = Conv2dOptions::new().padding(Padding::Same);
        let strokes = Conv2d::with(params, "strokes", 1, 32, 3, same);
        let parts = Conv2d::with(params, "parts", 32, 64, 3, same);
        let hidden = Dense::new(params, "hidden", 64 * 4 * 4, 128);
        let output = Dense::new(params, "output", 128, 10);
        Self {
            features: (strokes, Relu, parts, Relu, MaxPool2d::new(2), Dropout::new(0.25), Flatten::new()),
            head: (hidden, Relu, Dropout::new(0.5), output),
        }
    }

    /// Logits `[n, 10]` of images `[n, 1, 8, 8]`.
    fn forward<'g>(&self, images: Var<'g>, mode: Mode) -> Var<'g> {
        self.head.forward_in(self.features.forward_in(images, mode), mode)
    }
}

/// The images, each moved by −1, 0 or 1 pixels along both axes; what comes in is empty.
fn moved(images: &Tensor<f32>, random: &mut Random) -> Tensor<f32> {
    let moves = random.integers(0..3, [images.shape()[0], 2]);
    Tensor::from_fn(images.shape().clone(), |k| {
        let [down, along] = [0, 1].map(|axis| moves.at(&[k / 64, axis]) as usize);
        let (row, column) = (k / 8 % 8 + down, k % 8 + along);
        let inside = (1..=8).contains(&row) && (1..=8).contains(&column);
        if inside { images.data()[k / 64 * 64 + (row - 1) * 8 + column - 1] } else { 0.0 }
    })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seed = match &arguments[..] {
        [] => Some(7),
        [seed] => seed.parse().ok(),
        _ => None,
    };
    let Some(seed) = seed else {
        eprintln!("digits_cnn takes a seed, an integer, or nothing; not {arguments:?}");
        return ExitCode::from(2);
    };
    match train(seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn train(seed: u64) -> Result<(), Box<dyn std::error::Error>> {
    let Split { train, test } = digits::load().reshaped([1, 8, 8]);
    let mut params = Params::new(seed);
    let model = Classifier::new(&mut params);
    println!("{params:?}\n\n{} images to train on, {} held out\n", train.len(), test.len());

    let mut step =
        Step::new(|_, [images, digits]| loss::cross_entropy(model.forward(images, Mode::Train), digits)).seed(seed);
    let mut classify = Function::new(|_, [images]| [model.forward(images, Mode::Eval)]);
    let cosine = Cosine::new(2e-3, (EPOCHS * train.len().div_ceil(BATCH)) as u64);
    let mut optimizer = Optimizer::new(AdamW::new(cosine).decay(0.05));

    let (mut losses, mut random) = (Vec::new(), Random::new(seed));
    let mut progress = Progress::new(EPOCHS);
    let start = Instant::now();
    for epoch in 0..EPOCHS {
        let mut total = 0.0;
        for batch in train.batches(BATCH).shuffled(seed, epoch as u64) {
            let images = moved(&batch.inputs, &mut random);
            let gradients = step.run(&mut params, (&images, &batch.targets))?;
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

    let picture = Path::new("target/digits-cnn-loss.svg");
    Plot::new("Handwritten digits")
        .axes("epoch", "cross-entropy, nats")
        .line("training loss", &losses)
        .save(picture)?;
    println!("the loss curve is in {}", picture.display());
    Ok(())
}
