//! Training of a classifier of digits, observed step by step.

use std::time::Instant;

use gradus::nn::{Dense, Layer, Mode, Relu, loss};
use gradus::optim::{Optimizer, StepError};
use gradus::train::statistics::{UpdateReport, Updates};
use gradus::train::{Function, History, Step, accuracy};
use gradus::{Graph, Params, Var};

use crate::Failure;
use crate::study::Digits;

/// A number of steps, and how often the model is evaluated.
#[derive(Clone)]
pub(crate) struct Training<'a> {
    pub(crate) digits: &'a Digits,
    pub(crate) steps: u64,
    /// Images of a step; as many as there are for batch gradient descent.
    pub(crate) batch: usize,
    /// Steps from one evaluation to the next.
    pub(crate) every: u64,
}

impl Training<'_> {
    /// Trains with the cross-entropy, in an order of the images that depends on the seed.
    ///
    /// The history has a row at each evaluation: `step`, `loss` (over all training images), `batch loss`, `weight update` (of
    /// that step), `validation loss`, `validation accuracy` and `seconds` (of the steps alone). A run that diverges ends
    /// with a loss of infinity.
    pub(crate) fn run(
        &self,
        params: &mut Params,
        model: &impl Layer,
        rule: Optimizer,
        seed: u64,
    ) -> Result<History, Failure> {
        self.run_with(params, model, rule, seed, |_, loss| loss, |_, _| ())
    }

    /// As [`run`](Self::run), with more added to the loss, and a look at the update of each step that is evaluated.
    pub(crate) fn run_with(
        &self,
        params: &mut Params,
        model: &impl Layer,
        mut rule: Optimizer,
        seed: u64,
        penalized: impl for<'g> Fn(&'g Graph, Var<'g>) -> Var<'g>,
        mut look: impl FnMut(u64, &UpdateReport),
    ) -> Result<History, Failure> {
        let Digits { train, validation, .. } = self.digits;
        let mut step = Step::new(|graph, [images, digits]| {
            penalized(graph, loss::cross_entropy(model.forward_in(images, Mode::Train), digits))
        })
        .seed(seed);
        let mut evaluate = evaluation(model);
        let mut history = History::default();
        let mut seconds = 0.0;
        let epochs = (0..).flat_map(|epoch| train.batches(self.batch).shuffled(seed, epoch));
        // The rest of an epoch, which is smaller than the others, is left out.
        let batches = epochs.filter(|batch| batch.inputs.shape()[0] == self.batch);
        for (number, batch) in (1..=self.steps).zip(batches) {
            let is_evaluated = number.is_multiple_of(self.every) || number == 1;
            let start = Instant::now();
            let gradients = step.run(params, (&batch.inputs, &batch.targets))?;
            seconds += start.elapsed().as_secs_f64();
            let before = is_evaluated.then(|| Updates::new(params));
            let start = Instant::now();
            let stepped = rule.step(params, &gradients);
            seconds += start.elapsed().as_secs_f64();
            match stepped {
                Err(StepError::NonFinite { .. }) => {
                    history.push([
                        ("step", number as f64),
                        ("loss", f64::INFINITY),
                        ("validation loss", f64::INFINITY),
                    ]);
                    break;
                }
                other => other?,
            }
            let Some(before) = before else { continue };
            let update = before.measure(params, gradients.iter());
            look(number, &update);
            let kept = rule.averaged(params);
            let [loss, _] = evaluate(&kept, train)?;
            let [validation_loss, accuracy] = evaluate(&kept, validation)?;
            history.push([
                ("step", number as f64),
                ("loss", loss),
                ("batch loss", gradients.loss().into()),
                ("weight update", update.weight_update()),
                ("validation loss", validation_loss),
                ("validation accuracy", accuracy),
                ("seconds", seconds),
            ]);
        }
        Ok(history)
    }

    /// The mean of the validation accuracy over the evaluations of a run, from 0 to 1: high where a run learns much, and
    /// early. What a run that diverged has missed counts as 0.
    pub(crate) fn score(&self, history: &History) -> f64 {
        let planned = self.steps / self.every + u64::from(self.every > 1);
        let accuracies = history.column("validation accuracy").iter().filter(|accuracy| !accuracy.is_nan());
        accuracies.sum::<f64>() / planned as f64
    }

    /// Trains the [`network`] by a rule from the weights of a seed. A last row has the `test accuracy`.
    pub(crate) fn tested(&self, rule: Optimizer, seed: u64) -> Result<History, Failure> {
        let mut params = Params::new(seed);
        let model = network(&mut params);
        let mut history = self.run(&mut params, &model, rule, seed)?;
        let [_, accuracy] = self.test(&params, &model)?;
        history.push([("test accuracy", accuracy)]);
        Ok(history)
    }

    /// Cross-entropy and accuracy on the test images.
    pub(crate) fn test(&self, params: &Params, model: &impl Layer) -> Result<[f64; 2], Failure> {
        evaluation(model)(params, &self.digits.test)
    }
}

/// A function from parameters and images to the cross-entropy and the accuracy.
pub(crate) fn evaluation(
    model: &impl Layer,
) -> impl FnMut(&Params, &gradus::data::Dataset) -> Result<[f64; 2], Failure> {
    let mut function = Function::new(|_, [images, digits]| {
        let logits = model.forward_in(images, Mode::Eval);
        [loss::cross_entropy(logits, digits), logits]
    });
    move |params, data| {
        let [loss, logits] = function.run(params, (data.inputs(), data.targets()))?;
        let loss: f32 = loss.real().item();
        // A loss that overflows is as bad as one that is not a number.
        let loss = if loss.is_nan() { f64::INFINITY } else { loss.into() };
        Ok([loss, accuracy(logits.real(), data.targets())])
    }
}

/// The value of a column at a step that was evaluated; NaN if it was not, or if the run had diverged.
pub(crate) fn at(history: &History, step: u64, column: &str) -> f64 {
    let row = history.column("step").iter().position(|&number| number == step as f64);
    row.map_or(f64::NAN, |row| history.column(column)[row])
}

/// The mean of a column over the evaluations that have a value of it.
pub(crate) fn mean(history: &History, column: &str) -> f64 {
    let values: Vec<f64> = history.column(column).iter().copied().filter(|value| !value.is_nan()).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// The network of most parts, 64-32-10 with ReLU.
pub(crate) fn network(params: &mut Params) -> impl Layer + Sync + use<> {
    (Dense::new(params, "hidden", 64, 32), Relu, Dense::new(params, "output", 32, 10))
}
