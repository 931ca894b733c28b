//! The cases of `norm.py` with our layers.

use gradus::Params;
use gradus::nn::{
    BatchNorm, BatchNormOptions, Dense, DenseOptions, GroupNorm, GroupNormOptions, Init, InstanceNorm,
    InstanceNormOptions, Layer, LayerNorm, LayerNormOptions, Mode, RmsNorm, RmsNormOptions, SpectralNorm,
    SpectralNormOptions, WeightNorm,
};

use crate::case::{Case, forward};

/// The layer at `x`.
fn once<L: Layer + 'static>(name: &'static str, mode: Mode, build: impl Fn(&mut Params<f64>) -> L + 'static) -> Case {
    Case::new(name, move |params| {
        let layer = build(params);
        forward(move |x| vec![layer.forward_in(x.get("x"), mode)])
    })
}

/// The layer at `x` and then at `y`, in training.
fn twice<L: Layer + 'static>(name: &'static str, build: impl Fn(&mut Params<f64>) -> L + 'static) -> Case {
    Case::new(name, move |params| {
        let layer = build(params);
        forward(move |x| ["x", "y"].map(|name| layer.forward_in(x.get(name), Mode::Train)).into())
    })
}

fn layer_norm(name: &'static str, sizes: &'static [usize], options: LayerNormOptions) -> Case {
    once(name, Mode::Train, move |params| LayerNorm::with(params, "layer", sizes, options))
}

fn rms_norm(name: &'static str, sizes: &'static [usize], options: RmsNormOptions) -> Case {
    once(name, Mode::Train, move |params| RmsNorm::with(params, "layer", sizes, options))
}

fn group_norm(name: &'static str, groups: usize, options: GroupNormOptions) -> Case {
    once(name, Mode::Train, move |params| GroupNorm::with(params, "layer", groups, 4, options))
}

fn batch_norm(channels: usize, options: BatchNormOptions) -> impl Fn(&mut Params<f64>) -> BatchNorm {
    move |params| BatchNorm::with(params, "layer", channels, options)
}

fn instance_norm(options: InstanceNormOptions) -> impl Fn(&mut Params<f64>) -> InstanceNorm {
    move |params| InstanceNorm::with(params, "layer", 3, options)
}

fn dense(params: &mut Params<f64>, bias: bool) -> Dense {
    let options = DenseOptions::new();
    let options = if bias { options.bias(Init::zeros()) } else { options.without_bias() };
    Dense::with(params, "layer", 3, 4, options)
}

fn weight_norm(name: &'static str, bias: bool, axis: isize) -> Case {
    once(name, Mode::Train, move |params| {
        let dense = dense(params, bias);
        WeightNorm::new(params, dense, Dense::weight, axis)
    })
}

fn spectral_norm(options: SpectralNormOptions) -> impl Fn(&mut Params<f64>) -> SpectralNorm<Dense> {
    move |params| {
        let dense = dense(params, true);
        SpectralNorm::with(params, dense, Dense::weight, options)
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let (layer, rms, group) = (LayerNormOptions::new(), RmsNormOptions::new(), GroupNormOptions::new());
    let (batch, instance) = (BatchNormOptions::new(), InstanceNormOptions::new());
    let affine = instance.weight(Init::ones()).bias(Init::zeros());
    let running = affine.running();
    let spectral = SpectralNormOptions::new();
    vec![
        layer_norm("layer_norm", &[4], layer),
        layer_norm("layer_norm_of_two_axes", &[3, 2], layer.eps(0.1)),
        layer_norm("layer_norm_without_bias", &[4], layer.without_bias()),
        layer_norm("layer_norm_plain", &[4], layer.without_weight().without_bias()),
        rms_norm("rms_norm", &[4], rms),
        rms_norm("rms_norm_of_two_axes", &[3, 2], rms.eps(0.1)),
        rms_norm("rms_norm_plain", &[4], RmsNormOptions::new().eps(0.1).without_weight()),
        group_norm("group_norm", 2, group),
        group_norm("group_norm_of_one_group", 1, group.eps(0.1)),
        group_norm("group_norm_plain", 2, group.without_weight().without_bias()),
        twice("batch_norm", batch_norm(3, batch)),
        once("batch_norm_of_images", Mode::Train, batch_norm(3, batch.eps(0.1).momentum(0.3))),
        twice("batch_norm_averaged", batch_norm(3, batch.cumulative_average())),
        once("batch_norm_evaluated", Mode::Eval, batch_norm(3, batch)),
        twice("batch_norm_plain", batch_norm(3, batch.without_weight().without_bias())),
        once("batch_norm_without_running", Mode::Train, batch_norm(2, batch.without_running())),
        once("batch_norm_without_running_evaluated", Mode::Eval, batch_norm(2, batch.without_running())),
        once("instance_norm", Mode::Train, instance_norm(instance)),
        once("instance_norm_affine", Mode::Train, instance_norm(affine.eps(0.1))),
        twice("instance_norm_running", instance_norm(running)),
        once("instance_norm_evaluated", Mode::Eval, instance_norm(running.momentum(0.3))),
        weight_norm("weight_norm", true, 0),
        weight_norm("weight_norm_of_columns", false, 1),
        twice("spectral_norm", spectral_norm(spectral)),
        once("spectral_norm_of_columns", Mode::Train, spectral_norm(spectral.iterations(3).axis(1))),
        once("spectral_norm_evaluated", Mode::Eval, spectral_norm(spectral)),
    ]
}
