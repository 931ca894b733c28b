//! Nonlinear fits of NIST's Statistical Reference Datasets (https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml)
//! from both of their starts: Lanczos1, whose least sum of squares is all rounding, and MGH10, whose parameters differ
//! by a factor of a million.
//!
//! Data, starts and certified values are NIST's, compared with the files `Lanczos1.dat` and `MGH10.dat`.

use gradus_graph::{Param, Params, Tensor};
use gradus_minimize::{
    Beta, ConjugateGradient, GaussNewton, Lbfgs, LevenbergMarquardt, Limits, Minimization, NewtonCg, Slope,
};

/// A model, its data, starts, certified parameters and certified sum of squares.
struct Fit {
    x: fn(usize) -> f64,
    y: &'static [f64],
    /// The value at `x` and its derivatives by the parameters.
    model: fn(&[f64], f64) -> (f64, Vec<f64>),
    starts: [&'static [f64]; 2],
    certified: &'static [f64],
    squares: f64,
}

/// `b₁·e^(−b₂x) + b₃·e^(−b₄x) + b₅·e^(−b₆x)`
const LANCZOS1: Fit = Fit {
    x: |i| 0.05 * i as f64,
    y: &[
        2.513400000000,
        2.044333373291,
        1.668404436564,
        1.366418021208,
        1.123232487372,
        0.9268897180037,
        0.7679338563728,
        0.6388775523106,
        0.5337835317402,
        0.4479363617347,
        0.3775847884350,
        0.3197393199326,
        0.2720130773746,
        0.2324965529032,
        0.1996589546065,
        0.1722704126914,
        0.1493405660168,
        0.1300700206922,
        0.1138119324644,
        0.1000415587559,
        0.08833209084540,
        0.07833544019350,
        0.06976693743449,
        0.06239312536719,
    ],
    model: |b, x| {
        let pairs = b.chunks(2).map(|pair| (pair[0], (-pair[1] * x).exp()));
        let slopes = pairs.clone().flat_map(|(size, decay)| [decay, -size * x * decay]);
        (pairs.clone().map(|(size, decay)| size * decay).sum(), slopes.collect())
    },
    starts: [&[1.2, 0.3, 5.6, 5.5, 6.5, 7.6], &[0.5, 0.7, 3.6, 4.2, 4.0, 6.3]],
    certified: &[9.5100000027e-2, 1.0000000001, 8.6070000013e-1, 3.0000000002, 1.5575999998, 5.0000000001],
    squares: 1.4307867721e-25,
};

/// `b₁·e^(b₂/(x + b₃))`
const MGH10: Fit = Fit {
    x: |i| 50.0 + 5.0 * i as f64,
    y: &[
        34780.0, 28610.0, 23650.0, 19630.0, 16370.0, 13720.0, 11540.0, 9744.0, 8261.0, 7030.0, 6005.0, 5147.0, 4427.0,
        3820.0, 3307.0, 2872.0,
    ],
    model: |b, x| {
        let inverse = 1.0 / (x + b[2]);
        let growth = (b[1] * inverse).exp();
        let value = b[0] * growth;
        (value, vec![growth, value * inverse, -value * b[1] * inverse * inverse])
    },
    starts: [&[2.0, 400_000.0, 25_000.0], &[0.02, 4000.0, 250.0]],
    certified: &[5.6096364710e-3, 6181.3463463, 345.22363462],
    squares: 87.945855171,
};

impl Fit {
    fn residuals(&self, b: &[f64]) -> Tensor<f64> {
        Tensor::from_fn([self.y.len()], |i| (self.model)(b, (self.x)(i)).0 - self.y[i])
    }

    /// Row by row.
    fn jacobian(&self, b: &[f64]) -> Tensor<f64> {
        let slopes = (0..self.y.len()).flat_map(|i| (self.model)(b, (self.x)(i)).1).collect();
        Tensor::new([self.y.len(), b.len()], slopes)
    }

    /// `J·v`
    fn forward(&self, b: &[f64], v: &[f64]) -> Tensor<f64> {
        let jacobian = self.jacobian(b);
        Tensor::from_fn([self.y.len()], |i| (0..b.len()).map(|k| jacobian.data()[i * b.len() + k] * v[k]).sum())
    }

    /// `Jᵀ·u`
    fn backward(&self, b: &[f64], u: &[f64]) -> Tensor<f64> {
        let jacobian = self.jacobian(b);
        Tensor::from_fn([b.len()], |k| (0..u.len()).map(|i| jacobian.data()[i * b.len() + k] * u[i]).sum())
    }

    fn value(&self, b: &[f64]) -> (f64, Tensor<f64>) {
        let r = self.residuals(b);
        (r.data().iter().map(|r| r * r).sum(), self.backward(b, r.data()).map(|slope| 2.0 * slope))
    }

    fn store(&self, start: usize) -> (Params<f64>, Param) {
        let mut params = Params::new(0);
        let b = params.add("b", Tensor::from_slice(self.starts[start]));
        (params, b)
    }

    fn minimize(&self, method: &str, start: usize, limits: Limits) -> (Minimization, Vec<f64>) {
        let (mut params, b) = self.store(start);
        let at = |params: &Params<f64>| params.get(&b).data().to_vec();
        let (method, scaled) = method.strip_suffix(", scaled").map_or((method, false), |method| (method, true));
        let outcome = match method {
            "levenberg_marquardt" => LevenbergMarquardt::new().limits(limits).minimize(
                &mut params,
                |params| Ok(self.residuals(&at(params))),
                |params, jacobian| {
                    jacobian.set(&b, &self.jacobian(&at(params)));
                    Ok(())
                },
            ),
            "gauss_newton" => either(scaled, GaussNewton::new(), GaussNewton::scaled).limits(limits).minimize(
                &mut params,
                |params| Ok(self.residuals(&at(params))),
                |params, direction| Ok(self.forward(&at(params), direction.get(&b).data())),
                |params, u, slope| {
                    slope.set([(&b, &self.backward(&at(params), u.data()))]);
                    Ok(())
                },
            ),
            _ => {
                let function = |params: &Params<f64>, slope: &mut Slope<'_>| {
                    let (value, gradient) = self.value(&at(params));
                    slope.set([(&b, &gradient)]);
                    Ok(value)
                };
                if method == "lbfgs" {
                    either(scaled, Lbfgs::new(), Lbfgs::scaled).limits(limits).minimize(&mut params, function)
                } else {
                    let method = either(scaled, ConjugateGradient::new(), ConjugateGradient::scaled);
                    method.limits(limits).minimize(&mut params, function)
                }
            }
        };
        (outcome.expect("nothing fails"), params.get(&b).data().to_vec())
    }
}

fn either<M>(scaled: bool, method: M, scale: fn(M) -> M) -> M {
    if scaled { scale(method) } else { method }
}

/// The least sum of squares, to the digits that the certified one has in double precision, and the certified
/// parameters.
fn is_certified(fit: &Fit, (outcome, b): &(Minimization, Vec<f64>), digits: f64) -> bool {
    let far = b.iter().zip(fit.certified).map(|(b, certified)| (b / certified - 1.0).abs()).fold(0.0, f64::max);
    outcome.value <= fit.squares * 1.01 && far < digits
}

#[test]
fn lanczos1_from_both_starts() {
    for start in [0, 1] {
        for method in ["levenberg_marquardt", "gauss_newton", "lbfgs"] {
            let end = LANCZOS1.minimize(method, start, Limits::new());
            assert!(
                end.0.reason.is_converged() && is_certified(&LANCZOS1, &end, 1e-10),
                "{method}, {start}: {}",
                end.0
            );
        }
        // Conjugate gradients do not converge, and report it.
        let end = LANCZOS1.minimize("conjugate_gradient", start, Limits::new()).0;
        assert!(!end.reason.is_converged(), "{end}");
    }
}

#[test]
fn mgh10_from_both_starts() {
    for (method, start) in [
        ("levenberg_marquardt", 0),
        ("levenberg_marquardt", 1),
        ("gauss_newton", 1),
        ("lbfgs", 1),
        ("gauss_newton, scaled", 1),
        ("lbfgs, scaled", 0),
    ] {
        let end = MGH10.minimize(method, start, Limits::new());
        assert!(end.0.reason.is_converged() && is_certified(&MGH10, &end, 1e-7), "{method}, {start}: {}", end.0);
    }
    // These converge, but their test of convergence does not hold.
    for (method, start) in [("gauss_newton, scaled", 0), ("lbfgs, scaled", 1)] {
        let end = MGH10.minimize(method, start, Limits::new());
        assert!(is_certified(&MGH10, &end, 1e-6), "{method}, {start}: {}", end.0);
    }
    // From the first start the others do not converge, and report it.
    for method in ["gauss_newton", "lbfgs", "conjugate_gradient"] {
        let end = MGH10.minimize(method, 0, Limits::new()).0;
        assert!(end.value > 1e8 && !end.reason.is_converged(), "{method}: {end}");
    }
}

/// Rosenbrock's valley plus 1, times `unit`: the value, the gradient and the product of the Hessian with a direction.
fn valley(unit: f64, at: &[f64], v: [f64; 2]) -> (f64, [f64; 2], [f64; 2]) {
    let (a, b) = (at[0], at[1]);
    let value = 1.0 + (1.0 - a).powi(2) + 100.0 * (b - a * a).powi(2);
    let gradient = [-2.0 * (1.0 - a) - 400.0 * a * (b - a * a), 200.0 * (b - a * a)];
    let curvature = 2.0 - 400.0 * (b - 3.0 * a * a);
    let product = [curvature * v[0] - 400.0 * a * v[1], -400.0 * a * v[0] + 200.0 * v[1]];
    (unit * value, gradient.map(|slope| unit * slope), product.map(|slope| unit * slope))
}

/// The same end in other units of the function, also where squares of its gradients leave the range of f64.
#[test]
fn units_change_nothing() {
    let betas = [Beta::FletcherReeves, Beta::PolakRibiere, Beta::HestenesStiefel, Beta::DaiYuan, Beta::HagerZhang];
    for exponent in [-660, -120, 0, 120, 660] {
        let unit = 2.0_f64.powi(exponent);
        for method in 0..2 + betas.len() {
            let mut params: Params<f64> = Params::new(0);
            let x = params.add("x", Tensor::from([-1.2, 1.0]));
            let function = |params: &Params<f64>, slope: &mut Slope<'_>| {
                let (value, gradient, _) = valley(unit, params.get(&x).data(), [0.0; 2]);
                slope.set([(&x, &Tensor::from(gradient))]);
                Ok(value)
            };
            let product = |params: &Params<f64>, direction: &Params<f64>, slope: &mut Slope<'_>| {
                let v = direction.get(&x).data();
                slope.set([(&x, &Tensor::from(valley(unit, params.get(&x).data(), [v[0], v[1]]).2))]);
                Ok(())
            };
            let end = match method {
                0 => Lbfgs::new().minimize(&mut params, function),
                1 => NewtonCg::new().minimize(&mut params, function, product),
                _ => ConjugateGradient::new().beta(betas[method - 2]).minimize(&mut params, function),
            };
            let (end, at) = (end.expect("nothing fails"), params.get(&x).data());
            let converged = end.reason.is_converged() && at.iter().all(|x| (x - 1.0).abs() < 1e-5);
            assert!(converged, "method {method}, 2^{exponent}: {end}, {at:?}");
        }
    }
}
