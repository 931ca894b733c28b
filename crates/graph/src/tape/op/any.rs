//! Type-erased ops, as nodes and plans hold them, and their kernels in each precision.

use std::any::{Any, TypeId};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxHasher;

use super::{Arithmetic, Call, Derivative, Domain, Form, Kinks, Meta, Metas, Op, Signature, Vars, Work};
use crate::kernel::reduce::Total;
use crate::real::{Each, Family, Member, Real};
use crate::shape::{Layout, Shape};
use crate::tape::Var;

/// A type-erased op.
pub(crate) trait AnyOp: Debug + Send + Sync + 'static {
    fn name(&self) -> &'static str;
    fn inputs(&self) -> Signature;
    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String>;
    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>>;
    fn form(&self) -> Form;
    fn view(&self, input: &Layout) -> Option<Layout>;
    fn derivative(&self, input: usize) -> Derivative;
    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g>;
    fn domain(&self, input: usize) -> Domain;
    fn kinks(&self, input: usize) -> Kinks;
    fn is_surrogate(&self) -> bool;
    fn arithmetic(&self) -> Option<Arithmetic>;
    fn is_sum(&self) -> bool {
        self.arithmetic() == Some(Arithmetic::Sum)
    }
    fn total(&self, input: &Shape) -> Option<Total>;
    fn placement(&self) -> Option<(usize, usize)>;
    fn joined_axis(&self) -> Option<usize>;
    fn is_separable(&self, inputs: &[Meta]) -> bool;
    fn multiply_adds(&self, inputs: &[Meta]) -> usize;
    fn kernels(self: Arc<Self>) -> Each<KernelsOf>;
    fn as_any(&self) -> &dyn Any;
    fn type_name(&self) -> &'static str;
}

impl<O: Op> AnyOp for O {
    fn name(&self) -> &'static str {
        Op::name(self)
    }

    fn inputs(&self) -> Signature {
        O::INPUTS
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Op::infer(self, inputs)
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        Op::expand(self, inputs)
    }

    fn form(&self) -> Form {
        Op::form(self)
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Op::view(self, input)
    }

    fn derivative(&self, input: usize) -> Derivative {
        Op::derivative(self, input)
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        Op::vjp(self, call, input)
    }

    fn domain(&self, input: usize) -> Domain {
        Op::domain(self, input)
    }

    fn kinks(&self, input: usize) -> Kinks {
        Op::kinks(self, input)
    }

    fn is_surrogate(&self) -> bool {
        Op::is_surrogate(self)
    }

    fn arithmetic(&self) -> Option<Arithmetic> {
        Op::arithmetic(self)
    }

    fn total(&self, input: &Shape) -> Option<Total> {
        Op::total(self, input)
    }

    fn placement(&self) -> Option<(usize, usize)> {
        Op::placement(self)
    }

    fn joined_axis(&self) -> Option<usize> {
        Op::joined_axis(self)
    }

    fn is_separable(&self, inputs: &[Meta]) -> bool {
        Op::is_separable(self, inputs)
    }

    fn multiply_adds(&self, inputs: &[Meta]) -> usize {
        Op::multiply_adds(self, inputs)
    }

    fn kernels(self: Arc<Self>) -> Each<KernelsOf> {
        Each::new(Shared(&self))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<O>()
    }
}

/// The kernels of an op in one precision.
pub(crate) trait Kernels<T>: Send + Sync {
    fn block(&self, x: &[&[T]], y: &mut [T]);
    fn scalar(&self, x: T, others: &[T]) -> T;
    fn run(&self, work: &mut Work<'_, '_, T>) -> Result<(), String>;
    fn workspace(&self, inputs: &[Shape]) -> usize;
}

impl<O: Op, T: Real> Kernels<T> for O {
    fn block(&self, x: &[&[T]], y: &mut [T]) {
        Op::block(self, x, y);
    }

    fn scalar(&self, x: T, others: &[T]) -> T {
        Op::scalar(self, x, others)
    }

    fn run(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        Op::run(self, work)
    }

    fn workspace(&self, inputs: &[Shape]) -> usize {
        Op::workspace::<T>(self, inputs)
    }
}

/// The kernels of an op, in each precision.
pub(crate) struct KernelsOf;

impl Family for KernelsOf {
    type Of<T: Real> = Arc<dyn Kernels<T>>;
}

struct Shared<'a, O>(&'a Arc<O>);

impl<O> Clone for Shared<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for Shared<'_, O> {}

impl<O: Op> Member<KernelsOf> for Shared<'_, O> {
    fn member<T: Real>(self) -> Arc<dyn Kernels<T>> {
        Arc::<O>::clone(self.0)
    }
}

impl dyn AnyOp {
    /// The kernels in the precision of a run.
    pub(crate) fn work<T: Real>(self: &Arc<Self>) -> Arc<dyn Kernels<T>> {
        T::pick(Arc::clone(self).kernels())
    }
}

/// The hash of an op by type and attributes, by which a graph finds an equal op.
pub(crate) fn op_hash<O: Op>(op: &O) -> u64 {
    let mut hasher = FxHasher::default();
    TypeId::of::<O>().hash(&mut hasher);
    op.hash(&mut hasher);
    hasher.finish()
}
