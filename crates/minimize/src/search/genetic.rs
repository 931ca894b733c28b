//! The search `Genetic`.

mod crossover;
mod mutation;
mod selection;

pub use crossover::CrossoverOperator;
pub use mutation::MutationOperator;
pub use selection::SelectionOperator;

use gradus_graph::expect_setting;

use super::generation::{Ended, Generation, Strategy, ranked};

/// A genetic algorithm with operators to choose.
///
/// Parents are selected by their values, crossed, and their children mutated; the
/// best of parents and children survive, or, with an elite, the children and the best few of their parents.
///
/// Defaults: 100 points, tournaments of two, simulated binary crossover (η 15) of nine of ten pairs, polynomial
/// mutation (η 20) of one element in n, no elite: those of `GA` of pymoo, whose points that are equal to another are
/// dropped as here. Differences: a child beyond its bounds is reflected, where pymoo's operators stay within. State:
/// the points and their values.
///
/// Holland: Adaptation in natural and artificial systems, 1975. Goldberg: Genetic algorithms in search, optimization
/// and machine learning, 1989. Deb: Multi-objective optimization using evolutionary algorithms, 2001.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::search::{CrossoverOperator, Genetic, MutationOperator, Search, SelectionOperator};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::zeros([3]));
/// let genetic = Genetic::new()
///     .population(40)
///     .selection(SelectionOperator::Rank(1.8))
///     .crossover(CrossoverOperator::Blend(0.5), 0.9)
///     .mutation(MutationOperator::Gaussian(0.1), 0.1)
///     .elite(1);
/// let found = Search::new(genetic).within(-5.0, 5.0).run(&mut params, || {
///     |params: &Params<f64>| Ok(params.get(&x).data().iter().map(|x| (x - 1.0).powi(2)).sum())
/// })?;
/// assert!(found.value < 1e-3, "{found}");
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Genetic {
    size: usize,
    selection: SelectionOperator,
    crossover: (CrossoverOperator, f64),
    mutation: (MutationOperator, Option<f64>),
    elite: Option<usize>,
    points: Vec<Vec<f64>>,
    values: Vec<f64>,
}

impl Default for Genetic {
    fn default() -> Self {
        Self {
            size: 100,
            selection: SelectionOperator::Tournament(2),
            crossover: (CrossoverOperator::SimulatedBinary(15.0), 0.9),
            mutation: (MutationOperator::Polynomial(20.0), None),
            elite: None,
            points: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl Genetic {
    /// The algorithm with the usual operators.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of points.
    ///
    /// # Panics
    /// If it is below 2.
    #[must_use]
    #[track_caller]
    pub fn population(mut self, size: usize) -> Self {
        assert!(size >= 2, "parents are pairs: a population has at least 2 points, not {size}");
        self.size = size;
        self
    }

    /// How parents are selected.
    ///
    /// # Panics
    /// If a tournament has no members, or the pressure of ranks lies outside `1..=2`.
    #[must_use]
    #[track_caller]
    pub fn selection(mut self, selection: SelectionOperator) -> Self {
        selection.check();
        self.selection = selection;
        self
    }

    /// How a pair is crossed, and the probability that it is.
    ///
    /// # Panics
    /// If the probability lies outside `0..=1`, or α or η is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn crossover(mut self, crossover: CrossoverOperator, probability: f64) -> Self {
        expect_setting("`Genetic::crossover`: probability", probability, 0.0..=1.0);
        crossover.check();
        self.crossover = (crossover, probability);
        self
    }

    /// How an element mutates, and the probability that it does: one in n, if this is not called.
    ///
    /// # Panics
    /// If the probability lies outside `0..=1`, or the deviation or η is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn mutation(mut self, mutation: MutationOperator, probability: f64) -> Self {
        expect_setting("`Genetic::mutation`: probability", probability, 0.0..=1.0);
        mutation.check();
        self.mutation = (mutation, Some(probability));
        self
    }

    /// The number of the best points that survive beside their children, which replace all others whatever their
    /// values. By default the best of both generations survive.
    #[must_use]
    pub fn elite(mut self, count: usize) -> Self {
        self.elite = Some(count);
        self
    }
}

impl Strategy for Genetic {
    fn advance(&mut self, generation: &mut Generation<'_>) -> Result<(), Ended> {
        if self.points.is_empty() {
            self.points = (0..self.size).map(|i| generation.start(&mut generation.draws(i))).collect();
            self.values = generation.evaluate(&self.points)?;
            return Ok(());
        }
        let order = ranked(&self.values);
        let elite = self.elite.map_or(0, |elite| elite.min(self.size - 1));
        let (mutation, probability) = self.mutation;
        let probability = probability.unwrap_or(1.0 / generation.dimension().max(1) as f64);
        let mut children = Vec::with_capacity(self.size - elite + 1);
        while children.len() < self.size - elite {
            let mut draws = generation.draws(children.len());
            let pair = [0, 1].map(|_| &self.points[self.selection.select(&order, &self.values, &mut draws)][..]);
            let crossed = draws.chance(self.crossover.1);
            let pair = if crossed { self.crossover.0.cross(pair, &mut draws) } else { pair.map(<[f64]>::to_vec) };
            for mut child in pair {
                for element in &mut child {
                    if draws.chance(probability) {
                        mutation.mutate(element, &mut draws);
                    }
                }
                generation.reflect(&mut child);
                children.push(child);
            }
        }
        children.truncate(self.size - elite);
        let values = generation.evaluate(&children)?;
        if self.elite.is_some() {
            let kept = order[..elite].iter().map(|&index| (self.points[index].clone(), self.values[index]));
            (self.points, self.values) = kept.chain(children.into_iter().zip(values)).unzip();
            return Ok(());
        }
        self.points.extend(children);
        self.values.extend(values);
        let order = ranked(&self.values);
        // Points that are equal have equal values and are neighbours.
        let repeats = |rank: usize| {
            let same = |&&before: &&usize| self.values[before].total_cmp(&self.values[order[rank]]).is_eq();
            order[..rank].iter().rev().take_while(same).any(|&before| self.points[before] == self.points[order[rank]])
        };
        let (again, distinct): (Vec<usize>, Vec<usize>) = (0..order.len()).partition(|&rank| repeats(rank));
        let kept = distinct.into_iter().chain(again).take(self.size).map(|rank| order[rank]);
        (self.points, self.values) = kept.map(|index| (self.points[index].clone(), self.values[index])).unzip();
        Ok(())
    }
}
