//! A deployed classifier on a stream of digits that turn.

mod deployment;
mod stream;

use std::time::Duration;

use gradus::train::plot::Plot;
use gradus::train::sweep::SweepRow;
use gradus::train::{History, Sweep};

use crate::Failure;
use crate::report::{Part, Table};
use crate::study::Study;
use deployment::{Care, STEPS, run};
use stream::{DEGREES, KNOWN, Length};

/// The mean of a column over a part of the stream, from one share of it to another.
fn between(history: &History, column: &str, [from, to]: [f64; 2]) -> f64 {
    let rows = history.column("example").iter().filter(|example| !example.is_nan()).count() as f64;
    let values = &history.column(column)[(from * rows) as usize..(to * rows) as usize];
    values.iter().sum::<f64>() / values.len() as f64
}

/// Percent of right answers below which a model has lost.
const ENOUGH: f64 = 90.0;
const BEFORE: [f64; 2] = [0.0, 0.25];
const DURING: [f64; 2] = [0.25, 0.75];
const AFTER: [f64; 2] = [0.75, 1.0];

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let length = study
        .pick(Length { stream: 4000, interval: 500, window: 100 }, Length { stream: 800, interval: 100, window: 50 });
    let rates = [0.003, 0.01, 0.03, 0.1, 0.3];
    let cares = [Care::Frozen, Care::Latest, Care::All].into_iter().chain(rates.map(Care::Online));
    let found = Sweep::new(cares).seeds(study.seeds());
    let found = found.run(|&care, seed| run(&study.digits, length, care, seed))?;
    let online = found.select(|care| matches!(care, Care::Online(_)));
    let online = online.highest("validation").ok_or("no accuracy is finite")?;
    let [frozen, latest, all] =
        [Care::Frozen, Care::Latest, Care::All].map(|care| found.find(|&other| other == care).expect("all were run"));
    let rows = [frozen, online, latest, all];

    let mut table = Table::new(["model", "upright", "turning", "turned", "test, upright", "test, turned"]);
    let mut costs = Table::new(["model", "upright", "turning", "turned", "to answer", "to learn", "at once"]);
    let mut plot = Plot::new("Accuracy on a stream that turns").axes("example", "right answers, %");
    for row in rows {
        let part = |column: &str, part: [f64; 2]| row.of(|history| between(history, column, part));
        let right = [BEFORE, DURING, AFTER].map(|places| format!("{:.1}%", part("right", places)));
        let last = ["upright after", "turned after"].map(|column| format!("{:.1}%", row.last(column)));
        table.push([row.name().to_owned()].into_iter().chain(right).chain(last));
        let updates = [BEFORE, DURING, AFTER].map(|places| format!("{:.1e}", part("update", places).mean));
        let times =
            ["answer", "learning", "lesson"].map(|column| study.time(Duration::from_secs_f64(row.last(column).mean)));
        costs.push([row.name().to_owned()].into_iter().chain(updates).chain(times));
        plot = plot.runs(row.name(), &row.curves("example", "right"));
    }
    let mut swept = Table::new(["rate", "validation", "upright", "turning", "test, upright"]);
    for row in found.rows() {
        let Care::Online(rate) = row.options() else { continue };
        swept.push([
            rate.to_string(),
            format!("{:.1}%", row.last("validation")),
            format!("{:.1}%", row.of(|history| between(history, "right", BEFORE))),
            format!("{:.1}%", row.of(|history| between(history, "right", DURING))),
            format!("{:.1}%", row.last("upright after")),
        ]);
    }
    let right = |row: &SweepRow<Care>, part: [f64; 2]| row.of(|history| between(history, "right", part)).mean;
    let moved = |part: [f64; 2]| online.of(|history| between(history, "update", part)).mean;
    let retrained = [latest, all].map(|row| right(row, DURING));
    let memory = |row: &SweepRow<Care>| row.last("upright after").mean;
    let (before, after) = (online.last("upright before").mean, memory(online));
    let rates_run = || found.rows().iter().filter(|row| matches!(row.options(), Care::Online(_)));
    let remembered: Vec<String> = rates_run().map(|row| format!("{:.1}%", memory(row))).collect();
    let quietest = rates_run().map(|row| right(row, BEFORE)).fold(0.0, f64::max);
    // The first window whose mean over the seeds is too low, and its angle.
    let windows = length.stream / length.window;
    let mean = |window: usize| frozen.of(|history| history.column("right")[window]).mean;
    let fallen = (0..windows).find(|&window| mean(window) < ENOUGH).map(|window| length.angle(window * length.window));
    let fallen = fallen.map_or("never in this stream".to_owned(), |angle| format!("from {angle:.0}° on"));
    let part = Part::new(
        "Online learning",
        "A frozen model loses its accuracy when the world drifts away from what it has learned. One that learns from \
         each example follows, at the price of forgetting what no longer comes; retraining at intervals follows \
         late.",
        "A gradient of one example is small while the model answers well, so that a model that keeps learning hardly \
         moves on data that it knows, and moves where its errors are: the update follows the drift without being told \
         of it. Nothing in the stream holds what was learned in place. A step costs as much as a few answers, a \
         retraining as much as thousands, all at one moment.",
    )
    .setup(format!(
        "Digits, network 64-32-10 with ReLU, trained on {KNOWN} images by {STEPS} steps of Adam at a rate of 0.01, \
         then deployed on a stream of {} examples that it answers one by one before it sees the label, {} seeds. The \
         stream repeats the other {} training images in random order, upright for a quarter of it; then they turn \
         slowly to {DEGREES}° over a half, and stay so for a quarter. As they come again, they are easier than the \
         test images, which are new. Online: one step of plain SGD an example, at the rate of {} with the highest \
         accuracy on the validation images, turned as the stream is, averaged over it. Retrained: every {} examples \
         from nothing, on as many latest examples, or on all so far with those before the stream.",
        length.stream,
        study.seeds().end,
        study.digits.train.len() - KNOWN,
        rates.map(|rate| rate.to_string()).join(", "),
        length.interval,
    ))
    .table(
        "Right answers before the label is seen, while the images are upright, while they turn, and when they have \
         turned; and after the stream those of the test images, upright and turned",
        table,
    )
    .picture(
        "online",
        "Right answers before the label is seen, in percent of a window of the stream; the images turn in its middle \
         half. Bands are one standard deviation over seeds.",
        &plot,
    )?
    .table(
        "The mean update an example in the three parts of the stream; and mean times on this machine, of an answer, of \
         learning an example, and of each time that something is learned",
        costs,
    )
    .table("The rates of which one was chosen; the right answers are of the validation images, the stream, and the test images", swept)
    .finding(
        "a frozen model loses its accuracy as the data drift",
        right(frozen, AFTER) < 0.9 * right(frozen, BEFORE),
        format!(
            "From {:.1}% while the images are upright to {:.1}% when they have turned; below {ENOUGH}% {fallen}.",
            right(frozen, BEFORE),
            right(frozen, AFTER)
        ),
    )
    .finding(
        "while the data drift, learning from each example is better than retraining at intervals",
        right(online, DURING) > retrained[0].max(retrained[1]),
        format!(
            "{:.1}% online, {:.1}% retrained on the latest, {:.1}% retrained on all. After the drift {:.1}%, {:.1}% \
             and {:.1}%.",
            right(online, DURING),
            retrained[0],
            retrained[1],
            right(online, AFTER),
            right(latest, AFTER),
            right(all, AFTER)
        ),
    )
    .finding(
        "while the data do not drift, a model that keeps learning is no better than a frozen one",
        right(online, BEFORE) <= right(frozen, BEFORE),
        format!(
            "{:.1}% online, {:.1}% frozen; {quietest:.1}% online at the rate that is best for this part of the stream.",
            right(online, BEFORE),
            right(frozen, BEFORE)
        ),
    )
    .finding(
        "a model that keeps learning forgets what no longer comes",
        after < before - 5.0,
        format!(
            "Of the upright test images {before:.1}% are right before the stream and {after:.1}% after it; at the \
             rates from the smallest to the largest {}. Retrained on all it is {:.1}%.",
            remembered.join(", "),
            memory(all)
        ),
    )
    .finding(
        "the update an example is larger while the data drift",
        moved(DURING) > moved(BEFORE) && moved(DURING) > moved(AFTER),
        format!("{:.1e} before, {:.1e} during and {:.1e} after the drift.", moved(BEFORE), moved(DURING), moved(AFTER)),
    );
    Ok(part)
}
