//! Files of one record a line, which grow and may be continued.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::at;
use crate::faults::brief;
use crate::replace::{check_file, replace_file};

/// A file that lines are appended to. It is locked while it is open.
#[derive(Debug)]
pub(super) struct Records {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Records {
    /// The file with nothing but `head`, whatever it held before.
    pub(super) fn create(path: &Path, head: &str) -> Result<Self, Error> {
        if path.exists() {
            Self::open(path)?;
        }
        replace_file(path, head.as_bytes())?;
        Self::open(path)
    }

    /// The file with its records of steps up to `step`, or a new one. `step_of` gives the step of a line after the head.
    pub(super) fn resume(
        path: &Path,
        head: &str,
        step: u64,
        step_of: impl Fn(&str) -> Result<u64, String>,
    ) -> Result<Self, Error> {
        if !path.exists() {
            return Self::create(path, head);
        }
        // Nobody else may write while it is read.
        let open = Self::open(path)?;
        let invalid = |problem: String| at(path)(Error::new(ErrorKind::InvalidData, problem));
        let bytes = std::fs::read(path).map_err(at(path))?;
        // A killed run may have left a part of a line.
        let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| invalid("it is not UTF-8".to_owned()))?;
        let records = text
            .strip_prefix(head)
            .ok_or_else(|| invalid(format!("it is not such a log: the first line is not `{}`", head.trim_end())));
        let records = if text.is_empty() { Ok("") } else { records }?;
        let mut kept = head.to_owned();
        for (number, line) in records.lines().enumerate() {
            let line_number = number + 1 + head.lines().count();
            let step_of_line =
                step_of(line).map_err(|problem| invalid(format!("line {line_number}: {}", brief(problem))))?;
            if step_of_line <= step {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        if kept.as_bytes() == bytes {
            return Ok(open);
        }
        replace_file(path, kept.as_bytes())?;
        Self::open(path)
    }

    fn open(path: &Path) -> Result<Self, Error> {
        let open = || {
            let file = OpenOptions::new().append(true).open(path)?;
            let metadata = file.metadata()?;
            check_file(&metadata)?;
            // There are file systems without locks. A process that is just being started holds those of the one that
            // starts it for a moment.
            let mut tries = 0..100;
            while matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
                if tries.next().is_none() {
                    return Err(Error::new(ErrorKind::ResourceBusy, "another logger writes to it at present"));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(Self { path: path.to_owned(), file, length: metadata.len() })
        };
        open().map_err(at(path))
    }

    /// Appends a line that has no line break within. What cannot be written whole is taken back.
    pub(super) fn append(&mut self, line: &str) -> Result<(), Error> {
        let line = format!("{line}\n");
        if let Err(problem) = self.file.write_all(line.as_bytes()) {
            // The next run drops a part of a line that cannot be taken back.
            let _ = self.file.set_len(self.length);
            return Err(at(&self.path)(problem));
        }
        self.length += line.len() as u64;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.file.sync_data().map_err(at(&self.path))
    }
}
