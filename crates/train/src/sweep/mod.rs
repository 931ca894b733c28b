//! Runs for many options and seeds.
//!
//! A [`Sweep`] trains once for each combination of options and each seed, several runs at once, keeps what is done in a
//! folder if it is given one, and gives [`SweepResults`]: mean ± standard deviation over the seeds, tables and plots.

mod results;
mod spread;
mod store;

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::History;
use crate::progress::Progress;

pub use results::{SweepResults, SweepRow};
pub use spread::Spread;

/// Options and seeds to train with.
///
/// Runs are made at once, each on a thread of its own, on which kernels are not divided further: many runs side by side
/// are faster than each on all cores. The results do not depend on the number of threads, unless a run looks at a clock.
///
/// # Example
/// ```
/// use gradus_data::{Split, digits};
/// use gradus_graph::Params;
/// use gradus_nn::{Dense, Layer, Relu, loss};
/// use gradus_optim::Adam;
/// use gradus_train::{Evaluation, Sweep, TrainError, Trainer, metrics::Accuracy};
/// let Split { train, .. } = digits::load().reshaped([64]);
/// let Split { train, test: validation } = train.split(300, 1); // the options are chosen on these
/// let found = Sweep::new([0.001, 0.01]).crossed([4, 16]).seeds(0..2).run(|&(rate, width), seed| {
///     let mut params: Params = Params::new(seed);
///     let model =
///         (Dense::new(&mut params, "hidden", 64, width), Relu, Dense::new(&mut params, "output", width, 10));
///     let evaluation = Evaluation::new(|_, [images, digits]| {
///         let logits = model.forward(images);
///         [loss::cross_entropy(logits, digits), logits]
///     });
///     let mut trainer = Trainer::new(Adam::new(rate), |_, [x, y]| loss::cross_entropy(model.forward(x), y))
///         .epochs(2)
///         .validation(evaluation.metric(Accuracy::new()), || validation.batches(300));
///     Ok::<_, TrainError>(trainer.fit(&mut params, |epoch| train.batches(32).shuffled(seed, epoch))?.clone())
/// })?;
/// println!("{found}");
/// let best = found.lowest("validation loss").expect("a loss is finite");
/// assert_eq!((best.name(), best.options()), ("0.01, 16", &(0.01, 16)));
/// assert!(best.last("validation accuracy").mean > 0.8, "{found}");
/// # Ok::<(), gradus_train::sweep::SweepError>(())
/// ```
///
/// A run that diverges ends in an error, and so does the sweep. Where divergence is a result, the closure says so:
/// `Ok(trainer.fit(…).cloned().unwrap_or_else(|_| diverged))` with a history of its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct Sweep<T> {
    options: Vec<(String, T)>,
    seeds: Vec<u64>,
    threads: Option<usize>,
    folder: Option<PathBuf>,
    shows_progress: bool,
}

impl<T> Sweep<T> {
    /// A sweep over options, each named by its text, with the seed 0.
    pub fn new(options: impl IntoIterator<Item = T>) -> Self
    where
        T: fmt::Display,
    {
        Self::named(options.into_iter().map(|options| (options.to_string(), options)))
    }

    /// A sweep over options with names, with the seed 0.
    pub fn named<S: Into<String>>(options: impl IntoIterator<Item = (S, T)>) -> Self {
        let options = options.into_iter().map(|(name, options)| (name.into(), options)).collect();
        Self { options, seeds: vec![0], threads: None, folder: None, shows_progress: false }
    }

    /// Each option with each of others: `adam, 0.01` and so on.
    pub fn crossed<U: fmt::Display + Clone>(self, others: impl IntoIterator<Item = U>) -> Sweep<(T, U)>
    where
        T: Clone,
    {
        let others: Vec<U> = others.into_iter().collect();
        let with = |(name, options): (String, T)| {
            let pair = move |other: &U| (format!("{name}, {other}"), (options.clone(), other.clone()));
            others.iter().map(pair).collect::<Vec<_>>()
        };
        let Self { seeds, threads, folder, shows_progress, .. } = self;
        Sweep { options: self.options.into_iter().flat_map(with).collect(), seeds, threads, folder, shows_progress }
    }

    /// The seeds that each combination is run with.
    pub fn seeds(self, seeds: impl IntoIterator<Item = u64>) -> Self {
        Self { seeds: seeds.into_iter().collect(), ..self }
    }

    /// The number of runs at once; as many as the current rayon pool has threads by default. With 1, the runs are made one
    /// after another on the calling thread, and each may divide its work.
    ///
    /// # Panics
    /// If the number is 0.
    #[track_caller]
    pub fn threads(self, threads: usize) -> Self {
        assert!(threads > 0, "`Sweep::threads`: at least one run is made at a time, not 0");
        Self { threads: Some(threads), ..self }
    }

    /// Keeps each run that is done in a file of its own, and does not repeat it if it is there: so a sweep that was
    /// stopped at any moment goes on, and more options or seeds can be added to it. A run is known by the name of its
    /// options and its seed alone: when the closure changes, take another folder.
    pub fn keep_in(self, folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), ..self }
    }

    /// Shows on the standard error how many runs are done.
    pub fn progress(self) -> Self {
        Self { shows_progress: true, ..self }
    }

    /// Runs all that is not done yet: the closure trains with the options and the seed, and says what came of it.
    ///
    /// # Errors
    /// The first error of a run, after which no other begins; those that were done are kept. Also if two combinations
    /// have one name, if a seed occurs twice, or if a file cannot be written or read.
    ///
    /// # Panics
    /// If a run panics.
    pub fn run<E>(&self, trial: impl Fn(&T, u64) -> Result<History, E> + Sync) -> Result<SweepResults<T>, SweepError>
    where
        T: Clone + Sync,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.check_names()?;
        if let Some(folder) = &self.folder {
            std::fs::create_dir_all(folder).map_err(|problem| SweepError::of_file(folder, problem))?;
        }
        let jobs: Vec<Job<'_, T>> = self.jobs().collect();
        let threads = self.threads.unwrap_or_else(rayon::current_num_threads).min(jobs.len());
        let progress = Mutex::new(match self.shows_progress {
            true => Progress::new(jobs.len()),
            false => Progress::new(jobs.len()).silent(),
        });
        let work = |job: &Job<'_, T>| -> Result<History, SweepError> {
            let history = self.result_of(job, &trial)?;
            progress.lock().unwrap_or_else(PoisonError::into_inner).advance(1, job);
            Ok(history)
        };
        let found = if threads < 2 { in_turn(&jobs, work) } else { side_by_side(&jobs, threads, work) };
        let mut histories = found?.into_iter();
        let rows = self.options.iter().map(|(name, options)| {
            let runs = self.seeds.iter().copied().zip(histories.by_ref().take(self.seeds.len())).collect();
            SweepRow { name: name.clone(), options: options.clone(), runs }
        });
        Ok(SweepResults { rows: rows.collect() })
    }

    fn jobs(&self) -> impl Iterator<Item = Job<'_, T>> {
        let with_seeds = |(name, options)| self.seeds.iter().map(move |&seed| Job { name, options, seed });
        self.options.iter().map(|(name, options)| (name.as_str(), options)).flat_map(with_seeds)
    }

    fn check_names(&self) -> Result<(), SweepError> {
        let twice = |problem: String| Err(SweepError { run: None, cause: problem.into() });
        for (number, (name, _)) in self.options.iter().enumerate() {
            if self.options[..number].iter().any(|(other, _)| other == name) {
                return twice(format!(
                    "two combinations of a sweep have the name `{name}`: `Sweep::named` tells them apart"
                ));
            }
        }
        for (number, seed) in self.seeds.iter().enumerate() {
            if self.seeds[..number].contains(seed) {
                return twice(format!("the seeds of a sweep contain {seed} twice"));
            }
        }
        Ok(())
    }

    /// What a run gives: from its file, or else from the closure.
    fn result_of<E>(
        &self,
        job: &Job<'_, T>,
        trial: &impl Fn(&T, u64) -> Result<History, E>,
    ) -> Result<History, SweepError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let path = self.folder.as_ref().map(|folder| store::path(folder, job.name, job.seed));
        let failed = |cause: Box<dyn Error + Send + Sync>| SweepError { run: Some(job.to_string()), cause };
        if let Some(path) = &path
            && let Some(history) = store::read(path, job.name, job.seed).map_err(|problem| failed(problem.into()))?
        {
            return Ok(history);
        }
        let history = trial(job.options, job.seed).map_err(|cause| failed(cause.into()))?;
        if let Some(path) = &path {
            store::write(path, job.name, job.seed, &history).map_err(|problem| failed(problem.into()))?;
        }
        Ok(history)
    }
}

/// One run.
struct Job<'a, T> {
    name: &'a str,
    options: &'a T,
    seed: u64,
}

impl<T> fmt::Display for Job<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, seed {}", self.name, self.seed)
    }
}

fn in_turn<J, R, E>(jobs: &[J], work: impl Fn(&J) -> Result<R, E>) -> Result<Vec<R>, E> {
    jobs.iter().map(work).collect()
}

/// The results of jobs in their order, done by several threads, each of which is a thread pool of its own. After an error
/// no other job begins; the error is that of the first job that has one.
fn side_by_side<J: Sync, R: Send, E: Send>(
    jobs: &[J],
    threads: usize,
    work: impl Fn(&J) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let worker = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(number) else { break };
            let result = work(job);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((number, result));
        }
        done
    };
    // On a pool of one thread a kernel sees that there is nothing to divide its work over.
    let alone = || match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(worker),
        Err(_) => worker(),
    };
    let mut done: Vec<(usize, Result<R, E>)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(alone)).collect();
        let finished = handles.into_iter().map(|handle| handle.join());
        finished.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Why a sweep could not go on. The message names the run.
pub struct SweepError {
    run: Option<String>,
    cause: Box<dyn Error + Send + Sync>,
}

impl SweepError {
    fn of_file(path: &std::path::Path, problem: std::io::Error) -> Self {
        Self { run: None, cause: format!("{}: {problem}", path.display()).into() }
    }
}

impl fmt::Display for SweepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.run {
            Some(run) => write!(f, "the run of `{run}`: {}", self.cause),
            None => self.cause.fmt(f),
        }
    }
}

impl fmt::Debug for SweepError {
    /// The message, as `main` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for SweepError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

#[cfg(test)]
mod tests;
