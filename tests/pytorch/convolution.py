import torch
from torch import nn


def cases(add):
    line = lambda *shape: {"x": torch.randn(*shape)}
    add("conv1d", nn.Conv1d(2, 3, 3), line(2, 2, 7))
    add("conv1d_all", nn.Conv1d(4, 6, 2, stride=2, padding=3, dilation=3, groups=2, bias=False), line(1, 4, 8))
    add("conv1d_same", nn.Conv1d(2, 2, 4, padding="same", dilation=3), line(2, 2, 9))
    add("conv1d_unbatched", nn.Conv1d(2, 3, 3, padding="valid"), line(2, 5))
    add("conv2d", nn.Conv2d(2, 3, 3), line(2, 2, 5, 6))
    add("conv2d_steps", nn.Conv2d(2, 3, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(2, 1)), line(2, 2, 6, 5))
    add("conv2d_same", nn.Conv2d(2, 1, (3, 4), padding="same", dilation=(1, 2)), line(2, 2, 4, 5))
    add("conv2d_groups", nn.Conv2d(4, 6, 2, groups=2, stride=2, bias=False), line(2, 4, 5, 4))
    add("conv2d_depthwise", nn.Conv2d(3, 3, 3, groups=3, padding=1, stride=2), line(2, 3, 5, 6))
    add("conv2d_multiplied", nn.Conv2d(2, 6, 3, groups=2, padding=1), line(1, 2, 4, 4))
    add("conv2d_pointwise", nn.Conv2d(3, 4, 1), line(2, 3, 3, 2))
    add("conv2d_pointwise_strided", nn.Conv2d(3, 2, 1, stride=2, padding=1), line(1, 3, 4, 3))

    add("up1d", nn.ConvTranspose1d(2, 3, 3), line(2, 2, 4))
    add(
        "up1d_all",
        nn.ConvTranspose1d(4, 2, 3, stride=3, padding=2, output_padding=1, dilation=2, groups=2, bias=False),
        line(2, 4, 3),
    )
    add("up2d", nn.ConvTranspose2d(2, 3, (2, 3)), line(2, 2, 3, 2))
    add("up2d_steps", nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1, output_padding=1), line(2, 2, 3, 2))
    add(
        "up2d_all",
        nn.ConvTranspose2d(4, 6, (2, 3), (3, 1), (0, 1), (2, 1), groups=2, dilation=(1, 2)),
        line(1, 4, 3, 4),
    )
    add("up2d_beyond", nn.ConvTranspose2d(1, 2, 2, stride=3, output_padding=2), line(1, 1, 2, 2))
    add("up2d_depthwise", nn.ConvTranspose2d(2, 2, 3, stride=2, groups=2), line(1, 2, 2, 3))

    add("max1d", nn.MaxPool1d(3, stride=2, padding=1), line(2, 2, 7))
    add("max2d", nn.MaxPool2d(2), line(2, 2, 5, 4))
    add("max2d_all", nn.MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2), ceil_mode=True), line(2, 2, 6, 5))
    add("max2d_ceil", nn.MaxPool2d(2, stride=3, padding=1, ceil_mode=True), line(1, 2, 6, 8))
    add("average1d", nn.AvgPool1d(3, stride=2, padding=1), line(2, 2, 7))
    add("average1d_ceil", nn.AvgPool1d(3, stride=2, ceil_mode=True), line(2, 2, 6))
    add("average2d", nn.AvgPool2d(2), line(2, 2, 5, 4))
    add("average2d_padded", nn.AvgPool2d((3, 2), (2, 1), (1, 1)), line(1, 2, 5, 4))
    add("average2d_ceil", nn.AvgPool2d(3, 2, 1, ceil_mode=True), line(1, 2, 6, 5))
    add("average2d_elements", nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), line(1, 2, 6, 5))
    add("average2d_divisor", nn.AvgPool2d(2, divisor_override=3), line(1, 2, 4, 4))
    add("adaptive_average1d", nn.AdaptiveAvgPool1d(3), line(2, 2, 7))
    add("adaptive_average2d", nn.AdaptiveAvgPool2d((2, 3)), line(2, 2, 5, 7))
    add("adaptive_average2d_more", nn.AdaptiveAvgPool2d((4, 3)), line(1, 2, 3, 2))
    add("adaptive_max1d", nn.AdaptiveMaxPool1d(3), line(2, 2, 7))
    add("adaptive_max2d", nn.AdaptiveMaxPool2d((2, 3)), line(2, 2, 5, 7))
    add("global_average2d", nn.AdaptiveAvgPool2d(1), line(2, 2, 3, 4), lambda module, x: module(x).flatten(1))
    add("global_max2d", nn.AdaptiveMaxPool2d(1), line(2, 2, 3, 4), lambda module, x: module(x).flatten(1))

    for mode, one, two in [("nearest", "nearest", "nearest"), ("linear", "linear", "bilinear")]:
        for corners in [None] if mode == "nearest" else [False, True]:
            end = {None: "", False: "", True: "_corners"}[corners]
            up = lambda mode, **size: nn.Upsample(mode=mode, align_corners=corners, **size)
            add(f"{mode}1d_by{end}", up(one, scale_factor=1.7), line(2, 2, 5))
            add(f"{mode}1d_to{end}", up(one, size=3), line(2, 2, 5))
            add(f"{mode}2d_by{end}", up(two, scale_factor=2), line(1, 2, 3, 2))
            add(f"{mode}2d_by_two{end}", up(two, scale_factor=(0.7, 2.5)), line(1, 2, 4, 3))
            add(f"{mode}2d_to{end}", up(two, size=(5, 1)), line(1, 2, 3, 4))
    add("flatten", nn.Flatten(), line(2, 2, 3))
    add("flatten_first", nn.Flatten(0, -2), line(2, 2, 3))
