"""Writes sparse.txt: what PyTorch's rules do with sparse gradients, in double precision, for sparse.rs to compare with.

    pip install torch && python sparse.py > sparse.txt

Eight steps of each rule on a table of seven rows of three elements. A case is a line with its name, followed by a line
for each step with all elements of the table. The gradient of step t is that of four reads of rows, of which two may be
of the same row. SparseAdam adds its epsilon to a root that is not corrected: here it is too small to count.
"""

import torch
from torch import optim

torch.set_default_dtype(torch.float64)

ROWS, WIDTH, STEPS = 7, 3, 8
CASES = {
    "sgd": (optim.SGD, dict(lr=0.05)),
    "momentum": (optim.SGD, dict(lr=0.05, momentum=0.9, dampening=0.25)),
    "adagrad": (optim.Adagrad, dict(lr=0.05)),
    "adagrad_options": (optim.Adagrad, dict(lr=0.1, lr_decay=0.01, initial_accumulator_value=0.5, eps=1e-3)),
    "lazy_adam": (optim.SparseAdam, dict(lr=0.02, eps=1e-30)),
    "lazy_adam_betas": (optim.SparseAdam, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-30)),
}


def gradient(step):
    indices = [(step * k * k + 3 * k + step) % ROWS for k in range(4)]
    values = [[((7 * k + 5 * j + 11 * step) % 13 - 6) / 4 for j in range(WIDTH)] for k in range(4)]
    return torch.sparse_coo_tensor([indices], values, (ROWS, WIDTH))


for name, (rule, options) in CASES.items():
    table = torch.tensor([[((5 * k) % 13 - 6) / 8 for k in range(WIDTH * i, WIDTH * i + WIDTH)] for i in range(ROWS)])
    table.requires_grad_(True)
    update = rule([table], **options)
    print(name)
    for step in range(1, STEPS + 1):
        table.grad = gradient(step)
        update.step()
        print(*[repr(x) for x in table.detach().flatten().tolist()])
