//! Activations in a convolutional network.

mod network;

use gradus::Params;
use gradus::data::Dataset;
use gradus::optim::{Optimizer, Sgd};
use gradus::train::Sweep;
use gradus::train::plot::Plot;
use gradus::train::sweep::{Spread, SweepResults, SweepRow};

use crate::Failure;
use crate::convergence::{Convergence, Target};
use crate::report::{Part, Table};
use crate::study::{Digits, Study};
use crate::training::{Training, at};

use network::{ACTIVATIONS, Activation, LAYERS, Network};

const TARGET: Target = Target(0.3);

type Found = SweepResults<(Activation, f64)>;
type Row = SweepRow<(Activation, f64)>;

/// Columns of a history, by layer.
fn update(layer: &str) -> String {
    format!("update of {layer}")
}

fn flat(layer: &str) -> String {
    format!("flat in {layer}")
}

fn dead(layer: &str) -> String {
    format!("dead in {layer}")
}

fn sweep(study: &Study, training: &Training, rates: &[f64]) -> Result<Found, Failure> {
    let sweep = Sweep::new(ACTIVATIONS).crossed(rates.to_vec()).seeds(study.seeds());
    let found = sweep.run(|&(activation, rate), seed| {
        let mut params = Params::new(seed);
        let model = Network::new(&mut params, activation);
        let rule = Optimizer::new(Sgd::new(rate).momentum(0.9));
        let mut updates: Vec<(String, f64)> = Vec::new();
        let mut history = training.run_with(
            &mut params,
            &model,
            rule,
            seed,
            |_, loss| loss,
            |step, report| {
                if step == 100 {
                    let weights = report.rows().iter().filter(|row| row.name.ends_with("weight"));
                    updates = LAYERS.iter().zip(weights).map(|(layer, row)| (update(layer), row.mean_update)).collect();
                }
            },
        )?;
        let (score, [_, accuracy]) = (training.score(&history), training.test(&params, &model)?);
        let validation = 100.0 * at(&history, training.steps, "validation accuracy");
        let mut last = updates;
        for layer in model.responses(&params, &training.digits.validation)? {
            let share = layer.dead.len() as f64 / layer.units as f64;
            last.extend([(flat(&layer.name), 100.0 * layer.flat), (dead(&layer.name), 100.0 * share)]);
        }
        let whole = [("score", score), ("validation", validation), ("test", 100.0 * accuracy)];
        history.push(last.into_iter().chain(whole.map(|(name, value)| (name.to_owned(), value))));
        Ok::<_, Failure>(history)
    });
    Ok(found?)
}

/// The mean of a share over the layers with an activation, and over seeds.
fn over_layers(row: &Row, share: fn(&str) -> String) -> f64 {
    Spread::of(LAYERS[..3].iter().map(|layer| row.last(&share(layer)).mean)).mean
}

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let as_images = |data: &Dataset| data.reshaped([1, 8, 8]);
    let Digits { train, validation, test } = &study.digits;
    let digits = Digits { train: as_images(train), validation: as_images(validation), test: as_images(test) };
    let training = Training { digits: &digits, steps: study.pick(300, 100), batch: 32, every: 20 };
    let rates: &[f64] = study.pick(&[0.01, 0.03, 0.1, 0.3], &[0.03, 0.1]);
    let found = sweep(study, &training, rates)?;
    let best = ACTIVATIONS.map(|activation| {
        let rows = found.select(|options| options.0 == activation);
        rows.highest("score").expect("a score is finite").clone()
    });
    let steps = best.each_ref().map(|row| Convergence::of(row, "loss", TARGET));

    let mut results = Table::new(["activation", "best rate", "steps to 0.3", "validation", "test"]);
    let mut updates = Table::new(["update at 100", "strokes", "parts", "hidden", "output", "first / last"]);
    let mut shares = Table::new(["", "strokes, flat", "dead", "parts, flat", "dead", "hidden, flat", "dead"]);
    let mut losses = Plot::new("Each activation at its best rate").axes("step", "training loss, nats").log_y();
    let mut layers = Plot::new("Update at iteration 100").axes("layer", "mean |Δw|").log_y();
    let mut deaths = Plot::new("Units without a slope").axes("learning rate", "dead units, %").log_x();
    let ratio = |row: &Row| row.last(&update(LAYERS[0])).mean / row.last(&update(LAYERS[3])).mean;
    for ((activation, row), steps) in ACTIVATIONS.into_iter().zip(&best).zip(&steps) {
        let (name, percent) = (activation.to_string(), |column: &str| format!("{:.1}%", row.last(column)));
        let rate = row.options().1.to_string();
        results.push([name.clone(), rate, steps.to_string(), percent("validation"), percent("test")]);
        let sizes = LAYERS.map(|layer| row.last(&update(layer)).mean);
        let cells = sizes.iter().map(|size| format!("{size:.1e}")).chain([format!("{:.2}", ratio(row))]);
        updates.push([name.clone()].into_iter().chain(cells));
        let of_layer =
            |layer: &&str| [flat(layer), dead(layer)].map(|column| format!("{:.0}%", row.last(&column).mean));
        shares.push([name.clone()].into_iter().chain(LAYERS[..3].iter().flat_map(of_layer)));
        losses = losses.runs(&name, &row.curves("step", "loss"));
        layers = layers.bars(&name, &LAYERS.into_iter().zip(sizes).collect::<Vec<_>>());
        let rows = found.rows().iter().filter(|row| row.options().0 == activation);
        let dead_at: Vec<_> = rows.map(|row| (row.options().1, over_layers(row, dead))).collect();
        deaths = deaths.line(&name, &dead_at);
    }

    let [relu, gelu, tanh, sigmoid, scaled] = &best;
    let [relu_steps, gelu_steps, tanh_steps, sigmoid_steps, scaled_steps] = &steps;
    let of_relu = found.rows().iter().filter(|row| row.options().0 == Activation::Relu);
    let by_rate: Vec<String> =
        of_relu.map(|row| format!("{:.0}% at {}", over_layers(row, dead), row.options().1)).collect();
    let squared_errors = [gelu, relu].map(|row| row.last("test").deviation.powi(2) / row.runs().len() as f64);
    let lead = gelu.last("test").mean - relu.last("test").mean;
    Ok(Part::new(
        "Activations in a convolutional network",
        "ReLU learns faster than the saturating functions, whose gradients vanish on the way to the first layer; its price is \
         units that die. GELU is ReLU without that price.",
        "The slope of the sigmoid is at most a quarter, and its outputs are positive: what returns through three layers is \
         small, and a constant comes with every sum. Weights four times as large restore the slope. Tanh has the slope one at \
         zero and outputs of both signs, and keeps up in a network as shallow as this. A unit of ReLU dies when a step moves \
         its sums below zero for all images, and nothing moves it back; the longer the steps, the more often that happens. \
         GELU has a slope there, but hardly any far below zero.",
    )
    .setup(format!(
        "Digits as images of 8×8, two convolutions of 3×3 with 6 and 12 channels (strokes, parts), each with activation and \
         pooling of 2×2, a dense layer of 24 units (hidden) and the output: 2,146 weights. SGD with momentum 0.9, batches of \
         32, {} steps, {} seeds. Weights start as He has them with ReLU and GELU, and as Xavier has them with tanh and \
         sigmoid; biases at zero. The rate of each is the one of {} with the highest validation accuracy, averaged over all \
         evaluations and seeds. Flat is an output where the slope is nearly 0: zeros of ReLU, sigmoid below 0.01 or above \
         0.99, tanh beyond ±0.99, GELU where the slope is below 0.02; dead is a unit that is flat on all {} validation \
         images, after the last step.",
        training.steps,
        study.seeds().end,
        rates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        digits.validation.len(),
    ))
    .table("Each activation at its best rate; steps to a training loss of 0.3", results)
    .picture("activations", "Training loss of each activation; the band is one standard deviation over seeds.", &losses)?
    .table("Mean absolute change of the weights of each layer in iteration 100", updates)
    .picture("activations-updates", "The same: mean absolute change by layer, from the image to the output.", &layers)?
    .table("Share of flat outputs and of dead units by layer, after training", shares)
    .picture("activations-dead", "Dead units, mean of the three layers, at every rate of the sweep.", &deaths)?
    .finding(
        "ReLU needs fewer steps than tanh and the sigmoid",
        relu_steps.is_clearly_below(tanh_steps) && relu_steps.is_clearly_below(sigmoid_steps),
        format!(
            "ReLU {relu_steps}, tanh {tanh_steps}, sigmoid {sigmoid_steps}, sigmoid from weights four times as large \
             {scaled_steps}, GELU {gelu_steps}."
        ),
    )
    .finding(
        "with the sigmoid the updates of the first layer are less than a tenth of those of the last",
        ratio(sigmoid) < 0.1,
        format!(
            "The update of the first layer is {:.3} of that of the last; {:.2} from weights four times as large, {:.2} with \
             tanh, {:.2} with ReLU.",
            ratio(sigmoid),
            ratio(scaled),
            ratio(tanh),
            ratio(relu)
        ),
    )
    .finding(
        "units with ReLU die",
        over_layers(relu, dead) > 1.0,
        format!(
            "By learning rate: {}; at the best, {}, {:.0}%. With GELU at its best rate: {:.0}%.",
            by_rate.join(", "),
            relu.options().1,
            over_layers(relu, dead),
            over_layers(gelu, dead)
        ),
    )
    .finding(
        "tanh and the sigmoid are saturated in more than a tenth of their outputs",
        over_layers(tanh, flat) > 10.0 && over_layers(sigmoid, flat) > 10.0,
        format!(
            "Flat outputs after training, mean of the layers: tanh {:.0}%, sigmoid {:.0}%, {:.0}% from weights four times as \
             large; zeros of ReLU {:.0}%.",
            over_layers(tanh, flat),
            over_layers(sigmoid, flat),
            over_layers(scaled, flat),
            over_layers(relu, flat)
        ),
    )
    .finding(
        "GELU is more accurate than ReLU",
        lead > 2.0 * squared_errors.iter().sum::<f64>().sqrt(),
        format!(
            "Test accuracy {:.1}% with GELU and {:.1}% with ReLU: a difference of {lead:.1} points, with a standard error of \
             {:.1}.",
            gelu.last("test"),
            relu.last("test"),
            squared_errors.iter().sum::<f64>().sqrt()
        ),
    ))
}
