//! A plan with the memory that it runs in.

use std::sync::Arc;
use std::time::Instant;

use super::arena::{Arena, Memory};
use super::feed::Feed;
use super::fused;
use super::memory::{Frame, aligned, reserve};
use super::packed_params::PackedParams;
use super::reference;
use super::run::{Lists, Run, check_leaves};
use super::scalars::Scalars;
use super::unit::{Storage, Unit, product_sizes};
use super::{Inner, Plan};
use crate::error::{Error, ErrorKind};
use crate::kernel::gemm::products_workspace;
use crate::kernel::parallel::{self, Pause, in_team_with_pauses};
use crate::kernel::random::RandomStream;
use crate::params::Params;
use crate::real::Real;
use crate::tape::op::{Kernels, Kind, Meta};
use crate::tensor::{AnyTensor, Data, Tensor};

/// A plan with its memory, in one precision.
///
/// Weights that a run finds as the last one left them are packed, once, in memory of their size: inference is faster from
/// its second run on.
///
/// After its first run it does not allocate, on any number of threads, except for a new tensor for an output of which
/// the caller kept a clone, in ops outside of this library, and for layouts of more than eight axes.
///
/// A run with enough work for more than one thread divides it: within a rayon pool over the threads of the pool that
/// have nothing else to do, outside of any pool over threads of its own, as many as the global pool has.
pub struct Session<T> {
    plan: Plan,
    arena: Arena<T>,
    real: Frame<T>,
    index: Frame<i64>,
    outputs: Vec<AnyTensor<T>>,
    /// Elements of scratch and of workspace of a run.
    scratch: usize,
    workspace: usize,
    threads: usize,
    /// Whether its units have enough work for more than one thread.
    is_divided: bool,
    /// The kernels of each op of the plan.
    kernels: Vec<Arc<dyn Kernels<T>>>,
    /// For each unit that differs its loop over one element, if it is one.
    scalars: Vec<Option<Scalars>>,
    /// Right factors of products that are parameters.
    pub(super) packed: PackedParams<T>,
    lists: Lists,
    prologue_done: bool,
}

/// The outputs of a run, in the order of the outputs of the plan.
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
    /// The plan with memory for its runs, in the precision `T`. Work is divided over as many threads as the current
    /// rayon pool has; results do not depend on their number.
    pub fn session<T: Real>(&self) -> Session<T> {
        self.session_in(&Arena::new())
    }

    /// [`Plan::session`] in memory that other sessions may share.
    pub fn session_in<T: Real>(&self, arena: &Arena<T>) -> Session<T> {
        let inner = &*self.inner;
        let threads = rayon::current_num_threads();
        let kernels: Vec<Arc<dyn Kernels<T>>> = inner.ops.iter().map(|op| op.work::<T>()).collect();
        let scalar = |unit: &Unit| if let Unit::Fused(fused) = unit { Scalars::of(fused, &inner.ops) } else { None };
        let scalars: Vec<Option<Scalars>> = inner.units.iter().map(scalar).collect();
        let scratch = inner.units.iter().zip(&scalars).map(|pair| match pair {
            (_, Some(scalars)) => scalars.scratch(),
            (Unit::Fused(fused), None) => fused::scratch(fused, threads),
            _ => 0,
        });
        let workspace = inner.units.iter().map(|unit| match unit {
            Unit::Product(factors, _) => {
                let [m, k, n] = product_sizes(factors);
                products_workspace::<T>(factors[0].batch.shape.len(), m, k, n)
            }
            Unit::Kernel { op, input_shapes, .. } => kernels[*op as usize].workspace(input_shapes),
            _ => 0,
        });
        let units = inner.prologue.iter().chain(inner.body.iter().map(|(unit, _)| unit));
        let shares = units
            .map(|&unit| inner.units[unit as usize].shares::<T>())
            .filter(|&shares| shares > 1)
            .fold(0, usize::saturating_add);
        Session {
            arena: arena.clone(),
            real: Frame::new(),
            index: Frame::new(),
            outputs: Vec::new(),
            scratch: scratch.max().unwrap_or(0),
            workspace: workspace.max().unwrap_or(0),
            threads,
            is_divided: threads > 1 && shares >= parallel::WORTH,
            kernels,
            scalars,
            packed: PackedParams::of(inner),
            lists: Lists::default(),
            prologue_done: false,
            plan: self.clone(),
        }
    }
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

    /// Runs the plan and stores the outputs in a list of the caller, which several sessions may use one after another.
    /// A tensor in it is reused if it has the kind and shape of the output with its index; others are replaced. After
    /// an error the elements are unspecified.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_into(
        &mut self,
        params: &Params<T>,
        feed: &Feed<'_, T>,
        outputs: &mut Vec<AnyTensor<T>>,
    ) -> Result<(), Error> {
        self.run_units(params, feed, outputs, |run, first| run.units(first, |_| {}))
    }

    /// [`Session::run_into`] that adds to the times of the units, in seconds, from unit number `before` on.
    pub(super) fn run_observed(
        &mut self,
        params: &Params<T>,
        feed: &Feed<'_, T>,
        outputs: &mut Vec<AnyTensor<T>>,
        times: &mut [Vec<f64>],
        before: usize,
    ) -> Result<(), Error> {
        self.run_units(params, feed, outputs, |run, first| {
            let mut last = Instant::now();
            run.units(first, |number| {
                let now = Instant::now();
                if let Some(times) = number.checked_sub(before).and_then(|number| times.get_mut(number)) {
                    times.push((now - last).as_secs_f64());
                }
                last = Instant::now();
            })
        })
    }

    /// Binds the memory of a run, in which `units` runs the units from a number on; it returns the number of the one
    /// before which it pauses, if it does.
    fn run_units(
        &mut self,
        params: &Params<T>,
        feed: &Feed<'_, T>,
        outputs: &mut Vec<AnyTensor<T>>,
        mut units: impl FnMut(&mut Run<'_, T>, usize) -> Result<Option<usize>, Error> + Send,
    ) -> Result<(), Error> {
        let inner = &*self.plan.inner;
        feed.check_names(&inner.declared)?;
        let mut lent = self.arena.lend();
        let memory = &mut lent.memory;
        inner.make_room(memory, [self.scratch, self.workspace]).map_err(no_memory)?;
        self.real.reserve(&inner.real, T::zero()).map_err(no_memory)?;
        self.index.reserve(&inner.index, 0).map_err(no_memory)?;
        inner.fit(outputs).map_err(no_memory)?;
        self.packed.reserve().map_err(no_memory)?;

        let mut real = self.real.bind(&inner.real, &mut memory.real);
        let mut index = self.index.bind(&inner.index, &mut memory.index);
        real.leaves(|storage| match storage {
            Storage::Param(number) => match params.check(&inner.params[number as usize]) {
                Ok(tensor) => Ok(tensor.data()),
                Err(problem) => Err(Error::new(ErrorKind::Feed, problem)),
            },
            Storage::Input(number) => match feed.get(&inner.inputs[number as usize])? {
                Data::Real(tensor) => Ok(tensor.data()),
                Data::Index(_) => unreachable!("the kind of an input is checked"),
            },
            _ => unreachable!("leaves are inputs and parameters"),
        })?;
        index.leaves(|storage| match storage {
            Storage::Input(number) => match feed.get(&inner.inputs[number as usize])? {
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
        self.packed.look(|number| params.stamp(&inner.params[number as usize]));
        let mut run = Run {
            inner,
            kernels: &self.kernels,
            scalars: &self.scalars,
            stream: RandomStream { seed: feed.seed, step: feed.step, stream: 0 },
            real: real.finish(),
            index: index.finish(),
            scratch: aligned(&mut memory.scratch),
            workspace: aligned(&mut memory.workspace),
            threads: self.threads,
            is_divided: self.is_divided,
            packed: &mut self.packed,
            lists: &mut self.lists,
        };
        if !self.prologue_done {
            run.load_constants();
        }
        let mut next = if self.prologue_done { inner.prologue.len() } else { 0 };
        if inner.anomaly {
            check_leaves(inner, params, feed)?;
        }
        let mut go_on = || match units(&mut run, next) {
            Ok(None) => Pause::Break(Ok(())),
            Ok(Some(number)) => {
                next = number;
                Pause::Continue(())
            }
            Err(error) => Pause::Break(Err(error)),
        };
        if self.is_divided { in_team_with_pauses(go_on) } else { go_on().break_value().expect("it does not pause") }?;
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

    /// Fills a list with a tensor for each output, of its kind and shape, whose elements no other tensor shares.
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
            let fresh = AnyTensor::zeros(meta)?;
            match outputs.get_mut(number) {
                Some(tensor) => *tensor = fresh,
                None => outputs.push(fresh),
            }
        }
        Ok(())
    }
}
