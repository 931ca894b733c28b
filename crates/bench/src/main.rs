//! Measures Gradus. Each figure stands beside its yardstick, taken in the same run, because machines differ and are
//! shared.
//!
//!     gradus-bench check [--json FILE]      the gradient checker on many samples, random graphs and models
//!     gradus-bench conv [--json FILE]       convolutions on one thread, beside the product alone
//!     gradus-bench minima [--json FILE]     minimisers on the problems of Moré, Garbow and Hillstrom
//!     gradus-bench mutants [--json FILE]    the gradient checker on derivatives that are wrong on purpose
//!     gradus-bench optim [--json FILE]      updates of ten million parameters, at one and two threads
//!     gradus-bench scale [--json FILE]      time per node of a long chain, by phase and length
//!     gradus-bench search [--json FILE]     searches without gradients on standard functions
//!     gradus-bench steps [--json FILE]      training steps on one thread
//!
//! `check` and `mutants` end with an error if a bar is missed.

mod allocations;
mod check;
mod conv;
mod minima;
mod optim;
mod scale;
mod search;
mod steps;
mod table;

use std::process::ExitCode;

#[global_allocator]
static COUNTED: allocations::Counted = allocations::Counted;

const USAGE: &str = "usage: gradus-bench check|conv|minima|mutants|optim|scale|search|steps [--json FILE]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (command, file) = match words[..] {
        [command] => (command, None),
        [command, "--json", file] => (command, Some(file)),
        _ => return fail(USAGE),
    };
    let (table, right) = match command {
        "check" => check::run(),
        "conv" => (conv::run(), true),
        "minima" => (minima::run(), true),
        "mutants" => check::run_mutants(),
        "optim" => (optim::run(), true),
        "scale" => (scale::run(), true),
        "search" => (search::run(), true),
        "steps" => (steps::run(), true),
        _ => return fail(USAGE),
    };
    println!("{table}");
    match file.map(|file| std::fs::write(file, table.json())) {
        Some(Err(problem)) => fail(&format!("the figures could not be written: {problem}")),
        _ if right => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(2)
}
