//! What methods and searches refuse where it is given: a number without a meaning.

#[path = "../../optim/tests/refusals/mod.rs"]
mod refusals;

use gradus_minimize::search::*;
use gradus_minimize::*;
use refusals::*;

#[rustfmt::skip]
fn table() -> Vec<Row> {
    vec![
        ("Annealing::fall: part", INSIDE, |x| _ = Annealing::new().fall(x)),
        ("DifferentialEvolution::factors: factor", NOT_NEGATIVE, |x| _ = DifferentialEvolution::new().factors(x, 0.5)),
        ("DifferentialEvolution::factors: crossover", SHARE, |x| _ = DifferentialEvolution::new().factors(0.5, x)),
        ("Draws::chance: probability", SHARE, |x| _ = Draws::new(0, 0, 0).chance(x)),
        ("Search::target: value", ANY, |x| _ = Search::new(CmaEs::new()).target(x)),
        ("Search::around: distance", POSITIVE, |x| _ = Search::new(CmaEs::new()).around(x)),
        ("Search::within: low", FINITE, |x| _ = Search::new(CmaEs::new()).within(x, 4.0)),
        ("Search::within: high", &[0.5, 1.0, 2.0], |x| _ = Search::new(CmaEs::new()).within(0.25, x)),
        ("Search::within_where: low", FINITE, |x| _ = Search::new(CmaEs::new()).within_where(|_| true, x, 4.0)),
        ("Search::within_where: high", &[0.5, 1.0, 2.0], |x| _ = Search::new(CmaEs::new()).within_where(|_| true, 0.25, x)),
        ("Genetic::crossover: probability", SHARE, |x| _ = Genetic::new().crossover(CrossoverOperator::Uniform, x)),
        ("Genetic::mutation: probability", SHARE, |x| _ = Genetic::new().mutation(MutationOperator::Uniform, x)),
        ("NaturalEvolution::steps: sigma", POSITIVE, |x| _ = NaturalEvolution::new().steps(x, 0.1)),
        ("NaturalEvolution::steps: learning_rate", NOT_NEGATIVE, |x| _ = NaturalEvolution::new().steps(0.5, x)),
        ("Limits::gradient: gradient", LIMIT_OR_ZERO, |x| _ = Limits::new().gradient(x)),
        ("Limits::step: step", LIMIT_OR_ZERO, |x| _ = Limits::new().step(x)),
        ("Limits::value: value", LIMIT_OR_ZERO, |x| _ = Limits::new().value(x)),
        ("CrossoverOperator::Blend: alpha", NOT_NEGATIVE, |x| _ = Genetic::new().crossover(CrossoverOperator::Blend(x), 0.5)),
        ("CrossoverOperator::SimulatedBinary: eta", NOT_NEGATIVE, |x| _ = Genetic::new().crossover(CrossoverOperator::SimulatedBinary(x), 0.5)),
        ("MutationOperator::Gaussian: width", NOT_NEGATIVE, |x| _ = Genetic::new().mutation(MutationOperator::Gaussian(x), 0.5)),
        ("MutationOperator::Polynomial: eta", NOT_NEGATIVE, |x| _ = Genetic::new().mutation(MutationOperator::Polynomial(x), 0.5)),
        ("SelectionOperator::Rank: pressure", &[1.0, 2.0], |x| _ = Genetic::new().selection(SelectionOperator::Rank(x))),
        ("Weights::Inertia: from", NOT_NEGATIVE, |x| _ = ParticleSwarm::new().weights(Weights::Inertia { from: x, to: 0.5, pull: [0.5; 2] })),
        ("Weights::Inertia: to", NOT_NEGATIVE, |x| _ = ParticleSwarm::new().weights(Weights::Inertia { from: 0.5, to: x, pull: [0.5; 2] })),
        ("ParticleSwarm::weights: c1", NOT_NEGATIVE, |x| _ = ParticleSwarm::new().weights(Weights::Inertia { from: 0.5, to: 0.5, pull: [x, 0.5] })),
        ("ParticleSwarm::weights: c2", NOT_NEGATIVE, |x| _ = ParticleSwarm::new().weights(Weights::Constriction([5.0, x]))),
    ]
}

/// One test for all, since a hook for panics is of the whole process.
#[test]
fn settings_without_a_meaning_are_refused_where_they_are_given() {
    let wrong = faults(&table());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A new method or search is in the table, with every number that it is given.
#[test]
fn every_setting_is_in_the_table() {
    let missing = missing(env!("CARGO_MANIFEST_DIR"), 10, &table(), &[]);
    assert!(missing.is_empty(), "no test gives these settings a NaN: {missing:?}");
}
