//! What all reductions have in common: the shape rule, and three methods, over all elements, over axes that are
//! removed, and over axes that are kept with size 1.

/// Defines the methods of a reduction from a method of `Var` that takes resolved axes.
macro_rules! reduction {
    (
        $(#[$more:meta])*
        $what:literal, $all:ident, $some:ident, $keep:ident = $work:ident
        $(, $argument:ident: $kind:ty)?
    ) => {
        impl<'g> Var<'g> {
            #[doc = concat!("The ", $what, " of all elements.")]
            $(#[$more])*
            #[track_caller]
            pub fn $all(self $(, $argument: $kind)?) -> Var<'g> {
                self.$work(Axes::all(&self.shape()) $(, $argument)?)
            }

            #[doc = concat!("The ", $what, " over the given axes, which are removed.")]
            ///
            /// # Panics
            #[doc = concat!("If an axis is out of range or named twice, or as [`Var::", stringify!($all), "`].")]
            #[track_caller]
            pub fn $some(self, axes: impl Into<Axes> $(, $argument: $kind)?) -> Var<'g> {
                self.$work(axes.into().resolve(stringify!($all), &self.shape()) $(, $argument)?)
            }

            #[doc = concat!("The ", $what, " over the given axes, which are kept with size 1.")]
            ///
            /// # Panics
            #[doc = concat!("If an axis is out of range or named twice, or as [`Var::", stringify!($all), "`].")]
            #[track_caller]
            pub fn $keep(self, axes: impl Into<Axes> $(, $argument: $kind)?) -> Var<'g> {
                let shape = self.shape();
                let axes = axes.into().resolve(stringify!($all), &shape);
                let kept = shape.with_ones(|axis| axes.contains(&axis));
                self.$work(axes $(, $argument)?).reshape(kept)
            }
        }
    };
}

pub(crate) use reduction;

use smallvec::SmallVec;

use super::{Meta, Metas};
use crate::axes::check_axes;
use crate::shape::Shape;
use crate::tape::Var;

/// The shape rule of a reduction of one real input: the axes are removed.
pub(crate) fn reduced_shape(inputs: &[Meta], axes: &[usize]) -> Result<Metas, String> {
    check_axes(axes, &inputs[0].shape)?;
    Ok(smallvec::smallvec![Meta::real(inputs[0].shape.without(|axis| axes.contains(&axis)))])
}

/// Whether a reduction along these axes is one of all elements, at least one, to one number.
pub(crate) fn is_of_all(input: &Shape, axes: &[usize]) -> bool {
    !input.contains(&0) && input.without(|axis| axes.contains(&axis)).len() == 1
}

impl<'g> Var<'g> {
    /// The variable with the axes to reduce merged into one, which comes last: for reductions whose kernel works along
    /// the last axis.
    #[track_caller]
    pub(crate) fn reduced_axes_last(self, axes: &[usize]) -> Var<'g> {
        let shape = self.shape();
        let (kept, reduced): (Vec<usize>, Vec<usize>) = (0..shape.rank()).partition(|axis| !axes.contains(axis));
        let order: SmallVec<[isize; 4]> = kept.iter().chain(&reduced).map(|&axis| axis as isize).collect();
        let count: usize = reduced.iter().map(|&axis| shape[axis]).product();
        let sizes: Vec<usize> = kept.iter().map(|&axis| shape[axis]).chain([count]).collect();
        self.permute(&order[..]).reshape(sizes)
    }
}
