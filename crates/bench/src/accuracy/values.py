"""Writes values.txt: elementary functions and their slopes from mpmath, each number rounded once.

    pip install mpmath && python values.py > values.txt
"""

import random

from mpmath import *

mp.dps = 60
HALF = mpf(1) / 2


def sigmoid(x):
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def softplus(x):
    return max(x, mpf(0)) + log1p(exp(-abs(x)))


def normal(x):
    return erfc(-x / sqrt(mpf(2))) / 2


def sech2(x):
    return 4 * exp(-2 * abs(x)) / (1 + exp(-2 * abs(x))) ** 2


def inner(x):
    return sqrt(2 / pi) * (x + mpf("0.044715") * x**3)


def mish_weight(x):
    return tanh(softplus(x)) if x > -30 else exp(x) - exp(2 * x) / 2 - exp(3 * x) / 6


def sinc_slope(x):
    return (cospi(x) - sincpi(x)) / x if abs(x) > mpf("1e-9") else -pi**2 * x / 3


def inverse_erf(x):
    y = sign(x) * sqrt(-log1p(-abs(x))) if abs(x) > 0.9 else x * sqrt(pi) / 2
    for _ in range(60):
        rest = erf(y) - x if abs(x) < 0.5 else sign(x) * ((1 - abs(x)) - erfc(abs(y)))
        step = rest * sqrt(pi) / 2 * exp(y * y)
        y -= step / (1 + y * step)
    return y


S = mpf("1.0507009873554804934193349852946")
A = mpf("1.6732632423543772848170429916717")

# Name, function, slope, and the bounds of the arguments.
FUNCTIONS = [
    ("sqrt", sqrt, lambda x: 1 / (2 * sqrt(x)), 1e-300, 1e300),
    ("rsqrt", lambda x: 1 / sqrt(x), lambda x: -1 / (2 * x * sqrt(x)), 1e-200, 1e200),
    ("recip", lambda x: 1 / x, lambda x: -1 / x**2, -1e150, 1e150),
    ("exp", exp, exp, -700, 709),
    ("exp_m1", expm1, exp, -700, 709),
    ("exp2", lambda x: mpf(2) ** x, lambda x: log(2) * mpf(2) ** x, -1000, 1023),
    ("ln", log, lambda x: 1 / x, 1e-300, 1e300),
    ("ln_1p", log1p, lambda x: 1 / (1 + x), -0.9999, 1e300),
    ("log2", lambda x: log(x) / log(2), lambda x: 1 / (x * log(2)), 1e-300, 1e300),
    ("log10", log10, lambda x: 1 / (x * log(10)), 1e-300, 1e300),
    ("sin", sin, cos, -1e10, 1e10),
    ("cos", cos, lambda x: -sin(x), -1e10, 1e10),
    ("tan", tan, lambda x: 1 + tan(x) ** 2, -1e10, 1e10),
    ("asin", asin, lambda x: 1 / sqrt(1 - x * x), -1, 1),
    ("acos", acos, lambda x: -1 / sqrt(1 - x * x), -1, 1),
    ("atan", atan, lambda x: 1 / (1 + x * x), -1e150, 1e150),
    ("sinh", sinh, cosh, -700, 700),
    ("cosh", cosh, sinh, -700, 700),
    ("tanh", tanh, sech2, -300, 300),
    ("asinh", asinh, lambda x: 1 / sqrt(1 + x * x), -1e300, 1e300),
    ("acosh", acosh, lambda x: 1 / sqrt(x * x - 1), 1.0001, 1e300),
    ("atanh", atanh, lambda x: 1 / (1 - x * x), -1, 1),
    ("erf", erf, lambda x: 2 / sqrt(pi) * exp(-x * x), -26, 26),
    ("erfc", erfc, lambda x: -2 / sqrt(pi) * exp(-x * x), -26, 26),
    ("erfinv", inverse_erf, lambda x: sqrt(pi) / 2 * exp(inverse_erf(x) ** 2), -1, 1),
    ("lgamma", loggamma, digamma, 1e-300, 1e300),
    ("digamma", digamma, lambda x: polygamma(1, x), 1e-150, 1e300),
    ("sinc", sincpi, sinc_slope, -1e5, 1e5),
    ("logit", lambda x: log(x / (1 - x)), lambda x: 1 / (x * (1 - x)), 1e-300, 1),
    ("sigmoid", sigmoid, lambda x: sigmoid(x) * sigmoid(-x), -700, 700),
    ("softplus", softplus, sigmoid, -700, 1e300),
    ("softplus_slope", sigmoid, lambda x: sigmoid(x) * sigmoid(-x), -700, 700),
    ("log_sigmoid", lambda x: -softplus(-x), lambda x: sigmoid(-x), -1e300, 700),
    ("silu", lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), -690, 1e300),
    (
        "mish",
        lambda x: x * mish_weight(x),
        lambda x: mish_weight(x) + x * sech2(softplus(x)) * sigmoid(x),
        -690,
        1e300,
    ),
    ("gelu", lambda x: x * normal(x), lambda x: normal(x) + x * exp(-x * x / 2) / sqrt(2 * pi), -36, 1e300),
    (
        "gelu_tanh",
        lambda x: x * sigmoid(2 * inner(x)),
        lambda x: sigmoid(2 * inner(x))
        + x / 2 * sech2(inner(x)) * sqrt(2 / pi) * (1 + 3 * mpf("0.044715") * x * x),
        -20,
        1e100,
    ),
    ("softsign", lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2, -1e150, 1e150),
    ("elu", lambda x: x if x > 0 else expm1(x), lambda x: mpf(1) if x > 0 else exp(x), -700, 1e300),
    (
        "selu",
        lambda x: S * (x if x > 0 else A * expm1(x)),
        lambda x: S if x > 0 else S * A * exp(x),
        -700,
        1e300,
    ),
]

# Functions of two numbers: name, function, slopes, and the bounds of the arguments.
PAIRS = [
    ("pow", lambda a, b: a**b, lambda a, b: b * a ** (b - 1), lambda a, b: log(a) * a**b, (1e-300, 1e300), (-700, 700)),
    (
        "atan2",
        atan2,
        lambda a, b: b / (a * a + b * b),
        lambda a, b: -a / (a * a + b * b),
        (-1e300, 1e300),
        (-1e300, 1e300),
    ),
    (
        "hypot",
        lambda a, b: sqrt(a * a + b * b),
        lambda a, b: a / sqrt(a * a + b * b),
        lambda a, b: b / sqrt(a * a + b * b),
        (-1e300, 1e300),
        (-1e300, 1e300),
    ),
    (
        "logaddexp",
        lambda a, b: max(a, b) + softplus(-abs(a - b)),
        lambda a, b: sigmoid(a - b),
        lambda a, b: sigmoid(b - a),
        (-350, 350),
        (-350, 350),
    ),
    ("xlogy", lambda a, b: a * log(b), lambda a, b: log(b), lambda a, b: a / b, (-1e150, 1e150), (1e-150, 1e150)),
]
COUNT = 64


def rounded(x):
    try:
        return repr(float(re(x)))
    except OverflowError:
        return "inf"


def arguments(low, high, seed=1):
    """Numbers of every size between two, of either sign, more of those that are neither small nor large."""
    draw = random.Random(seed)
    while True:
        size = 2.0 ** draw.choice([draw.uniform(-6, 6), draw.uniform(-40, 40), draw.uniform(-1000, 1000)])
        for x in [size, -size, 1 - size, size - 1, 1 + size]:
            if low < x < high and x != 0:
                yield x


print("# Function, x, value, slope, rounded from 60 digits. Written by values.py beside this file.")
for name, function, slope, low, high in FUNCTIONS:
    places = arguments(low, high)
    for _ in range(COUNT):
        x = next(places)
        print(name, repr(x), *(rounded(f(mpf(x))) for f in (function, slope)))
for name, function, slope, other, first, second in PAIRS:
    places = zip(arguments(*first), arguments(*second, seed=2))
    for _ in range(COUNT):
        a, b = next(places)
        print(name, repr(a), repr(b), *(rounded(f(mpf(a), mpf(b))) for f in (function, slope, other)))
