//! A narrow valley: ½·(x² + κ·y²), minimised on a graph, beside the theory of the linear recurrence.

use gradus::optim::Optimizer;
use gradus::train::Step;
use gradus::train::plot::Plot;
use gradus::{Params, Tensor};

use super::{HALF, HIGH, NONE, RULES, Rule, USUAL};
use crate::Failure;
use crate::report::Table;

pub(super) const SETUP: &str = "The valley is ½·(x² + κ·y²) in double precision, from (1, 1) until the distance from the \
    minimum stays below a millionth of that at the start; rates there are those of the smallest factor in theory.";
pub(super) const CAPTION: &str = "Paths in the valley ½·(x² + 50·y²), 60 steps at one learning rate of 0.01 from (−10, 1); \
    the ellipses have edges of equal loss, the minimum is at (0, 0).";
pub(super) const TABLE: &str = "The valley: at κ = 50 the rate, the factor by which theory lets the distance fall in a step and the \
    steps by that factor; then the steps that were taken, there and in narrower valleys";

/// What the distance from the minimum has to fall by.
const PART: f64 = 1e-6;
const CURVATURES: [f64; 4] = [50.0, 500.0, 5000.0, 50000.0];
/// The rate of the picture.
const RATE: f64 = 0.01;

pub(super) struct Valley {
    pub(super) table: Table,
    pub(super) picture: Plot,
    /// Which momentum was fastest in which valley.
    pub(super) fastest: String,
    /// The largest relative difference between the steps taken and those of theory.
    pub(super) deviation: f64,
    pub(super) agreement: String,
}

pub(super) fn measure() -> Result<Valley, Failure> {
    let head = ["momentum", "rate", "factor", "steps by theory", "κ = 50", "κ = 500", "κ = 5000", "κ = 50000"];
    let mut table = Table::new(head);
    let optimal = |curvature: f64| {
        let factor = (curvature.sqrt() - 1.0) / (curvature.sqrt() + 1.0);
        Rule { momentum: factor * factor, nesterov: false }
    };
    let rules = RULES.map(|rule| (rule.to_string(), Some(rule))).into_iter().chain([("optimal".to_owned(), None)]);
    // The largest difference from theory: of the rules of the study, and of the optimal momentum.
    let mut worst = [(0.0, String::new()), (0.0, String::new())];
    let mut taken: Vec<(Option<Rule>, Vec<usize>)> = Vec::new();
    for (name, rule) in rules {
        let mut row = Vec::new();
        for curvature in CURVATURES {
            let worst = &mut worst[usize::from(rule.is_none())];
            let rule = rule.unwrap_or_else(|| optimal(curvature));
            let (rate, factor) = best_rate(rule, curvature);
            let expected = PART.ln() / factor.ln();
            let steps = steps(rule, rate, curvature)?;
            let difference = (steps as f64 / expected - 1.0).abs();
            if difference > worst.0 {
                let found =
                    format!("{:.0}% ({name} at κ = {curvature}: {steps} for {expected:.0})", 100.0 * difference);
                *worst = (difference, found);
            }
            row.push((rate, factor, expected, steps));
        }
        let (rate, factor, expected, _) = row[0];
        let cells = [name, format!("{rate:.4}"), format!("{factor:.4}"), format!("{expected:.0}")];
        table.push(cells.into_iter().chain(row.iter().map(|cell| cell.3.to_string())));
        taken.push((rule, row.iter().map(|cell| cell.3).collect()));
    }
    let fastest: Vec<String> = CURVATURES
        .iter()
        .enumerate()
        .filter_map(|(place, curvature)| {
            let steps = |rule: Rule| Some((rule, &taken.iter().find(|(other, _)| *other == Some(rule))?.1));
            let heavy = [NONE, HALF, USUAL, HIGH].into_iter().filter_map(steps);
            let (rule, steps) = heavy.min_by_key(|(_, steps)| steps[place])?;
            Some(format!("{rule} at κ = {curvature} ({} steps)", steps[place]))
        })
        .collect();

    let growth = |rule: Option<Rule>| {
        let steps = taken.iter().find(|(other, _)| *other == rule).map(|(_, steps)| steps);
        steps.map_or(f64::NAN, |steps| steps[CURVATURES.len() - 1] as f64 / steps[0] as f64)
    };
    let mut picture = Plot::new("Five paths in a narrow valley").axes("x", "y");
    for rule in RULES {
        picture = picture.line(&rule.to_string(), &path(rule, RATE, CURVATURES[0], [-10.0, 1.0], 60)?);
    }
    for radius in [2.0, 5.0, 10.0_f64] {
        let edge = |number: i32| {
            let x = radius * f64::from(number) / 50.0;
            let y = ((radius * radius - x * x) / CURVATURES[0]).max(0.0).sqrt();
            (x, -y, y)
        };
        picture = picture.band("", &(-50..=50).map(edge).collect::<Vec<_>>());
    }
    Ok(Valley {
        table,
        picture,
        fastest: format!("In the valley the fastest of 0, 0.5, 0.9 and 0.99 is {}.", fastest.join(", ")),
        deviation: worst[0].0.max(worst[1].0),
        agreement: format!(
            "With a fixed momentum the largest difference is {}, with the optimal one {}. A κ a thousand \
             times as large takes {:.0} times as many steps without momentum, {:.0} times with the optimal one.",
            worst[0].1,
            worst[1].1,
            growth(Some(NONE)),
            growth(None)
        ),
    })
}

/// The points of a descent from a start, which is the first.
fn path(rule: Rule, rate: f64, curvature: f64, [x, y]: [f64; 2], steps: usize) -> Result<Vec<(f64, f64)>, Failure> {
    let mut points = vec![(x, y)];
    descend(rule, rate, curvature, [x, y], |x, y| {
        points.push((x, y));
        points.len() <= steps
    })?;
    Ok(points)
}

/// The steps until the distance stays small: it is watched until it is a hundredth of that.
fn steps(rule: Rule, rate: f64, curvature: f64) -> Result<usize, Failure> {
    let (mut number, mut last) = (0, 0);
    let start = 2.0_f64.sqrt();
    descend(rule, rate, curvature, [1.0, 1.0], |x, y| {
        number += 1;
        let distance = x.hypot(y) / start;
        if distance > PART {
            last = number;
        }
        distance > 0.01 * PART
    })?;
    Ok(last + 1)
}

/// Takes steps while `goes_on` is true of the point.
fn descend(
    rule: Rule,
    rate: f64,
    curvature: f64,
    [x, y]: [f64; 2],
    mut goes_on: impl FnMut(f64, f64) -> bool,
) -> Result<(), Failure> {
    let mut params: Params<f64> = Params::new(0);
    let [x, y] = [("x", x), ("y", y)].map(|(name, value)| params.add(name, Tensor::scalar(value)));
    let mut step = Step::new(|graph, []| (graph.param(&x).square() + graph.param(&y).square() * curvature) * 0.5);
    let mut rule = Optimizer::new(rule.at(rate));
    loop {
        let gradients = step.run(&mut params, ())?;
        rule.step(&mut params, &gradients)?;
        if !goes_on(params.get(&x).item(), params.get(&y).item()) {
            return Ok(());
        }
    }
}

/// The factor by which the distance falls in a step in the long run: the larger eigenvalue, by magnitude, of the recurrence
/// of two steps, in the worse of the two directions.
fn factor(rule: Rule, rate: f64, curvature: f64) -> f64 {
    let along = |curvature: f64| {
        let kept = 1.0 - rate * curvature;
        let (trace, determinant) = match rule {
            Rule { momentum, nesterov: false } => (kept + momentum, momentum),
            Rule { momentum, nesterov: true } => (kept * (1.0 + momentum), kept * momentum),
        };
        let discriminant = trace * trace - 4.0 * determinant;
        if discriminant < 0.0 { determinant.sqrt() } else { 0.5 * (trace.abs() + discriminant.sqrt()) }
    };
    along(1.0).max(along(curvature))
}

/// The learning rate of the smallest factor, and that: of many rates up to the limit of stability, and the middle one of
/// those where it is the same.
fn best_rate(rule: Rule, curvature: f64) -> (f64, f64) {
    let limit = 2.0 * (1.0 + rule.momentum) / curvature;
    let rates = (1..=20_000).map(|number| limit * f64::from(number) / 20_000.0);
    let factors: Vec<(f64, f64)> = rates.map(|rate| (rate, factor(rule, rate, curvature))).collect();
    let least = factors.iter().map(|(_, factor)| *factor).fold(f64::INFINITY, f64::min);
    let best: Vec<&(f64, f64)> = factors.iter().filter(|(_, factor)| *factor <= least + 1e-12).collect();
    *best[best.len() / 2]
}
