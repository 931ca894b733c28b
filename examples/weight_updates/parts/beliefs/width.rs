//! Are more weights always better?

use gradus::Params;
use gradus::nn::{Dense, Relu};
use gradus::optim::{Adam, Optimizer};
use gradus::train::Sweep;
use gradus::train::plot::Plot;

use super::one_pass::few;
use crate::Failure;
use crate::report::{Part, Table};
use crate::study::Study;
use crate::training::{Training, at};

const WIDTHS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 512];
const IMAGES: usize = 150;

pub(crate) fn test(study: &Study, part: Part) -> Result<Part, Failure> {
    let digits = few(&study.digits, IMAGES);
    let steps = study.pick(600, 150);
    let training = Training { digits: &digits, steps, batch: 25, every: 50 };
    let found = Sweep::new(WIDTHS).seeds(study.seeds()).run(|&width, seed| {
        let mut params = Params::new(seed);
        let model = (Dense::new(&mut params, "hidden", 64, width), Relu, Dense::new(&mut params, "output", width, 10));
        let mut history = training.run(&mut params, &model, Optimizer::new(Adam::new(0.01)), seed)?;
        let [loss, accuracy] = training.test(&params, &model)?;
        history.push([("test loss", loss), ("test accuracy", accuracy), ("weights", params.count() as f64)]);
        Ok::<_, Failure>(history)
    })?;
    let mut table = Table::new(["hidden units", "weights", "training loss", "held-out loss", "held-out accuracy"]);
    for row in found.rows() {
        table.push([
            row.name().to_owned(),
            format!("{:.0}", row.last("weights").mean),
            format!("{:.4}", row.of(|history| at(history, steps, "loss"))),
            format!("{:.3}", row.last("test loss")),
            format!("{:.1}%", row.of(|history| 100.0 * history.last("test accuracy"))),
        ]);
    }
    let curve = |number: &dyn Fn(&gradus::train::History) -> f64| -> Vec<Vec<(f64, f64)>> {
        let seeds = found.rows()[0].runs().len();
        let of_seed =
            |seed: usize| found.rows().iter().map(move |row| (*row.options() as f64, number(&row.runs()[seed].1)));
        (0..seeds).map(|seed| of_seed(seed).collect()).collect()
    };
    let plot = Plot::new("Width against error").axes("hidden units", "error on the digits, %").log_x();
    let plot = plot.runs("held out", &curve(&|history| 100.0 * (1.0 - history.last("test accuracy"))));
    let last =
        |width: usize, column: &str| found.find(|&other| other == width).map_or(f64::NAN, |row| row.last(column).mean);
    let error = |width: usize| 100.0 * (1.0 - last(width, "test accuracy"));
    let part = part.table("150 training images; the widest network has 250 weights for each", table).picture(
        "beliefs-width",
        "Error on held-out digits; the band is one standard deviation over seeds.",
        &plot,
    )?;
    Ok(part
        .finding(
            "more weights lower the held-out error, also beyond the number of images",
            error(4) > error(32) && error(32) >= error(512) - 1.0,
            format!(
                "The error is {:.1}% with 4 hidden units, {:.1}% with 32 and {:.1}% with 512; with 2 units there are as many weights \
                 as images.",
                error(4),
                error(32),
                error(512)
            ),
        )
        .finding(
            "a network with many more weights than data overfits: its held-out error rises",
            error(512) > error(32) + 1.0,
            format!(
                "The error is {:.1}% with 32 units and {:.1}% with 512. The held-out loss goes from {:.3} to {:.3}: it is the \
                 probabilities that overfit first.",
                error(32),
                error(512),
                last(32, "test loss"),
                last(512, "test loss")
            ),
        ))
}
