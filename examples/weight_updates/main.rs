//! The study of weight updates, every comparison measured: `cargo run --release --example weight_updates -- [OPTIONS]`.
//!
//! Thirteen parts train on real data (handwritten digits and a text; pictures of clothes where Debian's package
//! `dataset-fashion-mnist` is installed), with several seeds each. The report is one page, `target/weight-updates.html`,
//! and with `--docs` also `docs/weight-updates.md` with its pictures.
//!
//! Options: `--quick` for fewer seeds and steps, in under a minute; `--only 3,8` for some of the parts;
//! `--without-times` leaves out what depends on the machine's speed, so that two runs write the same bytes.

mod convergence;
mod parts;
mod report;
mod study;
#[cfg(test)]
mod tests;
mod training;

use std::process::ExitCode;
use std::time::Instant;

use gradus::train::replace_file;

use report::Report;
use study::Study;

/// A failure of a part; most are of a step or of a sweep.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

const PAGE: &str = "target/weight-updates.html";
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");

/// What the command line asks for.
struct Options {
    quick: bool,
    times: bool,
    docs: bool,
    only: Option<Vec<usize>>,
}

impl Options {
    /// The options, or one sentence on what is not understood.
    fn of(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { quick: false, times: true, docs: false, only: None };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--without-times" => options.times = false,
                "--docs" => options.docs = true,
                "--only" => {
                    let given = arguments.next().unwrap_or_default();
                    let known = |text: &str| text.trim().parse().ok().filter(|n| (1..=parts::ALL.len()).contains(n));
                    let numbers: Option<Vec<usize>> = given.split(',').map(known).collect();
                    let wanted = format!("--only takes numbers from 1 to {}, as 3,8; not `{given}`", parts::ALL.len());
                    options.only = Some(numbers.ok_or(wanted)?);
                }
                other => return Err(format!("`{other}` is no option: --quick, --only, --without-times, --docs are")),
            }
        }
        if options.docs && (options.quick || options.only.is_some()) {
            return Err("--docs writes the whole study: leave out --quick and --only".to_owned());
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::of(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let study = Study::new(options.quick, options.times);
    let report = report_of(&study, |number| options.only.as_ref().is_none_or(|only| only.contains(&number)))?;
    println!("{report}");
    replace_file(PAGE, report.to_html().as_bytes())?;
    println!("the page is {PAGE}");
    if options.docs {
        report.save_markdown(DOCS.as_ref())?;
        println!("docs/weight-updates.md is written");
    }
    Ok(())
}

/// Runs the parts whose numbers are wanted.
pub(crate) fn report_of(study: &Study, is_wanted: impl Fn(usize) -> bool) -> Result<Report, Failure> {
    let mut report = Report::new(study);
    for (number, part) in (1..).zip(parts::ALL) {
        if is_wanted(number) {
            let start = Instant::now();
            report.add(number, part(study)?);
            eprintln!("part {number:2} of {} took {:.1} s", parts::ALL.len(), start.elapsed().as_secs_f64());
        }
    }
    Ok(report)
}
