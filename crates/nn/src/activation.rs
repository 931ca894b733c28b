//! Activations as layers, for stacks.

use gradus_graph::Var;

use crate::layer::{Layer, Mode, Steady};

macro_rules! activation {
    ($($name:ident $method:ident $formula:literal;)*) => {$(
        #[doc = concat!($formula, "; [`Var::", stringify!($method), "`] as a layer.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl Layer for $name {
            #[track_caller]
            fn forward_in<'g>(&self, x: Var<'g>, _mode: Mode) -> Var<'g> {
                x.$method()
            }
        }

        impl Steady for $name {}
    )*};
}

activation! {
    Relu relu "`max(x, 0)`";
    Tanh tanh "`tanh x`";
}
