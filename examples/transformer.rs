//! Trains a transformer on the handwritten digits: `cargo run --release --example transformer`.
//!
//! An image is a sequence of 16 patches of 2×2 pixels. Two encoder layers let the patches attend to each other; a
//! learned query then attends to the patches and gathers what the output layer needs. Where it looks is drawn.

use std::path::Path;
use std::time::Instant;

use gradus::data::{Split, digits};
use gradus::nn::{
    Dense, Fans, Init, LearnedPositions, Mask, Mode, MultiHeadAttention, MultiHeadAttentionOptions, TransformerEncoder,
    TransformerOptions, loss,
};
use gradus::optim::{AdamW, Cosine, WarmUp};
use gradus::train::plot::Images;
use gradus::train::{Confusion, Function, Trainer};
use gradus::{Param, Params, Tensor, Var};

const EPOCHS: u64 = 60;
const BATCH: usize = 32;
const SIZE: usize = 48;
const HEADS: usize = 4;
const PATCHES: usize = 16;

struct Classifier {
    patches: Dense,
    positions: LearnedPositions,
    encoder: TransformerEncoder,
    query: Param,
    gather: MultiHeadAttention,
    output: Dense,
}

impl Classifier {
    fn new(params: &mut Params) -> Self {
        let options = TransformerOptions::new().hidden(2 * SIZE).norm_first().batch_first();
        let gather = MultiHeadAttentionOptions::new().batch_first();
        Self {
            patches: Dense::new(params, "patches", 4, SIZE),
            positions: LearnedPositions::new(params, "positions", PATCHES, SIZE),
            encoder: TransformerEncoder::with(params, "encoder", 2, SIZE, HEADS, options).with_norm(params),
            query: Init::normal(0.0, 1.0).param(params, "query", [1, 1, SIZE], Fans::of([SIZE])),
            gather: MultiHeadAttention::with(params, "gather", SIZE, HEADS, gather),
            output: Dense::new(params, "output", SIZE, 10),
        }
    }

    /// Logits `[n, 10]` of images `[n, 8, 8]`, and how much of each patch the query takes, `[n, 16]`.
    fn forward<'g>(&self, images: Var<'g>, mode: Mode) -> [Var<'g>; 2] {
        let (graph, count) = (images.graph(), images.shape()[0]);
        let patches = images.reshape([count, 4, 2, 4, 2]).permute([0, 1, 3, 2, 4]).reshape([count, PATCHES, 4]);
        let x = self.positions.forward(self.patches.forward(patches));
        let x = self.encoder.forward_in(x, Mask::none(), mode);
        let query = graph.param(&self.query).broadcast_to([count, 1, SIZE]);
        let (gathered, weights) = self.gather.with_weights(query, x, x, Mask::none(), mode);
        [self.output.forward(gathered.squeeze(1)), weights.mean_axes(1).squeeze(1)]
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Split { train, test } = digits::load();
    let mut params = Params::new(7);
    let model = Classifier::new(&mut params);
    println!("{} parameters, {} images to train on, {} held out\n", params.count(), train.len(), test.len());

    let steps = EPOCHS * train.len().div_ceil(BATCH) as u64;
    let rate = WarmUp::new(steps / 20, Cosine::new(2e-3, steps - steps / 20));
    let mut trainer = Trainer::new(AdamW::new(rate).decay(0.05), |_, [images, digits]| {
        let [logits, _] = model.forward(images, Mode::Train);
        loss::cross_entropy(logits, digits)
    })
    .epochs(EPOCHS)
    .seed(7)
    .progress();
    let start = Instant::now();
    let history = trainer.fit(&mut params, |epoch| train.batches(BATCH).shuffled(7, epoch))?;
    println!("{EPOCHS} epochs in {:.1} s, last loss {:.4}", start.elapsed().as_secs_f64(), history.last("loss"));

    let held_out = test.full_batch();
    let mut classify = Function::new(|_, [images]| model.forward(images, Mode::Eval));
    let [logits, weights] = classify.run(&params, &held_out.inputs)?.map(|output| output.real());
    let confusion = Confusion::new(logits, &held_out.targets);
    println!("accuracy on the held-out digits: {:.2}%\n\n{confusion}\n", 100.0 * confusion.accuracy());

    let picture = Path::new("target/transformer-attention.svg");
    drawn(&held_out.inputs, weights, held_out.targets.data()).save(picture)?;
    println!("where the query looks is in {}", picture.display());
    Ok(())
}

/// The first image of each class, above how much of each of its patches the query takes.
fn drawn(images: &Tensor<f32>, weights: &Tensor<f32>, labels: &[i64]) -> Images {
    let (mut first, mut taken) = (Vec::new(), Vec::new());
    for image in (0..10).filter_map(|class| labels.iter().position(|&label| label == class)) {
        first.extend_from_slice(&images.data()[64 * image..][..64]);
        let own = &weights.data()[PATCHES * image..][..PATCHES];
        let largest = own.iter().fold(0.0_f32, |largest, &weight| largest.max(weight));
        // A patch is two pixels wide and high.
        taken.extend((0..64).map(|pixel| own[pixel / 16 * 4 + pixel % 8 / 2] / largest));
    }
    Images::new(&Tensor::new([first.len() / 32, 8, 8], [first, taken].concat()), 10)
}
