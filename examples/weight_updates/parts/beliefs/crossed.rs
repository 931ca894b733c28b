//! Is the update all that matters? Architecture, activation and rule crossed.

use std::collections::BTreeMap;

use gradus::Params;
use gradus::nn::{Dense, Layer, Relu, Sigmoid, Tanh};
use gradus::optim::{Adam, Optimizer, Sgd};
use gradus::train::Sweep;

use crate::Failure;
use crate::report::{Part, Table};
use crate::study::Study;
use crate::training::{Training, at};

const SHAPES: [&str; 3] = ["64-4-10", "64-32-10", "64-32-32-32-10"];
const ACTIVATIONS: [&str; 3] = ["ReLU", "tanh", "sigmoid"];
const RULES: [&str; 3] = ["SGD", "momentum 0.9", "Adam"];
/// In parts of the size that is usual for the rule.
const FACTORS: [f64; 3] = [0.3, 1.0, 3.0];

fn model(params: &mut Params, shape: &str, activation: &str) -> Vec<Box<dyn Layer>> {
    let sizes: Vec<usize> = shape.split('-').filter_map(|size| size.parse().ok()).collect();
    let mut layers: Vec<Box<dyn Layer>> = Vec::new();
    for (number, pair) in sizes.windows(2).enumerate() {
        if number > 0 {
            layers.push(match activation {
                "ReLU" => Box::new(Relu),
                "tanh" => Box::new(Tanh),
                _ => Box::new(Sigmoid),
            });
        }
        layers.push(Box::new(Dense::new(params, &format!("layer{number}"), pair[0], pair[1])));
    }
    layers
}

fn rule(name: &str, factor: f64) -> Optimizer {
    match name {
        "SGD" => Optimizer::new(Sgd::new(0.3 * factor)),
        "Adam" => Optimizer::new(Adam::new(0.01 * factor)),
        _ => Optimizer::new(Sgd::new(0.03 * factor).momentum(0.9)),
    }
}

pub(crate) fn test(study: &Study, part: Part) -> Result<Part, Failure> {
    let steps = study.pick(400, 80);
    let training = Training { digits: &study.digits, steps, batch: 32, every: steps };
    let sweep = Sweep::new(SHAPES).crossed(ACTIVATIONS).crossed(RULES).crossed(FACTORS).seeds(0..study.pick(3, 2));
    let found = sweep.run(|&(((shape, activation), name), factor), seed| {
        let mut params = Params::new(seed);
        let model = model(&mut params, shape, activation);
        let mut history = training.run(&mut params, &model, rule(name, factor), seed)?;
        let [_, accuracy] = training.test(&params, &model)?;
        history.push([("test accuracy", 100.0 * accuracy)]);
        Ok::<_, Failure>(history)
    })?;
    let mut table = Table::new(["network", "activation", "SGD", "momentum 0.9", "Adam"]);
    let mut cells: BTreeMap<[&str; 3], f64> = BTreeMap::new();
    for shape in SHAPES {
        for activation in ACTIVATIONS {
            let mut line = vec![shape.to_owned(), activation.to_owned()];
            for rule in RULES {
                let tried = found.select(|options| options.0 == ((shape, activation), rule));
                let accuracy = tried
                    .least(|row| row.of(|history| at(history, steps, "validation loss")).mean)
                    .map(|row| row.last("test accuracy"));
                cells.insert([shape, activation, rule], accuracy.map_or(f64::NAN, |accuracy| accuracy.mean));
                line.push(accuracy.map_or("diverged".to_owned(), |accuracy| format!("{accuracy:.1}%")));
            }
            table.push(line);
        }
    }
    // How far the means of a factor's levels lie apart.
    let effect = |place: usize, levels: [&str; 3]| {
        let means = levels.map(|level| {
            let of_level: Vec<f64> =
                cells.iter().filter(|(key, _)| key[place] == level).map(|(_, cell)| *cell).collect();
            of_level.iter().sum::<f64>() / of_level.len() as f64
        });
        means.iter().copied().fold(f64::NEG_INFINITY, f64::max) - means.iter().copied().fold(f64::INFINITY, f64::min)
    };
    let [shape, activation, rule] = [effect(0, SHAPES), effect(1, ACTIVATIONS), effect(2, RULES)];
    let part = part.table("Test accuracy; each cell at the best of three learning rates by validation loss", table);
    Ok(part.finding(
        "the update rule matters more than architecture and activation",
        rule > shape && rule > activation,
        format!(
            "Averaged over the rest, test accuracy differs by {rule:.1} points between rules, {shape:.1} between architectures and \
             {activation:.1} between activations."
        ),
    ))
}
