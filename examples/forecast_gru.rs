//! Forecasts the sunspots of the next year: `cargo run --release --example forecast_gru`.
//!
//! A gated recurrent unit reads the yearly numbers from 1700 on and says, at each year, by how much the next will
//! differ. Its size, the length of its training and its weight decay are chosen by a sweep: trained on stretches of the
//! years before 1880, the mean error of three seeds from 1880 to 1919 decides. What was chosen is trained again on the
//! years before 1920, with five seeds, and only then are the years from 1920 on looked at, once.
//!
//! Beside its error stand those of three yardsticks on the same years: the number of the year before, that of eleven
//! years before (a cycle), and a linear combination of the years before, fitted by least squares, whose number of years
//! is chosen on the same validation years.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use gradus::data::{Dataset, sunspots};
use gradus::nn::{Dense, Given, Gru, Mode, Sequence, loss};
use gradus::optim::{AdamW, Cosine};
use gradus::train::plot::Plot;
use gradus::train::{Function, History, Sweep, Trainer};
use gradus::{Params, Tensor, Var};

/// The first year that is held out to choose by, and the first that is held out to the end.
const VALIDATION: usize = 1880;
const TEST: usize = 1920;
/// Years in a stretch that the model learns from.
const STRETCH: usize = 64;
const BATCH: usize = 16;
const RATE: f64 = 5e-3;

/// What is chosen.
#[derive(Clone, Copy)]
struct Options {
    hidden: usize,
    epochs: u64,
    decay: f64,
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hidden, epochs, decay } = self;
        write!(f, "{hidden} units, {epochs} epochs, decay {decay}")
    }
}

struct Forecaster {
    memory: Gru,
    change: Dense,
}

impl Forecaster {
    fn new(params: &mut Params, hidden: usize) -> Self {
        Self { memory: Gru::new(params, "memory", 1, hidden), change: Dense::new(params, "change", hidden, 1) }
    }

    /// For each year of `[time, batch, 1]` the number of the year after it.
    fn forward<'g>(&self, years: Var<'g>) -> Var<'g> {
        let Sequence { outputs, .. } = self.memory.sequence(years, Given::default(), Mode::Eval);
        years + self.change.forward(outputs)
    }
}

/// The yearly numbers; a year is named by its number in the calendar.
struct Series(Vec<f32>);

impl Series {
    fn end(&self) -> usize {
        sunspots::FIRST_YEAR + self.0.len()
    }

    fn at(&self, year: usize) -> f64 {
        f64::from(self.0[year - sunspots::FIRST_YEAR])
    }

    /// All stretches of the years before one, each with the same stretch a year later, in hundreds of spots, which is the
    /// size of the weights.
    fn stretches(&self, end: usize) -> Dataset<f32, f32> {
        let count = end - sunspots::FIRST_YEAR - STRETCH;
        let at = |later: usize| move |k: usize| self.0[k / STRETCH + k % STRETCH + later] / 100.0;
        let rows = |later| Tensor::from_fn([count, STRETCH], at(later));
        Dataset::new(rows(0), rows(1))
    }

    /// The root of the mean square error over years.
    fn error(&self, years: Range<usize>, forecast: impl Fn(usize) -> f64) -> f64 {
        let count = years.len() as f64;
        (years.map(|year| (forecast(year) - self.at(year)).powi(2)).sum::<f64>() / count).sqrt()
    }

    /// Trains on the years before `end`. A row of the history is a year, with its forecast from all years before it.
    fn run(&self, options: &Options, end: usize, seed: u64) -> Result<History, Box<dyn Error + Send + Sync>> {
        let &Options { hidden, epochs, decay } = options;
        let stretches = self.stretches(end);
        let mut params = Params::new(seed);
        let model = Forecaster::new(&mut params, hidden);
        let steps = epochs * stretches.len().div_ceil(BATCH) as u64;
        let mut trainer = Trainer::new(AdamW::new(Cosine::new(RATE, steps)).decay(decay), |_, batch| {
            // A batch is a row a stretch; a layer wants time first.
            let [years, next] = batch.map(|rows| rows.t().unsqueeze(2));
            loss::mse(model.forward(years), next)
        })
        .epochs(epochs);
        trainer.fit(&mut params, |epoch| stretches.batches(BATCH).shuffled(seed, epoch))?;

        let known: Vec<f32> = self.0[..self.0.len() - 1].iter().map(|number| number / 100.0).collect();
        let known = Tensor::new([known.len(), 1, 1], known);
        let mut forecast = Function::new(|_, [years]| [model.forward(years)]);
        let [forecasts] = forecast.run(&params, &known)?;
        let mut history = History::default();
        for (year, &value) in (sunspots::FIRST_YEAR + 1..).zip(forecasts.real().data()) {
            history.push([("year", year as f64), ("forecast", 100.0 * f64::from(value))]);
        }
        Ok(history)
    }

    /// The error of a history's forecasts.
    fn error_of(&self, history: &History, years: Range<usize>) -> f64 {
        let forecasts = history.column("forecast");
        self.error(years, |year| forecasts[year - sunspots::FIRST_YEAR - 1])
    }

    /// What a linear forecast is made of: a constant and the given number of years before.
    fn terms(&self, order: usize, year: usize) -> Vec<f64> {
        [vec![1.0], (1..=order).map(|back| self.at(year - back)).collect()].concat()
    }

    /// A linear forecast from the given number of years before, with the least sum of squares over the years before `end`:
    /// `(XᵀX)·w = Xᵀy` by elimination.
    fn linear(&self, order: usize, end: usize) -> impl Fn(usize) -> f64 {
        let size = order + 1;
        let mut rows = vec![vec![0.0; size + 1]; size];
        for year in sunspots::FIRST_YEAR + order..end {
            let known = [self.terms(order, year), vec![self.at(year)]].concat();
            for (row, x) in rows.iter_mut().zip(&known) {
                row.iter_mut().zip(&known).for_each(|(sum, other)| *sum += x * other);
            }
        }
        // The matrix is positive definite, so no row need be exchanged.
        for pivot in 0..size {
            let line: Vec<f64> = rows[pivot].iter().map(|value| value / rows[pivot][pivot]).collect();
            for (_, row) in rows.iter_mut().enumerate().filter(|(number, _)| *number != pivot) {
                let factor = row[pivot];
                row.iter_mut().zip(&line).for_each(|(value, of_pivot)| *value -= factor * of_pivot);
            }
            rows[pivot] = line;
        }
        let weights: Vec<f64> = rows.iter().map(|row| row[size]).collect();
        move |year| self.terms(order, year).iter().zip(&weights).map(|(x, w)| x * w).sum()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let series = Series(sunspots::load().into_vec());
    let (validation, test) = (VALIDATION..TEST, TEST..series.end());

    let start = Instant::now();
    let options = [4, 8, 16].into_iter().flat_map(|hidden| {
        let lengths = [15, 30, 60].into_iter();
        lengths.flat_map(move |epochs| [0.01, 0.1].map(|decay| Options { hidden, epochs, decay }))
    });
    let found = Sweep::new(options).seeds(0..3).run(|options, seed| series.run(options, VALIDATION, seed))?;
    let score = |history: &History| series.error_of(history, validation.clone());
    println!("root of the mean square error from {VALIDATION} to {}, trained on the years before", TEST - 1);
    found.rows().iter().for_each(|row| println!("  {:<34} {:.2}", row.name(), row.of(score)));
    let chosen = found.least(|row| row.of(score).mean).ok_or("no error is finite")?;
    let order = |order: &usize| series.error(validation.clone(), series.linear(*order, VALIDATION));
    let order = (1..=12).min_by(|a, b| order(a).total_cmp(&order(b))).expect("there are orders");
    println!(
        "chosen by that: {chosen}; of linear forecasts from 1 to 12 years the one from {order}",
        chosen = chosen.name()
    );

    let last = Sweep::named([(chosen.name(), *chosen.options())]).seeds(0..5);
    let last = last.run(|options, seed| series.run(options, TEST, seed))?;
    let last = &last.rows()[0];
    println!("all runs took {:.1} s", start.elapsed().as_secs_f64());

    println!("\nroot of the mean square error from {TEST} to {}, trained on the years before", series.end() - 1);
    println!("  the year before         {:6.2}", series.error(test.clone(), |year| series.at(year - 1)));
    println!("  eleven years before     {:6.2}", series.error(test.clone(), |year| series.at(year - 11)));
    println!("  linear, {order:2} years        {:6.2}", series.error(test.clone(), series.linear(order, TEST)));
    let errors = last.of(|history| series.error_of(history, test.clone()));
    println!("  gated recurrent unit     {errors:.2} over {} seeds", errors.count);

    let truth: Vec<(f64, f64)> = test.clone().map(|year| (year as f64, series.at(year))).collect();
    let curves = last.curves("year", "forecast");
    let curves: Vec<&[(f64, f64)]> = curves.iter().map(|curve| &curve[curve.len() - test.len()..]).collect();
    let picture = Path::new("target/sunspots.svg");
    let plot = Plot::new("Sunspots of the held-out years").axes("year", "sunspots");
    plot.line("observed", &truth).runs("forecast a year ahead", &curves).save(picture)?;
    println!("\nthe forecasts are in {}", picture.display());
    Ok(())
}
