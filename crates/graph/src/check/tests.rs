//! The checker must refuse wrong derivatives, accept right ones, and say what is wrong.

use super::*;
use crate::real::Real;
use crate::tape::op::{Call, Derivative, Domain, Kinks, Number, Pointwise};

/// Counts for every check of this crate, so that each also verifies that a second run allocates nothing.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Cubes with a derivative of the test's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cube {
    Right,
    Negated,
    Doubled,
    SecondOrderLost,
    CotangentIgnored,
    WrongForNegative,
    OffByAThousandth,
    NotLinear,
}

impl Pointwise for Cube {
    const NAME: &'static str = "cube";

    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0] * x[0] * x[0]
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        let right = x[0] * x[0] * 3.0;
        match self {
            Self::Negated => -right,
            Self::Doubled => right * 2.0,
            Self::SecondOrderLost => right.stop_gradient(),
            Self::OffByAThousandth => right * 1.001,
            Self::WrongForNegative => x[0] * x[0] * 1.5 + x[0] * (x[0] * x[0]).sqrt() * 1.5,
            Self::Right | Self::CotangentIgnored | Self::NotLinear => right,
        }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let slope = self.slope(call.inputs, call.y(), input);
        match self {
            Self::CotangentIgnored => slope,
            Self::NotLinear => call.g() * slope + 0.125,
            _ => call.g() * slope,
        }
    }
}

fn cube(cube: Cube, x: &[f64]) -> Result<Report, Box<Failure>> {
    Check::new().op(cube, [Tensor::from_slice(x).into()])
}

#[test]
fn wrong_derivatives_are_refused_and_right_ones_are_not() {
    let x = [0.5, -1.25, 2.0];
    let report = cube(Cube::Right, &x).unwrap();
    for method in [
        Method::Differences,
        Method::SecondOrder,
        Method::ForwardMode,
        Method::Linearity,
        Method::Taylor,
        Method::Symmetry,
    ] {
        assert_eq!(report.of(method), Verdict::Agrees, "{method:?}: {report}");
    }
    for method in [Method::Plan, Method::SinglePrecision, Method::Repetition, Method::Kinks, Method::Refusal] {
        assert_eq!(report.of(method), Verdict::Agrees, "{method:?}: {report}");
    }
    assert_eq!((report.undecided, report.of(Method::Expansion)), (0, Verdict::NotAsked));
    assert!(report.largest_error < 1e-10 && report.detectable < 1e-7, "{report}");
    for (wrong, method) in [
        (Cube::Negated, Method::Differences),
        (Cube::Doubled, Method::Differences),
        (Cube::SecondOrderLost, Method::SecondOrder),
        (Cube::CotangentIgnored, Method::Differences),
        (Cube::WrongForNegative, Method::Differences),
        (Cube::OffByAThousandth, Method::Differences),
        (Cube::NotLinear, Method::Differences),
    ] {
        let failure = cube(wrong, &x).unwrap_err();
        assert_eq!(failure.method, method, "{wrong:?}: {failure}");
        let also = cube(wrong, &x).unwrap_err().report;
        match wrong {
            Cube::CotangentIgnored | Cube::NotLinear => assert_eq!(also.of(Method::Linearity), Verdict::Disagrees),
            Cube::SecondOrderLost => assert_eq!(also.of(Method::Taylor), Verdict::Disagrees),
            _ => assert_eq!(also.of(Method::Taylor), Verdict::Disagrees, "{wrong:?}: {failure}"),
        }
    }
}

#[test]
fn a_failure_of_an_op_shrinks_to_one_round_number() {
    let failure = cube(Cube::WrongForNegative, &[0.515625, -1.265625, 2.0]).unwrap_err();
    assert_eq!(failure.point, [Tensor::from([-1.0]).into()]);
    let reproducer = failure.reproducer.unwrap();
    assert!(
        reproducer.contains("check::assert_op_at(Cube::WrongForNegative, [Tensor::from([-1.0]).into()]);"),
        "{reproducer}"
    );
}

/// `|x|` with kinks and a subgradient of the test's choice.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Magnitude {
    stated: Option<Number>,
    taken: Number,
}

impl Pointwise for Magnitude {
    const NAME: &'static str = "magnitude";

    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0].abs()
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0].equal(0.0).where_(self.taken.0, x[0].sign())
    }

    fn kinks(&self, _input: usize) -> Kinks {
        self.stated.map_or(Kinks::None, |stated| Kinks::At(vec![(0.0, stated.0)]))
    }
}

#[test]
fn kinks_must_be_stated_and_their_subgradients_true() {
    let check = |stated: Option<f64>, taken: f64| {
        let op = Magnitude { stated: stated.map(Number), taken: Number(taken) };
        Check::new().op(op, [Tensor::from([0.75]).into()])
    };
    for right in [-1.0, 0.0, 0.25, 1.0] {
        assert!(check(Some(right), right).is_ok(), "{right}");
    }
    let note = |failure: Box<Failure>| (failure.method, failure.note.unwrap());
    let (method, undeclared) = note(check(None, 0.0).unwrap_err());
    assert_eq!(method, Method::Kinks);
    assert!(undeclared.starts_with("at 0.0 the slope is ") && undeclared.ends_with("`kinks` does not state it"));
    let (method, other) = note(check(Some(0.0), 0.5).unwrap_err());
    assert_eq!((method, other.as_str()), (Method::Kinks, "at 0.0 it is 5.000000e-1; `kinks` states 0"));
    let (method, outside) = note(check(Some(1.5), 1.5).unwrap_err());
    assert_eq!(method, Method::Kinks);
    assert!(outside.starts_with("at 0.0 it is not between the slopes from the two sides"), "{outside}");
}

/// `√x`, with a domain of the test's choice.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Root {
    pub(super) from: Number,
}

impl Pointwise for Root {
    const NAME: &'static str = "root";

    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0].sqrt()
    }

    fn slope<'g>(&self, _x: &[Var<'g>], y: Var<'g>, _input: usize) -> Var<'g> {
        0.5 / y
    }

    fn domain(&self, _input: usize) -> Domain {
        Domain::between(self.from.0, f64::INFINITY)
    }
}

#[test]
fn the_steps_stay_in_the_domain() {
    let near = Check::new().op(Root { from: Number(0.0) }, [Tensor::from([1e-3]).into()]).unwrap();
    assert_eq!((near.undecided, near.of(Method::Differences)), (0, Verdict::Agrees));
    assert_op(Root { from: Number(0.0) });
}

#[test]
#[should_panic(expected = "`domain(0)` ends (end 0) where the op has finite values and derivatives")]
fn a_domain_that_is_narrower_than_the_op_is_a_finding() {
    assert_op(Root { from: Number(1.0) });
}

#[test]
fn a_function_that_fails_is_traced_to_its_op_and_line() {
    let line = line!() + 3;
    let x = Tensor::from([0.5, 2.0]);
    let failure = (Check::new())
        .function(std::slice::from_ref(&x), |x| x[0].graph().call(Cube::Doubled, &[x[0].sin()]).sum() * x[0].exp())
        .unwrap_err();
    let op = failure.op.as_ref().unwrap();
    assert_eq!((op.name, op.op.as_str()), ("cube", "Cube::Doubled"));
    assert!(op.line.starts_with(&format!("{}:{line}:", file!())), "{}", op.line);
    assert_eq!(failure.variable.as_deref(), Some("input 0"));

    let stopped = Check::new().function(&[x], |x| (x[0].ln() * x[0].stop_gradient()).sum()).unwrap_err();
    assert_eq!(stopped.op.unwrap().name, "stop_gradient");
}

#[test]
fn a_model_that_fails_names_scope_and_line() {
    let mut params: Params = Params::new(0);
    let w = params.scope("head", |params| params.add("weight", Tensor::from([0.5, -1.0])));
    let model = |op: Cube| {
        Check::new().model(&params, (), |graph, []| {
            let _scope = graph.scope("head");
            graph.call(op, &[graph.param(&w)]).tanh().sum()
        })
    };
    assert!(model(Cube::Right).is_ok());
    let failure = model(Cube::Negated).unwrap_err();
    let op = failure.op.as_ref().unwrap();
    assert_eq!((op.name, op.scope.as_str()), ("cube", "head"));
    assert!(failure.note.as_ref().unwrap().contains("with respect to parameter `head.weight`"), "{failure}");
}

#[test]
fn kinks_within_a_function_are_no_failure() {
    assert_gradients(&[Tensor::from([0.0, 1.0, -1.0])], |x| x[0].relu() * x[0].abs() + x[0].relu());
    let x = Tensor::from([0.0, 0.5]);
    let report = Check::new().function(&[x], |x| x[0].maximum(x[0] * 2.0).sum()).unwrap();
    assert_eq!(report.of(Method::Differences), Verdict::Agrees);
}

#[test]
fn fast_balanced_and_exhaustive_look_at_as_much_as_they_say() {
    let x = Tensor::from_fn([10, 10], |k| (k as f64).sin());
    let look = |check: Check, wrong: bool| {
        check.orders(1).function(std::slice::from_ref(&x), move |x| {
            let place = x[0].graph().constant(&Tensor::from_fn([10, 10], |k| if k == 57 { 1e-4 } else { 0.0 }));
            let off = if wrong { (x[0] * place).stop_gradient() } else { x[0] * place };
            (x[0].square() + off).sum()
        })
    };
    let [fast, balanced, exhaustive] = [Check::new().fast(), Check::new(), Check::new().exhaustive()];
    assert_eq!(look(fast.clone(), false).unwrap().compared, 3);
    assert_eq!(look(balanced.clone(), false).unwrap().compared, 3 + 4);
    assert_eq!(look(exhaustive.clone(), false).unwrap().compared, 100);
    // One wrong entry of a hundred, by a ten-thousandth.
    for check in [fast, balanced, exhaustive] {
        let detectable = look(check.clone(), false).unwrap().detectable;
        assert!(detectable < 1e-5, "{detectable:e}");
        assert!(look(check, true).is_err());
    }
}

#[test]
fn an_update_rule_must_go_down_and_leave_the_frozen() {
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::from([3.0, -1.0]));
    let b = params.add("b", Tensor::from([0.5]));
    params.set_trainable(false, |name| name == "b");
    let step = |rate: f64, frozen: f64| {
        let (w, b) = (w.clone(), b.clone());
        descent(
            &params,
            |graph| (graph.param(&w).square().sum() + graph.param(&b).square().sum()).sqrt(),
            |params, gradients| {
                for (param, gradient) in gradients {
                    let step = params.get_mut(param).data_mut().iter_mut().zip(gradient.data());
                    step.for_each(|(x, g)| *x -= rate * g);
                }
                params.get_mut(&b).data_mut()[0] += frozen;
            },
        )
    };
    let moves = step(0.1, 0.0).unwrap();
    assert_eq!((moves.len(), moves[0].name.as_str()), (1, "w"));
    assert!(moves[0].foretold < 0.0 && (moves[0].seen - moves[0].foretold).abs() < 1e-9, "{}", moves[0]);
    let message = |outcome: Result<Vec<Descent>, Box<dyn std::error::Error>>| outcome.unwrap_err().to_string();
    assert!(message(step(-0.1, 0.0)).starts_with("the rule moves `w` up its gradient"));
    assert_eq!(message(step(0.1, 0.5)), "the rule moves `b`, which is frozen");
    assert_eq!(message(step(0.0, 0.0)), "the rule leaves `w`, though its gradient is not zero");
    assert_eq!(message(step(f64::NAN, 0.0)), "the rule makes `w` not finite, at [0]");
}

/// Every op of the registry, on samples that are drawn.
#[test]
fn every_op_is_right_to_second_order() {
    let problems: Vec<String> =
        crate::registry().iter().filter_map(|entry| suite::entry_is_right(entry).err()).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// Random whole graphs of the ops raise no alarm.
#[test]
fn random_graphs_are_right() {
    let outcome = Suite::new(Check::new(), 5).graphs(&crate::registry(), 150);
    assert!(outcome.failure.is_none(), "{}", outcome.failure.unwrap());
    assert!(outcome.undecided * 50 <= outcome.cases, "{} of {} undecided", outcome.undecided, outcome.cases);
}

/// What a user sees, compared with the texts in `snapshots`; `UPDATE=1` writes them.
#[test]
fn reports_read_as_they_should() {
    let shown = |name: &str, text: String| {
        // The lines of this file are not the point.
        let mut parts = text.split("tests.rs:");
        let first = parts.next().unwrap_or_default().to_owned();
        let text = parts.fold(first, |text, part| {
            text + "tests.rs:LINE" + part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':')
        });
        let path = format!("{}/src/check/snapshots/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let due = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, due, "{path} differs; `UPDATE=1 cargo test -p gradus-graph --lib` writes it");
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() < 160), "{text}");
    };
    let doubled = cube(Cube::Doubled, &[0.515625, -1.265625]).unwrap_err();
    shown("op", doubled.to_string());
    shown("op_coloured", doubled.coloured().to_string());
    shown("second_order", cube(Cube::SecondOrderLost, &[0.5]).unwrap_err().to_string());
    let hidden = Magnitude { stated: None, taken: Number(0.0) };
    shown("undeclared_kink", Check::new().op(hidden, [Tensor::from([0.75]).into()]).unwrap_err().to_string());
    let x = [Tensor::from([0.5, 2.0])];
    shown("function", gradients(&x, |x| (x[0].ln() * x[0].stop_gradient()).sum()).unwrap_err().to_string());
    let mut params: Params = Params::new(0);
    let w = params.scope("head", |params| params.add("weight", Tensor::from_rows([[0.5, -1.0], [2.0, 1.5]])));
    let model = Check::new().model(&params, (), |graph, []| {
        let _scope = graph.scope("head");
        graph.call(Cube::Negated, &[graph.param(&w)]).sum()
    });
    shown("model", model.unwrap_err().to_string());
    let undefined = Check::new().function(&x, |x| x[0].graph().apply(Grade, x).unwrap()[0].sum());
    shown("no_derivative", undefined.unwrap_err().to_string());
}

/// An op that has no derivative.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Grade;

impl Pointwise for Grade {
    const NAME: &'static str = "grade";

    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0].floor()
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0]
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Undefined
    }
}

/// Every mutant of every derivative is caught.
#[test]
fn mutants_are_caught() {
    let (mut made, mut survivors) = (0, Vec::new());
    for entry in crate::registry() {
        for (mutation, input, fate) in mutants(&entry, 24, 3) {
            made += usize::from(fate != Fate::Same);
            if fate == Fate::Survived {
                survivors.push(format!("{}: {} of input {input}", entry.name, mutation.name()));
            }
        }
    }
    println!("{made} mutants");
    assert!(survivors.is_empty(), "{} of {made}: {survivors:#?}", survivors.len());
}

/// The sign, with a derivative that is a surrogate, and is linear in the cotangent or not.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Spike {
    declared: bool,
    linear: bool,
}

impl Pointwise for Spike {
    const NAME: &'static str = "spike";

    fn value<T: Real>(&self, x: &[T]) -> T {
        if x[0] > T::zero() { T::one() } else { T::zero() }
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        (x[0].abs() + 1.0).square().recip()
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let slope = self.slope(call.inputs, call.y(), input);
        if self.linear { call.g() * slope } else { call.g() * slope + 0.125 }
    }

    fn is_surrogate(&self) -> bool {
        self.declared
    }
}

#[test]
fn of_a_surrogate_all_is_checked_but_its_slope() {
    let x = || [Tensor::from([0.5, -1.25]).into()];
    let report = Check::new().op(Spike { declared: true, linear: true }, x()).unwrap();
    for method in [Method::ForwardMode, Method::Linearity, Method::Plan, Method::SinglePrecision, Method::Refusal] {
        assert_eq!(report.of(method), Verdict::Agrees, "{method:?}: {report}");
    }
    for method in [Method::Differences, Method::SecondOrder, Method::Taylor, Method::Symmetry] {
        assert_eq!(report.of(method), Verdict::NotAsked, "{method:?}: {report}");
    }
    let failure = Check::new().op(Spike { declared: true, linear: false }, x()).unwrap_err();
    assert_eq!(failure.method, Method::Linearity, "{failure}");
    let failure = Check::new().op(Spike { declared: false, linear: true }, x()).unwrap_err();
    assert_eq!(failure.method, Method::Differences, "{failure}");
    assert_op(Spike { declared: true, linear: true });
}
