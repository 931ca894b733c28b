//! What safe code cannot do to a graph, a plan or a store, whatever it declares: sizes that overflow, ops that say what
//! is not so, variables and parameters of others, guards dropped in any order.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use gradus_graph::{
    Accepts, AnyTensor, Array, ArrayMut, Call, Convolution, Derivative, Error, Feed, Form, Graph, Kind, Layout, Meta,
    Metas, Op, Params, Plan, Pointwise, Real, Shape, Signature, Tensor, Var, Vars, Work, smallvec,
};

thread_local! {
    /// Where the last panic of this thread was.
    static PLACE: Cell<String> = const { Cell::new(String::new()) };
}

/// The message of the panic of a closure.
#[track_caller]
fn panics(run: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it is refused");
    panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap()
}

/// The message of a panic at a line of this file, which Rust prints and the message does not repeat.
fn panics_here(run: impl FnOnce()) -> String {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            PLACE.set(info.location().map(ToString::to_string).unwrap_or_default());
            usual(info);
        }));
    });
    let message = panics(run);
    let place = PLACE.take();
    assert!(place.starts_with("crates/graph/tests/soundness.rs:"), "{message} (at {place})");
    assert!(!message.contains(" (at "), "{message}");
    message
}

const HALF: usize = 1 << 32;
const TOO_MANY: &str = "has more elements than memory can address";

#[test]
fn sizes_that_overflow_are_refused_with_op_shapes_and_line() {
    let graph = Graph::new();
    let scalar = graph.scalar(1.0);
    // Long axes that take no memory.
    let long = |size: usize| graph.input(&format!("x{}", graph.len()), [size]);
    let matrix = |m: usize, n: usize| graph.input(&format!("x{}", graph.len()), [m, n]);
    let huge = 1_usize << 59;
    type Case<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let cases: Vec<Case<'_>> = vec![
        ("`Tensor::zeros`: a shape of [4294967296, 4294967296]", Box::new(|| drop(Tensor::<f64>::zeros([HALF, HALF])))),
        ("`Tensor::full`", Box::new(|| drop(Tensor::full([HALF, HALF], 0_i64)))),
        ("`Tensor::from_fn`", Box::new(|| drop(Tensor::from_fn([HALF, HALF], |_| 0.0)))),
        ("`Tensor::reshape` of [0]", Box::new(|| drop(Tensor::<f32>::zeros([0]).reshape([HALF, 0, HALF])))),
        ("`zeros`", Box::new(|| _ = graph.zeros([0xAAAA_AAAA_AAAA_AAAB, 0, 1, 1]))),
        ("`ones`", Box::new(|| _ = graph.ones([HALF, HALF]))),
        ("`full`", Box::new(|| _ = graph.full([HALF, HALF], 2.0))),
        ("`input`", Box::new(|| _ = graph.input("huge", [HALF, HALF]))),
        ("`index_input`", Box::new(|| _ = graph.index_input("huge", [HALF, HALF]))),
        ("`uniform`", Box::new(|| _ = graph.uniform([HALF, HALF]))),
        ("`normal`", Box::new(|| _ = graph.normal([HALF, HALF]))),
        ("`bernoulli`", Box::new(|| _ = graph.bernoulli(0.5, [HALF, HALF]))),
        ("`broadcast_to` of []", Box::new(|| _ = scalar.broadcast_to([1 << 33, 1 << 33, 2]))),
        ("`reshape` of []", Box::new(|| _ = scalar.reshape([(1_usize << 63) + 1, 2]))),
        ("`reshape` of []", Box::new(|| _ = scalar.reshape([HALF, HALF, Var::INFERRED]))),
        ("`concat` of", Box::new(|| _ = graph.concat(&[long(huge), long(huge)], 0))),
        ("`concat` of [1, ", Box::new(|| _ = graph.stack(&[long(huge), long(huge)], 0))),
        ("`pad` of [3]", Box::new(|| _ = graph.zeros([3]).pad(0, usize::MAX, 4))),
        ("`pad` of [0, 4294967296]", Box::new(|| _ = graph.zeros([0, HALF]).pad(0, 1, HALF))),
        ("`tile` of [2]", Box::new(|| _ = graph.zeros([2]).tile([usize::MAX / 2 + 1]))),
        ("`add` of", Box::new(|| _ = matrix(HALF, 1) + matrix(1, HALF))),
        ("`mul` of", Box::new(|| _ = long(HALF).outer(long(HALF)))),
        ("`matmul` of [1099511627776, 0]", Box::new(|| _ = matrix(1 << 40, 0).matmul(matrix(0, 1 << 40)))),
        ("`one_hot` of", Box::new(|| _ = graph.index_input("i", [HALF]).one_hot(HALF))),
        ("`index_select` of", Box::new(|| _ = matrix(2, HALF).index_select(0, graph.index_input("j", [HALF])))),
        (
            "`jacobian` of",
            Box::new(|| {
                let x = long(HALF);
                let _ = graph.jacobian(x * 2.0, x);
            }),
        ),
        ("`einsum`", Box::new(|| _ = graph.einsum("i,j->ij", &[long(HALF), long(HALF)]))),
    ];
    for (start, case) in cases {
        let message = panics_here(case);
        assert!(message.starts_with(start) || start == "`einsum`", "{message}");
        assert!(message.contains("more elements than memory can address"), "{message}");
    }
    assert!(Tensor::try_new([HALF, HALF], Vec::<f32>::new()).unwrap_err().contains(TOO_MANY));
    let padding = Convolution { padding: [[usize::MAX, 1], [0, 0]], ..Convolution::default() };
    let groups = Convolution { groups: usize::MAX, ..Convolution::default() };
    for convolution in [padding, groups] {
        let message = panics(|| _ = graph.zeros([1, 1, 4, 4]).conv(graph.zeros([1, 1, 1, 1]), convolution));
        assert!(message.starts_with("`conv` of [1, 1, 4, 4] and [1, 1, 1, 1]: "), "{message}");
    }
    assert_eq!(padding.positions([4, 4], [usize::MAX, 1]), None);
}

#[test]
fn steps_that_are_never_taken_may_be_of_any_size() {
    let graph = Graph::new();
    let x = graph.constant(&Tensor::from([1.0, 2.0, 3.0]));
    for (step, expected) in [(isize::MAX, 1.0), (isize::MIN, 3.0), (7, 1.0), (-7, 3.0)] {
        let y = x.slice_step(0, None, None, step);
        assert_eq!(graph.eval(y).unwrap().data(), [expected]);
        let mut session = Plan::new(&graph, &[y.flip(0) * 2.0]).unwrap().session::<f64>();
        let outputs = session.run(&Params::new(0), &Feed::new()).unwrap();
        assert_eq!(outputs.real(0).data(), [2.0 * expected]);
        let slope = graph.grad(y.sum(), &[x]).unwrap()[0];
        assert_eq!(graph.eval(slope).unwrap().data().iter().sum::<f64>(), 1.0);
    }
    let window = gradus_graph::Window { size: 1, stride: usize::MAX, dilation: usize::MAX };
    assert_eq!(graph.eval(x.windows(&[window])).unwrap().data(), [1.0]);
}

#[test]
fn memory_that_cannot_be_allocated_is_an_error_that_states_the_bytes() {
    let graph = Graph::new();
    // 2⁴⁴ numbers of eight bytes, of which two are alive at once.
    let y = graph.uniform([1 << 44]).cumsum(0).sum();
    let mut session = Plan::new(&graph, &[y]).unwrap().session::<f64>();
    let error = session.run(&Params::new(0), &Feed::new()).unwrap_err().to_string();
    assert!(error.starts_with("a run needs 281474976710") && error.contains("bytes"), "{error}");
    // Without a plan.
    for y in [graph.uniform([1 << 44]), graph.scalar(1.0).broadcast_to([1 << 44]), graph.zeros([1 << 44]).exp()] {
        let error = graph.eval(y).unwrap_err().to_string();
        assert!(error.contains("a run needs 140737488355328 bytes at once"), "{error}");
    }
    // An output of its own.
    let y = graph.scalar(1.0).broadcast_to([1 << 44]);
    let mut session = Plan::new(&graph, &[y]).unwrap().session::<f64>();
    let error = session.run(&Params::new(0), &Feed::new()).unwrap_err().to_string();
    assert!(error.starts_with("a run needs 140737488355328 bytes"), "{error}");
}

#[test]
fn equal_numbers_are_not_written_out_to_be_added() {
    let graph = Graph::new();
    let count = (1_usize << 32) + (1 << 16);
    let x = graph.scalar(0.5);
    let sum = x.broadcast_to([count]).sum();
    let slope = graph.grad(sum, &[x]).unwrap()[0];
    assert_eq!(graph.eval(sum).unwrap().item(), count as f64 / 2.0);
    assert_eq!(graph.eval(slope).unwrap().item(), count as f64);
    assert_eq!(graph.eval(x.broadcast_to([count]).mean()).unwrap().item(), 0.5);
    let mut session = Plan::new(&graph, &[sum, slope]).unwrap().session::<f64>();
    let outputs = session.run(&Params::new(0), &Feed::new()).unwrap();
    assert_eq!(outputs.real(1).item(), count as f64);
    // Along some axes, beside others that are not repeated, and along none.
    let y = graph.constant(&Tensor::from_rows([[1.0], [2.0]])).broadcast_to([3, 2, 4]);
    assert_eq!(graph.eval(y.sum_axes([0, 2])).unwrap().data(), [12.0, 24.0]);
    assert_eq!(graph.eval(y.sum_axes([0, 1])).unwrap().data(), [9.0; 4]);
    assert_eq!(graph.eval(y.sum_axes(1)).unwrap().data(), [3.0; 12]);
    assert_eq!(graph.eval(graph.full([0, 3], f64::INFINITY).sum()).unwrap().item(), 0.0);
}

/// A view whose layout is what the test says, of a vector of four.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Look {
    layout: [isize; 3],
    wanted: usize,
    lies: bool,
}

impl Op for Look {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);
    fn name(&self) -> &'static str {
        "look"
    }
    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec![Meta { shape: Shape::from(self.wanted), ..inputs[0].clone() }])
    }
    fn form(&self) -> Form {
        Form::View
    }
    fn view(&self, input: &Layout) -> Option<Layout> {
        let [size, stride, offset] = self.layout;
        // Of an input in row-major order it says what is right, to pass the check of the shape rule.
        if self.lies && input.offset == 0 {
            return Some(Layout { shape: Shape::from(self.wanted), ..input.clone() });
        }
        Some(Layout {
            shape: Shape::from(size as usize),
            strides: [stride].into_iter().collect(),
            offset: offset as usize,
        })
    }
}

#[test]
fn a_view_cannot_leave_its_buffer() {
    for layout in [[4, 1, -64], [4, 1, 2], [4, -1, 0], [2, isize::MAX, 0], [4, 1, isize::MAX], [3, 1, 0], [1, 0, 4]] {
        let graph = Graph::new();
        let x = graph.input("x", [4]);
        let error = graph.apply(Look { layout, wanted: 4, lies: false }, &[x]).unwrap_err().to_string();
        assert!(
            error.starts_with("`look` of [4]: the op is a view: of an input in row-major order it gives a"),
            "{error}"
        );
        assert!(error.contains("(at crates/graph/tests/soundness.rs:"), "{error}");
        // A view of a view is laid out only when it is planned.
        let y = graph.call(Look { layout, wanted: 4, lies: true }, &[graph.input("y", [5]).slice(0, 1, None)]);
        let plan = Plan::new(&graph, &[y * 2.0, y]).map(|_| ());
        let error = plan.unwrap_err().to_string();
        assert!(error.starts_with("`look` at crates/graph/tests/soundness.rs:"), "{error}");
        assert!(error.ends_with("the layout of a view of 5 elements has another shape or leaves them"), "{error}");
    }
}

/// An op that declares what the test says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Declares {
    form: u8,
    outputs: Vec<(bool, Vec<usize>)>,
}

impl Op for Declares {
    const INPUTS: Signature = Signature::Variadic(Accepts::Any);
    fn name(&self) -> &'static str {
        "declares"
    }
    fn infer(&self, _: &[Meta]) -> Result<Metas, String> {
        let meta = |(real, sizes): &(bool, Vec<usize>)| match real {
            true => Meta::real(&sizes[..]),
            false => Meta::index(&sizes[..]),
        };
        Ok(self.outputs.iter().map(meta).collect())
    }
    fn form(&self) -> Form {
        match self.form {
            0 => Form::Pointwise,
            1 => Form::View,
            2 => Form::Product,
            3 => Form::Alias { first: 1 },
            4 => Form::Kernel,
            _ => Form::Expanded,
        }
    }
    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.clone())
    }
    fn block<T: Real>(&self, x: &[&[T]], y: &mut [T]) {
        y.copy_from_slice(x[0]);
    }
}

/// Takes a real input and an index, and looks at both without asking.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Pair;

impl Op for Pair {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Index]);

    fn name(&self) -> &'static str {
        "pair"
    }
    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        assert!(inputs[0].kind == Kind::Real && inputs[1].kind == Kind::Index && inputs.len() == 2);
        Ok(smallvec![inputs[0].clone()])
    }
    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        Some(smallvec![inputs[0].exp()])
    }
}

#[test]
fn inputs_are_checked_before_the_shape_rule() {
    let graph = Graph::new();
    let (x, i) = (graph.input("x", [2]), graph.index_input("i", [3]));
    let cases: [(&[Var<'_>], &str); 5] = [
        (&[], "`pair`: takes 2 inputs, not 0"),
        (&[x], "`pair` of [2]: takes 2 inputs, not 1"),
        (&[x, i, i], "`pair` of [2] and [3] and [3]: takes 2 inputs, not 3"),
        (&[i, i], "`pair` of [3] and [3]: expects real numbers where an index was given (`to_real` converts)"),
        (&[x, x], "`pair` of [2] and [2]: expects indices where real numbers were given"),
    ];
    for (inputs, expected) in cases {
        let error = graph.apply(Pair, inputs).unwrap_err().to_string();
        assert!(error.starts_with(expected) && error.contains(" (at crates/graph/tests/soundness.rs:"), "{error}");
    }
    assert!(graph.apply(Pair, &[x, i]).is_ok());
    let none = graph.apply(Declares { form: 4, outputs: vec![(true, vec![])] }, &[]).unwrap_err().to_string();
    assert!(none.starts_with("`declares`: takes at least 1 input, not 0 (at "), "{none}");
}

#[test]
fn what_an_op_declares_must_fit_its_form() {
    let graph = Graph::new();
    let (a, i) = (graph.input("a", [2, 3]), graph.index_input("i", [2, 3]));
    let (wide, scalar) = (graph.input("wide", [3, 4]), graph.input("scalar", []));
    let real = |sizes: &[usize]| vec![(true, sizes.to_vec())];
    let index = |sizes: &[usize]| vec![(false, sizes.to_vec())];
    type Case<'g> = (u8, Vec<Var<'g>>, Vec<(bool, Vec<usize>)>, bool);
    let cases: Vec<Case<'_>> = vec![
        (0, vec![a], real(&[2, 3]), true),
        (0, vec![i], real(&[2, 3]), false),
        (0, vec![a, i], real(&[2, 3]), false),
        (0, vec![a], index(&[2, 3]), false),
        (0, vec![a], real(&[3, 2]), false),
        (0, vec![a, wide], real(&[2, 3]), false),
        (0, vec![], real(&[2, 3]), false),
        (0, vec![a; 5], real(&[2, 3]), false),
        (0, vec![a], [real(&[2, 3]), real(&[2, 3])].concat(), false),
        (1, vec![a], real(&[2, 3]), true),
        (1, vec![a], index(&[2, 3]), false),
        (1, vec![a, a], real(&[2, 3]), false),
        (1, vec![a], real(&[3, 2]), false),
        (2, vec![a, wide], real(&[2, 4]), true),
        (2, vec![i, wide], real(&[2, 4]), false),
        (2, vec![a, wide], index(&[2, 4]), false),
        (2, vec![a, wide], real(&[4, 2]), false),
        (2, vec![a, a], real(&[2, 3]), false),
        (2, vec![a], real(&[2, 3]), false),
        (2, vec![scalar, scalar], real(&[]), false),
        (3, vec![a, i], index(&[2, 3]), true),
        (3, vec![a, i], real(&[2, 3]), false),
        (3, vec![a], real(&[2, 3]), false),
        (3, vec![], real(&[2, 3]), false),
        (4, vec![a], vec![], false),
        (5, vec![a], vec![], false),
    ];
    for (form, inputs, outputs, fits) in cases {
        let op = Declares { form, outputs };
        match graph.apply(op.clone(), &inputs) {
            Ok(_) => assert!(fits, "{op:?} of {inputs:?}"),
            Err(error) => {
                assert!(!fits, "{error}");
                let text = error.to_string();
                assert!(
                    text.starts_with("`declares`") && text.contains("(at crates/graph/tests/soundness.rs:"),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn variables_of_another_graph_are_refused_with_both_lines() {
    let (a, b) = (Graph::new(), Graph::new());
    let xa = a.constant(&Tensor::from([1.0, 2.0]));
    let ya = xa.square().sum();
    let xb = b.constant(&Tensor::from([10.0, 20.0]));
    let yb = xb.square().sum();
    let (params, feed) = (Params::<f64>::new(0), Feed::new());
    let refused: Vec<Result<(), Error>> = vec![
        b.eval(ya).map(|_| ()),
        b.eval_with(&[yb, ya], &params, &feed).map(|_| ()),
        b.grad(ya, &[xb]).map(|_| ()),
        b.grad(yb, &[xa]).map(|_| ()),
        b.grad_or_zeros(ya, &[xb]).map(|_| ()),
        b.value_and_grad(ya, &[xa]).map(|_| ()),
        b.vjp(&[ya], &[b.scalar(1.0)], &[xb]).map(|_| ()),
        b.vjp(&[yb], &[a.scalar(1.0)], &[xb]).map(|_| ()),
        b.vjp(&[yb], &[b.scalar(1.0)], &[xa]).map(|_| ()),
        b.jvp(&[ya], &[xb], &[xb]).map(|_| ()),
        b.jvp(&[yb], &[xa], &[xb]).map(|_| ()),
        b.jvp(&[yb], &[xb], &[xa]).map(|_| ()),
        b.hvp(ya, &[xb], &[xb]).map(|_| ()),
        b.hvp(yb, &[xb], &[xa]).map(|_| ()),
        b.jacobian(xa, xb).map(|_| ()),
        b.jacobian(xb, xa).map(|_| ()),
        b.hessian(ya, xb).map(|_| ()),
        b.hessian(yb, xa).map(|_| ()),
        Plan::new(&b, &[yb, ya]).map(|_| ()),
        Plan::with_anomaly_checks(&b, &[ya]).map(|_| ()),
        b.apply(Declares { form: 0, outputs: vec![(true, vec![2])] }, &[xa]).map(|_| ()),
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        let text = refused.expect_err(&format!("case {number}")).to_string();
        assert!(text.contains("belongs to another graph: "), "{number}: {text}");
        assert_eq!(text.matches("soundness.rs:").count(), 2, "{number}: {text}");
    }
    let shown: [&dyn Fn(); 2] = [&|| drop(b.dot(&[ya])), &|| drop(b.summary(&[ya]))];
    for show in shown {
        assert!(panics(show).contains("belongs to another graph"));
    }
    let mut params: Params = Params::new(0);
    let (weight, mean) = (params.add("weight", Tensor::zeros([2])), params.add_buffer("mean", Tensor::zeros([2])));
    assert!(panics(|| drop(b.substitute(&weight, xa))).contains("belongs to another graph"));
    assert!(panics(|| b.update(&mean, xa)).contains("belongs to another graph"));
}

#[test]
fn parameters_of_another_store_are_not_this_ones() {
    let build = || {
        let mut params: Params<f64> = Params::new(0);
        let weight = params.scope("d", |params| params.add("weight", Tensor::from([params.len() as f64 + 1.0])));
        (params, weight)
    };
    let ((student, ours), (teacher, theirs)) = (build(), build());
    let graph = Graph::new();
    let both = [graph.param(&ours), graph.param(&theirs)];
    assert_eq!(graph.params().len(), 2);
    for params in [&student, &teacher] {
        let mut session = Plan::new(&graph, &both).unwrap().session::<f64>();
        let errors = [
            graph.eval_with(&both, params, &Feed::new()).unwrap_err().to_string(),
            session.run(params, &Feed::new()).map(|_| ()).unwrap_err().to_string(),
        ];
        for error in errors {
            assert!(error.starts_with("parameter `d.weight` of shape [1] is not in this store"), "{error}");
        }
    }
    // A value in the place of one is not in the place of the other.
    let _ours = graph.substitute(&ours, graph.full([1], 7.0));
    assert_eq!(graph.param(&theirs), both[1]);
    assert_ne!(graph.param(&ours), both[0]);
    let clone = student.cast::<f32>();
    assert!(graph.eval_with(&both[..1], &clone, &Feed::new()).is_ok());
}

#[test]
fn guards_may_be_dropped_in_any_order() {
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::scalar(2.0));
    let value = |graph: &Graph| {
        let var = graph.param(&w);
        graph.eval_with(&[var], &params, &Feed::new()).unwrap()[0].real().item()
    };
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let graph = Graph::new();
        let mut guards: Vec<_> = (0..3).map(|_| Some(graph.substitute(&w, graph.param(&w) * 10.0))).collect();
        assert_eq!(value(&graph), 2000.0);
        for (number, guard) in order.into_iter().enumerate() {
            guards[guard] = None;
            // The value that was given last, of those that are left.
            let expected = (0..3).rev().find(|&k| guards[k].is_some()).map_or(2.0, |k| 20.0 * 10_f64.powi(k as i32));
            assert_eq!(value(&graph), expected, "{order:?} after {number}");
        }
        let graph = Graph::new();
        let mut scopes: Vec<_> = ["a", "b", "c"].map(|name| Some(graph.scope(name))).into();
        order.into_iter().for_each(|scope| scopes[scope] = None);
        assert!(!graph.dot(&[graph.input("x", [1]) * 2.0]).contains("subgraph"), "{order:?}");
    }
}

/// Ops that are defined by themselves.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Endless {
    way: u8,
}

impl Op for Endless {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);
    fn name(&self) -> &'static str {
        "endless"
    }
    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn form(&self) -> Form {
        if self.way == 2 { Form::Kernel } else { Form::Expanded }
    }
    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        if let (Array::Real(x), ArrayMut::Real(y)) = (work.inputs[0], &mut work.outputs[0]) {
            y.copy_from_slice(x);
        }
        Ok(())
    }
    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let graph = inputs[0].graph();
        Some(match self.way {
            // Itself, twice itself, itself (of which the kernel is the work), itself in another form, an op that ends.
            0 | 2 => smallvec![graph.call(Endless { way: self.way }, inputs)],
            255 => panic!("of {:?}", graph.call(Endless { way: 0 }, inputs)),
            1 => smallvec![graph.call(Endless { way: 1 }, inputs) + graph.call(Endless { way: 1 }, inputs)],
            5.. => smallvec![graph.call(Endless { way: if self.way == 254 { 5 } else { self.way + 1 } }, inputs)],
            _ => smallvec![inputs[0].exp()],
        })
    }
    fn derivative(&self, _: usize) -> Derivative {
        // A derivative that is written with the op itself.
        if self.way == 3 { Derivative::Rule } else { Derivative::Expansion }
    }
    fn vjp<'g>(&self, call: Call<'_, 'g>, _: usize) -> Var<'g> {
        call.g() * call.x(0).graph().call(Endless { way: 3 }, &[call.x(0)])
    }
}

#[test]
fn an_op_that_is_defined_by_itself_is_an_error_that_names_it() {
    for way in [0, 1, 5] {
        let graph = Graph::new();
        let x = graph.input("x", [2]);
        let error = graph.apply(Endless { way }, &[x]).unwrap_err().to_string();
        assert!(error.starts_with("`endless`: ") && error.contains("soundness.rs:"), "{error}");
        assert!(error.contains("it is infinite") || error.contains("expansions are nested"), "{error}");
        // The graph is of use afterwards.
        assert!(graph.apply(Endless { way: 4 }, &[x]).is_ok());
        assert!(panics(|| _ = graph.call(Endless { way }, &[x])).contains("`endless`"));
    }
    let graph = Graph::new();
    let x = graph.constant(&Tensor::from([0.0, 1.0]));
    // A panic on the way leaves nothing behind.
    assert!(panics(|| _ = graph.call(Endless { way: 255 }, &[x])).starts_with("of "));
    assert_eq!(graph.eval(graph.call(Endless { way: 4 }, &[x])).unwrap().data()[0], 1.0);
    let y = graph.call(Endless { way: 2 }, &[x]);
    let error = graph.grad(y.sum(), &[x]).unwrap_err().to_string();
    assert!(error.contains("`endless`") && error.contains("it is infinite"), "{error}");
    let third = (0..3).fold(graph.call(Endless { way: 3 }, &[x]), |y, _| graph.grad(y.sum(), &[x]).unwrap()[0]);
    graph.eval(third).unwrap().assert_close(&Tensor::from([1.0, 1_f64.exp()]), 1e-15, 0.0);
}

/// Copies its input, and panics if the first element is below 0.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fragile;

impl Op for Fragile {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);
    fn name(&self) -> &'static str {
        "fragile"
    }
    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn form(&self) -> Form {
        Form::Kernel
    }
    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (Array::Real(x), ArrayMut::Real(y)) = (work.inputs[0], &mut work.outputs[0]) else { return Ok(()) };
        assert!(x[0] >= T::zero(), "the first element is below 0");
        y.copy_from_slice(x);
        Ok(())
    }
}

#[test]
fn what_panics_can_be_used_again() {
    let graph = Graph::new();
    let x = graph.input("x", [2]);
    let y = graph.call(Fragile, &[x * 2.0]) + x.sum();
    let mut session = Plan::new(&graph, &[y]).unwrap().session::<f64>();
    let params = Params::new(0);
    let (bad, good) = (Tensor::from([-1.0, 1.0]), Tensor::from([1.0, 2.0]));
    for _ in 0..2 {
        assert!(panics(|| _ = session.run(&params, &Feed::new().with("x", &bad))).contains("below 0"));
        let outputs = session.run(&params, &Feed::new().with("x", &good)).unwrap();
        assert_eq!(outputs.real(0).data(), [5.0, 7.0]);
    }
    let constant = graph.call(Fragile, &[graph.constant(&bad)]);
    assert!(panics(|| _ = graph.eval(constant)).contains("below 0"));
    assert_eq!(graph.eval(graph.call(Fragile, &[graph.constant(&good)])).unwrap(), good);
}

/// `x²`, by an op of the user's.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Square;

impl Pointwise for Square {
    const NAME: &'static str = "square";
    fn value<T: Real>(&self, x: &[T]) -> T {
        x[0] * x[0]
    }
    fn slope<'g>(&self, x: &[Var<'g>], _: Var<'g>, _: usize) -> Var<'g> {
        x[0] * 2.0
    }
}

#[test]
fn messages_name_what_helps() {
    let graph = Graph::new();
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::from([1.0, 2.0]));
    let (x, w) = (graph.input("x", [2]), graph.param(&w));
    let here = "soundness.rs:";
    let error = graph.eval(graph.call(Square, &[w])).unwrap_err().to_string();
    assert!(error.contains("parameter `w`") && error.contains("`Graph::eval_with`"), "{error}");
    let error = graph.eval(x * 2.0).unwrap_err().to_string();
    assert!(error.contains("input `x`") && error.contains("`Graph::eval_with`"), "{error}");
    let places = w.argmax(0);
    let error = graph.eval(places).unwrap_err().to_string();
    assert!(error.contains("`argmax`") && error.contains("is an index; `to_real`"), "{error}");
    let error = graph.grad(places.to_real(), &[w]).unwrap_err().to_string();
    assert!(error.contains("`argmax`") && error.contains("indices have no derivative"), "{error}");
    let error = graph.grad(places, &[w]).unwrap_err().to_string();
    assert!(error.contains("indices have no derivative") && error.matches(here).count() == 2, "{error}");
    let error = graph.grad(w * 2.0, &[w]).unwrap_err().to_string();
    assert!(error.contains("`grad` of a value of shape [2], `mul` at ") && error.matches(here).count() == 2, "{error}");
    let refused: [&dyn Fn(); 8] = [
        &|| _ = x.sum_axes([0, 5]),
        &|| _ = x.sum_axes([0, 0]),
        &|| _ = x.permute([0, 3]),
        &|| _ = x.mean_keep(-2),
        &|| _ = x.outer(x.unsqueeze(0)),
        &|| _ = x.clamp(1.0, 0.0),
        &|| _ = graph.bernoulli(1.5, [2]),
        &|| _ = graph.input("x", [2]),
    ];
    for refused in refused {
        panics_here(refused);
    }
}

/// The identity, which counts the numbers that it is given.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Counted;

static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Pointwise for Counted {
    const NAME: &'static str = "counted";

    fn value<T: Real>(&self, x: &[T]) -> T {
        COUNT.fetch_add(1, Ordering::Relaxed);
        x[0]
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0].graph().scalar(1.0)
    }
}

#[test]
fn evaluation_in_a_loop_does_what_is_new() {
    let graph = Graph::new();
    let mut x = graph.constant(&Tensor::from_fn([8], |k| k as f64 * 0.1));
    for step in 1..=300 {
        x = (x * 0.9 + graph.call(Counted, &[x]) * 0.1).tanh();
        assert!(graph.eval(x.sum()).unwrap().item().is_finite());
        assert_eq!(COUNT.load(Ordering::Relaxed), 8 * step);
    }
}

#[test]
fn values_that_were_evaluated_stay_what_they_are() {
    let graph = Graph::new();
    let noise = graph.normal([4]);
    let first = graph.eval(noise * 2.0).unwrap();
    let mut kept = graph.eval(noise).unwrap();
    kept.data_mut().fill(0.0);
    assert_eq!(graph.eval(noise * 2.0).unwrap(), first);
    let places = graph.eval_with::<f64>(&[noise.argmax(0)], &Params::new(0), &Feed::new()).unwrap();
    assert!(matches!(places[0], AnyTensor::Index(_)));
    assert_eq!(noise.argmax(0).kind(), Kind::Index);
}
