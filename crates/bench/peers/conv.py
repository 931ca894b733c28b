"""Times PyTorch on the layers of `gradus-bench conv`, in f32 on one thread: the processor's time, the
least of several runs, in µs.

    python3 crates/bench/peers/conv.py
"""

import time

import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(0)

# Images, channels, size, filters, kernel, stride, groups.
CASES = [
    (64, 1, 28, 32, 3, 1, 1),
    (64, 32, 28, 64, 3, 1, 1),
    (64, 64, 14, 128, 3, 1, 1),
    (64, 64, 28, 64, 3, 2, 1),
    (32, 256, 7, 256, 3, 1, 1),
    (64, 64, 28, 64, 1, 1, 1),
    (64, 64, 28, 64, 3, 1, 64),
    (64, 64, 28, 64, 3, 1, 4),
    (1, 64, 56, 64, 3, 1, 1),
]


def least(work, rounds=9):
    work(), work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e6 * min(times)


def report(name, module, x):
    x.requires_grad_(x.shape[1] > 1)
    g = torch.randn_like(module(x))

    def values():
        with torch.no_grad():
            module(x)

    def gradients():
        for leaf in [x, *module.parameters()]:
            leaf.grad = None
        module(x).backward(g)

    print(f"{name:34}  values {least(values):9.0f}   with gradients {least(gradients):9.0f}")


print(torch.__version__)
for images, channels, size, filters, kernel, stride, groups in CASES:
    module = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups)
    name = f"{images}x{channels}x{size}x{size} to {filters}, {kernel}x{kernel}, s{stride}, g{groups}"
    report(name, module, torch.randn(images, channels, size, size))
report("64x32x28x28, the largest of 2x2", nn.MaxPool2d(2), torch.randn(64, 32, 28, 28))
