//! Composition: what a layer is, the mode it runs in, and stacks of layers.
//!
//! A few layers, such as dropout, behave differently in training and in evaluation. The mode is an argument, not state
//! of the model: a stack that holds such a layer has only [`Layer::forward_in`] and no [`Layer::forward`], and the
//! compiler reports a call without a mode.

use std::panic::Location;

use gradus_graph::Var;

/// Whether a model is being trained or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Training: dropout drops.
    Train,
    /// Evaluation and use: every layer is a fixed function.
    Eval,
}

/// A function from one variable to another, usually with parameters.
///
/// Layers are single layers, tuples of up to twelve of them, vectors and boxes; a tuple runs from the left to the
/// right. A model with more than one input or output, or with branches, is a struct with a `forward` of its own and
/// needs no trait.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{Dense, Dropout, Layer, Mode, Relu, Tanh};
/// let mut params: Params = Params::new(0);
/// let steady = (Dense::new(&mut params, "first", 2, 16), Tanh, Dense::new(&mut params, "second", 16, 3));
/// let noisy = (Dense::new(&mut params, "third", 3, 8), Relu, Dropout::new(0.5), Dense::new(&mut params, "last", 8, 1));
///
/// let graph = Graph::new();
/// let h = steady.forward(graph.zeros([10, 2]));
/// let y = noisy.forward_in(h, Mode::Train);
/// assert_eq!((h.shape().sizes(), y.shape().sizes()), (&[10, 3][..], &[10, 1][..]));
/// ```
///
/// What depends on the mode cannot be called without one:
/// ```compile_fail
/// # use gradus_graph::{Graph, Params};
/// # use gradus_nn::{Dense, Dropout, Layer};
/// # let mut params: Params = Params::new(0);
/// let noisy = (Dense::new(&mut params, "first", 2, 2), Dropout::new(0.5));
/// noisy.forward(Graph::new().zeros([1, 2]));
/// ```
#[diagnostic::on_unimplemented(message = "`{Self}` is not a layer", label = "not a layer, nor made of layers only")]
pub trait Layer {
    /// The layer's value at `x` in training or in evaluation.
    #[track_caller]
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g>;

    /// The layer's value at `x`; for layers that behave the same in training and in evaluation.
    #[track_caller]
    fn forward<'g>(&self, x: Var<'g>) -> Var<'g>
    where
        Self: Sized + Steady,
    {
        self.forward_in(x, Mode::Eval)
    }
}

/// A layer that behaves the same in training and in evaluation, so that [`Layer::forward`] needs no mode.
#[diagnostic::on_unimplemented(
    message = "`{Self}` may behave differently in training and in evaluation",
    note = "say which with `forward_in(x, Mode::Train)` or `forward_in(x, Mode::Eval)`"
)]
pub trait Steady: Layer {}

/// Implements [`Layer`] by the type's own `forward_in`, or [`Layer`] and [`Steady`] by its own `forward`:
/// `layer!(Dropout, forward_in)`, `layer!(Conv<AXES>, forward, const AXES: usize)`.
macro_rules! layer {
    ($layer:ty, forward $(, $($generics:tt)+)?) => {
        impl<$($($generics)+)?> $crate::layer::Layer for $layer {
            fn forward_in<'g>(
                &self,
                x: gradus_graph::Var<'g>,
                _mode: $crate::layer::Mode,
            ) -> gradus_graph::Var<'g> {
                self.forward(x)
            }
        }

        impl<$($($generics)+)?> $crate::layer::Steady for $layer {}
    };
    ($layer:ty, forward_in $(, $($generics:tt)+)?) => {
        impl<$($($generics)+)?> $crate::layer::Layer for $layer {
            fn forward_in<'g>(
                &self,
                x: gradus_graph::Var<'g>,
                mode: $crate::layer::Mode,
            ) -> gradus_graph::Var<'g> {
                self.forward_in(x, mode)
            }
        }
    };
}

pub(crate) use layer;

/// A stack whose layers are chosen at run time.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{Dense, Layer, Mode, Sequential, Tanh};
/// let mut params: Params = Params::new(0);
/// let mut stack = Sequential::new();
/// for depth in 0..3 {
///     stack.push(Box::new(Dense::new(&mut params, &format!("layer{depth}"), 4, 4)));
///     stack.push(Box::new(Tanh));
/// }
/// let graph = Graph::new();
/// let y = stack.forward_in(graph.zeros([2, 4]), Mode::Eval);
/// assert_eq!(y.shape().sizes(), [2, 4]);
/// ```
pub type Sequential = Vec<Box<dyn Layer + Send + Sync>>;

/// A function as a layer, for steps of a stack that reshape or scale.
///
/// # Example
/// ```
/// use gradus_graph::Graph;
/// use gradus_nn::{Apply, Layer};
/// let halves = Apply(|x| x * 0.5);
/// let graph = Graph::new();
/// assert_eq!(graph.eval(halves.forward(graph.ones([2])))?.data(), [0.5, 0.5]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Apply<F: for<'g> Fn(Var<'g>) -> Var<'g>>(
    /// The function.
    pub F,
);

impl<F: for<'g> Fn(Var<'g>) -> Var<'g>> Layer for Apply<F> {
    fn forward_in<'g>(&self, x: Var<'g>, _mode: Mode) -> Var<'g> {
        self.0(x)
    }
}

impl<F: for<'g> Fn(Var<'g>) -> Var<'g>> Steady for Apply<F> {}

/// A layer whose intermediate values are computed again in the backward pass instead of kept, see
/// [`Graph::checkpoint`]: for blocks of a deep stack.
///
/// [`Graph::checkpoint`]: gradus_graph::Graph::checkpoint
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{Checkpointed, Dense, Layer, Tanh};
/// let mut params: Params = Params::new(0);
/// let mut block = |name: &str| Checkpointed((Dense::new(&mut params, name, 8, 8), Tanh));
/// let stack = (block("first"), block("second"));
/// let graph = Graph::new();
/// assert_eq!(stack.forward(graph.zeros([4, 8])).shape().sizes(), [4, 8]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Checkpointed<L>(
    /// The layer.
    pub L,
);

impl<L: Layer> Layer for Checkpointed<L> {
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let caller = Location::caller();
        x.graph().checkpoint(|| {
            let _line = x.graph().at_line(caller);
            self.0.forward_in(x, mode)
        })
    }
}

impl<L: Steady> Steady for Checkpointed<L> {}

impl<L: Layer + ?Sized> Layer for &L {
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        (**self).forward_in(x, mode)
    }
}

impl<L: Layer + ?Sized> Layer for Box<L> {
    fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        (**self).forward_in(x, mode)
    }
}

impl<L: Layer> Layer for Vec<L> {
    fn forward_in<'g>(&self, mut x: Var<'g>, mode: Mode) -> Var<'g> {
        for layer in self {
            x = layer.forward_in(x, mode);
        }
        x
    }
}

impl<L: Steady + ?Sized> Steady for &L {}
impl<L: Steady + ?Sized> Steady for Box<L> {}
impl<L: Steady> Steady for Vec<L> {}

macro_rules! tuple {
    ($($layer:ident $number:tt),+) => {
        impl<$($layer: Layer),+> Layer for ($($layer,)+) {
            #[track_caller]
            fn forward_in<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
                $(let x = self.$number.forward_in(x, mode);)+
                x
            }
        }

        impl<$($layer: Steady),+> Steady for ($($layer,)+) {}
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

#[cfg(test)]
mod tests {
    use gradus_graph::{Graph, Params, Tensor};

    use super::*;
    use crate::{Dense, Dropout};

    #[test]
    fn stacks_run_from_the_left_to_the_right_and_nest() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([1.0, 2.0]));
        let stack = (Apply(|x| x + 1.0), (Apply(|x| x * 10.0), vec![Apply(|x| x * 2.0)]), Box::new(Apply(|x| x - 1.0)));
        assert_eq!(graph.eval(stack.forward(x)).unwrap().data(), [39.0, 59.0]);
        let mut chosen = Sequential::new();
        assert_eq!(chosen.forward_in(x, Mode::Train), x);
        chosen.push(Box::new(Apply(|x| x + 1.0)));
        chosen.push(Box::new(Dropout::new(0.0)));
        chosen.push(Box::new(Apply(|x| x * 3.0)));
        assert_eq!(graph.eval(chosen.forward_in(x, Mode::Train)).unwrap().data(), [6.0, 9.0]);
    }

    #[test]
    #[should_panic(expected = "`Dense` of [3]: the last axis must have size 2, as `b.weight` is [1, 2]")]
    fn a_stack_names_the_layer_that_does_not_fit() {
        let mut params: Params = Params::new(0);
        let stack = (Dense::new(&mut params, "a", 2, 3), Dense::new(&mut params, "b", 2, 1));
        stack.forward(Graph::new().zeros([2]));
    }
}
