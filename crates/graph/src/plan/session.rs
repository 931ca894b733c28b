//! A plan with the memory that it runs in.

use std::sync::{Arc, Mutex, PoisonError};

use super::feed::{Data, Feed};
use super::fused::{self, gather};
use super::memory::{Bound, Frame, aligned, reserve};
use super::reference::{self, AnyTensor, draw};
use super::unit::{Factor, Place, Target, Unit};
use super::{Inner, Plan};
use crate::error::{Error, ErrorKind};
use crate::kernel::gemm::{Matrix, product, product_is_divided, product_workspace};
use crate::kernel::parallel::within_pool;
use crate::kernel::random::Stream;
use crate::params::Params;
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::op::{Array, ArrayMut, Kind, Meta, Work};
use crate::tensor::{Tensor, unravel};

/// Memory that sessions work in. Several may share one, for plans that run in turn, such as those of one model for
/// several shapes: it is as large as the largest of them needs, and each has it for the time of a run. Cheap to clone;
/// clones are the same memory.
///
/// # Example
/// ```
/// use gradus_graph::{Arena, Feed, Graph, Params, Plan, Tensor};
/// let arena: Arena<f64> = Arena::new();
/// for rows in [2, 3] {
///     let graph = Graph::new();
///     let x = graph.input("x", [rows, 2]);
///     let mut session = Plan::new(&graph, &[x.matmul(x.t()).exp().sum()])?.session_in(&arena);
///     let x: Tensor<f64> = Tensor::ones([rows, 2]);
///     session.run(&Params::new(0), &Feed::new().with("x", &x))?;
/// }
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub struct Arena<T>(Arc<Mutex<Memory<T>>>);

struct Memory<T> {
    real: Vec<T>,
    index: Vec<i64>,
    /// Registers of fused loops.
    scratch: Vec<T>,
    /// Of kernels and products.
    workspace: Vec<T>,
}

impl<T> Arena<T> {
    /// An arena that takes no memory yet.
    pub fn new() -> Self {
        let memory = Memory { real: Vec::new(), index: Vec::new(), scratch: Vec::new(), workspace: Vec::new() };
        Self(Arc::new(Mutex::new(memory)))
    }

    /// The bytes that it has taken.
    pub fn bytes(&self) -> usize {
        let Memory { real, index, scratch, workspace } = &*self.0.lock().unwrap_or_else(PoisonError::into_inner);
        [real, scratch, workspace].map(Vec::len).iter().sum::<usize>() * size_of::<T>() + index.len() * size_of::<i64>()
    }
}

impl<T> Clone for Arena<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A plan with its memory, in one precision.
///
/// After its first run it asks for no memory, on any number of threads, but for a fresh tensor in the place of an output
/// of which the caller kept a clone, for what an op outside of this library does, and for layouts of more than eight axes. Called from a thread outside of
/// the pool, with enough work for more than one thread, it enters the pool once; the pool's own queue of such calls
/// takes a block of memory every sixty-third time.
pub struct Session<T> {
    plan: Plan,
    arena: Arena<T>,
    real: Frame<T>,
    index: Frame<i64>,
    outputs: Vec<AnyTensor<T>>,
    /// Elements of scratch and of workspace that a run needs.
    scratch: usize,
    workspace: usize,
    threads: usize,
    /// Whether some unit has enough work for more than one thread.
    is_divided: bool,
    lists: Lists,
    prologue_done: bool,
}

/// The lists of a kernel's inputs and outputs, empty between units, kept for their allocations: slices of any numbers
/// take the same space.
struct Lists {
    inputs: Vec<Array<'static, f64>>,
    outputs: Vec<ArrayMut<'static, f64>>,
}

/// A list without entries, in the allocation of another if the entries of that one had the same layout.
fn recycled<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    list.into_iter().map(|_| unreachable!("the list is empty")).collect()
}

/// The outputs of a run, in the order in which the plan was asked for them.
#[derive(Clone, Copy, Debug)]
pub struct Outputs<'a, T>(&'a [AnyTensor<T>]);

impl<'a, T: Real> Outputs<'a, T> {
    /// Real output number `i`.
    ///
    /// # Panics
    /// If there is no such output, or this one is an index.
    #[track_caller]
    pub fn real(&self, i: usize) -> &'a Tensor<T> {
        self.0[i].real()
    }

    /// Index output number `i`.
    ///
    /// # Panics
    /// If there is no such output, or this one is real.
    #[track_caller]
    pub fn indices(&self, i: usize) -> &'a Tensor<i64> {
        self.0[i].index()
    }

    /// All outputs.
    pub fn all(&self) -> &'a [AnyTensor<T>] {
        self.0
    }
}

impl Plan {
    /// Memory to run the plan in, in the precision `T`. Work is divided over the threads of the rayon pool in which
    /// this is called; the results do not depend on their number.
    pub fn session<T: Real>(&self) -> Session<T> {
        self.session_in(&Arena::new())
    }

    /// [`Plan::session`] that works in memory which it may share with other sessions.
    pub fn session_in<T: Real>(&self, arena: &Arena<T>) -> Session<T> {
        let inner = &*self.inner;
        let threads = rayon::current_num_threads();
        let units = || inner.prologue.iter().chain(inner.body.iter().map(|(unit, _)| unit));
        let scratch = units().map(|unit| if let Unit::Fused(fused) = unit { fused::scratch(fused) } else { 0 }).max();
        let workspace = units().map(|unit| match unit {
            Unit::Product(factors) => {
                let [m, k, n] = sizes(factors);
                product_workspace::<T>(m, k, n)
            }
            Unit::Kernel { op, input_shapes, .. } => inner.ops[*op as usize].work::<T>().workspace(input_shapes),
            _ => 0,
        });
        let is_divided = units().any(|unit| match unit {
            Unit::Fused(fused) => fused.len >= 2 * fused::GRAIN,
            Unit::Product(factors) => {
                let [m, k, n] = sizes(factors);
                product_is_divided(m, k, n)
            }
            Unit::Kernel { is_large, .. } => *is_large,
            Unit::Random { .. } | Unit::IndexCopy(_) => false,
        });
        Session {
            arena: arena.clone(),
            real: Frame::new(),
            index: Frame::new(),
            outputs: Vec::new(),
            scratch: scratch.unwrap_or(0).saturating_mul(threads),
            workspace: workspace.max().unwrap_or(0),
            threads,
            is_divided,
            lists: Lists { inputs: Vec::new(), outputs: Vec::new() },
            prologue_done: false,
            plan: self.clone(),
        }
    }
}

/// Rows, inner size and columns of a product.
fn sizes([a, b]: &[Factor; 2]) -> [usize; 3] {
    [a.size[0], a.size[1], b.size[1]]
}

impl<T: Real> Session<T> {
    /// Runs the plan.
    ///
    /// # Errors
    /// If an input was not fed, does not fit or is not declared; if a parameter is not in the store; if an index is out
    /// of range; if there is not enough memory; in a plan with anomaly checks, at the first value that is NaN or
    /// infinite.
    pub fn run(&mut self, params: &Params<T>, feed: &Feed<'_, T>) -> Result<Outputs<'_, T>, Error> {
        let mut outputs = std::mem::take(&mut self.outputs);
        let result = self.run_into(params, feed, &mut outputs);
        self.outputs = outputs;
        result?;
        Ok(Outputs(&self.outputs))
    }

    /// Runs the plan and leaves the outputs in a list of the caller, which several sessions may use in turn. Tensors in
    /// it that have the kind and the shape of the output in their place are written to; others are replaced. After an
    /// error the elements are not defined.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_into(
        &mut self,
        params: &Params<T>,
        feed: &Feed<'_, T>,
        outputs: &mut Vec<AnyTensor<T>>,
    ) -> Result<(), Error> {
        let inner = &*self.plan.inner;
        feed.check_names(&inner.declared)?;
        let memory = &mut *self.arena.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.make_room(memory, [self.scratch, self.workspace]).map_err(no_memory)?;
        self.real.reserve(&inner.real, T::zero()).map_err(no_memory)?;
        self.index.reserve(&inner.index, 0).map_err(no_memory)?;
        inner.fit(outputs).map_err(no_memory)?;

        let mut real = self.real.bind(&inner.real, &mut memory.real);
        let mut index = self.index.bind(&inner.index, &mut memory.index);
        real.leaves(|place| match place {
            Place::Param(number) => match params.check(&inner.params[number as usize]) {
                Ok(tensor) => Ok(tensor.data()),
                Err(problem) => Err(Error::new(ErrorKind::Feed, problem)),
            },
            Place::Input(number) => match feed.get(&inner.inputs[number as usize])? {
                Data::Real(tensor) => Ok(tensor.data()),
                Data::Index(_) => unreachable!("the kind of an input is checked"),
            },
            _ => unreachable!("leaves are inputs and parameters"),
        })?;
        index.leaves(|place| match place {
            Place::Input(number) => match feed.get(&inner.inputs[number as usize])? {
                Data::Index(tensor) => Ok(tensor.data()),
                Data::Real(_) => unreachable!("the kind of an input is checked"),
            },
            _ => unreachable!("indices are inputs"),
        })?;
        for (number, output) in outputs.iter_mut().enumerate() {
            match output {
                AnyTensor::Real(tensor) => real.output(number, tensor.data_mut()),
                AnyTensor::Index(tensor) => index.output(number, tensor.data_mut()),
            }
        }
        let mut run = Run {
            inner,
            stream: Stream { seed: feed.seed, step: feed.step, stream: 0 },
            real: real.finish(),
            index: index.finish(),
            scratch: aligned(&mut memory.scratch),
            workspace: aligned(&mut memory.workspace),
            threads: self.threads,
            lists: &mut self.lists,
        };
        if !self.prologue_done {
            run.load_constants();
        }
        let first = if self.prologue_done { inner.prologue.len() } else { 0 };
        if inner.anomaly {
            check_leaves(inner, params, feed)?;
        }
        if self.is_divided { within_pool(|| run.units(first)) } else { run.units(first) }?;
        self.prologue_done = true;
        Ok(())
    }
}

/// The error for a number of bytes that could not be allocated.
fn no_memory(bytes: usize) -> Error {
    Error::new(ErrorKind::Run, reference::no_memory(bytes))
}

impl Inner {
    /// # Errors
    /// The number of bytes that could not be allocated.
    fn make_room<T: Real>(&self, memory: &mut Memory<T>, [scratch, workspace]: [usize; 2]) -> Result<(), usize> {
        reserve(&mut memory.real, self.real.arena(), T::zero())?;
        reserve(&mut memory.index, self.index.arena(), 0)?;
        reserve(&mut memory.scratch, scratch, T::zero())?;
        reserve(&mut memory.workspace, workspace, T::zero())
    }

    /// Brings a list to as many tensors as there are outputs, of their kinds and shapes and not shared with anyone.
    ///
    /// # Errors
    /// The number of bytes that could not be allocated.
    fn fit<T: Real>(&self, outputs: &mut Vec<AnyTensor<T>>) -> Result<(), usize> {
        let fits = |tensor: &AnyTensor<T>, meta: &Meta| match tensor {
            AnyTensor::Real(tensor) => meta.kind == Kind::Real && *tensor.shape() == meta.shape && !tensor.is_shared(),
            AnyTensor::Index(tensor) => {
                meta.kind == Kind::Index && *tensor.shape() == meta.shape && !tensor.is_shared()
            }
        };
        outputs.truncate(self.outputs.len());
        for (number, meta) in self.outputs.iter().enumerate() {
            if outputs.get(number).is_some_and(|tensor| fits(tensor, meta)) {
                continue;
            }
            let fresh = match meta.kind {
                Kind::Real => AnyTensor::Real(Tensor::filled(&meta.shape, T::zero())?),
                Kind::Index => AnyTensor::Index(Tensor::filled(&meta.shape, 0)?),
            };
            match outputs.get_mut(number) {
                Some(tensor) => *tensor = fresh,
                None => outputs.push(fresh),
            }
        }
        Ok(())
    }
}

/// One run of a plan.
struct Run<'a, T: Real> {
    inner: &'a Inner,
    stream: Stream,
    real: Bound<'a, T>,
    index: Bound<'a, i64>,
    scratch: &'a mut [T],
    workspace: &'a mut [T],
    threads: usize,
    lists: &'a mut Lists,
}

impl<T: Real> Run<'_, T> {
    fn load_constants(&mut self) {
        for (slot, value) in &self.inner.real_constants {
            let target = self.real.kept_mut(*slot);
            target.iter_mut().zip(value.data()).for_each(|(to, from)| *to = T::of(*from));
        }
        for (slot, value) in &self.inner.index_constants {
            self.index.kept_mut(*slot).copy_from_slice(value.data());
        }
    }

    /// Runs the units from a number on, counted from the first of the prologue.
    fn units(&mut self, first: usize) -> Result<(), Error> {
        let inner = self.inner;
        let fault = |problem: String| Error::new(ErrorKind::Run, problem);
        for (number, unit) in inner.prologue.iter().enumerate().skip(first) {
            self.unit(number, unit).map_err(fault)?;
        }
        let before = inner.prologue.len();
        for (number, (unit, _)) in inner.body.iter().enumerate() {
            let named = |problem| fault(format!("{}: {problem}", inner.lines[number]));
            self.unit(before + number, unit).map_err(named)?;
            if inner.anomaly {
                self.check_finite(before + number, unit, &inner.lines[number], &inner.shapes[number])?;
            }
        }
        Ok(())
    }

    fn unit(&mut self, number: usize, unit: &Unit) -> Result<(), String> {
        match unit {
            Unit::Fused(fused) => {
                fused::run(fused, &self.inner.ops, &mut self.real, number, self.scratch, self.threads);
            }
            Unit::Product(factors) => {
                let [m, k, n] = sizes(factors);
                let (mut reads, mut writes) = self.real.lend(number);
                let (Some(left), Some(right), Some(c)) = (reads.next(), reads.next(), writes.next()) else {
                    unreachable!("a product has two factors and a result")
                };
                let [a, b] = &**factors;
                let matrix =
                    |data, offset, strides: [isize; 2]| Matrix { data, offset, row: strides[0], col: strides[1] };
                for (number, (from_a, from_b)) in a.batch.positions().zip(b.batch.positions()).enumerate() {
                    let (a, b) = (matrix(left, from_a, a.strides), matrix(right, from_b, b.strides));
                    product(m, k, n, a, b, false, &mut c[number * m * n..(number + 1) * m * n], self.workspace);
                }
            }
            Unit::Kernel { op, inputs, input_shapes, outputs, output_shapes, .. } => {
                let (mut real, mut written) = self.real.lend(number);
                let (mut index, mut written_index) = self.index.lend(number);
                const COUNTED: &str = "a footprint has the inputs and outputs of its kernel";
                let Lists { inputs: input_list, outputs: output_list } = &mut *self.lists;
                let mut arrays: Vec<Array<'_, T>> = recycled(std::mem::take(input_list));
                arrays.extend(inputs.iter().map(|kind| match kind {
                    Kind::Real => Array::Real(real.next().expect(COUNTED)),
                    Kind::Index => Array::Index(index.next().expect(COUNTED)),
                }));
                let mut results: Vec<ArrayMut<'_, T>> = recycled(std::mem::take(output_list));
                results.extend(outputs.iter().map(|kind| match kind {
                    Kind::Real => ArrayMut::Real(written.next().expect(COUNTED)),
                    Kind::Index => ArrayMut::Index(written_index.next().expect(COUNTED)),
                }));
                let mut work = Work {
                    inputs: &arrays,
                    input_shapes,
                    outputs: &mut results,
                    output_shapes,
                    workspace: self.workspace,
                };
                let result = self.inner.ops[*op as usize].work::<T>().run(&mut work);
                *self.lists = Lists { inputs: recycled(arrays), outputs: recycled(results) };
                result?;
            }
            Unit::Random { distribution, stream } => {
                const WRITTEN: &str = "random numbers are written somewhere";
                let out = match distribution.kind() {
                    Kind::Real => ArrayMut::Real(self.real.lend(number).1.next().expect(WRITTEN)),
                    Kind::Index => ArrayMut::Index(self.index.lend(number).1.next().expect(WRITTEN)),
                };
                draw(distribution, Stream { stream: *stream, ..self.stream }, out);
            }
            Unit::IndexCopy(layout) => {
                let (mut reads, mut writes) = self.index.lend(number);
                let (Some(from), Some(to)) = (reads.next(), writes.next()) else {
                    unreachable!("a copy goes from somewhere to somewhere")
                };
                gather(from, layout, 0, to);
            }
        }
        Ok(())
    }

    /// Anomaly mode: whether all that the unit has produced is finite.
    fn check_finite(&self, number: usize, unit: &Unit, line: &str, shapes: &[Shape]) -> Result<(), Error> {
        // For what the unit writes of real numbers, the numbers of its outputs.
        let outputs: Vec<usize> = match unit {
            Unit::Kernel { outputs, .. } => (0..outputs.len()).filter(|&k| outputs[k] == Kind::Real).collect(),
            Unit::Random { .. } | Unit::IndexCopy(_) => return Ok(()),
            // Without fusion a loop has one step; what it copies has been looked at.
            Unit::Fused(fused) => {
                fused.steps.iter().filter(|s| matches!(s.target, Target::Slot(_))).map(|_| 0).collect()
            }
            Unit::Product(_) => vec![0],
        };
        let (read, produced) = self.real.look(number);
        for (number, values) in outputs.into_iter().zip(produced) {
            if let Some(position) = values.iter().position(|value| !value.is_finite()) {
                let ranges: Vec<String> = read.map(range).collect();
                let element = match shapes.get(number) {
                    Some(shape) if shape.len() == values.len() => unravel(position, shape),
                    _ => vec![position],
                };
                let message = format!(
                    "{line} gave {} at element {element:?}; its inputs range over {}",
                    values[position],
                    ranges.join(" and ")
                );
                return Err(Error::new(ErrorKind::Anomaly, message));
            }
        }
        Ok(())
    }
}

/// "[−1, 2.5]", the least and the greatest of the values.
fn range<T: Real>(values: &[T]) -> String {
    let least = values.iter().copied().fold(T::infinity(), |a, b| if b < a { b } else { a });
    let greatest = values.iter().copied().fold(T::neg_infinity(), |a, b| if b > a { b } else { a });
    format!("[{least}, {greatest}]")
}

/// Anomaly mode: whether all that is fed is finite.
fn check_leaves<T: Real>(inner: &Inner, params: &Params<T>, feed: &Feed<'_, T>) -> Result<(), Error> {
    let fault = |what: String, tensor: &Tensor<T>| match tensor.data().iter().position(|value| !value.is_finite()) {
        Some(position) => {
            let value = tensor.data()[position];
            let element = unravel(position, tensor.shape());
            Err(Error::new(ErrorKind::Anomaly, format!("{what} holds {value} at element {element:?}")))
        }
        None => Ok(()),
    };
    for input in &inner.inputs {
        if let Data::Real(tensor) = feed.get(input)? {
            fault(format!("input `{}`, declared at {},", input.name, input.line), tensor)?;
        }
    }
    for param in &inner.params {
        fault(format!("parameter `{}`", param.name()), params.get(param))?;
    }
    Ok(())
}
