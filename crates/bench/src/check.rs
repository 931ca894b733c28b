//! The gradient checker at length: random samples of every op, random graphs of them, whole models, and mutants.

use std::time::Instant;

use gradus_graph::check::{Check, Fate, Mutation, Outcome, Report, Suite, mutants};
use gradus_graph::{Params, Tensor, Var, registry};
use gradus_nn::{Dense, loss};
use rayon::prelude::*;

use crate::table::Table;

/// Samples of ops in all, and random graphs.
const SAMPLES: usize = 100_000;
const GRAPHS: usize = 10_000;
/// Pieces that the work is cut into for the threads; each draws from a seed of its own.
const PIECES: u64 = 16;

/// Draws samples of every op and random graphs, and checks models; the table, and whether all was as it should be.
pub(crate) fn run() -> (Table, bool) {
    let mut table = Table::new(&["cases", "derivatives", "undecided %", "false alarms", "seconds"]);
    let mut right = true;
    let mut row = |name: &str, outcomes: Vec<Outcome>, start: Instant| {
        let mut report = Report::default();
        outcomes.iter().for_each(|outcome| report.add(&outcome.report));
        let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>() as f64;
        let (cases, undecided) = (sum(|outcome| outcome.cases), sum(|outcome| outcome.undecided));
        let alarms = sum(|outcome| usize::from(outcome.failure.is_some()));
        let share = 100.0 * (undecided / cases).max(report.undecided as f64 / report.compared.max(1) as f64);
        table.row(name, &[cases, report.compared as f64, share, alarms, start.elapsed().as_secs_f64()]);
        for failure in outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()) {
            eprintln!("{failure}");
        }
        right &= alarms == 0.0 && share < 1.0;
        format!(
            "{name}: largest error {:.1e}, one above {:.1e} would have been seen",
            report.largest_error, report.detectable
        )
    };

    let start = Instant::now();
    let ops = registry().len();
    let each = SAMPLES.div_ceil(ops * PIECES as usize);
    let outcomes = pieces(|seed| {
        let mut suite = Suite::new(Check::new(), seed);
        registry().iter().map(|entry| suite.run(entry, each)).collect()
    });
    let mut notes = vec![row(&format!("samples of {ops} ops"), outcomes, start)];

    let start = Instant::now();
    let outcomes = pieces(|seed| {
        let check = Check::new().fast().directions(2);
        vec![Suite::new(check, 1_000_000 + seed).graphs(&registry(), GRAPHS.div_ceil(PIECES as usize))]
    });
    notes.push(row("random graphs", outcomes, start));

    let [fast, exhaustive] = [Check::new().fast(), Check::new().exhaustive()];
    for (name, check, look) in [
        ("LSTM cell, 3 steps, exhaustive", &exhaustive, lstm as fn(&Check) -> Outcome),
        ("LSTM cell, 3 steps, fast", &fast, lstm),
        ("digits network, fast", &fast, digits),
    ] {
        let start = Instant::now();
        let outcome = look(check);
        notes.push(row(name, vec![outcome], start));
    }
    notes.into_iter().for_each(|note| table.note(note));
    table.note("bars: no false alarm, undecided under 1 %");
    (table, right)
}

fn pieces(work: impl Fn(u64) -> Vec<Outcome> + Sync) -> Vec<Outcome> {
    (0..PIECES).into_par_iter().flat_map_iter(&work).collect()
}

fn outcome(report: Result<Report, Box<gradus_graph::check::Failure>>) -> Outcome {
    match report {
        Ok(report) => Outcome { undecided: usize::from(report.is_undecided()), report, cases: 1, failure: None },
        Err(failure) => Outcome { report: failure.report.clone(), cases: 1, undecided: 0, failure: Some(failure) },
    }
}

/// An LSTM cell of 16 inputs and 16 units over three steps of a batch of 4, with a squared loss.
fn lstm(check: &Check) -> Outcome {
    let (inputs, units, batch) = (16, 16, 4);
    let mut params: Params<f64> = Params::new(5);
    let gates = Dense::new(&mut params, "gates", inputs + units, 4 * units);
    let wave = |seed: usize| Tensor::from_fn([batch, inputs], |k| ((k * 7 + seed * 13) as f64 * 0.37).sin());
    let steps: Vec<Tensor<f64>> = (0..3).map(wave).collect();
    outcome(check.model(&params, (), |graph, []| {
        let (mut h, mut c) = (graph.zeros([batch, units]), graph.zeros([batch, units]));
        for x in &steps {
            let joined = graph.concat(&[graph.constant(x), h], 1);
            let parts = gates.forward(joined).chunks(4, 1);
            c = parts[1].sigmoid() * c + parts[0].sigmoid() * parts[2].tanh();
            h = parts[3].sigmoid() * c.tanh();
        }
        (h - 0.25).square().mean()
    }))
}

/// The network of the digits example, 64-256-128-10 with ReLU, with its loss on four images.
fn digits(check: &Check) -> Outcome {
    let mut params: Params<f64> = Params::new(5);
    let sizes = [64, 256, 128, 10];
    let layers: Vec<Dense> = (sizes.windows(2).enumerate())
        .map(|(number, size)| Dense::new(&mut params, &format!("layer{number}"), size[0], size[1]))
        .collect();
    let images = Tensor::from_fn([4, 64], |k| ((k * k) as f64 * 0.13).sin().abs());
    let labels = Tensor::from([3_i64, 1, 4, 1]);
    outcome(check.model(&params, (), |graph, []| {
        let mut x: Var<'_> = graph.constant(&images);
        for (number, layer) in layers.iter().enumerate() {
            x = layer.forward(x);
            x = if number + 1 < layers.len() { x.relu() } else { x };
        }
        loss::cross_entropy(x, graph.index_constant(&labels))
    }))
}

/// Makes mutants of every derivative, and checks that each is caught.
pub(crate) fn run_mutants() -> (Table, bool) {
    const SAMPLES: usize = 64;
    let mut table = Table::new(&["mutants", "caught", "caught %"]);
    let ops = registry().len();
    let fates: Vec<(&'static str, Mutation, usize, Fate)> = (0..ops)
        .into_par_iter()
        .flat_map_iter(|op| {
            let entry = registry().swap_remove(op);
            let all = mutants(&entry, SAMPLES, 17);
            all.into_iter().map(move |(mutation, input, fate)| (entry.name, mutation, input, fate))
        })
        .collect();
    let mut total = [0.0; 2];
    for mutation in Mutation::ALL {
        let of_kind = || fates.iter().filter(|(_, other, _, fate)| *other == mutation && *fate != Fate::Same);
        let made = of_kind().count() as f64;
        let caught = of_kind().filter(|(.., fate)| matches!(fate, Fate::Caught(_))).count() as f64;
        table.row(mutation.name(), &[made, caught, 100.0 * caught / made]);
        total = [total[0] + made, total[1] + caught];
        for (name, _, input, _) in of_kind().filter(|(.., fate)| *fate == Fate::Survived) {
            eprintln!("survived: {} of input {input} of `{name}`", mutation.name());
        }
    }
    let [made, caught] = total;
    table.row("all", &[made, caught, 100.0 * caught / made]);
    table
        .note(format!("the derivatives of {ops} ops, on up to {SAMPLES} samples each; bars: all caught, 1000 mutants"));
    (table, made == caught && made >= 1000.0)
}
