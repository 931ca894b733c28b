//! The search `CmaEs`.

use std::collections::VecDeque;

use gradus_linalg::{add_scaled, dot, refine_eigenbasis};

use super::generation::{Ended, Generation, Strategy, ranked};

/// The smallest variation, in values and in units of the region.
const LEAST: f64 = 1e-12;
/// The largest condition of the covariance.
const CONDITION: f64 = 1e14;

/// The evolution strategy with covariance matrix adaptation: the strongest of the strategies up to about a hundred
/// scalars; a generation takes the time of n³ operations.
///
/// Candidates `x = m + σ·y` with `y` from the normal distribution of covariance `C`; the mean `m` goes to the
/// weighted best half, `C` grows along the steps that were good, `σ` by how straight the path of the mean was.
///
/// With `ȳ = Σ wᵢyᵢ` over the best μ of λ candidates:
/// `m ← m + σȳ`,
/// `p_σ ← (1 − c_σ)p_σ + √(c_σ(2 − c_σ)μ_eff)·C^(−½)ȳ`, `σ ← σ·exp((c_σ/d_σ)(‖p_σ‖/χₙ − 1))`,
/// `p_c ← (1 − c_c)p_c + h·√(c_c(2 − c_c)μ_eff)·ȳ`,
/// `C ← (1 − c₁ − c_μ + (1 − h)c₁c_c(2 − c_c))C + c₁p_cp_cᵀ + c_μ Σ wᵢyᵢyᵢᵀ`, with `h` 0 while `p_σ` is long, else 1.
///
/// Constants as in the tutorial, with weights for the best half alone. Where a run has no variation left another
/// starts elsewhere with twice the candidates (IPOP), until the search's target or budget is reached. A run ends with
/// values that differ by less than 1e-12 over some generations, steps below 1e-12, or a condition of `C` above 1e14.
/// Beyond its bounds a candidate is evaluated at its reflection.
///
/// Defaults: λ = 4 + ⌊3·ln n⌋, σ 0.3 in units of the region, restarts. State: `m`, `σ`, `C`, `p_σ`, `p_c`.
///
/// Hansen: The CMA evolution strategy, a tutorial, 2016. Auger, Hansen: A restart CMA evolution strategy with
/// increasing population size, 2005.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::search::{CmaEs, Search};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([-1.0, 1.0, 0.5, 0.5]));
/// // Rosenbrock's valley, without bounds.
/// let search = Search::new(CmaEs::new()).target(1e-9).seed(1);
/// let valley = |w: &[f64]| (1.0 - w[0]).powi(2) + 100.0 * (w[1] - w[0] * w[0]).powi(2);
/// let found = search.run(&mut params, || {
///     |params: &Params<f64>| Ok(params.get(&x).data().windows(2).map(valley).sum())
/// })?;
/// assert!(found.value <= 1e-9, "{found}");
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CmaEs {
    population: Option<usize>,
    once: bool,
    run: Option<Run>,
}

impl CmaEs {
    /// Runs that begin with the usual number of candidates.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of candidates in a generation.
    ///
    /// # Panics
    /// If it is below 4.
    #[must_use]
    #[track_caller]
    pub fn population(mut self, size: usize) -> Self {
        assert!(size >= 4, "CMA-ES compares at least 4 candidates, not {size}");
        self.population = Some(size);
        self
    }

    /// Ends with the first run, where it has no variation left.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }
}

impl Strategy for CmaEs {
    fn advance(&mut self, generation: &mut Generation<'_>) -> Result<(), Ended> {
        let n = generation.dimension();
        if n == 0 {
            return Err(Ended::Converged);
        }
        let usual = 4 + (3.0 * (n as f64).ln()) as usize;
        let population = self.population.unwrap_or(usual);
        let run = self.run.get_or_insert_with(|| Run::new(generation, population));
        let points = run.candidates(generation);
        let values = generation.evaluate(&points)?;
        run.learn(&values);
        if run.is_used_up() {
            if self.once {
                return Err(Ended::Converged);
            }
            let doubled = 2 * run.steps.len();
            self.run = Some(Run::new(generation, doubled));
        }
        Ok(())
    }
}

/// One run from a start to where its variation is used up.
#[derive(Clone, Debug)]
struct Run {
    n: usize,
    mean: Vec<f64>,
    sigma: f64,
    /// C, row by row.
    covariance: Vec<f64>,
    /// The eigenvectors of C as rows, and the roots of the eigenvalues.
    basis: Vec<f64>,
    scales: Vec<f64>,
    /// p_σ and p_c.
    path_of_sigma: Vec<f64>,
    path_of_c: Vec<f64>,
    /// The y of the candidates.
    steps: Vec<Vec<f64>>,
    generations: usize,
    /// The generation in which the eigenvectors were found.
    turned: usize,
    constants: Constants,
    /// The best values of the last generations, and the range of those of the last one.
    history: VecDeque<f64>,
    range: f64,
}

#[derive(Clone, Debug)]
struct Constants {
    weights: Vec<f64>,
    mu_eff: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_c: f64,
    c_1: f64,
    c_mu: f64,
    /// The mean length of a normal vector.
    chi: f64,
}

impl Constants {
    fn new(n: usize, population: usize) -> Self {
        let (n, lambda) = (n as f64, population as f64);
        let mut weights: Vec<f64> =
            (1..=population / 2).map(|i| ((lambda + 1.0) / 2.0).ln() - (i as f64).ln()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let mu_eff = 1.0 / weights.iter().map(|weight| weight * weight).sum::<f64>();
        let c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0);
        let d_sigma = 1.0 + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma;
        let c_c = (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n);
        let c_1 = 2.0 / ((n + 1.3).powi(2) + mu_eff);
        let c_mu = (2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((n + 2.0).powi(2) + mu_eff)).min(1.0 - c_1);
        let chi = n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));
        Self { weights, mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, chi }
    }
}

impl Run {
    fn new(generation: &Generation<'_>, population: usize) -> Self {
        let n = generation.dimension();
        let identity: Vec<f64> = (0..n * n).map(|k| if k / n == k % n { 1.0 } else { 0.0 }).collect();
        Self {
            n,
            // No candidate has this number.
            mean: generation.start(&mut generation.draws(u32::MAX as usize)),
            sigma: 0.3,
            covariance: identity.clone(),
            basis: identity,
            scales: vec![1.0; n],
            path_of_sigma: vec![0.0; n],
            path_of_c: vec![0.0; n],
            steps: vec![Vec::new(); population],
            generations: 0,
            turned: 0,
            constants: Constants::new(n, population),
            history: VecDeque::new(),
            range: f64::INFINITY,
        }
    }

    fn candidates(&mut self, generation: &Generation<'_>) -> Vec<Vec<f64>> {
        let n = self.n;
        for (i, step) in self.steps.iter_mut().enumerate() {
            let z = generation.draws(i).normals(n);
            *step = vec![0.0; n];
            for ((z, scale), vector) in z.iter().zip(&self.scales).zip(self.basis.chunks(n)) {
                add_scaled(step, z * scale, vector);
            }
        }
        let at = |y: &Vec<f64>| self.mean.iter().zip(y).map(|(m, y)| m + self.sigma * y).collect();
        self.steps.iter().map(at).collect()
    }

    fn learn(&mut self, values: &[f64]) {
        let (n, order) = (self.n, ranked(values));
        let Constants { mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, chi, .. } = self.constants;
        let good: Vec<(f64, &[f64])> =
            self.constants.weights.iter().zip(&order).map(|(&weight, &i)| (weight, &self.steps[i][..])).collect();
        let step: Vec<f64> = (0..n).map(|k| good.iter().map(|(weight, y)| weight * y[k]).sum()).collect();
        self.mean.iter_mut().zip(&step).for_each(|(m, y)| *m += self.sigma * y);

        // C^(−½)ȳ: into the eigenvectors, scaled, and back.
        let gain = (c_sigma * (2.0 - c_sigma) * mu_eff).sqrt();
        self.path_of_sigma.iter_mut().for_each(|path| *path *= 1.0 - c_sigma);
        for (vector, scale) in self.basis.chunks(n).zip(&self.scales) {
            add_scaled(&mut self.path_of_sigma, gain * dot(vector, &step) / scale, vector);
        }
        self.generations += 1;
        let length = dot(&self.path_of_sigma, &self.path_of_sigma).sqrt();
        let settled = (1.0 - (1.0 - c_sigma).powi(2 * self.generations as i32)).sqrt();
        let h = if length / settled < (1.4 + 2.0 / (n as f64 + 1.0)) * chi { 1.0 } else { 0.0 };
        let gain = h * (c_c * (2.0 - c_c) * mu_eff).sqrt();
        self.path_of_c.iter_mut().zip(&step).for_each(|(path, y)| *path = (1.0 - c_c) * *path + gain * y);

        let keep = 1.0 - c_1 - c_mu + (1.0 - h) * c_1 * c_c * (2.0 - c_c);
        for row in 0..n {
            let line = &mut self.covariance[row * n..][..n];
            let (own, path) = (c_1 * self.path_of_c[row], &self.path_of_c);
            line.iter_mut().zip(path).for_each(|(element, path)| *element = keep * *element + own * path);
            for (weight, y) in &good {
                let own = c_mu * weight * y[row];
                line.iter_mut().zip(*y).for_each(|(element, y)| *element += own * y);
            }
        }
        self.sigma *= ((c_sigma / d_sigma) * (length / chi - 1.0)).min(1.0).exp();
        // Between two of these the matrix changes by little.
        let pause = (1.0 / (10.0 * n as f64 * (c_1 + c_mu))) as usize;
        if self.generations - self.turned >= pause.max(1) {
            self.turned = self.generations;
            let image = |k: usize| dot(&self.basis[k / n * n..][..n], &self.covariance[k % n * n..][..n]);
            let mut product: Vec<f64> = (0..n * n).map(image).collect();
            refine_eigenbasis(&mut product, &mut self.basis, &mut self.scales);
            self.scales.iter_mut().for_each(|value| *value = value.sqrt());
        }
        let kept = 10 + 30 * n / self.steps.len();
        self.history.push_back(values[order[0]]);
        if self.history.len() > kept {
            self.history.pop_front();
        }
        self.range = values[order[order.len() - 1]] - values[order[0]];
    }

    fn is_used_up(&self) -> bool {
        let most = self.scales.iter().copied().fold(0.0, f64::max);
        let least = self.scales.iter().copied().fold(f64::INFINITY, f64::min);
        let kept = 10 + 30 * self.n / self.steps.len();
        let lowest = self.history.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = self.history.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let level = self.history.len() == kept && highest - lowest <= LEAST && self.range <= LEAST;
        // The negation catches what is not finite, too.
        level || !(self.sigma * most > LEAST && most * most < CONDITION * least * least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The constants for n = 10, λ = 10, worked by the tutorial's formulas.
    #[test]
    fn constants_of_the_tutorial() {
        let c = Constants::new(10, 10);
        let expected = [0.456_272_7, 0.270_752_9, 0.162_250_0, 0.085_205_7, 0.025_518_7];
        c.weights.iter().zip(expected).for_each(|(weight, expected)| assert!((weight - expected).abs() < 1e-3));
        assert!((c.weights.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert!((c.mu_eff - 3.167_299).abs() < 1e-3, "{}", c.mu_eff);
        assert!((c.chi - 3.084_726).abs() < 1e-5, "{}", c.chi);
    }
}
