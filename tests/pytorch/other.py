"""Dense and bilinear layers, activations, and gated units."""

import torch
from torch import nn
from torch.nn import functional as F


def cases(add):
    add("dense", nn.Linear(3, 4), {"x": torch.randn(2, 5, 3)})
    add("dense_without_bias", nn.Linear(3, 4, bias=False), {"x": torch.randn(3)})
    add("bilinear", nn.Bilinear(3, 2, 4), {"a": torch.randn(2, 5, 3), "b": torch.randn(2, 5, 2)})
    add("bilinear_without_bias", nn.Bilinear(2, 2, 1, bias=False), {"a": torch.randn(2), "b": torch.randn(2)})
    add("prelu", nn.PReLU(), {"x": torch.randn(2, 3, 2)})
    add("prelu_channels", nn.PReLU(3), {"x": torch.cat([torch.randn(2, 3, 2), torch.zeros(2, 3, 1)], -1)})
    add("glu", nn.GLU(), {"x": torch.randn(3, 4)})
    add("glu_axis", nn.GLU(0), {"x": torch.randn(4, 3)})

    def halves(gate):
        def call(_, x):
            a, b = x.chunk(2, -1)
            return a * gate(b)

        return call

    add("geglu", None, {"x": torch.randn(3, 4)}, halves(F.gelu))
    add("swiglu", None, {"x": torch.randn(3, 4)}, halves(F.silu))

    x = torch.cat([torch.randn(8) * 2, torch.tensor([-30.0, 30.0, 0.25])])
    activations = {
        "relu": nn.ReLU(),
        "sigmoid": nn.Sigmoid(),
        "tanh": nn.Tanh(),
        "gelu": nn.GELU(),
        "gelu_tanh": nn.GELU("tanh"),
        "silu": nn.SiLU(),
        "mish": nn.Mish(),
        "selu": nn.SELU(),
        # PyTorch's is cut to the identity above 20 unless told; ours never is.
        "softplus": nn.Softplus(threshold=1e9),
        "softsign": nn.Softsign(),
        "log_sigmoid": nn.LogSigmoid(),
        # The backward kernel of PyTorch's own has a sixth in single precision: 5e-9 off.
        "hard_sigmoid": lambda x: F.relu6(x + 3) / 6,
        "hard_swish": nn.Hardswish(),
        "hard_tanh": nn.Hardtanh(),
        "leaky_relu": nn.LeakyReLU(),
        "leaky_relu_slope": nn.LeakyReLU(0.2),
        "elu": nn.ELU(),
        "elu_alpha": nn.ELU(0.5),
    }
    for name, module in activations.items():
        add(name, None, {"x": x}, lambda _, x, module=module: module(x))
    for name, module in {
        "softmax": nn.Softmax(-1),
        "softmax_axis": nn.Softmax(0),
        "log_softmax": nn.LogSoftmax(-1),
        "log_softmax_axis": nn.LogSoftmax(0),
    }.items():
        add(name, None, {"x": torch.randn(3, 4) * 2}, lambda _, x, module=module: module(x))
