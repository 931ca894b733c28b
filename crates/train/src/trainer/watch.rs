//! What a trainer logs, and the updates that it watches.

use std::io::Error;

use super::history::History;
use crate::logs::Logger;
use crate::statistics::{Thresholds, Trouble, UpdateReport};

/// The loggers of a run.
pub(super) type Logs<'a> = Vec<Box<dyn Logger + 'a>>;

/// Logs a number everywhere.
pub(super) fn scalar(logs: &mut Logs<'_>, step: u64, name: &str, value: f64) -> Result<(), Error> {
    logs.iter_mut().try_for_each(|log| log.scalar(step, name, value))
}

/// Logs the last row of a history, without the columns that each step has logged.
pub(super) fn epoch(logs: &mut Logs<'_>, step: u64, history: &History, prefix: &str) -> Result<(), Error> {
    for name in history.names().filter(|name| name.starts_with(prefix)) {
        scalar(logs, step, name, history.last(name))?;
    }
    logs.iter_mut().try_for_each(|log| log.flush())
}

/// How often updates are measured, and which warnings have been given.
#[derive(Debug)]
pub(super) struct Watch {
    every: u64,
    given: Vec<(String, Trouble)>,
}

impl Watch {
    pub(super) fn new(every: u64) -> Self {
        Self { every, given: Vec::new() }
    }

    /// `step` counts from 1.
    pub(super) fn is_due(&self, step: u64) -> bool {
        step.is_multiple_of(self.every)
    }

    /// Logs a report, and warns once of each trouble of each parameter.
    pub(super) fn log(&mut self, logs: &mut Logs<'_>, step: u64, report: &UpdateReport) -> Result<(), Error> {
        logs.iter_mut().try_for_each(|log| report.log(step, &mut **log))?;
        for warning in report.warnings(&Thresholds::default()) {
            let known = (warning.name.clone(), warning.trouble);
            if !self.given.contains(&known) {
                eprintln!("step {step}: {warning}");
                self.given.push(known);
            }
        }
        Ok(())
    }
}
