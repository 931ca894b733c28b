//! Checks of gradients against the parameters that they are given for.

use gradus_graph::{Param, Params, Real};

use crate::error::StepError;
use crate::gradient::Gradient;
use crate::reductions::all_finite;

/// Checks that the gradients fit the parameters: returns an error for a parameter that is unknown, frozen or given
/// twice, and for a wrong shape.
pub(crate) fn check_fit<T: Real>(params: &Params<T>, gradients: &[(&Param, Gradient<'_, T>)]) -> Result<(), StepError> {
    let mut given = vec![false; params.len()];
    for &(param, gradient) in gradients {
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

/// Checks that all elements are finite: returns an error of that step for the first that is not.
pub(crate) fn check_finite<T: Real>(step: u64, gradients: &[(&Param, Gradient<'_, T>)]) -> Result<(), StepError> {
    let found = gradients.iter().find_map(|&(param, gradient)| {
        let (index, value) = (!all_finite(gradient.values())).then(|| gradient.first_non_finite()).flatten()?;
        Some(StepError::NonFinite { param: param.clone(), value, index, step })
    });
    found.map_or(Ok(()), Err)
}
