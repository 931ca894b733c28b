//! Takes a trained network to a new question: `cargo run --release --example fine_tune`.
//!
//! A convolutional network learns to read the ten digits and is saved. A second network shall say whether a digit has a
//! closed loop (0, 6, 8, 9), from two labelled images of each digit. It takes the body of the first from the file under a
//! head of its own, and learns first the head alone, while the body is frozen, then all of it at a tenth of the rate.
//! Beside it the same network learns the same from nothing.

use std::path::Path;
use std::time::Instant;

use gradus::data::{Dataset, Split, digits};
use gradus::nn::{Conv2d, Conv2dOptions, Dense, Flatten, Layer, MaxPool2d, Padding, Relu, loss};
use gradus::optim::AdamW;
use gradus::train::{Function, Trainer, accuracy, weights};
use gradus::{Params, Tensor, Var};

const BATCH: usize = 32;
const IMAGES_OF_EACH: usize = 2;

type Outcome = Result<(), Box<dyn std::error::Error>>;

struct Classifier {
    body: (Conv2d, Relu, MaxPool2d, Conv2d, Relu, MaxPool2d, Flatten, Dense, Relu),
    head: Dense,
}

impl Classifier {
    fn new(params: &mut Params, classes: usize) -> Self {
        let same = Conv2dOptions::new().padding(Padding::Same);
        let body = params.scope("body", |params| {
            let strokes = Conv2d::with(params, "strokes", 1, 16, 3, same);
            let parts = Conv2d::with(params, "parts", 16, 32, 3, same);
            let hidden = Dense::new(params, "hidden", 32 * 2 * 2, 32);
            (strokes, Relu, MaxPool2d::new(2), parts, Relu, MaxPool2d::new(2), Flatten::new(), hidden, Relu)
        });
        Self { body, head: Dense::new(params, "head", 32, classes) }
    }

    /// Logits `[n, classes]` of images `[n, 1, 8, 8]`.
    fn forward<'g>(&self, images: Var<'g>) -> Var<'g> {
        self.head.forward(self.body.forward(images))
    }

    /// Moves the trainable parameters over n epochs.
    fn train(&self, params: &mut Params, data: &Dataset, rate: f64, epochs: u64) -> Outcome {
        let mut trainer =
            Trainer::new(AdamW::new(rate), |_, [images, classes]| loss::cross_entropy(self.forward(images), classes))
                .epochs(epochs)
                .progress();
        trainer.fit(params, |epoch| data.batches(BATCH).shuffled(1, epoch))?;
        Ok(())
    }

    /// The share of images that are classified correctly.
    fn accuracy(&self, params: &Params, data: &Dataset) -> Result<f64, gradus::Error> {
        let (mut classify, batch) = (Function::new(|_, [images]| [self.forward(images)]), data.full_batch());
        Ok(accuracy(classify.run(params, &batch.inputs)?[0].real(), &batch.targets))
    }
}

/// The first `limit` images of each digit, labelled with whether the digit has a loop.
fn loops(data: &Dataset, limit: usize) -> Dataset {
    let mut taken = [0; 10];
    let mut take = |row: &usize| {
        let taken = &mut taken[data.targets().data()[*row] as usize];
        *taken += 1;
        *taken <= limit
    };
    let rows: Vec<usize> = (0..data.len()).filter(|row| take(row)).collect();
    let chosen = data.select(&rows);
    let has_loop = |digit: i64| i64::from([0, 6, 8, 9].contains(&digit));
    let answers = Tensor::from_fn([rows.len()], |k| has_loop(chosen.targets().data()[k]));
    Dataset::new(chosen.inputs().clone(), answers)
}

fn main() -> Outcome {
    let Split { train, test } = digits::load().reshaped([1, 8, 8]);
    let start = Instant::now();

    let mut old = Params::new(1);
    let reader = Classifier::new(&mut old, 10);
    reader.train(&mut old, &train, 3e-3, 60)?;
    let path = Path::new("target/digits-reader.safetensors");
    weights::save(path, &old)?;
    let read = reader.accuracy(&old, &test)?;
    println!("reading digits, from {} images: {:.1}% of {} held out", train.len(), 100.0 * read, test.len());

    let (few, held_out) = (loops(&train, IMAGES_OF_EACH), loops(&test, usize::MAX));
    let mut params = Params::new(2);
    let model = Classifier::new(&mut params, 2);
    weights::load_from(path, &mut params, |name| name.starts_with("body.").then(|| name.to_owned()))?;
    params.set_trainable(false, |name| name.starts_with("body."));
    println!("\n{params:?}\n\nfinding loops, from {} images, share of those held out:", few.len());
    model.train(&mut params, &few, 5e-3, 200)?;
    println!("  the reader's body, frozen, under a new head  {:5.1}%", 100.0 * model.accuracy(&params, &held_out)?);
    params.set_trainable(true, |_| true);
    model.train(&mut params, &few, 5e-4, 200)?;
    println!("  then all of it, at a tenth of the rate       {:5.1}%", 100.0 * model.accuracy(&params, &held_out)?);

    let mut fresh = Params::new(2);
    let alone = Classifier::new(&mut fresh, 2);
    alone.train(&mut fresh, &few, 2e-3, 400)?;
    println!("  the same network from nothing                {:5.1}%", 100.0 * alone.accuracy(&fresh, &held_out)?);
    println!("\nall in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
