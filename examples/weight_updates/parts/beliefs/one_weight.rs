//! Does changing one weight matter, and does the gradient say how much?

use gradus::nn::{Layer, Mode, loss};
use gradus::optim::{Adam, Optimizer};
use gradus::train::Step;
use gradus::train::plot::Plot;
use gradus::{Param, Params, Tensor};

use crate::Failure;
use crate::report::{Part, Table};
use crate::study::Study;
use crate::training::{Training, network};

/// The sizes of the change, in parts of the standard deviation of the layer's weights.
const SIZES: [f64; 3] = [0.01, 0.1, 1.0];

pub(crate) fn test(study: &Study, part: Part) -> Result<Part, Failure> {
    let training = Training { digits: &study.digits, steps: study.pick(100, 60), batch: 32, every: 20 };
    let mut params = Params::new(0);
    let model = network(&mut params);
    training.run(&mut params, &model, Optimizer::new(Adam::new(0.01)), 0)?;

    let train = &study.digits.train;
    let inputs = (train.inputs(), train.targets());
    let mut step = Step::new(|_, [images, digits]| loss::cross_entropy(model.forward_in(images, Mode::Eval), digits));
    let gradients = step.at(&params, inputs)?;
    let before = f64::from(gradients.loss());
    let slopes: Vec<(Param, Tensor<f32>)> =
        gradients.iter().map(|(param, gradient)| (param.clone(), gradient.clone())).collect();
    let mut loss = |params: &Params| step.at(params, inputs).map(|gradients| f64::from(gradients.loss()));

    let mut table = Table::new(["layer", "change", "largest effect", "mean effect", "predicted / true", "correlation"]);
    let mut plot =
        Plot::new("The effect of one weight").axes("effect predicted by the gradient, nats", "true effect, nats");
    let mut correlations = Vec::new();
    for (param, gradient) in slopes.iter().filter(|(param, _)| param.shape().rank() == 2) {
        let weights = params.get(param).data().to_vec();
        let deviation = (weights.iter().map(|w| f64::from(w * w)).sum::<f64>() / weights.len() as f64).sqrt();
        // Evenly over the matrix.
        let stride = (weights.len() / study.pick(160, 40)).max(1) | 1;
        for size in SIZES {
            let mut effects = Vec::new();
            for place in (0..weights.len()).step_by(stride) {
                let change = size * deviation;
                let mut changed = params.clone();
                changed.get_mut(param).data_mut()[place] += change as f32;
                effects.push((change * f64::from(gradient.data()[place]), loss(&changed)? - before));
            }
            let of = |f: &dyn Fn(&(f64, f64)) -> f64| effects.iter().map(f).sum::<f64>() / effects.len() as f64;
            let correlation = of(&|(p, t)| p * t) / (of(&|(p, _)| p * p) * of(&|(_, t)| t * t)).sqrt();
            correlations.push((size, correlation));
            let largest = effects.iter().map(|(_, effect)| effect.abs()).fold(0.0, f64::max);
            table.push([
                param.name().to_owned(),
                format!("{size} deviations"),
                format!("{:.3}%", 100.0 * largest / before),
                format!("{:.4}%", 100.0 * of(&|(_, t)| t.abs()) / before),
                format!("{:.2}", of(&|(p, _)| p.abs()) / of(&|(_, t)| t.abs())),
                format!("{correlation:.3}"),
            ]);
            if size == 1.0 {
                plot = plot.points(param.name(), &effects);
            }
        }
    }
    let worst = |size: f64| {
        correlations.iter().filter(|(other, _)| *other == size).map(|(_, found)| *found).fold(f64::INFINITY, f64::min)
    };
    let largest = |size: f64| worst(size) > 0.99;
    let part = part
        .table("One weight changed at a time, as a share of the loss; the root mean square of the layer's weights is one deviation", table)
        .picture("beliefs-one-weight", "Each point is a weight that was raised by one deviation; on the diagonal the prediction is exact.", &plot)?;
    Ok(part
        .finding(
            "the gradient says what changing one weight will do",
            largest(0.01),
            format!(
                "Predicted and true effects correlate by at least {:.3} for a change of 0.01 deviations, {:.3} for 0.1 and {:.3} \
                 for a whole one.",
                worst(0.01),
                worst(0.1),
                worst(1.0)
            ),
        ))
}
