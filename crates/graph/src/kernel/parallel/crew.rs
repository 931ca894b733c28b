//! Threads that are kept for runs from outside of any rayon pool.
//!
//! To enter a pool from outside, a thread wakes one of the pool, waits for it, and is woken by it, which
//! takes longer than a step of training of a small network. Leading a crew, it wakes one thread, and only if there is
//! enough work; and a crew that has just worked is still awake. There are as many threads as the global pool has, less
//! one; they are started when first needed, and one run leads them at a time. Another run at the same time has no
//! helpers: it has its own thread.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

use super::team::Team;

/// The helpers of runs from outside of any pool.
pub(super) struct Crew {
    pub(super) team: Team,
    helpers: Vec<Helper>,
    is_leased: AtomicBool,
}

struct Helper {
    thread: Thread,
    sleeps: AtomicBool,
}

static CREW: OnceLock<Crew> = OnceLock::new();

/// The right to lead the crew.
pub(super) struct Lease(&'static Crew);

impl Lease {
    pub(super) fn crew(&self) -> &'static Crew {
        self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.is_leased.store(false, Ordering::Release);
    }
}

/// Leases the crew, which is started with `threads` threads, one of them the leader's, unless somebody leads it.
pub(super) fn lease(threads: usize) -> Option<Lease> {
    let crew = CREW.get_or_init(|| Crew::start(threads));
    let is_free = !crew.helpers.is_empty() && !crew.is_leased.swap(true, Ordering::Acquire);
    is_free.then(|| Lease(crew))
}

impl Crew {
    /// Starts the threads; fewer if the system does not give as many.
    fn start(threads: usize) -> Self {
        let start = |number: usize| {
            let thread = thread::Builder::new().name(format!("gradus-{number}"));
            thread.spawn(move || CREW.wait().serve(number)).ok()
        };
        let helpers = (1..threads).map_while(start);
        let helper =
            |handle: thread::JoinHandle<()>| Helper { thread: handle.thread().clone(), sleeps: AtomicBool::new(false) };
        Self { team: Team::new(), helpers: helpers.map(helper).collect(), is_leased: AtomicBool::new(false) }
    }

    /// A crew whose only helper is asleep and does not come when it is woken.
    #[cfg(test)]
    pub(super) fn that_does_not_come() -> Self {
        let helpers = vec![Helper { thread: thread::current(), sleeps: AtomicBool::new(true) }];
        Self { team: Team::new(), helpers, is_leased: AtomicBool::new(true) }
    }

    /// The life of helper `number`, counted from 1.
    fn serve(&self, number: usize) {
        let sleeps = &self.helpers[number - 1].sleeps;
        loop {
            self.team.help(number);
            sleeps.store(true, Ordering::SeqCst);
            // What is announced from here on is seen, or the announcer sees that this thread sleeps.
            if !self.team.has_chunks() {
                while sleeps.load(Ordering::SeqCst) {
                    thread::park();
                }
                // There may be work for more.
                if self.team.has_chunks() {
                    self.wake_one();
                }
            }
            sleeps.store(false, Ordering::SeqCst);
        }
    }

    /// Whether some helper sleeps, and whether all do.
    pub(super) fn sleepers(&self) -> (bool, bool) {
        let asleep = self.helpers.iter().filter(|helper| helper.sleeps.load(Ordering::Relaxed)).count();
        (asleep > 0, asleep == self.helpers.len())
    }

    /// Wakes a helper that sleeps, who wakes the next one.
    pub(super) fn wake_one(&self) {
        if let Some(helper) = self.helpers.iter().find(|helper| helper.sleeps.swap(false, Ordering::SeqCst)) {
            helper.thread.unpark();
        }
    }
}
