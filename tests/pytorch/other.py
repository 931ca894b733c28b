import torch
from torch import nn


def cases(add):
    add("dense", nn.Linear(3, 4), {"x": torch.randn(2, 5, 3)})
    add("dense_without_bias", nn.Linear(3, 4, bias=False), {"x": torch.randn(3)})
