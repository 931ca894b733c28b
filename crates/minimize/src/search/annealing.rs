//! The search `Annealing`.

use std::ops::Bound::Excluded;

use gradus_graph::expect_setting;

use super::draws::Draws;
use super::generation::{Ended, Generation, Strategy};

/// The share of steps that the widths aim at.
const TAKEN: f64 = 0.4;

/// Simulated annealing in parallel chains.
///
/// A step is taken if it goes down, and with probability `exp(−Δf / t)` if it goes up; the
/// temperature `t` falls over the budget.
///
/// Several chains run side by side. A step changes each element with probability `max(1/n, 0.2)` at first and 1/n at
/// the end, and at least one, by a normal number times a width that adapts so that four of ten steps are taken. The
/// first temperature is the spread of the values at the start; it falls geometrically by `fall` over the budget.
///
/// Defaults: 8 chains, `fall` 1e-12. State: points, values, widths.
///
/// Kirkpatrick, Gelatt, Vecchi: Optimization by simulated annealing, 1983. Corana and others: Minimizing multimodal
/// functions of continuous variables with the simulated annealing algorithm, 1987.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::search::{Annealing, Search};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::zeros([2]));
/// let search = Search::new(Annealing::new().chains(4)).within(-5.12, 5.12).budget(20_000);
/// // Rastrigin's function.
/// let wave = |x: &f64| x * x + 10.0 - 10.0 * (std::f64::consts::TAU * x).cos();
/// let found = search.run(&mut params, || {
///     |params: &Params<f64>| Ok(params.get(&x).data().iter().map(wave).sum())
/// })?;
/// assert!(found.value < 1e-3, "{found}");
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Annealing {
    count: usize,
    fall: f64,
    start: f64,
    chains: Vec<Chain>,
}

#[derive(Clone, Debug)]
struct Chain {
    x: Vec<f64>,
    value: f64,
    width: f64,
}

impl Default for Annealing {
    fn default() -> Self {
        Self { count: 8, fall: 1e-12, start: 0.0, chains: Vec::new() }
    }
}

impl Annealing {
    /// Eight chains.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of chains.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    #[track_caller]
    pub fn chains(mut self, count: usize) -> Self {
        assert!(count > 0, "annealing has at least one chain");
        self.count = count;
        self
    }

    /// The last temperature as a fraction of the first; 1e-12 by default.
    ///
    /// # Panics
    /// If it does not lie in `0..1`, without 0.
    #[must_use]
    #[track_caller]
    pub fn fall(mut self, part: f64) -> Self {
        expect_setting("`Annealing::fall`: part", part, (Excluded(0.0), Excluded(1.0)));
        self.fall = part;
        self
    }
}

impl Strategy for Annealing {
    fn advance(&mut self, generation: &mut Generation<'_>) -> Result<(), Ended> {
        if self.chains.is_empty() {
            let points: Vec<Vec<f64>> =
                (0..self.count.max(4)).map(|i| generation.start(&mut generation.draws(i))).collect();
            let values = generation.evaluate(&points)?;
            self.start = spread(&values);
            let chain = |(x, value): (Vec<f64>, f64)| Chain { x, value, width: 0.3 };
            self.chains = points.into_iter().zip(values).map(chain).take(self.count).collect();
            return Ok(());
        }
        let n = generation.dimension() as f64;
        let share = (0.2 * (1.0 - generation.used())).max(1.0 / n);
        let step = |(i, chain): (usize, &Chain)| {
            let mut x = chain.step(share, &mut generation.draws(i));
            generation.reflect(&mut x);
            x
        };
        let points: Vec<Vec<f64>> = self.chains.iter().enumerate().map(step).collect();
        let values = generation.evaluate(&points)?;
        let temperature = self.start * self.fall.powf(generation.used());
        for (i, ((chain, x), value)) in self.chains.iter_mut().zip(points).zip(values).enumerate() {
            let mut draws = generation.draws(self.count + i);
            let taken = value <= chain.value || draws.chance(((chain.value - value) / temperature).exp());
            if taken {
                (chain.x, chain.value) = (x, value);
            }
            // Where a share `TAKEN` of the steps is taken, the width stays.
            let change = if taken { 1.0 - TAKEN } else { -TAKEN };
            chain.width = (chain.width * (0.1 * change).exp()).clamp(1e-12, 0.5);
        }
        Ok(())
    }
}

impl Chain {
    fn step(&self, share: f64, draws: &mut Draws) -> Vec<f64> {
        let mut x = self.x.clone();
        let sure = draws.below(x.len().max(1));
        for (k, element) in x.iter_mut().enumerate() {
            if k == sure || draws.chance(share) {
                *element += self.width * draws.normal();
            }
        }
        x
    }
}

/// The standard deviation of the finite values; 1 if it is not positive.
fn spread(values: &[f64]) -> f64 {
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let mean = finite.iter().sum::<f64>() / finite.len() as f64;
    let spread = (finite.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / finite.len() as f64).sqrt();
    if spread > 0.0 { spread } else { 1.0 }
}
