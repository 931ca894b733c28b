//! What a stream of samples or batches lacks in std: shuffling within a buffer, groups, and work on other threads.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::shuffle::SplitMix64;

/// Further methods of iterators; `map`, `filter`, `zip` and `chain` are std's.
///
/// # Example
/// ```
/// use gradus_data::Stream;
/// // Numbers come in an order that depends on the seed and the epoch, are squared on two threads, and keep that order.
/// let squares = || (0..100_u64).shuffled_within(20, 7, 0).batched(8).prefetched(2, |numbers| {
///     numbers.into_iter().map(|number| number * number).collect::<Vec<u64>>()
/// });
/// assert_eq!(squares().map(|batch| batch.len()).sum::<usize>(), 100);
/// assert!(squares().eq(squares()));
/// ```
pub trait Stream: Iterator + Sized {
    /// The items in an order that belongs to the seed and the epoch, of which `buffer` are held in memory: an item comes
    /// at most `buffer` places earlier than without, later by any number. For rows that are found by their numbers,
    /// [`RowBatches::shuffled`](crate::RowBatches::shuffled) shuffles all.
    ///
    /// # Panics
    /// If the buffer is 0.
    #[track_caller]
    fn shuffled_within(self, buffer: usize, seed: u64, epoch: u64) -> Shuffled<Self> {
        assert!(buffer > 0, "`Stream::shuffled_within`: a buffer of no items");
        Shuffled { source: self, size: buffer, held: Vec::new(), random: SplitMix64::of(seed, epoch) }
    }

    /// The items in vectors of `size`; the last may be shorter.
    ///
    /// # Panics
    /// If the size is 0.
    #[track_caller]
    fn batched(self, size: usize) -> Batched<Self> {
        assert!(size > 0, "`Stream::batched`: a batch of no items");
        Batched { source: self, size }
    }

    /// Applies `f` to the items on `threads` threads, before they are asked for, and gives the results in the order of the
    /// items: the same for any number of threads. With none, each is computed when it is asked for.
    ///
    /// At most two results a thread wait to be asked for. The threads start with the first item that is asked for; so
    /// items that are passed over first are not computed. Where the system has no threads, none are used. If `f` or the
    /// source panics, so does the call that asks for the item. Threads end when the iterator is dropped, each after the
    /// item that it is at.
    fn prefetched<B, F>(self, threads: usize, f: F) -> Prefetched<Self, B>
    where
        Self: Send + 'static,
        Self::Item: Send + 'static,
        B: Send + 'static,
        F: Fn(Self::Item) -> B + Send + Sync + 'static,
    {
        let left = self.size_hint();
        Prefetched { threads, left, state: Stage::Still(Numbered::new(self), Arc::new(f)) }
    }
}

impl<I: Iterator> Stream for I {}

/// The items that [`Stream::shuffled_within`] gives.
#[derive(Clone, Debug)]
#[must_use = "iterators are lazy"]
pub struct Shuffled<I: Iterator> {
    source: I,
    size: usize,
    held: Vec<I::Item>,
    random: SplitMix64,
}

impl<I: Iterator> Iterator for Shuffled<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        while self.held.len() < self.size {
            let Some(item) = self.source.next() else { break };
            self.held.push(item);
        }
        if self.held.is_empty() {
            return None;
        }
        let place = self.random.below(self.held.len() as u64) as usize;
        Some(self.held.swap_remove(place))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.source.size_hint();
        let held = self.held.len();
        (least.saturating_add(held), most.and_then(|most| most.checked_add(held)))
    }
}

impl<I: ExactSizeIterator> ExactSizeIterator for Shuffled<I> {}

/// The vectors that [`Stream::batched`] gives.
#[derive(Clone, Debug)]
#[must_use = "iterators are lazy"]
pub struct Batched<I> {
    source: I,
    size: usize,
}

impl<I: Iterator> Iterator for Batched<I> {
    type Item = Vec<I::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch: Vec<I::Item> = self.source.by_ref().take(self.size).collect();
        (!batch.is_empty()).then_some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.source.size_hint();
        (least.div_ceil(self.size), most.map(|most| most.div_ceil(self.size)))
    }
}

impl<I: ExactSizeIterator> ExactSizeIterator for Batched<I> {}

/// The results that [`Stream::prefetched`] gives.
#[must_use = "iterators are lazy"]
pub struct Prefetched<I: Iterator, B> {
    threads: usize,
    left: (usize, Option<usize>),
    state: Stage<I, B>,
}

type Work<T, B> = Arc<dyn Fn(T) -> B + Send + Sync>;

enum Stage<I: Iterator, B> {
    /// No item has been asked for.
    Still(Numbered<I>, Work<I::Item, B>),
    /// Each is computed when it is asked for.
    Alone(Numbered<I>, Work<I::Item, B>),
    Shared(Arc<Shared<I, B>>),
    Ended,
}

/// What the threads share with the one that asks.
struct Shared<I: Iterator, B> {
    source: Mutex<Numbered<I>>,
    results: Mutex<Results<B>>,
    changed: Condvar,
    work: Work<I::Item, B>,
    /// How many results may wait.
    ahead: usize,
}

/// The source, with the number of its next item.
struct Numbered<I> {
    items: I,
    next: usize,
    /// How many items are to be passed over before it.
    passed: usize,
}

impl<I: Iterator> Numbered<I> {
    fn new(items: I) -> Self {
        Self { items, next: 0, passed: 0 }
    }

    fn take(&mut self) -> Option<I::Item> {
        self.next += 1;
        self.items.nth(std::mem::take(&mut self.passed))
    }
}

struct Results<B> {
    /// The results that wait, by number; an error is a panic.
    done: BTreeMap<usize, std::thread::Result<B>>,
    /// The number of the result that is asked for next.
    wanted: usize,
    /// The number of items, once it is known.
    end: Option<usize>,
    dropped: bool,
}

/// What another thread left is whole: panics of items are caught before they pass a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<I: Iterator, B> Shared<I, B> {
    fn wait<'a>(&self, results: MutexGuard<'a, Results<B>>) -> MutexGuard<'a, Results<B>> {
        self.changed.wait(results).unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread does.
    fn run(&self) {
        loop {
            let mut source = lock(&self.source);
            let number = source.next;
            let mut results = lock(&self.results);
            while !results.dropped && results.end.is_none() && number >= results.wanted + self.ahead {
                results = self.wait(results);
            }
            if results.dropped || results.end.is_some() {
                return;
            }
            drop(results);
            let item = catch_unwind(AssertUnwindSafe(|| source.take()));
            if !matches!(item, Ok(Some(_))) {
                // The end, or a panic, after which there is nothing either.
                let end = if item.is_err() { number + 1 } else { number };
                let mut results = lock(&self.results);
                results.end = Some(end);
                if let Err(panic) = item {
                    results.done.insert(number, Err(panic));
                }
                self.changed.notify_all();
                return;
            }
            drop(source);
            let result = catch_unwind(AssertUnwindSafe(|| item.ok().flatten().map(|item| (self.work)(item))));
            let result = result.map(|result| result.expect("there was an item"));
            lock(&self.results).done.insert(number, result);
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<B> {
        let mut results = lock(&self.results);
        loop {
            let wanted = results.wanted;
            if let Some(result) = results.done.remove(&wanted) {
                results.wanted += 1;
                drop(results);
                self.changed.notify_all();
                match result {
                    Ok(result) => return Some(result),
                    Err(panic) => resume_unwind(panic),
                }
            }
            if results.end.is_some_and(|end| wanted >= end) {
                return None;
            }
            results = self.wait(results);
        }
    }
}

impl<I, B> Prefetched<I, B>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
    B: Send + 'static,
{
    /// Starts the threads, if there can be any.
    fn start(&mut self) {
        if !matches!(self.state, Stage::Still(..)) {
            return;
        }
        let Stage::Still(source, work) = std::mem::replace(&mut self.state, Stage::Ended) else { return };
        if self.threads == 0 {
            self.state = Stage::Alone(source, work);
            return;
        }
        let results = Results { done: BTreeMap::new(), wanted: 0, end: None, dropped: false };
        let shared = Arc::new(Shared {
            source: Mutex::new(source),
            results: Mutex::new(results),
            changed: Condvar::new(),
            work,
            ahead: 2 * self.threads,
        });
        let mut started = 0;
        for _ in 0..self.threads {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name("gradus-data".into()).spawn(move || shared.run());
            started += usize::from(thread.is_ok());
        }
        self.state = match Arc::try_unwrap(shared) {
            Ok(shared) if started == 0 => {
                let source = shared.source.into_inner().unwrap_or_else(PoisonError::into_inner);
                Stage::Alone(source, shared.work)
            }
            Ok(shared) => Stage::Shared(Arc::new(shared)),
            Err(shared) => Stage::Shared(shared),
        };
    }
}

impl<I, B> Iterator for Prefetched<I, B>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
    B: Send + 'static,
{
    type Item = B;

    fn next(&mut self) -> Option<B> {
        self.start();
        let item = match &mut self.state {
            Stage::Alone(source, work) => source.take().map(|item| work(item)),
            Stage::Shared(shared) => shared.next(),
            Stage::Still(..) | Stage::Ended => None,
        };
        match item {
            Some(_) => {
                self.left = (self.left.0.saturating_sub(1), self.left.1.map(|most| most.saturating_sub(1)));
            }
            None => {
                self.left = (0, Some(0));
                self.state = Stage::Ended;
            }
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left
    }

    /// Before the first item is asked for, those that are passed over are not computed.
    fn nth(&mut self, n: usize) -> Option<B> {
        if let Stage::Still(source, _) | Stage::Alone(source, _) = &mut self.state {
            source.passed = source.passed.saturating_add(n);
            self.left = (self.left.0.saturating_sub(n), self.left.1.map(|most| most.saturating_sub(n)));
            return self.next();
        }
        for _ in 0..n {
            self.next()?;
        }
        self.next()
    }
}

impl<I, B> ExactSizeIterator for Prefetched<I, B>
where
    I: ExactSizeIterator + Send + 'static,
    I::Item: Send + 'static,
    B: Send + 'static,
{
}

impl<I: Iterator, B> Drop for Prefetched<I, B> {
    fn drop(&mut self) {
        if let Stage::Shared(shared) = &self.state {
            lock(&shared.results).dropped = true;
            shared.changed.notify_all();
        }
    }
}
