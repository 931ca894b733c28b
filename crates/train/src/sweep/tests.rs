//! Sweeps without training: order, resumption, damaged files, mistakes, panics, threads.

use std::collections::BTreeSet;
use std::fs;

use super::*;

/// A run that needs no training: two rows, from options and seed.
fn rows(rate: f64, seed: u64) -> History {
    let mut history = History::default();
    history.push([("step", 1.0), ("loss", rate + seed as f64)]);
    history.push([("step", 2.0), ("loss", rate * 2.0 + seed as f64), ("late, \"column\"", 0.1)]);
    history
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("gradus-sweep-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn names<T>(results: &SweepResults<T>) -> Vec<&str> {
    results.rows().iter().map(SweepRow::name).collect()
}

#[test]
fn every_combination_is_run_with_every_seed_in_order() {
    for threads in [1, 2, 3, 8] {
        let sweep = Sweep::new(["a", "b"]).crossed([0.5, 2.0]).seeds([3, 4]).threads(threads);
        let found = sweep.run(|&(_, rate), seed| Ok::<_, String>(rows(rate, seed))).expect("nothing fails");
        assert_eq!(names(&found), ["a, 0.5", "a, 2", "b, 0.5", "b, 2"]);
        let row = found.find(|&options| options == ("b", 2.0)).expect("it was run");
        assert_eq!(row.runs().iter().map(|(seed, _)| *seed).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(row.last("loss"), Spread::of([7.0, 8.0]));
        assert_eq!(row.curves("step", "loss")[1], [(1.0, 6.0), (2.0, 8.0)]);
        assert_eq!(found.lowest("loss").map(SweepRow::name), Some("a, 0.5"));
        assert_eq!(found.highest("loss").map(SweepRow::name), Some("a, 2"));
        assert_eq!(found.lowest("nothing"), None);
        assert_eq!(names(&found.select(|options| options.0 == "b")), ["b, 0.5", "b, 2"]);
    }
}

#[test]
fn the_results_are_a_table_and_a_file() {
    let found = Sweep::new([0.5, 2.0]).seeds([1, 2]).run(|&rate, seed| Ok::<_, String>(rows(rate, seed)));
    let found = found.expect("nothing fails");
    assert_eq!(
        found.to_string(),
        "options       step         loss  late, \"column\"\n\
         0.5      2.000 ± 0  2.50 ± 0.71      0.1000 ± 0\n\
         2        2.000 ± 0  5.50 ± 0.71      0.1000 ± 0"
    );
    assert_eq!(
        found.to_csv(),
        "options,seed,step,loss,\"late, \"\"column\"\"\"\n0.5,1,2,2,0.1\n0.5,2,2,3,0.1\n2,1,2,5,0.1\n2,2,2,6,0.1\n"
    );
    let drawn = found.plot("loss", "step", "loss").to_svg().expect("there are points");
    assert!(drawn.contains("line 0.5: x,y\n1,2\n2,2.5\n"), "{drawn}");
}

/// Runs that are done are read, those that are not are made, and the whole is what an undisturbed sweep gives.
#[test]
fn a_sweep_goes_on_where_it_was_stopped() {
    let folder = folder("resume");
    let whole = Sweep::new([0.1, 0.3, 0.7]).seeds(0..2);
    let undisturbed = whole.run(|&rate, seed| Ok::<_, String>(rows(rate, seed))).expect("nothing fails");
    let kept = whole.clone().keep_in(&folder).threads(1);
    let made = Mutex::new(Vec::new());
    let trial = |last: usize| {
        let made = &made;
        move |&rate: &f64, seed: u64| {
            let mut made = made.lock().expect("no run panics");
            if made.len() == last {
                return Err(format!("no current at {rate}"));
            }
            made.push((rate, seed));
            Ok(rows(rate, seed))
        }
    };
    let stopped = kept.run(trial(3)).expect_err("the fourth run fails").to_string();
    assert_eq!(stopped, "the run of `0.3, seed 1`: no current at 0.3");
    assert_eq!(fs::read_dir(&folder).expect("the folder is there").count(), 3);
    assert_eq!(kept.run(trial(6)).expect("the rest is made"), undisturbed);
    assert_eq!(made.lock().expect("no run panics").len(), 6, "no run is made twice");
    assert_eq!(kept.run(trial(0)).expect("all is there"), undisturbed);
    // More of it later: only what is new is made.
    let more = Sweep::new([0.1, 0.3, 0.7, 0.9]).seeds(0..3).keep_in(&folder);
    assert_eq!(more.run(trial(12)).expect("six more are made").rows().len(), 4);
    fs::remove_dir_all(&folder).expect("the folder can be removed");
}

#[test]
fn a_file_of_another_run_or_a_damaged_one_is_an_error_and_stays() {
    let folder = folder("damaged");
    let sweep = Sweep::named([("a/b: \"c\"", 1.0)]).keep_in(&folder);
    let trial = |&rate: &f64, seed: u64| Ok::<_, String>(rows(rate, seed));
    let made = sweep.run(trial).expect("nothing fails");
    assert_eq!(sweep.run(trial).expect("it is read"), made);
    let path = fs::read_dir(&folder).expect("it is there").next().expect("one file").expect("it can be listed").path();
    let bytes = fs::read(&path).expect("it can be read");
    for cut in 0..bytes.len() {
        fs::write(&path, &bytes[..cut]).expect("it can be written");
        assert!(sweep.run(trial).is_err(), "{cut} bytes");
    }
    for (place, byte) in bytes.iter().enumerate() {
        let mut damaged = bytes.clone();
        damaged[place] = byte ^ 0x15;
        fs::write(&path, &damaged).expect("it can be written");
        let _ = sweep.run(trial); // an error or, where a number changed, another number
        assert_eq!(fs::read(&path).expect("it is there"), damaged);
    }
    fs::write(&path, &bytes).expect("it can be written");
    let other = Sweep::named([("x", 1.0)]).keep_in(&folder);
    fs::copy(&path, store::path(&folder, "x", 0)).expect("it can be copied");
    let problem = other.run(trial).expect_err("it is another run").to_string();
    assert!(problem.contains("not the run of `x` with seed 0: give the sweep a folder of its own"), "{problem}");
    fs::remove_dir_all(&folder).expect("the folder can be removed");
}

#[test]
fn every_name_has_a_file_of_its_own() {
    let names =
        ["a b", "a_b", "a/b", "", "x".repeat(300).as_str(), "x".repeat(301).as_str(), "é", "../a"].map(str::to_owned);
    let paths: BTreeSet<PathBuf> = names.iter().map(|name| store::path("runs".as_ref(), name, 1)).collect();
    assert_eq!(paths.len(), names.len());
    for path in paths {
        assert_eq!(path.parent(), Some("runs".as_ref()));
        assert!(path.file_name().is_some_and(|name| name.len() < 200), "{path:?}");
    }
}

#[test]
fn a_mistake_is_named() {
    let trial = |_: &f64, _| Ok::<_, String>(History::default());
    let twice = Sweep::new([0.1, 0.1]).run(trial).expect_err("one name twice").to_string();
    assert_eq!(twice, "two combinations of a sweep have the name `0.1`: `Sweep::named` tells them apart");
    let twice = Sweep::new([0.1]).seeds([1, 2, 1]).run(trial).expect_err("one seed twice").to_string();
    assert_eq!(twice, "the seeds of a sweep contain 1 twice");
    let empty = Sweep::new([0.1; 0]).run(trial).expect("nothing to do");
    assert!(empty.rows().is_empty());
}

#[test]
fn a_panic_of_a_run_is_the_panic_of_the_sweep() {
    for threads in [1, 2] {
        let sweep = Sweep::new([1, 2, 3]).threads(threads);
        let panic = std::panic::catch_unwind(|| {
            sweep.run(|&number, _| {
                assert!(number != 2, "the second run");
                Ok::<_, String>(History::default())
            })
        });
        let message = panic.expect_err("it panics");
        assert_eq!(message.downcast_ref::<&str>(), Some(&"the second run"), "{threads} threads");
    }
}

#[test]
fn kernels_of_runs_side_by_side_are_not_divided() {
    let threads = |sweep: Sweep<i32>| {
        let seen = Mutex::new(BTreeSet::new());
        let trial = |_: &i32, _| {
            seen.lock().expect("no run panics").insert(rayon::current_num_threads());
            Ok::<_, String>(History::default())
        };
        sweep.run(trial).expect("nothing fails");
        seen.into_inner().expect("no run panics")
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads start");
    pool.install(|| {
        assert_eq!(threads(Sweep::new(0..9)), BTreeSet::from([1]));
        assert_eq!(threads(Sweep::new(0..9).threads(1)), BTreeSet::from([3]));
    });
}
