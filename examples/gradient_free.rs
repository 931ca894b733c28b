//! Trains a network without gradients, by genetic search, by swarm and by an evolution strategy, and by backpropagation:
//! `cargo run --release --example gradient_free`.
//!
//! The network 64-10 with softmax names handwritten digits; its 650 weights are one store, whatever moves them. Each way
//! gets as much work: an evaluation of the loss on all images counts one, a gradient three.

use std::time::Instant;

use gradus::data::{Split, digits};
use gradus::minimize::search::{Genetic, MutationOperator, NaturalEvolution, ParticleSwarm, Search, Strategy};
use gradus::minimize::{Lbfgs, Limits};
use gradus::nn::{Dense, loss};
use gradus::optim::{Adam, Optimizer};
use gradus::train::{Confusion, Function, Step};
use gradus::{Error, Params, Tensor};

const WORK: usize = 6000;

struct Task {
    layer: Dense,
    start: Params,
    train: (Tensor<f32>, Tensor<i64>),
    test: (Tensor<f32>, Tensor<i64>),
}

impl Task {
    fn report(&self, name: &str, params: &Params, since: Instant) -> Result<(), Error> {
        let mut function = Function::new(|_, [images, digits]| {
            let logits = self.layer.forward(images);
            [logits, loss::cross_entropy(logits, digits)]
        });
        let [_, seen] = function.run(params, (&self.train.0, &self.train.1))?;
        let seen = seen.real().item();
        let [logits, _] = function.run(params, (&self.test.0, &self.test.1))?;
        let accuracy = 100.0 * Confusion::new(logits.real(), &self.test.1).accuracy();
        println!(
            "{name:22} loss {seen:7.4}   held-out digits {accuracy:5.1}%   {:4.1} s",
            since.elapsed().as_secs_f64()
        );
        Ok(())
    }

    fn search(&self, name: &str, strategy: impl Strategy) -> Result<(), Error> {
        let (mut params, since) = (self.start.clone(), Instant::now());
        Search::new(strategy).around(1.0).seed(7).budget(WORK).run(&mut params, || {
            let mut value =
                Function::new(|_, [images, digits]| [loss::cross_entropy(self.layer.forward(images), digits)]);
            move |params: &Params| Ok(value.run(params, (&self.train.0, &self.train.1))?[0].real().item())
        })?;
        self.report(name, &params, since)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Split { train, test } = digits::load().reshaped([64]);
    let [train, test] = [train, test].map(|set| set.full_batch()).map(|batch| (batch.inputs, batch.targets));
    let mut start = Params::new(7);
    let layer = Dense::new(&mut start, "layer", 64, 10);
    let task = Task { layer, start, train, test };
    let step = || Step::new(|_, [images, digits]| loss::cross_entropy(task.layer.forward(images), digits));
    let inputs = (&task.train.0, &task.train.1);
    println!("{} weights, work for {WORK} evaluations\n", task.start.count());
    task.report("at the start", &task.start, Instant::now())?;

    let (mut params, since, mut gradients) = (task.start.clone(), Instant::now(), step());
    let mut adam = Optimizer::new(Adam::new(0.05));
    for _ in 0..WORK / 3 {
        let found = gradients.run(&mut params, inputs)?;
        adam.step(&mut params, &found)?;
    }
    task.report("Adam", &params, since)?;

    let (mut params, since, mut gradients) = (task.start.clone(), Instant::now(), step());
    let limits = Limits::new().evaluations(WORK / 3);
    Lbfgs::new().limits(limits).minimize(&mut params, |params, slope| {
        let gradients = gradients.at(params, inputs)?;
        slope.set(gradients.iter());
        Ok(gradients.loss())
    })?;
    task.report("L-BFGS", &params, since)?;

    task.search("genetic algorithm", Genetic::new().population(30).mutation(MutationOperator::Gaussian(0.05), 0.05))?;
    task.search("particle swarm", ParticleSwarm::new())?;
    task.search("OpenAI-ES", NaturalEvolution::new())?;
    Ok(())
}
