//! The test problems of Moré, Garbow and Hillstrom, "Testing unconstrained optimization software" (ACM Transactions on
//! Mathematical Software 7, 1981), as graphs: sums of the squares of residuals, with their numbers in the paper, the
//! standard starts, and the minima that the paper gives.
//!
//! The residuals of number 11 are the corrected ones; the paper misprints them.

use gradus_graph::{Graph, Tensor, Var};

/// One problem.
pub(crate) struct Problem {
    pub(crate) name: &'static str,
    /// The standard start.
    pub(crate) start: Vec<f64>,
    /// The residuals at a point.
    pub(crate) residuals: Residuals,
    /// The least sum of squares.
    pub(crate) minimum: f64,
    /// Other values at which a method may end, and what is there.
    pub(crate) others: &'static [(f64, &'static str)],
    /// Whether the literature also starts ten times as far.
    pub(crate) far: bool,
}

pub(crate) type Residuals = Box<dyn for<'g> Fn(Var<'g>) -> Var<'g>>;

impl Problem {
    /// The standard start times a factor; a start at zero is moved to the factor itself, as MINPACK's tests do.
    pub(crate) fn start(&self, factor: f64) -> Tensor<f64> {
        let zero = self.start.iter().all(|&x| x == 0.0);
        let scaled = |x: &f64| if zero && factor != 1.0 { factor } else { factor * x };
        Tensor::from(self.start.iter().map(scaled).collect::<Vec<f64>>())
    }

    fn far(mut self) -> Self {
        self.far = true;
        self
    }

    fn others(mut self, others: &'static [(f64, &'static str)]) -> Self {
        self.others = others;
        self
    }
}

fn problem(
    name: &'static str,
    start: impl Into<Vec<f64>>,
    minimum: f64,
    residuals: impl for<'g> Fn(Var<'g>) -> Var<'g> + 'static,
) -> Problem {
    Problem { name, start: start.into(), residuals: Box::new(residuals), minimum, others: &[], far: false }
}

/// All problems, in the paper's order.
pub(crate) fn all() -> Vec<Problem> {
    let mut list = small();
    list.extend(fits());
    list.extend(of_any_size());
    list
}

/// Those of two to four unknowns that are formulas.
fn small() -> Vec<Problem> {
    vec![
        problem("1 Rosenbrock", [-1.2, 1.0], 0.0, |x| {
            let [a, b] = unknowns(x);
            join(&[10.0 * (b - a.square()), 1.0 - a])
        })
        .far(),
        problem("2 Freudenstein–Roth", [0.5, -2.0], 0.0, |x| {
            let [a, b] = unknowns(x);
            join(&[a - 13.0 + ((5.0 - b) * b - 2.0) * b, a - 29.0 + ((b + 1.0) * b - 14.0) * b])
        })
        .others(&[(48.984_253_679, "the local minimum 48.9842")])
        .far(),
        problem("3 Powell badly scaled", [0.0, 1.0], 0.0, |x| {
            let [a, b] = unknowns(x);
            join(&[1e4 * a * b - 1.0, (-a).exp() + (-b).exp() - 1.0001])
        }),
        problem("4 Brown badly scaled", [1.0, 1.0], 0.0, |x| {
            let [a, b] = unknowns(x);
            join(&[a - 1e6, b - 2e-6, a * b - 2.0])
        }),
        problem("5 Beale", [1.0, 1.0], 0.0, |x| {
            let [a, b] = unknowns(x);
            join(&[1.5 - a * (1.0 - b), 2.25 - a * (1.0 - b.square()), 2.625 - a * (1.0 - b.powi(3))])
        }),
        problem("6 Jennrich–Sampson", [0.3, 0.4], 124.362_182_356, |x| {
            let [a, b] = unknowns(x);
            let i = numbers(x, 1..=10, |i| i);
            2.0 + 2.0 * i - ((i * a).exp() + (i * b).exp())
        })
        .others(&[(259.580_189_77, "the line x₁ = x₂, where gradients stay")]),
        problem("7 Helical valley", [-1.0, 0.0, 0.0], 0.0, |x| {
            let [a, b, c] = unknowns(x);
            let turns = (b / a).atan() / std::f64::consts::TAU + 0.5 * a.less(0.0);
            join(&[10.0 * (c - 10.0 * turns), 10.0 * ((a.square() + b.square()).sqrt() - 1.0), c])
        })
        .far(),
        problem("13 Powell singular", [3.0, -1.0, 0.0, 1.0], 0.0, |x| {
            let [a, b, c, d] = unknowns(x);
            let (five, ten) = (5.0_f64.sqrt(), 10.0_f64.sqrt());
            join(&[a + 10.0 * b, five * (c - d), (b - 2.0 * c).square(), ten * (a - d).square()])
        })
        .far(),
        problem("14 Wood", [-3.0, -1.0, -3.0, -1.0], 0.0, |x| {
            let [a, b, c, d] = unknowns(x);
            let (ninety, ten) = (90.0_f64.sqrt(), 10.0_f64.sqrt());
            let valleys = [10.0 * (b - a.square()), 1.0 - a, ninety * (d - c.square()), 1.0 - c];
            join(&[&valleys[..], &[ten * (b + d - 2.0), (b - d) / ten]].concat())
        }),
    ]
}

/// Those that fit a formula to data.
fn fits() -> Vec<Problem> {
    vec![
        problem("8 Bard", [1.0, 1.0, 1.0], 8.214_877_31e-3, |x| {
            let [a, b, c] = unknowns(x);
            let u = numbers(x, 1..=15, |i| i);
            let (v, w) = (16.0 - u, numbers(x, 1..=15, |i| i.min(16.0 - i)));
            data(x, &BARD) - (a + u / (v * b + w * c))
        })
        .others(&[(17.428_692_8, "17.4286, at infinity")])
        .far(),
        problem("9 Gaussian", [0.4, 1.0, 0.0], 1.127_932_77e-8, |x| {
            let [a, b, c] = unknowns(x);
            let t = numbers(x, 1..=15, |i| (8.0 - i) / 2.0);
            a * (-b * (t - c).square() / 2.0).exp() - data(x, &GAUSSIAN)
        }),
        problem("10 Meyer", [0.02, 4000.0, 250.0], 87.945_855_2, |x| {
            let [a, b, c] = unknowns(x);
            let t = numbers(x, 1..=16, |i| 45.0 + 5.0 * i);
            a * (b / (t + c)).exp() - data(x, &MEYER)
        }),
        problem("11 Gulf", [5.0, 2.5, 0.15], 0.0, |x| {
            let [a, b, c] = unknowns(x);
            let t = numbers(x, 1..=99, |i| i / 100.0);
            let y = numbers(x, 1..=99, |i| 25.0 + (-50.0 * (i / 100.0).ln()).powf(2.0 / 3.0));
            (-(y - b).abs().pow(c) / a).exp() - t
        })
        .others(&[(3.853_5e-2, "flat ground at 0.0385"), (6.652_7, "flat ground at 6.65")]),
        problem("12 Box", [0.0, 10.0, 20.0], 0.0, |x| {
            let [a, b, c] = unknowns(x);
            let t = numbers(x, 1..=10, |i| i / 10.0);
            (-t * a).exp() - (-t * b).exp() - c * ((-t).exp() - (-10.0 * t).exp())
        })
        .others(&[(7.558_868e-2, "flat ground at infinity")]),
        problem("15 Kowalik–Osborne", [0.25, 0.39, 0.415, 0.39], 3.075_056_038e-4, |x| {
            let [a, b, c, d] = unknowns(x);
            let [y, u] = KOWALIK.map(|column| data(x, &column));
            y - a * (u.square() + u * b) / (u.square() + u * c + d)
        })
        .others(&[(1.027_345_8e-3, "1.02734e-3, at infinity"), (1.794_536e-3, "a local minimum of 1.79e-3")])
        .far(),
        problem("16 Brown–Dennis", [25.0, 5.0, -5.0, -1.0], 85_822.201_626, |x| {
            let [a, b, c, d] = unknowns(x);
            let t = numbers(x, 1..=20, |i| i / 5.0);
            (a + t * b - t.exp()).square() + (c + d * t.sin() - t.cos()).square()
        })
        .far(),
        problem("17 Osborne 1", [0.5, 1.5, -1.0, 0.01, 0.02], 5.464_894_697e-5, |x| {
            let [a, b, c, d, e] = unknowns(x);
            let t = numbers(x, 1..=33, |i| 10.0 * (i - 1.0));
            data(x, &OSBORNE_1) - (a + b * (-t * d).exp() + c * (-t * e).exp())
        })
        .others(&[(1.106_034_9, "flat ground at 1.106")]),
        problem("18 Biggs EXP6", [1.0, 2.0, 1.0, 1.0, 1.0, 1.0], 0.0, |x| {
            let [a, b, c, d, e, f] = unknowns(x);
            let t = numbers(x, 1..=13, |i| i / 10.0);
            let y = (-t).exp() - 5.0 * (-10.0 * t).exp() + 3.0 * (-4.0 * t).exp();
            c * (-t * a).exp() - d * (-t * b).exp() + f * (-t * e).exp() - y
        })
        .others(&[(5.655_649_93e-3, "the local minimum 5.65565e-3"), (0.306_366_77, "flat ground at 0.306")]),
        problem("19 Osborne 2", [1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5], 4.013_773_63e-2, |x| {
            let p: [Var<'_>; 11] = unknowns(x);
            let t = numbers(x, 1..=65, |i| (i - 1.0) / 10.0);
            let hill = |k: usize| p[k] * (-(t - p[k + 7]).square() * p[k + 4]).exp();
            data(x, &OSBORNE_2) - (p[0] * (-t * p[4]).exp() + hill(1) + hill(2) + hill(3))
        })
        .others(&[(1.789_813_6, "the local minimum 1.78981")]),
    ]
}

/// Those with as many unknowns as one likes.
fn of_any_size() -> Vec<Problem> {
    vec![
        problem("20 Watson, n = 6", [0.0; 6], 2.287_670_05e-3, watson).far(),
        problem("20 Watson, n = 9", [0.0; 9], 1.399_760_138e-6, watson).far(),
        problem("20 Watson, n = 12", [0.0; 12], 4.722_381_1e-10, watson),
        problem("21 Extended Rosenbrock, n = 10", [-1.2, 1.0].repeat(5), 0.0, |x| {
            let [odd, even] = interleaved(x);
            join(&[10.0 * (even - odd.square()), 1.0 - odd])
        })
        .far(),
        problem("22 Extended Powell, n = 12", [3.0, -1.0, 0.0, 1.0].repeat(3), 0.0, |x| {
            let [a, b, c, d] = interleaved(x);
            let (five, ten) = (5.0_f64.sqrt(), 10.0_f64.sqrt());
            join(&[a + 10.0 * b, five * (c - d), (b - 2.0 * c).square(), ten * (a - d).square()])
        })
        .far(),
        problem("23 Penalty I, n = 4", counted(4, |i| i), 2.249_977_5e-5, penalty_1),
        problem("23 Penalty I, n = 10", counted(10, |i| i), 7.087_651_5e-5, penalty_1),
        problem("24 Penalty II, n = 4", [0.5; 4], 9.376_293_e-6, penalty_2),
        problem("24 Penalty II, n = 10", [0.5; 10], 2.936_605_e-4, penalty_2),
        problem("25 Variably dimensioned, n = 10", counted(10, |i| 1.0 - i / 10.0), 0.0, |x| {
            let weighted = (numbers(x, 1..=10, |i| i) * (x - 1.0)).sum_keep(0);
            join(&[x - 1.0, weighted, weighted.square()])
        }),
        problem("26 Trigonometric, n = 10", [0.1; 10], 0.0, |x| {
            let i = numbers(x, 1..=10, |i| i);
            10.0 - x.cos().sum_keep(0) + i * (1.0 - x.cos()) - x.sin()
        })
        .others(&[(2.795_056_e-5, "the local minimum 2.79506e-5")]),
        problem("27 Brown almost linear, n = 10", [0.5; 10], 0.0, |x| {
            let head = x.slice(0, None, 9);
            join(&[head + x.sum_keep(0) - 11.0, x.prod_keep(0) - 1.0])
        })
        .others(&[(1.0, "the local minimum 1 at (0, …, 0, n + 1)")])
        .far(),
        problem("28 Discrete boundary value, n = 10", counted(10, between), 0.0, |x| {
            let (t, h) = (numbers(x, 1..=10, |i| i / 11.0), 1.0 / 11.0);
            2.0 * x - shifted(x, 1) - shifted(x, -1) + h * h / 2.0 * (x + t + 1.0).powi(3)
        })
        .far(),
        problem("29 Discrete integral, n = 10", counted(10, between), 0.0, |x| {
            let t = numbers(x, 1..=10, |i| i / 11.0);
            let cubes = (x + t + 1.0).powi(3);
            let (up_to, all) = ((t * cubes).cumsum(0), (1.0 - t) * cubes);
            x + ((1.0 - t) * up_to + t * (all.sum_keep(0) - all.cumsum(0))) / 22.0
        })
        .far(),
        problem("30 Broyden tridiagonal, n = 10", [-1.0; 10], 0.0, |x| {
            (3.0 - 2.0 * x) * x - shifted(x, 1) - 2.0 * shifted(x, -1) + 1.0
        })
        .far(),
        problem("31 Broyden banded, n = 10", [-1.0; 10], 0.0, |x| {
            let y = x * (1.0 + x);
            let before = (1..=5).map(|by| shifted(y, by)).fold(shifted(y, -1), |sum, next| sum + next);
            x * (2.0 + 5.0 * x.square()) + 1.0 - before
        })
        .others(&[(2.680_22, "a local minimum of 2.68022 that the paper does not list")])
        .far(),
        problem("32 Linear, full rank, n = 5, m = 10", [1.0; 5], 5.0, |x| {
            let mean = 2.0 / 10.0 * x.sum_keep(0) + 1.0;
            join(&[x - mean, -mean.broadcast_to([5])])
        }),
        problem("33 Linear, rank 1, n = 5, m = 10", [1.0; 5], 10.0 * 9.0 / (2.0 * 21.0), |x| {
            numbers(x, 1..=10, |i| i) * (numbers(x, 1..=5, |j| j) * x).sum_keep(0) - 1.0
        }),
        problem("34 Linear, rank 1, zeros, n = 5, m = 10", [1.0; 5], 124.0 / (2.0 * 17.0), |x| {
            let factor = |i: f64| if i < 10.0 { i - 1.0 } else { 0.0 };
            let weight = |j: f64| if j > 1.0 && j < 5.0 { j } else { 0.0 };
            numbers(x, 1..=10, factor) * (numbers(x, 1..=5, weight) * x).sum_keep(0) - 1.0
        }),
        problem("35 Chebyquad, n = 8", counted(8, |i| i / 9.0), 3.516_873_73e-3, chebyquad),
        problem("35 Chebyquad, n = 9", counted(9, |i| i / 10.0), 0.0, chebyquad),
        problem("35 Chebyquad, n = 10", counted(10, |i| i / 11.0), 6.503_954_8e-3, chebyquad)
            .others(&[(4.772_713_7e-3, "a lower minimum than the paper's")]),
    ]
}

fn watson(x: Var<'_>) -> Var<'_> {
    let (graph, n) = (x.graph(), x.shape()[0]);
    let power = |row: usize, k: i32| ((row + 1) as f64 / 29.0).powi(k);
    let slopes = Tensor::from_fn([29, n], |k| match (k / n, k % n) {
        (_, 0) => 0.0,
        (row, j) => j as f64 * power(row, j as i32 - 1),
    });
    let powers = Tensor::from_fn([29, n], |k| power(k / n, (k % n) as i32));
    let fit = graph.constant(&slopes).matmul(x) - graph.constant(&powers).matmul(x).square() - 1.0;
    let (a, b) = (x.slice(0, 0, 1), x.slice(0, 1, 2));
    join(&[fit, a, b - a.square() - 1.0])
}

fn penalty_1(x: Var<'_>) -> Var<'_> {
    join(&[1e-5_f64.sqrt() * (x - 1.0), x.square().sum_keep(0) - 0.25])
}

fn penalty_2(x: Var<'_>) -> Var<'_> {
    let n = x.shape()[0];
    let weight = 1e-5_f64.sqrt();
    let e = (x / 10.0).exp();
    let (later, earlier) = (e.slice(0, 1, None), e.slice(0, None, n as isize - 1));
    let y = numbers(x, 2..=n, |i| (i / 10.0).exp() + ((i - 1.0) / 10.0).exp());
    let whole = (numbers(x, 1..=n, |j| n as f64 - j + 1.0) * x.square()).sum_keep(0) - 1.0;
    let first = x.slice(0, 0, 1) - 0.2;
    join(&[first, weight * (later + earlier - y), weight * (later - (-0.1_f64).exp()), whole])
}

/// `fᵢ = (1/n)·Σⱼ Tᵢ(xⱼ) − ∫₀¹ Tᵢ`, with the Chebyshev polynomials moved to [0, 1].
fn chebyquad(x: Var<'_>) -> Var<'_> {
    let n = x.shape()[0];
    let y = 2.0 * x - 1.0;
    let (mut before, mut now) = (x.graph().ones([n]), y);
    let mut residuals = Vec::new();
    for i in 1..=n {
        let integral = if i % 2 == 0 { -1.0 / (i * i - 1) as f64 } else { 0.0 };
        residuals.push(now.sum_keep(0) / n as f64 - integral);
        (before, now) = (now, 2.0 * y * now - before);
    }
    join(&residuals)
}

/// `t(t − 1)` at the points of a grid of ten.
fn between(i: f64) -> f64 {
    i / 11.0 * (i / 11.0 - 1.0)
}

fn counted(n: usize, value: impl Fn(f64) -> f64) -> Vec<f64> {
    (1..=n).map(|i| value(i as f64)).collect()
}

fn unknowns<const N: usize>(x: Var<'_>) -> [Var<'_>; N] {
    std::array::from_fn(|i| x.slice(0, i as isize, i as isize + 1))
}

/// Every Nth element, from the first, the second, ….
fn interleaved<const N: usize>(x: Var<'_>) -> [Var<'_>; N] {
    let rows = x.reshape([x.shape()[0] / N, N]);
    std::array::from_fn(|i| rows.slice(1, i as isize, i as isize + 1).squeeze(1))
}

/// The vector moved up by n indices, with zeros at the ends.
fn shifted(x: Var<'_>, by: isize) -> Var<'_> {
    let (n, far) = (x.shape()[0] as isize, by.unsigned_abs());
    if by > 0 { x.slice(0, None, n - by).pad(0, far, 0) } else { x.slice(0, -by, None).pad(0, 0, far) }
}

fn join<'g>(parts: &[Var<'g>]) -> Var<'g> {
    parts[0].graph().concat(parts, 0)
}

fn numbers<'g>(x: Var<'g>, range: std::ops::RangeInclusive<usize>, value: impl Fn(f64) -> f64) -> Var<'g> {
    data(x, &range.map(|i| value(i as f64)).collect::<Vec<f64>>())
}

fn data<'g>(x: Var<'g>, values: &[f64]) -> Var<'g> {
    let graph: &'g Graph = x.graph();
    graph.constant(&Tensor::from_slice(values))
}

const BARD: [f64; 15] = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39];

const GAUSSIAN: [f64; 15] = [
    0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989, 0.3521, 0.2420, 0.1295, 0.0540, 0.0175, 0.0044,
    0.0009,
];

const MEYER: [f64; 16] = [
    34_780.0, 28_610.0, 23_650.0, 19_630.0, 16_370.0, 13_720.0, 11_540.0, 9_744.0, 8_261.0, 7_030.0, 6_005.0, 5_147.0,
    4_427.0, 3_820.0, 3_307.0, 2_872.0,
];

const KOWALIK: [[f64; 11]; 2] = [
    [0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246],
    [4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625],
];

const OSBORNE_1: [f64; 33] = [
    0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628, 0.603,
    0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411,
    0.406,
];

const OSBORNE_2: [f64; 65] = [
    1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616, 0.606,
    0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533, 0.495, 0.500, 0.423,
    0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668,
    0.645, 0.632, 0.591, 0.559, 0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098,
    0.054,
];
