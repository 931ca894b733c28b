//! Event files of TensorBoard.

mod graph;

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, create_dir_all, read_dir};
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gradus_graph::Graph;

use super::crc32c::masked;
use super::message::Message;
use super::{Logger, at};
use crate::histogram::Histogram;
use crate::image::Image;

/// A folder of event files, one folder a run, which the program `tensorboard --logdir FOLDER` shows: scalars, histograms,
/// images and a graph. A slash in a name makes a group: `loss/train`. TensorBoard keeps scalars in single precision.
///
/// # Example
/// ```
/// use gradus_train::logs::{Logger, TensorBoard};
/// let folder = std::env::temp_dir().join(format!("gradus-tensorboard-{}", std::process::id()));
/// let mut board = TensorBoard::create(&folder)?;
/// board.scalar(1, "loss/train", 0.25)?;
/// board.flush()?;
/// let name = board.path().file_name().expect("a file").to_string_lossy();
/// assert!(name.starts_with("events.out.tfevents."));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// A new event file in a folder, which is made if it is missing.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self, Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let folder = folder.as_ref();
        create_dir_all(folder).map_err(at(folder))?;
        let process = std::process::id();
        // TensorBoard reads files in the order of their names.
        let latest =
            read_dir(folder).map_err(at(folder))?.flatten().filter_map(|entry| seconds_of(&entry.file_name())).max();
        let seconds = now().as_secs().max(latest.map_or(0, |latest| latest.saturating_add(1)));
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("events.out.tfevents.{seconds:010}.gradus.{process}.{count}"));
            let file = match OpenOptions::new().append(true).create_new(true).open(&path) {
                Err(problem) if problem.kind() == ErrorKind::AlreadyExists => continue,
                file => file.map_err(at(&path))?,
            };
            let mut board = Self { path, file };
            board.event(None, |event| event.bytes(3, b"brain.Event:2"))?;
            return Ok(board);
        }
    }

    /// A new event file for a run that continues after `step`. It tells TensorBoard to leave out what the folder's
    /// earlier files have of later steps.
    ///
    /// # Errors
    /// As [`TensorBoard::create`].
    pub fn resume(folder: impl AsRef<Path>, step: u64) -> Result<Self, Error> {
        let mut board = Self::create(folder)?;
        // The session starts: what has this step or a later one is void.
        board.event(Some(step.saturating_add(1)), |event| event.message(7, &Message::new().integer(1, 1)))?;
        Ok(board)
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Logs a graph: its ops, in their scopes, with the shapes of what they give.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn graph(&mut self, graph: &Graph) -> Result<(), Error> {
        let definition = graph::definition(graph);
        self.event(None, |event| event.message(4, &definition))
    }

    /// Appends an event: its length, a checksum of that, its bytes, a checksum of those.
    fn event(&mut self, step: Option<u64>, fill: impl FnOnce(Message) -> Message) -> Result<(), Error> {
        let event = Message::new().double(1, now().as_secs_f64());
        let event = fill(match step {
            Some(step) => event.integer(2, step),
            None => event,
        });
        let event = event.as_bytes();
        let length = (event.len() as u64).to_le_bytes();
        let record = [&length[..], &masked(&length).to_le_bytes(), event, &masked(event).to_le_bytes()].concat();
        // TensorBoard waits for the rest of a record that is not whole.
        self.file.write_all(&record).map_err(at(&self.path))
    }

    fn summary(&mut self, step: u64, name: &str, fill: impl FnOnce(Message) -> Message) -> Result<(), Error> {
        let value = fill(Message::new().bytes(1, name.as_bytes()));
        self.event(Some(step), |event| event.message(5, &Message::new().message(1, &value)))
    }
}

/// The time in the name of an event file.
fn seconds_of(name: &OsStr) -> Option<u64> {
    name.to_str()?.strip_prefix("events.out.tfevents.")?.split('.').next()?.parse().ok()
}

fn now() -> Duration {
    // A clock before 1970 is 1970's.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Logger for TensorBoard {
    fn scalar(&mut self, step: u64, name: &str, value: f64) -> Result<(), Error> {
        self.summary(step, name, |summary| summary.float(2, value as f32))
    }

    fn histogram(&mut self, step: u64, name: &str, histogram: &Histogram) -> Result<(), Error> {
        let edges = histogram.edges();
        let limits = edges[1..].iter().copied();
        let counts = histogram.counts().iter().map(|&count| count as f64);
        let content = Message::new()
            .double(1, edges[0])
            .double(2, edges[edges.len() - 1])
            .double(3, histogram.len() as f64)
            .double(4, histogram.sum())
            .double(5, histogram.sum_of_squares())
            .doubles(6, limits)
            .doubles(7, counts);
        self.summary(step, name, |summary| summary.message(5, &content))
    }

    fn image(&mut self, step: u64, name: &str, image: &Image) -> Result<(), Error> {
        let content = Message::new()
            .integer(1, image.height() as u64)
            .integer(2, image.width() as u64)
            .integer(3, image.channels() as u64)
            .bytes(4, &image.png());
        self.summary(step, name, |summary| summary.message(4, &content))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.sync_data().map_err(at(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("gradus-{name}-{}", std::process::id()))
    }

    /// The events of a file, each without its time.
    fn events(path: &Path) -> Vec<Vec<u8>> {
        let bytes = std::fs::read(path).unwrap();
        let (mut rest, mut found) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(masked(&rest[..8]).to_le_bytes(), rest[8..12]);
            let event = &rest[12..12 + length];
            assert_eq!(masked(event).to_le_bytes(), rest[12 + length..16 + length]);
            assert_eq!(event[0], 0x09);
            let time = f64::from_le_bytes(event[1..9].try_into().unwrap());
            assert!(time > 1.7e9);
            found.push(event[9..].to_vec());
            rest = &rest[16 + length..];
        }
        found
    }

    #[test]
    fn events_have_the_bytes_of_the_format() {
        let folder = folder("events");
        let mut board = TensorBoard::create(&folder).unwrap();
        board.scalar(300, "loss", 0.25).unwrap();
        board.histogram(1, "w", &Histogram::of(&[0.0, 1.0], 1)).unwrap();
        let found = events(board.path());
        assert_eq!(found[0], b"\x1a\x0dbrain.Event:2");
        assert_eq!(found[1], b"\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\x80\x3e");
        let one = 1.0_f64.to_le_bytes();
        let (zero, two) = (0.0_f64.to_le_bytes(), 2.0_f64.to_le_bytes());
        let content: Vec<u8> = [
            &[0x09][..],
            &zero,
            &[0x11],
            &one,
            &[0x19],
            &two,
            &[0x21],
            &one,
            &[0x29],
            &one,
            &[0x32, 8],
            &one,
            &[0x3a, 8],
            &two,
        ]
        .concat();
        let value = [&b"\x0a\x01w\x2a"[..], &[content.len() as u8], &content].concat();
        let summary = [&[0x0a, value.len() as u8][..], &value].concat();
        assert_eq!(found[2], [&[0x10, 1, 0x2a, summary.len() as u8][..], &summary].concat());
        let resumed = TensorBoard::resume(&folder, 4).unwrap();
        assert!(resumed.path() > board.path());
        assert_eq!(events(resumed.path())[1], b"\x10\x05\x3a\x02\x08\x01");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_is_none_is_an_error() {
        let path = folder("no-folder");
        std::fs::write(&path, b"a file").unwrap();
        let problem = TensorBoard::create(&path).unwrap_err().to_string();
        assert!(problem.starts_with(&path.display().to_string()), "{problem}");
        std::fs::remove_file(&path).unwrap();
    }
}
