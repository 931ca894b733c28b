//! The op that tells ignored labels from others.

use gradus_graph::{Accepts, Form, Meta, Metas, Op, Real, Signature, Work, saved_op, smallvec};

/// Indices with the ignored one replaced by 0, and a mask of the others.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Ignore {
    pub(super) label: i64,
}

impl Op for Ignore {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Index]);

    fn name(&self) -> &'static str {
        "ignore"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec![inputs[0].clone(), Meta::real(inputs[0].shape.clone())])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let labels = work.inputs[0].index();
        let [kept, counted] = &mut work.outputs[..] else { unreachable!("the shape rule gives two outputs") };
        for ((&label, kept), counted) in labels.iter().zip(kept.index()).zip(counted.real()) {
            let counts = label != self.label;
            (*kept, *counted) = if counts { (label, T::one()) } else { (0, T::zero()) };
        }
        Ok(())
    }
}

saved_op!("nn.ignore": Ignore { label });

#[cfg(test)]
mod tests {
    use gradus_graph::check::strategies::{indices, shape};
    use gradus_graph::check::{Sample, assert_samples};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ignored_labels_are_told_from_others() {
        let samples = shape(3).prop_flat_map(|shape| indices(shape, 4));
        assert_samples(samples.prop_map(|labels| Sample::new(Ignore { label: 2 }, [labels.into()])));
    }
}
