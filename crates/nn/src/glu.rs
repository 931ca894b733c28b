//! Gated linear units.

use gradus_graph::Var;

use crate::axis::resolve;
use crate::layer::layer;

/// Defines gated units by the method of the gate.
macro_rules! gated {
    ($($(#[$doc:meta])* $name:ident = $gate:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            axis: isize,
        }

        impl Default for $name {
            fn default() -> Self {
                Self { axis: -1 }
            }
        }

        impl $name {
            /// Halves an axis, which is counted from the end if negative; the default's is the last.
            pub const fn new(axis: isize) -> Self {
                Self { axis }
            }

            #[doc = concat!("`a·", stringify!($gate), "(b)` for the halves `a` and `b`.")]
            ///
            /// # Panics
            /// If there is no such axis, or its size is odd.
            #[track_caller]
            pub fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
                let (value, gate) = halves(stringify!($name), x, self.axis);
                value * gate.$gate()
            }
        }

        layer!($name, forward);
    )*};
}

gated! {
    /// `a·σ(b)`, PyTorch's `GLU`.
    ///
    /// # Shapes
    /// `[…, 2n, …]` gives `[…, n, …]`.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// use gradus_nn::{Glu, Layer};
    /// let graph = Graph::new();
    /// let y = Glu::default().forward(graph.constant(&Tensor::from([8.0, 3.0_f64.ln()])));
    /// assert!((graph.eval(y)?.data()[0] - 6.0).abs() < 1e-14);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    ///
    /// # Reference
    /// Dauphin et al., "Language modeling with gated convolutional networks" (2017).
    Glu = sigmoid;
    /// `a·gelu(b)`
    ///
    /// # Shapes
    /// `[…, 2n, …]` gives `[…, n, …]`.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// use gradus_nn::{GeGlu, Layer};
    /// let graph = Graph::new();
    /// let y = GeGlu::default().forward(graph.constant(&Tensor::from([2.0, 10.0])));
    /// assert_eq!(graph.eval(y)?.data(), [20.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    ///
    /// # Reference
    /// Shazeer, "GLU variants improve transformer" (2020).
    GeGlu = gelu;
    /// `a·silu(b)`
    ///
    /// # Shapes
    /// `[…, 2n, …]` gives `[…, n, …]`.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Params};
    /// use gradus_nn::{Dense, Layer, SwiGlu};
    /// let mut params: Params = Params::new(0);
    /// let up = Dense::new(&mut params, "up", 8, 2 * 24);
    /// let block = (up, SwiGlu::default(), Dense::new(&mut params, "down", 24, 8));
    /// assert_eq!(block.forward(Graph::new().zeros([5, 8])).shape().sizes(), [5, 8]);
    /// ```
    ///
    /// # Reference
    /// Shazeer, "GLU variants improve transformer" (2020).
    SwiGlu = silu;
}

#[track_caller]
fn halves<'g>(unit: &str, x: Var<'g>, axis: isize) -> (Var<'g>, Var<'g>) {
    let shape = x.shape();
    assert!(
        resolve(axis, shape.rank()).is_some_and(|axis| shape[axis].is_multiple_of(2)),
        "`{unit}` of {shape}: it halves axis {axis}, which must be there and have an even size"
    );
    let parts = x.chunks(2, axis);
    (parts[0], parts[1])
}

#[cfg(test)]
mod tests {
    use gradus_graph::check::assert_property;
    use gradus_graph::check::strategies::tensor;
    use gradus_graph::{Graph, Tensor};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gradients() {
        let rows = || (0..3_usize).prop_flat_map(|size| vec![tensor([size, 4], -3.0..3.0)]);
        assert_property(rows(), |x| Glu::default().forward(x[0]));
        assert_property(rows(), |x| GeGlu::default().forward(x[0]));
        let columns = (0..3_usize).prop_flat_map(|size| vec![tensor([2, size], -3.0..3.0)]);
        assert_property(columns, |x| SwiGlu::new(0).forward(x[0]));
    }

    #[test]
    fn the_second_half_is_the_gate() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, -1.0]]));
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let rows = graph.eval(SwiGlu::default().forward(x)).unwrap();
        rows.assert_close(&Tensor::from_rows([[2.0 * sigmoid(2.0)], [-3.0 * sigmoid(-1.0)]]), 1e-15, 0.0);
        let columns = graph.eval(Glu::new(0).forward(x)).unwrap();
        columns.assert_close(&Tensor::from_rows([[sigmoid(3.0), 2.0 * sigmoid(-1.0)]]), 1e-15, 0.0);
    }

    #[test]
    #[should_panic(expected = "`SwiGlu` of [4, 3]: it halves axis -1, which must be there and have an even size")]
    fn an_odd_size_cannot_be_halved() {
        SwiGlu::default().forward(Graph::new().zeros([4, 3]));
    }
}
