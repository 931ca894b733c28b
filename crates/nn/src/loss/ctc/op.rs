//! The loss as an op, whose derivative is made of both lattices.

use gradus_graph::{Accepts, Call, Derivative, Kind, Meta, Metas, Op, Signature, Var, Vars, smallvec};

use super::lattice::{LIMIT, Lattice, NOTHING, running, start};

/// From log-probabilities `[time, batch, classes]`, the extended labels with their skips and ends, and the numbers of
/// steps: the losses `[batch]`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CtcLoss;

/// Both outputs of a lattice over the log-probabilities of the extended labels.
fn lattice<'g>(from_the_end: bool, inputs: &[Var<'g>]) -> [Var<'g>; 2] {
    let [log_p, extended, skips, ends, lengths] = inputs[..] else { unreachable!("five inputs by the shape rule") };
    let of_labels = log_p.take_along(2, everywhere(log_p, extended));
    match log_p.graph().apply(Lattice { from_the_end }, &[of_labels, skips, ends, lengths]) {
        Ok(outputs) => [outputs[0], outputs[1]],
        Err(error) => error.panic(),
    }
}

/// The extended labels for each step.
fn everywhere<'g>(log_p: Var<'g>, extended: Var<'g>) -> Var<'g> {
    let [batch, states] = extended.shape()[..] else { unreachable!("two axes by the shape rule") };
    extended.broadcast_to([log_p.shape()[0], batch, states])
}

impl Op for CtcLoss {
    const INPUTS: Signature =
        Signature::Fixed(&[Accepts::Real, Accepts::Index, Accepts::Index, Accepts::Index, Accepts::Index]);

    fn name(&self) -> &'static str {
        "ctc"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let [_, batch, _] = inputs[0].shape[..] else {
            return Err("log-probabilities must be [time, batch, classes]".into());
        };
        let extended = &inputs[1].shape;
        let alike = extended.rank() == 2 && extended[0] == batch && extended[1] % 2 == 1;
        if !alike || inputs[2].shape != *extended || inputs[3].shape != *extended {
            return Err(format!("there must be one row of labels a sequence, and there are {batch} sequences"));
        }
        if inputs[4].shape[..] != [batch] {
            return Err("there must be one number of steps a sequence".into());
        }
        Ok(smallvec![Meta { kind: Kind::Real, shape: inputs[4].shape.clone() }])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (log_p, ends) = (inputs[0], inputs[3].to_real());
        let (time, extended) = (log_p.shape()[0] as isize, ends.shape());
        let last = if time == 0 {
            ends.where_(start(log_p.graph(), extended[0], extended[1]), NOTHING)
        } else {
            let [alphas, reached] = lattice(false, inputs).map(|all| all.slice(0, time - 1, time).squeeze(0));
            ends.logical_and(reached).where_(alphas, NOTHING)
        };
        let log_likelihood = last.logsumexp_axes(1);
        Some(smallvec![log_likelihood.less_equal(LIMIT).where_(f64::INFINITY, -log_likelihood)])
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Rule
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let (log_p, graph) = (call.x(0), call.x(0).graph());
        let time = log_p.shape()[0];
        let [alphas, to] = lattice(false, call.inputs);
        let [betas, from] = lattice(true, call.inputs);
        let each = |x: Var<'g>| x.unsqueeze(1).unsqueeze(0);
        // States that no path passes or that come after the end have the weight 0, as do all of an impossible sequence.
        let possible = each(call.y().equal(f64::INFINITY).logical_not());
        let passed = to.logical_and(from).logical_and(running(call.x(4), time)).logical_and(possible);
        // At each step the paths through all states are all paths: their weights sum to 1, and a softmax has no part in
        // the rounding that `α + β` gathers over a long sequence alike at all states.
        let weights = passed.where_(passed.where_(alphas + betas, NOTHING).softmax(2), 0.0);
        let cotangent = -(weights * each(call.g()));
        graph.zeros(log_p.shape()).scatter_add(2, everywhere(log_p, call.x(1)), cotangent)
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::{AnyTensor, Tensor, check};

    use super::*;

    #[test]
    fn kernel_and_expansion_agree() {
        let index = |values: Tensor<i64>| AnyTensor::<f64>::Index(values);
        let log_p = Tensor::from_fn([4, 3, 3], |k| ((k * k + 3 * k + 1) as f64).sin() - 1.0);
        let extended = index(Tensor::from_rows([[0, 1, 0, 2, 0], [0, 1, 0, 1, 0], [0, 2, 0, 0, 0]]));
        let skips = index(Tensor::from_rows([[0, 0, 0, 1, 0], [0; 5], [0; 5]]));
        let ends = index(Tensor::from_rows([[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 1, 1, 0, 0]]));
        let steps = index(Tensor::from([4, 3, 2]));
        check::assert_op_at(CtcLoss, [AnyTensor::Real(log_p), extended, skips, ends, steps]);
    }
}
