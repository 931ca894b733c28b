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
use gradus::optim::{AdamW, Cosine};
use gradus::train::metrics::Accuracy;
use gradus::train::{Confusion, Evaluation, Function, Trainer};
use gradus::{Error, Params, Tensor, Var};

const EPOCHS: u64 = 6;
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

    let steps = EPOCHS * train.len().div_ceil(BATCH) as u64;
    let evaluation = Evaluation::new(|_, [images, classes]| {
        let logits = model.forward(images, Mode::Eval);
        [loss::cross_entropy(logits, classes), logits]
    });
    let mut trainer = Trainer::new(AdamW::new(Cosine::new(2e-3, steps)).decay(0.02), |_, [images, classes]| {
        loss::cross_entropy(model.forward(images, Mode::Train), classes)
    })
    .epochs(EPOCHS)
    .seed(7)
    .validation(evaluation.metric(Accuracy::new()), || test.batches(500))
    .stop_on_ctrl_c()
    .progress();
    let start = Instant::now();
    let history = trainer.fit(&mut params, |epoch| train.batches(BATCH).shuffled(7, epoch))?;
    println!("{history}\n\n{EPOCHS} epochs with their tests in {:.1} s\n", start.elapsed().as_secs_f64());
    println!("{}\n", model.confusion(&params, test)?);

    let picture = Path::new("target/fashion-mnist-loss.svg");
    history.plot("Fashion-MNIST").axes("epoch", "cross-entropy, nats").save(picture)?;
    println!("the loss curve is in {}", picture.display());
    Ok(())
}
