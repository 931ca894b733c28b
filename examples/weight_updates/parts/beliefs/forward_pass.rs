//! Are weights updated in the forward pass?

use gradus::Params;
use gradus::nn::{BatchNorm, Dense, Dropout, Layer, Mode, Relu, loss};
use gradus::optim::{Optimizer, Sgd};
use gradus::train::{Function, Step};

use crate::Failure;
use crate::report::{Part, Table};
use crate::study::Study;

pub(crate) fn test(study: &Study, part: Part) -> Result<Part, Failure> {
    let mut params: Params = Params::new(0);
    let model = (
        Dense::new(&mut params, "hidden", 64, 32),
        BatchNorm::new(&mut params, "norm", 32),
        Relu,
        Dropout::new(0.2),
        Dense::new(&mut params, "output", 32, 10),
    );
    let batch = study.digits.train.batches(32).next().ok_or("the digits have a batch")?;
    let inputs = (&batch.inputs, &batch.targets);
    let mut evaluate = Function::new(|_, [x, y]| [loss::cross_entropy(model.forward_in(x, Mode::Eval), y)]);
    let mut step = Step::new(|_, [x, y]| loss::cross_entropy(model.forward_in(x, Mode::Train), y));
    let mut rule = Optimizer::new(Sgd::new(0.1));

    let mut table = Table::new(["what is done", "weights changed", "buffers changed"]);
    let before = params.clone();
    evaluate.run(&params, inputs)?;
    table.push(changes("forward pass, evaluation", &before, &params));
    let gradients = step.run(&mut params, inputs)?;
    let in_forward = changed(&before, &params);
    table.push(changes("forward and backward pass, training", &before, &params));
    let before = params.clone();
    rule.step(&mut params, &gradients)?;
    table.push(changes("step of the rule", &before, &params));
    let part = part
        .table("A network with batch normalisation and dropout: which numbers of its state change, and when", table);
    Ok(part.finding(
        "weights are updated in the forward pass",
        in_forward[0] > 0,
        format!(
            "It changes {} of the weights; in training it changes the running means and variances of batch normalisation, {} \
             numbers here. Weights change in the step of the rule alone.",
            in_forward[0], in_forward[1]
        ),
    ))
}

/// The number of weights and of buffers' elements that differ.
fn changed(before: &Params, after: &Params) -> [usize; 2] {
    let mut counts = [0; 2];
    for ((param, before), (_, after)) in before.iter().zip(after.iter()) {
        let differ = before.data().iter().zip(after.data()).filter(|(a, b)| a != b).count();
        counts[usize::from(param.is_buffer())] += differ;
    }
    counts
}

fn changes(name: &str, before: &Params, after: &Params) -> [String; 3] {
    let [weights, buffers] = changed(before, after);
    let total = |buffer: bool| -> usize {
        after.iter().filter(|(param, _)| param.is_buffer() == buffer).map(|(_, value)| value.len()).sum()
    };
    [name.to_owned(), format!("{weights} of {}", total(false)), format!("{buffers} of {}", total(true))]
}
