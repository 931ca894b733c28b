//! A plan with the memory that it runs in.

#![allow(unsafe_code)] // Slices of slots; see `memory`.

use smallvec::SmallVec;

use super::feed::{Data, Feed};
use super::fused::{self, gather};
use super::memory::{Memory, aligned, padded};
use super::reference::{AnyTensor, draw};
use super::unit::{Factor, Operand, Place, Unit};
use super::{Inner, Plan};
use crate::error::{Error, ErrorKind};
use crate::kernel::gemm::{Matrix, product, product_workspace};
use crate::params::Params;
use crate::real::Real;
use crate::shape::{Layout, Shape};
use crate::tape::op::{Array, ArrayMut, Kind, Work};
use crate::tensor::{Tensor, unravel};

/// A plan with its memory, in one precision. After its first run it allocates nothing (but a fresh tensor for an output
/// of which the caller kept a clone).
pub struct Session<T> {
    plan: Plan,
    real: Memory<T>,
    index: Memory<i64>,
    outputs: Vec<AnyTensor<T>>,
    scratch: Vec<T>,
    workspace: Vec<T>,
    threads: usize,
    prologue_done: bool,
}

/// The outputs of a run, in the order in which the plan was asked for them.
#[derive(Clone, Copy, Debug)]
pub struct Outputs<'a, T>(&'a [AnyTensor<T>]);

impl<'a, T: Real> Outputs<'a, T> {
    /// Real output number `i`.
    ///
    /// # Panics
    /// If there are not so many outputs, or this one is an index.
    #[track_caller]
    pub fn real(&self, i: usize) -> &'a Tensor<T> {
        self.0[i].real()
    }

    /// Index output number `i`.
    ///
    /// # Panics
    /// If there are not so many outputs, or this one is real.
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
        let inner = &*self.inner;
        let threads = rayon::current_num_threads();
        let units = || inner.prologue.iter().chain(inner.body.iter().map(|(unit, _)| unit));
        let scratch = units().map(|unit| if let Unit::Fused(fused) = unit { fused::scratch(fused) } else { 0 }).max();
        let workspace = units().map(|unit| match unit {
            Unit::Product { a, b, .. } => {
                let (m, k, n) = sizes(a, b);
                product_workspace::<T>(m, k, n)
            }
            Unit::Kernel { op, input_shapes, .. } => T::op_workspace(&*inner.ops[*op as usize], input_shapes),
            _ => 0,
        });
        let fresh = |meta: &crate::tape::op::Meta| match meta.kind {
            Kind::Real => AnyTensor::Real(Tensor::zeros(meta.shape.clone())),
            Kind::Index => AnyTensor::Index(Tensor::full(meta.shape.clone(), 0)),
        };
        Session {
            real: Memory::new(inner.real_slots.clone(), inner.real_arena, inner.real_kept, T::zero()),
            index: Memory::new(inner.index_slots.clone(), inner.index_arena, inner.index_kept, 0),
            outputs: inner.outputs.iter().map(fresh).collect(),
            scratch: padded(scratch.unwrap_or(0) * threads, T::zero()),
            workspace: padded(workspace.max().unwrap_or(0), T::zero()),
            threads,
            prologue_done: false,
            plan: self.clone(),
        }
    }
}

/// Rows, inner size and columns of a product.
fn sizes(a: &Factor, b: &Factor) -> (usize, usize, usize) {
    let rank = a.layout.shape.rank();
    (a.layout.shape[rank - 2], a.layout.shape[rank - 1], b.layout.shape[rank - 1])
}

impl<T: Real> Session<T> {
    /// Runs the plan.
    ///
    /// # Errors
    /// If an input was not fed, does not fit or is not declared; if a parameter is not in the store; if an index is out
    /// of range; in a plan with anomaly checks, at the first value that is NaN or infinite.
    pub fn run(&mut self, params: &Params<T>, feed: &Feed<'_, T>) -> Result<Outputs<'_, T>, Error> {
        let plan = self.plan.clone();
        let inner = &*plan.inner;
        feed.check_names(&inner.declared)?;
        self.bind(inner, params, feed)?;
        if !self.prologue_done {
            self.load_constants(inner);
            for unit in &inner.prologue {
                self.unit(inner, unit, feed).map_err(|problem| Error::new(ErrorKind::Run, problem))?;
            }
            self.prologue_done = true;
        }
        if inner.anomaly {
            check_leaves(inner, params, feed)?;
        }
        for (number, (unit, _)) in inner.body.iter().enumerate() {
            self.unit(inner, unit, feed)
                .map_err(|problem| Error::new(ErrorKind::Run, format!("{}: {problem}", inner.lines[number])))?;
            if inner.anomaly {
                self.check_finite(unit, &inner.lines[number], &inner.shapes[number])?;
            }
        }
        Ok(Outputs(&self.outputs))
    }

    /// Binds inputs, parameters and outputs to their slots.
    fn bind(&mut self, inner: &Inner, params: &Params<T>, feed: &Feed<'_, T>) -> Result<(), Error> {
        // Outputs that the caller still holds get fresh memory.
        for output in &mut self.outputs {
            match output {
                AnyTensor::Real(tensor) if tensor.is_shared() => {
                    *tensor = Tensor::zeros(tensor.shape().clone());
                }
                AnyTensor::Index(tensor) if tensor.is_shared() => {
                    *tensor = Tensor::full(tensor.shape().clone(), 0);
                }
                _ => {}
            }
        }
        let outputs = self.outputs.as_mut_ptr();
        let count = self.outputs.len();
        let input = |number: u32| feed.get(&inner.inputs[number as usize]);
        let param = |number: u32| {
            let value = params.check(&inner.params[number as usize]);
            value.map_err(|problem| Error::new(ErrorKind::Feed, problem))
        };
        let output = |number: u32| {
            assert!((number as usize) < count);
            // SAFETY: within the vector by the assertion; each output has one slot, so no two references meet.
            unsafe { &mut *outputs.add(number as usize) }
        };
        self.real.bind(
            |place| match place {
                Place::Input(number) => match input(number)? {
                    Data::Real(tensor) => Ok(tensor.data()),
                    Data::Index(_) => unreachable!("the kind of an input is checked"),
                },
                Place::Param(number) => Ok(param(number)?.data()),
                _ => unreachable!("only leaves are bound to read"),
            },
            |number| match output(number) {
                AnyTensor::Real(tensor) => tensor.data_mut(),
                AnyTensor::Index(_) => unreachable!("the kind of an output is that of its slot"),
            },
        )?;
        self.index.bind(
            |place| match place {
                Place::Input(number) => match input(number)? {
                    Data::Index(tensor) => Ok(tensor.data()),
                    Data::Real(_) => unreachable!("the kind of an input is checked"),
                },
                _ => unreachable!("only inputs are indices to read"),
            },
            |number| match output(number) {
                AnyTensor::Index(tensor) => tensor.data_mut(),
                AnyTensor::Real(_) => unreachable!("the kind of an output is that of its slot"),
            },
        )
    }

    fn load_constants(&mut self, inner: &Inner) {
        for (slot, value) in &inner.real_constants {
            // SAFETY: a slot of kept memory, and no other slice is alive.
            let target = unsafe { self.real.write(*slot, 0, value.len()) };
            target.iter_mut().zip(value.data()).for_each(|(to, from)| *to = T::of(*from));
        }
        for (slot, value) in &inner.index_constants {
            // SAFETY: as above.
            unsafe { self.index.write(*slot, 0, value.len()) }.copy_from_slice(value.data());
        }
    }

    fn unit(&mut self, inner: &Inner, unit: &Unit, feed: &Feed<'_, T>) -> Result<(), String> {
        match unit {
            Unit::Fused(fused) => {
                fused::run(fused, &inner.ops, &self.real, aligned(&mut self.scratch), self.threads);
            }
            Unit::Product { a, b, out } => {
                let (m, k, n) = sizes(a, b);
                let rank = a.layout.shape.rank();
                let batch: usize = a.layout.shape[..rank - 2].iter().product();
                // SAFETY: a unit's result lies apart from what it reads.
                let (left, right, c) = unsafe {
                    (
                        self.real.read(a.slot, 0, self.real.len(a.slot)),
                        self.real.read(b.slot, 0, self.real.len(b.slot)),
                        self.real.write(*out, 0, batch * m * n),
                    )
                };
                let lead = |factor: &Factor| Layout {
                    shape: factor.layout.shape[..rank - 2].into(),
                    strides: SmallVec::from_slice(&factor.layout.strides[..rank - 2]),
                    offset: factor.layout.offset,
                };
                let (a_lead, b_lead) = (lead(a), lead(b));
                for (number, (from_a, from_b)) in a_lead.positions().zip(b_lead.positions()).enumerate() {
                    let matrix = |data, offset, strides: &[isize]| Matrix {
                        data,
                        offset,
                        row: strides[rank - 2],
                        col: strides[rank - 1],
                    };
                    let a = matrix(left, from_a, &a.layout.strides);
                    let b = matrix(right, from_b, &b.layout.strides);
                    let c = &mut c[number * m * n..(number + 1) * m * n];
                    product(m, k, n, a, b, false, c, aligned(&mut self.workspace));
                }
            }
            Unit::Kernel { op, inputs, input_shapes, outputs, output_shapes } => {
                let read = |operand: &Operand| {
                    let Operand { kind, slot, offset, len } = *operand;
                    // SAFETY: a unit's results lie apart from what it reads.
                    unsafe {
                        match kind {
                            Kind::Real => Array::Real(self.real.read(slot, offset, len)),
                            Kind::Index => Array::Index(self.index.read(slot, offset, len)),
                        }
                    }
                };
                let write = |operand: &Operand| {
                    let Operand { kind, slot, offset, len } = *operand;
                    // SAFETY: as above; each result has a slot of its own.
                    unsafe {
                        match kind {
                            Kind::Real => ArrayMut::Real(self.real.write(slot, offset, len)),
                            Kind::Index => ArrayMut::Index(self.index.write(slot, offset, len)),
                        }
                    }
                };
                let inputs: SmallVec<[Array<'_, T>; 8]> = inputs.iter().map(read).collect();
                let mut outputs: SmallVec<[ArrayMut<'_, T>; 4]> = outputs.iter().map(write).collect();
                let workspace = aligned(&mut self.workspace);
                let mut work = Work { inputs: &inputs, input_shapes, outputs: &mut outputs, output_shapes, workspace };
                T::op_run(&*inner.ops[*op as usize], &mut work)?;
            }
            Unit::Random { distribution, stream, slot } => {
                // SAFETY: no other slice is alive.
                let out = unsafe { self.real.write(*slot, 0, self.real.len(*slot)) };
                draw(*distribution, Unit::stream(feed.seed, feed.step, *stream), 0, out);
            }
            Unit::IndexCopy { from, layout, to } => {
                // SAFETY: a unit's result lies apart from what it reads.
                let (source, target) = unsafe {
                    (self.index.read(*from, 0, self.index.len(*from)), self.index.write(*to, 0, layout.shape.len()))
                };
                gather(source, layout, 0, target);
            }
        }
        Ok(())
    }

    /// Anomaly mode: whether all that the unit has produced is finite.
    fn check_finite(&self, unit: &Unit, line: &str, shapes: &[Shape]) -> Result<(), Error> {
        let whole = |slot| {
            // SAFETY: no slice to write is alive between units.
            unsafe { self.real.read(slot, 0, self.real.len(slot)) }
        };
        let mut read: Vec<&[T]> = Vec::new();
        // With the number of the output.
        let mut produced: Vec<(usize, &[T])> = Vec::new();
        match unit {
            Unit::Fused(fused) => {
                read.extend(fused.loads.iter().map(|load| whole(load.slot)));
                for step in &fused.steps {
                    if let super::unit::Target::Slot(slot) = step.target {
                        produced.push((0, whole(slot)));
                    }
                }
            }
            Unit::Product { a, b, out } => {
                read.extend([whole(a.slot), whole(b.slot)]);
                produced.push((0, whole(*out)));
            }
            Unit::Kernel { inputs, outputs, .. } => {
                let real = |operand: &&Operand| operand.kind == Kind::Real;
                read.extend(inputs.iter().filter(real).map(|operand| whole(operand.slot)));
                let outputs = outputs.iter().enumerate().filter(|(_, operand)| real(operand));
                produced.extend(outputs.map(|(number, operand)| (number, whole(operand.slot))));
            }
            Unit::Random { .. } | Unit::IndexCopy { .. } => {}
        }
        for (number, values) in produced {
            if let Some(position) = values.iter().position(|value| !value.is_finite()) {
                let ranges: Vec<String> = read.iter().map(|values| range(values)).collect();
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
