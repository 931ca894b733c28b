//! The division of work: all of it once, on any number of threads, in pools within pools, beside others, and with panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Runs `test` from outside of any pool, and in pools of several sizes, more threads than the machine has among them.
fn everywhere(test: impl Fn() + Sync) {
    thread::scope(|scope| scope.spawn(&test).join().expect("the test passes outside of a pool"));
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        pool.install(&test);
    }
}

/// Divides `len` elements, and checks that each is worked on once and that each worker does one thing at a time.
fn divided(len: usize, grain: usize, align: usize, threads: usize) {
    let counts: Vec<AtomicUsize> = (0..len).map(|_| AtomicUsize::new(0)).collect();
    let busy: Vec<AtomicBool> = (0..threads).map(|_| AtomicBool::new(false)).collect();
    in_parts(len, grain, align, threads, &|worker, range| {
        assert!(!busy[worker].swap(true, Ordering::SeqCst), "worker {worker} is one thread");
        assert!(range.start.is_multiple_of(align), "{range:?} starts at a multiple of {align}");
        counts[range].iter().for_each(|count| _ = count.fetch_add(1, Ordering::Relaxed));
        busy[worker].store(false, Ordering::SeqCst);
    });
    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{len} in parts of {grain}");
}

#[test]
fn each_element_is_worked_on_once() {
    everywhere(|| {
        for len in [0, 1, 2, 31, 100, 1000] {
            for (grain, align) in [(1, 1), (1, 16), (7, 3), (len + 1, 1)] {
                divided(len, grain, align, 3);
            }
        }
        in_team(|| (0..20_000).for_each(|round| divided(2 + round % 60, 1 + round % 3, 1 + round % 5, 1 + round % 9)));
    });
}

#[test]
fn threads_have_as_many_chunks_each() {
    let of = |shares: [usize; 6], threads: usize| shares.map(|shares| chunks(shares, threads));
    assert_eq!(of([2, 3, 4, 5, 7, 9], 2), [2, 4, 4, 6, 8, 8]);
    assert_eq!(of([2, 3, 4, 5, 7, 90], 3), [2, 3, 6, 6, 9, 12]);
    assert_eq!(of([1, 7, 8, 9, 31, usize::MAX], 8), [1, 7, 8, 16, 32, 32]);
    assert_eq!(chunks(usize::MAX, 1000), MOST_CHUNKS);
}

#[test]
fn each_row_comes_with_its_own_elements() {
    everywhere(|| {
        for (count, size) in [(0, 3), (1, 1), (100, 7), (33, 1)] {
            let [mut rows, mut first, mut second] = [count * size, count, count].map(|len| vec![usize::MAX; len]);
            in_rows(&mut rows, size, [&mut first, &mut second], 1, &|from, rows, [first, second]| {
                for row in 0..first.len() {
                    rows[row * size..][..size].fill(from + row);
                    (first[row], second[row]) = (from + row, from + row + 1);
                }
            });
            assert!(rows.iter().enumerate().all(|(k, &row)| row == k / size), "{rows:?}");
            assert!((0..count).all(|row| [first[row], second[row]] == [row, row + 1]), "{first:?} {second:?}");
        }
    });
}

#[test]
fn work_that_is_divided_is_not_divided_further() {
    everywhere(|| {
        let inner = AtomicUsize::new(0);
        in_parts(64, 1, 1, 8, &|_, outer| {
            for _ in outer {
                in_team(|| {
                    in_parts(64, 1, 1, 8, &|worker, range| {
                        assert!(worker == 0);
                        inner.fetch_add(range.len(), Ordering::Relaxed);
                    });
                });
                // Another library's division does not mind.
                rayon::join(|| inner.fetch_add(1, Ordering::Relaxed), || inner.fetch_add(1, Ordering::Relaxed));
            }
        });
        assert_eq!(inner.into_inner(), 64 * 66);
    });
}

/// Divides work until a helper takes part or `work` returns false, and says whether one does within some seconds.
fn until_helped(mut work: impl FnMut(&(dyn Fn() -> bool + Sync)) -> bool) -> bool {
    let leader = thread::current().id();
    let helped = AtomicBool::new(false);
    let is_helper = || {
        let is_helper = thread::current().id() != leader;
        helped.fetch_or(is_helper, Ordering::Relaxed);
        is_helper
    };
    let begin = Instant::now();
    while !helped.load(Ordering::Relaxed) && begin.elapsed() < Duration::from_secs(20) {
        if !work(&is_helper) {
            break;
        }
    }
    helped.into_inner()
}

#[test]
fn a_panic_of_any_thread_is_one_of_the_caller() {
    let panics = |expected: &str, of_helper: bool| {
        let mut caught = None;
        let helped = until_helped(|is_helper| {
            let run = || {
                in_parts(64, 1, 1, 2, &|_, _| {
                    // Slow enough that helpers come.
                    thread::sleep(Duration::from_micros(20));
                    assert!(is_helper() != of_helper, "of a {expected}");
                });
            };
            caught = catch_unwind(AssertUnwindSafe(run)).err();
            of_helper
        });
        assert!(helped || !of_helper, "a helper came");
        let panic = caught.expect("it panicked");
        let message = panic.downcast_ref::<String>().expect("a panic with a message");
        assert!(message.contains(expected), "{message}");
        // The team works on.
        divided(1000, 1, 1, 2);
    };
    thread::scope(|scope| {
        let outside = scope.spawn(|| [("helper", true), ("leader", false)].map(|(name, helper)| panics(name, helper)));
        outside.join().expect("panics of both are seen");
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads start");
    pool.install(|| {
        panics("helper", true);
        panics("leader", false);
    });
}

#[test]
fn teams_at_the_same_time() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads start");
    let work = || in_team(|| (0..2000).for_each(|round| divided(2 + round % 60, 1, 1, 3)));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(work);
            scope.spawn(|| pool.install(work));
        }
        scope.spawn(|| pool.install(|| rayon::join(work, || rayon::join(work, work))));
    });
}

#[test]
fn a_pool_within_a_pool() {
    let pools = [2, 3].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("they start"));
    let work = || (0..200).for_each(|round| divided(2 + round % 60, 1, 1, 3));
    let both = || {
        in_team(|| {
            work();
            pools[1].install(|| in_team(work));
            in_parts(32, 1, 1, 2, &|_, range| range.for_each(|_| pools[1].install(|| divided(64, 1, 1, 3))));
            work();
        });
    };
    pools[0].install(|| rayon::join(both, both));
    both();
}

/// A function that pauses goes on where it stopped, with helpers called again.
#[test]
fn helpers_are_called_again() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads start");
    let mut pauses = 0;
    pool.install(|| {
        let mut round = 0;
        let begin = Instant::now();
        in_team_with_pauses(|| {
            let first = round;
            while pauses == 0 && begin.elapsed() < Duration::from_secs(20) {
                if round > first && is_deserted(|| WORTH) {
                    pauses += 1;
                    return Pause::Continue(());
                }
                divided(64, 1, 1, 2);
                if round % 50 == 0 {
                    // So long that helpers leave.
                    thread::sleep(Duration::from_millis(1));
                }
                round += 1;
            }
            Pause::Break(())
        });
    });
    assert!(pauses > 0, "helpers left and were called");
}
