//! Regularisation.

use crate::Failure;
use crate::report::Part;
use crate::study::Study;

pub(crate) fn part(_study: &Study) -> Result<Part, Failure> {
    Ok(Part::new("Regularisation", "", ""))
}
