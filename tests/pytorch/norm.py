import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


def twice(module, x, y):
    return module(x), module(y)


def evaluated(module, x):
    return module.eval()(x)


def moved(module):
    """Running statistics that are not those of a new layer."""
    with torch.no_grad():
        module.running_mean.normal_()
        module.running_var.uniform_(0.5, 2.0)
    return module


def cases(add):
    randn = torch.randn
    add("layer_norm", nn.LayerNorm(4), {"x": 2 + randn(3, 4)})
    add("layer_norm_of_two_axes", nn.LayerNorm([3, 2], eps=0.1), {"x": randn(2, 3, 2)})
    add("layer_norm_without_bias", nn.LayerNorm(4, bias=False), {"x": randn(4)})
    add("layer_norm_plain", nn.LayerNorm(4, elementwise_affine=False), {"x": randn(1, 2, 4)})
    add("rms_norm", nn.RMSNorm(4, eps=2.0**-23), {"x": randn(3, 4)})
    add("rms_norm_of_two_axes", nn.RMSNorm([3, 2], eps=0.1), {"x": randn(2, 3, 2)})
    add("rms_norm_plain", nn.RMSNorm(4, eps=0.1, elementwise_affine=False), {"x": randn(3, 4)})
    add("group_norm", nn.GroupNorm(2, 4), {"x": randn(2, 4, 3)})
    add("group_norm_of_one_group", nn.GroupNorm(1, 4, eps=0.1), {"x": randn(2, 4, 2, 2)})
    add("group_norm_plain", nn.GroupNorm(2, 4, affine=False), {"x": randn(3, 4)})

    add("batch_norm", nn.BatchNorm1d(3), {"x": randn(4, 3), "y": 1 + randn(5, 3)}, twice)
    add("batch_norm_of_images", nn.BatchNorm2d(3, eps=0.1, momentum=0.3), {"x": randn(2, 3, 2, 2)})
    add("batch_norm_averaged", nn.BatchNorm1d(3, momentum=None), {"x": randn(2, 3, 2), "y": randn(2, 3, 3)}, twice)
    add("batch_norm_evaluated", moved(nn.BatchNorm2d(3)), {"x": randn(2, 3, 2, 1)}, evaluated)
    add("batch_norm_plain", moved(nn.BatchNorm1d(3, affine=False)), {"x": randn(2, 3), "y": randn(3, 3)}, twice)
    add("batch_norm_without_running", nn.BatchNorm3d(2, track_running_stats=False), {"x": randn(2, 2, 1, 2, 1)})
    add("batch_norm_without_running_evaluated", nn.BatchNorm1d(2, track_running_stats=False), {"x": randn(3, 2)}, evaluated)

    add("instance_norm", nn.InstanceNorm1d(3), {"x": randn(2, 3, 4)})
    add("instance_norm_affine", nn.InstanceNorm2d(3, eps=0.1, affine=True), {"x": randn(2, 3, 2, 2)})
    running = {"affine": True, "track_running_stats": True}
    add("instance_norm_running", nn.InstanceNorm1d(3, **running), {"x": randn(2, 3, 4), "y": randn(1, 3, 2)}, twice)
    add("instance_norm_evaluated", moved(nn.InstanceNorm2d(3, momentum=0.3, **running)), {"x": randn(2, 3, 2, 1)}, evaluated)

    add("weight_norm", weight_norm(nn.Linear(3, 4)), {"x": randn(2, 3)})
    add("weight_norm_of_columns", weight_norm(nn.Linear(3, 4, bias=False), dim=1), {"x": randn(2, 3)})
    add("spectral_norm", spectral_norm(nn.Linear(3, 4)), {"x": randn(2, 3), "y": randn(1, 3)}, twice)
    add("spectral_norm_of_columns", spectral_norm(nn.Linear(3, 4), n_power_iterations=3, dim=1), {"x": randn(2, 3)})
    add("spectral_norm_evaluated", spectral_norm(nn.Linear(3, 4)), {"x": randn(2, 3)}, evaluated)
