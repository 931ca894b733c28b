//! What is described and built again is the same: every op, and whole graphs, to the last bit.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::{GraphDescription, NodeDescription};
use crate::params::Params;
use crate::plan::Feed;
use crate::shape::Shape;
use crate::tape::op::{Attributes, Meta, Ops};
use crate::tape::{Graph, Var};
use crate::tensor::{AnyTensor, Tensor};

fn bits(values: &[AnyTensor<f64>]) -> Vec<Vec<u64>> {
    let one = |value: &AnyTensor<f64>| match value {
        AnyTensor::Real(tensor) => tensor.data().iter().map(|x| x.to_bits()).collect(),
        AnyTensor::Index(tensor) => tensor.data().iter().map(|&x| x as u64).collect(),
    };
    values.iter().map(one).collect()
}

/// Describes, builds again, and compares: the descriptions, and the values of a run.
#[track_caller]
fn assert_same(graph: &Graph, outputs: &[Var<'_>], params: &Params<f64>, feed: &Feed<'_, f64>) -> GraphDescription {
    let ops = Ops::builtin();
    let description = graph.describe(outputs, &ops).expect("it can be described");
    let built = Graph::new();
    let find = |name: &str| params.find(name).cloned();
    let again = description.build(&built, &ops, find).expect("it can be built");
    assert_eq!(built.describe(&again, &ops).expect("it can be described again"), description);
    let before = graph.eval_with(outputs, params, feed).expect("it runs");
    let after = built.eval_with(&again, params, feed).expect("it runs");
    assert_eq!(bits(&after), bits(&before));
    description
}

/// An op that a graph holds can be written and read: also one that is added later.
#[test]
fn every_op_that_a_graph_holds_is_described_and_built_again() {
    let mut runner = TestRunner::deterministic();
    for entry in crate::ops::registry() {
        for _ in 0..16 {
            let sample = entry.samples.new_tree(&mut runner).expect("nothing is refused").current();
            let graph = Graph::new();
            let inputs: Vec<Var<'_>> = (sample.inputs.iter())
                .map(|input| match input {
                    AnyTensor::Real(x) => graph.constant(x),
                    AnyTensor::Index(x) => graph.index_constant(x),
                })
                .collect();
            let outputs = graph.apply_any(&sample.op, &inputs).expect("the op accepts its samples");
            let before = graph.len();
            let description = assert_same(&graph, &outputs, &Params::new(0), &Feed::new());
            // The op itself is there, with its attributes, if the graph has it.
            let known = Ops::builtin();
            let kept =
                graph.tape().op(outputs[0].node()).is_some_and(|op| op.name() == sample.op.name() && known.has(&**op));
            if kept {
                let (name, version, attributes) = known.find(&*sample.op).expect("it is known");
                let last = description.nodes.iter().rfind(|node| node.op == name).expect("it is described");
                assert_eq!((last.version, &last.attributes), (version, &attributes), "{sample:?}");
            }
            assert!(description.nodes.len() <= before);
        }
    }
}

#[test]
fn leaves_keep_their_numbers_names_and_bits() {
    let mut params: Params<f64> = Params::new(0);
    let weight = params.scope("a", |params| params.add("weight", Tensor::from([0.1, 0.2])));
    let mean = params.add_buffer("mean", Tensor::from([0.5, -0.5]));
    let unused = params.add("unused", Tensor::zeros([3]));
    let graph = Graph::new();
    let _not_needed = (graph.uniform([3]), graph.param(&unused), graph.input("unused", [1]));
    let x = graph.input("x", [2]);
    let rows = graph.index_input("rows", [2]);
    let drawn = graph.bernoulli(0.3, [2]) + graph.randint(2..9, [2]).to_real() + graph.uniform([2]) * graph.normal([2]);
    let _after = graph.normal([2]);
    let constant =
        graph.constant(&Tensor::from([f64::INFINITY, 0.1])) + graph.scalar(f64::from_bits(0x7ff0_0000_0000_0001));
    let chosen = graph.index_constant(&Tensor::from([7, 8, 9])).index_select(0, rows);
    let real = (x * graph.param(&weight) + drawn).stop_gradient() - graph.updated(&mean);
    let outputs = [real, chosen + 1, constant, x, rows, real];
    let (x, rows, unused) = (Tensor::from([3.0, 4.0]), Tensor::from([2, 0]), Tensor::from([0.0]));
    let feed = Feed::new().with("x", &x).with("rows", &rows).with("unused", &unused).random(5, 2);
    let description = assert_same(&graph, &outputs, &params, &feed);
    let names: Vec<String> = description.inputs().map(|(name, _)| name).collect();
    assert_eq!(names, ["unused", "x", "rows"]);
    assert_eq!(description.parameters().collect::<Vec<_>>(), ["a.weight", "mean"]);
    // The leaf before those that are needed is counted, the one after is not.
    assert_eq!(description.nodes.iter().filter(|node| node.op == "random").count(), 5);
}

#[test]
fn what_stands_for_other_values_is_left_out() {
    let graph = Graph::new();
    let x = graph.input("x", [4]);
    let parts = x.split(&[1, 3], 0);
    let y = graph.checkpoint(|| (parts[1] * parts[0]).exp()).sum();
    let slope = graph.grad(y, &[x]).expect("it has a gradient")[0];
    let feed_value = Tensor::from([0.5, 1.0, -2.0, 3.0]);
    let description = assert_same(&graph, &[y, slope], &Params::new(0), &Feed::new().with("x", &feed_value));
    for name in ["split", "recompute"] {
        assert!(description.nodes.iter().all(|node| node.op != name), "{description:?}");
    }
}

/// An op that files do not know.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Stranger;

impl crate::Pointwise for Stranger {
    const NAME: &'static str = "stranger";

    fn value<T: crate::Real>(&self, x: &[T]) -> T {
        x[0]
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0]
    }
}

#[test]
fn an_op_that_is_not_known_is_named() {
    let graph = Graph::new();
    let y = graph.call(Stranger, &[graph.input("x", [2])]);
    let error = graph.describe(&[y], &Ops::builtin()).expect_err("it is not known").to_string();
    assert!(error.starts_with("`stranger` at crates/graph/src/portable/tests.rs:"), "{error}");
    assert!(error.contains("saved_op!"), "{error}");
}

fn node(op: &str, attributes: Attributes, inputs: &[(u32, u32)], outputs: &[Meta]) -> NodeDescription {
    let (op, inputs, outputs) = (op.to_owned(), inputs.to_vec(), outputs.iter().cloned().collect());
    NodeDescription { op, version: 1, attributes, inputs, outputs }
}

fn input(name: &str, shape: &[usize]) -> NodeDescription {
    node("input", Attributes::new().with("name", &name.to_owned()), &[], &[Meta::real(shape)])
}

#[test]
fn what_does_not_make_a_graph_is_refused() {
    let of = |nodes: Vec<NodeDescription>| GraphDescription { nodes, ..GraphDescription::default() };
    let x = || input("x", &[2, 3]);
    let axes = |axes: &[usize]| Attributes::new().with("axes", &axes.to_vec());
    let exp = |inputs: &[(u32, u32)], shape: &[usize]| node("exp", Attributes::new(), inputs, &[Meta::real(shape)]);
    let mut later = exp(&[(0, 0)], &[2, 3]);
    later.version = 2;
    let large = Attributes::new().with("shape", &Shape::from([1_usize << 45, 2, 3]));
    let random = |attributes: Attributes| node("random", attributes, &[], &[Meta::real([2])]);
    let named = |name: &str| Attributes::new().with("distribution", &name.to_owned());
    let (one, deep) = ([1_usize; 65], Attributes::new().with("shape", &Shape::from([1; 65])));
    let cases = [
        (vec![exp(&[(0, 0)], &[2])], "node 0: output 0 of node 0 is not there, or comes later"),
        (vec![x(), exp(&[(0, 1)], &[2, 3])], "node 1: output 1 of node 0 is not there, or comes later"),
        (vec![x(), exp(&[(0, 0)], &[3, 2])], "node 1: `exp` gives real [2, 3], where real [3, 2] is said"),
        (vec![x(), exp(&[], &[2, 3])], "node 1: `exp`: takes 1 input, not 0"),
        (vec![x(), later], "node 1: the op `exp` has version 2; this program knows it up to 1"),
        (vec![x(), x()], "node 1: there are two inputs named `x`"),
        (vec![node("nonsense", Attributes::new(), &[], &[])], "node 0: the op `nonsense` is unknown"),
        (
            vec![x(), node("sum", axes(&[1, 0]), &[(0, 0)], &[Meta::real([])])],
            "node 1: `sum` of [2, 3]: the axes [1, 0] are not in order, each named once",
        ),
        (
            vec![x(), node("sum", axes(&[2]), &[(0, 0)], &[Meta::real([2, 3])])],
            "node 1: `sum` of [2, 3]: axis 2 is out of range for 2 axes",
        ),
        (
            vec![x(), node("sum", Attributes::new(), &[(0, 0)], &[Meta::real([])])],
            "node 1: the op `sum`: attribute `axes` is missing",
        ),
        (
            vec![x(), node("sum", axes(&[]).with("more", &true), &[(0, 0)], &[Meta::real([2, 3])])],
            "node 1: the op `sum`: 2 attributes were given, where it has 1",
        ),
        (
            vec![x(), node("broadcast_to", large, &[(0, 0)], &[Meta::real([1_usize << 45, 2, 3])])],
            "node 1: with it the values have more than 17592186044416 elements",
        ),
        (
            vec![x(), node("broadcast_to", deep, &[(0, 0)], &[Meta::real(&one[..])])],
            "node 1: a value has 65 axes, of at most 64",
        ),
        (
            vec![node("parameter", Attributes::new().with("name", &"w".to_owned()), &[], &[Meta::real([2])])],
            "node 0: parameter `w` is missing",
        ),
        (
            vec![node("constant", Attributes::new().with("number", &0_usize), &[], &[Meta::real([2])])],
            "node 0: there is no constant 0",
        ),
        (vec![random(named("cauchy"))], "node 0: the distribution `cauchy` is unknown"),
        (vec![random(named("bernoulli"))], "node 0: attribute `probability` is missing"),
        (vec![random(named("integers").with("range", &[3_i64, 3]))], "node 0: there is no integer in 3..3"),
        (vec![node("input", Attributes::new(), &[], &[])], "node 0: `input` has one output and version 1, not 0 and 1"),
    ];
    for (nodes, message) in cases {
        let error = of(nodes).build(&Graph::new(), &Ops::builtin(), |_| None).expect_err(message).to_string();
        assert!(error.starts_with(message), "{error}\ndoes not begin with\n{message}");
    }
    let description = GraphDescription { outputs: vec![(3, 0)], ..of(vec![x()]) };
    let error = description.build(&Graph::new(), &Ops::builtin(), |_| None).expect_err("there is no node 3");
    assert_eq!(error.to_string(), "outputs: output 0 of node 3 is not there, or comes later");
    let used = Graph::new();
    used.zeros([1]);
    let error = of(vec![x()]).build(&used, &Ops::builtin(), |_| None).expect_err("it is not empty").to_string();
    assert!(error.starts_with("a description is built into an empty graph"), "{error}");
}
