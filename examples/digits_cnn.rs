//! Trains a convolutional network on the handwritten digits: `cargo run --release --example digits_cnn -- [SEED]`.
//!
//! Two convolutions of 3×3 see strokes where `digits` sees 64 numbers. Each image is moved by up to a pixel to any side
//! before each step, as the same digit; dropout and weight decay do the rest, and the learning rate falls along a cosine.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use gradus::data::{Augment, Split, digits};
use gradus::nn::{Conv2d, Conv2dOptions, Dense, Dropout, Flatten, Layer, MaxPool2d, Mode, Padding, Relu, loss};
use gradus::optim::{AdamW, Cosine};
use gradus::train::metrics::Accuracy;
use gradus::train::{Confusion, Evaluation, Function, Trainer};
use gradus::{Params, Var};

const EPOCHS: u64 = 40;
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

    let augment = &Augment::new().shift(1, 1);
    let cosine = Cosine::new(2e-3, EPOCHS * train.batches(BATCH).len() as u64);
    let evaluation = Evaluation::new(|_, [images, digits]| {
        let logits = model.forward(images, Mode::Eval);
        [loss::cross_entropy(logits, digits), logits]
    });
    let mut trainer = Trainer::new(AdamW::new(cosine).decay(0.05), |_, [images, digits]| {
        loss::cross_entropy(model.forward(images, Mode::Train), digits)
    })
    .epochs(EPOCHS)
    .seed(seed)
    .validation(evaluation.metric(Accuracy::new()), || test.batches(test.len()))
    .progress();
    let start = Instant::now();
    let history = trainer.fit(&mut params, |epoch| {
        let batches = train.batches(BATCH).shuffled(seed, epoch).numbered();
        batches.map(move |(rows, batch)| augment.apply(batch, seed, epoch, &rows))
    })?;
    println!("{EPOCHS} epochs in {:.1} s, last loss {:.4}", start.elapsed().as_secs_f64(), history.last("loss"));

    let mut classify = Function::new(|_, [images]| [model.forward(images, Mode::Eval)]);
    let [logits] = classify.run(&params, test.inputs())?;
    let confusion = Confusion::new(logits.real(), test.targets());
    println!("accuracy on the held-out digits: {:.2}%\n\n{confusion}\n", 100.0 * confusion.accuracy());

    let picture = Path::new("target/digits-cnn-loss.svg");
    history.plot("Handwritten digits").axes("epoch", "cross-entropy, nats").save(picture)?;
    println!("the loss curve is in {}", picture.display());
    Ok(())
}
