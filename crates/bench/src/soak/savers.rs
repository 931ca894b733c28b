//! Threads and processes that save to one path while others read it: every read sees one whole file.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use gradus_graph::{Params, Tensor};
use gradus_train::weights;

use crate::folder::Folder;
use crate::table::Table;

/// The command of a process that saves, with the path, its number and how often.
pub(crate) const SAVE: &str = "soak-save";

const FILE: &str = "weights.safetensors";
/// Savers: as many threads and as many processes.
const EACH: usize = 2;

/// A store of 12 MB in which every element is this number.
fn store(number: usize) -> Params {
    let mut params: Params = Params::new(0);
    params.add("a", Tensor::full([1_000_000], number as f32));
    params.add("b", Tensor::full([1000, 2000], number as f32));
    params
}

/// What a saver does.
pub(crate) fn save_again(path: &Path, number: usize, count: usize) -> Result<(), Box<dyn Error>> {
    let params = store(number);
    for _ in 0..count {
        weights::save(path, &params)?;
    }
    Ok(())
}

fn start(path: &Path, number: usize, count: usize) -> Child {
    let program = std::env::current_exe().expect("the program has a file");
    let mut command = Command::new(program);
    command.arg(SAVE).arg(path).args([number.to_string(), count.to_string()]);
    command.spawn().expect("a process can be started")
}

pub(super) fn run(table: &mut Table, saves: usize) -> bool {
    let clock = Instant::now();
    let folder = Folder::new("savers");
    let path = folder.join(FILE);
    save_again(&path, 0, 1).expect("the file can be written");
    let count = saves.div_ceil(2 * EACH);
    let mut processes: Vec<Child> = (EACH..2 * EACH).map(|number| start(&path, number, count)).collect();
    let done = AtomicBool::new(false);
    let (failed, reads, torn) = std::thread::scope(|scope| {
        let (path, done) = (&path, &done);
        let savers: Vec<_> = (0..EACH)
            .map(|number| scope.spawn(move || save_again(path, number, count).map_err(|problem| problem.to_string())))
            .collect();
        let reader = move || {
            let (mut reads, mut torn) = (0, 0);
            while !done.load(Ordering::Relaxed) || reads == 0 {
                let mut params = store(usize::MAX);
                let outcome = weights::load(path, &mut params);
                let first = params.iter().next().map(|(_, value)| value.data()[0]);
                let whole = params.iter().all(|(_, value)| value.data().iter().all(|&x| Some(x) == first));
                if outcome.is_err() || !whole {
                    torn += 1;
                    eprintln!("a torn read: {outcome:?}");
                }
                reads += 1;
            }
            (reads, torn)
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        let mut failed = 0;
        for saver in savers {
            if let Err(problem) = saver.join().expect("a saver does not panic") {
                failed += 1;
                eprintln!("a saver fails: {problem}");
            }
        }
        for process in &mut processes {
            failed += usize::from(!process.wait().expect("the process ends").success());
        }
        done.store(true, Ordering::Relaxed);
        let counts = readers.map(|reader| reader.join().expect("a reader does not panic"));
        (failed, counts[0].0 + counts[1].0, counts[0].1 + counts[1].1)
    });
    let over = folder.names() != [FILE];
    if over {
        eprintln!("files are left over: {:?}", folder.names());
    }
    let wrong = failed + torn + usize::from(over);
    let seconds = clock.elapsed().as_secs_f64();
    let saves = 2 * EACH * count;
    table.row("saves of 12 MB to one path", &[saves as f64, wrong as f64, 0.0, 0.0, seconds, saves as f64 / seconds]);
    table.note(format!("{} savers, half of them processes; {reads} reads, {torn} torn", 2 * EACH));
    wrong == 0
}
