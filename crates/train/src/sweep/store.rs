//! The file of a run that is done.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use gradus_graph::Tensor;

use crate::archive::{Archive, wrong};
use crate::{Ending, History};

const FORMAT: &str = "gradus sweep run";
const OPTIONS: &str = "options";
const SEED: &str = "seed";
const ENDING: &str = "ending";
const EPOCHS: &str = "epochs";
const COLUMN: &str = "column/";

/// The file of a run: readable where the options' name has plain characters, and another for every name.
pub(super) fn path(folder: &Path, name: &str, seed: u64) -> PathBuf {
    let plain = |character: char| character.is_alphanumeric() || "-+.=_".contains(character);
    let readable: String =
        name.chars().map(|character| if plain(character) { character } else { '_' }).take(80).collect();
    // FNV-1a, the same on every platform: a folder may move.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    folder.join(format!("{readable}-{:08x}-seed{seed}.safetensors", hash as u32))
}

pub(super) fn write(path: &Path, name: &str, seed: u64, history: &History) -> Result<(), Error> {
    let mut archive = Archive::default();
    archive.put_note(OPTIONS, name.to_owned());
    archive.put_note(SEED, seed.to_string());
    let ending = match history.ending() {
        None => "none",
        Some(Ending::Finished) => "finished",
        Some(Ending::Stopped) => "stopped",
        Some(Ending::Interrupted) => "interrupted",
    };
    archive.put_note(ENDING, ending.to_owned());
    archive.put_count(EPOCHS.to_owned(), history.epochs() as u64);
    for (number, column) in history.names().enumerate() {
        let values = Tensor::new([history.epochs()], history.column(column).to_vec());
        archive.put_tensor(format!("{COLUMN}{number:06}/{column}"), &values);
    }
    archive.write(path, FORMAT)
}

/// The history of a run; `None` if it has no file.
pub(super) fn read(path: &Path, name: &str, seed: u64) -> Result<Option<History>, Error> {
    let archive = match Archive::read(path) {
        Err(problem) if problem.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let is_it = archive.format() == Some(FORMAT)
        && archive.note(OPTIONS) == Some(name)
        && archive.note(SEED).and_then(|text| text.parse().ok()) == Some(seed);
    if !is_it {
        return Err(wrong(
            path,
            &format!("not the run of `{name}` with seed {seed}: give the sweep a folder of its own"),
        ));
    }
    history(&archive).map(Some).map_err(|problem| wrong(path, &problem))
}

fn history(archive: &Archive) -> Result<History, String> {
    let epochs = archive.count(EPOCHS)?;
    let mut columns: Vec<(&str, Tensor<f64>)> = Vec::new();
    for key in archive.names(COLUMN) {
        let name = key.split_once('/').map_or(key, |(_, name)| name);
        let values: Tensor<f64> = archive.tensor(&format!("{COLUMN}{key}"))?;
        if values.len() as u64 != epochs {
            return Err(format!("`{name}` has {} values of {epochs}", values.len()));
        }
        columns.push((name, values));
    }
    // A number of rows that no column shows is not believed: it would be a matter of any amount of memory.
    if columns.is_empty() && epochs > 0 {
        return Err(format!("no column has the {epochs} rows"));
    }
    let mut history = History::default();
    for row in 0..epochs as usize {
        history.push(columns.iter().map(|(name, values)| (*name, values.data()[row])));
    }
    history.end(match archive.note(ENDING) {
        Some("none") => None,
        Some("finished") => Some(Ending::Finished),
        Some("stopped") => Some(Ending::Stopped),
        Some("interrupted") => Some(Ending::Interrupted),
        other => return Err(format!("`{ENDING}` is {other:?}")),
    });
    Ok(history)
}
