//! Penalties, weight decay, dropout and early stopping on few images.

use std::fmt;

use gradus::data::Dataset;
use gradus::nn::{Dense, Dropout, Layer, Mode, Relu, loss, penalty};
use gradus::optim::{Adam, DecayWeights, Only, Optimizer, ProximalL1, Sgd};
use gradus::train::metrics::Accuracy;
use gradus::train::plot::Plot;
use gradus::train::sweep::{Spread, SweepResults, SweepRow};
use gradus::train::{EarlyStopping, Evaluation, History, Sweep, Trainer};
use gradus::{Param, Params, Tensor};

use crate::Failure;
use crate::report::{Part, Table};
use crate::study::{Digits, Study};
use crate::training::{Training, at, evaluation};

/// Images to train on, and of a step.
const IMAGES: usize = 120;
const BATCH: usize = 40;
const RATE: f64 = 0.003;
/// How many of ten labels are wrong in the second comparison.
const WRONG: usize = 3;

#[derive(Clone, Copy, PartialEq)]
enum Method {
    None,
    /// `λ·Σ|w|` in the loss.
    L1,
    /// The proximal step after each step.
    ProximalL1,
    /// `λ/2·Σw²` in the loss.
    L2,
    /// Decay beside the gradient, as in AdamW.
    Decay,
    Dropout,
    /// The strength is the patience in epochs.
    EarlyStopping,
}

/// All methods with their strengths; the first is none, the last early stopping.
const METHODS: [(Method, &[f64]); 7] = [
    (Method::None, &[0.0]),
    (Method::L1, &[1e-4, 3e-4, 1e-3, 3e-3, 1e-2]),
    (Method::ProximalL1, &[0.003, 0.01, 0.03, 0.1, 0.3]),
    (Method::L2, &[1e-4, 1e-3, 1e-2, 3e-2, 0.1]),
    (Method::Decay, &[0.03, 0.1, 0.3, 1.0, 3.0]),
    (Method::Dropout, &[0.1, 0.3, 0.5, 0.7, 0.9]),
    (Method::EarlyStopping, &[3.0, 10.0, 30.0]),
];

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::L1 => "L1 in the loss",
            Self::ProximalL1 => "L1, proximal",
            Self::L2 => "L2 in the loss",
            Self::Decay => "weight decay",
            Self::Dropout => "dropout",
            Self::EarlyStopping => "early stopping",
        })
    }
}

fn is_weight(name: &str) -> bool {
    name.ends_with("weight")
}

type Row = SweepRow<(Method, f64)>;
type Found = SweepResults<(Method, f64)>;
type Model = (Dense, Relu, Dropout, Dense);

fn network(params: &mut Params, dropped: f64) -> Model {
    (Dense::new(params, "hidden", 64, 64), Relu, Dropout::new(dropped), Dense::new(params, "output", 64, 10))
}

/// The first steps of a run up to where early stopping has its best epoch.
fn steps_to_best(digits: &Digits, patience: u64, steps: u64, seed: u64) -> Result<u64, Failure> {
    let mut params = Params::new(seed);
    let model = network(&mut params, 0.0);
    let evaluation = Evaluation::new(|_, [images, digits]| {
        let logits = model.forward_in(images, Mode::Eval);
        [loss::cross_entropy(logits, digits), logits]
    });
    let mut trainer = Trainer::new(Adam::new(RATE), |_, [images, digits]| {
        loss::cross_entropy(model.forward_in(images, Mode::Train), digits)
    })
    .epochs(steps / (IMAGES / BATCH) as u64)
    .validation(evaluation.metric(Accuracy::new()), || digits.validation.batches(digits.validation.len()))
    .early_stopping(EarlyStopping::new("validation loss", patience));
    let history = trainer.fit(&mut params, |epoch| digits.train.batches(BATCH).shuffled(seed, epoch))?;
    let losses = history.column("validation loss").iter().enumerate();
    let best = losses.min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(epoch, _)| epoch + 1);
    Ok((best * (IMAGES / BATCH)) as u64)
}

fn run(digits: &Digits, steps: u64, method: Method, strength: f64, seed: u64) -> Result<History, Failure> {
    let mut params = Params::new(seed);
    let model = network(&mut params, if method == Method::Dropout { strength } else { 0.0 });
    let weights: Vec<Param> = params.trainable().filter(|param| is_weight(param.name())).cloned().collect();
    let rule = match method {
        Method::ProximalL1 => Optimizer::new((Adam::new(RATE), Only::new(is_weight, ProximalL1::new(strength)))),
        Method::Decay => Optimizer::new((Adam::new(RATE), Only::new(is_weight, DecayWeights::new(strength)))),
        _ => Optimizer::new(Adam::new(RATE)),
    };
    let steps = match method {
        Method::EarlyStopping => steps_to_best(digits, strength as u64, steps, seed)?,
        _ => steps,
    };
    let training = Training { digits, steps, batch: BATCH, every: 20 };
    let mut history = training.run_with(
        &mut params,
        &model,
        rule,
        seed,
        |graph, loss| match method {
            Method::L1 => loss + penalty::l1(graph, &weights) * strength,
            Method::L2 => loss + penalty::l2(graph, &weights) * (0.5 * strength),
            _ => loss,
        },
        |_, _| (),
    )?;
    let values: Vec<f64> =
        weights.iter().flat_map(|weight| params.get(weight).data()).map(|&w| w.abs().into()).collect();
    let share = |limit: f64| values.iter().filter(|&&size| size <= limit).count() as f64 / values.len() as f64;
    let mut evaluate = evaluation(&model);
    let [_, train] = evaluate(&params, &digits.train)?;
    let [validation_loss, validation] = evaluate(&params, &digits.validation)?;
    let [_, test] = evaluate(&params, &digits.test)?;
    history.push([
        ("last step", steps as f64),
        ("zero", 100.0 * share(0.0)),
        ("small", 100.0 * share(1e-3)),
        ("size", values.iter().sum::<f64>() / values.len() as f64),
        ("train", 100.0 * train),
        ("final loss", validation_loss),
        ("validation", 100.0 * validation),
        ("test", 100.0 * test),
    ]);
    Ok(history)
}

/// Few of the training images, with a number of every ten labels replaced by another digit.
fn few(digits: &Digits, wrong: usize, seed: u64) -> Digits {
    let images = digits.train.split(IMAGES, seed).test;
    let digit = |k: usize| {
        let (label, shift) = (images.targets().data()[k], 1 + (k as i64 / 10) % 9);
        if k % 10 < wrong { (label + shift) % 10 } else { label }
    };
    let train = Dataset::new(images.inputs().clone(), Tensor::from_fn([IMAGES], digit));
    Digits { train, validation: digits.validation.clone(), test: digits.test.clone() }
}

/// Each method at each strength, as the rows where the validation loss is lowest, and all.
fn sweep(study: &Study, steps: u64, wrong: usize) -> Result<(Vec<Row>, Found), Failure> {
    let options = METHODS.into_iter().flat_map(|(method, strengths)| strengths.iter().map(move |&s| (method, s)));
    let sweep = Sweep::named(options.map(|(method, strength)| (format!("{method} {strength}"), (method, strength))));
    let found = sweep
        .seeds(study.seeds())
        .run(|&(method, strength), seed| run(&few(&study.digits, wrong, seed), steps, method, strength, seed))?;
    let best = |(method, _)| found.select(|options| options.0 == method).lowest("final loss").cloned();
    Ok((METHODS.into_iter().filter_map(best).collect(), found))
}

/// How much higher the test accuracy is than without regularisation, seed by seed.
fn gain(row: &Row, none: &Row) -> Spread {
    let pairs = row.runs().iter().zip(none.runs());
    Spread::of(pairs.map(|((_, with), (_, without))| with.last("test") - without.last("test")))
}

/// Whether a mean is above 0 by more than two standard errors.
fn is_clear(gain: Spread) -> bool {
    gain.mean > 2.0 * gain.deviation / (gain.count as f64).sqrt()
}

/// How far two rules end from each other after 100 steps, in parts of the weights' own length.
fn apart(digits: &Digits, rules: [Optimizer; 2]) -> Result<f64, Failure> {
    let training = Training { digits, steps: 100, batch: BATCH, every: 100 };
    let mut ends = Vec::new();
    for rule in rules {
        let mut params = Params::new(0);
        let model = network(&mut params, 0.0);
        training.run(&mut params, &model, rule, 0)?;
        ends.push(params.iter().flat_map(|(_, value)| value.data().to_vec()).map(f64::from).collect::<Vec<_>>());
    }
    let squares = ends[0].iter().zip(&ends[1]).map(|(a, b)| ((a - b).powi(2), a * a));
    let (difference, length) = squares.fold((0.0, 0.0), |sums, of| (sums.0 + of.0, sums.1 + of.1));
    Ok((difference / length).sqrt())
}

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let steps = study.pick(900, 150);
    let (best, found) = sweep(study, steps, 0)?;
    let (wrong, _) = sweep(study, steps, WRONG)?;
    let strength = |row: &Row| match row.options() {
        (Method::None, _) => "·".to_owned(),
        (_, strength) => strength.to_string(),
    };
    let percent = |row: &Row, column: &str| format!("{:.1}%", row.last(column));
    let mut table = Table::new(["method", "strength", "update at 100", "zero", "≤ 0.001", "mean |w|", "train", "test"]);
    let mut noisy = Table::new(["method", "strength", "update at 100", "mean |w|", "train", "test", "gain"]);
    let mut losses = Plot::new("Each method at its best strength").axes("step", "validation loss, nats").log_y();
    let update = |row: &Row| row.of(|history| at(history, 100, "weight update")).mean;
    for row in &best {
        table.push([
            row.options().0.to_string(),
            strength(row),
            format!("{:.2e}", update(row)),
            format!("{:.1}%", row.last("zero").mean),
            format!("{:.1}%", row.last("small").mean),
            format!("{:.3}", row.last("size").mean),
            format!("{:.1}%", row.last("train").mean),
            percent(row, "test"),
        ]);
    }
    for row in &wrong {
        noisy.push([
            row.options().0.to_string(),
            strength(row),
            format!("{:.2e}", update(row)),
            format!("{:.3}", row.last("size").mean),
            format!("{:.1}%", row.last("train").mean),
            percent(row, "test"),
            format!("{:+.1}", gain(row, &wrong[0]).mean),
        ]);
        // The runs of early stopping are the first steps of those of none, of several lengths.
        if row.options().0 != Method::EarlyStopping {
            losses = losses.runs(&row.options().0.to_string(), &row.curves("step", "validation loss"));
        }
    }
    let mut zeros =
        Plot::new("How many weights are small").axes("weights of 0.001 or below, %", "validation accuracy, %");
    for method in [Method::L1, Method::ProximalL1, Method::L2, Method::Decay] {
        let rows = found.rows().iter().filter(|row| row.options().0 == method);
        let curve: Vec<_> = rows.map(|row| (row.last("small").mean, row.last("validation").mean)).collect();
        zeros = zeros.line(&method.to_string(), &curve).points(&method.to_string(), &curve);
    }

    let of = |rows: &[Row], method: Method| rows.iter().find(|row| row.options().0 == method).cloned();
    let row = |method: Method| of(&best, method).ok_or("a method has no finite validation loss");
    let [none, l1, proximal, early] =
        [row(Method::None)?, row(Method::L1)?, row(Method::ProximalL1)?, row(Method::EarlyStopping)?];
    let gains = |rows: &[Row]| {
        let listed = rows[1..].iter().map(|row| format!("{} {:.1}", row.options().0, gain(row, &rows[0])));
        listed.collect::<Vec<_>>().join("; ")
    };
    let clear = |rows: &[Row]| rows[1..].iter().filter(|row| is_clear(gain(row, &rows[0]))).count();
    let digits = few(&study.digits, 0, 0);
    let decay = |strength: f64| Only::new(is_weight, DecayWeights::new(strength));
    let sgd = [Optimizer::new((decay(0.01), Sgd::new(0.1))), Optimizer::new((Sgd::new(0.1), decay(0.01)))];
    let adam = [Optimizer::new((decay(0.01), Adam::new(RATE))), Optimizer::new((Adam::new(RATE), decay(0.01)))];
    let (of_sgd, of_adam) = (apart(&digits, sgd)?, apart(&digits, adam)?);
    let changes: Vec<f64> = best[1..].iter().map(|row| 100.0 * (update(row) / update(&none) - 1.0)).collect();
    let listed = best[1..].iter().zip(&changes).map(|(row, change)| format!("{} {change:+.0}%", row.options().0));
    let listed = listed.collect::<Vec<_>>().join("; ");
    // The best of the other methods is the one with the lowest validation loss.
    let rival = |rows: &[Row]| -> Option<Row> {
        let loss = |row: &Row| row.last("final loss").mean;
        rows[1..rows.len() - 1].iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).cloned()
    };
    let (rival_clean, rival_wrong) = (rival(&best).ok_or("no rival")?, rival(&wrong).ok_or("no rival")?);
    let early_wrong = of(&wrong, Method::EarlyStopping).ok_or("a method has no finite validation loss")?;
    Ok(Part::new(
        "Regularisation",
        "On few images a network learns its training data by heart; penalties, decay, dropout and early stopping keep it from \
         that and raise the accuracy on others. L1 sets weights to zero, L2 makes all of them small.",
        "The gradient of an L1 penalty has the same size at every weight, so that small weights are driven to zero and then \
         across it, back and forth; the proximal step stops them there. That of L2 is proportional to the weight and never \
         brings it to zero. In the loss, a penalty passes through Adam, which divides it by the size of the gradient: weights \
         with small gradients are decayed most, whereas decay beside the gradient shrinks all by one factor. Regularisation \
         has something to do where a network fits what does not carry over; clean digits have little of it, wrong labels much.",
    )
    .setup(format!(
        "{IMAGES} training images of the digits, others for each seed; network 64-64-10 with ReLU, Adam at {RATE} (not tuned), \
         batches of {BATCH}, {steps} steps, {} seeds. Penalties and decay act on weights, not on biases. The strength is the \
         factor of the penalty (of half the sum of squares for L2) or of the decay, the probability of dropping a hidden \
         unit, or the patience in epochs; of up to five it is the one with the lowest mean validation loss at the end. Early \
         stopping keeps the epoch of the lowest validation loss. Shares and sizes are of the weights after the last step.",
        study.seeds().end
    ))
    .table("Each method at its best strength; shares of weights that are exactly zero, and of those of at most 0.001", table)
    .picture(
        "regularization-zeros",
        "Penalties at all their strengths, from weak to strong along each line: small weights against accuracy.",
        &zeros,
    )?
    .table(
        "The same with three of ten training labels wrong; the gain is in points of test accuracy over none, seed by seed",
        noisy,
    )
    .picture(
        "regularization",
        "Validation loss with three of ten training labels wrong; the band is one standard deviation over seeds.",
        &losses,
    )?
    .finding(
        "regularisation raises the accuracy on held-out data when images are few",
        2 * clear(&best) >= best.len(),
        format!(
            "Gain in points of test accuracy: {}. {} of {} are above two standard errors. With three of ten training labels \
             wrong: {}. {} of {} are.",
            gains(&best),
            clear(&best),
            best.len() - 1,
            gains(&wrong),
            clear(&wrong),
            wrong.len() - 1
        ),
    )
    .finding(
        "an L1 penalty sets weights to zero",
        l1.last("zero").mean > 0.0,
        format!(
            "In the loss it leaves {:.1}% of the weights exactly zero and {:.1}% at 0.001 or below; the proximal step {:.1}% \
             and {:.1}%. At its largest strength the proximal step reaches {:.1}% zeros at a validation accuracy of {:.1}%.",
            l1.last("zero").mean,
            l1.last("small").mean,
            proximal.last("zero").mean,
            proximal.last("small").mean,
            largest(&found, Method::ProximalL1, "zero"),
            largest(&found, Method::ProximalL1, "validation"),
        ),
    )
    .finding(
        "an L2 penalty in the loss and weight decay are the same",
        of_adam < 1e-3,
        format!(
            "After 100 steps with a factor of 0.01 the weights of the two differ by {:.1e} of their length with plain SGD, \
             where it holds, and by {of_adam:.2} with Adam.",
            of_sgd
        ),
    )
    .finding(
        "a regularised network makes smaller updates",
        changes.iter().all(|&change| change < 0.0),
        format!("At iteration 100, beside none: {listed}."),
    )
    .finding(
        "early stopping does as well as the other methods, in fewer steps",
        !is_clear(gain(&rival_clean, &early)),
        format!(
            "Its best epoch ends at step {:.0} of {steps}, with a test accuracy of {:.1}%; {}, the best of the others on the \
             validation data, has {:.1}%. With wrong labels it has {:.1}%, and {} {:.1}%.",
            early.last("last step"),
            early.last("test"),
            rival_clean.options().0,
            rival_clean.last("test"),
            early_wrong.last("test"),
            rival_wrong.options().0,
            rival_wrong.last("test")
        ),
    ))
}

/// A value at the largest strength of a method.
fn largest(found: &Found, method: Method, column: &str) -> f64 {
    let row = found.rows().iter().rev().find(|row| row.options().0 == method);
    row.map_or(f64::NAN, |row| row.last(column).mean)
}
