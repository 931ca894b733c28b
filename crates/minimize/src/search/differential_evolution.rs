//! The search `DifferentialEvolution`.

use gradus_graph::expect_setting;

use super::draws::Draws;
use super::generation::{Ended, Generation, Strategy, ranked};

/// How a mutant is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// From three points at random.
    #[default]
    RandomOne,
    /// From the best point and two at random.
    BestOne,
    /// From the point itself, moved towards the best, and two at random.
    CurrentToBestOne,
    /// From the point itself, moved towards one of the best, with factors that adapt: SHADE.
    SuccessHistory,
}

/// Differential evolution.
///
/// Each point `x` gets a trial point, a mixture of `x` and a mutant, and is replaced by it if the trial is as good.
///
/// | variant | mutant |
/// |---|---|
/// | rand/1 | `x_a + F·(x_b − x_c)` |
/// | best/1 | `x_best + F·(x_a − x_b)` |
/// | current-to-best/1 | `x + F·(x_best − x) + F·(x_a − x_b)` |
/// | success-history | `x + F·(x_pbest − x) + F·(x_a − x̃_b)`, `F` and `CR` drawn around what succeeded |
///
/// The mixture takes each element from the mutant with probability `CR`, and at least one (binomial). An element that
/// leaves its bounds is put halfway between the bound and `x` (as in JADE). Success-history is SHADE: `pbest` one of
/// the best tenth, `x̃_b` also from the points replaced last, six entries of history of the weighted Lehmer means of
/// `F` and `CR`.
///
/// Defaults: rand/1, 10·n points but at most 100, F 0.5, CR 0.9. State: the points, their values, SHADE's history.
///
/// Storn, Price: Differential evolution, 1997. Zhang, Sanderson: JADE, 2009. Tanabe, Fukunaga: Success-history based
/// parameter adaptation for differential evolution, 2013.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::search::{DifferentialEvolution, Search, Variant};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::zeros([3]));
/// let search = Search::new(DifferentialEvolution::new().variant(Variant::SuccessHistory)).within(-5.12, 5.12);
/// // Rastrigin's function, with hundreds of local minima.
/// let wave = |x: &f64| x * x + 10.0 - 10.0 * (std::f64::consts::TAU * x).cos();
/// let found = search.target(1e-8).run(&mut params, || {
///     |params: &Params<f64>| Ok(params.get(&x).data().iter().map(wave).sum())
/// })?;
/// assert!(found.value <= 1e-8, "{found}");
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DifferentialEvolution {
    variant: Variant,
    size: Option<usize>,
    factor: f64,
    crossover: f64,
    points: Vec<Vec<f64>>,
    values: Vec<f64>,
    history: History,
}

impl Default for DifferentialEvolution {
    fn default() -> Self {
        let (points, values, history) = (Vec::new(), Vec::new(), History::default());
        Self { variant: Variant::RandomOne, size: None, factor: 0.5, crossover: 0.9, points, values, history }
    }
}

impl DifferentialEvolution {
    /// Differential evolution in the form rand/1/bin.
    pub fn new() -> Self {
        Self::default()
    }

    /// How a mutant is made.
    #[must_use]
    pub fn variant(mut self, variant: Variant) -> Self {
        self.variant = variant;
        self
    }

    /// The number of points.
    ///
    /// # Panics
    /// If it is below 4.
    #[must_use]
    #[track_caller]
    pub fn population(mut self, size: usize) -> Self {
        assert!(size >= 4, "a mutant is made from three other points, so there are at least 4, not {size}");
        self.size = Some(size);
        self
    }

    /// The factor F of a difference, and the probability CR of an element to come from the mutant. The success-history
    /// variant adapts its own.
    ///
    /// # Panics
    /// If `factor` is negative or not finite, or `crossover` lies outside `0..=1`.
    #[must_use]
    #[track_caller]
    pub fn factors(mut self, factor: f64, crossover: f64) -> Self {
        expect_setting("`DifferentialEvolution::factors`: factor", factor, 0.0..);
        expect_setting("`DifferentialEvolution::factors`: crossover", crossover, 0.0..=1.0);
        (self.factor, self.crossover) = (factor, crossover);
        self
    }
}

impl Strategy for DifferentialEvolution {
    fn advance(&mut self, generation: &mut Generation<'_>) -> Result<(), Ended> {
        if self.points.is_empty() {
            let size = self.size.unwrap_or((10 * generation.dimension()).clamp(10, 100));
            self.points = (0..size).map(|i| generation.start(&mut generation.draws(i))).collect();
            self.values = generation.evaluate(&self.points)?;
            return Ok(());
        }
        let order = ranked(&self.values);
        let mut trials = Vec::with_capacity(self.points.len());
        let mut factors = Vec::with_capacity(self.points.len());
        for i in 0..self.points.len() {
            let mut draws = generation.draws(i);
            let (factor, crossover) = match self.variant {
                Variant::SuccessHistory => self.history.draw(&mut draws),
                _ => (self.factor, self.crossover),
            };
            let mutant = self.mutant(i, factor, &order, &mut draws);
            let x = &self.points[i];
            let sure = draws.below(x.len().max(1));
            let mix = |k: usize| if draws.chance(crossover) || k == sure { mutant[k] } else { x[k] };
            let mut trial: Vec<f64> = (0..x.len()).map(mix).collect();
            for k in 0..x.len() {
                if generation.is_bounded(k) && !(0.0..=1.0).contains(&trial[k]) {
                    trial[k] = (x[k] + if trial[k] < 0.0 { 0.0 } else { 1.0 }) / 2.0;
                }
            }
            trials.push(trial);
            factors.push((factor, crossover));
        }
        let values = generation.evaluate(&trials)?;
        let mut successes = Vec::new();
        for (i, (trial, value)) in trials.into_iter().zip(values).enumerate() {
            if value <= self.values[i] {
                let gain = self.values[i] - value;
                let replaced = std::mem::replace(&mut self.points[i], trial);
                self.values[i] = value;
                if gain > 0.0 && self.variant == Variant::SuccessHistory {
                    successes.push((gain, factors[i]));
                    let mut draws = generation.draws(self.points.len() + i);
                    self.history.archive(replaced, self.points.len(), &mut draws);
                }
            }
        }
        self.history.learn(&successes);
        Ok(())
    }
}

impl DifferentialEvolution {
    fn mutant(&self, i: usize, factor: f64, order: &[usize], draws: &mut Draws) -> Vec<f64> {
        let (points, count, n) = (&self.points, self.points.len(), self.points[i].len());
        let (x, best) = (&points[i], &points[order[0]]);
        match self.variant {
            Variant::RandomOne => {
                let [a, b, c] = draws.distinct(count, i);
                (0..n).map(|k| points[a][k] + factor * (points[b][k] - points[c][k])).collect()
            }
            Variant::BestOne => {
                let [a, b] = draws.distinct(count, i);
                (0..n).map(|k| best[k] + factor * (points[a][k] - points[b][k])).collect()
            }
            Variant::CurrentToBestOne => {
                let [a, b] = draws.distinct(count, i);
                (0..n).map(|k| x[k] + factor * (best[k] - x[k] + points[a][k] - points[b][k])).collect()
            }
            Variant::SuccessHistory => {
                let good = &points[order[draws.below((count / 10).max(2))]];
                let [a] = draws.distinct(count, i);
                let mut b = a;
                while b == a || b == i {
                    b = draws.below(count + self.history.archived.len());
                }
                let other = if b < count { &points[b] } else { &self.history.archived[b - count] };
                (0..n).map(|k| x[k] + factor * (good[k] - x[k] + points[a][k] - other[k])).collect()
            }
        }
    }
}

/// The history of SHADE.
#[derive(Clone, Debug)]
struct History {
    /// Pairs of F and CR.
    entries: [(f64, f64); 6],
    /// The entry to be written next.
    next: usize,
    /// Points that were replaced.
    archived: Vec<Vec<f64>>,
}

impl Default for History {
    fn default() -> Self {
        Self { entries: [(0.5, 0.5); 6], next: 0, archived: Vec::new() }
    }
}

impl History {
    /// F from a Cauchy distribution and CR from a normal one, around one of the entries.
    fn draw(&self, draws: &mut Draws) -> (f64, f64) {
        let (center, rate) = self.entries[draws.below(self.entries.len())];
        let crossover = (rate + 0.1 * draws.normal()).clamp(0.0, 1.0);
        loop {
            let factor = center + 0.1 * (std::f64::consts::PI * (draws.uniform() - 0.5)).tan();
            if factor > 0.0 {
                return (factor.min(1.0), crossover);
            }
        }
    }

    /// Keeps a point that was replaced; beyond `most`, instead of another.
    fn archive(&mut self, replaced: Vec<f64>, most: usize, draws: &mut Draws) {
        if self.archived.len() < most {
            self.archived.push(replaced);
        } else {
            self.archived[draws.below(most)] = replaced;
        }
    }

    /// Writes an entry from what succeeded: means weighted by the gains.
    fn learn(&mut self, successes: &[(f64, (f64, f64))]) {
        // A gain from an infinite value counts like the largest finite one.
        let largest = successes.iter().map(|success| success.0).filter(|gain| gain.is_finite()).fold(1e-300, f64::max);
        let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
            successes.iter().map(|&(gain, (factor, rate))| gain.min(largest) * term(factor, rate)).sum()
        };
        let total = sum(&|_, _| 1.0);
        if total > 0.0 {
            let lehmer = sum(&|factor, _| factor * factor) / sum(&|factor, _| factor);
            self.entries[self.next] = (lehmer, sum(&|_, rate| rate) / total);
            self.next = (self.next + 1) % self.entries.len();
        }
    }
}
