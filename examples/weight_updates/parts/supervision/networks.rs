//! Four networks that learn side by side.

use gradus::Params;
use gradus::nn::{Dense, Layer, LeakyRelu, Relu, Sigmoid, loss};
use gradus::optim::{Adam, Optimizer};
use gradus::train::statistics::{UpdateReport, Updates};
use gradus::train::{Function, History, Step};

use super::measures::{distances, squared_error, verdict};
use crate::Failure;
use crate::study::Digits;
use crate::training::evaluation;

pub(super) const NETWORKS: [&str; 4] = ["classifier", "autoencoder", "discriminator", "generator"];
/// What is judged.
pub(super) const JUDGED: [&str; 4] = ["test digits", "made at 100", "made at the end", "random pixels"];
pub(super) const HIDDEN: usize = 64;
/// Numbers of the autoencoder's code, and of the noise that the generator begins from.
pub(super) const CODE: usize = 8;
pub(super) const NOISE: usize = 16;
pub(super) const BATCH: usize = 64;
pub(super) const RATE: f64 = 0.002;
/// Images in a row of the picture.
pub(super) const ROW: usize = 16;
/// Images that are made to be judged.
const MADE: usize = 1000;

/// Trains all four. The history has a row at each evaluation with what [`of_network`] says of each network, and its
/// loss; a row for each pixel of the images to be shown; and last a row of what was learned.
pub(super) fn run(digits: &Digits, steps: u64, seed: u64) -> Result<History, Failure> {
    let Digits { train, validation, test } = digits;
    let mut params = Params::new(seed);
    let mut layer = |network: usize, name: &str, inputs: usize, outputs: usize| {
        params.scope(NETWORKS[network], |params| Dense::new(params, name, inputs, outputs))
    };
    let classifier = (layer(0, "hidden", 64, HIDDEN), Relu, layer(0, "output", HIDDEN, 10));
    let encoder = (layer(1, "hidden1", 64, HIDDEN), Relu, layer(1, "code", HIDDEN, CODE));
    let decoder = (layer(1, "hidden2", CODE, HIDDEN), Relu, layer(1, "output", HIDDEN, 64), Sigmoid);
    let bend = LeakyRelu::new(0.2);
    let layers = [layer(2, "hidden1", 64, HIDDEN), layer(2, "hidden2", HIDDEN, HIDDEN)];
    let discriminator = (&layers[0], bend, &layers[1], bend, layer(2, "output", HIDDEN, 1));
    let layers = [layer(3, "hidden1", NOISE, HIDDEN), layer(3, "hidden2", HIDDEN, HIDDEN)];
    let generator = (&layers[0], Relu, &layers[1], Relu, layer(3, "output", HIDDEN, 64), Sigmoid);

    let mut classify = Step::new(|_, [images, digits]| loss::cross_entropy(classifier.forward(images), digits));
    let mut rebuild = Step::new(|_, [images]| loss::mse(decoder.forward(encoder.forward(images)), images));
    let mut judge = Step::new(|graph, [images]| {
        let made = generator.forward(graph.normal([BATCH, NOISE]));
        let (on_data, on_made) = (discriminator.forward(images), discriminator.forward(made));
        let slope = graph.grad(on_data.sum(), &[images]).expect("the discriminator uses its input")[0];
        on_made.softplus().mean() + (-on_data).softplus().mean() + slope.square().sum_axes(-1).mean() * 0.5
    });
    let mut forge = Step::new(|graph, []| {
        let made = discriminator.forward(generator.forward(graph.normal([BATCH, NOISE])));
        (-made).softplus().mean()
    });
    classify = classify.only([NETWORKS[0]]);
    rebuild = rebuild.only([NETWORKS[1]]);
    judge = judge.only([NETWORKS[2]]).seed(seed);
    forge = forge.only([NETWORKS[3]]).seed(seed + 1000);
    let mut rules = NETWORKS.map(|_| Optimizer::new(Adam::new(RATE).betas(0.5, 0.99)));
    let mut evaluate = evaluation(&classifier);
    let mut rebuilt = Function::new(|_, [images]| [decoder.forward(encoder.forward(images))]);
    let mut draw = Function::new(|graph, []| [generator.forward(graph.normal([MADE, NOISE]))]).seed(seed + 2000);

    let (mut history, mut early) = (History::default(), test.inputs().clone());
    let batches = (0..).flat_map(|epoch| train.batches(BATCH).shuffled(seed, epoch));
    for (number, batch) in (1..=steps).zip(batches.filter(|batch| batch.inputs.shape()[0] == BATCH)) {
        let before = Updates::new(&params);
        let classified = classify.run(&mut params, (&batch.inputs, &batch.targets))?;
        rules[0].step(&mut params, &classified)?;
        let described = rebuild.run(&mut params, &batch.inputs)?;
        rules[1].step(&mut params, &described)?;
        let judged = judge.run(&mut params, &batch.inputs)?;
        rules[2].step(&mut params, &judged)?;
        let forged = forge.run(&mut params, ())?;
        rules[3].step(&mut params, &forged)?;
        if number == 100 {
            early = draw.run(&params, ())?[0].real().clone();
        }
        if !number.is_multiple_of(steps / 30) && number != 100 {
            continue;
        }
        let update =
            before.measure(&params, [&classified, &described, &judged, &forged].into_iter().flat_map(|all| all.iter()));
        let [cost, _] = evaluate(&params, validation)?;
        let error = squared_error(validation.inputs(), rebuilt.run(&params, validation.inputs())?[0].real());
        let mut row = vec![("step".to_owned(), number as f64)];
        for (network, loss) in NETWORKS.iter().zip([cost, error, judged.loss().into(), forged.loss().into()]) {
            let numbers = [("loss", loss)].into_iter().chain(of_network(&update, network));
            row.extend(numbers.map(|(what, number)| (format!("{what} of {network}"), number)));
        }
        history.push(row);
    }
    let made = draw.run(&params, ())?[0].real().clone();
    let rebuilt = rebuilt.run(&params, test.inputs())?[0].real();
    for pixel in [test.inputs(), rebuilt, &early, &made].iter().flat_map(|images| &images.data()[..ROW * 64]) {
        history.push([("pixel", f64::from(*pixel))]);
    }
    let mut last = vec![
        ("accuracy".to_owned(), evaluate(&params, test)?[1]),
        ("error".to_owned(), squared_error(test.inputs(), rebuilt)),
    ];
    let mut noise = Function::new(|graph, []| [graph.uniform([MADE, 64])]).seed(seed + 3000);
    let noise = noise.run(&params, ())?[0].real();
    let mut look = Function::new(|_, [images]| [classifier.forward(images).softmax(-1)]);
    let mut real = distances(test.inputs(), train.inputs());
    real.sort_by(f32::total_cmp);
    let usual = real[real.len() * 19 / 20];
    for (name, images) in JUDGED.iter().zip([test.inputs(), &early, &made, noise]) {
        let [sure, classes] = verdict(look.run(&params, images)?[0].real());
        let away = distances(images, train.inputs());
        let near = away.iter().filter(|&&distance| distance <= usual).count() as f64 / away.len() as f64;
        let found = [("sure", sure), ("near", near), ("classes", classes)];
        last.extend(found.map(|(what, number)| (format!("{what} of {name}"), number)));
    }
    history.push(last);
    Ok(history)
}

/// The mean magnitudes of updates and weights of a network, and the root mean square of its gradient.
fn of_network(report: &UpdateReport, network: &str) -> [(&'static str, f64); 3] {
    let (mut sums, mut all) = ([0.0; 3], 0.0);
    for row in report.rows().iter().filter(|row| row.name.split('.').next() == Some(network)) {
        let count = row.shape.iter().product::<usize>() as f64;
        let gradient = row.gradient.as_ref().map_or(f64::NAN, |gradient| gradient.norm);
        let more = [count * row.mean_update, count * row.mean_weight, gradient * gradient];
        sums = std::array::from_fn(|k| sums[k] + more[k]);
        all += count;
    }
    [("update", sums[0] / all), ("size", sums[1] / all), ("gradient", (sums[2] / all).sqrt())]
}
