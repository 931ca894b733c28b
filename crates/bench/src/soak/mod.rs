//! What must hold for days, in minutes: damaged files and models, processes killed while they save, savers beside readers, and
//! sequences of ever other lengths. Each part counts what went wrong, and nothing may.

mod files;
mod kills;
mod lengths;
mod models;
mod mutation;
mod savers;

pub(crate) use kills::{RESUME, resume};
pub(crate) use savers::{SAVE, save_again};

use crate::table::Table;

/// How much of each part is done.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    files: usize,
    models: usize,
    kills: usize,
    saves: usize,
    steps: usize,
}

/// What a whole run does.
const WHOLE: Extent = Extent { files: 1_000_000, models: 1_000_000, kills: 50, saves: 1_000, steps: 20_000 };

impl Extent {
    /// All parts in full if there are no options; otherwise the parts that are named, as far as they say.
    pub(crate) fn of(options: &[&str]) -> Option<Self> {
        if options.is_empty() {
            return Some(WHOLE);
        }
        let mut extent = Self { files: 0, models: 0, kills: 0, saves: 0, steps: 0 };
        for pair in options.chunks(2) {
            let &[option, count] = pair else { return None };
            let count = count.parse().ok()?;
            match option {
                "--files" => extent.files = count,
                "--models" => extent.models = count,
                "--kills" => extent.kills = count,
                "--saves" => extent.saves = count,
                "--steps" => extent.steps = count,
                _ => return None,
            }
        }
        Some(extent)
    }
}

/// The table, and whether nothing went wrong.
pub(crate) fn run(extent: Extent) -> (Table, bool) {
    let mut table = Table::new(&["cases", "wrong", "refused", "peak MiB", "seconds", "a second"]);
    let mut right = true;
    if extent.files > 0 {
        right &= files::run(&mut table, extent.files);
    }
    if extent.models > 0 {
        right &= models::run(&mut table, extent.models);
    }
    if extent.kills > 0 {
        right &= kills::run(&mut table, extent.kills);
    }
    if extent.saves > 0 {
        right &= savers::run(&mut table, extent.saves);
    }
    if extent.steps > 0 {
        right &= lengths::run(&mut table, extent.steps);
    }
    (table, right)
}
