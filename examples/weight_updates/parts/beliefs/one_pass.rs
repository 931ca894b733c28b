//! Is one pass over the data enough?

use std::path::Path;

use gradus::Params;
use gradus::data::{Split, mnist};
use gradus::nn::{Dense, Relu};
use gradus::optim::{Adam, Optimizer};
use gradus::train::Sweep;
use gradus::train::sweep::SweepRow;

use crate::Failure;
use crate::report::{Part, Table};
use crate::study::{Digits, Study};
use crate::training::{Training, at};

/// Where Debian's package puts the pictures of clothes.
const CLOTHES: &str = "/usr/share/datasets/fashion-mnist";
const RATE: f64 = 0.003;

pub(crate) fn test(study: &Study, part: Part) -> Result<Part, Failure> {
    let mut table = Table::new(["data", "images", "passes", "steps a pass", "after one", "after all", "of the gain"]);
    let passes = study.pick(30, 6);
    let mut gains = vec![row(study, "digits", &study.digits, passes, &mut table)?];
    let few = few(&study.digits, 200);
    gains.insert(0, row(study, "200 digits", &few, passes, &mut table)?);
    if let Some(clothes) = clothes(study)? {
        gains.push(row(study, "clothes", &clothes, study.pick(6, 2), &mut table)?);
    }
    let (fewest, most) = (gains[0], gains[gains.len() - 1]);
    let part = part.table(
        "Validation accuracy after one pass and after all; the last column is what one pass has of the gain over guessing",
        table,
    );
    Ok(part.finding(
        "one pass over the data is enough",
        most > 0.99 && fewest > 0.99,
        format!(
            "After one pass the accuracy has {:.0}% of its final gain with the smallest data set and {:.0}% with the largest: \
             what counts is the number of steps, and a large data set has them in one pass.",
            100.0 * fewest,
            100.0 * most
        ),
    ))
}

/// Adds a row, and returns the share of the final gain that one pass gives.
fn row(study: &Study, name: &str, data: &Digits, passes: u64, table: &mut Table) -> Result<f64, Failure> {
    let pass = (data.train.len() / 32) as u64;
    let training = Training { digits: data, steps: passes * pass, batch: 32, every: pass };
    let inputs = data.train.inputs().shape()[1];
    let found = Sweep::new(["all"]).seeds(0..study.pick(3, 2)).run(|_, seed| {
        let mut params = Params::new(seed);
        let model = (Dense::new(&mut params, "hidden", inputs, 32), Relu, Dense::new(&mut params, "output", 32, 10));
        training.run(&mut params, &model, Optimizer::new(Adam::new(RATE)), seed)
    })?;
    let row: &SweepRow<&str> = &found.rows()[0];
    let after = |steps: u64| row.of(move |history| at(history, steps, "validation accuracy"));
    let (one, all) = (after(pass), after(passes * pass));
    let gain = (one.mean - 0.1) / (all.mean - 0.1);
    let percent = |steps: u64| format!("{:.1}%", row.of(|history| 100.0 * at(history, steps, "validation accuracy")));
    table.push([
        name.to_owned(),
        data.train.len().to_string(),
        passes.to_string(),
        pass.to_string(),
        percent(pass),
        percent(passes * pass),
        format!("{:.0}%", 100.0 * gain),
    ]);
    Ok(gain)
}

/// A training set of the first images alone.
pub(crate) fn few(digits: &Digits, count: usize) -> Digits {
    let rows: Vec<usize> = (0..count).collect();
    Digits { train: digits.train.select(&rows), validation: digits.validation.clone(), test: digits.test.clone() }
}

/// The pictures of clothes of Fashion-MNIST, if they are installed; the quick form does without.
fn clothes(study: &Study) -> Result<Option<Digits>, Failure> {
    if study.quick || !Path::new(CLOTHES).exists() {
        return Ok(None);
    }
    let Split { train, test } = mnist::load(CLOTHES)?.reshaped([784]);
    let Split { train, test: validation } = train.split(5000, 0);
    Ok(Some(Digits { train, validation, test }))
}
