"""Times PyTorch on the layers of `gradus-bench recurrent`, in f32 on one thread: the processor's time, the least of
several runs, in µs.

    python3 crates/bench/peers/recurrent.py
"""

import time

import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(0)


def least(work, rounds=9):
    work(), work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e6 * min(times)


print(torch.__version__)
for steps, batch, inputs, hidden in [(50, 32, 64, 128), (50, 8, 256, 256), (200, 1, 16, 32)]:
    for kind in (nn.RNN, nn.GRU, nn.LSTM):
        module = kind(inputs, hidden)
        x = torch.randn(steps, batch, inputs)
        g = torch.randn_like(module(x)[0])

        def values():
            with torch.no_grad():
                module(x)

        def gradients():
            module.zero_grad()
            module(x)[0].backward(g)

        name = f"{kind.__name__} {inputs} to {hidden}, batch {batch}, {steps} steps"
        both = least(gradients)
        print(f"{name:40}  values {least(values):9.0f}   with gradients {both:9.0f}   a step {both / steps:7.1f}")
