//! Whether gradients fit the parameters that they are given for.

use gradus_graph::{Param, Params, Real, Tensor};

use crate::error::StepError;
use crate::reductions::all_finite;

/// Says what does not fit: a parameter that is unknown, frozen or given twice, or a shape.
pub(crate) fn check_fit<'a, T: Real>(
    params: &Params<T>,
    gradients: impl Iterator<Item = (&'a Param, &'a Tensor<T>)>,
) -> Result<(), StepError> {
    let mut given = vec![false; params.len()];
    for (param, gradient) in gradients {
        if params.find(param.name()) != Some(param) {
            return Err(StepError::Unknown(param.clone()));
        }
        if !params.is_trainable(param) {
            return Err(StepError::Frozen(param.clone()));
        }
        if std::mem::replace(&mut given[param.index()], true) {
            return Err(StepError::Twice(param.clone()));
        }
        if gradient.shape() != param.shape() {
            return Err(StepError::Shape(param.clone(), gradient.shape().clone()));
        }
    }
    Ok(())
}

/// The first element that is not finite, as an error of that step.
pub(crate) fn check_finite<'a, T: Real>(
    step: u64,
    mut gradients: impl Iterator<Item = (&'a Param, &'a Tensor<T>)>,
) -> Result<(), StepError> {
    let found = gradients.find_map(|(param, gradient)| {
        let index = (!all_finite(gradient.data())).then(|| gradient.first_non_finite()).flatten()?;
        Some(StepError::NonFinite { param: param.clone(), value: gradient.at(&index).as_f64(), index, step })
    });
    found.map_or(Ok(()), Err)
}
