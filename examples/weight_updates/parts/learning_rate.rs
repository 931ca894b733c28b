//! Learning rates from far too small to far too large, and schedules.

use std::fmt;

use gradus::optim::{Cosine, MultiStep, OneCycle, Optimizer, Sgd, WarmUp};
use gradus::train::sweep::SweepRow;
use gradus::train::{History, Sweep};

use crate::Failure;
use crate::convergence::{Convergence, Target};
use crate::report::{Part, Table};
use crate::study::Study;
use crate::training::{Training, at};

const RATES: [f64; 8] = [0.0001, 0.001, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0];
const LOSS: f64 = 0.2;

/// How a rate changes over a run.
#[derive(Clone, Copy, PartialEq)]
enum Course {
    Constant,
    Steps,
    Cosine,
    WarmUpAndCosine,
    OneCycle,
}

const COURSES: [Course; 5] =
    [Course::Constant, Course::Steps, Course::Cosine, Course::WarmUpAndCosine, Course::OneCycle];

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Steps => "a tenth at half and at three quarters",
            Self::Cosine => "cosine",
            Self::WarmUpAndCosine => "warm-up, then cosine",
            Self::OneCycle => "one cycle",
        })
    }
}

impl Course {
    fn rule(self, rate: f64, steps: u64) -> Optimizer {
        let cosine = Cosine::new(rate, steps);
        match self {
            Self::Constant => Optimizer::new(Sgd::new(rate)),
            Self::Steps => Optimizer::new(Sgd::new(MultiStep::new(rate, [steps / 2, steps * 3 / 4]))),
            Self::Cosine => Optimizer::new(Sgd::new(cosine)),
            Self::WarmUpAndCosine => Optimizer::new(Sgd::new(WarmUp::new(steps / 10, cosine))),
            Self::OneCycle => Optimizer::new(Sgd::new(OneCycle::new(rate, steps))),
        }
    }
}

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let steps = study.pick(1000, 200);
    let training = Training { digits: &study.digits, steps, batch: 32, every: 10 };
    let constant = Sweep::new(RATES).seeds(study.seeds());
    let constant = constant.run(|&rate, seed| training.tested(Optimizer::new(Sgd::new(rate)), seed))?;
    let mut table =
        Table::new(["rate", "steps to 0.2", "loss", "highest loss", "loss rises", "update at 100", "validation"]);
    for row in constant.rows() {
        table.push([
            row.name().to_owned(),
            Convergence::of(row, "loss", Target(LOSS)).to_string(),
            format!("{:.3}", row.of(|history| at(history, steps, "loss"))),
            format!("{:.1}", row.of(highest).mean),
            format!("{:.0}%", 100.0 * row.of(rises).mean),
            format!("{:.2e}", row.of(|history| at(history, 100, "weight update")).mean),
            format!("{:.1}%", row.of(|history| 100.0 * at(history, steps, "validation accuracy"))),
        ]);
    }
    let plot = constant.plot("Constant learning rates", "step", "loss").axes("step", "training loss, nats").log_y();

    let best = *constant.least(|row| final_loss(row, steps)).map_or(&0.1, SweepRow::options);
    let peaks = [best / 3.0, best, 3.0 * best];
    let sweep = Sweep::new(COURSES).crossed(peaks).seeds(study.seeds());
    let courses = sweep.run(|&(course, rate), seed| training.tested(course.rule(rate, steps), seed))?;
    let mut schedules = Table::new(["schedule", "best peak", "steps to 0.2", "loss", "validation", "test"]);
    let mut chosen = Vec::new();
    for course in COURSES {
        let of_course = courses.select(|options| options.0 == course);
        let Some(row) = of_course.least(|row| final_loss(row, steps)).cloned() else { continue };
        schedules.push([
            course.to_string(),
            format!("{:.2}", row.options().1),
            Convergence::of(&row, "loss", Target(LOSS)).to_string(),
            format!("{:.4}", row.of(|history| at(history, steps, "loss"))),
            format!("{:.1}%", row.of(|history| 100.0 * at(history, steps, "validation accuracy"))),
            format!("{:.1}%", row.of(|history| 100.0 * history.last("test accuracy"))),
        ]);
        chosen.push(row);
    }
    let of_rate = |rate: f64| constant.find(|&other| other == rate).expect("every rate was run");
    let steps_at = |rate: f64| Convergence::of(of_rate(rate), "loss", Target(LOSS));
    let loss_of = |row: &SweepRow<(Course, f64)>| row.of(|history| at(history, steps, "loss")).mean;
    let falling =
        chosen.iter().filter(|row| row.options().0 != Course::Constant).map(loss_of).fold(f64::INFINITY, f64::min);
    let fixed = chosen.iter().find(|row| row.options().0 == Course::Constant).map_or(f64::INFINITY, loss_of);
    let largest = RATES.iter().rev().find(|&&rate| steps_at(rate).mean().is_finite());
    let quick_rise = of_rate(3.0).of(rises).mean > of_rate(0.1).of(rises).mean;
    let part = Part::new(
        "Learning rate",
        "A small rate learns slowly, a large one quickly at first and then oscillates, a larger one diverges; a rate that falls \
         combines the best of both.",
        "Gradient descent is stable along a direction while the rate is below two divided by the curvature there. Above that \
         the loss rises, and the network may move to a flatter place, so that one bad step is not yet divergence; where ReLU \
         units die on the way, it ends at the loss of a guess. With mini-batches the noise of the gradient is multiplied by \
         the rate: a rate that falls lets the weights settle.",
    )
    .setup(format!(
        "Digits, network 64-32-10 with ReLU, batches of 32, {steps} steps of plain SGD, {} seeds. Schedules begin from or rise \
         to a peak: a third, one or three times the constant rate with the lowest final validation loss, {best}; each is \
         shown at the peak where its own final validation loss is lowest.",
        study.seeds().end
    ))
    .table("Constant rates; \"loss rises\" is the share of evaluations, ten steps apart, at which the training loss rose", table)
    .picture("learning-rate", "Training loss at constant rates; a curve ends where a run has diverged.", &plot)?
    .table("Schedules of the same length", schedules)
    .finding(
        "ten times the rate needs fewer steps, from 0.01 to 0.1 and to 1",
        steps_at(0.1).mean() < steps_at(0.01).mean() && steps_at(1.0).mean() < steps_at(0.1).mean(),
        format!("Steps to a loss of 0.2: {} at 0.01, {} at 0.1, {} at 1.", steps_at(0.01), steps_at(0.1), steps_at(1.0)),
    )
    .finding(
        "a rate of 0.001 or less does not arrive in this time",
        steps_at(0.001).steps.count == 0 && steps_at(0.0001).steps.count == 0,
        format!("After {steps} steps the loss is {:.2} at 0.001.", of_rate(0.001).of(|history| at(history, steps, "loss")).mean),
    )
    .finding(
        "a large rate oscillates: the loss rises more often at 3 than at 0.1",
        quick_rise,
        format!("It rises at {:.0}% of the evaluations, and at {:.0}%.", 100.0 * of_rate(3.0).of(rises).mean, 100.0 * of_rate(0.1).of(rises).mean),
    )
    .finding(
        "a rate of 1 is too large for a neural network",
        !steps_at(1.0).mean().is_finite(),
        format!(
            "The largest rate at which all seeds arrive is {}. Pixels between 0 and 1 and a small network make gradients small; \
             the limit depends on the problem, which is why rates are swept.",
            largest.map_or("none of these".to_owned(), ToString::to_string)
        ),
    )
    .finding(
        "a falling rate ends at a lower training loss than the best constant one",
        falling < fixed,
        format!("The best schedule ends at {falling:.4}, the best constant rate at {fixed:.4}."),
    );
    Ok(part)
}

/// The validation loss at the last step.
fn final_loss<T>(row: &SweepRow<T>, steps: u64) -> f64 {
    row.of(|history| at(history, steps, "validation loss")).mean
}

/// The highest training loss at an evaluation.
fn highest(history: &History) -> f64 {
    history.column("loss").iter().copied().fold(0.0, f64::max)
}

/// The share of evaluations at which the training loss is higher than at the one before.
fn rises(history: &History) -> f64 {
    let losses: Vec<f64> = history.column("loss").iter().copied().filter(|loss| !loss.is_nan()).collect();
    losses.windows(2).filter(|pair| pair[1] > pair[0]).count() as f64 / (losses.len() - 1).max(1) as f64
}
