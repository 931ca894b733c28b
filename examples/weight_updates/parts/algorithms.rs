//! Backpropagation beside searches without gradients.

use std::fmt;
use std::time::{Duration, Instant};

use gradus::Params;
use gradus::data::Dataset;
use gradus::minimize::search::{Genetic, MutationOperator, Observed, ParticleSwarm, Search, Strategy};
use gradus::nn::{Dense, loss};
use gradus::optim::{Adam, Optimizer};
use gradus::train::plot::Plot;
use gradus::train::sweep::SweepRow;
use gradus::train::{Function, History, Step, Sweep};

use crate::Failure;
use crate::convergence::{Convergence, Target};
use crate::report::{Part, Table};
use crate::study::Study;
use crate::training::{at, evaluation};

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Backpropagation,
    Genetic,
    Swarm,
}

const WAYS: [Way; 3] = [Way::Backpropagation, Way::Genetic, Way::Swarm];
const ITERATIONS: u64 = 200;
/// What a gradient of the loss costs, in evaluations of it.
const GRADIENT: f64 = 3.0;
const LOSS: f64 = 1.0;

impl Way {
    /// Learning rates of Adam, and for the searches how far from the initial weights the first candidates may be.
    fn scales(self) -> [f64; 3] {
        match self {
            Self::Backpropagation | Self::Swarm => [0.01, 0.03, 0.1],
            Self::Genetic => [0.3, 1.0, 3.0],
        }
    }

    /// The iteration that is looked at.
    fn iteration(self) -> u64 {
        match self {
            Self::Backpropagation => 100,
            Self::Genetic => 50,
            Self::Swarm => 200,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backpropagation => "backpropagation",
            Self::Genetic => "genetic algorithm",
            Self::Swarm => "particle swarm",
        })
    }
}

/// A network with data, trained in one of the ways.
struct Task<'a> {
    train: &'a Dataset,
    validation: &'a Dataset,
    test: &'a Dataset,
    population: usize,
}

impl Task<'_> {
    /// A row an iteration: `step`, `evaluations`, `seconds`; of the weights that are kept the training `loss` and `accuracy`,
    /// `validation loss` and `validation accuracy`, and their mean change (`kept`); the mean change of all that were tried
    /// (`tried`). A last row has the `test accuracy`.
    fn run(&self, way: Way, scale: f64, seed: u64) -> Result<History, Failure> {
        let mut params = Params::new(seed);
        let layer = Dense::new(&mut params, "layer", 64, 10);
        let mut history = match way {
            Way::Backpropagation => self.descend(&mut params, &layer, scale),
            Way::Genetic => {
                let mutation = MutationOperator::Gaussian(0.05);
                let strategy = Genetic::new().population(self.population).mutation(mutation, 0.05);
                self.search(&mut params, &layer, strategy, scale, seed)
            }
            Way::Swarm => {
                let strategy = ParticleSwarm::new().particles(self.population);
                self.search(&mut params, &layer, strategy, scale, seed)
            }
        }?;
        let [_, accuracy] = evaluation(&layer)(&params, self.test)?;
        history.push([("test accuracy", accuracy)]);
        Ok(history)
    }

    fn descend(&self, params: &mut Params, layer: &Dense, rate: f64) -> Result<History, Failure> {
        let mut gradients = Step::new(|_, [images, digits]| loss::cross_entropy(layer.forward(images), digits));
        let mut adam = Optimizer::new(Adam::new(rate));
        let mut course = Course::new(self, params, layer);
        for number in 1..=ITERATIONS {
            let found = gradients.run(params, (self.train.inputs(), self.train.targets()))?;
            adam.step(params, &found)?;
            let tried = [scalars(params)];
            course.record(params, GRADIENT * number as f64, &tried)?;
        }
        Ok(course.history)
    }

    fn search(
        &self,
        params: &mut Params,
        layer: &Dense,
        strategy: impl Strategy,
        distance: f64,
        seed: u64,
    ) -> Result<History, Failure> {
        let mut course = Course::new(self, params, layer);
        let mut outcome = Ok(());
        let look = |now: &Observed<'_, f32>| {
            let tried: Vec<Vec<f64>> = now.candidates().map(|(point, _)| point).collect();
            let recorded = course.record(now.best(), now.evaluations() as f64, &tried);
            outcome = std::mem::replace(&mut outcome, Ok(())).and(recorded);
        };
        let search = Search::new(strategy).around(distance).seed(seed);
        search.budget(self.population * ITERATIONS as usize).run_observed(
            params,
            || {
                let mut value =
                    Function::new(|_, [images, digits]| [loss::cross_entropy(layer.forward(images), digits)]);
                let inputs = (self.train.inputs(), self.train.targets());
                move |params: &Params| Ok(value.run(params, inputs)?[0].real().item())
            },
            look,
        )?;
        outcome.map(|()| course.history)
    }
}

/// What a run records after each iteration. The clock stands still meanwhile.
struct Course<'a, E> {
    task: &'a Task<'a>,
    evaluate: E,
    history: History,
    before: Vec<f64>,
    seconds: f64,
    since: Instant,
}

impl<'a> Course<'a, ()> {
    fn new(
        task: &'a Task<'a>,
        start: &Params,
        layer: &'a Dense,
    ) -> Course<'a, impl FnMut(&Params, &Dataset) -> Result<[f64; 2], Failure> + use<'a>> {
        let (history, before) = (History::default(), scalars(start));
        Course { task, evaluate: evaluation(layer), history, before, seconds: 0.0, since: Instant::now() }
    }
}

impl<E: FnMut(&Params, &Dataset) -> Result<[f64; 2], Failure>> Course<'_, E> {
    fn record(&mut self, kept: &Params, evaluations: f64, tried: &[Vec<f64>]) -> Result<(), Failure> {
        self.seconds += self.since.elapsed().as_secs_f64();
        let [loss, accuracy] = (self.evaluate)(kept, self.task.train)?;
        let [validation_loss, validation_accuracy] = (self.evaluate)(kept, self.task.validation)?;
        let after = scalars(kept);
        let mean_tried = tried.iter().map(|point| distance(point, &self.before)).sum::<f64>() / tried.len() as f64;
        self.history.push([
            ("step", self.history.epochs() as f64 + 1.0),
            ("evaluations", evaluations),
            ("seconds", self.seconds),
            ("loss", loss),
            ("accuracy", accuracy),
            ("validation loss", validation_loss),
            ("validation accuracy", validation_accuracy),
            ("kept", distance(&after, &self.before)),
            ("tried", mean_tried),
        ]);
        (self.before, self.since) = (after, Instant::now());
        Ok(())
    }
}

/// All weights, one after another.
fn scalars(params: &Params) -> Vec<f64> {
    params.trainable().flat_map(|param| params.get(param).data()).map(|&value| f64::from(value)).collect()
}

/// The mean absolute difference.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.len() as f64
}

type Row = SweepRow<(Way, f64)>;

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let images: Vec<usize> = (0..study.pick(400, 100)).collect();
    let train = study.digits.train.select(&images);
    let task = Task {
        train: &train,
        validation: &study.digits.validation,
        test: &study.digits.test,
        population: study.pick(30, 12),
    };
    let options = WAYS.into_iter().flat_map(|way| way.scales().map(|scale| (format!("{way}, {scale}"), (way, scale))));
    let sweep = Sweep::named(options).seeds(study.seeds());
    let found = sweep.run(|&(way, scale), seed| task.run(way, scale, seed))?;
    let reached = |row: &Row, column: &'static str| {
        let step = |history: &History| Target(LOSS).reached(history, "loss");
        row.of(|history| step(history).map_or(f64::INFINITY, |step| at(history, step as u64, column)))
    };
    let whole = |value: f64| if value.is_finite() { format!("{value:.0}") } else { "·".to_owned() };
    let percent = |value: f64| if value.is_finite() { format!("{:.1}%", 100.0 * value) } else { "·".to_owned() };
    let changes = |row: &Row| {
        let changed = |history: &History| history.column("kept").iter().filter(|&&kept| kept > 0.0).count();
        row.of(|history| changed(history) as f64 / ITERATIONS as f64).mean
    };
    let head = ["", "best scale", "iteration", "update", "tried", "loss", "accuracy", "validation", "evaluations"];
    let mut table = Table::new(head);
    let head =
        ["", "iterations", "evaluations", "time", "validation", "loss at 200", "validation at 200", "test at 200"];
    let mut arrivals = Table::new(head);
    let mut losses =
        Plot::new("Loss against work").axes("evaluations of the loss", "training loss, nats").log_x().log_y();
    let mut updates = Plot::new("Weight updates").axes("iteration", "mean absolute change of the weights").log_y();
    let mut best: Vec<Row> = Vec::new();
    for way in WAYS {
        let of_way = found.select(|options| options.0 == way);
        let last = |row: &Row, column: &'static str| row.of(|history| at(history, ITERATIONS, column));
        let Some(row) = of_way.least(|row| last(row, "validation loss").mean).cloned() else { continue };
        let looked = |column: &'static str| row.of(|history| at(history, way.iteration(), column));
        table.push([
            way.to_string(),
            row.options().1.to_string(),
            way.iteration().to_string(),
            format!("{:.2e}", looked("kept").mean),
            format!("{:.2e}", looked("tried").mean),
            format!("{:.3}", looked("loss")),
            percent(looked("accuracy").mean),
            percent(looked("validation accuracy").mean),
            whole(looked("evaluations").mean),
        ]);
        let time = reached(&row, "seconds").mean;
        arrivals.push([
            way.to_string(),
            Convergence::of(&row, "loss", Target(LOSS)).to_string(),
            whole(reached(&row, "evaluations").mean),
            if time.is_finite() { study.time(Duration::from_secs_f64(time)) } else { "·".to_owned() },
            percent(reached(&row, "validation accuracy").mean),
            format!("{:.3}", last(&row, "loss")),
            percent(last(&row, "validation accuracy").mean),
            percent(row.last("test accuracy").mean),
        ]);
        losses = losses.runs(&way.to_string(), &row.curves("evaluations", "loss"));
        let mean_at = |step: u64| (step as f64, row.of(|history| at(history, step, "kept")).mean);
        updates = updates.line(&way.to_string(), &(1..=ITERATIONS).map(mean_at).collect::<Vec<_>>());
        best.push(row);
    }
    let [gradient, genetic, swarm] = &best[..] else { return Err("a way of training has no finite loss".into()) };
    let kept = |row: &Row, step: u64| row.of(|history| at(history, step, "kept")).mean;
    let [by_gradient, by_genes, by_swarm] =
        [gradient, genetic, swarm].map(|row| kept(row, row.options().0.iteration()));
    let largest = |&step: &u64| kept(gradient, step) > kept(genetic, step).max(kept(swarm, step));
    let work = [gradient, genetic, swarm].map(|row| reached(row, "evaluations").mean);
    let iterations = [genetic, swarm].map(|row| Convergence::of(row, "loss", Target(LOSS)));
    let accuracies = [gradient, genetic, swarm].map(|row| reached(row, "validation accuracy").mean);
    let part = Part::new(
        "Algorithms",
        "Backpropagation knows for each weight which way is down; a genetic algorithm and a particle swarm try weights and keep \
         what is better, which takes many more evaluations.",
        "One gradient says of all weights at once how the loss depends on each, for the work of about three evaluations; an \
         evaluation alone is one number, however many weights there are. A search therefore tries changes that are large, of \
         which few are kept; the best point of a generation is another individual, not the old one a little moved, so that its \
         change is that between two individuals. A gradient's update shrinks with the slope instead. A \
         larger update is no sign of faster learning when algorithms differ. And what the training images do not show of a \
         random change stays in the weights of a search, where other images meet it.",
    )
    .setup(format!(
        "{} training images of digits, softmax regression 64-10 with 650 weights, {ITERATIONS} iterations from the same initial \
         weights, {} seeds. Backpropagation is Adam on all images, its scale the learning rate; an iteration counts three \
         evaluations. The searches have {} candidates a generation, which begin at most the scale away from the initial \
         weights in each. Each scale is the best of three by the final validation loss. \"Update\" is the change of the weights \
         that are kept, for a search those of the best candidate so far; \"tried\" is how far the candidates of that iteration \
         lie from the weights kept before, on average.",
        train.len(),
        study.seeds().end,
        task.population
    ))
    .table("Each algorithm at the iteration at which it is looked at", table)
    .table("To a training loss of 1 (iterations, evaluations, time, validation accuracy there), and after 200 iterations", arrivals)
    .picture("algorithms", "Training loss over work, on all images; a gradient counts three evaluations. The band is one standard deviation over seeds.", &losses)?
    .picture("algorithms-updates", "Mean absolute change, in an iteration, of the weights that are kept; mean over seeds, with a gap where none changed.", &updates)?
    .finding(
        "backpropagation needs fewer evaluations than either search to the same loss",
        work[0] < work[1].min(work[2]),
        format!("To a loss of {LOSS}: {} for backpropagation, {} for the genetic algorithm, {} for the swarm (a dot where a seed does not arrive).", whole(work[0]), whole(work[1]), whole(work[2])),
    )
    .finding(
        "what learns fastest makes the largest updates: backpropagation at iteration 100 beside a genetic algorithm at 50 and a swarm at 200",
        by_gradient > by_genes.max(by_swarm),
        format!(
            "The updates are {by_gradient:.2e}, {by_genes:.2e} and {by_swarm:.2e}. Compared at the same iteration, that of \
             backpropagation is the largest in {} of {ITERATIONS}.",
            (1..=ITERATIONS).filter(largest).count()
        ),
    )
    .finding(
        "every iteration changes the weights",
        [gradient, genetic, swarm].iter().all(|row| changes(row) == 1.0),
        format!(
            "Of {ITERATIONS} iterations {:.0}% do with backpropagation, {:.0}% with the genetic algorithm, {:.0}% with the swarm: \
             a generation that finds nothing better leaves the best weights as they are.",
            100.0 * changes(gradient),
            100.0 * changes(genetic),
            100.0 * changes(swarm)
        ),
    )
    .finding(
        "a particle swarm needs fewer iterations than a genetic algorithm of the same size",
        iterations[1].mean() < iterations[0].mean(),
        format!("Iterations to a loss of {LOSS}: {} with the swarm, {} with the genetic algorithm.", iterations[1], iterations[0]),
    )
    .finding(
        "at the same training loss all ways are equally accurate on other data, to two points of a hundred",
        accuracies.iter().all(|accuracy| (accuracy - accuracies[0]).abs() <= 0.02),
        format!(
            "Validation accuracy where the training loss is first held at {LOSS}: {} with backpropagation, {} with the genetic \
             algorithm, {} with the swarm (a dot where a seed does not arrive).",
            percent(accuracies[0]),
            percent(accuracies[1]),
            percent(accuracies[2])
        ),
    );
    Ok(part)
}
