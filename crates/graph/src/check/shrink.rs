//! The smallest case that fails in the same way.

use super::Check;
use super::report::Failure;
use super::target::Target;
use crate::tape::op::Form;
use crate::tensor::{AnyTensor, Tensor};

/// How many cases are tried.
const TRIES: usize = 200;
/// Elements up to which each of them is tried by itself.
const FEW: usize = 32;

/// The inputs with which the target fails in the same way and that are simplest, with that failure; `None` if there are
/// no simpler ones.
pub(super) fn shrink(
    check: &Check,
    target: &dyn Target,
    failure: &Failure,
) -> Option<(Vec<AnyTensor<f64>>, Box<Failure>)> {
    let mut best: Option<(Vec<AnyTensor<f64>>, Box<Failure>)> = None;
    let mut tries = 0;
    let mut try_inputs = |best: &mut Option<(Vec<AnyTensor<f64>>, Box<Failure>)>, inputs: Vec<AnyTensor<f64>>| {
        let now = best.as_ref().map_or(target.inputs(), |(inputs, _)| inputs);
        if tries >= TRIES || inputs == now {
            return false;
        }
        tries += 1;
        match check.look(&*target.at(inputs.clone())) {
            Err(smaller) if smaller.kind() == failure.kind() => {
                *best = Some((inputs, smaller));
                true
            }
            _ => false,
        }
    };
    let current = |best: &Option<(Vec<AnyTensor<f64>>, Box<Failure>)>| {
        best.as_ref().map_or_else(|| target.inputs().to_vec(), |(inputs, _)| inputs.clone())
    };
    // An op on each element by itself fails on one element.
    if target.op().is_some_and(|sample| sample.op.form() == Form::Pointwise) {
        let size = target.inputs().first().map_or(0, |input| input.shape().len());
        for element in 0..size.min(TRIES / 2) {
            let one = target.inputs().iter().map(|input| match input {
                AnyTensor::Real(tensor) => Tensor::from([tensor.data()[element]]).into(),
                AnyTensor::Index(tensor) => Tensor::from([tensor.data()[element]]).into(),
            });
            if try_inputs(&mut best, one.collect()) {
                break;
            }
        }
    }
    // Whole tensors to fewer digits, then single elements to the roundest numbers.
    for grain in [1.0, 0.5, 0.125, 1.0 / 64.0] {
        let rounded = current(&best).into_iter().map(|input| changed(input, |x| (x / grain).round() * grain));
        if try_inputs(&mut best, rounded.collect()) {
            break;
        }
    }
    let inputs = current(&best).len();
    for input in 0..inputs {
        let AnyTensor::Real(tensor) = &current(&best)[input] else { continue };
        if tensor.len() > FEW {
            continue;
        }
        for element in 0..tensor.len() {
            for round in [0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0] {
                let mut simpler = current(&best);
                if let AnyTensor::Real(tensor) = &mut simpler[input] {
                    if tensor.data()[element] == round {
                        break;
                    }
                    tensor.data_mut()[element] = round;
                }
                if try_inputs(&mut best, simpler) {
                    break;
                }
            }
        }
    }
    best
}

fn changed(input: AnyTensor<f64>, f: impl Fn(f64) -> f64) -> AnyTensor<f64> {
    match input {
        AnyTensor::Real(tensor) => tensor.map(|&x| f(x)).into(),
        index => index,
    }
}
