//! Do all weights move in every step?

use gradus::data::Split;
use gradus::nn::{Dense, Embedding, Layer, Mode, Relu, Tanh, loss};
use gradus::optim::{Adam, AdamW, Optimizer, Sgd};
use gradus::train::statistics::Updates;
use gradus::train::{Gradients, Step};
use gradus::{Params, Tensor};

use crate::Failure;
use crate::report::{Part, Table};
use crate::study::Study;

const TEXT: &str = include_str!("../../../../LICENSE-APACHE");
const BATCH: usize = 32;

/// The share of the weights that move in steps 1 and 100.
type Shares = [f64; 2];
/// Makes a rule.
type NewRule = fn() -> Optimizer;
/// Trains a network by a rule.
type TrainedBy = fn(&Study, Optimizer) -> Result<Shares, Failure>;

pub(crate) fn test(study: &Study, part: Part) -> Result<Part, Failure> {
    let rules: [(&str, NewRule); 3] = [
        ("SGD", || Optimizer::new(Sgd::new(0.1))),
        ("Adam", || Optimizer::new(Adam::new(0.01))),
        ("AdamW", || Optimizer::new(AdamW::new(0.01))),
    ];
    let models: [(&str, TrainedBy); 4] = [
        ("ReLU", |study, rule| images(study, rule, |params| Box::new(mlp(params, Relu)), false)),
        ("tanh", |study, rule| images(study, rule, |params| Box::new(mlp(params, Tanh)), false)),
        ("ReLU, hidden layer frozen", |study, rule| images(study, rule, |params| Box::new(mlp(params, Relu)), true)),
        ("embedding of words", |_, rule| words(rule)),
    ];
    let mut table = Table::new(["network", "rule", "at step 1", "at step 100"]);
    let mut shares = Vec::new();
    for (model, run) in models {
        for (rule, new) in rules {
            let found = run(study, new())?;
            shares.push(((model, rule), found));
            let [first, later] = found.map(|share| format!("{:.1}%", 100.0 * share));
            table.push([model.to_owned(), rule.to_owned(), first, later]);
        }
    }
    let of = |model: &str, rule: &str| {
        let found = shares.iter().find(|(key, _)| *key == (model, rule));
        found.map_or(f64::NAN, |(_, share)| 100.0 * share[1])
    };
    let part = part.table("The share of all weights that a step changes, batches of 32", table);
    Ok(part.finding(
        "every step moves every weight",
        shares.iter().all(|(_, share)| share[1] > 0.999),
        format!(
            "At step 100 plain SGD moves {:.1}% of the ReLU network (pixels that are always empty have no gradient), {:.1}% of the \
             embedding and Adam {:.1}%, since it remembers earlier words; with decoupled decay {:.1}% move. Of the network with a \
             frozen layer {:.1}% move.",
            of("ReLU", "SGD"),
            of("embedding of words", "SGD"),
            of("embedding of words", "Adam"),
            of("embedding of words", "AdamW"),
            of("ReLU, hidden layer frozen", "SGD")
        ),
    ))
}

fn mlp<A: Layer>(params: &mut Params, activation: A) -> (Dense, A, Dense) {
    (Dense::new(params, "hidden", 64, 32), activation, Dense::new(params, "output", 32, 10))
}

fn images(
    study: &Study,
    rule: Optimizer,
    model: impl Fn(&mut Params) -> Box<dyn Layer>,
    frozen: bool,
) -> Result<Shares, Failure> {
    let mut params = Params::new(0);
    let model = model(&mut params);
    if frozen {
        params.set_trainable(false, |name| name.starts_with("hidden"));
    }
    let train = &study.digits.train;
    let mut batches = (0..).flat_map(|epoch| train.batches(BATCH).shuffled(0, epoch));
    let mut step = Step::new(|_, [x, y]| loss::cross_entropy(model.forward_in(x, Mode::Train), y));
    shares(&mut params, rule, |params, rule| {
        let batch = batches.next().ok_or("the digits have batches")?;
        let gradients = step.run(params, (&batch.inputs, &batch.targets))?;
        moved(params, rule, &gradients, "")
    })
}

/// The next word from the word before it.
fn words(rule: Optimizer) -> Result<Shares, Failure> {
    let words: Vec<&str> = TEXT.split_whitespace().collect();
    let mut known: Vec<&str> = words.clone();
    known.sort_unstable();
    known.dedup();
    let numbers: Vec<i64> =
        words.iter().map(|word| known.binary_search(word).map_or(0, |number| number as i64)).collect();
    let mut params = Params::new(0);
    let embedding = Embedding::new(&mut params, "words", known.len(), 32);
    let last = numbers.len() - 1;
    let rows = move |from: &[i64]| Tensor::new([from.len()], from.to_vec());
    let pairs = gradus::data::Dataset::new(rows(&numbers[..last]), rows(&numbers[1..]));
    let Split { train, .. } = pairs.split(pairs.len() / 10, 0);
    let layer = Dense::new(&mut params, "next", 32, known.len());
    let mut batches = (0..).flat_map(|epoch| train.batches(BATCH).shuffled(0, epoch));
    let mut step = Step::new(|_, [x, y]| loss::cross_entropy(layer.forward(embedding.forward(x)), y));
    shares(&mut params, rule, |params, rule| {
        let batch = batches.next().ok_or("the text has batches")?;
        let gradients = step.run(params, (&batch.inputs, &batch.targets))?;
        moved(params, rule, &gradients, "words")
    })
}

/// A step of the rule, and the share of the weights with that beginning of their names that it changes; frozen ones are
/// among them.
fn moved(params: &mut Params, rule: &mut Optimizer, gradients: &Gradients<'_, f32>, of: &str) -> Result<f64, Failure> {
    let before = Updates::new(params);
    rule.step(params, gradients)?;
    let report = before.measure(params, gradients.iter());
    let rows = report.rows().iter().filter(|row| row.name.starts_with(of));
    let changed: f64 = rows.map(|row| row.changed_weights * row.shape.len() as f64).sum();
    let all =
        params.iter().filter(|(param, _)| param.name().starts_with(of)).map(|(_, value)| value.len()).sum::<usize>();
    Ok(changed / all as f64)
}

/// Trains for a hundred steps.
fn shares(
    params: &mut Params,
    mut rule: Optimizer,
    mut step: impl FnMut(&mut Params, &mut Optimizer) -> Result<f64, Failure>,
) -> Result<Shares, Failure> {
    let first = step(params, &mut rule)?;
    let mut last = first;
    for _ in 2..=100 {
        last = step(params, &mut rule)?;
    }
    Ok([first, last])
}
