"""Writes schedules.txt: rates of torch.optim.lr_scheduler and optax in double precision, for schedules.rs to compare.

    pip install torch optax && JAX_ENABLE_X64=1 python schedules.py > schedules.txt

A line is a name and the rates of steps 0, 1, 2, …
"""

import jax
import optax
import torch
from torch.optim import lr_scheduler as torch_schedules

STEPS = 60


def of_torch(base, make, metrics=None):
    """The rates of a scheduler; one that takes metrics is stepped with them."""
    rule = torch.optim.SGD([torch.zeros(1, dtype=torch.float64)], lr=base, momentum=0.9)
    schedule = make(rule)
    rates = []
    for step in range(STEPS if metrics is None else len(metrics)):
        rates.append(rule.param_groups[0]["lr"])
        rule.step()
        schedule.step() if metrics is None else schedule.step(metrics[step])
    return rates


def of_optax(schedule):
    return [float(schedule(jax.numpy.asarray(step))) for step in range(STEPS)]


METRICS = [5, 4, 4.2, 4.1, 4.05, 3.9, 3.9, 3.9, 3.9, 3.9, 3.9, 3.9, 3.9, 3, 2, 2.1, 2.1, 2.1, 2.1, 2.1, 2.1, 2.1, 1, 1, 1]

CASES = {
    "step": of_torch(0.5, lambda rule: torch_schedules.StepLR(rule, 7, gamma=0.3)),
    "multi_step": of_torch(0.5, lambda rule: torch_schedules.MultiStepLR(rule, [5, 20, 21], gamma=0.3)),
    "exponential": of_torch(0.5, lambda rule: torch_schedules.ExponentialLR(rule, 0.9)),
    "exponential_every": of_optax(optax.exponential_decay(0.5, 8, 0.6)),
    "polynomial": of_torch(0.5, lambda rule: torch_schedules.PolynomialLR(rule, 40, power=1.7)),
    "polynomial_end": of_optax(optax.polynomial_schedule(0.5, 0.1, 2.5, 40)),
    "rise": of_optax(optax.linear_schedule(0.1, 0.6, 40)),
    "cosine": of_optax(optax.cosine_decay_schedule(0.5, 40, alpha=0.2)),
    "restarts": of_torch(0.5, lambda rule: torch_schedules.CosineAnnealingWarmRestarts(rule, 9, eta_min=0.05)),
    "restarts_growing": of_torch(0.5, lambda rule: torch_schedules.CosineAnnealingWarmRestarts(rule, 6, T_mult=2)),
    "warm_up_cosine": of_optax(optax.warmup_cosine_decay_schedule(0.1, 0.5, 10, 45, 0.05)),
    "join": of_optax(
        optax.join_schedules([optax.constant_schedule(0.3), optax.exponential_decay(0.5, 8, 0.6)], [12])
    ),
    "sequence": of_torch(
        0.5,
        lambda rule: torch_schedules.SequentialLR(
            rule,
            [torch_schedules.LinearLR(rule, total_iters=10), torch_schedules.StepLR(rule, 15, gamma=0.5)],
            [10],
        ),
    ),
    "one_cycle": of_torch(0.1, lambda rule: torch_schedules.OneCycleLR(rule, 0.5, STEPS)),
    "one_cycle_linear": of_torch(
        0.1,
        lambda rule: torch_schedules.OneCycleLR(
            rule, 0.5, STEPS, pct_start=0.4, anneal_strategy="linear", div_factor=10, final_div_factor=100
        ),
    ),
    "one_cycle_three": of_torch(0.1, lambda rule: torch_schedules.OneCycleLR(rule, 0.5, STEPS, three_phase=True)),
    "triangular": of_torch(0.1, lambda rule: torch_schedules.CyclicLR(rule, 0.1, 0.5, 8, 5)),
    "triangular2": of_torch(0.1, lambda rule: torch_schedules.CyclicLR(rule, 0.1, 0.5, 8, mode="triangular2")),
    "exp_range": of_torch(0.1, lambda rule: torch_schedules.CyclicLR(rule, 0.1, 0.5, 8, mode="exp_range", gamma=0.95)),
    "inverse_sqrt": of_torch(
        0.5, lambda rule: torch_schedules.LambdaLR(rule, lambda done: min(1.0, (16 / done) ** 0.5) if done else 1.0)
    ),
    "plateau": of_torch(
        0.5,
        lambda rule: torch_schedules.ReduceLROnPlateau(rule, factor=0.5, patience=2, threshold=0.02, cooldown=1),
        METRICS,
    ),
    "plateau_max": of_torch(
        0.5,
        lambda rule: torch_schedules.ReduceLROnPlateau(
            rule, mode="max", factor=0.5, patience=1, threshold=0.5, threshold_mode="abs", min_lr=0.1
        ),
        [-metric for metric in METRICS],
    ),
    "plateau_eps": of_torch(
        0.5,
        lambda rule: torch_schedules.ReduceLROnPlateau(rule, factor=0.5, patience=0, cooldown=1, eps=0.02),
        METRICS,
    ),
    "plateau_deep": of_torch(
        1.0, lambda rule: torch_schedules.ReduceLROnPlateau(rule, patience=0), [1.0] * 25
    ),
}

print(f"torch {torch.__version__.split('+')[0]}, optax {optax.__version__}")
for name, rates in CASES.items():
    print(name, *(float(rate) for rate in rates))
