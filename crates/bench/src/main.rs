//! Measures Gradus. Each figure stands beside its yardstick, taken in the same run, because machines differ and are
//! shared.
//!
//!     gradus-bench accuracy [--json FILE]   the largest errors of the elementary functions and their slopes
//!     gradus-bench check [--json FILE]      the gradient checker on many samples, random graphs and models
//!     gradus-bench conv [--json FILE]       convolutions on one thread, beside the product alone
//!     gradus-bench growth [--svg FILE] [--json FILE]
//!                                           time against size, each twice the one before, as a table and a picture
//!     gradus-bench minima [--json FILE]     minimisers on the problems of Moré, Garbow and Hillstrom
//!     gradus-bench mutants [--json FILE]    the gradient checker on derivatives that are wrong on purpose
//!     gradus-bench optim [--json FILE]      updates of ten million parameters, at one and two threads
//!     gradus-bench peers --python PATH [--candle PATH] [WORKLOAD ...] [--json FILE]
//!                                           Gradus beside PyTorch, JAX and candle, at one thread and at two: all workloads, or
//!                                           those of the given names, such as W1; candle's program is what
//!                                           `cargo build --release --manifest-path crates/bench/candle/Cargo.toml` makes
//!     gradus-bench profile [WORKLOAD ...]   where the time of these workloads goes: lines of code, rates, limits
//!     gradus-bench recurrent [--json FILE]  recurrent layers on one thread, beside the product alone
//!     gradus-bench scale [--json FILE]      time per node of a long chain, by phase and length
//!     gradus-bench search [--json FILE]     searches without gradients on standard functions
//!     gradus-bench soak [--files N] [--models N] [--kills N] [--saves N] [--steps N] [--json FILE]
//!                                           damaged files and models, killed runs, savers beside readers, ever other lengths; all
//!                                           parts in full, or those that are named
//!     gradus-bench steps [--json FILE]      training steps on one thread
//!     gradus-bench threads [--busy] [--json FILE]
//!                                           training steps on one thread and on all, alone or beside a busy process
//!     gradus-bench train [--json FILE]      the trainer beside the loop that it replaces
//!
//! `check`, `mutants` and `soak` end with an error if a bar is missed, `peers` if results differ or a peer fails.

mod accuracy;
mod check;
mod conv;
mod folder;
mod growth;
mod minima;
mod optim;
mod peers;
mod recurrent;
mod scale;
mod search;
mod soak;
mod steps;
mod table;
mod threads;
mod train;

use gradus_graph::check::CountingAllocator;
use std::error::Error;
use std::process::ExitCode;

use gradus_train::replace_file;

use crate::peers::Programs;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const USAGE: &str = "usage: gradus-bench accuracy|check|conv|minima|mutants|optim|recurrent|scale|search|steps|train [--json FILE]\n       \
                     gradus-bench growth [--svg FILE] [--json FILE]\n       \
                     gradus-bench threads [--busy] [--json FILE]\n       \
                     gradus-bench peers --python PATH [--candle PATH] [WORKLOAD ...] [--json FILE]\n       \
                     gradus-bench profile [WORKLOAD ...]\n       \
                     gradus-bench soak [--files N] [--models N] [--kills N] [--saves N] [--steps N] [--json FILE]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // What `soak` starts as processes of their own.
    match words[..] {
        [soak::RESUME, folder] => return ended(soak::resume(folder.as_ref())),
        [soak::SAVE, path, number, count] => {
            let (Ok(number), Ok(count)) = (number.parse(), count.parse()) else { return fail(USAGE) };
            return ended(soak::save_again(path.as_ref(), number, count));
        }
        _ => {}
    }
    let file = match words[..] {
        [.., "--json", file] => {
            words.truncate(words.len() - 2);
            Some(file)
        }
        _ => None,
    };
    let Some((command, options)) = words.split_first() else { return fail(USAGE) };
    let (table, right) = match (*command, options) {
        ("soak", options) => match soak::Extent::of(options) {
            Some(extent) => soak::run(extent),
            None => return fail(USAGE),
        },
        ("accuracy", []) => (accuracy::run(), true),
        ("check", []) => check::run(),
        ("conv", []) => (conv::run(), true),
        ("growth", []) => (growth::run().0, true),
        ("growth", ["--svg", path]) => {
            let (table, picture) = growth::run();
            if let Err(problem) = picture.save(path) {
                return fail(&format!("the picture could not be written: {problem}"));
            }
            (table, true)
        }
        ("minima", []) => (minima::run(), true),
        ("mutants", []) => check::run_mutants(),
        ("optim", []) => (optim::run(), true),
        ("peers", ["--python", python, options @ ..]) => {
            let (candle, workloads) = match options {
                ["--candle", candle, workloads @ ..] => (Some(*candle), workloads),
                workloads => (None, workloads),
            };
            match peers::run(Programs { python, candle }, workloads) {
                Ok(outcome) => outcome,
                Err(problem) => return fail(&problem.to_string()),
            }
        }
        ("profile", workloads) => return ended(peers::profile(workloads)),
        ("recurrent", []) => (recurrent::run(), true),
        ("scale", []) => (scale::run(), true),
        ("search", []) => (search::run(), true),
        ("steps", []) => (steps::run(), true),
        ("threads", []) => (threads::run(false), true),
        ("threads", ["--busy"]) => (threads::run(true), true),
        ("train", []) => (train::run(), true),
        _ => return fail(USAGE),
    };
    println!("{table}");
    match file.map(|file| replace_file(file, table.json().as_bytes())) {
        Some(Err(problem)) => fail(&format!("the figures could not be written: {problem}")),
        _ if right => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn ended(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    outcome.map_or_else(|problem| fail(&problem.to_string()), |()| ExitCode::SUCCESS)
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(2)
}
