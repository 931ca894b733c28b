//! The runs from all starts, and what they give.

use gradus::Params;
use gradus::nn::loss;
use gradus::optim::{Optimizer, Sgd};
use gradus::train::plot::Plot;
use gradus::train::statistics::{ActivationStatistics, Nonlinearity, Updates};
use gradus::train::sweep::{Spread, SweepResults, SweepRow};
use gradus::train::{Step, Sweep};

use crate::Failure;
use crate::convergence::{Convergence, Target};
use crate::report::Table;
use crate::study::{Digits, Study};
use crate::training::Training;

use super::starts::{Deep, Hidden, Start};

/// The hidden layers of the network that all starts are compared in.
pub(super) const DEPTH: usize = 5;

const TARGET: Target = Target(0.3);

pub(super) const STARTS: [Start; 13] = [
    Start::Zeros,
    Start::Normal(0.001),
    Start::Normal(0.01),
    Start::Uniform(0.01),
    Start::Normal(0.1),
    Start::Uniform(0.1),
    Start::Normal(1.0),
    Start::Uniform(1.0),
    Start::Xavier,
    Start::He,
    Start::Orthogonal,
    Start::Rebuild,
    Start::Parity,
];
/// The starts in the pictures: uniform numbers lie where normal ones do.
const DRAWN: [usize; 7] = [2, 4, 6, 8, 9, 10, 12];

type Options = ((usize, Start), f64);

/// The runs of networks with one function: the start, for each number of hidden layers, at each rate.
pub(super) struct Runs<'a> {
    study: &'a Study,
    name: &'static str,
    function: Hidden,
    pub(super) steps: u64,
    pub(super) rates: &'static [f64],
    /// Pre-trained parameters by start and seed.
    bodies: Vec<((Start, u64), Params)>,
}

impl<'a> Runs<'a> {
    pub(super) fn new(study: &'a Study, name: &'static str, function: Hidden) -> Result<Self, Failure> {
        let rates: &[f64] = study.pick(&[0.01, 0.1, 0.3, 1.0], &[0.1, 0.3]);
        let mut bodies = Vec::new();
        for (start, seed) in
            [Start::Rebuild, Start::Parity].into_iter().flat_map(|s| study.seeds().map(move |k| (s, k)))
        {
            bodies.push(((start, seed), Deep::pre_train(study, DEPTH, function, start, seed)?));
        }
        Ok(Self { study, name, function, steps: study.pick(400, 140), rates, bodies })
    }

    fn begin(&self, depth: usize, start: Start, seed: u64) -> (Params, Deep) {
        let body = self.bodies.iter().find(|(of, _)| *of == (start, seed));
        Deep::begin(depth, self.function, start, seed, body.map(|(_, params)| params))
    }

    /// The columns `score` and `test accuracy` are of the whole run.
    pub(super) fn sweep(&self, digits: &Digits, depths_and_starts: Vec<(usize, Start)>) -> Result<Measured, Failure> {
        let training = Training { digits, steps: self.steps, batch: 32, every: 20 };
        let named = depths_and_starts.into_iter().map(|(depth, start)| (format!("{depth} {start}"), (depth, start)));
        let sweep = Sweep::named(named).crossed(self.rates.to_vec()).seeds(self.study.seeds());
        let found = sweep.run(|&((depth, start), rate), seed| {
            let (mut params, model) = self.begin(depth, start, seed);
            let mut history = training.run(&mut params, &model, Optimizer::new(Sgd::new(rate)), seed)?;
            let (score, [_, accuracy]) = (training.score(&history), training.test(&params, &model)?);
            history.push([("score", score), ("test accuracy", 100.0 * accuracy)]);
            Ok::<_, Failure>(history)
        });
        Ok(Measured(found?))
    }

    /// Of each hidden layer before the first step: the standard deviation of its outputs, and the root mean square of the
    /// gradient of its weights, as points over the number of the layer.
    fn at_step_0(&self, start: Start, seed: u64) -> Result<[Vec<(f64, f64)>; 2], Failure> {
        let (params, model) = self.begin(DEPTH, start, seed);
        let mut step = Step::with_aux(|_, [images, digits]| {
            let outputs = model.outputs(images);
            let logits = model.output.forward(outputs[DEPTH - 1]);
            (loss::cross_entropy(logits, digits), std::array::from_fn::<_, DEPTH, _>(|layer| outputs[layer]))
        });
        let first = self.study.digits.train.select(&(0..256).collect::<Vec<_>>());
        let gradients = step.at(&params, (first.inputs(), first.targets()))?;
        let deviations = gradients
            .aux()
            .map(|outputs| ActivationStatistics::of("hidden", Nonlinearity::Tanh, outputs.real(), 1).deviation);
        let report = Updates::new(&params).measure(&params, gradients.iter());
        let weights = report.rows().iter().filter(|row| row.name.ends_with("weight")).take(DEPTH);
        let slopes = weights.filter_map(|row| Some(row.gradient.as_ref()?.root_mean_square));
        let numbered = |(layer, size): (usize, f64)| ((layer + 1) as f64, size);
        Ok([deviations.into_iter().enumerate().map(numbered).collect(), slopes.enumerate().map(numbered).collect()])
    }

    /// The two pictures of step 0.
    pub(super) fn pictures(&self) -> Result<[Plot; 2], Failure> {
        let mut plots = [("Outputs", "standard deviation"), ("Gradients", "root mean square")]
            .map(|(of, size)| Plot::new(&format!("{of} at step 0, {}", self.name)).axes("hidden layer", size).log_y());
        for start in DRAWN.map(|place| STARTS[place]) {
            let measured: Vec<[Vec<(f64, f64)>; 2]> =
                self.study.seeds().map(|seed| self.at_step_0(start, seed)).collect::<Result<_, _>>()?;
            plots = [0, 1].map(|kind| {
                let mean = |layer: usize| Spread::of(measured.iter().map(|curves| curves[kind][layer].1)).mean;
                let means: Vec<_> = (0..DEPTH).map(|layer| ((layer + 1) as f64, mean(layer))).collect();
                plots[kind].clone().line(&start.to_string(), &means)
            });
        }
        Ok(plots)
    }
}

/// What a sweep has found.
pub(super) struct Measured(SweepResults<Options>);

impl Measured {
    /// The rate at which the scores of all starts are highest on average.
    pub(super) fn common_rate(&self, rates: &[f64]) -> f64 {
        let of_rate = |rate: f64| self.0.rows().iter().filter(move |row| row.options() == &(row.options().0, rate));
        let score = |rate: f64| of_rate(rate).map(|row| row.last("score").mean).sum::<f64>();
        rates.iter().copied().max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap_or(0.1)
    }

    /// A start at the rate where its score is highest.
    pub(super) fn best(&self, depth: usize, start: Start) -> SweepRow<Options> {
        self.0.select(|&(of, _)| of == (depth, start)).highest("score").expect("a score is finite").clone()
    }

    pub(super) fn at(&self, start: Start, rate: f64) -> &SweepRow<Options> {
        self.0.find(|&options| options == ((DEPTH, start), rate)).expect("every start was run at every rate")
    }

    pub(super) fn table(&self, rate: f64) -> Table {
        let mut table = Table::new(["start", &format!("steps at {rate}"), "best rate", "steps at best", "test"]);
        for start in STARTS {
            let best = self.best(DEPTH, start);
            table.push([
                start.to_string(),
                steps(self.at(start, rate)).to_string(),
                best.options().1.to_string(),
                steps(&best).to_string(),
                format!("{:.1}%", best.last("test accuracy")),
            ]);
        }
        table
    }
}

pub(super) fn steps(row: &SweepRow<Options>) -> Convergence {
    Convergence::of(row, "loss", TARGET)
}
