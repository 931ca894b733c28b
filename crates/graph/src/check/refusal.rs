//! That an op refuses inputs that do not fit, with a message and without a panic.

use super::derivatives::{Examination, Finding, worse};
use super::report::{Method, Verdict};
use crate::tape::op::{Kind, Meta};
use crate::tensor::AnyTensor;

impl Examination<'_, '_> {
    /// Inputs that do not fit are refused with a sentence, and no inputs make a shape rule panic.
    pub(super) fn refusal(&mut self) {
        let Some(sample) = self.target.op() else { return };
        let metas: Vec<Meta> = (sample.inputs.iter())
            .map(|input| match input {
                AnyTensor::Real(tensor) => Meta::real(tensor.shape()),
                AnyTensor::Index(tensor) => Meta::index(tensor.shape()),
            })
            .collect();
        let answer = |metas: &[Meta]| {
            let infer = || {
                let accepted = sample.op.inputs().check(metas).and_then(|()| sample.op.infer(metas));
                accepted.map_err(|message| message.is_empty())
            };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(infer))
        };
        let mut outcome = Ok(Verdict::Agrees);
        let mut refuse = |what: &str, metas: &[Meta]| {
            let note = format!("given {metas:?}, it {what}");
            let finding =
                Finding { note: Some(note), ..Finding::new(Method::Refusal, "the shape rule", [f64::NAN; 3]) };
            outcome = worse(std::mem::replace(&mut outcome, Ok(Verdict::NotAsked)), Err(finding));
        };
        // One input more, unless the op takes any number of them.
        let with = |more: usize| -> Vec<Meta> {
            metas.iter().cloned().chain(std::iter::repeat_n(metas.last().cloned(), more).flatten()).collect()
        };
        if matches!(answer(&with(1)), Ok(Ok(_))) && !matches!(answer(&with(2)), Ok(Ok(_))) {
            refuse("accepts an input that it has no use for", &with(1));
        }
        let mut strange = vec![with(1), Vec::new(), metas[..metas.len().saturating_sub(1)].to_vec()];
        for input in 0..metas.len() {
            let Meta { kind, shape } = metas[input].clone();
            let other = if kind == Kind::Real { Kind::Index } else { Kind::Real };
            let larger: Vec<usize> = shape.iter().map(|size| size + 1).collect();
            // As many elements as there can be, on any axis: sizes that are made of these overflow.
            let most = isize::MAX as usize / 8;
            let fill = |axis: usize| {
                let others: usize =
                    shape.iter().enumerate().filter(|&(k, &size)| k != axis && size > 0).map(|(_, n)| n).product();
                shape.iter().enumerate().map(|(k, &size)| if k == axis { most / others } else { size }).collect()
            };
            let largest: Vec<Vec<usize>> = (0..shape.rank()).map(fill).collect();
            let shapes =
                [vec![], vec![7], vec![2, 5], vec![0, 1, 2], vec![most], vec![0, most], vec![1 << 30, 1 << 29], larger];
            let shapes = shapes.into_iter().chain(largest).map(|shape| Meta { kind, shape: shape.into() });
            for meta in shapes.chain([Meta { kind: other, shape: shape.clone() }]) {
                let mut changed = metas.clone();
                changed[input] = meta;
                strange.push(changed);
            }
        }
        for metas in strange {
            match answer(&metas) {
                Err(_) => refuse("panics", &metas),
                Ok(Err(true)) => refuse("refuses without a word", &metas),
                Ok(_) => {}
            }
        }
        self.record(Method::Refusal, outcome);
    }
}
