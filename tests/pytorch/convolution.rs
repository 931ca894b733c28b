//! The cases of `convolution.py` with our layers.

use gradus::nn::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AvgPool1d, AvgPool1dOptions, AvgPool2d,
    AvgPool2dOptions, Conv1d, Conv1dOptions, Conv2d, Conv2dOptions, ConvTranspose1d, ConvTranspose1dOptions,
    ConvTranspose2d, ConvTranspose2dOptions, Flatten, GlobalAvgPool2d, GlobalMaxPool2d, Interpolation, MaxPool1d,
    MaxPool1dOptions, MaxPool2d, MaxPool2dOptions, Padding, Resize, Steady, Upsample1d, Upsample2d,
};

use crate::case::{Case, forward};

fn conv1d(name: &'static str, channels: usize, filters: usize, kernel: usize, options: Conv1dOptions) -> Case {
    Case::new(name, move |params| {
        let layer = Conv1d::with(params, "layer", channels, filters, kernel, options);
        forward(move |x| vec![layer.forward(x.get("x"))])
    })
}

fn conv2d(name: &'static str, channels: usize, filters: usize, kernel: [usize; 2], options: Conv2dOptions) -> Case {
    Case::new(name, move |params| {
        let layer = Conv2d::with(params, "layer", channels, filters, kernel, options);
        forward(move |x| vec![layer.forward(x.get("x"))])
    })
}

fn up1d(name: &'static str, channels: usize, filters: usize, kernel: usize, options: ConvTranspose1dOptions) -> Case {
    Case::new(name, move |params| {
        let layer = ConvTranspose1d::with(params, "layer", channels, filters, kernel, options);
        forward(move |x| vec![layer.forward(x.get("x"))])
    })
}

fn up2d(
    name: &'static str,
    channels: usize,
    filters: usize,
    kernel: [usize; 2],
    options: ConvTranspose2dOptions,
) -> Case {
    Case::new(name, move |params| {
        let layer = ConvTranspose2d::with(params, "layer", channels, filters, kernel, options);
        forward(move |x| vec![layer.forward(x.get("x"))])
    })
}

/// A layer without parameters.
fn plain(name: &'static str, layer: impl Steady + Copy + 'static) -> Case {
    Case::of(name, move |x| vec![layer.forward(x.get("x"))])
}

fn convolutions() -> Vec<Case> {
    let (line, plane) = (Conv1dOptions::new(), Conv2dOptions::new());
    let all = line.stride(2).padding(3).dilation(3).groups(2).without_bias();
    let steps = Conv2dOptions::new().stride([2, 1]).padding([1, 2]).dilation([2, 1]);
    vec![
        conv1d("conv1d", 2, 3, 3, line),
        conv1d("conv1d_all", 4, 6, 2, all),
        conv1d("conv1d_same", 2, 2, 4, line.padding(Padding::Same).dilation(3)),
        conv1d("conv1d_unbatched", 2, 3, 3, line),
        conv2d("conv2d", 2, 3, [3, 3], plane),
        conv2d("conv2d_steps", 2, 3, [2, 3], steps),
        conv2d("conv2d_same", 2, 1, [3, 4], plane.padding(Padding::Same).dilation([1, 2])),
        conv2d("conv2d_groups", 4, 6, [2, 2], plane.groups(2).stride(2).without_bias()),
        conv2d("conv2d_depthwise", 3, 3, [3, 3], plane.groups(3).padding(1).stride(2)),
        conv2d("conv2d_multiplied", 2, 6, [3, 3], plane.groups(2).padding(1)),
        conv2d("conv2d_pointwise", 3, 4, [1, 1], plane),
        conv2d("conv2d_pointwise_strided", 3, 2, [1, 1], plane.stride(2).padding(1)),
    ]
}

fn transposed() -> Vec<Case> {
    let (line, plane) = (ConvTranspose1dOptions::new(), ConvTranspose2dOptions::new());
    let all1d = line.stride(3).padding(2).output_padding(1).dilation(2).groups(2).without_bias();
    let all2d = plane.stride([3, 1]).padding([0, 1]).output_padding([2, 1]).dilation([1, 2]).groups(2);
    let steps = plane.stride(2).padding(1).output_padding(1);
    let beyond = plane.stride(3).output_padding(2);
    vec![
        up1d("up1d", 2, 3, 3, line),
        up1d("up1d_all", 4, 2, 3, all1d),
        up2d("up2d", 2, 3, [2, 3], plane),
        up2d("up2d_steps", 2, 2, [3, 3], steps),
        up2d("up2d_all", 4, 6, [2, 3], all2d),
        up2d("up2d_beyond", 1, 2, [2, 2], beyond),
        up2d("up2d_depthwise", 2, 2, [3, 3], plane.stride(2).groups(2)),
    ]
}

fn pools() -> Vec<Case> {
    let max = MaxPool2dOptions::new();
    let all = MaxPool2dOptions::new().stride([2, 1]).padding([1, 0]).dilation([1, 2]).ceil_mode();
    let average = AvgPool2dOptions::new().stride(2).padding(1).ceil_mode();
    vec![
        plain("max1d", MaxPool1d::with(3, MaxPool1dOptions::new().stride(2).padding(1))),
        plain("max2d", MaxPool2d::new(2)),
        plain("max2d_all", MaxPool2d::with([3, 2], all)),
        plain("max2d_ceil", MaxPool2d::with(2, max.stride(3).padding(1).ceil_mode())),
        plain("average1d", AvgPool1d::with(3, AvgPool1dOptions::new().stride(2).padding(1))),
        plain("average1d_ceil", AvgPool1d::with(3, AvgPool1dOptions::new().stride(2).ceil_mode())),
        plain("average2d", AvgPool2d::new(2)),
        plain("average2d_padded", AvgPool2d::with([3, 2], average.stride([2, 1]))),
        plain("average2d_ceil", AvgPool2d::with(3, average)),
        plain("average2d_elements", AvgPool2d::with(3, average.exclude_padding())),
        plain("average2d_divisor", AvgPool2d::with(2, AvgPool2dOptions::new().divisor(3))),
        plain("adaptive_average1d", AdaptiveAvgPool1d::new(3)),
        plain("adaptive_average2d", AdaptiveAvgPool2d::new([2, 3])),
        plain("adaptive_average2d_more", AdaptiveAvgPool2d::new([4, 3])),
        plain("adaptive_max1d", AdaptiveMaxPool1d::new(3)),
        plain("adaptive_max2d", AdaptiveMaxPool2d::new([2, 3])),
        plain("global_average2d", GlobalAvgPool2d::new()),
        plain("global_max2d", GlobalMaxPool2d::new()),
    ]
}

fn sizes() -> Vec<Case> {
    let nearest = Interpolation::Nearest;
    let [edges, corners] = [false, true].map(|align_corners| Interpolation::Linear { align_corners });
    let names = [
        (["nearest1d_by", "nearest1d_to", "nearest2d_by", "nearest2d_by_two", "nearest2d_to"], nearest),
        (["linear1d_by", "linear1d_to", "linear2d_by", "linear2d_by_two", "linear2d_to"], edges),
        (
            [
                "linear1d_by_corners",
                "linear1d_to_corners",
                "linear2d_by_corners",
                "linear2d_by_two_corners",
                "linear2d_to_corners",
            ],
            corners,
        ),
    ];
    let all = names.map(|([by, to, twice, by_two, to_two], way)| {
        [
            plain(by, Upsample1d::new(Resize::By([1.7]), way)),
            plain(to, Upsample1d::new(Resize::To([3]), way)),
            plain(twice, Upsample2d::new(2, way)),
            plain(by_two, Upsample2d::new(Resize::By([0.7, 2.5]), way)),
            plain(to_two, Upsample2d::new(Resize::To([5, 1]), way)),
        ]
    });
    all.into_iter()
        .flatten()
        .chain([plain("flatten", Flatten::new()), plain("flatten_first", Flatten::axes(0, -2))])
        .collect()
}

pub(crate) fn cases() -> Vec<Case> {
    [convolutions(), transposed(), pools(), sizes()].into_iter().flatten().collect()
}
