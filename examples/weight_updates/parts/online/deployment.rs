//! What is done with a model that is deployed.

use std::fmt;
use std::time::{Duration, Instant};

use gradus::data::Dataset;
use gradus::nn::{Layer, Mode, loss};
use gradus::optim::{Adam, Optimizer, Sgd};
use gradus::train::statistics::Updates;
use gradus::train::{Function, History, Step};
use gradus::{Params, Tensor};

use super::stream::{DEGREES, Length, all_turned, stream};
use crate::Failure;
use crate::study::Digits;
use crate::training::{evaluation, network};

/// Steps of a training from nothing, and images of each.
pub(super) const STEPS: usize = 300;
const BATCH: usize = 32;

/// What becomes of a model that is deployed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Care {
    Frozen,
    /// A step of plain gradient descent after each example, at a rate.
    Online(f64),
    /// Trained anew at intervals, on the examples since the last time.
    Latest,
    /// Trained anew at intervals, on all examples so far, those before the stream too.
    All,
}

impl fmt::Display for Care {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frozen => f.write_str("frozen"),
            Self::Online(rate) => write!(f, "online at {rate}"),
            Self::Latest => f.write_str("retrained on the latest"),
            Self::All => f.write_str("retrained on all"),
        }
    }
}

/// Trains a network that knows nothing yet.
fn train(params: &mut Params, model: &impl Layer, data: &Dataset, seed: u64) -> Result<(), Failure> {
    let mut step = Step::new(|_, [images, digits]| loss::cross_entropy(model.forward_in(images, Mode::Train), digits));
    let mut adam = Optimizer::new(Adam::new(0.01));
    let batches = (0..).flat_map(|epoch| data.batches(BATCH).shuffled(seed, epoch));
    for batch in batches.filter(|batch| batch.inputs.shape()[0] == BATCH).take(STEPS) {
        let gradients = step.run(params, (&batch.inputs, &batch.targets))?;
        adam.step(params, &gradients)?;
    }
    Ok(())
}

/// The mean magnitude of the difference of all weights.
fn change(before: &Params, after: &Params) -> f64 {
    Updates::new(before).measure(after, []).weight_update()
}

/// Answers each example of a stream before its label is seen, and then learns or does not. A row of the history is a
/// window of the stream; the last row is of the test images.
pub(super) fn run(digits: &Digits, length: Length, care: Care, seed: u64) -> Result<History, Failure> {
    let (known, stream) = stream(digits, length, seed);
    let mut params = Params::new(seed);
    let model = network(&mut params);
    let fresh = params.clone();
    train(&mut params, &model, &known, seed)?;
    let mut answer = Function::new(|_, [images]| [model.forward_in(images, Mode::Eval).argmax(-1)]);
    let mut step = Step::new(|_, [images, digits]| loss::cross_entropy(model.forward_in(images, Mode::Train), digits));
    let mut rule = Optimizer::new(Sgd::new(if let Care::Online(rate) = care { rate } else { 0.0 }));
    let mut evaluate = evaluation(&model);
    let first = evaluate(&params, &digits.test)?[1];
    let (mut history, mut right, mut update, mut checked) = (History::default(), 0, 0.0, Vec::new());
    // What runs first is compiled.
    let warm = stream.sample(0);
    answer.run(&params, &warm.inputs)?;
    step.at(&params, (&warm.inputs, &warm.targets))?;
    let ([mut answering, mut learning], mut lessons) = ([Duration::ZERO; 2], 0_u32);
    for place in 0..length.stream {
        let example = stream.sample(place);
        let start = Instant::now();
        let said = answer.run(&params, &example.inputs)?[0].index().item();
        answering += start.elapsed();
        right += usize::from(said == example.targets.item());
        let old = params.clone();
        let start = Instant::now();
        match care {
            Care::Frozen => {}
            Care::Online(_) => {
                let gradients = step.run(&mut params, (&example.inputs, &example.targets))?;
                rule.step(&mut params, &gradients)?;
            }
            Care::Latest | Care::All if !(place + 1).is_multiple_of(length.interval) => {}
            Care::Latest => {
                let latest: Vec<usize> = (place + 1 - length.interval..=place).collect();
                params = fresh.clone();
                train(&mut params, &model, &stream.select(&latest), seed)?;
            }
            Care::All => {
                let so_far = stream.select(&(0..=place).collect::<Vec<_>>());
                let inputs = Tensor::concat(&[known.inputs(), so_far.inputs()], 0);
                let targets = Tensor::concat(&[known.targets(), so_far.targets()], 0);
                params = fresh.clone();
                train(&mut params, &model, &Dataset::new(inputs, targets), seed)?;
            }
        }
        let took = start.elapsed();
        let moved = change(&old, &params);
        if moved > 0.0 {
            learning += took;
            lessons += 1;
            update += moved;
        }
        if (place + 1).is_multiple_of(length.window) {
            let window = length.window as f64;
            let accuracy = evaluate(&params, &all_turned(&digits.validation, |_| length.angle(place)))?[1];
            checked.push(accuracy);
            history.push([
                ("example", (place + 1) as f64),
                ("right", 100.0 * right as f64 / window),
                ("update", update / window),
            ]);
            (right, update) = (0, 0.0);
        }
    }
    let [each, learnt] = [answering, learning].map(|time| time.as_secs_f64() / length.stream as f64);
    let last = evaluate(&params, &all_turned(&digits.test, |_| DEGREES))?[1];
    history.push([
        ("validation", 100.0 * checked.iter().sum::<f64>() / checked.len() as f64),
        ("upright before", 100.0 * first),
        ("upright after", 100.0 * evaluate(&params, &digits.test)?[1]),
        ("turned after", 100.0 * last),
        ("answer", each),
        ("learning", learnt),
        ("lesson", learning.as_secs_f64() / f64::from(lessons.max(1))),
    ]);
    Ok(history)
}
