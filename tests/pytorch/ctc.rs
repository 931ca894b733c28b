//! The cases of `ctc.py` with our layers.

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    vec![]
}
