//! Activations as layers, for stacks. As functions they are methods of [`Var`]: `x.relu()`.

use gradus_graph::{Var, expect_setting};

use crate::layer::layer;

/// Defines layers that are a method of [`Var`] without parameters.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident = $method:ident;)*) => {$(
        $(#[$doc])*
        ///
        #[doc = concat!("[`Var::", stringify!($method), "`] as a layer.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl $name {
            #[doc = concat!("[`Var::", stringify!($method), "`]")]
            #[track_caller]
            pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
                x.$method()
            }
        }

        layer!($name, forward);
    )*};
}

plain! {
    /// `max(x, 0)`
    Relu = relu;
    /// `1/(1 + e⁻ˣ)`
    Sigmoid = sigmoid;
    /// `tanh x`
    Tanh = tanh;
    /// `x·Φ(x)` with the normal distribution `Φ`; PyTorch's default.
    Gelu = gelu;
    /// `x·Φ(x)` by the formula with `tanh`, as GPT-2 has it.
    GeluTanh = gelu_tanh;
    /// `x·σ(x)`, also called swish.
    Silu = silu;
    /// `x·tanh(ln(1 + eˣ))`
    Mish = mish;
    /// `λ·x` above 0, `λ·α·(eˣ − 1)` below, with the constants that keep mean and variance.
    Selu = selu;
    /// `ln(1 + eˣ)`
    Softplus = softplus;
    /// `x/(1 + |x|)`
    Softsign = softsign;
    /// `−ln(1 + e⁻ˣ)`
    LogSigmoid = log_sigmoid;
    /// `x/6 + 1/2`, clamped to 0 and 1.
    HardSigmoid = hard_sigmoid;
    /// `x` times [`HardSigmoid`].
    HardSwish = hard_swish;
    /// `x`, clamped to −1 and 1.
    HardTanh = hard_tanh;
}

/// Defines layers that are a method of [`Var`] with one parameter.
macro_rules! with_parameter {
    ($($(#[$doc:meta])* $name:ident { $(#[$parameter_doc:meta])* $parameter:ident: $kind:ty = $default:literal } = $method:ident $(, $check:expr)?;)*) => {$(
        $(#[$doc])*
        ///
        #[doc = concat!("[`Var::", stringify!($method), "`] as a layer.")]
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name {
            $parameter: $kind,
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $parameter: $default }
            }
        }

        impl $name {
            $(#[$parameter_doc])*
            #[track_caller]
            pub fn new($parameter: $kind) -> Self {
                $($check(concat!("`", stringify!($name), "`: ", stringify!($parameter)), $parameter, ..);)?
                Self { $parameter }
            }

            #[doc = concat!("[`Var::", stringify!($method), "`]")]
            #[track_caller]
            pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
                x.$method(self.$parameter)
            }
        }

        layer!($name, forward);
    )*};
}

with_parameter! {
    /// `x` above 0, `slope·x` below.
    LeakyRelu {
        /// With the given slope below 0; the default's is 0.01, as in PyTorch.
        ///
        /// # Panics
        /// If it is not finite.
        slope: f64 = 0.01
    } = leaky_relu, expect_setting;
    /// `x` above 0, `α·(eˣ − 1)` below.
    Elu {
        /// With the limit `−alpha` at −∞; the default's `alpha` is 1.
        ///
        /// # Panics
        /// If it is not finite.
        alpha: f64 = 1.0
    } = elu, expect_setting;
    /// Positive numbers that sum to 1 along an axis.
    ///
    /// A classifier that is trained on [`loss::cross_entropy`](crate::loss::cross_entropy) does not end in this layer:
    /// that loss takes logits.
    Softmax {
        /// Along an axis, which is counted from the end if negative; the default's is the last.
        axis: isize = -1
    } = softmax;
    /// The logarithm of [`Softmax`], for [`loss::nll`](crate::loss::nll).
    LogSoftmax {
        /// Along an axis, which is counted from the end if negative; the default's is the last.
        axis: isize = -1
    } = log_softmax;
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Graph, Tensor};

    use super::*;
    use crate::layer::{Layer, Mode};

    /// Each layer at −1, and that it is the method of its name.
    #[test]
    fn layers_give_the_values_of_their_formulas() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([-1.0]));
        let at = |layer: &dyn Layer| graph.eval(layer.forward_in(x, Mode::Eval)).unwrap().item();
        let (e, tanh) = (std::f64::consts::E, 1.0_f64.tanh());
        let expected: [(&dyn Layer, f64); 16] = [
            (&Relu, 0.0),
            (&Sigmoid, 1.0 / (1.0 + e)),
            (&Tanh, -tanh),
            (&Gelu, -0.158_655_253_931_457_05),
            (&GeluTanh, -0.158_808_009_391_721_8),
            (&Silu, -1.0 / (1.0 + e)),
            (&Mish, -(1.0 + 1.0 / e).ln().tanh()),
            (&Selu, 1.050_700_987_355_480_5 * 1.673_263_242_354_377_2 * (1.0 / e - 1.0)),
            (&Softplus, (1.0 + 1.0 / e).ln()),
            (&Softsign, -0.5),
            (&LogSigmoid, -(1.0 + e).ln()),
            (&HardSigmoid, 1.0 / 3.0),
            (&HardSwish, -1.0 / 3.0),
            (&HardTanh, -1.0),
            (&LeakyRelu::new(0.25), -0.25),
            (&Elu::new(2.0), 2.0 * (1.0 / e - 1.0)),
        ];
        for (number, (layer, expected)) in expected.into_iter().enumerate() {
            assert!((at(layer) - expected).abs() < 1e-14, "layer {number}: {} is not {expected}", at(layer));
        }
    }

    #[test]
    fn softmax_goes_along_the_last_axis_unless_told() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[0.0, 3.0_f64.ln()], [0.0, 0.0]]));
        let rows = graph.eval(Softmax::default().forward(x)).unwrap();
        rows.assert_close(&Tensor::from_rows([[0.25, 0.75], [0.5, 0.5]]), 1e-15, 0.0);
        let columns = graph.eval(Softmax::new(0).forward(x)).unwrap();
        columns.assert_close(&Tensor::from_rows([[0.5, 0.75], [0.5, 0.25]]), 1e-15, 0.0);
        let logs = graph.eval(LogSoftmax::default().forward(x)).unwrap();
        logs.assert_close(&rows.map(|value| value.ln()), 1e-14, 1e-15);
    }
}
