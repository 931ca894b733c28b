//! A network that says what follows each character, and its training.

use gradus::nn::{Dense, Given, Mode, Recurrent, RecurrentCell, RecurrentOptions, Sequence, State, loss};
use gradus::optim::{Adam, ClipGlobalNorm, Optimizer};
use gradus::train::statistics::Updates;
use gradus::train::{Function, History, Step};
use gradus::{Param, Params, Tensor, Var};

use super::text::{Text, pieces};
use crate::Failure;
use crate::training::at;

pub(super) const HIDDEN: usize = 32;
/// Texts that are read side by side, and characters of each that a step reads.
pub(super) const STREAMS: usize = 16;
pub(super) const PART: usize = 25;
/// Steps from one evaluation to the next.
const EVERY: u64 = 10;
/// Characters of a window in which a gradient is followed back, and windows.
pub(super) const WINDOW: usize = 40;
const WINDOWS: usize = 128;

pub(super) struct Writer<C> {
    memory: Recurrent<C>,
    output: Dense,
}

impl<C: RecurrentCell> Writer<C> {
    pub(super) fn new(params: &mut Params, symbols: usize, options: RecurrentOptions<C::Options>) -> Self {
        let memory = Recurrent::with(params, "memory", symbols, HIDDEN, options);
        Self { memory, output: Dense::new(params, "output", HIDDEN, symbols) }
    }

    /// Logits of what follows each character of `[time, streams, symbols]`, and the state after the last.
    fn forward<'g>(&self, text: Var<'g>, state: Option<Var<'g>>) -> (Var<'g>, Var<'g>) {
        let sizes = self.memory.cells()[0].state_sizes();
        let state = state.map(|state| C::State::of(&state.split(&sizes, -1)));
        let Sequence { outputs, state } = self.memory.sequence(text, Given { state, ..Given::default() }, Mode::Eval);
        (self.output.forward(outputs), text.graph().concat(&state.parts(), -1))
    }

    /// Trains with Adam. The history has a row at each evaluation, with losses in bits a character; one for each
    /// distance back in time; and last one that has the losses at the end, and for each gate what iteration 100 has
    /// done.
    pub(super) fn train(
        &self,
        params: &mut Params,
        text: &Text,
        gates: &[&str],
        steps: u64,
        rate: f64,
    ) -> Result<History, Failure> {
        let bits = |loss: f32| f64::from(loss) / std::f64::consts::LN_2;
        let zeros = Tensor::<f32>::zeros([1, STREAMS, self.memory.cells()[0].state_sizes().iter().sum()]);
        let mut step = Step::with_aux(|_, [from, to, state]| {
            let (logits, state) = self.forward(from.one_hot(text.symbols), Some(state));
            (loss::cross_entropy(logits, to), [state])
        });
        let mut function =
            Function::new(|_, [from, to]| [loss::cross_entropy(self.forward(from.one_hot(text.symbols), None).0, to)]);
        let mut cost = |params: &Params, part: &[i64]| -> Result<f64, Failure> {
            let length = (part.len() - 1) / STREAMS;
            let [from, to] = pieces(part, length, 0, [length, STREAMS]);
            Ok(bits(function.run(params, (&from, &to))?[0].real().item()))
        };
        let untrained = self.reach(params, text)?;
        let mut rule = Optimizer::new((ClipGlobalNorm::new(1.0), Adam::new(rate)));
        let length = (text.train.len() - 1) / STREAMS;
        let (mut history, mut last, mut state) = (History::default(), Vec::new(), zeros.clone());
        // Each stream is read part by part to its end, and then again with a new state.
        let parts = (0..length / PART).cycle();
        for (number, part) in (1..=steps).zip(parts) {
            if part == 0 {
                state.clone_from(&zeros);
            }
            let [from, to] = pieces(&text.train, length, part * PART, [PART, STREAMS]);
            let gradients = step.run(params, (&from, &to, &state))?;
            let before = params.clone();
            rule.step(params, &gradients)?;
            state.clone_from(gradients.aux()[0].real());
            if number == 100 {
                last = of_gates(gates, &before, params, &gradients.iter().collect::<Vec<_>>());
                last.push(("update".to_owned(), Updates::new(&before).measure(params, []).weight_update()));
            }
            if number.is_multiple_of(EVERY) {
                history.push([("step", number as f64), ("validation loss", cost(params, &text.validation)?)]);
            }
        }
        for (distance, (before, after)) in untrained.into_iter().zip(self.reach(params, text)?).enumerate() {
            history.push([("distance", distance as f64), ("untrained", before), ("trained", after)]);
        }
        let validation = at(&history, steps, "validation loss");
        let numbers =
            [(super::LAST, validation), ("test loss", cost(params, &text.test)?), ("weights", params.count() as f64)];
        last.extend(numbers.map(|(name, value)| (name.to_owned(), value)));
        history.push(last);
        Ok(history)
    }

    /// By the number of characters between: the norm of the derivative of the loss of the last prediction of a window
    /// with respect to a character of it, its mean over windows beside that of the last character.
    fn reach(&self, params: &Params, text: &Text) -> Result<Vec<f64>, Failure> {
        let mut step = Step::new(|_, [from, to]| {
            loss::cross_entropy(self.forward(from, None).0.slice(0, -1, None), to.slice(0, -1, None))
        })
        .wrt_inputs([0]);
        let apart = (text.validation.len() - WINDOW - 1) / (WINDOWS - 1);
        let [from, to] = pieces(&text.validation, apart, 0, [WINDOW, WINDOWS]);
        let is_it = |place: usize| from.data()[place / text.symbols] == (place % text.symbols) as i64;
        let one_hot = Tensor::from_fn([WINDOW, WINDOWS, text.symbols], |place| f32::from(u8::from(is_it(place))));
        let gradients = step.at(params, (&one_hot, &to))?;
        let norm = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let times = gradients.input(0).data().chunks(WINDOWS * text.symbols);
        let norms: Vec<f64> = times.map(|time| time.chunks(text.symbols).map(norm).sum()).collect();
        Ok(norms.iter().rev().map(|norm| norm / norms[WINDOW - 1]).collect())
    }
}

/// For each gate the mean magnitudes of updates, weights and gradients, over all its weights and biases. The gates are
/// blocks of rows in each parameter of the cell.
fn of_gates(gates: &[&str], old: &Params, new: &Params, gradients: &[(&Param, &Tensor<f32>)]) -> Vec<(String, f64)> {
    let mut columns = Vec::new();
    for (number, gate) in gates.iter().enumerate() {
        let (mut sums, mut count) = ([0.0; 3], 0);
        for (param, gradient) in gradients.iter().filter(|(param, _)| param.name().starts_with("memory.")) {
            let size = gradient.len() / gates.len();
            let of_gate = |value: &Tensor<f32>| value.data()[number * size..(number + 1) * size].to_vec();
            let (before, after) = (of_gate(old.get(param)), of_gate(new.get(param)));
            let changes = before.iter().zip(&after).map(|(a, b)| b - a).collect();
            let sizes = [changes, before, of_gate(gradient)]
                .map(|x: Vec<f32>| x.iter().map(|x| f64::from(x.abs())).sum::<f64>());
            sums = std::array::from_fn(|k| sums[k] + sizes[k]);
            count += size;
        }
        let named = ["update", "size", "gradient"].into_iter().zip(sums);
        columns.extend(named.map(|(what, sum)| (format!("{what} of {gate}"), sum / count as f64)));
    }
    columns
}
