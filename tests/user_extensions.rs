//! What a program can add to Gradus from outside, with the public API alone: ops of every form, with the rights of the
//! built-in ones.

use gradus::check::{assert_gradients, gradients};
use gradus::op::{Accepts, Call, Derivative, Form, Meta, Metas, Number, Op, Pointwise, Signature, Vars, Work};
use gradus::{ErrorKind, Feed, Graph, Params, Plan, Real, Tensor, Var};

/// x / (1 + a·x²)
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bump {
    a: Number,
}

impl Pointwise for Bump {
    const NAME: &'static str = "bump";

    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0] / (T::one() + self.a.real::<T>() * x[0] * x[0])
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        let part = x[0].square() * self.a.0;
        (1.0 - part) / (1.0 + part).square()
    }
}

/// √(x² + y²)
#[derive(Debug, PartialEq, Eq, Hash)]
struct Hypotenuse;

impl Pointwise for Hypotenuse {
    const NAME: &'static str = "hypotenuse";
    const ARITY: usize = 2;

    fn value<T: Real>(&self, x: &[T]) -> T {
        (x[0] * x[0] + x[1] * x[1]).sqrt()
    }

    fn slope<'g>(&self, x: &[Var<'g>], y: Var<'g>, input: usize) -> Var<'g> {
        x[input] / y
    }
}

#[test]
fn a_pointwise_op_is_fused_with_built_in_ones() {
    let graph = Graph::new();
    let (x, y) = (graph.input("x", [3]), graph.input("y", [3]));
    let bump = graph.call(Bump { a: Number(0.5) }, &[x * 2.0 + 1.0]).tanh();
    let all = graph.call(Hypotenuse, &[bump, y.exp()]) - y;
    let plan = Plan::new(&graph, &[all]).unwrap();
    let built_in = ((x * 2.0 + 1.0).exp().tanh() * y.exp()).tanh() - y;
    let built_in = Plan::new(&graph, &[built_in]).unwrap();
    assert_eq!(plan.summary().units, built_in.summary().units, "{plan:?}");
    assert!(plan.summary().units < plan.summary().nodes, "{plan:?}");

    let (x, y) = (Tensor::from([-1.0, 0.25, 2.0]), Tensor::from([0.5, -0.5, 0.0]));
    let mut session = plan.session::<f64>();
    let outputs = session.run(&Params::new(0), &Feed::new().with("x", &x).with("y", &y)).unwrap();
    let expected = |k: usize| {
        let (x, y): (f64, f64) = (2.0 * x.data()[k] + 1.0, y.data()[k]);
        (x / (1.0 + 0.5 * x * x)).tanh().hypot(y.exp()) - y
    };
    outputs.real(0).assert_close(&Tensor::from_fn([3], expected), 1e-14, 1e-14);
}

#[test]
fn a_pointwise_op_has_derivatives_of_both_orders() {
    let (x, y) = (Tensor::from([-1.0, 0.25, 2.0]), Tensor::from([0.5, -0.5, 1.5]));
    assert_gradients(std::slice::from_ref(&x), |x| x[0].graph().call(Bump { a: Number(0.5) }, x));
    assert_gradients(&[x, y], |x| x[0].graph().call(Hypotenuse, x).exp());
}

#[test]
fn equal_ops_are_shared_and_others_are_not() {
    let graph = Graph::new();
    let x = graph.input("x", [3]);
    let bump = |a: f64| graph.call(Bump { a: Number(a) }, &[x]);
    let nodes = |outputs: &[Var<'_>]| Plan::new(&graph, outputs).unwrap().summary().nodes;
    assert_eq!(nodes(&[bump(0.5), bump(0.5)]), nodes(&[bump(0.5)]));
    assert_eq!(nodes(&[bump(0.5), bump(0.25)]), nodes(&[bump(0.5)]) + 1);
}

/// The sum and the sum of squares of each row, in one pass.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sums;

impl Op for Sums {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "sums"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        match inputs[0].shape.sizes() {
            [rows, _] => Ok([Meta::real([*rows]), Meta::real([*rows])].into_iter().collect()),
            _ => Err("the rows of a matrix are summed".into()),
        }
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let columns = work.input_shapes[0][1];
        let x = work.inputs[0].real();
        let [sums, squares] = work.outputs else { unreachable!("the shape rule gives two outputs") };
        for (row, (sum, square)) in sums.real().iter_mut().zip(squares.real()).enumerate() {
            let row = &x[row * columns..(row + 1) * columns];
            *sum = row.iter().fold(T::zero(), |total, &x| total + x);
            *square = row.iter().fold(T::zero(), |total, &x| total + x * x);
        }
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let x = call.x(0);
        let of_sum = call.cotangents[0].map(|g| g.unsqueeze(-1).broadcast_to(x.shape()));
        let of_squares = call.cotangents[1].map(|g| x * g.unsqueeze(-1) * 2.0);
        of_sum.into_iter().chain(of_squares).sum()
    }
}

fn sums(x: Var<'_>) -> Vars<'_> {
    x.graph().apply(Sums, &[x]).unwrap()
}

#[test]
fn an_op_with_two_outputs_and_a_kernel() {
    let x = Tensor::from_rows([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]]);
    assert_gradients(std::slice::from_ref(&x), |x| sums(x[0])[0].square());
    assert_gradients(std::slice::from_ref(&x), |x| sums(x[0])[1].tanh());
    assert_gradients(std::slice::from_ref(&x), |x| {
        let both = sums(x[0]);
        both[1] - both[0].square() / 3.0
    });

    let graph = Graph::new();
    let at = graph.constant(&x);
    let tangent = graph.constant(&Tensor::from_rows([[1.0, 0.0, 2.0], [0.0, -1.0, 4.0]]));
    let moved = graph.jvp(&sums(at), &[at], &[tangent]).unwrap();
    assert_eq!(graph.eval(moved[0]).unwrap().data(), [3.0, 3.0]);
    assert_eq!(graph.eval(moved[1]).unwrap().data(), [4.0, -14.0]);
}

#[test]
fn a_shape_rule_of_ones_own_is_a_sentence_with_a_line() {
    let graph = Graph::new();
    let error = graph.apply(Sums, &[graph.zeros([2, 3, 4])]).unwrap_err();
    let line = line!() - 1;
    assert_eq!(error.kind(), ErrorKind::Op);
    let text = error.to_string();
    assert!(text.starts_with("`sums` of [2, 3, 4]: the rows of a matrix are summed (at "), "{text}");
    assert!(text.contains(&format!("{}:{line}:", file!())), "{text}");
}

/// Rows with mean 0 and variance 1: nothing but a definition.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Standardize {
    floor: Number,
}

impl Op for Standardize {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "standardize"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        if inputs[0].shape.rank() == 0 {
            Err("a scalar has no rows".into())
        } else {
            Ok(Metas::from_vec(inputs.to_vec()))
        }
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let x = inputs[0];
        let size = x.shape()[x.rank() - 1] as f64;
        let centred = x - x.sum_keep(-1) / size;
        let variance = centred.square().sum_keep(-1) / size;
        Some(Vars::from_slice(&[centred / (variance + self.floor.0).sqrt()]))
    }
}

fn standardize(x: Var<'_>) -> Var<'_> {
    x.graph().call(Standardize { floor: Number(1e-3) }, &[x])
}

#[test]
fn an_op_that_is_only_a_definition() {
    let x = Tensor::from_rows([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]]);
    assert_gradients(std::slice::from_ref(&x), |x| standardize(x[0]));

    let graph = Graph::new();
    let at = graph.constant(&x);
    let y = standardize(at);
    assert!(graph.eval(y.sum_axes(-1)).unwrap().data().iter().all(|mean| mean.abs() < 1e-14));
    // Moving a row as a whole moves nothing.
    let tangent = graph.ones([2, 3]);
    let moved = graph.eval(graph.jvp(&[y], &[at], &[tangent]).unwrap()[0]).unwrap();
    assert!(moved.data().iter().all(|moved| moved.abs() < 1e-14), "{moved:?}");
    // The definition is drawn as a scope of the op's name.
    assert!(graph.dot(&[y]).contains("standardize"));
}

/// A definition with a derivative of its own: what `rule` says.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Ruled {
    /// x·x with 2·x·g: a rule that agrees with the definition.
    Square,
    /// The nearest integer, with the derivative of the identity.
    StraightThrough,
    /// The identity, with a cotangent that is turned round.
    Reversal(Number),
}

impl Op for Ruled {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        match self {
            Self::Square => "ruled_square",
            Self::StraightThrough => "straight_through",
            Self::Reversal(_) => "reversal",
        }
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(Metas::from_vec(inputs.to_vec()))
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let x = inputs[0];
        Some(Vars::from_slice(&[match self {
            Self::Square => x * x,
            Self::StraightThrough => x.round(),
            Self::Reversal(_) => x,
        }]))
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Rule
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        match self {
            Self::Square => call.x(0) * call.g() * 2.0,
            Self::StraightThrough => call.g(),
            Self::Reversal(strength) => -call.g() * strength.0,
        }
    }
}

#[test]
fn a_rule_that_agrees_with_the_definition_passes_the_check() {
    let x = Tensor::from([0.5, -1.25, 2.0]);
    assert_gradients(&[x], |x| x[0].graph().call(Ruled::Square, x).sin());
}

#[test]
fn a_straight_through_estimator_of_both_orders() {
    let graph = Graph::new();
    let x = graph.input("x", [3]);
    let y = graph.call(Ruled::StraightThrough, &[x]);
    let loss = (y * y * y).sum();
    let first = graph.grad(loss, &[x]).unwrap()[0];
    let second = graph.grad(first.sum(), &[x]).unwrap()[0];
    let tangent = graph.constant(&Tensor::from([1.0, 2.0, 3.0]));
    let moved = graph.jvp(&[y], &[x], &[tangent]).unwrap()[0];
    let mut session = Plan::new(&graph, &[y, first, second, moved]).unwrap().session::<f64>();
    let outputs = session.run(&Params::new(0), &Feed::new().with("x", &Tensor::from([0.75, -1.75, 3.25]))).unwrap();
    assert_eq!(outputs.real(0).data(), [1.0, -2.0, 3.0]);
    assert_eq!(outputs.real(1).data(), [3.0, 12.0, 27.0]);
    assert_eq!(outputs.real(2).data(), [6.0, -12.0, 18.0]);
    assert_eq!(outputs.real(3).data(), [1.0, 2.0, 3.0]);
}

#[test]
fn a_gradient_reversal_and_what_the_check_says_of_it() {
    let graph = Graph::new();
    let x = graph.constant(&Tensor::from([0.5, -1.5]));
    let y = graph.call(Ruled::Reversal(Number(2.0)), &[x]);
    assert_eq!(graph.eval(y).unwrap().data(), [0.5, -1.5]);
    let slope = graph.grad((y * y).sum(), &[x]).unwrap()[0];
    assert_eq!(graph.eval(slope).unwrap().data(), [-2.0, 6.0]);
    let moved = graph.jvp(&[y], &[x], &[graph.ones([2])]).unwrap()[0];
    assert_eq!(graph.eval(moved).unwrap().data(), [-2.0, -2.0]);

    let failure =
        gradients(&[Tensor::from([0.5, -1.5])], |x| x[0].graph().call(Ruled::Reversal(Number(1.0)), x)).unwrap_err();
    assert!(failure.to_string().contains("looks like a wrong sign"), "{failure}");
}

/// The number of thresholds below `x`, times a weight: not differentiable in `x`, and no one is to believe it is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Grade {
    thresholds: Vec<Number>,
}

impl Grade {
    fn count<T: Real>(&self, x: T) -> T {
        T::of(self.thresholds.iter().filter(|threshold| threshold.real::<T>() < x).count() as f64)
    }
}

impl Op for Grade {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real]);

    fn name(&self) -> &'static str {
        "grade"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        if inputs[0] == inputs[1] {
            Ok(Metas::from_vec(vec![inputs[0].clone()]))
        } else {
            Err("the shapes differ".into())
        }
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (x, weight) = (work.inputs[0].real(), work.inputs[1].real());
        for (y, (&x, &weight)) in work.outputs[0].real().iter_mut().zip(x.iter().zip(weight)) {
            *y = self.count(x) * weight;
        }
        Ok(())
    }

    fn derivative(&self, input: usize) -> Derivative {
        if input == 0 { Derivative::Undefined } else { Derivative::Rule }
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let graph = call.x(0).graph();
        let count = Grade { thresholds: self.thresholds.clone() };
        call.g() * graph.call(count, &[call.x(0), graph.ones(call.x(0).shape())])
    }
}

fn grade<'g>(x: Var<'g>, weight: Var<'g>) -> Var<'g> {
    let thresholds = [0.0, 1.0, 2.0].map(Number).to_vec();
    x.graph().call(Grade { thresholds }, &[x, weight])
}

#[test]
fn an_op_without_a_derivative_is_named_where_one_is_asked_for() {
    let graph = Graph::new();
    let (x, weight) = (graph.constant(&Tensor::from([0.5, 1.5])), graph.constant(&Tensor::from([10.0, 20.0])));
    let y = {
        let _scope = graph.scope("exam");
        graph.call(Grade { thresholds: [0.0, 1.0].map(Number).to_vec() }, &[x, weight])
    };
    let made = line!() - 2;
    assert_eq!(graph.eval(y).unwrap().data(), [10.0, 40.0]);
    let error = graph.grad(y.sum(), &[weight, x]).unwrap_err();
    let asked = line!() - 1;
    assert_eq!(error.kind(), ErrorKind::Derivative);
    let text = error.to_string();
    assert!(text.starts_with(&format!("`grade` in scope `exam` at {}:{made}:", file!())), "{text}");
    assert!(text.contains(&format!(" has no derivative with respect to input 0 (at {}:{asked}:", file!())), "{text}");
    assert!(graph.jvp(&[y], &[x], &[x]).is_err());

    // In the weight it has one, and what is declared constant needs none.
    let slope = graph.grad(y.sum(), &[weight]).unwrap()[0];
    assert_eq!(graph.eval(slope).unwrap().data(), [1.0, 2.0]);
    let slope = graph.grad((grade(x.stop_gradient(), weight) * x).sum(), &[x]).unwrap()[0];
    assert_eq!(graph.eval(slope).unwrap().data(), [10.0, 40.0]);
    let at = Tensor::from([0.5, -3.0]);
    assert_gradients(&[at], |x| grade(x[0].graph().constant(&Tensor::from([0.5, 1.5])), x[0]).exp());
}
