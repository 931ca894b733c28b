"""Writes values.txt: the activations and their slopes in 400 digits, rounded.

    pip install mpmath && python values.py > values.txt
"""

from mpmath import mp, mpf, erfc, exp, expm1, log1p, pi, sqrt, tanh

mp.dps = 400


def sigmoid(x):
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def softplus(x):
    return max(x, mpf(0)) + log1p(exp(-abs(x)))


def cut(x):
    return min(max(x, mpf(0)), mpf(1))


def sech2(x):
    return 4 * exp(-2 * abs(x)) / (1 + exp(-2 * abs(x))) ** 2


def normal(x):
    return erfc(-x / sqrt(mpf(2))) / 2


SCALE = mpf("1.0507009873554804934193349852946")
ALPHA = mpf("1.6732632423543772848170429916717")
CUBE = mpf("0.044715")


def inner(x):
    return sqrt(2 / pi) * (x + CUBE * x**3)


def gelu_tanh_slope(x):
    growth = sqrt(2 / pi) * (1 + 3 * CUBE * x * x)
    return sigmoid(2 * inner(x)) + x / 2 * sech2(inner(x)) * growth


def hard_swish_slope(x):
    return x / 3 + mpf(1) / 2 if abs(x) < 3 else mpf(x >= 3)


# Name, function, slope, and for sizes at which exponentials are 0 the same for large and for negative arguments.
ONE, NONE = (lambda x: mpf(1)), (lambda x: mpf(0))
SAME = lambda x: x
ACTIVATIONS = [
    ("relu", lambda x: max(x, mpf(0)), lambda x: mpf(x > 0), None),
    ("sigmoid", sigmoid, lambda x: sigmoid(x) * sigmoid(-x), (ONE, NONE, NONE, NONE)),
    ("softplus", softplus, sigmoid, (SAME, ONE, NONE, NONE)),
    ("log_sigmoid", lambda x: -softplus(-x), lambda x: sigmoid(-x), (NONE, NONE, SAME, ONE)),
    ("silu", lambda x: x * sigmoid(x), lambda x: sigmoid(x) + x * sigmoid(x) * sigmoid(-x), (SAME, ONE, NONE, NONE)),
    (
        "mish",
        lambda x: x * tanh(softplus(x)),
        lambda x: tanh(softplus(x)) + x * sech2(softplus(x)) * sigmoid(x),
        (SAME, ONE, NONE, NONE),
    ),
    (
        "gelu",
        lambda x: x * normal(x),
        lambda x: normal(x) + x * exp(-x * x / 2) / sqrt(2 * pi),
        (SAME, ONE, NONE, NONE),
    ),
    ("gelu_tanh", lambda x: x * sigmoid(2 * inner(x)), gelu_tanh_slope, (SAME, ONE, NONE, NONE)),
    ("softsign", lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2, None),
    ("hard_tanh", lambda x: min(max(x, mpf(-1)), mpf(1)), lambda x: mpf(abs(x) < 1), None),
    ("hard_sigmoid", lambda x: cut(x / 6 + mpf(1) / 2), lambda x: mpf(abs(x) < 3) / 6, None),
    ("hard_swish", lambda x: x * cut(x / 6 + mpf(1) / 2), hard_swish_slope, None),
    (
        "selu",
        lambda x: SCALE * (x if x > 0 else ALPHA * expm1(x)),
        lambda x: SCALE * (1 if x > 0 else ALPHA * exp(x)),
        (lambda x: SCALE * x, lambda x: SCALE, lambda x: -SCALE * ALPHA, NONE),
    ),
    ("leaky_relu", lambda x: x if x > 0 else x * mpf(0.01), lambda x: mpf(1) if x > 0 else mpf(0.01), None),
    (
        "elu",
        lambda x: x if x > 0 else expm1(x),
        lambda x: mpf(1) if x > 0 else exp(x),
        (SAME, ONE, lambda x: mpf(-1), NONE),
    ),
]

SIZES = [1e-300, 1e-30, 2.0**-20, 0.5, 2.5, 10.0, 40.0, 100.0, 1000.0, 2e19, 3.4028234663852886e38, 1e154]
SIZES.append(1.7976931348623157e308)

print("# The activations and their slopes: name, x, value, slope. Written by values.py beside this file.")
for name, function, slope, limits in ACTIVATIONS:
    for x in SIZES + [-size for size in SIZES]:
        value, derivative = function, slope
        if limits and abs(x) > 1e4:
            value, derivative = limits[:2] if x > 0 else limits[2:]
        print(name, repr(x), repr(float(value(mpf(x)))), repr(float(derivative(mpf(x)))))
