//! Search without gradients, beside backpropagation: populations of stores that are varied and chosen from.
//!
//! A [`Search`] runs a [`Strategy`] on the trainable parameters of a store: it counts evaluations, keeps the best
//! point, stops, and traces. Candidates are evaluated in parallel, each thread with an objective of its own; all random
//! numbers are functions of the seed, the generation and the candidate, so the result is the same, to the bit, with any
//! number of threads. A value that is not finite is worse than all others.
//!
//! | strategy | of | suits |
//! |---|---|---|
//! | [`CmaEs`] | Hansen, Ostermeier | up to about a hundred scalars, ill-conditioned valleys |
//! | [`DifferentialEvolution`] | Storn, Price | the same in a box, many local minima |
//! | [`ParticleSwarm`] | Kennedy, Eberhart | a first try in a box |
//! | [`Genetic`] | Holland, Goldberg, Deb | the same, with operators to choose |
//! | [`EvolutionStrategy`] | Rechenberg, Schwefel | small populations |
//! | [`NaturalEvolution`] | Salimans and others | thousands of scalars and noise |
//! | [`Annealing`] | Kirkpatrick and others | small budgets, many local minima |
//!
//! # Example
//! ```
//! use gradus_graph::{Params, Tensor};
//! use gradus_minimize::search::{CmaEs, Search};
//! let mut params: Params<f64> = Params::new(0);
//! let x = params.add("x", Tensor::zeros([4]));
//! let search = Search::new(CmaEs::new()).within(-5.0, 5.0).budget(3000).target(1e-9);
//! let found = search.run(&mut params, || {
//!     |params: &Params<f64>| Ok(params.get(&x).data().iter().map(|x| (x - 1.5).powi(2)).sum())
//! })?;
//! assert!(found.value <= 1e-9 && found.evaluations < 2000, "{found}");
//! params.get(&x).assert_close(&Tensor::full([4], 1.5), 1e-4, 0.0);
//! # Ok::<(), gradus_graph::Error>(())
//! ```

mod annealing;
mod cma_es;
mod differential_evolution;
mod draws;
mod engine;
mod evolution_strategy;
mod generation;
mod genetic;
mod natural_evolution;
mod particle_swarm;

pub use annealing::Annealing;
pub use cma_es::CmaEs;
pub use differential_evolution::{DifferentialEvolution, Variant};
pub use draws::Draws;
pub use engine::{Found, Observed, Search};
pub use evolution_strategy::{EvolutionStrategy, Survival};
pub use generation::{Ended, Generation, Strategy};
pub use genetic::{CrossoverOperator, Genetic, MutationOperator, SelectionOperator};
pub use natural_evolution::NaturalEvolution;
pub use particle_swarm::{ParticleSwarm, Topology, Weights};
