//! The search `ParticleSwarm`.

use std::ops::Bound::{Excluded, Unbounded};

use gradus_graph::expect_setting;

use super::generation::{Ended, Generation, Strategy};

/// How much of its velocity a particle keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weights {
    /// The weight w falls evenly over the budget; c₁ and c₂.
    Inertia {
        /// w at the start.
        from: f64,
        /// w at the end.
        to: f64,
        /// c₁ and c₂.
        pull: [f64; 2],
    },
    /// The constriction form: c₁ and c₂, more than 4 in sum.
    Constriction([f64; 2]),
}

/// Which particles are neighbours, whose best points a particle knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// All: fast, and more easily caught in a local minimum.
    Global,
    /// Two neighbours on a ring.
    Ring,
}

/// Particle swarm.
///
/// `v ← w·v + c₁·r₁·(p − x) + c₂·r₂·(g − x)`, `x ← x + v`, with `p` the particle's own best point, `g` the
/// best of those of its neighbours, and `r₁`, `r₂` uniform in [0, 1) for each element.
///
/// The constriction form is `v ← χ·(v + …)` with `χ = 2 / |2 − φ − √(φ² − 4φ)|`, `φ = c₁ + c₂ > 4`: the same with other
/// weights. The neighbours of a particle are all others, or two on a ring. At a bound its velocity is reversed and
/// halved.
///
/// Defaults: 40 particles, constriction with c₁ = c₂ = 2.05 (w 0.7298, c 1.4962), all. State: points, velocities and
/// best points.
///
/// Kennedy, Eberhart: Particle swarm optimization, 1995. Shi, Eberhart: A modified particle swarm optimizer, 1998.
/// Clerc, Kennedy: The particle swarm: explosion, stability, and convergence, 2002. Bratton, Kennedy: Defining a
/// standard for particle swarm optimization, 2007.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::search::{ParticleSwarm, Search, Topology, Weights};
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::zeros([2]));
/// let inertia = Weights::Inertia { from: 0.9, to: 0.4, pull: [2.0, 2.0] };
/// let swarm = ParticleSwarm::new().weights(inertia).topology(Topology::Ring).particles(30);
/// let found = Search::new(swarm).within(-10.0, 10.0).run(&mut params, || {
///     |params: &Params<f64>| Ok(params.get(&x).data().iter().map(|x| (x - 3.0).abs()).sum())
/// })?;
/// assert!(found.value < 1e-6, "{found}");
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ParticleSwarm {
    count: usize,
    weights: Weights,
    topology: Topology,
    particles: Vec<Particle>,
}

#[derive(Clone, Debug)]
struct Particle {
    x: Vec<f64>,
    velocity: Vec<f64>,
    best: Vec<f64>,
    best_value: f64,
}

impl Default for ParticleSwarm {
    fn default() -> Self {
        let weights = Weights::Constriction([2.05, 2.05]);
        Self { count: 40, weights, topology: Topology::Global, particles: Vec::new() }
    }
}

impl ParticleSwarm {
    /// The swarm of Clerc and Kennedy.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of particles.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    #[track_caller]
    pub fn particles(mut self, count: usize) -> Self {
        assert!(count > 0, "a swarm has at least one particle");
        self.count = count;
        self
    }

    /// How much of its velocity a particle keeps, and how it is pulled.
    ///
    /// # Panics
    /// If a number is negative or not finite, or the pulls of the constriction form are not more than 4 in sum.
    #[must_use]
    #[track_caller]
    pub fn weights(mut self, weights: Weights) -> Self {
        let [c1, c2] = match weights {
            Weights::Inertia { from, to, pull } => {
                expect_setting("`Weights::Inertia`: from", from, 0.0..);
                expect_setting("`Weights::Inertia`: to", to, 0.0..);
                pull
            }
            Weights::Constriction(pull) => pull,
        };
        expect_setting("`ParticleSwarm::weights`: c1", c1, 0.0..);
        expect_setting("`ParticleSwarm::weights`: c2", c2, 0.0..);
        if let Weights::Constriction(_) = weights {
            expect_setting("`Weights::Constriction`: c1 + c2", c1 + c2, (Excluded(4.0), Unbounded));
        }
        self.weights = weights;
        self
    }

    /// Which particles are neighbours, whose best points a particle knows.
    #[must_use]
    pub fn topology(mut self, topology: Topology) -> Self {
        self.topology = topology;
        self
    }

    /// The neighbour of particle `i` with the best point, or itself.
    fn heard(&self, i: usize) -> &Particle {
        let count = self.particles.len();
        let lower =
            |a: usize, b: usize| if self.particles[b].best_value < self.particles[a].best_value { b } else { a };
        let index = match self.topology {
            Topology::Global => (1..count).fold(0, lower),
            Topology::Ring => [(i + count - 1) % count, (i + 1) % count].into_iter().fold(i, lower),
        };
        &self.particles[index]
    }
}

/// w, c₁ and c₂ when that part of the budget is used.
fn factors(weights: Weights, used: f64) -> [f64; 3] {
    match weights {
        Weights::Inertia { from, to, pull: [c1, c2] } => [from + (to - from) * used, c1, c2],
        Weights::Constriction([c1, c2]) => {
            let phi = c1 + c2;
            let chi = 2.0 / (2.0 - phi - (phi * phi - 4.0 * phi).sqrt()).abs();
            [chi, chi * c1, chi * c2]
        }
    }
}

impl Strategy for ParticleSwarm {
    fn advance(&mut self, generation: &mut Generation<'_>) -> Result<(), Ended> {
        if self.particles.is_empty() {
            let at_rest = |i: usize| {
                let x = generation.start(&mut generation.draws(i));
                Particle { velocity: vec![0.0; x.len()], best: x.clone(), best_value: f64::INFINITY, x }
            };
            self.particles = (0..self.count).map(at_rest).collect();
        } else {
            let factors = factors(self.weights, generation.used());
            let heard: Vec<Vec<f64>> = (0..self.count).map(|i| self.heard(i).best.clone()).collect();
            for (i, (particle, heard)) in self.particles.iter_mut().zip(&heard).enumerate() {
                particle.fly(factors, heard, generation, i);
            }
        }
        let points: Vec<Vec<f64>> = self.particles.iter().map(|particle| particle.x.clone()).collect();
        let values = generation.evaluate(&points)?;
        for ((particle, point), value) in self.particles.iter_mut().zip(points).zip(values) {
            if value < particle.best_value {
                (particle.best, particle.best_value) = (point, value);
            }
        }
        Ok(())
    }
}

impl Particle {
    fn fly(&mut self, [w, c1, c2]: [f64; 3], heard: &[f64], generation: &Generation<'_>, number: usize) {
        let mut draws = generation.draws(number);
        for k in 0..self.x.len() {
            let (x, velocity) = (&mut self.x[k], &mut self.velocity[k]);
            let own = c1 * draws.uniform() * (self.best[k] - *x);
            let others = c2 * draws.uniform() * (heard[k] - *x);
            *velocity = w * *velocity + own + others;
            *x += *velocity;
            if generation.is_bounded(k) && !(0.0..=1.0).contains(x) {
                *x = x.clamp(0.0, 1.0);
                *velocity *= -0.5;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constriction_of_clerc_and_kennedy() {
        let [w, c1, c2] = factors(Weights::Constriction([2.05, 2.05]), 0.0);
        assert!((w - 0.729_843_788).abs() < 1e-9 && (c1 - 1.496_179_766).abs() < 1e-9 && c1 == c2);
        let [w, ..] = factors(Weights::Inertia { from: 0.9, to: 0.4, pull: [2.0, 2.0] }, 0.5);
        assert!((w - 0.65).abs() < 1e-15);
    }
}
