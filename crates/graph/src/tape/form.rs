//! Checks that the declared outputs of an op fit its form, on which plans rely.

use smallvec::SmallVec;

use super::op::{AnyOp, Form, Kind, Meta};
use crate::shape::Layout;

/// The most inputs that a pointwise op has.
pub(crate) const MAX_POINTWISE: usize = 4;

/// Checks that inputs and outputs fit the form of the op.
///
/// # Errors
/// What does not fit: a bug of the op.
pub(super) fn check(op: &dyn AnyOp, inputs: &[Meta], outputs: &[Meta]) -> Result<(), String> {
    let fault = |form: &str, needs: &str| Err(format!("the op is {form}: {needs}; it declares {}", listed(outputs)));
    if outputs.is_empty() {
        return Err("the shape rule declares no outputs; an op has at least one".into());
    }
    match op.form() {
        Form::Expanded | Form::Kernel => Ok(()),
        Form::Pointwise => {
            let alike = |meta: &Meta| *meta == outputs[0];
            let fits = (1..=MAX_POINTWISE).contains(&inputs.len())
                && outputs.len() == 1
                && outputs[0].kind == Kind::Real
                && inputs.iter().all(alike);
            match fits {
                true => Ok(()),
                false => fault("pointwise", "it has 1 to 4 real inputs and one real output, all of one shape"),
            }
        }
        Form::View => {
            let ([input], [output]) = (inputs, outputs) else {
                return fault("a view", "it has one input and one output");
            };
            let layout = op.view(&Layout::contiguous(input.shape.clone()));
            let fits = |layout: Layout| layout.shape == output.shape && layout.within(input.shape.len()).is_some();
            match input.kind == output.kind && layout.is_some_and(fits) {
                true => Ok(()),
                false => fault(
                    "a view",
                    "of an input in row-major order it gives a layout that has the shape of the output, which is of \
                     the same kind, and lies within the input",
                ),
            }
        }
        Form::Alias { first } => match inputs.get(first..) {
            Some(aliased) if aliased == outputs => Ok(()),
            _ => fault("an alias", &format!("its outputs are its inputs from number {first} on")),
        },
        Form::Product => {
            let fits = match (inputs, outputs) {
                ([a, b], [c]) if inputs.iter().chain(outputs).all(|meta| meta.kind == Kind::Real) => {
                    is_product([&a.shape, &b.shape, &c.shape])
                }
                _ => false,
            };
            match fits {
                true => Ok(()),
                false => fault("a product", "real […, m, k] and […, k, n] give real […, m, n]"),
            }
        }
    }
}

fn is_product([a, b, c]: [&[usize]; 3]) -> bool {
    match (a.split_last_chunk::<2>(), b.split_last_chunk::<2>(), c.split_last_chunk::<2>()) {
        (Some((a_lead, [m, k])), Some((b_lead, [inner, n])), Some((c_lead, [rows, columns]))) => {
            a_lead == b_lead && a_lead == c_lead && k == inner && (m, n) == (rows, columns)
        }
        _ => false,
    }
}

/// "real [2, 3] and an index [2]".
fn listed(metas: &[Meta]) -> String {
    let one = |meta: &Meta| match meta.kind {
        Kind::Real => format!("real {}", meta.shape),
        Kind::Index => format!("an index {}", meta.shape),
    };
    metas.iter().map(one).collect::<SmallVec<[String; 2]>>().join(" and ")
}
