//! A cotangent of 0 gives 0 whatever the slope: no NaN comes of a branch that was not taken.

use gradus_graph::{Graph, Tensor, Var};

/// The gradient of the sum of what is made of `x`, and that of its square, which asks for second derivatives on the
/// way.
fn slopes(x: &[f64], build: impl for<'g> Fn(Var<'g>) -> Var<'g>) -> (Vec<f64>, Vec<f64>) {
    let graph = Graph::new();
    let x = graph.constant(&Tensor::from_slice(x));
    let first = graph.grad(build(x).sum(), &[x]).unwrap()[0];
    let tangent = graph.jvp(&[build(x)], &[x], &[graph.ones(x.shape())]).unwrap()[0];
    // Of one element each: forward mode sees what reverse mode does.
    let (first, tangent) = (graph.eval(first).unwrap().into_vec(), graph.eval(tangent).unwrap().into_vec());
    (first, tangent)
}

#[test]
fn branches_that_were_not_taken() {
    let both = |x: &[f64], expected: &[f64], build: fn(Var<'_>) -> Var<'_>| {
        let (reverse, forward) = slopes(x, build);
        assert_eq!(reverse, expected, "reverse mode at {x:?}");
        assert_eq!(forward, expected, "forward mode at {x:?}");
    };
    both(&[-1.0, 4.0], &[1.0, 0.25], |x| x.greater(0.0).where_(x.sqrt(), x));
    both(&[-1.0, 0.0, 1.0], &[0.0, 0.0, 1.0], |x| x.greater(0.0).where_(x.ln(), 0.0));
    both(&[0.0, 2.0], &[0.0, -0.25], |x| x.not_equal(0.0).where_(x.recip(), 0.0));
    both(&[0.0, 2.0], &[0.0, -0.25], |x| x.not_equal(0.0).where_(1.0 / x, 0.0));
    both(&[1000.0, 0.0], &[0.0, 1.0], |x| x.exp().clamp(f64::NEG_INFINITY, 1e9));
    both(&[0.0, 1.0], &[0.0, 0.0], |x| (x * 0.0).sqrt());
    both(&[0.0, 1.0], &[0.0, 1.0], |x| x.greater(0.0).where_(x.powf(0.5).square(), 0.0));
    both(&[f64::INFINITY, 1.0], &[0.0, 1.0], |x| x.is_finite().where_(x * x.sin() / x.sin(), 0.0));
}

#[test]
fn vectors_that_are_cut_to_length() {
    let graph = Graph::new();
    for (x, expected) in [([0.0, 0.0], [1.0, 1.0]), ([0.3, 0.4], [1.0, 1.0])] {
        let x = graph.constant(&Tensor::from(x));
        let cut = x * x.norm().recip().minimum(1.0);
        let slope = graph.grad(cut.sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().data(), expected);
    }
}

#[test]
fn scores_that_are_masked() {
    let graph = Graph::new();
    let scores = graph.constant(&Tensor::from_rows([[1.0, f64::INFINITY, 2.0], [f64::NAN, 0.5, f64::NEG_INFINITY]]));
    let mask = graph.constant(&Tensor::from_rows([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]));
    let weights = mask.where_(scores * 2.0, f64::NEG_INFINITY).softmax(-1);
    let slope = graph.grad((weights * weights).sum(), &[scores]).unwrap()[0];
    let slope = graph.eval(slope).unwrap();
    assert!(slope.first_non_finite().is_none(), "{slope}");
    assert_eq!([slope.at(&[0, 1]), slope.at(&[1, 0])], [0.0, 0.0]);
}

#[test]
fn extremes_choose() {
    let graph = Graph::new();
    let x = graph.constant(&Tensor::from([0.0, -1.0]));
    for (y, expected) in [
        (x.max().sqrt(), [f64::INFINITY, 0.0]),
        ((-x).min().abs().sqrt(), [0.0, 0.0]),
        (x.maximum(-1.0).slice(0, 0, 1).sqrt().sum(), [f64::INFINITY, 0.0]),
    ] {
        let slope = graph.grad(y, &[x]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().data(), expected, "{y:?}");
    }
    let broken = graph.constant(&Tensor::from([1.0, f64::NAN, -3.0, f64::NAN]));
    for places in [broken.argmax(0), broken.argmin(0)] {
        assert_eq!(graph.eval(places.to_real()).unwrap().item(), 1.0);
    }
}

#[test]
fn what_is_not_a_number_among_the_values_stays() {
    let (reverse, _) = slopes(&[f64::NAN, 1.0], |x| x.square());
    assert!(reverse[0].is_nan() && reverse[1] == 2.0);
    let (reverse, _) = slopes(&[-1.0], |x| x.sqrt());
    assert!(reverse[0].is_nan());
    let graph = Graph::new();
    let zero_times_nan = graph.scalar(0.0) * graph.scalar(f64::NAN);
    assert!(graph.eval(zero_times_nan).unwrap().item().is_nan());
    let (nan, zero) = (graph.scalar(f64::NAN), graph.scalar(0.0));
    assert!(graph.eval(nan.cotangent_times(zero)).unwrap().item().is_nan());
    assert_eq!(graph.eval(zero.cotangent_times(nan)).unwrap().item(), 0.0);
}
