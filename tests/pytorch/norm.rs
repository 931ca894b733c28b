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
    let options = DenseOptions { bias: bias.then(Init::zeros), ..DenseOptions::default() };
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
    let (layer, rms, group) = (LayerNormOptions::default(), RmsNormOptions::default(), GroupNormOptions::default());
    let (batch, instance) = (BatchNormOptions::default(), InstanceNormOptions::default());
    let affine = InstanceNormOptions { weight: Some(Init::ones()), bias: Some(Init::zeros()), ..instance };
    let running = InstanceNormOptions { running: true, ..affine };
    let spectral = SpectralNormOptions::default();
    vec![
        layer_norm("layer_norm", &[4], layer),
        layer_norm("layer_norm_of_two_axes", &[3, 2], LayerNormOptions { eps: 0.1, ..layer }),
        layer_norm("layer_norm_without_bias", &[4], LayerNormOptions { bias: None, ..layer }),
        layer_norm("layer_norm_plain", &[4], LayerNormOptions { weight: None, bias: None, ..layer }),
        rms_norm("rms_norm", &[4], rms),
        rms_norm("rms_norm_of_two_axes", &[3, 2], RmsNormOptions { eps: 0.1, ..rms }),
        rms_norm("rms_norm_plain", &[4], RmsNormOptions { eps: 0.1, weight: None }),
        group_norm("group_norm", 2, group),
        group_norm("group_norm_of_one_group", 1, GroupNormOptions { eps: 0.1, ..group }),
        group_norm("group_norm_plain", 2, GroupNormOptions { weight: None, bias: None, ..group }),
        twice("batch_norm", batch_norm(3, batch)),
        once(
            "batch_norm_of_images",
            Mode::Train,
            batch_norm(3, BatchNormOptions { eps: 0.1, momentum: Some(0.3), ..batch }),
        ),
        twice("batch_norm_averaged", batch_norm(3, BatchNormOptions { momentum: None, ..batch })),
        once("batch_norm_evaluated", Mode::Eval, batch_norm(3, batch)),
        twice("batch_norm_plain", batch_norm(3, BatchNormOptions { weight: None, bias: None, ..batch })),
        once("batch_norm_without_running", Mode::Train, batch_norm(2, BatchNormOptions { running: false, ..batch })),
        once(
            "batch_norm_without_running_evaluated",
            Mode::Eval,
            batch_norm(2, BatchNormOptions { running: false, ..batch }),
        ),
        once("instance_norm", Mode::Train, instance_norm(instance)),
        once("instance_norm_affine", Mode::Train, instance_norm(InstanceNormOptions { eps: 0.1, ..affine })),
        twice("instance_norm_running", instance_norm(running)),
        once("instance_norm_evaluated", Mode::Eval, instance_norm(InstanceNormOptions { momentum: 0.3, ..running })),
        weight_norm("weight_norm", true, 0),
        weight_norm("weight_norm_of_columns", false, 1),
        twice("spectral_norm", spectral_norm(spectral)),
        once(
            "spectral_norm_of_columns",
            Mode::Train,
            spectral_norm(SpectralNormOptions { iterations: 3, axis: 1, ..spectral }),
        ),
        once("spectral_norm_evaluated", Mode::Eval, spectral_norm(spectral)),
    ]
}
