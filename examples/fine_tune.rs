//! Takes a trained network to new classes: `cargo run --release --example fine_tune`.
//!
//! A convolutional network learns to tell the digits 0 to 4 apart and is saved. A second network takes the body of the
//! first from the file, gets a head of its own, and learns 5 to 9 from ten images of each: first the head alone, while
//! the body is frozen, then all of it at a hundredth of the rate. Beside it a third learns the same from nothing.

use std::path::Path;
use std::time::Instant;

use gradus::data::{Dataset, Split, digits};
use gradus::nn::{Conv2d, Conv2dOptions, Dense, Flatten, Layer, MaxPool2d, Padding, Relu, loss};
use gradus::optim::{AdamW, Optimizer};
use gradus::train::{Function, Step, accuracy, progress, weights};
use gradus::{Params, Tensor, Var};

const BATCH: usize = 32;
const IMAGES_OF_EACH: usize = 10;

struct Classifier {
    body: (Conv2d, Relu, MaxPool2d, Conv2d, Relu, MaxPool2d, Flatten),
    head: Dense,
}

impl Classifier {
    fn new(params: &mut Params) -> Self {
        let same = Conv2dOptions { padding: Padding::Same, ..Conv2dOptions::default() };
        let body = params.scope("body", |params| {
            let strokes = Conv2d::with(params, "strokes", 1, 16, 3, same);
            let parts = Conv2d::with(params, "parts", 16, 32, 3, same);
            (strokes, Relu, MaxPool2d::new(2), parts, Relu, MaxPool2d::new(2), Flatten::new())
        });
        Self { body, head: Dense::new(params, "head", 32 * 2 * 2, 5) }
    }

    /// Logits `[n, 5]` of images `[n, 1, 8, 8]`.
    fn forward<'g>(&self, images: Var<'g>) -> Var<'g> {
        self.head.forward(self.body.forward(images))
    }

    /// Moves the trainable parameters over so many epochs.
    fn train(&self, params: &mut Params, data: &Dataset, rate: f64, epochs: usize) -> Result<(), gradus::Error> {
        let mut step = Step::new(|_, batch| loss::cross_entropy(self.forward(batch[0]), batch[1]));
        let mut optimizer = Optimizer::new(AdamW::new(rate));
        let bar = progress(epochs);
        for epoch in 0..epochs {
            for batch in data.batches(BATCH).shuffled(1, epoch as u64) {
                let gradients = step.run(params, &[(&batch.inputs).into(), (&batch.targets).into()])?;
                optimizer.step(params, gradients.iter())?;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The share of images that are named rightly.
    fn accuracy(&self, params: &Params, data: &Dataset) -> Result<f64, gradus::Error> {
        let (mut classify, batch) = (Function::new(|_, x| vec![self.forward(x[0])]), data.full_batch());
        Ok(accuracy(classify.run(params, &[(&batch.inputs).into()])?.real(0), &batch.targets))
    }
}

/// The digits from `first` to `first + 4`, as classes 0 to 4; of each the first `limit` images.
fn five(data: &Dataset, first: i64, limit: usize) -> Dataset {
    let labels = data.targets().data();
    let mut taken = [0; 5];
    let mut take = |row: &usize| match usize::try_from(labels[*row] - first) {
        Ok(class) if class < 5 && taken[class] < limit => {
            taken[class] += 1;
            true
        }
        _ => false,
    };
    let rows: Vec<usize> = (0..data.len()).filter(|row| take(row)).collect();
    let chosen = data.select(&rows);
    let classes = Tensor::from_fn([rows.len()], |k| chosen.targets().data()[k] - first);
    Dataset::new(chosen.inputs().clone(), classes)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Split { train, test } = digits::load().reshaped([1, 8, 8]);
    let start = Instant::now();

    let mut old = Params::new(1);
    let first = Classifier::new(&mut old);
    let known = five(&train, 0, usize::MAX);
    first.train(&mut old, &known, 2e-3, 40)?;
    let path = Path::new("target/digits-0-to-4.safetensors");
    weights::save(path, &old)?;
    println!("0 to 4 from {} images: {:.1}% of those held out", known.len(), {
        100.0 * first.accuracy(&old, &five(&test, 0, usize::MAX))?
    });

    let (few, held_out) = (five(&train, 5, IMAGES_OF_EACH), five(&test, 5, usize::MAX));
    println!("\n5 to 9 from {} images, share of {} held out:", few.len(), held_out.len());
    let mut params = Params::new(2);
    let model = Classifier::new(&mut params);
    weights::load_from(path, &mut params, |name| name.starts_with("body.").then(|| name.to_owned()))?;
    params.set_trainable(false, |name| name.starts_with("body."));
    println!("\n{params:?}\n");
    model.train(&mut params, &few, 1e-2, 150)?;
    println!("  the body of the first, frozen, under a new head:  {:.1}%", 100.0 * model.accuracy(&params, &held_out)?);
    params.set_trainable(true, |_| true);
    model.train(&mut params, &few, 1e-4, 150)?;
    println!("  then all of it, at a hundredth of the rate:       {:.1}%", 100.0 * model.accuracy(&params, &held_out)?);

    let mut fresh = Params::new(2);
    let alone = Classifier::new(&mut fresh);
    alone.train(&mut fresh, &few, 2e-3, 300)?;
    println!("  the same network from nothing:                    {:.1}%", 100.0 * alone.accuracy(&fresh, &held_out)?);
    println!("\nall in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
