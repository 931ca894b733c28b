//! Training runs that are killed at random moments and resumed: each ends as the run that nobody disturbed, bit for bit,
//! and leaves no file but its own.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use gradus_data::{Augment, Dataset, Split, digits};
use gradus_graph::Params;
use gradus_nn::{BatchNorm, Dense, Dropout, Flatten, GaussianNoise, Layer, Mode, Relu, loss};
use gradus_optim::{Adam, Average, CosineRestarts, ReduceOnPlateau, WarmUp};
use gradus_train::{Checkpoints, EarlyStopping, Evaluation, Trainer, weights};

use super::mutation::Numbers;
use crate::folder::Folder;
use crate::table::Table;

/// The command of a process that trains, with the folder of its files.
pub(crate) const RESUME: &str = "soak-resume";

const EPOCHS: u64 = 14;
const FINAL: &str = "final.safetensors";

/// What a process does: continues from the latest checkpoint in the folder, if there is one, saves after each batch, and
/// puts the weights beside the checkpoints at the end.
pub(crate) fn resume(folder: &Path) -> Result<(), Box<dyn Error>> {
    let Split { train, test } = digits::load();
    let few = |data: &Dataset, rows: usize| data.select(&(0..rows).collect::<Vec<_>>());
    let (train, test) = (few(&train, 96), few(&test, 48));
    let mut params: Params = Params::new(1);
    let model = (
        Flatten::new(),
        GaussianNoise::new(0.1),
        Dense::new(&mut params, "hidden", 64, 128),
        BatchNorm::new(&mut params, "norm", 128),
        Relu,
        Dropout::new(0.3),
        Dense::new(&mut params, "output", 128, 10),
    );
    let rule = (Adam::new(WarmUp::new(5, CosineRestarts::new(0.01, 10))), Average::ema(0.9));
    let evaluation = Evaluation::new(|_, [x, y]| {
        let logits = model.forward_in(x, Mode::Eval);
        [loss::cross_entropy(logits, y), logits]
    });
    let mut trainer = Trainer::new(rule, |_, [x, y]| loss::cross_entropy(model.forward_in(x, Mode::Train), y))
        .seed(1)
        .epochs(EPOCHS)
        .validation(evaluation, || test.batches(48))
        .reduce_on_plateau("validation loss", ReduceOnPlateau::new().patience(2))
        .early_stopping(EarlyStopping::new("validation loss", 3))
        .checkpoints(Checkpoints::new(folder).every_steps(1).keep(2));
    trainer.resume(&mut params)?;
    let augment = &Augment::new().shift(1, 1).noise(0.05);
    trainer.fit(&mut params, |epoch| {
        let batches = train.batches(32).shuffled(7, epoch).numbered();
        batches.map(move |(rows, batch)| augment.apply(batch, 7, epoch, &rows))
    })?;
    weights::save(folder.join(FINAL), &params)?;
    Ok(())
}

fn start(folder: &Folder) -> Child {
    let program = std::env::current_exe().expect("the program has a file");
    Command::new(program).arg(RESUME).arg(&folder.0).spawn().expect("a process can be started")
}

/// The files that a run has left in its folder.
fn left(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let bytes = std::fs::read(folder.join(&name)).expect("the file can be read");
        (name, bytes)
    };
    folder.names().into_iter().map(read).collect()
}

pub(super) fn run(table: &mut Table, runs: usize) -> bool {
    let clock = Instant::now();
    let whole = Folder::new("whole");
    let alone = Instant::now();
    assert!(start(&whole).wait().expect("the process ends").success(), "the undisturbed run fails");
    let (alone, whole) = (alone.elapsed(), left(&whole));
    assert_eq!(whole.len(), 4, "two checkpoints, the best weights and the last ones");
    assert!(whole.iter().any(|(name, _)| name == FINAL));
    let mut numbers = Numbers::new(clock.elapsed().as_nanos() as u64);
    let (mut wrong, mut kills, mut saving) = (0, 0, 0);
    for number in 0..runs {
        let folder = Folder::new(&format!("kills-{number}"));
        for _ in 0..=numbers.below(3) {
            let mut child = start(&folder);
            std::thread::sleep(Duration::from_nanos(numbers.below(alone.as_nanos() as usize) as u64));
            child.kill().expect("a process that was started can be killed");
            child.wait().expect("the process ends");
            kills += 1;
            saving += usize::from(folder.names().iter().any(|name| name.ends_with(".tmp")));
        }
        let ended = start(&folder).wait().expect("the process ends").success();
        let same = ended && left(&folder) == whole;
        if !same {
            wrong += 1;
            eprintln!("run {number}, killed and resumed, ends otherwise or leaves other files: {:?}", folder.names());
        }
    }
    let seconds = clock.elapsed().as_secs_f64();
    table.row("runs killed and resumed", &[runs as f64, wrong as f64, 0.0, 0.0, seconds, runs as f64 / seconds]);
    table.note(format!("{kills} kills, of which {saving} left a file that was being written"));
    wrong == 0
}
