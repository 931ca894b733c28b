//! Faults that random numbers near 0 do not show: each must be a failure of its own.

use super::tests::Root;
use super::*;
use crate::real::Real;
use crate::tape::op::{Accepts, Call, Derivative, Kinks, Meta, Metas, Number, Op, Pointwise, Signature, Vars};

/// Functions with a fault of one place or range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// `sin(x)/x`, NaN at 0.
    Sinc,
    /// `x³`, whose slope is 1 at 0.
    SlopeAtZero,
    /// `√|x|`, whose slope is infinite at 0.
    RootOfMagnitude,
    /// `√|x|` with a slope that is set to 0 at 0.
    MaskedRootOfMagnitude,
    /// `x³`, whose slope is doubled above 8.
    AboveEight,
    /// `x³`, whose slope is doubled between two numbers.
    Between(Number, Number),
    /// `|x − a|`, whose kink is not stated.
    Kink(Number),
    /// `x` plus 1 beyond `a`.
    Jump(Number),
    /// `eˣ/(1 + eˣ)`, which is ∞/∞ at 710.
    NaiveSigmoid,
    /// `x³`; its second derivative is missing above 8.
    SecondOrderAboveEight,
    /// NaN between 0.31 and 0.3141.
    NanBetween,
    /// `1/x` on all numbers.
    Pole,
}

impl Pointwise for Fault {
    const NAME: &'static str = "fault";

    fn value<T: Real>(&self, x: &[T]) -> T {
        let x = x[0];
        match *self {
            Self::Sinc => x.sin() / x,
            Self::RootOfMagnitude | Self::MaskedRootOfMagnitude => x.abs().sqrt(),
            Self::Kink(a) => (x - T::of(a.0)).abs(),
            Self::Jump(a) => x + if x > T::of(a.0) { T::one() } else { T::zero() },
            Self::NaiveSigmoid => x.exp() / (T::one() + x.exp()),
            Self::NanBetween if x > T::of(0.31) && x < T::of(0.3141) => T::nan(),
            Self::Pole => T::one() / x,
            _ => x * x * x,
        }
    }

    fn slope<'g>(&self, x: &[Var<'g>], y: Var<'g>, _input: usize) -> Var<'g> {
        let x = x[0];
        let cubic = x * x * 3.0;
        match *self {
            Self::Sinc => x.cos() / x - x.sin() / (x * x),
            Self::SlopeAtZero => x.equal(0.0).where_(1.0, cubic),
            Self::RootOfMagnitude => x.sign() * 0.5 / y,
            Self::MaskedRootOfMagnitude => x.equal(0.0).where_(0.0, x.sign() * 0.5 / y),
            Self::AboveEight => x.greater(8.0).where_(cubic * 2.0, cubic),
            Self::Between(a, b) => (x.greater(a.0) * x.less(b.0)).where_(cubic * 2.0, cubic),
            Self::Kink(a) => (x - a.0).sign(),
            Self::Jump(_) => x.graph().ones(x.shape()),
            Self::NaiveSigmoid => y * (1.0 - y),
            Self::SecondOrderAboveEight => x.greater(8.0).where_(cubic.stop_gradient(), cubic),
            Self::NanBetween => cubic,
            Self::Pole => -(y * y),
        }
    }
}

fn failure(fault: Fault) -> Box<Failure> {
    match Check::new().op(fault, [Tensor::from([0.5, -1.25]).into()]) {
        Err(failure) => failure,
        Ok(report) => panic!("{fault:?} passes: {report}"),
    }
}

#[test]
fn nan_within_the_domain_is_a_failure_of_its_own() {
    for (fault, at) in [
        (Fault::Sinc, "at 0.0 it is NaN, and the domain is all numbers"),
        (Fault::NaiveSigmoid, "at 710.0 it is NaN"),
        (Fault::NanBetween, "it is NaN"),
    ] {
        let found = failure(fault);
        assert_eq!((found.method, found.what), (Method::Domain, "the value"), "{found}");
        assert!(found.note.as_ref().is_some_and(|note| note.contains(at)), "{found}");
        assert!(found.to_string().starts_with("the value of `fault` with respect to input 0 is NaN"));
    }
    assert_eq!(failure(Fault::Sinc).point, [Tensor::from([0.0]).into()]);
}

#[test]
fn a_slope_that_is_wrong_at_one_place_or_range_is_found() {
    for (fault, range) in [
        (Fault::SlopeAtZero, 0.0..=0.0),
        (Fault::AboveEight, 8.0..=1e10),
        (Fault::Between(Number(8.0), Number(9.0)), 8.0..=9.0),
        (Fault::Between(Number(0.6), Number(0.61)), 0.6..=0.61),
        (Fault::Between(Number(-302.0), Number(-300.0)), -302.0..=-300.0),
    ] {
        let found = failure(fault);
        assert_eq!((found.method, found.what), (Method::Differences, "the derivative"), "{fault:?}: {found}");
        let AnyTensor::Real(point) = &found.point[0] else { panic!("{found}") };
        assert!(range.contains(&point.data()[0]), "{fault:?}: {found}");
    }
    assert_eq!(failure(Fault::SecondOrderAboveEight).method, Method::SecondOrder);
}

#[test]
fn kinks_and_jumps_that_are_not_stated_are_found_anywhere() {
    for at in [0.7, 0.3141, -2.71, 17.3, -4321.0, 0.0] {
        for fault in [Fault::Kink(Number(at)), Fault::Jump(Number(at))] {
            let found = failure(fault);
            assert_eq!(found.method, Method::Kinks, "{fault:?}: {found}");
            let due = [format!("at {at:?} the "), "and `kinks` does not state it".to_owned()];
            assert!(due.iter().all(|due| found.note.as_ref().is_some_and(|note| note.contains(due))), "{found}");
        }
    }
    for fault in [Fault::RootOfMagnitude, Fault::MaskedRootOfMagnitude, Fault::Pole] {
        let found = failure(fault);
        assert!([Method::Kinks, Method::Domain].contains(&found.method), "{fault:?}: {found}");
        assert_eq!(found.point, [Tensor::from([0.0]).into()], "{found}");
    }
}

#[test]
fn assert_op_finds_them_as_well() {
    for fault in [Fault::Sinc, Fault::AboveEight, Fault::Kink(Number(0.3141))] {
        assert!(std::panic::catch_unwind(|| assert_op(fault)).is_err(), "{fault:?}");
    }
}

#[test]
fn an_input_outside_the_domain_blames_no_rule() {
    let check = |x: f64| {
        Check::new().function(&[Tensor::from([0.5, x])], |x| (x[0].ln() * 2.0).sum()).expect_err("it is outside")
    };
    let outside = check(-1.0).to_string();
    assert!(outside.starts_with("an input of `ln` is outside the domain\n"), "{outside}");
    assert!(outside.contains("input 0 is -1.0 at [1]; the domain is x > 0") && !outside.contains("wrong"), "{outside}");
    assert!(outside.contains("check/blind_spots.rs:"), "{outside}");
    for (given, written) in [(f64::NAN, "f64::NAN"), (f64::INFINITY, "f64::INFINITY")] {
        let failure = check(given);
        let text = failure.to_string();
        assert!(text.starts_with("an input is outside the domain\n") && failure.op.is_none(), "{text}");
        assert!(failure.reproducer.is_none_or(|test| test.contains(written)), "{text}");
    }
    let op =
        Check::new().op(Root { from: Number(0.0) }, [Tensor::from([4.0, -1.0]).into()]).expect_err("it is outside");
    let text = op.to_string();
    assert!(
        text.starts_with("an input of `root` is outside the domain\n") && text.contains("at [1]; the domain is x > 0")
    );
    assert!(op.reproducer.is_some_and(|test| {
        test.contains("check::assert_op_at(Root { from: Number(0.0) }, [Tensor::from([4.0, -1.0]).into()]);")
    }));
}

/// A number outside a domain that a mask takes away is no fault.
#[test]
fn a_masked_number_outside_the_domain_is_accepted() {
    let x = Tensor::from([0.5, -1.0]);
    assert_gradients(&[x], |x| x[0].greater(0.0).where_(x[0].ln(), x[0]).sum());
}

#[test]
fn at_a_kink_the_report_names_op_and_kink() {
    let x = [Tensor::from([0.0, 0.5]), Tensor::from([0.25, 0.5])];
    let report = Check::new().fast().function(&x, |x| (x[0].relu() * x[1].maximum(x[0])).sum());
    let report = report.expect("nothing is wrong").to_string();
    assert!(report.contains("at a kink: `relu` at crates/graph/src/check/blind_spots.rs:"), "{report}");
    assert!(report.contains(": input 0 is 0.0 at [0]"), "{report}");
    assert!(report.contains("`maximum` at") && report.contains(": its inputs are equal at [1]"), "{report}");
}

/// Where two kinks are stated, neither they nor what lies between is reported.
#[test]
fn stated_kinks_are_accepted() {
    #[derive(Debug, PartialEq, Eq, Hash)]
    struct Stairs;

    impl Pointwise for Stairs {
        const NAME: &'static str = "stairs";

        fn value<T: Real>(&self, x: &[T]) -> T {
            (x[0] - T::of(0.7)).abs() + (x[0] - T::of(0.71)).abs()
        }

        fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
            (x[0] - 0.7).sign() + (x[0] - 0.71).sign()
        }

        fn kinks(&self, _input: usize) -> Kinks {
            Kinks::At(vec![(0.7, -1.0), (0.71, 1.0)])
        }
    }
    assert_op_at(Stairs, [Tensor::from([0.5]).into()]);
}

/// The sums of the cubes of the rows, with a slope that is 1 at the given number.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Cubes {
    wrong_at: Number,
}

impl Op for Cubes {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "cubes"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        match inputs[0].shape[..] {
            [rows, _] => Ok(smallvec::smallvec![Meta::real([rows])]),
            _ => Err("a matrix has two axes".into()),
        }
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        Some(smallvec::smallvec![(inputs[0] * inputs[0] * inputs[0]).sum_axes(1)])
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Rule
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let x = call.x(0);
        let slope = x.equal(self.wrong_at.0).where_(1.0, x * x * 3.0);
        call.g().unsqueeze(1) * slope
    }
}

#[test]
fn ops_that_are_not_elementwise_are_examined_at_round_numbers() {
    let check = |at: f64| {
        Check::new().op(Cubes { wrong_at: Number(at) }, [Tensor::from_rows([[0.75, -1.25], [1.5, 3.0]]).into()])
    };
    for at in [0.0, 2.0, -16.0] {
        let found = check(at).expect_err("the slope is wrong there");
        assert_eq!(found.what, "the derivative", "{found}");
        assert!(found.point[0].real().data().contains(&at), "{found}");
    }
    // What the page says cannot be found.
    assert!(check(0.3141).is_ok());
}
