//! A table of steps, names and values.

use std::io::{Error, ErrorKind};
use std::path::Path;

use super::Logger;
use super::records::Records;
use crate::csv_cell::quoted;

/// A CSV file with the columns `step`, `name` and `value`, a line a scalar. Numbers that are not finite are `NaN`, `inf`
/// and `-inf`; a name with a comma or a quote is quoted.
///
/// pandas makes a column of each name of it: `pandas.read_csv("run.csv").pivot(index="step", columns="name",
/// values="value")`.
///
/// # Example
/// ```
/// use gradus_train::logs::{CsvLog, Logger};
/// let path = std::env::temp_dir().join(format!("gradus-csv-{}.csv", std::process::id()));
/// let mut log = CsvLog::create(&path)?;
/// log.scalar(1, "loss", 0.5)?;
/// log.scalar(2, "loss", 0.25)?;
/// drop(log);
/// let mut log = CsvLog::resume(&path, 1)?;
/// log.scalar(2, "loss", 0.125)?;
/// assert_eq!(std::fs::read_to_string(&path)?, "step,name,value\n1,loss,0.5\n2,loss,0.125\n");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct CsvLog(Records);

const HEAD: &str = "step,name,value\n";

impl CsvLog {
    /// An empty table, in the place of a file of that path. Missing folders are made.
    ///
    /// # Errors
    /// If it cannot be written, or another logger writes to it.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self(Records::create(path.as_ref(), HEAD)?))
    }

    /// The table of a run that continues after `step`: records of later steps are dropped. Without a file it is empty.
    ///
    /// # Errors
    /// If the file is no such table, cannot be read or written, or another logger writes to it; it is then not changed.
    pub fn resume(path: impl AsRef<Path>, step: u64) -> Result<Self, Error> {
        let step_of = |line: &str| {
            let (step, _) = line.split_once(',').ok_or("it has one column")?;
            step.parse().map_err(|_| format!("the step `{step}` is no number"))
        };
        Ok(Self(Records::resume(path.as_ref(), HEAD, step, step_of)?))
    }
}

impl Logger for CsvLog {
    /// # Errors
    /// If the name has a line break, or the line cannot be written.
    fn scalar(&mut self, step: u64, name: &str, value: f64) -> Result<(), Error> {
        if name.contains(['\n', '\r']) {
            let problem = format!("the name {name:?} has a line break, which a line of a table has not");
            return Err(Error::new(ErrorKind::InvalidInput, problem));
        }
        self.0.append(&format!("{step},{},{value:?}", quoted(name)))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.0.flush()
    }
}
