//! The driver that all strategies share: region, budget, parallel evaluation, the best point, the trace.

use std::fmt;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Mutex, PoisonError};

use gradus_graph::{Error, POSITIVE, Params, Real, expect_setting};
use rayon::prelude::*;

use crate::parameter_vector::ParameterVector;

use super::generation::{Ended, Generation, Strategy, reflected};

/// A search with a strategy.
///
/// The search starts in a region: the bounds, where there are some, and else an interval around the value in the store.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::search::{ParticleSwarm, Search};
/// let mut params: Params<f32> = Params::new(0);
/// let (a, b) = (params.add("a", Tensor::scalar(0.0)), params.add("b", Tensor::scalar(0.0)));
/// let search = Search::new(ParticleSwarm::new())
///     .around(2.0)
///     .within_where(|name| name == "b", 0.5, 4.0)
///     .seed(7)
///     .budget(2000);
/// let found = search.run(&mut params, || {
///     |params: &Params<f32>| Ok((params.get(&a).item() - 1.0).powi(2) + params.get(&b).item().powi(2))
/// })?;
/// assert!((found.value - 0.25).abs() < 1e-4, "{found}");
/// assert!((params.get(&b).item() - 0.5).abs() < 1e-4);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Search<S> {
    strategy: S,
    seed: u64,
    budget: usize,
    target: f64,
    spread: f64,
    boxes: Vec<Bounds>,
}

/// What is called after each generation.
type Look<'a, T> = &'a mut dyn FnMut(&Observed<'_, T>);

/// Bounds of the parameters with matching names.
#[derive(Clone, Debug)]
struct Bounds {
    matches: fn(&str) -> bool,
    low: f64,
    high: f64,
}

impl<S: Strategy> Search<S> {
    /// The search with 10,000 evaluations, no bounds, and intervals of 1 to each side of the values in the store.
    pub fn new(strategy: S) -> Self {
        Self { strategy, seed: 0, budget: 10_000, target: f64::NEG_INFINITY, spread: 1.0, boxes: Vec::new() }
    }

    /// The seed of all random numbers.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The number of evaluations that are allowed.
    #[must_use]
    pub fn budget(mut self, evaluations: usize) -> Self {
        self.budget = evaluations;
        self
    }

    /// The search ends where a value is as low as this.
    ///
    /// # Panics
    /// If it is NaN.
    #[must_use]
    #[track_caller]
    pub fn target(mut self, value: f64) -> Self {
        expect_setting("`Search::target`: value", value, f64::NEG_INFINITY..=f64::INFINITY);
        self.target = value;
        self
    }

    /// Parameters without bounds start at most this far from their values in the store.
    ///
    /// # Panics
    /// If the distance is not a positive number.
    #[must_use]
    #[track_caller]
    pub fn around(mut self, distance: f64) -> Self {
        expect_setting("`Search::around`: distance", distance, POSITIVE);
        self.spread = distance;
        self
    }

    /// Bounds for all parameters; the search starts anywhere between them.
    ///
    /// # Panics
    /// If the bounds are not finite or out of order.
    #[must_use]
    #[track_caller]
    pub fn within(self, low: f64, high: f64) -> Self {
        self.bounded("`Search::within`", |_| true, low, high)
    }

    /// Bounds for the parameters whose dotted name satisfies the predicate; later bounds replace earlier ones.
    ///
    /// # Panics
    /// If the bounds are not finite or out of order.
    #[must_use]
    #[track_caller]
    pub fn within_where(self, matches: fn(&str) -> bool, low: f64, high: f64) -> Self {
        self.bounded("`Search::within_where`", matches, low, high)
    }

    #[track_caller]
    fn bounded(mut self, from: &str, matches: fn(&str) -> bool, low: f64, high: f64) -> Self {
        expect_setting(&format!("{from}: low"), low, ..);
        expect_setting(&format!("{from}: high"), high, (Excluded(low), Unbounded));
        expect_setting(&format!("{from}: high - low"), high - low, POSITIVE);
        self.boxes.push(Bounds { matches, low, high });
        self
    }

    /// Searches, and leaves the trainable parameters at the best point.
    ///
    /// `objective` makes the function to be minimised: it is called once a thread, so that each has, for example, a
    /// session of its own. The function must depend on nothing but the parameters.
    ///
    /// # Errors
    /// The first error of the function; the parameters are then at the best point so far.
    pub fn run<T: Real, F>(self, params: &mut Params<T>, objective: impl Fn() -> F + Sync) -> Result<Found, Error>
    where
        F: FnMut(&Params<T>) -> Result<T, Error> + Send,
    {
        self.search(params, objective, None)
    }

    /// [`run`](Self::run), with a look at the search after each generation.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_minimize::search::{ParticleSwarm, Search};
    /// let mut params: Params<f64> = Params::new(0);
    /// let x = params.add("x", Tensor::scalar(3.0));
    /// let objective = || |params: &Params<f64>| Ok(params.get(&x).item().powi(2));
    /// let mut course = Vec::new();
    /// Search::new(ParticleSwarm::new().particles(20)).budget(100).run_observed(&mut params, objective, |now| {
    ///     course.push((now.evaluations(), now.best().get(&x).item().powi(2) == now.value()));
    /// })?;
    /// assert_eq!(course, [(20, true), (40, true), (60, true), (80, true), (100, true)]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    pub fn run_observed<T: Real, F>(
        self,
        params: &mut Params<T>,
        objective: impl Fn() -> F + Sync,
        mut look: impl FnMut(&Observed<'_, T>),
    ) -> Result<Found, Error>
    where
        F: FnMut(&Params<T>) -> Result<T, Error> + Send,
    {
        self.search(params, objective, Some(&mut look))
    }

    fn search<T: Real, F>(
        mut self,
        params: &mut Params<T>,
        objective: impl Fn() -> F + Sync,
        mut look: Option<Look<'_, T>>,
    ) -> Result<Found, Error>
    where
        F: FnMut(&Params<T>) -> Result<T, Error> + Send,
    {
        let region = Region::new(params, self.spread, &self.boxes);
        let workers: Mutex<Vec<(Params<T>, F)>> = Mutex::new(Vec::new());
        let start: &Params<T> = params;
        let value_at = |point: &Vec<f64>| {
            let free = workers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (mut store, mut function) = free.unwrap_or_else(|| (start.clone(), objective()));
            region.layout.write(&mut store, &mut region.parameters_at(point));
            let value = function(&store);
            workers.lock().unwrap_or_else(PoisonError::into_inner).push((store, function));
            value.map(|value| if value.is_finite() { value.as_f64() } else { f64::INFINITY })
        };
        let mut best: Option<(Vec<f64>, f64)> = None;
        let mut found = Found { reason: Ended::Budget, value: f64::INFINITY, evaluations: 0, trace: Vec::new() };
        // The parameters at the best point, for those who look.
        let mut shown = look.is_some().then(|| start.clone());
        for number in 0.. {
            let (seed, budget, evaluations) = (self.seed, self.budget, found.evaluations);
            let mut candidates: Vec<(Vec<f64>, f64)> = Vec::new();
            let is_observed = look.is_some();
            let mut evaluate = |points: &[Vec<f64>]| {
                let points = &points[..points.len().min(self.budget - found.evaluations)];
                let values: Vec<Result<f64, Error>> = match points.len() {
                    1 => points.iter().map(value_at).collect(),
                    _ => points.par_iter().map(value_at).collect(),
                };
                let values: Vec<f64> = values.into_iter().collect::<Result<_, _>>().map_err(Ended::Failed)?;
                found.evaluations += values.len();
                if is_observed {
                    candidates.extend(points.iter().cloned().zip(values.iter().copied()));
                }
                for (point, &value) in points.iter().zip(&values) {
                    if value < found.value {
                        found.value = value;
                        best = Some((point.clone(), value));
                    }
                }
                if found.value <= self.target {
                    return Err(Ended::Target);
                }
                if found.evaluations == self.budget { Err(Ended::Budget) } else { Ok(values) }
            };
            let bounded = &region.bounded[..];
            let mut generation = Generation { number, seed, bounded, budget, evaluations, evaluate: &mut evaluate };
            let ended = self.strategy.advance(&mut generation);
            found.trace.push((found.evaluations, found.value));
            if let (Some(look), Some(shown)) = (&mut look, &mut shown) {
                if let Some((point, _)) = &best {
                    region.layout.write(shown, &mut region.parameters_at(point));
                }
                look(&Observed { found: &found, best: shown, candidates: &candidates, region: &region });
            }
            if let Err(reason) = ended {
                found.reason = reason;
                break;
            }
        }
        drop(workers);
        if let Some((point, _)) = best {
            region.layout.write(params, &mut region.parameters_at(&point));
        }
        match found.reason {
            Ended::Failed(error) => Err(error),
            _ => Ok(found),
        }
    }
}

/// Where a search starts, and where it may go.
struct Region {
    layout: ParameterVector,
    low: Vec<f64>,
    width: Vec<f64>,
    bounded: Vec<bool>,
}

impl Region {
    fn new<T: Real>(params: &Params<T>, spread: f64, boxes: &[Bounds]) -> Self {
        let layout = ParameterVector::new(params);
        let mut low: Vec<f64> = layout.read(params).iter().map(|x| x - spread).collect();
        let (mut width, mut bounded) = (vec![2.0 * spread; low.len()], vec![false; low.len()]);
        for (param, range) in layout.ranges() {
            if let Some(bounds) = boxes.iter().rev().find(|bounds| (bounds.matches)(param.name())) {
                low[range.clone()].fill(bounds.low);
                width[range.clone()].fill(bounds.high - bounds.low);
                bounded[range.clone()].fill(true);
            }
        }
        Self { layout, low, width, bounded }
    }

    /// The parameters at a point.
    fn parameters_at(&self, point: &[f64]) -> Vec<f64> {
        let at = |i: usize| if self.bounded[i] { reflected(point[i]) } else { point[i] };
        (0..point.len()).map(|i| self.low[i] + self.width[i] * at(i)).collect()
    }
}

/// A search after one of its generations.
pub struct Observed<'a, T> {
    found: &'a Found,
    best: &'a Params<T>,
    candidates: &'a [(Vec<f64>, f64)],
    region: &'a Region,
}

impl<T> Observed<'_, T> {
    /// The number of evaluations so far.
    pub fn evaluations(&self) -> usize {
        self.found.evaluations
    }

    /// The best value so far; infinite if none was finite.
    pub fn value(&self) -> f64 {
        self.found.value
    }

    /// The store with its parameters at the best point so far.
    pub fn best(&self) -> &Params<T> {
        self.best
    }

    /// What was evaluated in this generation, with the values: the trainable scalars one after another, in the order of
    /// the store.
    pub fn candidates(&self) -> impl Iterator<Item = (Vec<f64>, f64)> {
        self.candidates.iter().map(|(point, value)| (self.region.parameters_at(point), *value))
    }
}

/// How a search ended. The parameters are at the best point, or unmoved if no value was finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Why it ended.
    pub reason: Ended,
    /// The best value; infinite if none was finite.
    pub value: f64,
    /// The number of evaluations.
    pub evaluations: usize,
    /// After each generation, the evaluations and the best value so far.
    pub trace: Vec<(usize, f64)>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, evaluations, trace, .. } = self;
        write!(f, "value {value:.6e} after {} generations and {evaluations} evaluations", trace.len())
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::Tensor;

    use super::*;
    use crate::search::Genetic;

    /// The candidates are in the units of the store, the best of them is shown, and the search is the same as without a look.
    #[test]
    fn a_look_sees_each_generation_and_changes_nothing() {
        let mut start: Params<f64> = Params::new(0);
        let x = start.add("x", Tensor::from([4.0, -1.0]));
        let objective = || |params: &Params<f64>| Ok(params.get(&x).data().iter().map(|x| x * x).sum());
        let search = Search::new(Genetic::new().population(6)).seed(3).around(0.5).budget(27);
        let (mut plain, mut observed) = (start.clone(), start.clone());
        let expected = search.clone().run(&mut plain, objective).expect("it runs");

        let (mut sizes, mut least) = (Vec::new(), f64::INFINITY);
        let found = search.run_observed(&mut observed, objective, |now| {
            let candidates: Vec<(Vec<f64>, f64)> = now.candidates().collect();
            for (point, value) in &candidates {
                assert!((point[0].powi(2) + point[1].powi(2) - value).abs() < 1e-12);
                least = value.min(least);
            }
            if sizes.is_empty() {
                assert!(
                    candidates.iter().all(|(point, _)| (point[0] - 4.0).abs() <= 0.5 && (point[1] + 1.0).abs() <= 0.5)
                );
            }
            sizes.push(candidates.len());
            let at_best: f64 = now.best().get(&x).data().iter().map(|x| x * x).sum();
            assert_eq!((now.value(), at_best), (least, least));
        });
        assert_eq!(found.expect("it runs"), expected);
        assert_eq!(observed.get(&x), plain.get(&x));
        assert_eq!(sizes, [6, 6, 6, 6, 3]);
    }
}
