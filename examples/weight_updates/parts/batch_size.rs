//! Batch sizes, with the learning rate as it is and scaled.

use std::fmt;
use std::time::Duration;

use gradus::Params;
use gradus::data::Batch;
use gradus::nn::{Layer, Mode, loss};
use gradus::optim::{Optimizer, Sgd};
use gradus::train::plot::Plot;
use gradus::train::sweep::SweepRow;
use gradus::train::{History, Step, Sweep};

use crate::Failure;
use crate::convergence::{Convergence, Target};
use crate::report::{Part, Table};
use crate::study::Study;
use crate::training::{Training, at, mean, network};

const SIZES: [usize; 7] = [8, 16, 32, 64, 128, 256, 512];
const RATES: [f64; 5] = [0.03, 0.1, 0.3, 1.0, 3.0];
const LOSS: f64 = 0.2;

/// How the learning rate follows the batch size.
#[derive(Clone, Copy, PartialEq)]
enum Scaling {
    Constant,
    Root,
    Linear,
}

const SCALINGS: [Scaling; 3] = [Scaling::Constant, Scaling::Root, Scaling::Linear];

impl Scaling {
    /// The rate, given that of batches of 32.
    fn rate(self, base: f64, size: usize) -> f64 {
        let times = size as f64 / 32.0;
        match self {
            Self::Constant => base,
            Self::Root => base * times.sqrt(),
            Self::Linear => base * times,
        }
    }
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Root => "square root",
            Self::Linear => "linear",
        })
    }
}

type Row = SweepRow<((f64, Scaling), usize)>;

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let images = study.digits.train.len();
    let epochs_all = study.pick(40, 12);
    // At least 100 steps, as the update is looked at there; evaluations lie about an epoch apart, and at 100.
    let training = |size: usize| {
        let epoch = (images / size) as u64;
        let every = (1..=epoch.min(100)).rev().find(|every| 100_u64.is_multiple_of(*every)).unwrap_or(1);
        Training { digits: &study.digits, steps: (epochs_all * epoch).max(100), batch: size, every }
    };
    let run = |rate: f64, size: usize, seed: u64| {
        let mut params = Params::new(seed);
        let model = network(&mut params);
        training(size).run(&mut params, &model, Optimizer::new(Sgd::new(rate)), seed)
    };
    let rates = Sweep::new(RATES).seeds(study.seeds()).run(|&rate, seed| run(rate, 32, seed))?;
    let chosen = rates.least(|row| row.of(|history| mean(history, "validation loss")).mean);
    let base = *chosen.map_or(&0.1, SweepRow::options);
    let bases = [base, base / 10.0];
    let options =
        bases.iter().flat_map(|&base| SCALINGS.map(|scaling| (format!("{scaling}, {base}"), (base, scaling))));
    let found = Sweep::named(options).crossed(SIZES).seeds(study.seeds());
    let found = found.run(|&((base, scaling), size), seed| run(scaling.rate(base, size), size, seed))?;
    let row_of = |base: f64, scaling: Scaling, size: usize| {
        found.find(|&options| options == ((base, scaling), size)).expect("all were run")
    };
    let steps = |row: &Row| Convergence::of(row, "loss", Target(LOSS));
    let passes = |row: &Row| steps(row).mean() * row.options().1 as f64 / images as f64;
    let update = |row: &Row| row.of(|history| at(history, 100, "weight update")).mean;

    let head = [
        "batch",
        "update at 100",
        "steps to 0.2",
        "epochs to 0.2",
        "time to 0.2",
        "time of an epoch",
        "last loss",
        "validation",
    ];
    let mut constant = Table::new(head);
    let mut plot = Plot::new("Loss over epochs, one learning rate").axes("epoch", "training loss, nats").log_y();
    for size in SIZES {
        let row = row_of(base, Scaling::Constant, size);
        let epoch = (images / size) as f64;
        let seconds = row.of(|history| history.last("seconds") / history.last("step")).mean;
        constant.push([
            size.to_string(),
            format!("{:.2e}", update(row)),
            steps(row).to_string(),
            count(passes(row)),
            if passes(row).is_finite() {
                study.time(Duration::from_secs_f64(seconds * steps(row).mean()))
            } else {
                "·".to_owned()
            },
            study.time(Duration::from_secs_f64(if seconds.is_finite() { seconds * epoch } else { 0.0 })),
            format!("{:.3}", row.of(|history| history.last("loss"))),
            format!("{:.1}%", row.of(|history| 100.0 * history.last("validation accuracy"))),
        ]);
        let mean_loss = |&step: &f64| (step / epoch, row.of(|history| at(history, step as u64, "loss")).mean);
        let evaluated = row.runs()[0].1.column("step").iter().filter(|&&step| step <= epochs_all as f64 * epoch);
        plot = plot.line(&size.to_string(), &evaluated.map(mean_loss).collect::<Vec<_>>());
    }
    let scaled = |base: f64| {
        let names = SCALINGS.iter().flat_map(|scaling| [format!("{scaling}: update"), "epochs".to_owned()]);
        let mut table = Table::new(["batch".to_owned()].into_iter().chain(names));
        for size in SIZES {
            let cells = SCALINGS.iter().flat_map(|&scaling| {
                let row = row_of(base, scaling, size);
                [format!("{:.2e}", update(row)), count(passes(row))]
            });
            table.push([size.to_string()].into_iter().chain(cells));
        }
        table
    };
    let noise = noise(study)?;
    let mut noises = Table::new([
        "batch",
        "noise at start",
        "noise/gradient",
        "noise after 100",
        "noise/gradient",
        "by 1/√batch",
        "corrected",
    ]);
    for line in &noise {
        let pair = |(noise, ratio): (f64, f64)| [format!("{noise:.3}"), format!("{ratio:.2}")];
        let by_theory = [line.expected, line.corrected].map(|noise| format!("{noise:.3}"));
        let cells =
            [line.size.to_string()].into_iter().chain(pair(line.start)).chain(pair(line.later)).chain(by_theory);
        noises.push(cells);
    }
    let points = |of: fn(&Noise) -> f64| noise.iter().map(|line| (line.size as f64, of(line))).collect::<Vec<_>>();
    let noise_plot = Plot::new("Noise of the gradient")
        .axes("batch size", "standard deviation")
        .log_x()
        .log_y()
        .line("at the start", &points(|line| line.start.0))
        .line("after 100 steps", &points(|line| line.later.0))
        .line("by 1/√batch", &points(|line| line.expected));
    let off = |line: &Noise, expected: f64| (line.later.0 / expected - 1.0).abs();
    let within = noise.iter().take_while(|line| off(line, line.expected) <= 0.1).last().map_or(0, |line| line.size);
    let corrected = noise.iter().map(|line| off(line, line.corrected)).fold(0.0, f64::max);
    let balance = noise[0].later.1.powi(2) * noise[0].size as f64;

    let constant_at = |size: usize| row_of(base, Scaling::Constant, size);
    let sequence = |value: &dyn Fn(usize) -> String| SIZES.map(value).join(", ");
    let epochs = sequence(&|size| count(passes(constant_at(size))));
    let updates = sequence(&|size| format!("{:.1e}", update(constant_at(size))));
    let is_kept = |base: f64, size: usize| {
        let [here, there] = [32, size].map(|size| passes(row_of(base, Scaling::Linear, size)));
        here.is_finite() && (there / here - 1.0).abs() <= 0.25
    };
    let kept = |base: f64| {
        let others = SIZES.iter().filter(|&&size| size != 32 && is_kept(base, size));
        let sizes: Vec<String> = others.map(usize::to_string).collect();
        if sizes.is_empty() { "no other size".to_owned() } else { sizes.join(", ") }
    };
    let [root, linear] = [Scaling::Root, Scaling::Linear].map(|scaling| passes(row_of(base / 10.0, scaling, 128)));
    let [small, large] = [32, 512].map(|size| passes(constant_at(size)));
    let part = Part::new(
        "Batch size",
        "Larger batches have less noise in the gradient and make smaller updates at the same learning rate; with the rate scaled \
         in proportion they learn as much in an epoch, up to a limit.",
        "The gradient of a batch is a mean over its images, so its variance falls as one divided by their number; images of one \
         epoch are drawn without replacement, which takes away the share of the images that the batch already holds. Where the \
         noise is larger than the gradient, a step of twice the images and twice the rate does the work of two steps. Where it \
         is smaller, or where the rate would pass the limit of stability, it does not, and the images are wasted: the best rate \
         of small batches is already near that limit, so that scaling up from there fails at once.",
    )
    .setup(format!(
        "Digits ({images} training images), network 64-32-10 with ReLU, {epochs_all} epochs and at least 100 steps of plain SGD, {} seeds. \
         The rate {base} is the best of {} for batches of 32 by the validation loss, averaged over all evaluations and seeds; \
         for the other sizes it stays as it is, \
         or is scaled by the root of size/32, or by size/32; all of it again from a tenth of that rate. \
         The noise is measured on {} batches at one set of weights: the root of the mean squared distance of their gradients from \
         that of all images, as a norm over all weights.",
        study.seeds().end,
        RATES.len(),
        batches(study)
    ))
    .table("One learning rate, the best for batches of 32; steps, epochs and time to a training loss of 0.2", constant)
    .picture("batch-size", "Training loss over epochs at that rate, for each batch size; mean over seeds.", &plot)?
    .table("The rate scaled from the best for batches of 32: update at iteration 100, epochs to 0.2 (a dot where a seed does not arrive)", scaled(base))
    .table("The same from a tenth of that rate", scaled(base / 10.0))
    .table("Noise at the initial weights and after 100 steps of 32 images at the rate 0.1; that by 1/√batch from the batches of 8, and corrected for drawing without replacement", noises)
    .picture("batch-size-noise", "Standard deviation of the gradient between batches of one size.", &noise_plot)?
    .finding(
        "the noise of the gradient falls with the root of the batch size, to a tenth",
        within == SIZES[SIZES.len() - 1],
        format!(
            "After 100 steps it does so up to batches of {within}; corrected for drawing without replacement the largest difference \
             is {:.0}%. Noise and gradient are of one size at batches of about {balance:.0}.",
            100.0 * corrected
        ),
    )
    .finding(
        "at one learning rate the update at iteration 100 is smaller with batches of 512 than with 32",
        update(constant_at(512)) < update(constant_at(32)),
        format!("At the rate {base} it is, for batches of 8 to 512: {updates}."),
    )
    .finding(
        "larger batches need fewer epochs at the same rate: 512 fewer than 32",
        large < small,
        format!("Epochs to a loss of {LOSS}, for batches of 8 to 512 (a dot where a seed does not arrive): {epochs}."),
    )
    .finding(
        "with the rate scaled linearly from the best for 32, all larger batches need as many epochs, to a quarter",
        SIZES.iter().filter(|&&size| size > 32).all(|&size| is_kept(base, size)),
        format!("From the rate {base} as many are needed by {}; from {} by {}.", kept(base), base / 10.0, kept(base / 10.0)),
    )
    .finding(
        "scaling by the root serves large batches better than linear scaling: fewer epochs at 128, from a tenth of the best rate",
        root < linear,
        format!("Epochs to a loss of {LOSS}: {} by the root, {} linearly (a dot where a seed does not arrive).", count(root), count(linear)),
    );
    Ok(part)
}

/// Batches by which the noise is measured.
fn batches(study: &Study) -> usize {
    study.pick(200, 50)
}

fn count(value: f64) -> String {
    if value.is_finite() { format!("{value:.1}") } else { "·".to_owned() }
}

/// The noise of the gradient of batches of one size, and that divided by the norm of the gradient: at the initial weights and
/// after 100 steps.
struct Noise {
    size: usize,
    start: (f64, f64),
    later: (f64, f64),
    /// What the noise after 100 steps is by that of the smallest batches.
    expected: f64,
    /// The same, with batches drawn without replacement.
    corrected: f64,
}

/// Measured at the same weights for all sizes, over the seeds.
fn noise(study: &Study) -> Result<Vec<Noise>, Failure> {
    let train = &study.digits.train;
    let (batches, images) = (batches(study), train.len() as f64);
    let measured = Sweep::new(SIZES).seeds(study.seeds()).run(|&size, seed| {
        let mut params = Params::new(seed);
        let model = network(&mut params);
        let mut history = History::default();
        for steps in [0, 100] {
            if steps > 0 {
                let training = Training { digits: &study.digits, steps, batch: 32, every: steps };
                training.run(&mut params, &model, Optimizer::new(Sgd::new(0.1)), seed)?;
            }
            let mut step =
                Step::new(|_, [images, digits]| loss::cross_entropy(model.forward_in(images, Mode::Train), digits));
            let mut gradient = |batch: &Batch| -> Result<Vec<f64>, Failure> {
                let gradients = step.at(&params, (&batch.inputs, &batch.targets))?;
                Ok(gradients.iter().flat_map(|(_, values)| values.data()).map(|&value| f64::from(value)).collect())
            };
            let whole = gradient(&train.full_batch())?;
            let of_size = (0..).flat_map(|epoch| train.batches(size).shuffled(seed, epoch).drop_last());
            let mut squares = 0.0;
            for batch in of_size.take(batches) {
                let found = gradient(&batch)?;
                squares += found.iter().zip(&whole).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / batches as f64;
            }
            let norm = whole.iter().map(|value| value * value).sum::<f64>().sqrt();
            history.push([("noise", squares.sqrt()), ("ratio", squares.sqrt() / norm)]);
        }
        Ok::<_, Failure>(history)
    })?;
    let pair = |row: &SweepRow<usize>, place: usize| {
        let of = |column: &str| row.of(|history| history.column(column)[place]).mean;
        (of("noise"), of("ratio"))
    };
    let left = |size: f64| ((images - size) / (images - 1.0)).sqrt();
    let by_root = |size: f64, from: f64| from * (SIZES[0] as f64 / size).sqrt();
    let from = pair(&measured.rows()[0], 1).0;
    let line = |row: &SweepRow<usize>| {
        let size = *row.options() as f64;
        let expected = by_root(size, from);
        let corrected = expected * left(size) / left(SIZES[0] as f64);
        Noise { size: *row.options(), start: pair(row, 0), later: pair(row, 1), expected, corrected }
    };
    Ok(measured.rows().iter().map(line).collect())
}
