//! One run of a plan: its units in order, on memory that is bound for the run, and the checks of anomaly mode.

use std::sync::Arc;

use super::Inner;
use super::feed::Feed;
use super::fused;
use super::memory::Bound;
use super::packed_params::PackedParams;
use super::reference::draw;
use super::scalars::Scalars;
use super::unit::{Sum, Target, Unit, product_sizes};
use crate::error::{Error, ErrorKind};
use crate::kernel::gemm::{Addend, Factor, MatrixView, pack, products};
use crate::kernel::parallel::is_deserted;
use crate::kernel::random::RandomStream;
use crate::kernel::slim;
use crate::kernel::strided::gather;
use crate::params::Params;
use crate::real::{Each, Family, Member, Real};
use crate::shape::{Shape, unravel};
use crate::tape::op::{Array, ArrayMut, Kernels, Kind, Work};
use crate::tensor::{Data, Tensor};

/// The lists of a kernel's inputs and outputs, empty between units and kept for their allocations: slices of any
/// element type have the same layout.
#[derive(Default)]
pub(super) struct Lists {
    inputs: Vec<Array<'static, f64>>,
    outputs: Vec<ArrayMut<'static, f64>>,
}

/// An empty list in the allocation of another, if the types of their entries have the same layout.
fn recycled<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    list.into_iter().map(|_| unreachable!("the list is empty")).collect()
}

/// One run of a plan.
pub(super) struct Run<'a, T: Real> {
    pub(super) inner: &'a Inner,
    /// The kernels of each op of the plan.
    pub(super) kernels: &'a [Arc<dyn Kernels<T>>],
    /// For each unit that differs its loop over one element, if it is one.
    pub(super) scalars: &'a [Option<Scalars>],
    pub(super) stream: RandomStream,
    pub(super) real: Bound<'a, T>,
    pub(super) index: Bound<'a, i64>,
    pub(super) scratch: &'a mut [T],
    pub(super) workspace: &'a mut [T],
    pub(super) threads: usize,
    pub(super) is_divided: bool,
    pub(super) packed: &'a mut PackedParams<T>,
    pub(super) lists: &'a mut Lists,
}

/// [`Run::unit`], in each precision.
struct UnitOf;

impl Family for UnitOf {
    type Of<T: Real> = fn(&mut Run<'_, T>, usize, u32) -> Result<(), String>;
}

#[derive(Clone, Copy)]
struct OneUnit;

impl Member<UnitOf> for OneUnit {
    fn member<T: Real>(self) -> fn(&mut Run<'_, T>, usize, u32) -> Result<(), String> {
        |run, number, unit| run.unit(number, unit)
    }
}

/// Not inlined, so that units and all their kernels are compiled once, with this crate, and not with each crate that
/// has a run.
#[inline(never)]
fn unit_in_each_precision() -> Each<UnitOf> {
    Each::new(OneUnit)
}

impl<T: Real> Run<'_, T> {
    pub(super) fn load_constants(&mut self) {
        for (slot, value) in &self.inner.real_constants {
            let target = self.real.kept_mut(*slot);
            target.iter_mut().zip(value.data()).for_each(|(to, from)| *to = T::of(*from));
        }
        for (slot, value) in &self.inner.index_constants {
            self.index.kept_mut(*slot).copy_from_slice(value.data());
        }
    }

    /// Runs the units from index `first` on, counted from the first one of the prologue. `done` is called after each.
    /// If the threads that help have left, returns the number of a later unit that is worth calling them, to go on
    /// there.
    #[inline(always)]
    pub(super) fn units(&mut self, first: usize, mut done: impl FnMut(usize)) -> Result<Option<usize>, Error> {
        let inner = self.inner;
        let run_unit = T::pick(unit_in_each_precision());
        let fault = |problem: String| Error::new(ErrorKind::Run, problem);
        for (number, &unit) in inner.prologue.iter().enumerate().skip(first) {
            run_unit(self, number, unit).map_err(fault)?;
            done(number);
        }
        let before = inner.prologue.len();
        for (number, &(unit, _)) in inner.body.iter().enumerate().skip(first.saturating_sub(before)) {
            if self.is_divided && before + number != first && is_deserted(|| inner.units[unit as usize].shares::<T>()) {
                return Ok(Some(before + number));
            }
            let named = |problem| fault(format!("{}: {problem}", inner.lines[number]));
            run_unit(self, before + number, unit).map_err(named)?;
            done(before + number);
            if inner.anomaly {
                let unit = &inner.units[unit as usize];
                self.check_finite(before + number, unit, &inner.lines[number], &inner.shapes[number])?;
            }
        }
        Ok(None)
    }

    /// Runs unit `number` of the run, which does what unit `kind` of those that differ does.
    fn unit(&mut self, number: usize, kind: u32) -> Result<(), String> {
        match &self.inner.units[kind as usize] {
            Unit::Fused(fused) => match &self.scalars[kind as usize] {
                Some(scalars) => scalars.run(self.kernels, &mut self.real, number, self.scratch),
                None => fused::run(fused, self.kernels, &mut self.real, number, self.scratch, self.threads),
            },
            Unit::Product(factors, sum) => {
                let [m, k, n] = product_sizes(factors);
                let (mut reads, mut writes) = self.real.lend(number);
                let (Some(left), Some(right), Some(c)) = (reads.next(), reads.next(), writes.next()) else {
                    unreachable!("a product has two factors and a result")
                };
                let [a, b] = &**factors;
                let matrix =
                    |data, offset, strides: [isize; 2]| MatrixView { data, offset, row: strides[0], col: strides[1] };
                let panels = if b.is_packed { Some(right) } else { self.packed.panels(number, right) };
                let left = |number: usize| matrix(left, a.batch.position(number), a.strides);
                let right = |number: usize| matrix(right, b.batch.position(number), b.strides);
                let addend = match *sum {
                    Sum::Nothing => Addend::Nothing,
                    Sum::Itself => Addend::Itself,
                    Sum::Matrix { offset, row } => {
                        Addend::Matrix(matrix(reads.next().expect("what is added is read"), offset, [row, 1]))
                    }
                };
                let (count, sizes) = (a.batch.shape.len(), [m, k, n]);
                if panels.is_none() && slim::suits(count, sizes, [a.strides, b.strides]) {
                    slim::products(count, sizes, &|number| [left(number), right(number)], addend, c);
                    return Ok(());
                }
                let factors = |number: usize| match panels {
                    Some(panels) => (left(number), Factor::Packed(panels)),
                    None => (left(number), Factor::Matrix(right(number))),
                };
                products(count, sizes, &factors, addend, c, self.workspace);
            }
            Unit::Pack(factor) => {
                let (mut reads, mut writes) = self.real.lend(number);
                let (Some(data), Some(to)) = (reads.next(), writes.next()) else {
                    unreachable!("a factor is packed from somewhere to somewhere")
                };
                let [row, col] = factor.strides;
                pack(factor.size, MatrixView { data, offset: factor.batch.offset, row, col }, to);
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
                let result = self.kernels[*op as usize].run(&mut work);
                *self.lists = Lists { inputs: recycled(arrays), outputs: recycled(results) };
                result?;
            }
            Unit::Random { distribution, stream, .. } => {
                const WRITTEN: &str = "random numbers are written somewhere";
                let out = match distribution.kind() {
                    Kind::Real => ArrayMut::Real(self.real.lend(number).1.next().expect(WRITTEN)),
                    Kind::Index => ArrayMut::Index(self.index.lend(number).1.next().expect(WRITTEN)),
                };
                draw(distribution, RandomStream { stream: *stream, ..self.stream }, out);
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

    /// Anomaly mode: checks that all results of the unit are finite.
    fn check_finite(&self, number: usize, unit: &Unit, line: &str, shapes: &[Shape]) -> Result<(), Error> {
        // For each real write of the unit, the index of its output.
        let outputs: Vec<usize> = match unit {
            Unit::Kernel { outputs, .. } => (0..outputs.len()).filter(|&k| outputs[k] == Kind::Real).collect(),
            Unit::Random { .. } | Unit::IndexCopy(_) | Unit::Pack(_) => return Ok(()),
            // Without fusion a loop has one step; the values that it copies have been checked.
            Unit::Fused(fused) => {
                fused.steps.iter().filter(|s| matches!(s.target, Target::Slot(_))).map(|_| 0).collect()
            }
            Unit::Product(..) => vec![0],
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

/// Anomaly mode: checks that all inputs and parameters are finite.
pub(super) fn check_leaves<T: Real>(inner: &Inner, params: &Params<T>, feed: &Feed<'_, T>) -> Result<(), Error> {
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
