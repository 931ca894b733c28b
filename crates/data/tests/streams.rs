//! Batches, streams and threads: the same order for any number of threads, errors and panics passed on, nothing read
//! that is passed over, and no thread that keeps its iterator from ending.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gradus_data::{Batch, DataError, Dataset, FileRows, Rows, Stream, from_fn, npy};
use gradus_graph::Tensor;
use proptest::prelude::*;

fn numbered(rows: usize) -> Dataset<f32, i64> {
    Dataset::new(Tensor::from_fn([rows, 2], |k| k as f32), Tensor::from_fn([rows], |k| k as i64))
}

/// Work that takes a different time for each item.
fn uneven(number: usize) -> usize {
    std::thread::sleep(Duration::from_micros((number * 7919 % 13 * 50) as u64));
    number * number
}

#[test]
fn results_come_in_the_order_of_the_items_for_any_number_of_threads() {
    let expected: Vec<usize> = (0..100).map(|number| number * number).collect();
    for threads in [0, 1, 2, 3, 8] {
        let mut results = (0..100_usize).prefetched(threads, uneven);
        assert_eq!(results.len(), 100);
        assert_eq!(results.next(), Some(0));
        assert_eq!(results.len(), 99);
        assert!(results.eq(expected[1..].iter().copied()), "{threads}");
    }
}

#[test]
fn what_is_passed_over_first_is_not_computed() {
    for threads in [0, 2] {
        let computed = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&computed);
        let results = (0..1000_usize).prefetched(threads, move |number| {
            counter.fetch_add(1, Ordering::Relaxed);
            number
        });
        let mut rest = results.skip(990);
        assert_eq!(rest.next(), Some(990));
        assert!(rest.eq(991..1000));
        assert_eq!(computed.load(Ordering::Relaxed), 10);
    }
    assert_eq!((0..3).prefetched(1, |number| number).nth(5), None);
}

/// However batches are asked for, a run that resumes reads those alone that it has not seen.
#[test]
fn batches_that_are_passed_over_are_not_read() {
    let read = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let rows = Arc::new(from_fn(1000, move |rows| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(rows[0])
    }));
    let batches = || rows.clone().into_batches(10).shuffled(1, 0);
    let expected: Vec<usize> = batches().skip(97).map(Result::unwrap).collect();
    assert_eq!(expected.len(), 3);
    // `skip` of std may take the last of those that it passes over.
    let few = || assert!((3..=4).contains(&read.swap(0, Ordering::Relaxed)));
    few();
    assert!(batches().numbered().skip(97).map(|item| item.unwrap().1).eq(expected.iter().copied()));
    few();
    assert!(batches().read_ahead(2).skip(97).map(Result::unwrap).eq(expected.iter().copied()));
    few();
    let numbers = batches().numbered().prefetched(2, |item| item.unwrap().1).skip(97);
    assert!(numbers.eq(expected));
    few();
}

#[test]
fn few_results_are_held() {
    let started = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&started);
    let mut results = (0..1000).prefetched(2, move |_| counter.fetch_add(1, Ordering::SeqCst));
    results.next();
    std::thread::sleep(Duration::from_millis(100));
    // Four that wait, and the one that was given.
    assert!(started.load(Ordering::SeqCst) <= 5, "{}", started.load(Ordering::SeqCst));
}

#[test]
fn errors_stand_where_they_belong() {
    let rows = from_fn(20, |rows| match rows[0] {
        8 => Err(DataError::other("rows", "row 8 is damaged")),
        row => Ok(row),
    });
    let found: Vec<Result<usize, String>> =
        rows.into_batches(4).read_ahead(3).map(|batch| batch.map_err(|error| error.to_string())).collect();
    assert_eq!(found, [Ok(0), Ok(4), Err("rows: row 8 is damaged".into()), Ok(12), Ok(16)]);
}

#[test]
fn a_panic_of_a_thread_is_that_of_the_one_who_asks() {
    for threads in [0, 1, 4] {
        let mut results = (0..10).prefetched(threads, |number| {
            assert!(number != 5, "five");
            number
        });
        let before: Vec<i32> = results.by_ref().take(5).collect();
        assert_eq!(before, [0, 1, 2, 3, 4]);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| results.next())).unwrap_err();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "five");
    }
    // One in the source ends it.
    let mut source = (0..3).chain(std::iter::from_fn(|| panic!("the source"))).prefetched(2, |number| number);
    assert!(source.by_ref().take(3).eq(0..3));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| source.next())).unwrap_err();
    assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "the source");
    assert_eq!(source.next(), None);
}

#[test]
fn an_iterator_that_is_dropped_early_hangs_nowhere() {
    let start = Instant::now();
    for taken in 0..20 {
        let mut results = (0_u64..).prefetched(3, |number| vec![number; 1000]);
        assert_eq!(results.by_ref().take(taken).count(), taken);
    }
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn threads_end_with_their_iterator() {
    let alive = Arc::new(());
    let kept = Arc::clone(&alive);
    let mut results = (0_u64..).prefetched(3, move |number| {
        let _ = &kept;
        number
    });
    results.next();
    drop(results);
    let start = Instant::now();
    while Arc::strong_count(&alive) > 1 {
        assert!(start.elapsed() < Duration::from_secs(20), "a thread still has what it was given");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Reading takes 4 ms a batch and a step 4 ms: one after the other 8, at the same time 4.
#[test]
fn reading_ahead_hides_the_reading() {
    let rows = from_fn(40, |rows| {
        std::thread::sleep(Duration::from_millis(4));
        Ok(rows[0])
    });
    let run = |threads| {
        let start = Instant::now();
        for batch in rows.clone().into_batches(1).read_ahead(threads) {
            batch.unwrap();
            std::thread::sleep(Duration::from_millis(4));
        }
        start.elapsed().as_secs_f64()
    };
    let (alone, ahead) = (run(0), run(1));
    assert!(ahead < 0.8 * alone, "{ahead:.3} s of {alone:.3} s");
}

#[test]
fn rows_are_combined() {
    let data = numbered(10);
    let (first, second) = (data.select(&[0, 1, 2, 3]), data.select(&[4, 5, 6, 7, 8, 9]));
    let both = (&first).chained(&second);
    let order = [9, 0, 4, 3, 3, 8];
    assert_eq!(both.get(&order).unwrap(), data.select(&order).full_batch());
    assert_eq!(both.get(&[5]).unwrap(), data.sample(5));
    assert_eq!(both.get(&[1]).unwrap(), data.sample(1));
    let odd = (&data).selected(vec![1, 3, 5, 7, 9]);
    assert_eq!(odd.get(&[0, 4]).unwrap(), data.select(&[1, 9]).full_batch());
    let pairs = data.inputs().zipped(data.targets()).mapped(|pair| Ok(Batch::from(pair)));
    assert!(pairs.batches(3).map(Result::unwrap).eq(data.batches(3)));
    assert!(
        pairs.batches(3).shuffled(1, 2).drop_last().map(Result::unwrap).eq(data.batches(3).shuffled(1, 2).drop_last())
    );
    let ((numbers, batch), (same, other)) = (
        pairs.batches(3).shuffled(1, 2).numbered().next().unwrap().unwrap(),
        data.batches(3).shuffled(1, 2).numbered().next().unwrap(),
    );
    assert_eq!((numbers, batch), (same, other));
}

#[test]
#[should_panic = "`Rows::zipped`: 3 rows and 2 rows"]
fn rows_of_different_numbers_are_no_pairs() {
    numbered(3).zipped(numbered(2));
}

#[test]
#[should_panic = "`Rows::selected`: row 3 of 3"]
fn a_row_that_is_not_there_is_not_selected() {
    numbered(3).selected(vec![0, 3]);
}

#[test]
fn rows_stay_in_the_file() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let data = Tensor::from_fn([50, 3, 2], |k| k as i32);
    let (npy_path, idx_path) = (folder.join("rows.npy"), folder.join("rows.idx"));
    std::fs::write(&npy_path, npy::encode(&data)).unwrap();
    let mut idx = vec![0, 0, 0x0c, 3, 0, 0, 0, 50, 0, 0, 0, 3, 0, 0, 0, 2];
    idx.extend(data.data().iter().flat_map(|value| value.to_be_bytes()));
    std::fs::write(&idx_path, idx).unwrap();
    for path in [npy_path, idx_path] {
        let rows = FileRows::open(path).unwrap();
        assert_eq!(rows.shape().sizes(), [50, 3, 2]);
        for batch in rows.batches(7).shuffled(3, 1).numbered() {
            let (numbers, batch) = batch.unwrap();
            assert_eq!(batch.to_i64().unwrap(), data.select_rows(&numbers).map(|&value| i64::from(value)));
        }
        assert_eq!(rows.get(&[]).unwrap().shape().sizes(), [0, 3, 2]);
        let threads = rows.into_batches(7).shuffled(3, 1).read_ahead(3);
        let numbers: i64 = threads.map(|batch| batch.unwrap().to_i64().unwrap().data().iter().sum::<i64>()).sum();
        assert_eq!(numbers, (0..300).sum());
    }
}

proptest! {
    #[test]
    fn a_buffer_gives_every_item_once_and_the_same_again(count in 0_usize..60, buffer in 1_usize..20, seed: u64, epoch: u64) {
        let shuffled = || (0..count).shuffled_within(buffer, seed, epoch);
        prop_assert_eq!(shuffled().len(), count);
        let items: Vec<usize> = shuffled().collect();
        prop_assert!(shuffled().eq(items.iter().copied()));
        prop_assert!(items.iter().enumerate().all(|(place, &item)| item < place + buffer));
        let mut sorted = items;
        sorted.sort_unstable();
        prop_assert!(sorted.into_iter().eq(0..count));
        let batches: Vec<Vec<usize>> = (0..count).batched(buffer).collect();
        prop_assert_eq!(batches.len(), (0..count).batched(buffer).len());
        prop_assert!(batches.concat().into_iter().eq(0..count));
    }
}
