//! The search `EvolutionStrategy`.

use super::generation::{Ended, Generation, Strategy, ranked};

/// Who may be among the next parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// The offspring: `(μ, λ)`.
    Comma,
    /// Parents and offspring: `(μ + λ)`.
    Plus,
}

/// An evolution strategy with self-adaptation.
///
/// Evolution strategies `(μ/ρ + λ)` and `(μ/ρ, λ)` with widths that evolve: an offspring is the mean of `ρ` parents
/// plus `σ′·z`, with `z` normal, `σ′ = σ·exp(τ·N)` and `τ = 1/√(2n)`; the best `μ` are the next parents.
///
/// With a comma they are chosen from the offspring alone, with a plus from parents and offspring. The width σ of an
/// offspring is the geometric mean of its parents', changed before it is used: good widths survive with what they made.
///
/// Defaults: (10/10, 40), σ 0.3 in units of the region. State: the parents with their widths.
///
/// Rechenberg: Evolutionsstrategie, 1973. Beyer, Schwefel: Evolution strategies, a comprehensive introduction, 2002.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::search::{EvolutionStrategy, Search, Survival};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::zeros([5]));
/// let strategy = EvolutionStrategy::new().sizes(5, 5, 30).survival(Survival::Plus);
/// let found = Search::new(strategy).within(-5.0, 5.0).target(1e-8).run(&mut params, || {
///     |params: &Params<f64>| Ok(params.get(&x).data().iter().map(|x| (x - 1.0).powi(2)).sum())
/// })?;
/// assert!(found.value <= 1e-8, "{found}");
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EvolutionStrategy {
    parents: usize,
    mixed: usize,
    offspring: usize,
    survival: Survival,
    population: Vec<Individual>,
}

#[derive(Clone, Debug)]
struct Individual {
    x: Vec<f64>,
    sigma: f64,
    value: f64,
}

impl Default for EvolutionStrategy {
    fn default() -> Self {
        Self { parents: 10, mixed: 10, offspring: 40, survival: Survival::Comma, population: Vec::new() }
    }
}

impl EvolutionStrategy {
    /// The strategy (10/10, 40).
    pub fn new() -> Self {
        Self::default()
    }

    /// The numbers of parents μ, of parents of one offspring ρ, and of offspring λ.
    ///
    /// # Panics
    /// If not `1 ≤ ρ ≤ μ ≤ λ`.
    #[must_use]
    #[track_caller]
    pub fn sizes(mut self, parents: usize, mixed: usize, offspring: usize) -> Self {
        let right = 1 <= mixed && mixed <= parents && parents <= offspring;
        assert!(right, "an evolution strategy has 1 ≤ ρ ≤ μ ≤ λ, not ({parents}/{mixed}, {offspring})");
        (self.parents, self.mixed, self.offspring) = (parents, mixed, offspring);
        self
    }

    /// Who may be among the next parents.
    #[must_use]
    pub fn survival(mut self, survival: Survival) -> Self {
        self.survival = survival;
        self
    }

    fn born(&self, generation: &Generation<'_>, number: usize) -> Individual {
        let (mut draws, n) = (generation.draws(number), generation.dimension());
        if self.population.is_empty() {
            return Individual { x: generation.start(&mut draws), sigma: 0.3, value: f64::INFINITY };
        }
        // The first ρ indices of a shuffled list.
        let mut indices: Vec<usize> = (0..self.population.len()).collect();
        let mixed = self.mixed.min(indices.len());
        for i in 0..mixed {
            indices.swap(i, i + draws.below(self.population.len() - i));
        }
        let parents = || indices[..mixed].iter().map(|&index| &self.population[index]);
        let log_sigma = parents().map(|parent| parent.sigma.ln()).sum::<f64>() / mixed as f64;
        let sigma = (log_sigma + draws.normal() / (2.0 * n as f64).sqrt()).exp();
        let z = draws.normals(n);
        let mean = |k: usize| parents().map(|parent| parent.x[k]).sum::<f64>() / mixed as f64;
        let mut x: Vec<f64> = (0..n).map(|k| mean(k) + sigma * z[k]).collect();
        generation.reflect(&mut x);
        Individual { x, sigma, value: f64::INFINITY }
    }
}

impl Strategy for EvolutionStrategy {
    fn advance(&mut self, generation: &mut Generation<'_>) -> Result<(), Ended> {
        let mut born: Vec<Individual> = (0..self.offspring).map(|i| self.born(generation, i)).collect();
        let points: Vec<Vec<f64>> = born.iter().map(|individual| individual.x.clone()).collect();
        let values = generation.evaluate(&points)?;
        born.iter_mut().zip(values).for_each(|(individual, value)| individual.value = value);
        if self.survival == Survival::Plus {
            born.append(&mut self.population);
        }
        let values: Vec<f64> = born.iter().map(|individual| individual.value).collect();
        self.population = ranked(&values).into_iter().take(self.parents).map(|index| born[index].clone()).collect();
        Ok(())
    }
}
