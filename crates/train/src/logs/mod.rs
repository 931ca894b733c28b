//! Logs of a run: values by step and name, in files that other programs read.
//!
//! A [`Logger`] takes scalars, histograms and images; a list of loggers is one. [`TensorBoard`] writes event files,
//! [`JsonLines`] one JSON object a line, and [`CsvLog`] a table of steps, names and values. Each record is in the file when
//! the call returns; [`Logger::flush`] forces it to the disk. A file that one logger writes to is refused to another.
//!
//! After a run was resumed from a checkpoint at some step, `resume` continues its log there, and what was logged of later
//! steps, which happen again, is gone.

mod crc32c;
mod csv;
mod json_lines;
mod message;
mod records;
mod tensorboard;

use std::io::Error;

pub use csv::CsvLog;
pub use json_lines::JsonLines;
pub use tensorboard::TensorBoard;

use crate::histogram::Histogram;
use crate::image::Image;

/// Takes the values of a run. What a log has no place for, such as images in a table, it leaves out.
///
/// # Example
/// ```
/// use gradus_train::logs::{CsvLog, JsonLines, Logger};
/// let folder = std::env::temp_dir().join(format!("gradus-logs-{}", std::process::id()));
/// let mut log: Vec<Box<dyn Logger>> =
///     vec![Box::new(CsvLog::create(folder.join("run.csv"))?), Box::new(JsonLines::create(folder.join("run.jsonl"))?)];
/// log.scalar(1, "loss", 0.25)?;
/// log.flush()?;
/// assert_eq!(std::fs::read_to_string(folder.join("run.csv"))?, "step,name,value\n1,loss,0.25\n");
/// # drop(log);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Logger: Send {
    /// Logs a number.
    ///
    /// # Errors
    /// If it cannot be written.
    fn scalar(&mut self, step: u64, name: &str, value: f64) -> Result<(), Error>;

    /// Logs a histogram.
    ///
    /// # Errors
    /// If it cannot be written.
    fn histogram(&mut self, _step: u64, _name: &str, _histogram: &Histogram) -> Result<(), Error> {
        Ok(())
    }

    /// Logs an image.
    ///
    /// # Errors
    /// If it cannot be written.
    fn image(&mut self, _step: u64, _name: &str, _image: &Image) -> Result<(), Error> {
        Ok(())
    }

    /// Forces what was logged to the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    fn flush(&mut self) -> Result<(), Error>;
}

/// Each logger of a list in turn; the first error ends the call.
impl<L: Logger + ?Sized> Logger for Vec<Box<L>> {
    fn scalar(&mut self, step: u64, name: &str, value: f64) -> Result<(), Error> {
        self.iter_mut().try_for_each(|log| log.scalar(step, name, value))
    }

    fn histogram(&mut self, step: u64, name: &str, histogram: &Histogram) -> Result<(), Error> {
        self.iter_mut().try_for_each(|log| log.histogram(step, name, histogram))
    }

    fn image(&mut self, step: u64, name: &str, image: &Image) -> Result<(), Error> {
        self.iter_mut().try_for_each(|log| log.image(step, name, image))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.iter_mut().try_for_each(|log| log.flush())
    }
}

/// The error with the path of its file before it.
fn at(path: &std::path::Path) -> impl Fn(Error) -> Error + '_ {
    move |problem| Error::new(problem.kind(), format!("{}: {problem}", path.display()))
}
