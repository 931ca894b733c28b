//! The three methods that every reduction has, written once: over all elements, over axes that disappear, over axes
//! that stay with size 1.

/// Methods of a reduction from its work, a function of `self` and the axes counted from the first, in order.
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

            #[doc = concat!("The ", $what, " over the given axes, which disappear.")]
            ///
            /// # Panics
            #[doc = concat!("If an axis is out of range or named twice, or as [`Var::", stringify!($all), "`].")]
            #[track_caller]
            pub fn $some(self, axes: impl Into<Axes> $(, $argument: $kind)?) -> Var<'g> {
                self.$work(axes.into().resolve(stringify!($all), &self.shape()) $(, $argument)?)
            }

            #[doc = concat!("The ", $what, " over the given axes, which stay with size 1.")]
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

pub(super) use reduction;

use smallvec::SmallVec;

use crate::tape::Var;

impl<'g> Var<'g> {
    /// The axes that are not named, in order, and then the named ones as one axis. Reductions that work along the last
    /// axis only are brought to it in this way.
    #[track_caller]
    pub(super) fn folded_last(self, axes: &[usize]) -> Var<'g> {
        let shape = self.shape();
        let (kept, folded): (Vec<usize>, Vec<usize>) = (0..shape.rank()).partition(|axis| !axes.contains(axis));
        let order: SmallVec<[isize; 4]> = kept.iter().chain(&folded).map(|&axis| axis as isize).collect();
        let count: usize = folded.iter().map(|&axis| shape[axis]).product();
        let sizes: Vec<usize> = kept.iter().map(|&axis| shape[axis]).chain([count]).collect();
        self.permute(&order[..]).reshape(sizes)
    }
}
