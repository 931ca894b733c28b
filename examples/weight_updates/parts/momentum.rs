//! Momentum: on digits, and in a narrow valley beside the theory.

mod valley;

use std::fmt;

use gradus::optim::{Optimizer, Sgd};
use gradus::train::Sweep;
use gradus::train::plot::Plot;
use gradus::train::sweep::SweepRow;

use crate::Failure;
use crate::convergence::{Convergence, Target};
use crate::report::{Part, Table};
use crate::study::Study;
use crate::training::{Training, at, mean};

/// A momentum, and whether it looks ahead.
#[derive(Clone, Copy, PartialEq)]
struct Rule {
    momentum: f64,
    nesterov: bool,
}

const NONE: Rule = Rule { momentum: 0.0, nesterov: false };
const HALF: Rule = Rule { momentum: 0.5, nesterov: false };
const USUAL: Rule = Rule { momentum: 0.9, nesterov: false };
const HIGH: Rule = Rule { momentum: 0.99, nesterov: false };
const NESTEROV: Rule = Rule { momentum: 0.9, nesterov: true };
const RULES: [Rule; 5] = [NONE, HALF, USUAL, HIGH, NESTEROV];

const RATES: [f64; 8] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];
const COMMON: f64 = 0.01;
const LOSS: f64 = 0.1;

impl Rule {
    fn at(self, rate: f64) -> Sgd {
        match self {
            NONE => Sgd::new(rate),
            Self { momentum, nesterov: false } => Sgd::new(rate).momentum(momentum),
            Self { momentum, nesterov: true } => Sgd::new(rate).momentum(momentum).nesterov(),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            &NONE => f.write_str("none"),
            Self { momentum, nesterov: false } => write!(f, "{momentum}"),
            Self { momentum, nesterov: true } => write!(f, "Nesterov {momentum}"),
        }
    }
}

type Row = SweepRow<(Rule, f64)>;

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let steps = study.pick(600, 200);
    let training = Training { digits: &study.digits, steps, batch: 32, every: 10 };
    let sweep = Sweep::new(RULES).crossed(RATES).seeds(study.seeds());
    let found = sweep.run(|&(rule, rate), seed| training.tested(Optimizer::new(rule.at(rate)), seed))?;
    let row_of = |rule: Rule, rate: f64| found.find(|&options| options == (rule, rate)).expect("all were run");
    let update = |row: &Row| row.of(|history| at(history, 100, "weight update")).mean;
    let arrival = |row: &Row| Convergence::of(row, "loss", Target(LOSS));
    let percent = |row: &Row, column: &str| format!("{:.1}%", row.of(|history| 100.0 * mean_last(history, column)));

    let head = ["momentum", "update at 100", "beside none", "steps to 0.1", "loss", "validation"];
    let mut common = Table::new(head);
    let mut course = Plot::new("One learning rate, 0.01").axes("step", "training loss, nats").log_y();
    let mut best = Vec::new();
    let head =
        ["momentum", "best rate", "rate/(1−momentum)", "update at 100", "steps to 0.1", "loss", "validation", "test"];
    let mut own = Table::new(head);
    let updates = Plot::new("Update at iteration 100").axes("learning rate", "weight update").log_x().log_y();
    let mut updates = updates;
    for rule in RULES {
        let row = row_of(rule, COMMON);
        let loss = |row: &Row| format!("{:.4}", row.of(|history| mean_last(history, "loss")));
        common.push([
            rule.to_string(),
            format!("{:.2e}", update(row)),
            format!("{:.1}", update(row) / update(row_of(NONE, COMMON))),
            arrival(row).to_string(),
            loss(row),
            percent(row, "validation accuracy"),
        ]);
        course = course.runs(&rule.to_string(), &row.curves("step", "loss"));
        updates = updates.line(&rule.to_string(), &RATES.map(|rate| (rate, update(row_of(rule, rate)))));
        let of_rule = found.select(|options| options.0 == rule);
        let score = |row: &Row| row.of(|history| mean(history, "validation loss")).mean;
        let Some(row) = of_rule.least(score).cloned() else { continue };
        own.push([
            rule.to_string(),
            row.options().1.to_string(),
            format!("{:.1}", row.options().1 / (1.0 - rule.momentum)),
            format!("{:.2e}", update(&row)),
            arrival(&row).to_string(),
            loss(&row),
            percent(&row, "validation accuracy"),
            percent(&row, "test accuracy"),
        ]);
        best.push(row);
    }
    let of_best = |rule: Rule| best.iter().find(|row| row.options().0 == rule).map(arrival);
    let steps_of = |rule: Rule| of_best(rule).map_or(f64::INFINITY, |steps| steps.mean());
    let text_of = |rule: Rule| of_best(rule).map_or(String::new(), |steps| steps.to_string());
    let larger = |&rate: &f64| update(row_of(HIGH, rate)) > update(row_of(USUAL, rate));
    let list = |rates: Vec<f64>| rates.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    let [yes, no] = [true, false].map(|is| list(RATES.iter().copied().filter(|rate| larger(rate) == is).collect()));
    let whole = |name: &str, rates: &str| if rates.is_empty() { String::new() } else { format!(" {name} {rates}.") };
    let same = [(NONE, 1.0), (USUAL, 0.1), (HIGH, 0.01)].map(|(rule, rate)| arrival(row_of(rule, rate)));
    let slow = [(NONE, 0.1), (USUAL, 0.01), (HIGH, 0.001)]
        .map(|(rule, rate)| format!("{:.3}", row_of(rule, rate).of(|history| mean_last(history, "loss")).mean));
    let means = same.each_ref().map(Convergence::mean);
    let valley = valley::measure()?;
    let part = Part::new(
        "Momentum",
        "Momentum makes updates larger and training faster, the more of it the better; in a narrow valley it damps the \
         oscillation across and gathers speed along.",
        "A gradient that persists is added up to the sum 1/(1 − momentum) times as long, after about as many steps: a rate \
         must be seen together with the momentum. On a quadratic with curvatures from 1 to κ, plain descent approaches by a \
         factor (κ − 1)/(κ + 1) a step at best, momentum by (√κ − 1)/(√κ + 1), if it is the square of that factor. There \
         both roots of the recurrence are one, so that the distance falls as k times that factor to the power k, which takes \
         more steps. More momentum approaches by its own root at best: the ball rolls past the minimum and back.",
    )
    .setup(format!(
        "Digits, network 64-32-10 with ReLU, batches of 32, {steps} steps of SGD, {} seeds. The best rate of each is the one \
         of {} with the lowest validation loss, averaged over all evaluations and seeds. {}",
        study.seeds().end,
        RATES.len(),
        valley::SETUP
    ))
    .table("All at the learning rate 0.01", common)
    .picture("momentum", "Training loss at one learning rate; the band is one standard deviation over seeds.", &course)?
    .picture("momentum-updates", "The update at iteration 100 at each learning rate; a line ends where a seed has diverged.", &updates)?
    .table("Each at its own best learning rate", own)
    .picture("momentum-valley", valley::CAPTION, &valley.picture)?
    .table(valley::TABLE, valley.table)
    .finding(
        "at one learning rate the update at iteration 100 is larger with momentum 0.99 than with 0.9",
        larger(&COMMON),
        format!(
            "At {COMMON} it is {:.2e} with 0.99 and {:.2e} with 0.9.{}{}",
            update(row_of(HIGH, COMMON)),
            update(row_of(USUAL, COMMON)),
            whole("It is larger at the rates", &yes),
            whole("It is not larger, or a seed has diverged, at", &no)
        ),
    )
    .finding(
        "momentum 0.9 needs fewer steps than none, each at its best rate",
        steps_of(USUAL) < steps_of(NONE),
        format!(
            "Steps to a loss of {LOSS}: {} with 0.9, {} without momentum, {} with Nesterov's 0.9.",
            text_of(USUAL),
            text_of(NONE),
            text_of(NESTEROV)
        ),
    )
    .finding(
        "more momentum is better: 0.99 needs fewer steps than 0.9, each at its best rate",
        steps_of(HIGH) < steps_of(USUAL),
        format!(
            "Steps on digits: {} with 0.99, {} with 0.9. {}",
            text_of(HIGH),
            text_of(USUAL),
            valley.fastest
        ),
    )
    .finding(
        "rates with the same rate/(1 − momentum) arrive after as many steps, to a fifth",
        means.iter().all(|steps| steps.is_finite() && (steps / means[0] - 1.0).abs() <= 0.2),
        format!(
            "Steps to a loss of {LOSS} at a quotient of 1: {} without momentum, {} with 0.9, {} with 0.99. At a quotient of \
             0.1 the loss after {steps} steps is {}, {} and {}.",
            same[0],
            same[1],
            same[2],
            slow[0],
            slow[1],
            slow[2]
        ),
    )
    .finding(
        "in the valley the number of steps is that of theory, to a fifth",
        valley.deviation <= 0.2,
        valley.agreement,
    );
    Ok(part)
}

/// The last value that a column has; a run that has diverged has an infinite loss there.
fn mean_last(history: &gradus::train::History, column: &str) -> f64 {
    history.column(column).iter().copied().rfind(|value| !value.is_nan()).unwrap_or(f64::NAN)
}
