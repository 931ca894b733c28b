//! Initial weights: zeros, random numbers of several scales, and those of another task.

mod runs;
mod starts;

use gradus::train::sweep::Spread;

use crate::Failure;
use crate::report::{Part, Table};
use crate::study::{Digits, Study};

use runs::{DEPTH, Measured, Runs, STARTS, steps};
use starts::{Hidden, Start};

/// Numbers of hidden layers.
const DEPTHS: [usize; 5] = [1, 2, 3, DEPTH, 10];
/// Labelled images of the comparison with few.
const FEW: usize = 50;

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let of_depths = |starts: &[Start]| -> Vec<(usize, Start)> {
        let others = DEPTHS.into_iter().filter(|&depth| depth != DEPTH);
        let others = others.flat_map(|depth| starts.iter().map(move |&start| (depth, start)));
        STARTS.into_iter().map(|start| (DEPTH, start)).chain(others).collect()
    };
    let relu = Runs::new(study, "ReLU", Hidden::Relu)?;
    let tanh = Runs::new(study, "tanh", Hidden::Tanh)?;
    let small = Start::Normal(0.01);
    let with_relu = relu.sweep(&study.digits, of_depths(&[small, Start::Xavier, Start::He]))?;
    let with_tanh = tanh.sweep(&study.digits, of_depths(&[Start::Xavier, Start::He]))?;
    let at_depths = |measured: &Measured, start: Start| DEPTHS.map(|depth| steps(&measured.best(depth, start)));
    let columns = [
        ("ReLU, normal 0.01", at_depths(&with_relu, small)),
        ("ReLU, Xavier", at_depths(&with_relu, Start::Xavier)),
        ("ReLU, He", at_depths(&with_relu, Start::He)),
        ("tanh, Xavier", at_depths(&with_tanh, Start::Xavier)),
        ("tanh, He", at_depths(&with_tanh, Start::He)),
    ];
    let mut depths = Table::new([&["hidden layers"], &columns.each_ref().map(|(name, _)| *name)[..]].concat());
    for (place, depth) in DEPTHS.into_iter().enumerate() {
        depths.push([depth.to_string()].into_iter().chain(columns.iter().map(|(_, steps)| steps[place].to_string())));
    }

    let few = &study.digits.train.split(FEW, 0).test;
    let Digits { validation, test, .. } = &study.digits;
    let few = Digits { train: few.clone(), validation: validation.clone(), test: test.clone() };
    let of_few = [Start::He, Start::Rebuild, Start::Parity];
    let with_few = relu.sweep(&few, of_few.map(|start| (DEPTH, start)).to_vec())?;
    let [he_few, rebuild_few, parity_few] = of_few.map(|start| with_few.best(DEPTH, start).last("test accuracy"));

    let (relu_rate, tanh_rate) = (with_relu.common_rate(relu.rates), with_tanh.common_rate(tanh.rates));
    let pair = |measured: &Measured, rate: f64| {
        let [he, xavier] = [Start::He, Start::Xavier].map(|start| steps(measured.at(start, rate)));
        format!("With {DEPTH} hidden layers and the common rate {rate}: He {he}, Xavier {xavier}")
    };
    // The depths at which one start needs clearly fewer steps than another, and the steps of both.
    let ahead = |first: usize, second: usize| -> Vec<usize> {
        let is_ahead = |place: &usize| columns[first].1[*place].is_clearly_below(&columns[second].1[*place]);
        (0..DEPTHS.len()).filter(is_ahead).map(|place| DEPTHS[place]).collect()
    };
    let listed = |first: usize, second: usize| {
        let (name, other) = if first > second { ("He", "Xavier") } else { ("Xavier", "He") };
        let pairs = DEPTHS
            .into_iter()
            .enumerate()
            .map(|(place, depth)| format!("{depth}: {} and {}", columns[first].1[place], columns[second].1[place]));
        let clear = match ahead(first, second)[..] {
            [] => "no depth".to_owned(),
            ref depths => depths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        format!(
            "{name} and {other} by hidden layers, each at its best rate: {}. {name} is ahead by more than two standard errors \
             at: {clear}",
            pairs.collect::<Vec<_>>().join("; ")
        )
    };
    let random = [small, Start::Normal(0.1), Start::Xavier, Start::He, Start::Orthogonal];
    let least = |measured: &Measured, starts: &[Start]| {
        let by_start = starts.iter().map(|&start| steps(&measured.best(DEPTH, start)));
        by_start.min_by(|a, b| a.mean().total_cmp(&b.mean())).expect("there are starts")
    };
    let trained = [Start::Rebuild, Start::Parity];
    let [(random_relu, trained_relu), (random_tanh, trained_tanh)] =
        [&with_relu, &with_tanh].map(|measured| (least(measured, &random), least(measured, &trained)));
    let [(normal, uniform), (normal_tanh, uniform_tanh)] = [&with_relu, &with_tanh].map(|measured| {
        let of = |start| measured.best(DEPTH, start).last("test accuracy");
        (of(Start::Normal(0.1)), of(Start::Uniform(0.1)))
    });
    let slow = relu.rates[0];
    let early = |measured: &Measured, start: Start| 100.0 * measured.at(start, slow).last("score").mean;
    let alike = |a: Spread, b: Spread| (a.mean - b.mean).abs() <= a.deviation + b.deviation;
    let arrives = columns[0].1.iter().filter(|steps| steps.mean().is_finite()).count();
    let [relu_outputs, relu_slopes] = relu.pictures()?;
    let [tanh_outputs, tanh_slopes] = tanh.pictures()?;
    Ok(Part::new(
        "Initialisation",
        "Weights that start at zero learn nothing, small random numbers are a safe start, He's are made for ReLU and Xavier's \
         for tanh, and weights from another task are better than random ones.",
        "A layer multiplies the variance of what it gets by the number of its inputs times the variance of its weights, and \
         ReLU halves the mean square. He's variance of two over the inputs makes up for that; with Xavier's, half is lost in \
         every layer, so that the difference grows with depth. Errors shrink by the same factor on the way back. The gradient \
         of a weight is the product of both, and is small in all layers at once. Far below, nothing but the biases of the \
         output moves in this time; at zero it is so for ever. Far above, a step of any of these rates is too long with ReLU, \
         and tanh is saturated. Tanh shrinks what it gets, so that a gain above Xavier's of one makes up for it.",
    )
    .setup(format!(
        "Digits, 64 inputs, {DEPTH} hidden layers of 32 units, 10 outputs; plain SGD, batches of 32, {} steps, an evaluation \
         every 20, {} seeds. Biases start at zero. The number beside normal and uniform is the standard deviation; Xavier and \
         He are normal; orthogonal has the gain √2 with ReLU and 1 with tanh. Pre-trained are the hidden layers, from He with \
         ReLU and from Xavier with tanh, by {} epochs of Adam at 0.003 on the same images: to rebuild them, without labels, or \
         to tell odd digits from even ones. The rates are {}. The score of a run is its validation accuracy, averaged over all \
         evaluations. The best rate of a start is the one with the highest mean score over the seeds, the common rate the one \
         with the highest mean over all starts too.",
        relu.steps,
        study.seeds().end,
        starts::epochs(study),
        relu.rates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    ))
    .table(
        "With ReLU: steps to a training loss of 0.3 at one rate for all and at the best rate of each start, and the test \
         accuracy at the latter",
        with_relu.table(relu_rate),
    )
    .picture(
        "initialization-outputs-relu",
        "Standard deviation of the outputs of each hidden layer on 256 images before the first step, mean over seeds.",
        &relu_outputs,
    )?
    .picture(
        "initialization-gradients-relu",
        "Root mean square of the gradient of each hidden layer's weights before the first step, mean over seeds.",
        &relu_slopes,
    )?
    .table("With tanh: the same", with_tanh.table(tanh_rate))
    .picture("initialization-outputs-tanh", "The outputs with tanh; a standard deviation near 1 is saturation.", &tanh_outputs)?
    .picture("initialization-gradients-tanh", "The gradients with tanh.", &tanh_slopes)?
    .table("Steps to a training loss of 0.3 by the number of hidden layers, each start at its best rate", depths)
    .finding(
        "He needs fewer steps than Xavier with ReLU",
        ahead(2, 1).contains(&DEPTH),
        format!("{}. {}.", pair(&with_relu, relu_rate), listed(2, 1)),
    )
    .finding(
        "Xavier needs fewer steps than He with tanh",
        ahead(3, 4).contains(&DEPTH),
        format!("{}. {}.", pair(&with_tanh, tanh_rate), listed(3, 4)),
    )
    .finding(
        "small random weights, of standard deviation 0.01, are a safe start with ReLU",
        arrives == DEPTHS.len(),
        format!(
            "All seeds arrive at {arrives} of the {} depths. Steps with 1 hidden layer: {}; with 2: {}.",
            DEPTHS.len(),
            columns[0].1[0],
            columns[0].1[1]
        ),
    )
    .finding(
        "it does not matter whether numbers of one standard deviation are normal or uniform",
        alike(normal, uniform) && alike(normal_tanh, uniform_tanh),
        format!(
            "Test accuracy from a standard deviation of 0.1: normal {normal:.1}% and uniform {uniform:.1}% with ReLU, \
             {normal_tanh:.1}% and {uniform_tanh:.1}% with tanh."
        ),
    )
    .finding(
        "pre-trained weights need fewer steps than random ones",
        trained_relu.is_clearly_below(&random_relu) && trained_tanh.is_clearly_below(&random_tanh),
        format!(
            "Steps of the best random and of the best pre-trained start, each at its best rate: {random_relu} and \
             {trained_relu} with ReLU, {random_tanh} and {trained_tanh} with tanh. At the smallest rate, {slow}, the \
             validation accuracy over the run is {:.1}% from He and {:.1}% from parity with ReLU, {:.1}% and {:.1}% with \
             tanh. With {FEW} labelled images and ReLU the test accuracy is {he_few:.1}% from He, {rebuild_few:.1}% from \
             rebuild, {parity_few:.1}% from parity.",
            early(&with_relu, Start::He),
            early(&with_relu, Start::Parity),
            early(&with_tanh, Start::He),
            early(&with_tanh, Start::Parity),
        ),
    ))
}
