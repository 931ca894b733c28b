//! Gradient descent with all images in a step, one, or some.

use std::fmt;
use std::time::Duration;

use gradus::Params;
use gradus::nn::{Layer, Mode, loss};
use gradus::optim::{Optimizer, Sgd};
use gradus::train::plot::Plot;
use gradus::train::sweep::SweepRow;
use gradus::train::{History, Step, Sweep};

use crate::Failure;
use crate::convergence::{Convergence, Target};
use crate::report::{Part, Table};
use crate::study::{Digits, Study};
use crate::training::{Training, at, evaluation, mean, network};

#[derive(Clone, Copy, PartialEq)]
enum Variant {
    Batch,
    Stochastic,
    MiniBatch,
}

const VARIANTS: [Variant; 3] = [Variant::Batch, Variant::Stochastic, Variant::MiniBatch];
const RATES: [f64; 7] = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];
/// The rate at which all paths are looked at, beside the best of each.
const COMMON: f64 = 0.03;
const LOSS: f64 = 0.2;

impl Variant {
    /// Images of a step.
    fn size(self, digits: &Digits) -> usize {
        match self {
            Self::Batch => digits.train.len(),
            Self::Stochastic => 1,
            Self::MiniBatch => 32,
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Batch => "batch",
            Self::Stochastic => "stochastic",
            Self::MiniBatch => "mini-batch",
        })
    }
}

type Row = SweepRow<(Variant, f64)>;

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let images = study.digits.train.len();
    let training = |variant: Variant| {
        let (steps, every) = match variant {
            Variant::Batch => study.pick((300, 5), (100, 5)),
            Variant::Stochastic => study.pick((12_000, 100), (2500, 100)),
            Variant::MiniBatch => study.pick((1200, 10), (300, 10)),
        };
        Training { digits: &study.digits, steps, batch: variant.size(&study.digits), every }
    };
    let found = Sweep::new(VARIANTS)
        .crossed(RATES)
        .seeds(study.seeds())
        .run(|&(variant, rate), seed| training(variant).tested(Optimizer::new(Sgd::new(rate)), seed))?;
    let best: Vec<Row> = VARIANTS
        .iter()
        .filter_map(|&variant| {
            let rows = found.select(|options| options.0 == variant);
            rows.least(|row| row.of(|history| mean(history, "validation loss")).mean).cloned()
        })
        .collect();
    let arrival = |row: &Row| Convergence::of(row, "loss", Target(LOSS));
    let passes = |row: &Row, steps: f64| steps * row.options().0.size(&study.digits) as f64 / images as f64;
    let head = [
        "",
        "images a step",
        "best rate",
        "steps to 0.2",
        "epochs to 0.2",
        "time to 0.2",
        "update at 100",
        "steps",
        "epochs",
        "last loss",
        "test",
    ];
    let mut table = Table::new(head);
    let mut over_steps = Plot::new("Loss over steps").axes("step", "training loss, nats").log_x().log_y();
    let mut over_epochs = Plot::new("Loss over epochs").axes("epoch", "training loss, nats").log_x().log_y();
    for row in &best {
        let variant = row.options().0;
        let steps = training(variant).steps;
        let seconds = row.of(|history| {
            let reached = Target(LOSS).reached(history, "loss");
            reached.map_or(f64::INFINITY, |step| at(history, step as u64, "seconds"))
        });
        let reached = passes(row, arrival(row).mean());
        table.push([
            variant.to_string(),
            variant.size(&study.digits).to_string(),
            row.options().1.to_string(),
            arrival(row).to_string(),
            if reached.is_finite() { format!("{reached:.1}") } else { "not reached".to_owned() },
            if seconds.mean.is_finite() { study.time(Duration::from_secs_f64(seconds.mean)) } else { "·".to_owned() },
            format!("{:.2e}", row.of(|history| at(history, 100, "weight update")).mean),
            steps.to_string(),
            format!("{:.0}", passes(row, steps as f64)),
            format!("{:.4}", row.of(|history| at(history, steps, "loss"))),
            format!("{:.1}%", row.of(|history| 100.0 * history.last("test accuracy"))),
        ]);
        let curves = row.curves("step", "loss");
        over_steps = over_steps.runs(&variant.to_string(), &curves);
        let by_epoch =
            |curve: Vec<(f64, f64)>| curve.into_iter().map(|(step, loss)| (passes(row, step), loss)).collect();
        let curves: Vec<Vec<(f64, f64)>> = curves.into_iter().map(by_epoch).collect();
        over_epochs = over_epochs.runs(&variant.to_string(), &curves);
    }

    let options = VARIANTS.map(|variant| (variant, COMMON)).into_iter().chain(best.iter().map(|row| *row.options()));
    let named = options.enumerate().map(|(number, options)| (number.to_string(), options));
    let paths = Sweep::named(named).seeds(study.seeds());
    let paths = paths.run(|&(variant, rate), seed| path(study, variant.size(&study.digits), rate, seed))?;
    let mut noise = Table::new(["", "rate", "cosine", "length/distance", "loss rises"]);
    for row in paths.rows() {
        noise.push([
            row.options().0.to_string(),
            row.options().1.to_string(),
            format!("{:.2}", row.last("cosine")),
            format!("{:.2}", row.last("length/distance")),
            format!("{:.0}%", 100.0 * row.last("rises").mean),
        ]);
    }
    let [batch, stochastic, mini] = &best[..] else { return Err("a variant has no rate at which it learns".into()) };
    let [steps, epochs] = [false, true].map(|by_epoch| {
        [batch, mini, stochastic].map(|row| {
            let steps = arrival(row).mean();
            if by_epoch { passes(row, steps) } else { steps }
        })
    });
    let [common, own] = [0, 1].map(|half| &paths.rows()[half * VARIANTS.len()..][..VARIANTS.len()]);
    let cosine = |rows: &[Row], variant: usize| rows[variant].last("cosine").mean;
    let rises = |rows: &[Row]| rows[0].last("rises").mean;
    let winding = |variant: usize| common[variant].last("length/distance").mean;
    let list = |values: [f64; 3], digits: usize| {
        let text =
            |value: f64| if value.is_finite() { format!("{value:.digits$}") } else { "more than were made".to_owned() };
        let [batch, mini, stochastic] = values.map(text);
        format!(
            "{batch} with all images, {mini} with {}, {stochastic} with one",
            Variant::MiniBatch.size(&study.digits)
        )
    };
    let part = Part::new(
        "Gradient descent variants",
        "Batch gradient descent goes straight down, in few and dear steps; stochastic gradient descent makes many cheap ones \
         along a path full of noise; mini-batches lie between.",
        "The mean gradient of some images is that of all images plus noise. While the noise is small beside the gradient, more \
         images a step add work and little else, so that small batches make more progress in an epoch; a step of many images \
         uses the processor better, which is why the time decides for mini-batches. Noise is not the only reason for a crooked path: \
         at the fastest rate the steps of batch gradient descent overshoot across the steepest directions, and successive \
         updates point against each other.",
    )
    .setup(format!(
        "Digits, network 64-32-10 with ReLU, plain SGD on all {images} training images a step, one, or 32, {} seeds. The rate of each \
         is the one of {} with the lowest validation loss, averaged over all evaluations and seeds. The path is that of the \
         first 100 steps, at the rate {COMMON} and at the best of each: the cosine between an update and the next, the length of \
         the path divided by the distance between its ends, and the share of steps at which the loss over all images rises.",
        study.seeds().end,
        RATES.len()
    ))
    .table("Each at its best rate; steps, epochs and time to a training loss of 0.2", table)
    .picture("descent-steps", "Training loss over steps; the band is one standard deviation over seeds.", &over_steps)?
    .picture("descent-epochs", "The same losses over epochs: passes over all training images.", &over_epochs)?
    .table("The path of the first 100 steps", noise)
    .finding(
        "the more images a step sees, the fewer steps are needed",
        steps[0] < steps[1] && steps[1] < steps[2],
        format!("Steps to a loss of {LOSS}: {}.", list(steps, 0)),
    )
    .finding(
        "the fewer images a step sees, the fewer epochs are needed",
        epochs[2] < epochs[1] && epochs[1] < epochs[0],
        format!("Epochs to a loss of {LOSS}: {}.", list(epochs, 1)),
    )
    .finding(
        "the path of batch gradient descent is straight at its best rate: the cosine between an update and the next is above 0.9",
        cosine(own, 0) > 0.9,
        format!(
            "It is {:.2} at the rate {}, and {:.2} at {COMMON}.",
            cosine(own, 0),
            own[0].options().1,
            cosine(common, 0)
        ),
    )
    .finding(
        "every step of batch gradient descent lowers the loss, at its best rate",
        rises(own) == 0.0,
        format!(
            "The loss rises at {:.0}% of the first 100 steps at the rate {}, and at {:.0}% at {COMMON}.",
            100.0 * rises(own),
            own[0].options().1,
            100.0 * rises(common)
        ),
    )
    .finding(
        "at one rate the path is the more crooked the fewer images a step sees",
        winding(0) < winding(2) && winding(2) < winding(1) && cosine(common, 0) > cosine(common, 2) && cosine(common, 2) > cosine(common, 1),
        format!(
            "Length beside distance at the rate {COMMON}: {}. Cosines: {}.",
            list([winding(0), winding(2), winding(1)], 1),
            list([cosine(common, 0), cosine(common, 2), cosine(common, 1)], 2)
        ),
    );
    Ok(part)
}

/// The first hundred steps as a path: the mean `cosine` between an update and the next, its `length/distance` from the start to
/// the end, and how often the loss over all images `rises`.
fn path(study: &Study, size: usize, rate: f64, seed: u64) -> Result<History, Failure> {
    const STEPS: usize = 100;
    let train = &study.digits.train;
    let mut params = Params::new(seed);
    let model = network(&mut params);
    let mut step = Step::new(|_, [images, digits]| loss::cross_entropy(model.forward_in(images, Mode::Train), digits));
    let mut rule = Optimizer::new(Sgd::new(rate));
    let mut evaluate = evaluation(&model);
    let scalars = |params: &Params| -> Vec<f64> {
        params.trainable().flat_map(|param| params.get(param).data()).map(|&value| value.into()).collect()
    };
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
    let norm = |a: &[f64]| product(a, a).sqrt();

    let start = scalars(&params);
    let (mut before, mut last): (Vec<f64>, Option<Vec<f64>>) = (start.clone(), None);
    let (mut length, mut cosines, mut rises) = (0.0, 0.0, 0);
    let [mut loss, _] = evaluate(&params, train)?;
    let batches = (0..).flat_map(|epoch| train.batches(size).shuffled(seed, epoch).drop_last());
    for batch in batches.take(STEPS) {
        let gradients = step.run(&mut params, (&batch.inputs, &batch.targets))?;
        rule.step(&mut params, &gradients)?;
        let now = scalars(&params);
        let update = difference(&now, &before);
        length += norm(&update);
        if let Some(last) = &last {
            cosines += product(last, &update) / (norm(last) * norm(&update)).max(f64::MIN_POSITIVE);
        }
        let [after, _] = evaluate(&params, train)?;
        rises += usize::from(after > loss);
        (before, last, loss) = (now, Some(update), after);
    }
    let mut history = History::default();
    history.push([
        ("cosine", cosines / (STEPS - 1) as f64),
        ("length/distance", length / norm(&difference(&before, &start))),
        ("rises", rises as f64 / STEPS as f64),
    ]);
    Ok(history)
}
