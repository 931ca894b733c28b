//! Steps of an LSTM on sequences of 1 to 400 elements, drawn anew each time: memory stays where it is, with all traces
//! kept and with few.

use std::time::Instant;

use gradus_graph::{Params, Tensor};
use gradus_nn::{Dense, Layer, Lstm, Mode};
use gradus_optim::{Adam, Optimizer};
use gradus_train::Step;

use super::mutation::Numbers;
use crate::table::Table;

const LENGTHS: usize = 400;
/// Traces that are kept in the run with few, and the share of the steps that it has: nearly each is traced anew.
const FEW: usize = 16;
const SHARE: usize = 40;
/// Steps for each length at least: a short run has fewer lengths, so that each is seen in its first half.
const EACH: usize = 25;
/// Looks at the memory.
const LOOKS: usize = 10;

pub(super) fn run(table: &mut Table, steps: usize) -> bool {
    // First the one that needs less memory: what it takes is not given back.
    let few = train(table, "16 traces kept", LENGTHS, FEW, steps.div_ceil(SHARE));
    let lengths = LENGTHS.min(steps.div_ceil(EACH));
    let all = train(table, "all traces kept", lengths, lengths, steps);
    few && all
}

fn train(table: &mut Table, name: &str, lengths: usize, keep: usize, steps: usize) -> bool {
    let mut params: Params = Params::new(1);
    let lstm = Lstm::new(&mut params, "lstm", 4, 8);
    let head = Dense::new(&mut params, "head", 8, 1);
    let mut step = Step::new(|_, [x, y]| {
        let predicted = head.forward(lstm.forward_in(x, Mode::Train));
        (predicted - y).square().mean()
    })
    .keep(keep);
    let mut optimizer = Optimizer::new(Adam::new(1e-3));
    let mut numbers = Numbers::new(7);
    let start = Instant::now();
    let mut resident = Vec::new();
    for number in 0..steps {
        let length = 1 + numbers.below(lengths);
        let x = Tensor::from_fn([length, 2, 4], |k| (0.1 * (k + number) as f32).sin());
        let y = Tensor::from_fn([length, 2, 1], |k| (0.1 * (4 * k + number) as f32).cos());
        let gradients = step.run(&mut params, (&x, &y)).expect("the step runs");
        optimizer.step(&mut params, &gradients).expect("the gradients are finite");
        if (number + 1) * LOOKS / steps > number * LOOKS / steps {
            resident.push(resident_mib());
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let (half, last) = (resident[resident.len() / 2], resident[resident.len() - 1]);
    let grown = last > 1.1 * half + 16.0;
    let figures = [steps as f64, f64::from(grown), 0.0, last, seconds, steps as f64 / seconds];
    table.row(format!("steps of an LSTM, {name}"), &figures);
    let looks: Vec<String> = resident.iter().map(|mib| format!("{mib:.0}")).collect();
    table.note(format!("{name}: {} traces; resident MiB on the way: {}", step.traces(), looks.join(", ")));
    !grown
}

/// The memory of this process that is in use, in MiB; 0 where the system does not tell.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
