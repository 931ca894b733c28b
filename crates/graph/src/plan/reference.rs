//! Evaluation node by node: [`Graph::eval`], and the reference that plans are tested against.

use std::panic::Location;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::feed::{Feed, InputSpec};
use crate::error::{Error, ErrorKind};
use crate::kernel::gemm::MatrixView;
use crate::kernel::random::RandomStream;
use crate::params::Params;
use crate::real::Real;
use crate::shape::{Layout, Shape};
use crate::tape::op::{AnyOp, Array, ArrayMut, Form, Kind, Work};
use crate::tape::{Constant, Distribution, Graph, Node, NodeId, Source, Tape, Value, Var, at};
use crate::tensor::{AnyTensor, Data, Tensor};

/// The message for a number of bytes that could not be allocated.
pub(super) fn no_memory(bytes: usize) -> String {
    format!("a run needs {bytes} bytes at once, which could not be allocated")
}

impl Graph {
    /// The value of a variable in double precision, evaluated eagerly: for inspection, and for control flow that
    /// depends on values. The variable may depend on constants and random leaves (under seed 0 at step 0), but not on
    /// inputs and parameters, for which there is [`Graph::eval_with`].
    ///
    /// The values of all nodes that it depends on are kept until the graph is dropped, so that repeated evaluation
    /// computes new nodes only.
    ///
    /// # Errors
    /// If the variable is an index (use [`Graph::eval_with`]), depends on an input or a parameter, or belongs
    /// to another graph, or if an index that was computed is out of range.
    #[track_caller]
    pub fn eval(&self, var: Var<'_>) -> Result<Tensor<f64>, Error> {
        let caller = Location::caller();
        self.check_own("eval", &[var], caller)?;
        let fault = |problem: String| Error::at(ErrorKind::Feed, format!("`eval`: {problem}"), caller);
        let tape = self.tape();
        if tape.meta(var.value).kind == Kind::Index {
            let problem = "is an index; `to_real` makes real numbers of it, `Graph::eval_with` gives indices";
            return Err(fault(format!("{} {problem}", tape.describe(var.node()))));
        }
        let mut known = self.evaluated.borrow_mut();
        known.resize_with(tape.nodes.len(), SmallVec::new);
        // The nodes without values, which are found backwards and evaluated in the order of the tape.
        let (mut new, mut seen) = (vec![var.node()], FxHashSet::default());
        let mut next = 0;
        while let Some(&node) = new.get(next) {
            next += 1;
            for input in &tape.nodes[node.index()].inputs {
                if known[input.node.index()].is_empty() && seen.insert(input.node) {
                    new.push(input.node);
                }
            }
        }
        new.sort_unstable();
        let (params, feed) = (Params::new(0), Feed::new());
        for node in new {
            if !known[node.index()].is_empty() {
                continue;
            }
            if let Source::Input(_) | Source::Param(_) = tape.nodes[node.index()].source {
                let needed = "whose value `Graph::eval_with` takes from a feed and a store";
                return Err(fault(format!("the value depends on {}, {needed}", tape.describe(node))));
            }
            let inputs = tape.nodes[node.index()].inputs.iter();
            let inputs: SmallVec<[AnyTensor<f64>; 3]> =
                inputs.map(|input| known[input.node.index()][input.output as usize].clone()).collect();
            known[node.index()] = evaluate(&tape, node, &inputs, &params, &feed)?;
        }
        Ok(known[var.node().index()][var.value.output as usize].real().clone())
    }

    /// The values of variables from the given parameters and inputs, one node after another, without a plan.
    ///
    /// # Errors
    /// If an input was not fed or does not fit, a parameter is not in the store, an index that was computed is out of
    /// range, or a variable belongs to another graph.
    #[track_caller]
    pub fn eval_with<T: Real>(
        &self,
        vars: &[Var<'_>],
        params: &Params<T>,
        feed: &Feed<'_, T>,
    ) -> Result<Vec<AnyTensor<T>>, Error> {
        self.check_own("eval_with", vars, Location::caller())?;
        let tape = self.tape();
        feed.check_names(&tape.inputs.iter().map(|(name, _)| name.clone()).collect())?;
        let end = vars.iter().map(|var| var.value.node.index() + 1).max().unwrap_or(0);
        // The number of uses of each node that are left.
        let mut uses = vec![0_u32; end];
        for var in vars {
            uses[var.value.node.index()] += 1;
        }
        for index in (0..end).rev() {
            if uses[index] > 0 {
                for input in &tape.nodes[index].inputs {
                    uses[input.node.index()] += 1;
                }
            }
        }
        let mut values: Vec<SmallVec<[AnyTensor<T>; 1]>> = vec![SmallVec::new(); end];
        for index in 0..end {
            if uses[index] == 0 {
                continue;
            }
            let node = &tape.nodes[index];
            let inputs: SmallVec<[AnyTensor<T>; 3]> =
                node.inputs.iter().map(|input| values[input.node.index()][input.output as usize].clone()).collect();
            values[index] = evaluate(&tape, NodeId(index as u32), &inputs, params, feed)?;
            for input in &node.inputs {
                uses[input.node.index()] -= 1;
                if uses[input.node.index()] == 0 {
                    values[input.node.index()] = SmallVec::new();
                }
            }
        }
        let take = |Value { node, output }: Value| values[node.index()][output as usize].clone();
        Ok(vars.iter().map(|var| take(var.value)).collect())
    }
}

fn evaluate<T: Real>(
    tape: &Tape,
    id: NodeId,
    inputs: &[AnyTensor<T>],
    params: &Params<T>,
    feed: &Feed<'_, T>,
) -> Result<SmallVec<[AnyTensor<T>; 1]>, Error> {
    let node = &tape.nodes[id.index()];
    let one = |tensor| Ok(smallvec::smallvec![tensor]);
    match node.source {
        Source::Op(op) => apply(&tape.ops[op as usize], node, inputs)
            .map_err(|problem| Error::new(ErrorKind::Run, format!("{}: {problem}", tape.describe(id)))),
        Source::Input(input) => match feed.get(&input_spec(tape, input))? {
            Data::Real(tensor) => one(AnyTensor::Real(tensor.clone())),
            Data::Index(tensor) => one(AnyTensor::Index(tensor.clone())),
        },
        Source::Constant(constant) => one(match &tape.constants[constant as usize] {
            Constant::Scalar(value) => AnyTensor::Real(Tensor::scalar(T::of(*value))),
            Constant::Real(tensor) => AnyTensor::Real(tensor.cast()),
            Constant::Index(tensor) => AnyTensor::Index(tensor.clone()),
        }),
        Source::Param(param) => {
            let value = params.check(&tape.params[param as usize].0);
            one(AnyTensor::Real(value.map_err(|problem| Error::new(ErrorKind::Feed, problem))?.clone()))
        }
        Source::Random(random) => {
            let zeros = AnyTensor::zeros(&node.outputs[0]);
            let mut value = zeros.map_err(|bytes| Error::new(ErrorKind::Run, no_memory(bytes)))?;
            let stream = RandomStream { seed: feed.seed, step: feed.step, stream: random };
            draw(&tape.randoms[random as usize], stream, value.array_mut());
            one(value)
        }
        Source::Seed => Err(Error::new(
            ErrorKind::Derivative,
            "a vjp is not linear in its cotangent: the jvp derived from it depends on the cotangent",
        )),
    }
}

/// The declaration of an input.
pub(crate) fn input_spec(tape: &Tape, input: u32) -> InputSpec {
    let (name, node) = &tape.inputs[input as usize];
    let node = &tape.nodes[node.index()];
    InputSpec { name: name.clone(), number: input as usize, meta: node.outputs[0].clone(), line: at(node.location) }
}

/// Fills `out` with the elements of a random leaf.
pub(crate) fn draw<T: Real>(distribution: &Distribution, stream: RandomStream, mut out: ArrayMut<'_, T>) {
    match distribution {
        Distribution::Uniform => stream.uniform(0, out.real()),
        Distribution::Normal => stream.normal(0, out.real()),
        Distribution::Bernoulli(probability) => stream.bernoulli(*probability, 0, out.real()),
        Distribution::Integers(range) => stream.integers(range.clone(), 0, out.index()),
    }
}

fn apply<T: Real>(
    op: &Arc<dyn AnyOp>,
    node: &Node,
    inputs: &[AnyTensor<T>],
) -> Result<SmallVec<[AnyTensor<T>; 1]>, String> {
    match op.form() {
        Form::Expanded => unreachable!("{} was recorded as its expansion", op.name()),
        Form::View => {
            let layout = op.view(&Layout::contiguous(inputs[0].shape().clone()));
            let layout = layout.expect("a contiguous input can be viewed");
            Ok(smallvec::smallvec![inputs[0].laid_out(&layout).map_err(no_memory)?])
        }
        Form::Alias { first } => Ok(inputs[first..].iter().cloned().collect()),
        Form::Pointwise => {
            let arrays: SmallVec<[&[T]; 4]> = inputs.iter().map(|input| input.real().data()).collect();
            let mut output = Tensor::filled(&node.outputs[0].shape, T::zero()).map_err(no_memory)?;
            op.work::<T>().block(&arrays, output.data_mut());
            Ok(smallvec::smallvec![AnyTensor::Real(output)])
        }
        Form::Product => {
            let mut output = Tensor::filled(&node.outputs[0].shape, T::zero()).map_err(no_memory)?;
            product(inputs[0].real(), inputs[1].real(), output.data_mut());
            Ok(smallvec::smallvec![AnyTensor::Real(output)])
        }
        Form::Kernel => {
            let outputs: Result<SmallVec<[AnyTensor<T>; 1]>, usize> =
                node.outputs.iter().map(AnyTensor::zeros).collect();
            let mut outputs = outputs.map_err(no_memory)?;
            let arrays: SmallVec<[Array<'_, T>; 4]> = inputs.iter().map(AnyTensor::array).collect();
            let input_shapes: SmallVec<[Shape; 4]> = inputs.iter().map(|input| input.shape().clone()).collect();
            let output_shapes: SmallVec<[Shape; 1]> = node.outputs.iter().map(|meta| meta.shape.clone()).collect();
            let mut memory: SmallVec<[ArrayMut<'_, T>; 1]> = outputs.iter_mut().map(AnyTensor::array_mut).collect();
            let mut workspace = vec![T::zero(); op.work::<T>().workspace(&input_shapes)];
            let mut work = Work {
                inputs: &arrays,
                input_shapes: &input_shapes,
                outputs: &mut memory,
                output_shapes: &output_shapes,
                workspace: &mut workspace,
            };
            op.work::<T>().run(&mut work)?;
            drop(memory);
            Ok(outputs)
        }
    }
}

/// The batched product of contiguous operands.
fn product<T: Real>(a: &Tensor<T>, b: &Tensor<T>, c: &mut [T]) {
    let rank = a.shape().rank();
    let (m, k, n) = (a.shape()[rank - 2], a.shape()[rank - 1], b.shape()[rank - 1]);
    let mut workspace = vec![T::zero(); T::workspace(m, k, n)];
    let batches: usize = a.shape()[..rank - 2].iter().product();
    for batch in 0..batches {
        let a = MatrixView { data: a.data(), offset: batch * m * k, row: k as isize, col: 1 };
        let b = MatrixView { data: b.data(), offset: batch * k * n, row: n as isize, col: 1 };
        T::gemm(m, k, n, a, b, false, &mut c[batch * m * n..(batch + 1) * m * n], &mut workspace);
    }
}
