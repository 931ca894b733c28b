//! Two autoencoders of the handwritten digits: `cargo run --release --example autoencoder`
//!
//! Both squeeze an image of 64 pixels through 8 numbers. The plain one is trained on the squared error alone, and is
//! compared with the best linear map of that size, principal component analysis. The variational one (Kingma and
//! Welling 2014) maximises a lower bound of the likelihood, the ELBO: how well an image is described, less how far its
//! code is from the normal distribution. So codes can be drawn, and decoded to digits that nobody wrote.

use std::path::Path;
use std::time::Instant;

use gradus::data::{Dataset, Split, digits};
use gradus::nn::{Dense, Layer, Sigmoid, Tanh, loss};
use gradus::optim::Adam;
use gradus::train::plot::Images;
use gradus::train::{Function, Trainer};
use gradus::{Params, Tensor, Var};

const CODE: usize = 8;
const HIDDEN: usize = 128;
const BATCH: usize = 64;
const EPOCHS: u64 = 300;
/// Images in a row of the picture.
const ROW: usize = 16;

struct Autoencoder {
    encoder: (Dense, Tanh, Dense),
    decoder: (Dense, Tanh, Dense, Sigmoid),
}

impl Autoencoder {
    fn new(params: &mut Params) -> Self {
        let [first, second] =
            [("encoder1", 64, HIDDEN), ("encoder2", HIDDEN, CODE)].map(|(n, i, o)| Dense::new(params, n, i, o));
        let [third, last] =
            [("decoder1", CODE, HIDDEN), ("decoder2", HIDDEN, 64)].map(|(n, i, o)| Dense::new(params, n, i, o));
        Self { encoder: (first, Tanh, second), decoder: (third, Tanh, last, Sigmoid) }
    }

    fn forward<'g>(&self, images: Var<'g>) -> Var<'g> {
        self.decoder.forward(self.encoder.forward(images))
    }
}

struct Variational {
    encoder: (Dense, Tanh, Dense),
    decoder: (Dense, Tanh, Dense),
}

impl Variational {
    fn new(params: &mut Params) -> Self {
        let encoder =
            (Dense::new(params, "encoder1", 64, HIDDEN), Tanh, Dense::new(params, "encoder2", HIDDEN, 2 * CODE));
        let decoder = (Dense::new(params, "decoder1", CODE, HIDDEN), Tanh, Dense::new(params, "decoder2", HIDDEN, 64));
        Self { encoder, decoder }
    }

    /// Mean and logarithm of the variance of the codes of images.
    fn encode<'g>(&self, images: Var<'g>) -> (Var<'g>, Var<'g>) {
        let parts = self.encoder.forward(images).chunks(2, -1);
        (parts[0], parts[1])
    }

    /// The two terms of the ELBO, nats an image: what it costs to describe the images by their codes, and how far the
    /// codes are from the normal distribution.
    fn terms<'g>(&self, images: Var<'g>) -> (Var<'g>, Var<'g>) {
        let (mean, log_variance) = self.encode(images);
        // The noise is drawn apart from what is learned, so that the derivative passes through the code.
        let code = mean + (log_variance * 0.5).exp() * images.graph().normal(mean.shape());
        let description =
            loss::binary_cross_entropy_with_logits_terms(self.decoder.forward(code), images).sum_axes(-1).mean();
        let divergence = (mean.square() + log_variance.exp() - log_variance - 1.0).sum_axes(-1).mean() * 0.5;
        (description, divergence)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Split { train, test } = digits::load().reshaped([64]);
    let start = Instant::now();

    let mut params = Params::new(1);
    let plain = Autoencoder::new(&mut params);
    let mut trainer =
        Trainer::new(Adam::new(2e-3), |_, [images]| loss::mse(plain.forward(images), images)).epochs(EPOCHS).progress();
    trainer.fit(&mut params, |epoch| images(&train, 1, epoch))?;

    let mut variational_params = Params::new(2);
    let variational = Variational::new(&mut variational_params);
    let mut trainer = Trainer::new(Adam::new(2e-3), |_, [images]| {
        let (description, divergence) = variational.terms(images);
        description + divergence
    })
    .epochs(EPOCHS)
    .progress();
    trainer.fit(&mut variational_params, |epoch| images(&train, 2, epoch))?;
    println!("2 × {EPOCHS} epochs in {:.1} s\n", start.elapsed().as_secs_f64());

    let images = test.inputs();
    let mut rebuild = Function::new(|_, [images]| [plain.forward(images)]);
    let [rebuilt] = rebuild.run(&params, images)?.map(|output| output.real());
    let mut describe = Function::new(|_, [images]| {
        let (description, divergence) = variational.terms(images);
        [variational.decoder.forward(variational.encode(images).0).sigmoid(), description, divergence]
    });
    let outputs = describe.run(&variational_params, images)?;
    let [by_mean, description, divergence] = outputs.map(|output| output.real());
    let (description, divergence) = (description.item(), divergence.item());
    println!("squared error of the held-out digits, a pixel, through {CODE} numbers");
    println!("  principal components      {:.5}", principal_components(train.inputs(), images));
    println!("  autoencoder               {:.5}", squared_error(images, rebuilt));
    println!("  variational, mean code    {:.5}\n", squared_error(images, by_mean));
    println!("ELBO of the held-out digits {:.2} nats an image", -description - divergence);
    println!("  description               {description:.2}");
    println!("  divergence of the codes   {divergence:.2}");

    let mut draw = Function::new(|graph, []| [variational.decoder.forward(graph.normal([2 * ROW, CODE])).sigmoid()]);
    let [drawn] = draw.run(&variational_params, ())?;
    let pixels = [images, rebuilt, by_mean].map(|images| &images.data()[..ROW * 64]).concat();
    let pixels = [&pixels[..], drawn.real().data()].concat();
    let path = Path::new("target/autoencoder.svg");
    Images::new(&Tensor::new([pixels.len() / 64, 8, 8], pixels), ROW).save(path)?;
    println!("\ndigits, both reconstructions and two rows of new ones are in {}", path.display());
    Ok(())
}

/// The images of an epoch, in batches, without their labels.
fn images(train: &Dataset, seed: u64, epoch: u64) -> impl Iterator<Item = Tensor<f32>> {
    train.batches(BATCH).shuffled(seed, epoch).map(|batch| batch.inputs)
}

fn squared_error(images: &Tensor<f32>, rebuilt: &Tensor<f32>) -> f64 {
    let pairs = images.data().iter().zip(rebuilt.data());
    pairs.map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>() / images.len() as f64
}

/// The squared error a pixel that is left when images are projected on the first principal components of others.
fn principal_components(train: &Tensor<f32>, test: &Tensor<f32>) -> f64 {
    let rows = train.shape()[0] as f64;
    let centred = |images: &Tensor<f32>, mean: &[f64]| -> Vec<Vec<f64>> {
        images.data().chunks(64).map(|row| row.iter().zip(mean).map(|(&x, m)| f64::from(x) - m).collect()).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mean: Vec<f64> =
        (0..64).map(|k| train.data().iter().skip(k).step_by(64).map(|&x| f64::from(x)).sum::<f64>() / rows).collect();
    let (train, mut test) = (centred(train, &mean), centred(test, &mean));
    let mut found: Vec<Vec<f64>> = Vec::new();
    for number in 0..CODE {
        let mut direction: Vec<f64> = (0..64).map(|k| ((k * 7 + number) as f64).sin()).collect();
        for _ in 0..200 {
            // One multiplication with the covariance, away from the directions that were found, at length 1.
            let mut next = vec![0.0; 64];
            for row in &train {
                let along = dot(row, &direction);
                next.iter_mut().zip(row).for_each(|(next, x)| *next += along * x);
            }
            for other in &found {
                let along = dot(other, &next);
                next.iter_mut().zip(other).for_each(|(next, x)| *next -= along * x);
            }
            let length = dot(&next, &next).sqrt();
            direction = next.iter().map(|x| x / length).collect();
        }
        for row in &mut test {
            let along = dot(row, &direction);
            row.iter_mut().zip(&direction).for_each(|(x, d)| *x -= along * d);
        }
        found.push(direction);
    }
    test.iter().map(|row| dot(row, row)).sum::<f64>() / (64 * test.len()) as f64
}
