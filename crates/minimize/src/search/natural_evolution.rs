//! The search `NaturalEvolution`.

use gradus_graph::{POSITIVE, Param, Params, Tensor, expect_setting};
use gradus_optim::{Adam, Optimizer};

use super::generation::{Ended, Generation, Strategy, ranked};

/// The last width and rate as a fraction of the first.
const FALL: f64 = 0.01;

/// The evolution strategy of OpenAI: for thousands of scalars, and for values with noise.
///
/// A gradient of the smoothed function, `1/(2kσ) · Σ (u(x + σz) − u(x − σz))·z` over `k`
/// normal directions `z`, given to an update rule.
///
/// Values are replaced by their ranks, moved to −½ … ½, so that neither scale nor outliers matter. The pairs `±z` are
/// the antithetic sampling. The rule moves the mean of the candidates as it moves any parameter.
///
/// Defaults: 25 pairs, σ 0.05 and Adam at 0.02, both in units of the region; both fall to a hundredth over the budget.
/// State: the mean and that of the rule.
///
/// Salimans, Ho, Chen, Sidor, Sutskever: Evolution strategies as a scalable alternative to reinforcement learning,
/// 2017.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::search::{NaturalEvolution, Search};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::zeros([20]));
/// let search = Search::new(NaturalEvolution::new().pairs(20)).around(2.0).budget(20_000);
/// let found = search.run(&mut params, || {
///     |params: &Params<f64>| Ok(params.get(&x).data().iter().map(|x| (x - 1.0).powi(2)).sum())
/// })?;
/// assert!(found.value < 1e-3, "{found}");
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub struct NaturalEvolution {
    pairs: usize,
    sigma: f64,
    rate: f64,
    mean: Option<Mean>,
}

/// The mean of the candidates, as a parameter that a rule moves.
struct Mean {
    params: Params<f64>,
    x: Param,
    rule: Optimizer<f64>,
}

impl Default for NaturalEvolution {
    fn default() -> Self {
        Self { pairs: 25, sigma: 0.05, rate: 0.02, mean: None }
    }
}

impl NaturalEvolution {
    /// The strategy with 25 pairs.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of pairs of candidates in a generation.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    #[track_caller]
    pub fn pairs(mut self, pairs: usize) -> Self {
        assert!(pairs > 0, "a generation has at least one pair");
        self.pairs = pairs;
        self
    }

    /// The standard deviation of the candidates and the learning rate of Adam at the start, in units of the region.
    ///
    /// # Panics
    /// If `sigma` is not positive and finite, or `learning_rate` is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn steps(mut self, sigma: f64, learning_rate: f64) -> Self {
        expect_setting("`NaturalEvolution::steps`: sigma", sigma, POSITIVE);
        expect_setting("`NaturalEvolution::steps`: learning_rate", learning_rate, 0.0..);
        (self.sigma, self.rate) = (sigma, learning_rate);
        self
    }
}

impl Strategy for NaturalEvolution {
    fn advance(&mut self, generation: &mut Generation<'_>) -> Result<(), Ended> {
        let (k, n) = (self.pairs, generation.dimension());
        let mean = self.mean.get_or_insert_with(|| {
            let mut params = Params::new(0);
            // The middle of the region: where the store is, if there are no bounds.
            let x = params.add("x", Tensor::full([n], 0.5));
            let (rate, generations) = (self.rate, (generation.budget() as f64 / (2 * k) as f64).max(1.0));
            let rule = Optimizer::new(Adam::new(move |done: u64| rate * FALL.powf(done as f64 / generations)));
            Mean { params, x, rule }
        });
        let sigma = self.sigma * FALL.powf(generation.used());
        let directions: Vec<Vec<f64>> = (0..k).map(|pair| generation.draws(pair).normals(n)).collect();
        let center = mean.params.get(&mean.x).data();
        let along = |z: &[f64], sigma: f64| center.iter().zip(z).map(|(x, z)| x + sigma * z).collect();
        let points: Vec<Vec<f64>> = directions.iter().flat_map(|z| [along(z, sigma), along(z, -sigma)]).collect();
        let values = generation.evaluate(&points)?;
        let mut utilities = vec![0.0; 2 * k];
        for (rank, index) in ranked(&values).into_iter().enumerate() {
            utilities[index] = rank as f64 / (2 * k - 1) as f64 - 0.5;
        }
        let mut gradient = vec![0.0; n];
        for (z, pair) in directions.iter().zip(utilities.chunks(2)) {
            let weight = (pair[0] - pair[1]) / (2 * k) as f64 / sigma;
            gradient.iter_mut().zip(z).for_each(|(g, z)| *g += weight * z);
        }
        let step = mean.rule.step(&mut mean.params, [(&mean.x, &Tensor::from(gradient))]);
        step.expect("ranks and directions are finite");
        Ok(())
    }
}
