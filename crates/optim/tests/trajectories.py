"""Writes trajectories.txt: what reference implementations do in double precision, for trajectories.rs to compare with.

    pip install torch optax schedulefree && python trajectories.py > trajectories.txt

A hundred steps in three problems (see `bowl`, `valley` and `network`) with each rule (see `CASES`). A case is a header
line, its name and its problem, followed by a line for each of the steps of `SHOWN`: the step and all numbers of the
parameters. Rules of torch.optim, optax and optax.contrib are theirs. Shampoo, SOAP and D-Adaptation for descent are in
neither: they stand here in NumPy, written from the papers, with LAPACK's eigenvectors and factors.
"""

import math

import jax
import numpy as np
import optax
import schedulefree
import torch
from torch import optim

jax.config.update("jax_enable_x64", True)
# PyTorch keeps what a rule remembers beside the tensors, as a product of momenta, in the default precision.
torch.set_default_dtype(torch.float64)

STEPS = 100
SHOWN = [1, 2, 3, 10, 30, 60, 100]

# Problems. A point is a list of arrays; a gradient is a list of arrays of the same shapes.


def bowl(point):
    """Four curvatures."""
    x = [float(v) for array in point for v in array.flatten()]
    return split([a * (v - 1.0) for a, v in zip([1.0, 4.0, 0.5, 2.0], x)], point)


def valley(point):
    """Rosenbrock's valley twice: in the first and third numbers, and in the second and fourth."""

    def slope(u, v):
        return [-2.0 * (1.0 - u) - 400.0 * u * (v - u * u), 200.0 * (v - u * u)]

    x = [float(v) for array in point for v in array.flatten()]
    a, b = slope(x[0], x[2]), slope(x[1], x[3])
    return split([a[0], b[0], a[1], b[1]], point)


def wide_bowl(point):
    """Nine curvatures, for a matrix whose gradient has full rank."""
    x = [float(v) for array in point for v in array.flatten()]
    return split([a * (v - 0.5) for a, v in zip([8.0, 1.0, 3.0, 6.0, 0.5, 2.0, 5.0, 0.75, 2.5], x)], point)


EXAMPLES = [
    (
        [((7 * i + 5 * j) % 11 - 5) / 4 for j in range(3)],
        [((5 * i + 3 * k) % 7 - 3) / 4 for k in range(2)],
    )
    for i in range(5)
]


def network(point):
    """Half the mean square error of a network with three inputs, four tanh units and two outputs on five examples."""
    w, b, v, c = [array.tolist() for array in point]
    dw, db, dv, dc = [np.zeros(array.shape) for array in point]
    for x, target in EXAMPLES:
        h = [math.tanh(b[i] + w[i][0] * x[0] + w[i][1] * x[1] + w[i][2] * x[2]) for i in range(4)]
        y = [c[k] + v[k][0] * h[0] + v[k][1] * h[1] + v[k][2] * h[2] + v[k][3] * h[3] for k in range(2)]
        e = [(y[k] - target[k]) / 5.0 for k in range(2)]
        for k in range(2):
            dc[k] += e[k]
            for i in range(4):
                dv[k][i] += e[k] * h[i]
        for i in range(4):
            s = (e[0] * v[0][i] + e[1] * v[1][i]) * (1.0 - h[i] * h[i])
            db[i] += s
            for j in range(3):
                dw[i][j] += s * x[j]
    return [dw, db, dv, dc]


def split(numbers, like):
    arrays, used = [], 0
    for array in like:
        arrays.append(np.array(numbers[used : used + array.size]).reshape(array.shape))
        used += array.size
    return arrays


def ramp(shape, pace):
    count = int(np.prod(shape))
    return np.array([((pace * k) % 13 - 6) / 8 for k in range(count)]).reshape(shape)


PROBLEMS = {
    "bowl": (bowl, [np.array([-1.0, 2.0]), np.array([3.0, -0.5])]),
    "valley": (valley, [np.array([-1.2, 0.5]), np.array([1.0, 0.0])]),
    "network": (network, [ramp((4, 3), 5), ramp((4,), 3), ramp((2, 4), 7), ramp((2,), 11)]),
    # The first two again, for the rules of matrices.
    "square_bowl": (bowl, [np.array([[-1.0, 2.0], [3.0, -0.5]])]),
    "square_valley": (valley, [np.array([[-1.2, 0.5], [1.0, 0.0]])]),
    "wide_bowl": (wide_bowl, [np.array([[0.6, 1.0, 0.4], [0.45, 0.8, 0.7], [0.52, -0.2, 0.65]])]),
}
VECTORS = ["bowl", "valley", "network"]
MATRICES = ["square_bowl", "square_valley", "wide_bowl", "network"]

# Kinds of rules: each takes a starting point, and gives a function from gradients to the new point.


def torch_rule(rule, prepare=None, factor=None, also=None, average=None, **options):
    """A rule of torch.optim, after something done to the gradients, with a factor of the learning rate at a step; with
    another rule for what is no matrix; or the average that it keeps in place of the point."""

    def start(point):
        params = [torch.tensor(array) for array in point]
        mine = [p for p in params if p.dim() == 2] if also else params
        rules = [rule(mine, foreach=False, **options) if rule is not optim.Muon else rule(mine, **options)]
        rest = [p for p in params if p.dim() != 2] if also else []
        if rest:
            rules.append(also[0](rest, foreach=False, **also[1]))
        schedule = optim.lr_scheduler.LambdaLR(rules[0], factor) if factor else None

        def step(gradients):
            for param, gradient in zip(params, gradients):
                param.grad = torch.tensor(gradient)
            if prepare:
                prepare(params)
            for each in rules:
                each.step()
            if schedule:
                schedule.step()
            shown = [rules[0].state[p][average] for p in params] if average else params
            return [p.numpy().copy() for p in params], [p.numpy().copy() for p in shown]

        return step

    return start


def optax_rule(transformation, evaluate=None):
    """A rule of optax, or its evaluation point in place of the point."""

    def start(point):
        params = [jax.numpy.array(array) for array in point]
        state = transformation.init(params)
        update = jax.jit(transformation.update)

        def step(gradients):
            nonlocal params, state
            updates, state = update([jax.numpy.array(g) for g in gradients], state, params)
            params = optax.apply_updates(params, updates)
            shown = evaluate(state, params) if evaluate else params
            return [np.array(p) for p in params], [np.array(p) for p in shown]

        return step

    return start


def shampoo(lr, eps, every):
    def power(matrix):
        values, vectors = np.linalg.eigh(matrix)
        return vectors @ np.diag(np.maximum(values, eps) ** -0.25) @ vectors.T

    def start(point):
        params = [array.copy() for array in point]
        sums = [[eps * np.eye(n) for n in p.shape] if p.ndim == 2 else eps + np.zeros(p.shape) for p in params]
        roots, count = [None] * len(params), 0

        def step(gradients):
            nonlocal count
            for i, (p, g) in enumerate(zip(params, gradients)):
                if p.ndim != 2:
                    sums[i] += g * g
                    p -= lr * g / np.sqrt(sums[i])
                    continue
                sums[i][0] += g @ g.T
                sums[i][1] += g.T @ g
                if count % every == 0:
                    roots[i] = [power(matrix) for matrix in sums[i]]
                p -= lr * roots[i][0] @ g @ roots[i][1]
            count += 1
            return [p.copy() for p in params], [p.copy() for p in params]

        return step

    return start


def soap(lr, beta1, beta2, eps, every, decay):
    def start(point):
        params = [array.copy() for array in point]
        first = [np.zeros(p.shape) for p in params]
        second = [np.zeros(p.shape) for p in params]
        sums = [[np.zeros((n, n)) for n in p.shape] for p in params]
        bases, count = [None] * len(params), 0

        def step(gradients):
            nonlocal count
            for i, (p, g) in enumerate(zip(params, gradients)):
                if count > 0:
                    left, right = bases[i]
                    first[i] = beta1 * first[i] + (1 - beta1) * g
                    second[i] = beta2 * second[i] + (1 - beta2) * (left.T @ g @ right) ** 2
                    u = left.T @ first[i] @ right / (np.sqrt(second[i]) + eps)
                    u *= math.sqrt(1 - beta2**count) / (1 - beta1**count)
                    p -= lr * (left @ u @ right.T + decay * p)
                else:
                    p -= lr * decay * p
                for side, product in enumerate([g @ g.T, g.T @ g]):
                    sums[i][side] = beta2 * sums[i][side] + (1 - beta2) * product
                if count == 0:
                    bases[i] = [np.linalg.eigh(matrix)[1][:, ::-1] for matrix in sums[i]]
                elif count % every == 0:
                    for side, matrix in enumerate(sums[i]):
                        basis = bases[i][side]
                        order = np.argsort(-np.diag(basis.T @ matrix @ basis), kind="stable")
                        second[i] = second[i][order] if side == 0 else second[i][:, order]
                        bases[i][side] = np.linalg.qr(matrix @ basis[:, order])[0]
            count += 1
            return [p.copy() for p in params], [p.copy() for p in params]

        return step

    return start


def dadapt_sgd(lr, momentum, d0, growth):
    def start(point):
        x0 = np.concatenate([array.flatten() for array in point])
        x, s, d, numerator, first = x0.copy(), np.zeros(x0.shape), d0, 0.0, None

        def step(gradients):
            nonlocal x, s, d, numerator, first
            g = np.concatenate([array.flatten() for array in gradients])
            first = np.linalg.norm(g) if first is None else first
            rate = d * lr / first
            numerator += rate * (g @ s)
            s = s + rate * g
            d = max(d, min(2 * numerator / np.linalg.norm(s), d * growth))
            x = momentum * x + (1 - momentum) * (x0 - s)
            return split(x, point), split(x, point)

        return step

    return start


def clip_one(params):
    torch.nn.utils.clip_grad_norm_(params, 2.0, norm_type=1)


def clip_most(params):
    torch.nn.utils.clip_grad_norm_(params, 0.5, norm_type=float("inf"))


def clip_norm(params):
    torch.nn.utils.clip_grad_norm_(params, 1.0, foreach=False)


def clip_value(params):
    torch.nn.utils.clip_grad_value_(params, 0.5, foreach=False)


def curvature():
    """In place of an estimate: eight times the square of the gradient."""
    return optax.GradientTransformation(
        lambda params: optax.EmptyState(),
        lambda updates, state, params=None: (jax.tree.map(lambda g: 8.0 * g * g, updates), state),
    )


def in_double(gradient, coefficients, steps, eps):
    """PyTorch's Muon rounds to bfloat16 here; everything else of it is in the precision of the parameters."""
    a, b, c = coefficients
    tall = gradient.size(0) > gradient.size(1)
    x = gradient.T if tall else gradient
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


optim._muon._zeropower_via_newtonschulz = in_double

evaluation = optax.contrib.schedule_free_eval_params


def schedule_free_rule(rule, averaged=False, **options):
    """A rule of the package schedulefree, or its evaluation point in place of the point."""

    def start(point):
        params = [torch.tensor(array) for array in point]
        each = rule(params, foreach=False, **options)

        def step(gradients):
            for param, gradient in zip(params, gradients):
                param.grad = torch.tensor(gradient)
            each.train()
            each.step()
            at = [p.numpy().copy() for p in params]
            if not averaged:
                return at, at
            each.eval()
            shown = [p.numpy().copy() for p in params]
            # What they return to from the average has lost digits.
            for param, array in zip(params, at):
                param.data.copy_(torch.tensor(array))
            each.train_mode = True
            for group in each.param_groups:
                group["train_mode"] = True
            return at, shown

        return step

    return start

halving = lambda done: 0.5 ** (done // 20)
adamw = (optim.AdamW, dict(lr=0.002, weight_decay=0.1))

CASES = {
    "sgd": torch_rule(optim.SGD, lr=1e-3),
    "sgd_momentum": torch_rule(optim.SGD, lr=1e-4, momentum=0.9),
    "sgd_dampening": torch_rule(optim.SGD, lr=1e-3, momentum=0.9, dampening=0.5),
    "sgd_nesterov": torch_rule(optim.SGD, lr=1e-4, momentum=0.9, nesterov=True),
    "sgd_l2": torch_rule(optim.SGD, lr=1e-4, momentum=0.9, weight_decay=0.1),
    "sgd_halving": torch_rule(optim.SGD, factor=halving, lr=1e-3),
    "sgd_mean": optax_rule(optax.chain(optax.ema(0.9), optax.scale(-1e-3))),
    "adam": torch_rule(optim.Adam, lr=0.02),
    "adam_betas": torch_rule(optim.Adam, lr=0.02, betas=(0.8, 0.95), eps=1e-3),
    "adam_l2": torch_rule(optim.Adam, lr=0.02, weight_decay=0.1),
    "adamw": torch_rule(optim.AdamW, lr=0.02),
    "adamw_decay": torch_rule(optim.AdamW, lr=0.02, weight_decay=0.3),
    "amsgrad": torch_rule(optim.Adam, lr=0.02, amsgrad=True),
    "amsgrad_decay": torch_rule(optim.AdamW, lr=0.02, amsgrad=True, weight_decay=0.3),
    "adamax": torch_rule(optim.Adamax, lr=0.02),
    "adamax_decay": optax_rule(optax.adamaxw(0.02, weight_decay=0.3)),
    "nadam": torch_rule(optim.NAdam, lr=0.02),
    "nadam_decay": torch_rule(optim.NAdam, lr=0.02, weight_decay=0.3, decoupled_weight_decay=True, momentum_decay=0.1),
    "radam": torch_rule(optim.RAdam, lr=1e-3),
    "radam_decay": torch_rule(optim.RAdam, lr=1e-3, weight_decay=0.3, decoupled_weight_decay=True, eps=1e-3),
    "adabelief": optax_rule(optax.adabelief(5e-3)),
    "yogi": optax_rule(optax.yogi(0.02)),
    "lion": optax_rule(optax.lion(0.002)),
    "lion_decay": optax_rule(optax.lion(0.002, b1=0.95, b2=0.98, weight_decay=0.5)),
    "lamb": optax_rule(optax.lamb(0.01)),
    "lamb_decay": optax_rule(optax.lamb(0.01, weight_decay=0.1)),
    "lars": optax_rule(optax.lars(0.5)),
    "lars_decay": optax_rule(optax.lars(0.5, weight_decay=0.1, nesterov=True, eps=1e-3)),
    "novograd": optax_rule(optax.novograd(1e-3)),
    "novograd_decay": optax_rule(optax.novograd(1e-3, b1=0.95, b2=0.98, weight_decay=0.1)),
    "rmsprop": torch_rule(optim.RMSprop, lr=1e-3),
    "rmsprop_momentum": torch_rule(optim.RMSprop, lr=1e-3, alpha=0.9, momentum=0.5),
    "rmsprop_centred": torch_rule(optim.RMSprop, lr=1e-3, eps=1e-3, centered=True),
    "rmsprop_both": torch_rule(optim.RMSprop, lr=1e-3, eps=1e-3, centered=True, momentum=0.5),
    "adagrad": torch_rule(optim.Adagrad, lr=0.05),
    "adagrad_lr_decay": torch_rule(optim.Adagrad, lr=0.1, lr_decay=0.01),
    "adagrad_initial": torch_rule(optim.Adagrad, lr=0.1, initial_accumulator_value=0.5, eps=1e-3),
    "adadelta": torch_rule(optim.Adadelta, lr=1.0),
    "adadelta_rho": optax_rule(optax.adadelta(0.5, rho=0.95, eps=1e-5)),
    "rprop": torch_rule(optim.Rprop, lr=1e-3),
    "rprop_factors": torch_rule(optim.Rprop, lr=0.01, etas=(0.6, 1.1), step_sizes=(1e-4, 0.02)),
    "asgd": torch_rule(optim.ASGD, lr=5e-4, lambd=0.1, t0=20),
    "asgd_averaged": torch_rule(optim.ASGD, average="ax", lr=5e-4, lambd=0.1, t0=20),
    "sign_sgd": optax_rule(optax.sign_sgd(0.002)),
    "adafactor": torch_rule(optim.Adafactor, lr=0.01),
    "adafactor_decay": torch_rule(optim.Adafactor, lr=0.003, weight_decay=0.1, d=1.5, eps=(0.3, 1.5)),
    "sophia": optax_rule(optax.contrib.sophia(1e-3, hessian_diagonal_fn=curvature())),
    "muon": torch_rule(optim.Muon, lr=0.002, also=adamw),
    "muon_plain": torch_rule(
        optim.Muon, lr=0.002, momentum=0.8, nesterov=False, adjust_lr_fn="match_rms_adamw", also=adamw
    ),
    "schedule_free_sgd": optax_rule(optax.contrib.schedule_free_sgd(1e-3)),
    "schedule_free_sgd_averaged": optax_rule(optax.contrib.schedule_free_sgd(1e-3), evaluation),
    "schedule_free_adamw": optax_rule(optax.contrib.schedule_free_adamw(0.02, weight_decay=0.1)),
    "schedule_free_adamw_averaged": optax_rule(
        optax.contrib.schedule_free_adamw(0.02, b1=0.95, b2=0.99, weight_lr_power=1.0), evaluation
    ),
    "schedule_free_adamw_warm_up": schedule_free_rule(
        schedulefree.AdamWScheduleFree, lr=0.02, warmup_steps=10, weight_decay=0.1
    ),
    "schedule_free_adamw_warm_up_averaged": schedule_free_rule(
        schedulefree.AdamWScheduleFree, averaged=True, lr=0.02, warmup_steps=10, weight_decay=0.1
    ),
    "schedule_free_adamw_power": schedule_free_rule(
        schedulefree.AdamWScheduleFree, lr=0.02, betas=(0.95, 0.99), weight_lr_power=1.0, warmup_steps=30
    ),
    "schedule_free_sgd_warm_up": schedule_free_rule(schedulefree.SGDScheduleFree, lr=1e-3, warmup_steps=10),
    "prodigy": optax_rule(optax.contrib.prodigy(0.1, estim_lr0=1e-3)),
    "prodigy_decay": optax_rule(
        optax.contrib.prodigy(0.1, estim_lr0=1e-3, weight_decay=0.1, estim_lr_coef=0.5, safeguard_warmup=True)
    ),
    "dadapt_adam": optax_rule(optax.contrib.dadapt_adamw(0.1, estim_lr0=1e-3)),
    "dadapt_adam_decay": optax_rule(optax.contrib.dadapt_adamw(0.1, estim_lr0=1e-3, weight_decay=0.1)),
    "dadapt_sgd": dadapt_sgd(0.05, 0.0, 1e-2, 1.02),
    "dadapt_sgd_momentum": dadapt_sgd(0.05, 0.5, 1e-2, 1.02),
    "shampoo": shampoo(0.05, 1e-4, 1),
    "shampoo_every": shampoo(0.05, 1e-2, 3),
    "soap": soap(0.01, 0.95, 0.95, 1e-8, 10, 0.01),
    "soap_every": soap(0.02, 0.9, 0.9, 1e-2, 3, 0.1),
    "clip_norm_sgd": torch_rule(optim.SGD, prepare=clip_norm, lr=0.02),
    "clip_norm_one": torch_rule(optim.SGD, prepare=clip_one, lr=0.02),
    "clip_norm_max": torch_rule(optim.SGD, prepare=clip_most, lr=0.02),
    "adam_decoupled": torch_rule(optim.AdamW, lr=0.02, weight_decay=0.3),
    "clip_norm_adamw": torch_rule(optim.AdamW, prepare=clip_norm, lr=0.02),
    "clip_value_sgd": torch_rule(optim.SGD, prepare=clip_value, lr=0.02),
}


def problems(name):
    if name.startswith("soap"):
        # A gradient of less than full rank leaves the rest of the first basis open: so no network.
        return MATRICES[:3]
    return MATRICES if name.startswith(("muon", "shampoo")) else VECTORS


print(f"torch {torch.__version__.split('+')[0]}, optax {optax.__version__}, numpy {np.__version__}")
for name, rule in CASES.items():
    for problem in problems(name):
        print(name, problem)
        gradient, point = PROBLEMS[problem]
        step = rule(point)
        for number in range(1, STEPS + 1):
            point, shown = step(gradient(point))
            if number in SHOWN:
                print(number, *[float(v) for array in shown for v in array.flatten()])
