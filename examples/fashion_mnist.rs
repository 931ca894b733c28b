//! Trains a convolutional network on the 60,000 pictures of clothes of Fashion-MNIST:
//! `cargo run --release --example fashion_mnist -- [FOLDER]`.
//!
//! The folder holds the four files of the data set, compressed or not; without one, it is where Debian's package
//! `dataset-fashion-mnist` puts them. Nothing is downloaded.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use gradus::data::{Dataset, Split, mnist};
use gradus::nn::{Conv2d, Conv2dOptions, Dense, Dropout, Flatten, Layer, MaxPool2d, Mode, Padding, Relu, loss};
use gradus::optim::{AdamW, Cosine, Optimizer};
use gradus::train::plot::Plot;
use gradus::train::{Confusion, Function, Progress, Step};
use gradus::{Error, Params, Tensor, Var};

const EPOCHS: usize = 6;
const BATCH: usize = 128;
const DEBIAN: &str = "/usr/share/datasets/fashion-mnist";

struct Classifier {
    features: (Conv2d, Relu, MaxPool2d, Conv2d, Relu, MaxPool2d, Flatten),
    head: (Dense, Relu, Dropout, Dense),
}

impl Classifier {
    fn new(params: &mut Params) -> Self {
        let same = Conv2dOptions::new().padding(Padding::Same);
        let edges = Conv2d::with(params, "edges", 1, 32, 3, same);
        let parts = Conv2d::with(params, "parts", 32, 64, 3, same);
        let hidden = Dense::new(params, "hidden", 64 * 7 * 7, 128);
        let output = Dense::new(params, "output", 128, 10);
        let pool = MaxPool2d::new(2);
        Self {
            features: (edges, Relu, pool, parts, Relu, pool, Flatten::new()),
            head: (hidden, Relu, Dropout::new(0.3), output),
        }
    }

    /// Logits `[n, 10]` of images `[n, 1, 28, 28]`.
    fn forward<'g>(&self, images: Var<'g>, mode: Mode) -> Var<'g> {
        self.head.forward_in(self.features.forward_in(images, mode), mode)
    }

    /// What the images of a data set are taken for.
    fn confusion(&self, params: &Params, data: &Dataset) -> Result<Confusion, Error> {
        let mut classify = Function::new(|_, [images]| [self.forward(images, Mode::Eval)]);
        let mut logits = Vec::new();
        for batch in data.batches(500) {
            let [found] = classify.run(params, &batch.inputs)?;
            logits.extend_from_slice(found.real().data());
        }
        Ok(Confusion::new(&Tensor::new([data.len(), 10], logits), data.targets()))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = match &arguments[..] {
        [] => DEBIAN,
        [folder] => folder,
        _ => {
            eprintln!("fashion_mnist takes the folder of the data set, or nothing; not {arguments:?}");
            return ExitCode::from(2);
        }
    };
    let data = match mnist::load(folder) {
        Ok(data) => data.reshaped([1, 28, 28]),
        Err(problem) => {
            eprintln!(
                "{problem}\n\nFashion-MNIST is four files: train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, \
                 t10k-images-idx3-ubyte.gz\nand t10k-labels-idx1-ubyte.gz, of https://github.com/zalandoresearch/fashion-mnist \
                 (31 MB).\nOn Debian and related systems `apt install dataset-fashion-mnist` puts them into {DEBIAN}.\nWhere they are \
                 in another folder, name it: cargo run --release --example fashion_mnist -- FOLDER"
            );
            return ExitCode::FAILURE;
        }
    };
    match train(&data) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn train(Split { train, test }: &Split) -> Result<(), Box<dyn std::error::Error>> {
    let mut params = Params::new(7);
    let model = Classifier::new(&mut params);
    println!("{params:?}\n\n{} images to train on, {} to test\n", train.len(), test.len());

    let mut step =
        Step::new(|_, [images, classes]| loss::cross_entropy(model.forward(images, Mode::Train), classes)).seed(7);
    let cosine = Cosine::new(2e-3, (EPOCHS * train.len().div_ceil(BATCH)) as u64);
    let mut optimizer = Optimizer::new(AdamW::new(cosine).decay(0.02));

    let mut losses = Vec::new();
    let start = Instant::now();
    for epoch in 0..EPOCHS {
        let (mut total, since) = (0.0, Instant::now());
        let batches = train.batches(BATCH).shuffled(7, epoch as u64);
        let mut progress = Progress::new(batches.len());
        for batch in batches {
            let gradients = step.run(&mut params, (&batch.inputs, &batch.targets))?;
            total += f64::from(gradients.loss()) * batch.len() as f64;
            optimizer.step(&mut params, &gradients)?;
            progress.advance(1, format_args!("loss {:.3}", gradients.loss()));
        }
        progress.finish();
        let (loss, seconds) = (total / train.len() as f64, since.elapsed().as_secs_f64());
        losses.push((epoch as f64 + 1.0, loss));
        let accuracy = 100.0 * model.confusion(&params, test)?.accuracy();
        println!("epoch {}   loss {loss:.4}   on the test images {accuracy:.2}%   {seconds:.1} s", epoch + 1);
    }
    println!("{EPOCHS} epochs with their tests in {:.1} s\n", start.elapsed().as_secs_f64());
    println!("{}\n", model.confusion(&params, test)?);

    let picture = Path::new("target/fashion-mnist-loss.svg");
    Plot::new("Fashion-MNIST").axes("epoch", "cross-entropy, nats").line("training loss", &losses).save(picture)?;
    println!("the loss curve is in {}", picture.display());
    Ok(())
}
