//! The searches without gradients on standard functions: how many of thirty seeds come near the minimum.
//!
//! A seed succeeds if its best value is at most 1e-6 above the minimum after 1,000 evaluations for each dimension. The
//! minima do not lie in the middle of the box, where some searches start.

use std::f64::consts::{E, TAU};

use gradus_graph::{Params, Tensor};
use gradus_minimize::search::{
    Annealing, CmaEs, CrossoverOperator, DifferentialEvolution, EvolutionStrategy, Genetic, MutationOperator,
    NaturalEvolution, ParticleSwarm, Search, Strategy, Survival, Topology, Variant, Weights,
};

use crate::table::Table;

const SEEDS: u64 = 30;
const EVALUATIONS: usize = 1_000;
const NEAR: f64 = 1e-6;

/// A function with its box; the minimum is 0.
struct Function {
    name: &'static str,
    bounds: [f64; 2],
    /// How far the minimum is moved, as a part of the upper bound.
    moved: f64,
    value: fn(&[f64]) -> f64,
}

const FUNCTIONS: [Function; 6] = [
    Function { name: "sphere", bounds: [-5.12, 5.12], moved: 0.3, value: |x| x.iter().map(|x| x * x).sum() },
    Function {
        name: "Rastrigin",
        bounds: [-5.12, 5.12],
        moved: 0.3,
        value: |x| x.iter().map(|x| x * x + 10.0 - 10.0 * (TAU * x).cos()).sum(),
    },
    Function { name: "Ackley", bounds: [-32.768, 32.768], moved: 0.3, value: ackley },
    Function { name: "Griewank", bounds: [-600.0, 600.0], moved: 0.3, value: griewank },
    Function {
        name: "Rosenbrock",
        bounds: [-5.0, 10.0],
        moved: 0.0,
        value: |x| x.windows(2).map(|w| (1.0 - w[0]).powi(2) + 100.0 * (w[1] - w[0] * w[0]).powi(2)).sum(),
    },
    Function {
        name: "Schwefel",
        bounds: [-500.0, 500.0],
        moved: 0.0,
        value: |x| x.iter().map(|x| 418.982_887_272_433_8 - x * x.abs().sqrt().sin()).sum(),
    },
];

fn ackley(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let (squares, waves): (f64, f64) =
        (x.iter().map(|x| x * x).sum::<f64>() / n, x.iter().map(|x| (TAU * x).cos()).sum::<f64>() / n);
    20.0 - 20.0 * (-0.2 * squares.sqrt()).exp() + E - waves.exp()
}

fn griewank(x: &[f64]) -> f64 {
    let waves: f64 = x.iter().enumerate().map(|(i, x)| (x / (i as f64 + 1.0).sqrt()).cos()).product();
    1.0 + x.iter().map(|x| x * x).sum::<f64>() / 4000.0 - waves
}

/// Success rate and median of the best values over all seeds.
fn measure<S: Strategy>(function: &Function, dimension: usize, strategy: impl Fn() -> S) -> [f64; 2] {
    let [low, high] = function.bounds;
    let shift: Vec<f64> = (0..dimension).map(|i| function.moved * high * (i as f64 + 1.0).cos()).collect();
    let mut values: Vec<f64> = (0..SEEDS)
        .map(|seed| {
            let mut params: Params<f64> = Params::new(0);
            let x = params.add("x", Tensor::full([dimension], (low + high) / 2.0));
            let search = Search::new(strategy()).within(low, high).seed(seed).target(NEAR);
            let found = search.budget(EVALUATIONS * dimension).run(&mut params, || {
                let mut moved = vec![0.0; dimension];
                let (x, shift) = (&x, &shift);
                move |params: &Params<f64>| {
                    moved.iter_mut().zip(params.get(x).data()).zip(shift).for_each(|((m, x), s)| *m = x - s);
                    Ok((function.value)(&moved))
                }
            });
            found.expect("the functions do not fail").value
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let near = values.iter().filter(|&&value| value <= NEAR).count();
    [near as f64 / SEEDS as f64, values[values.len() / 2]]
}

fn rows<S: Strategy>(table: &mut Table, name: &str, strategy: impl Fn() -> S) {
    for function in &FUNCTIONS {
        let figures = [2, 10, 30].map(|dimension| measure(function, dimension, &strategy)).concat();
        table.row(format!("{name}: {}", function.name), &figures);
    }
}

pub(crate) fn run() -> Table {
    let headings = ["rate, n = 2", "median value", "rate, n = 10", "median value ", "rate, n = 30", "median value  "];
    let mut table = Table::new(&headings);
    rows(&mut table, "CMA-ES, one run", || CmaEs::new().once());
    rows(&mut table, "CMA-ES, IPOP", CmaEs::new);
    rows(&mut table, "DE rand/1", DifferentialEvolution::new);
    rows(&mut table, "DE best/1", || DifferentialEvolution::new().variant(Variant::BestOne));
    rows(&mut table, "DE current-to-best/1", || DifferentialEvolution::new().variant(Variant::CurrentToBestOne));
    rows(&mut table, "DE success-history", || DifferentialEvolution::new().variant(Variant::SuccessHistory));
    rows(&mut table, "swarm, constriction", ParticleSwarm::new);
    rows(&mut table, "swarm, constriction, ring", || ParticleSwarm::new().topology(Topology::Ring));
    let inertia = Weights::Inertia { from: 0.9, to: 0.4, pull: [2.0, 2.0] };
    rows(&mut table, "swarm, inertia", || ParticleSwarm::new().weights(inertia));
    rows(&mut table, "genetic", Genetic::new);
    let blend =
        || Genetic::new().crossover(CrossoverOperator::Blend(0.5), 0.9).mutation(MutationOperator::Gaussian(0.01), 0.1);
    rows(&mut table, "genetic, blend", blend);
    rows(&mut table, "ES (10/10, 40)", EvolutionStrategy::new);
    rows(&mut table, "ES (10/2 + 40)", || EvolutionStrategy::new().sizes(10, 2, 40).survival(Survival::Plus));
    rows(&mut table, "OpenAI-ES", NaturalEvolution::new);
    rows(&mut table, "annealing", Annealing::new);
    table.note(format!(
        "the part of {SEEDS} seeds that comes within {NEAR:e} of the minimum in {EVALUATIONS} evaluations for each \
         dimension, and the median of the best values"
    ));
    table
}
