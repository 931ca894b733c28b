//! Threads that work on one piece of work after another.
//!
//! A piece of work is a function and a number of chunks. The leader, whose work it is, announces it in one word: a
//! number that counts pieces, how many workers may take part, and which chunks are left. The leader takes chunks from
//! the front and helpers from the back, so that in successive loops a thread meets the elements that are in its cache.
//! When none is left, the leader waits for those that others have begun, and only for them.
//!
//! A helper watches the word for [`SPIN`] after the last piece, as far as it can tell its end, and then leaves: a worker
//! of a rayon pool goes back to its pool, to be called again by the leader between pieces; a thread of the crew parks
//! until it is woken. If a thread stops within a chunk for long, another process has its core, and the leader works alone
//! for a time, which is longer each time that it happens again. One that has not come yet costs nothing. A thread that was
//! woken and found little to do is woken later the next time.
//!
//! Safety. The function that is announced is borrowed from the leader's stack. A helper uses the pointer to it only
//! after it has taken a chunk, by exchanging the word that it read before the pointer. That succeeds only if the piece
//! is the same: then the chunk is not done, and the leader does not return, nor announce another piece, before it is.
//! The number of a piece would have to go through all 2³⁶ values between reading and exchanging to be mistaken.

#![allow(unsafe_code)] // Work on the leader's stack is run by other threads.

use std::any::Any;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::WORTH;
use super::crew::{self, Crew};

/// How long a helper watches for the next piece of work before it leaves, after its last chunk and as long again as that
/// took, since another thread may just have begun a chunk like it.
const SPIN: Duration = Duration::from_micros(50);
/// How long the leader watches for the end of a chunk that a helper has begun before it sleeps in turns.
const PATIENCE: Duration = Duration::from_micros(100);
/// A wait for a chunk that is longer says that a core is taken.
const STALL: Duration = Duration::from_micros(500);
/// After a stall, the time of working alone as a multiple of it.
const ALONE: u32 = 10;
/// The bounds of that time.
const LEAST_ALONE: Duration = Duration::from_millis(10);
const MOST_ALONE: Duration = Duration::from_secs(1);
/// The time is doubled at each stall that follows the last one within this time.
const SOON: Duration = Duration::from_millis(200);
/// The most doublings.
const DOUBLINGS: u32 = 6;
/// The shares of work that a helper must do before it sleeps again, so that to wake it has paid.
const LEAST_HELP: usize = WORTH;
/// A piece of work for which a helper is woken in any case.
const MUCH: usize = 4 * WORTH;
/// The most doublings of [`WORTH`] after helpers that did less.
const MOST_IN_VAIN: u32 = 5;

/// Bits of the word for a number of chunks, and for a number of workers.
const CHUNK_BITS: u32 = 10;
const WORKER_BITS: u32 = 8;
/// The most chunks of a piece of work.
pub(crate) const MOST_CHUNKS: usize = (1 << CHUNK_BITS) - 1;
/// The most workers of a piece of work.
pub(super) const MOST_WORKERS: usize = (1 << WORKER_BITS) - 1;

/// The state of a piece of work: its number, its workers, and the range of the chunks that nobody has taken.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Word(u64);

impl Word {
    fn new(number: u64, workers: usize, chunks: usize) -> Self {
        Self((number << WORKER_BITS | workers as u64) << (2 * CHUNK_BITS) | (chunks as u64) << CHUNK_BITS)
    }

    fn number(self) -> u64 {
        self.0 >> (2 * CHUNK_BITS + WORKER_BITS)
    }

    fn workers(self) -> usize {
        (self.0 >> (2 * CHUNK_BITS)) as usize & MOST_WORKERS
    }

    /// The end of the chunks that are left.
    fn end(self) -> usize {
        (self.0 >> CHUNK_BITS) as usize & MOST_CHUNKS
    }

    /// The first of the chunks that are left.
    fn first(self) -> usize {
        self.0 as usize & MOST_CHUNKS
    }

    fn is_empty(self) -> bool {
        self.first() == self.end()
    }

    /// A chunk for a worker, and the word without it.
    fn take(self, worker: usize) -> Option<(usize, Self)> {
        if self.is_empty() || worker >= self.workers() {
            return None;
        }
        match worker {
            0 => Some((self.first(), Self(self.0 + 1))),
            _ => Some((self.end() - 1, Self(self.0 - (1 << CHUNK_BITS)))),
        }
    }
}

/// A piece of work: a worker's number and a chunk.
type Work<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Keeps what follows on a cache line of its own.
#[repr(align(128))]
struct Apart<T>(T);

/// The leader's announcements and the helpers' answers.
pub(super) struct Team {
    chunks: Apart<AtomicU64>,
    /// Points to the [`Work`] of the current piece.
    work: AtomicPtr<()>,
    /// The chunks that helpers have done.
    done: Apart<AtomicUsize>,
    /// What a helper panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Set when no more work will be announced.
    closed: AtomicBool,
    /// How often helpers have come, and left, since they were called.
    came: AtomicUsize,
    left: AtomicUsize,
}

impl Team {
    pub(super) const fn new() -> Self {
        Self {
            chunks: Apart(AtomicU64::new(0)),
            work: AtomicPtr::new(std::ptr::null_mut()),
            done: Apart(AtomicUsize::new(0)),
            panic: Mutex::new(None),
            closed: AtomicBool::new(false),
            came: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
        }
    }

    /// Takes a chunk of the current piece for a worker.
    fn take(&self, worker: usize) -> Option<(usize, NonNull<Work<'static>>)> {
        let mut word = self.chunks.0.load(Ordering::Acquire);
        loop {
            let (chunk, rest) = Word(word).take(worker)?;
            let work = NonNull::new(self.work.load(Ordering::Relaxed).cast());
            match self.chunks.0.compare_exchange_weak(word, rest.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some((chunk, work?)),
                Err(now) => word = now,
            }
        }
    }

    /// Whether there is a chunk that nobody has taken.
    pub(super) fn has_chunks(&self) -> bool {
        !Word(self.chunks.0.load(Ordering::SeqCst)).is_empty()
    }

    /// Runs chunks as a helper, until none was announced for a while or the team is closed.
    pub(super) fn help(&self, worker: usize) {
        let _place = Place::Busy.enter();
        self.came.fetch_add(1, Ordering::Relaxed);
        let (mut seen, mut idle) = (0, None);
        let mut last = Duration::ZERO;
        while !self.closed.load(Ordering::Relaxed) {
            while let Some((chunk, work)) = self.take(worker) {
                let begin = Instant::now();
                // SAFETY: the chunk is taken and not done; see the module.
                let run = || unsafe { work.as_ref() }(worker, chunk);
                if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                    *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
                }
                self.done.0.fetch_add(1, Ordering::Release);
                (idle, last) = (None, begin.elapsed().min(STALL));
            }
            for _ in 0..32 {
                std::hint::spin_loop();
                let word = Word(self.chunks.0.load(Ordering::Relaxed));
                if word.number() != seen || !word.is_empty() && worker < word.workers() {
                    (seen, idle) = (word.number(), None);
                    break;
                }
            }
            if idle.get_or_insert_with(Instant::now).elapsed() > SPIN + last {
                break;
            }
        }
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs all chunks of a piece of work, with the helpers that come. Returns how many chunks the helpers did.
    ///
    /// # Panics
    /// If the work panics, on any thread; after all chunks that were begun.
    fn run(&self, chunks: usize, workers: usize, work: Work<'_>, wake: impl FnOnce()) -> usize {
        let start = Instant::now();
        self.done.0.store(0, Ordering::Relaxed);
        self.work.store((&raw const work).cast_mut().cast(), Ordering::Relaxed);
        let number = Word(self.chunks.0.load(Ordering::Relaxed)).number().wrapping_add(1);
        self.chunks.0.store(Word::new(number, workers.min(MOST_WORKERS), chunks).0, Ordering::SeqCst);
        wake();
        let _place = Place::Busy.enter();
        let mut others = chunks;
        let own = catch_unwind(AssertUnwindSafe(|| {
            while let Some((chunk, _)) = self.take(0) {
                others -= 1;
                work(0, chunk);
            }
        }));
        while own.is_err() && self.take(0).is_some() {
            others -= 1;
        }
        if self.done.0.load(Ordering::Acquire) < others {
            self.wait(others, start);
        }
        let helpers = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = own.err().or(helpers) {
            resume_unwind(panic);
        }
        others
    }

    /// Waits until helpers have done that many chunks.
    #[cold]
    fn wait(&self, chunks: usize, start: Instant) {
        let begin = Instant::now();
        let own = begin - start;
        loop {
            for _ in 0..16 {
                std::hint::spin_loop();
                if self.done.0.load(Ordering::Acquire) >= chunks {
                    let waited = begin.elapsed();
                    // To write what a panic says takes long too.
                    let panicked = self.panic.lock().unwrap_or_else(PoisonError::into_inner).is_some();
                    if waited > STALL && waited > own && !panicked {
                        work_alone(waited);
                    }
                    return;
                }
            }
            if begin.elapsed() > PATIENCE {
                // The helper may need this core.
                std::thread::sleep(Duration::from_micros(20));
            }
        }
    }
}

/// What the current thread is for teams.
#[derive(Clone, Copy)]
enum Place {
    /// In no team.
    Free,
    /// The leader of a team, between pieces of work; the helpers may be threads of the crew.
    Leader(NonNull<Team>, Option<&'static Crew>),
    /// In a chunk, whose work is not divided further.
    Busy,
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::Free) };
    /// Until when this thread works alone, or did a moment ago, and how often the time has been doubled.
    static ALONE_UNTIL: Cell<Option<(Instant, u32)>> = const { Cell::new(None) };
    /// Shares of work that were not divided because the helpers had left.
    static MISSED: Cell<usize> = const { Cell::new(0) };
    /// Shares of work that helpers have done since one was woken, and how often in a row they were too few.
    static HELPED: Cell<(usize, u32)> = const { Cell::new((LEAST_HELP, 0)) };
}

/// Whether to wake a helper for a piece of work, or after so much of it that was missed: that takes the more, the more
/// often in a row one was woken for little.
fn is_worth_waking(shares: usize, missed: usize) -> bool {
    missed >= WORTH << HELPED.get().1 || shares >= MUCH
}

/// Remembers that a helper is woken, and whether the last one was worth it.
fn count_wake() {
    let (shares, in_vain) = HELPED.get();
    HELPED.set((0, if shares < LEAST_HELP { MOST_IN_VAIN.min(in_vain + 1) } else { 0 }));
}

/// Restores the place of a thread when it is dropped.
struct Entered(Place);

impl Place {
    fn enter(self) -> Entered {
        Entered(PLACE.replace(self))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        PLACE.set(self.0);
    }
}

/// Stops dividing work for a time, after a stall.
fn work_alone(stall: Duration) {
    let doublings = ALONE_UNTIL.get().map_or(0, |(_, doublings)| DOUBLINGS.min(doublings + 1));
    let time = (stall * ALONE).max(LEAST_ALONE) * (1 << doublings);
    ALONE_UNTIL.set(Some((Instant::now() + time.min(MOST_ALONE), doublings)));
}

fn is_alone() -> bool {
    let Some((until, _)) = ALONE_UNTIL.get() else { return false };
    let now = Instant::now();
    if until + SOON <= now {
        ALONE_UNTIL.set(None);
    }
    now < until
}

/// Runs `work(worker, chunk)` for the chunks below `chunks` on at most `workers` threads, if that pays: `shares` says
/// how much work it is. Returns whether it did.
pub(super) fn share(chunks: usize, workers: usize, shares: usize, work: Work<'_>) -> bool {
    if chunks < 2 || workers < 2 {
        return false;
    }
    match PLACE.get() {
        Place::Busy => false,
        Place::Free if shares < WORTH => false,
        Place::Free => in_team(|| matches!(PLACE.get(), Place::Leader(..)) && share(chunks, workers, shares, work)),
        Place::Leader(team, crew) => {
            // SAFETY: the team outlives the guard that made this thread its leader, and is only shared.
            let team = unsafe { team.as_ref() };
            if is_alone() {
                return false;
            }
            let (sleepers, all_sleep) = match crew {
                Some(crew) => crew.sleepers(),
                None => (false, team.is_deserted()),
            };
            let missed = if sleepers || all_sleep { MISSED.get() + shares } else { 0 };
            let wake = crew.filter(|_| sleepers && is_worth_waking(shares, missed));
            if all_sleep && wake.is_none() {
                MISSED.set(missed);
                return false;
            }
            MISSED.set(0);
            if wake.is_some() && all_sleep {
                count_wake();
            }
            let helped = team.run(chunks, workers, work, || {
                if let Some(crew) = wake {
                    crew.wake_one();
                }
            });
            let (before, in_vain) = HELPED.get();
            HELPED.set((before.saturating_add(shares.saturating_mul(helped) / chunks), in_vain));
            true
        }
    }
}

impl Team {
    /// Whether all helpers that came have left.
    fn is_deserted(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        left > 0 && left == self.came.load(Ordering::Relaxed)
    }
}

/// Whether this thread leads a team whose helpers have left, although there is work for them, of which the next has
/// `shares`: then a function that runs within [`in_team_with_pauses`] pauses.
pub(crate) fn is_deserted(shares: impl FnOnce() -> usize) -> bool {
    let Place::Leader(team, None) = PLACE.get() else { return false };
    // SAFETY: as in `share`.
    if !unsafe { team.as_ref() }.is_deserted() {
        return false;
    }
    let shares = shares();
    shares > 1 && is_worth_waking(shares, MISSED.get() + shares) && !is_alone()
}

/// What a function returns that pauses within [`in_team_with_pauses`].
pub(crate) type Pause<R> = ControlFlow<R>;

/// Runs a function that divides its work over threads with [`in_parts`](super::in_parts) repeatedly: so they are
/// called once. Within a team it just runs.
pub fn in_team<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    let mut run = Some(run);
    in_team_with_pauses(|| match run.take() {
        Some(run) => Pause::Break(run()),
        None => unreachable!("it does not pause"),
    })
}

/// As [`in_team`], for a function that can pause where [`is_deserted`] is true: it is called again, and meanwhile
/// the helpers are.
pub(crate) fn in_team_with_pauses<R: Send>(mut run: impl FnMut() -> Pause<R> + Send) -> R {
    let threads = rayon::current_num_threads().min(MOST_WORKERS);
    if threads < 2 || !matches!(PLACE.get(), Place::Free) {
        return to_the_end(run);
    }
    if rayon::current_thread_index().is_none() {
        let Some(lease) = crew::lease(threads) else { return to_the_end(run) };
        let crew = lease.crew();
        let _place = Place::Leader(NonNull::from(&crew.team), Some(crew)).enter();
        return to_the_end(run);
    }
    let team = Team::new();
    loop {
        team.closed.store(false, Ordering::Relaxed);
        team.came.store(0, Ordering::Relaxed);
        team.left.store(0, Ordering::Relaxed);
        let lead = || {
            let _closing = Closing(&team);
            let _place = Place::Leader(NonNull::from(&team), None).enter();
            MISSED.set(0);
            count_wake();
            run()
        };
        if let Pause::Break(result) = rayon::join(lead, || call(&team, 1, threads)).0 {
            return result;
        }
    }
}

fn to_the_end<R>(mut run: impl FnMut() -> Pause<R>) -> R {
    loop {
        if let Pause::Break(result) = run() {
            return result;
        }
    }
}

/// Closes a team when it is dropped.
struct Closing<'a>(&'a Team);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Relaxed);
    }
}

/// Makes helpers of workers of the rayon pool, with the numbers `first..end`.
fn call(team: &Team, first: usize, end: usize) {
    if end - first > 1 {
        let middle = first.midpoint(end);
        rayon::join(|| call(team, first, middle), || call(team, middle, end));
        return;
    }
    team.help(first);
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_helper_that_comes_late_is_no_reason_to_work_alone() {
        let crew: &'static Crew = Box::leak(Box::new(Crew::that_does_not_come()));
        let _place = Place::Leader(NonNull::from(&crew.team), Some(crew)).enter();
        let alone = |worker: usize, _| {
            assert_eq!(worker, 0, "nobody else is there");
            thread::sleep(2 * STALL);
        };
        assert!(share(2, 2, MUCH, &alone), "the helper is woken");
        assert_eq!(crew.sleepers(), (false, false));
        assert!(share(2, 2, WORTH, &alone), "it may still come");
        // It does when the next piece of work has been announced, and takes a part of that one.
        let is_helped = AtomicBool::new(false);
        thread::scope(|scope| {
            let together = |worker: usize, _| {
                is_helped.fetch_or(worker == 1, Ordering::Relaxed);
                if worker == 0 {
                    scope.spawn(|| crew.team.help(1));
                    let begin = Instant::now();
                    while !is_helped.load(Ordering::Relaxed) && begin.elapsed() < Duration::from_secs(20) {
                        thread::yield_now();
                    }
                }
            };
            assert!(share(2, 2, WORTH, &together), "it may still come");
        });
        assert!(is_helped.into_inner(), "it helps");
    }

    #[test]
    fn after_helpers_that_did_little_more_work_must_be_missed() {
        let least = || (0..).find(|&missed| is_worth_waking(1, missed)).expect("enough is missed some time");
        assert_eq!(least(), WORTH);
        let wake_for = |shares: usize| {
            count_wake();
            HELPED.set((shares, HELPED.get().1));
        };
        wake_for(LEAST_HELP - 1);
        assert_eq!(least(), WORTH);
        for doublings in 1..=MOST_IN_VAIN {
            wake_for(0);
            assert_eq!(least(), WORTH << doublings);
        }
        wake_for(LEAST_HELP);
        assert_eq!(least(), WORTH << MOST_IN_VAIN);
        // One piece of much work is divided nevertheless, and help that has paid makes all as before.
        assert!(is_worth_waking(MUCH, 0));
        wake_for(0);
        assert_eq!(least(), WORTH);
    }
}
