//! Where and how often a run is saved.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// A folder of checkpoints: how often one is written, and how many are kept.
///
/// The files are `step-0000000120.safetensors`, by the number of batches so far, and `best.safetensors`: the weights of
/// the best epoch alone, if the run has [`EarlyStopping`](crate::EarlyStopping). Each is complete or absent, at any
/// moment. A folder belongs to one run.
///
/// # Example
/// ```
/// use gradus_train::Checkpoints;
/// let hourly = Checkpoints::new("runs/a").every_steps(5_000).keep(3);
/// assert_eq!(hourly.latest()?, None);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Checkpoints {
    folder: PathBuf,
    every_epochs: u64,
    every_steps: Option<u64>,
    keep: usize,
}

impl Checkpoints {
    /// A checkpoint after each epoch; the last three are kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), every_epochs: 1, every_steps: None, keep: 3 }
    }

    /// One after each `n` epochs.
    ///
    /// # Panics
    /// If the number is 0.
    #[track_caller]
    pub fn every_epochs(self, n: u64) -> Self {
        assert!(n > 0, "`Checkpoints::every_epochs`: a checkpoint is written after at least one epoch, not 0");
        Self { every_epochs: n, ..self }
    }

    /// One after each `n` batches as well.
    ///
    /// # Panics
    /// If the number is 0.
    #[track_caller]
    pub fn every_steps(self, n: u64) -> Self {
        assert!(n > 0, "`Checkpoints::every_steps`: a checkpoint is written after at least one batch, not 0");
        Self { every_steps: Some(n), ..self }
    }

    /// The number of checkpoints that are kept, the latest ones. The weights of the best epoch are kept beside them.
    ///
    /// # Panics
    /// If the number is 0.
    #[track_caller]
    pub fn keep(self, n: usize) -> Self {
        assert!(n > 0, "`Checkpoints::keep`: at least one checkpoint must be kept, not 0");
        Self { keep: n, ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The latest checkpoint of the folder; `None` if it holds none or does not exist.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn latest(&self) -> Result<Option<PathBuf>, Error> {
        Ok(self.written()?.pop().map(|(_, path)| path))
    }

    /// The file with the weights of the best epoch.
    pub fn best(&self) -> PathBuf {
        self.folder.join("best.safetensors")
    }

    /// Makes the folder, if it is not there.
    pub(super) fn create(&self) -> Result<(), Error> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|problem| Error::new(problem.kind(), format!("{}: {problem}", self.folder.display())))
    }

    pub(super) fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{step:010}{SUFFIX}"))
    }

    pub(super) fn is_due_after_step(&self, step: u64) -> bool {
        self.every_steps.is_some_and(|every| step.is_multiple_of(every))
    }

    /// `epoch` counts from 0.
    pub(super) fn is_due_after_epoch(&self, epoch: u64) -> bool {
        (epoch + 1).is_multiple_of(self.every_epochs)
    }

    /// Removes all but the latest.
    pub(super) fn prune(&self) -> Result<(), Error> {
        let written = self.written()?;
        for (_, path) in &written[..written.len().saturating_sub(self.keep)] {
            match std::fs::remove_file(path) {
                Err(problem) if problem.kind() != ErrorKind::NotFound => {
                    return Err(Error::new(problem.kind(), format!("{}: {problem}", path.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The checkpoints of the folder by their steps.
    fn written(&self) -> Result<Vec<(u64, PathBuf)>, Error> {
        let problem = |problem: Error| Error::new(problem.kind(), format!("{}: {problem}", self.folder.display()));
        let entries = match std::fs::read_dir(&self.folder) {
            Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(problem)?,
        };
        let mut written = Vec::new();
        for entry in entries {
            let path = entry.map_err(problem)?.path();
            let step = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok());
            written.extend(step.map(|step: u64| (step, path)));
        }
        written.sort_unstable();
        Ok(written)
    }
}

const PREFIX: &str = "step-";
const SUFFIX: &str = ".safetensors";
