"""Writes trajectories.txt: what torch.optim does in double precision, for trajectories.rs to compare with.

    pip install torch && python trajectories.py > trajectories.txt

Two parameters of two elements each, 100 steps in two problems (see `gradients`). A case is a header line, its name and
its problem, followed by one line a step for steps 1 to 5 and every tenth: the step and the four numbers.
"""

import torch
from torch import optim

START = {"bowl": [-1.0, 2.0, 3.0, -0.5], "valley": [-1.2, 0.5, 1.0, 0.0]}
STEPS = 100


def gradients(problem, x):
    """The gradient at four numbers: a bowl of four curvatures, or Rosenbrock's valley twice."""
    if problem == "bowl":
        return [a * (v - 1.0) for a, v in zip([1.0, 4.0, 0.5, 2.0], x)]

    def slope(u, v):
        return [-2.0 * (1.0 - u) - 400.0 * u * (v - u * u), 200.0 * (v - u * u)]

    a, b = slope(x[0], x[2]), slope(x[1], x[3])
    return [a[0], b[0], a[1], b[1]]


def nothing(params):
    pass


def clip_norm(params):
    torch.nn.utils.clip_grad_norm_(params, 1.0, foreach=False)


def clip_value(params):
    torch.nn.utils.clip_grad_value_(params, 0.5, foreach=False)


# name: (rule, its options, what is done to the gradients, the learning rate as a factor at a step)
CASES = {
    "sgd": (optim.SGD, dict(lr=1e-3), nothing, None),
    "sgd_momentum": (optim.SGD, dict(lr=1e-4, momentum=0.9), nothing, None),
    "sgd_dampening": (optim.SGD, dict(lr=1e-3, momentum=0.9, dampening=0.5), nothing, None),
    "sgd_nesterov": (optim.SGD, dict(lr=1e-4, momentum=0.9, nesterov=True), nothing, None),
    "sgd_l2": (optim.SGD, dict(lr=1e-4, momentum=0.9, weight_decay=0.1), nothing, None),
    "sgd_halving": (optim.SGD, dict(lr=1e-3), nothing, lambda done: 0.5 ** (done // 20)),
    "adam": (optim.Adam, dict(lr=0.02), nothing, None),
    "adam_betas": (optim.Adam, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-3), nothing, None),
    "adam_l2": (optim.Adam, dict(lr=0.02, weight_decay=0.1), nothing, None),
    "adamw": (optim.AdamW, dict(lr=0.02), nothing, None),
    "adamw_decay": (optim.AdamW, dict(lr=0.02, weight_decay=0.3), nothing, None),
    "rmsprop": (optim.RMSprop, dict(lr=1e-3), nothing, None),
    "rmsprop_momentum": (optim.RMSprop, dict(lr=1e-3, alpha=0.9, momentum=0.5), nothing, None),
    "rmsprop_centred": (optim.RMSprop, dict(lr=1e-3, eps=1e-3, centered=True), nothing, None),
    "rmsprop_both": (optim.RMSprop, dict(lr=1e-3, eps=1e-3, centered=True, momentum=0.5), nothing, None),
    "adagrad": (optim.Adagrad, dict(lr=0.05), nothing, None),
    "adagrad_lr_decay": (optim.Adagrad, dict(lr=0.1, lr_decay=0.01), nothing, None),
    "adagrad_initial": (optim.Adagrad, dict(lr=0.1, initial_accumulator_value=0.5, eps=1e-3), nothing, None),
    "clip_norm_sgd": (optim.SGD, dict(lr=0.02), clip_norm, None),
    "clip_norm_adamw": (optim.AdamW, dict(lr=0.02), clip_norm, None),
    "clip_value_sgd": (optim.SGD, dict(lr=0.02), clip_value, None),
}

print(f"torch {torch.__version__.split('+')[0]}")
for name, (rule, options, prepare, factor) in CASES.items():
    for problem, start in START.items():
        print(name, problem)
        x = torch.tensor(start[:2], dtype=torch.float64)
        y = torch.tensor(start[2:], dtype=torch.float64)
        rule_at_work = rule([x, y], foreach=False, **options)
        schedule = optim.lr_scheduler.LambdaLR(rule_at_work, factor) if factor else None
        for step in range(1, STEPS + 1):
            slopes = gradients(problem, [*x.tolist(), *y.tolist()])
            x.grad = torch.tensor(slopes[:2], dtype=torch.float64)
            y.grad = torch.tensor(slopes[2:], dtype=torch.float64)
            prepare([x, y])
            rule_at_work.step()
            if schedule:
                schedule.step()
            if step <= 5 or step % 10 == 0:
                print(step, *x.tolist(), *y.tolist())
