//! Indices as real numbers.

use crate::real::Real;
use crate::tape::Var;
use crate::tape::op::{Accepts, Array, ArrayMut, Derivative, Form, Kind, Meta, Metas, Op, Signature, Work};

/// The real numbers that equal the indices.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToReal;

impl Op for ToReal {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "to_real"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec::smallvec![Meta::real(inputs[0].shape.clone())])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        match (work.inputs[0], &mut work.outputs[0]) {
            (Array::Index(x), ArrayMut::Real(y)) => {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = T::of(x as f64));
            }
            (Array::Real(x), ArrayMut::Real(y)) => y.copy_from_slice(x),
            _ => unreachable!("the output is real by the shape rule"),
        }
        Ok(())
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Identity { output: 0 }
    }
}

impl<'g> Var<'g> {
    /// The indices as real numbers; a real variable is unchanged.
    #[track_caller]
    pub fn to_real(self) -> Var<'g> {
        match self.kind() {
            Kind::Real => self,
            Kind::Index => self.graph().call(ToReal, &[self]),
        }
    }
}

crate::tape::op::saved_ops!("to_real": ToReal {});

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, indices, shape};
    use crate::check::{Entry, Sample};
    use crate::tensor::AnyTensor;
    use proptest::prelude::*;

    let to_real = shape(5).prop_flat_map(|shape| {
        let either = prop_oneof![indices(shape.clone(), 8).prop_map(AnyTensor::Index), any_tensor(shape)];
        either.prop_map(|x| Sample::new(ToReal, [x]))
    });
    vec![Entry::new("to_real", "`x`, an index, as a real number", to_real)]
}
