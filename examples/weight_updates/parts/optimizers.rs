//! Update rules, each at its own best learning rate.

use std::fmt;

use gradus::optim::{Adagrad, Adam, AdamW, Muon, Optimizer, RmsProp, ScheduleFreeAdamW, Sgd};
use gradus::train::Sweep;
use gradus::train::plot::Plot;
use gradus::train::sweep::{Spread, SweepRow};

use crate::Failure;
use crate::convergence::{Convergence, Target};
use crate::report::{Part, Table};
use crate::study::Study;
use crate::training::{Training, at, mean};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Sgd,
    Momentum,
    Nesterov,
    Adagrad,
    RmsProp,
    Adam,
    AdamW,
    Muon,
    ScheduleFree,
}

const RULES: [Rule; 9] = [
    Rule::Sgd,
    Rule::Momentum,
    Rule::Nesterov,
    Rule::Adagrad,
    Rule::RmsProp,
    Rule::Adam,
    Rule::AdamW,
    Rule::Muon,
    Rule::ScheduleFree,
];

const RATES: [f64; 7] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0];

const LOSS: f64 = 0.1;

impl Rule {
    fn at(self, rate: f64) -> Optimizer {
        match self {
            Self::Sgd => Optimizer::new(Sgd::new(rate)),
            Self::Momentum => Optimizer::new(Sgd::new(rate).momentum(0.9)),
            Self::Nesterov => Optimizer::new(Sgd::new(rate).momentum(0.9).nesterov()),
            Self::Adagrad => Optimizer::new(Adagrad::new(rate)),
            Self::RmsProp => Optimizer::new(RmsProp::new(rate)),
            Self::Adam => Optimizer::new(Adam::new(rate)),
            Self::AdamW => Optimizer::new(AdamW::new(rate)),
            Self::Muon => Optimizer::new(Muon::new(rate)),
            Self::ScheduleFree => Optimizer::new(ScheduleFreeAdamW::new(rate)),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sgd => "SGD",
            Self::Momentum => "momentum 0.9",
            Self::Nesterov => "Nesterov 0.9",
            Self::Adagrad => "Adagrad",
            Self::RmsProp => "RMSprop",
            Self::Adam => "Adam",
            Self::AdamW => "AdamW",
            Self::Muon => "Muon",
            Self::ScheduleFree => "schedule-free AdamW",
        })
    }
}

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let steps = study.pick(600, 200);
    let training = Training { digits: &study.digits, steps, batch: 32, every: 10 };
    let sweep = Sweep::new(RULES).crossed(RATES).seeds(study.seeds());
    let found = sweep.run(|&(rule, rate), seed| training.tested(rule.at(rate), seed))?;

    let target = Target(LOSS);
    let mut table = Table::new(["rule", "best rate", "steps to 0.1", "loss", "update at 100", "validation", "test"]);
    let mut plot = Plot::new("Each rule at its best rate").axes("step", "training loss, nats").log_y();
    let mut best: Vec<&SweepRow<(Rule, f64)>> = Vec::new();
    for rule in RULES {
        let rows = found.rows().iter().filter(|row| row.options().0 == rule);
        // What a rule cannot do at any rate is a row of the table too.
        let Some(row) = rows.min_by(|a, b| score(a).total_cmp(&score(b))) else { continue };
        best.push(row);
        let percent = |column: &str| format!("{:.1}%", scaled(row, column, 100.0));
        table.push([
            rule.to_string(),
            row.options().1.to_string(),
            Convergence::of(row, "loss", target).to_string(),
            format!("{:.4}", row.of(|history| at(history, steps, "loss"))),
            format!("{:.2e}", row.of(|history| at(history, 100, "weight update")).mean),
            format!("{:.1}%", row.of(|history| 100.0 * at(history, steps, "validation accuracy"))),
            percent("test accuracy"),
        ]);
        plot = plot.runs(&rule.to_string(), &row.curves("step", "loss"));
    }
    let rates = Plot::new("Every rule at every rate").axes("learning rate", "mean validation loss");
    let sensitivity = RULES.iter().fold(rates.log_x().log_y(), |plot, &rule| {
        let rows = found.rows().iter().filter(|row| row.options().0 == rule);
        plot.line(&rule.to_string(), &rows.map(|row| (row.options().1, score(row))).collect::<Vec<_>>())
    });

    let steps_of =
        |rule: Rule| best.iter().find(|row| row.options().0 == rule).map(|row| Convergence::of(row, "loss", target));
    let [sgd, momentum, adam] = [Rule::Sgd, Rule::Momentum, Rule::Adam].map(steps_of);
    let mean_steps = |steps: &Option<Convergence>| steps.as_ref().map_or(f64::INFINITY, Convergence::mean);
    let text = |steps: &Option<Convergence>| steps.as_ref().map_or_else(|| "diverged".to_owned(), ToString::to_string);
    let rates: Vec<f64> = best.iter().map(|row| row.options().1).collect();
    let widest = rates.iter().copied().fold(0.0, f64::max) / rates.iter().copied().fold(f64::INFINITY, f64::min);
    let updates: Vec<f64> = best.iter().map(|row| row.of(|history| at(history, 100, "weight update")).mean).collect();
    let spread = updates.iter().copied().fold(0.0, f64::max) / updates.iter().copied().fold(f64::INFINITY, f64::min);
    Part::new(
        "Optimizers",
        "Adam and its relatives need fewer steps than plain gradient descent, momentum lies between them, and the adaptive \
         rules forgive a badly chosen learning rate.",
        "Momentum averages gradients over about ten steps, which makes steps ten times as long in directions that persist: \
         its best rate is that much lower. Adaptive rules divide by the size of the gradient, so that a step is about as long \
         as the rate whatever the loss: one rate suits all layers, and updates shrink only with the noise. Muon makes the step \
         of a matrix of one size in all directions. A rule beside another at the same rate says nothing, as the second picture \
         shows.",
    )
    .setup(format!(
        "Digits, network 64-32-10 with ReLU, batches of 32, {steps} steps, {} seeds. The rate of each rule is the one of {} \
         with the lowest validation loss, averaged over all evaluations and seeds; everything else as by default.",
        study.seeds().end,
        RATES.len()
    ))
    .table("Each rule at the rate that was best for it; steps to a training loss of 0.1", table)
    .picture("optimizers", "Training loss of each rule at its best rate; the band is one standard deviation over seeds.", &plot)?
    .picture("optimizers-rates", "The score by which rates were chosen. A flat valley forgives a bad choice.", &sensitivity)
    .map(|part| {
        part.finding(
            "Adam needs fewer steps than plain gradient descent, each at its best rate",
            mean_steps(&adam) < mean_steps(&sgd),
            format!("Steps to a loss of 0.1: {} for Adam, {} for SGD.", text(&adam), text(&sgd)),
        )
        .finding(
            "momentum needs fewer steps than plain gradient descent, each at its best rate",
            mean_steps(&momentum) < mean_steps(&sgd),
            format!("Steps to a loss of 0.1: {} with momentum, {} without.", text(&momentum), text(&sgd)),
        )
        .finding(
            "the best learning rates of the rules differ by more than a factor of ten",
            widest >= 10.0,
            format!("The largest is {widest:.0} times the smallest."),
        )
        .finding(
            "rules that reach the same loss make updates of the same size",
            spread < 2.0,
            format!("At iteration 100 the largest mean update is {spread:.1} times the smallest."),
        )
    })
    .map_err(Failure::from)
}

/// What rates are chosen by: the mean of the validation loss over all evaluations and seeds.
fn score(row: &SweepRow<(Rule, f64)>) -> f64 {
    row.of(|history| mean(history, "validation loss")).mean
}

fn scaled(row: &SweepRow<(Rule, f64)>, column: &str, factor: f64) -> Spread {
    row.of(|history| factor * history.last(column))
}
