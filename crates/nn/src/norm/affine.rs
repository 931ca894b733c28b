//! The scale and the shift that follow a normalisation: `x·w + b`.

use gradus_graph::{Param, Params, Real, Shape, Var};

use crate::init::{Fans, Init, optional_param};

/// Defines the methods of the options of a normalisation that set the initial value of a parameter, or leave it out.
macro_rules! initial_values {
    ($options:ident: $($name:ident $without:ident $default:literal),+) => {
        impl $options {
            $(
                #[doc = concat!("The initial ", stringify!($name), "; ", $default, " by default.")]
                #[must_use]
                pub fn $name(self, $name: Init) -> Self {
                    Self { $name: Some($name), ..self }
                }

                #[doc = concat!("Leaves the ", stringify!($name), " out.")]
                #[must_use]
                pub fn $without(self) -> Self {
                    Self { $name: None, ..self }
                }
            )+
        }
    };
}

pub(super) use initial_values;

/// A weight and a bias, each of which may be left out.
#[derive(Clone, Debug)]
pub(super) struct Affine {
    pub(super) weight: Option<Param>,
    pub(super) bias: Option<Param>,
}

impl Affine {
    /// Adds `weight` and `bias` of the given shape under the store's present scope.
    #[track_caller]
    pub(super) fn new(params: &mut Params<impl Real>, shape: &Shape, weight: Option<Init>, bias: Option<Init>) -> Self {
        let fans = Fans::of(shape);
        let weight = optional_param(weight, params, "weight", shape, fans);
        let bias = optional_param(bias, params, "bias", shape, fans);
        Self { weight, bias }
    }

    /// `x·w + b`, the parameters seen under the given shape.
    #[track_caller]
    pub(super) fn apply<'g>(&self, x: Var<'g>, shape: &Shape) -> Var<'g> {
        let (graph, mut y) = (x.graph(), x);
        if let Some(weight) = &self.weight {
            y *= graph.param(weight).reshape(shape.clone());
        }
        if let Some(bias) = &self.bias {
            y += graph.param(bias).reshape(shape.clone());
        }
        y
    }

    /// Weight and bias of an input `[N, C, …]`, or 1 and 0 if the layer has none.
    #[track_caller]
    pub(super) fn of_channels<'g>(&self, x: Var<'g>) -> [Var<'g>; 2] {
        let (graph, shape) = (x.graph(), channels(&x.shape()));
        let weight = match &self.weight {
            Some(weight) => graph.param(weight).reshape(shape.clone()),
            None => graph.scalar(1.0),
        };
        let bias = match &self.bias {
            Some(bias) => graph.param(bias).reshape(shape),
            None => graph.scalar(0.0),
        };
        [weight, bias]
    }

    /// [`Affine::apply`] for one weight and bias a channel of an input `[N, C, …]`.
    #[track_caller]
    pub(super) fn apply_to_channels<'g>(&self, x: Var<'g>) -> Var<'g> {
        self.apply(x, &channels(&x.shape()))
    }
}

/// The shape `[C, 1, …]`, under which one number a channel broadcasts to `[N, C, …]`.
pub(super) fn channels(shape: &Shape) -> Shape {
    shape.iter().enumerate().skip(1).map(|(axis, &size)| if axis == 1 { size } else { 1 }).collect()
}
