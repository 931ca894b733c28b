//! The position of a run: what a checkpoint keeps of a trainer, beside the parameters, the optimizer and the step.

use std::collections::BTreeMap;

use gradus_graph::{Params, Real, Tensor};
use gradus_optim::{RestoreError, SavedState, Stateful};

use super::history::History;

/// Where a run is.
#[derive(Clone, Debug)]
pub(super) struct Position<T: Real> {
    /// The epoch in progress, or the next one.
    pub(super) epoch: u64,
    /// The batches of that epoch that are done.
    pub(super) batch: u64,
    /// The batches of all epochs.
    pub(super) step: u64,
    /// The sum of the losses of the epoch's rows, and their number.
    pub(super) loss: f64,
    pub(super) rows: u64,
    /// The column that is watched, and its best value.
    pub(super) best: Option<(String, f64)>,
    /// The parameters that gave it.
    pub(super) best_params: Option<Params<T>>,
    /// Epochs since then.
    pub(super) waited: u64,
    /// The batches whose gradients make one step.
    pub(super) accumulate: u64,
    pub(super) history: History,
}

impl<T: Real> Default for Position<T> {
    fn default() -> Self {
        Self {
            epoch: 0,
            batch: 0,
            step: 0,
            loss: 0.0,
            rows: 0,
            best: None,
            best_params: None,
            waited: 0,
            accumulate: 1,
            history: History::default(),
        }
    }
}

const BEST: &str = "best_parameters/";
const BEST_VALUE: &str = "best/";
const HISTORY: &str = "history/";

impl<T: Real> Stateful<T> for Position<T> {
    fn state(&self) -> SavedState<T> {
        let best = self.best_params.iter().flat_map(|params| params.iter());
        let tensors = best.map(|(param, value)| (format!("{BEST}{}", param.name()), value.clone())).collect();
        let counts = [
            ("epoch", self.epoch),
            ("batch", self.batch),
            ("step", self.step),
            ("rows", self.rows),
            ("waited", self.waited),
            ("accumulate", self.accumulate),
        ];
        let mut numbers = BTreeMap::from([("loss".to_owned(), self.loss)]);
        numbers.extend(self.best.iter().map(|(column, best)| (format!("{BEST_VALUE}{column}"), *best)));
        for (number, name) in self.history.names().enumerate() {
            for (epoch, value) in self.history.column(name).iter().enumerate() {
                numbers.insert(format!("{HISTORY}{epoch:09}/{number:03}/{name}"), *value);
            }
        }
        let counts = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        SavedState { tensors, counts, numbers }
    }

    fn restore(&mut self, params: &Params<T>, state: &SavedState<T>) -> Result<(), RestoreError> {
        let mut wrong = RestoreError::default();
        let mut counts = [0; 6];
        let names = ["epoch", "batch", "step", "rows", "waited", "accumulate"];
        for (count, name) in counts.iter_mut().zip(names) {
            match state.counts.get(name) {
                Some(value) => *count = *value,
                None => wrong.missing.push(name.to_owned()),
            }
        }
        wrong.unexpected.extend(state.counts.keys().filter(|name| !names.contains(&name.as_str())).cloned());
        let (mut loss, mut best, mut rows) = (None, None, Vec::new());
        for (name, &value) in &state.numbers {
            match name.as_str() {
                "loss" => loss = Some(value),
                other => match (history_cell(other), other.strip_prefix(BEST_VALUE)) {
                    (Some((epoch, column)), _) => rows.push((epoch, column, value)),
                    (None, Some(column)) => best = Some((column.to_owned(), value)),
                    (None, None) => wrong.unexpected.push(name.clone()),
                },
            }
        }
        if loss.is_none() {
            wrong.missing.push("loss".to_owned());
        }
        if counts[5] != self.accumulate && wrong.missing.is_empty() {
            wrong.misshapen.push(format!("accumulate ({} for {})", counts[5], self.accumulate));
        }
        let best_params = best_params(params, &state.tensors, &mut wrong);
        if wrong != RestoreError::default() {
            return Err(wrong);
        }
        let mut history = History::default();
        // The numbers are in the order of their names: by epoch, then by column.
        for row in rows.chunk_by(|a, b| a.0 == b.0) {
            history.push(row.iter().map(|&(_, column, value)| (column, value)));
        }
        let [epoch, batch, step, rows, waited, accumulate] = counts;
        let loss = loss.unwrap_or(0.0);
        *self = Self { epoch, batch, step, loss, rows, best, best_params, waited, accumulate, history };
        Ok(())
    }
}

/// Epoch and column of a number of the history.
fn history_cell(name: &str) -> Option<(&str, &str)> {
    let (epoch, column) = name.strip_prefix(HISTORY)?.split_once('/')?;
    Some((epoch, column.split_once('/')?.1))
}

fn best_params<T: Real>(
    params: &Params<T>,
    tensors: &BTreeMap<String, Tensor<T>>,
    wrong: &mut RestoreError,
) -> Option<Params<T>> {
    let mut best = (!tensors.is_empty()).then(|| params.clone())?;
    let unknown = |name: &&String| name.strip_prefix(BEST).is_none_or(|name| params.find(name).is_none());
    wrong.unexpected.extend(tensors.keys().filter(unknown).cloned());
    for param in params.iter().map(|(param, _)| param) {
        let name = format!("{BEST}{}", param.name());
        match tensors.get(&name) {
            None => wrong.missing.push(name),
            Some(value) if value.shape() != param.shape() => {
                wrong.misshapen.push(format!("{name} ({} for {})", value.shape(), param.shape()));
            }
            Some(value) => best.set(param, value.clone()),
        }
    }
    Some(best)
}
