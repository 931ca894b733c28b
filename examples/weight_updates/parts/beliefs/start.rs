//! Does the start matter?

use gradus::Params;
use gradus::nn::{Dense, Relu};
use gradus::optim::{Adam, Optimizer};
use gradus::train::Sweep;

use crate::Failure;
use crate::report::{Part, Table};
use crate::study::Study;
use crate::training::{Training, at};

/// What the seed sets.
const SOURCES: [&str; 3] = ["weights", "order", "both"];
const WIDTHS: [usize; 3] = [4, 8, 32];

pub(crate) fn test(study: &Study, part: Part) -> Result<Part, Failure> {
    let steps = study.pick(400, 100);
    let training = Training { digits: &study.digits, steps, batch: 32, every: 50 };
    let sweep = Sweep::new(SOURCES).crossed(WIDTHS).seeds(0..study.pick(20, 4));
    let found = sweep.run(|&(source, width), seed| {
        let mut params = Params::new(if source == "order" { 0 } else { seed });
        let model = (Dense::new(&mut params, "hidden", 64, width), Relu, Dense::new(&mut params, "output", width, 10));
        let order = if source == "weights" { 0 } else { seed };
        training.run(&mut params, &model, Optimizer::new(Adam::new(0.01)), order)
    })?;
    let mut table = Table::new(["hidden units", "varied", "accuracy", "lowest", "highest"]);
    for width in WIDTHS {
        for source in SOURCES {
            let Some(row) = found.find(|&options| options == (source, width)) else { continue };
            let accuracy = row.of(|history| 100.0 * at(history, steps, "validation accuracy"));
            table.push([
                width.to_string(),
                source.to_owned(),
                format!("{accuracy:.2}%"),
                format!("{:.1}%", accuracy.least),
                format!("{:.1}%", accuracy.greatest),
            ]);
        }
    }
    let spread = |source: &str, width: usize| {
        let row = found.find(|&options| options == (source, width));
        row.map_or(f64::NAN, |row| row.of(|history| 100.0 * at(history, steps, "validation accuracy")).deviation)
    };
    let part =
        part.table("Validation accuracy over twenty seeds (four in the quick form), by what the seed sets", table);
    Ok(part
        .finding(
            "the initial weights matter more than the order of the data",
            WIDTHS.iter().all(|&width| spread("weights", width) > spread("order", width)),
            format!(
                "The standard deviation of the accuracy is {:.2} points from the weights and {:.2} from the order with 4 hidden \
                 units, {:.2} and {:.2} with 32.",
                spread("weights", 4),
                spread("order", 4),
                spread("weights", 32),
                spread("order", 32)
            ),
        )
        .finding(
            "the start matters less in a wider network",
            spread("weights", 32) < spread("weights", 4),
            format!("{:.2} points with 4 hidden units, {:.2} with 32.", spread("weights", 4), spread("weights", 32)),
        ))
}
