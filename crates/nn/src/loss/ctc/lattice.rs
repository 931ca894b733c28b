//! The forward and backward variables of all paths.

use gradus_graph::{
    Accepts, Derivative, Form, Graph, Meta, Metas, Op, Real, Signature, Tensor, Var, Vars, Work, saved_op, smallvec,
};

/// Stands for the logarithm of 0 within sums, so that derivatives are numbers.
pub(super) const NOTHING: f64 = -1e30;
/// Values up to this stand for the probability 0.
pub(super) const LIMIT: f64 = -1e29;

/// From the log-probabilities `[time, batch, states]` of the extended labels, their skips and ends, and the numbers of
/// steps: `α`, or `β`, and whether a path reaches the state, both `[time, batch, states]`. Where none does, `α` is 0.
/// After a sequence's last step both stay what they were.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Lattice {
    pub(super) from_the_end: bool,
}

/// `ln(eᵃ + eᵇ + eᶜ)`
#[inline]
fn ln_of_sum<T: Real>(a: T, b: T, c: T) -> T {
    let largest = a.max(b).max(c);
    let sum = (a - largest).exp() + (b - largest).exp() + (c - largest).exp();
    // Not a comparison with the largest, which passes over a NaN.
    if largest <= T::of(LIMIT) && !(a + b + c).is_nan() { T::of(NOTHING) } else { largest + sum.ln() }
}

impl Op for Lattice {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Index, Accepts::Index, Accepts::Index]);

    fn name(&self) -> &'static str {
        "ctc_lattice"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let [_, batch, states] = inputs[0].shape[..] else {
            return Err("log-probabilities must be [time, batch, states]".into());
        };
        let fit = inputs[1].shape[..] == [batch, states] && inputs[2].shape == inputs[1].shape;
        if !fit || inputs[3].shape[..] != [batch] {
            return Err("skips and ends must be [batch, states], and lengths [batch]".into());
        }
        Ok(smallvec![inputs[0].clone(), inputs[0].clone()])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let [log_p, skips, ends, lengths] = inputs[..] else { return None };
        let graph = log_p.graph();
        let [time, batch, states] = log_p.shape()[..] else { return None };
        let (steps, running) = (log_p.maximum(NOTHING).unstack(0), running(lengths, time).unstack(0));
        let skips = skips.to_real();
        // A row shifted by `by` states forward, or back.
        let shift = |row: Var<'g>, by: usize| match (by.min(states), self.from_the_end) {
            (by, true) => graph.concat(&[row.slice(1, by as isize, None), graph.full([batch, by], NOTHING)], 1),
            (by, false) => {
                let kept = row.slice(1, 0, (states - by) as isize);
                graph.concat(&[graph.full([batch, by], NOTHING), kept], 1)
            }
        };
        let ways = |row: Var<'g>| {
            let two = match self.from_the_end {
                true => shift(skips.where_(row, NOTHING), 2),
                false => skips.where_(shift(row, 2), NOTHING),
            };
            graph.stack(&[row, shift(row, 1), two], 2).logsumexp_axes(2)
        };
        let mut rows = Vec::new();
        if self.from_the_end {
            let mut row = ends.to_real().where_(graph.zeros([batch, states]), NOTHING);
            for step in (0..time).rev() {
                rows.push(row);
                row = running[step].where_(ways(row + steps[step]), row);
            }
            rows.reverse();
        } else {
            let mut row = start(graph, batch, states);
            for step in 0..time {
                row = running[step].where_(steps[step] + ways(row), row);
                rows.push(row);
            }
        }
        let all = if time == 0 { log_p } else { graph.stack(&rows, 0) };
        let reached = all.less_equal(LIMIT).logical_not();
        Some(smallvec![reached.where_(all, 0.0), reached])
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let [time, batch, states] = work.input_shapes[0][..] else { unreachable!("three axes by the shape rule") };
        let log_p = work.inputs[0].real();
        let [skips, ends, lengths] = [1, 2, 3].map(|input| work.inputs[input].index());
        let [values, reached] = work.outputs else { unreachable!("two outputs by the shape rule") };
        let (values, reached) = (values.real(), reached.real());
        let nothing = T::of(NOTHING);
        for (sequence, &length) in lengths.iter().enumerate() {
            if length < 0 || length as usize > time {
                return Err(format!("sequence {sequence} cannot have {length} of {time} steps"));
            }
            let length = length as usize;
            let row = |step: usize| (step * batch + sequence) * states;
            let skip = |state: usize| skips[sequence * states + state] != 0;
            for step in 0..time {
                let step = if self.from_the_end { time - 1 - step } else { step };
                for state in 0..states {
                    // The value of a state in the row before this one, in the direction of the recursion.
                    let value = if self.from_the_end {
                        let at = |state: usize| match state < states && reached[row(step + 1) + state] != T::zero() {
                            true => values[row(step + 1) + state] + log_p[row(step + 1) + state],
                            false => nothing,
                        };
                        if step + 1 >= length {
                            if ends[sequence * states + state] != 0 { T::zero() } else { nothing }
                        } else {
                            let two = state + 2 < states && skip(state + 2);
                            ln_of_sum(at(state), at(state + 1), if two { at(state + 2) } else { nothing })
                        }
                    } else {
                        let at = |state: Option<usize>| match (state, step) {
                            (Some(0), 0) => T::zero(),
                            (Some(state), 1..) if reached[row(step - 1) + state] != T::zero() => {
                                values[row(step - 1) + state]
                            }
                            _ => nothing,
                        };
                        if step >= length {
                            at(Some(state))
                        } else {
                            let two = if skip(state) { at(state.checked_sub(2)) } else { nothing };
                            log_p[row(step) + state] + ln_of_sum(at(Some(state)), at(state.checked_sub(1)), two)
                        }
                    };
                    // A NaN is no number that is small, and so is shown.
                    let missed = value <= T::of(LIMIT);
                    values[row(step) + state] = if missed { T::zero() } else { value };
                    reached[row(step) + state] = if missed { T::zero() } else { T::one() };
                }
            }
        }
        Ok(())
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Expansion
    }
}

/// Where a path is before the first step: in the first state.
pub(super) fn start(graph: &Graph, batch: usize, states: usize) -> Var<'_> {
    graph.constant(&Tensor::from_fn([batch, states], |k| if k % states == 0 { 0.0 } else { NOTHING }))
}

/// Whether a sequence is still running, `[time, batch, 1]`.
pub(super) fn running(lengths: Var<'_>, time: usize) -> Var<'_> {
    let ended = lengths.one_hot(time + 1).cumsum(1).slice(1, 0, time as isize);
    ended.logical_not().t().unsqueeze(2)
}

saved_op!("nn.ctc_lattice": Lattice { from_the_end });

#[cfg(test)]
mod tests {
    use gradus_graph::{AnyTensor, check};

    use super::*;

    #[test]
    fn kernel_and_expansion_agree() {
        let index = |values: Tensor<i64>| AnyTensor::<f64>::Index(values);
        let log_p = AnyTensor::Real(Tensor::from_fn([4, 3, 5], |k| ((k * k + 3 * k + 1) as f64).sin() - 1.0));
        let skips = index(Tensor::from_rows([[0, 0, 0, 1, 0], [0; 5], [0; 5]]));
        let ends = index(Tensor::from_rows([[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 1, 1, 0, 0]]));
        let inputs = || [log_p.clone(), skips.clone(), ends.clone(), index(Tensor::from([4, 3, 2]))];
        check::assert_op_at(Lattice { from_the_end: false }, inputs());
        check::assert_op_at(Lattice { from_the_end: true }, inputs());
    }
}
