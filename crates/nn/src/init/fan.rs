//! Fans: the sizes of a layer that scaled initial values depend on.

use gradus_graph::IntoShape;

use super::expect_shape;

/// Which of a layer's sizes scaled values depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// The inputs of a unit: keeps the variance of activations in the forward pass.
    In,
    /// The outputs that an input reaches: keeps the variance of gradients in the backward pass.
    Out,
    /// The mean of both.
    Average,
}

/// How many inputs a unit of a layer has, and how many outputs an input reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fans {
    /// Inputs of a unit.
    pub inputs: usize,
    /// Outputs that an input reaches.
    pub outputs: usize,
}

impl Fans {
    /// The fans of a weight `[outputs, inputs, …]`, where further axes are those of a kernel, as PyTorch counts them.
    /// Of a vector both are its size.
    ///
    /// # Panics
    /// If the sizes make no shape.
    #[track_caller]
    pub fn of(shape: impl IntoShape) -> Self {
        let shape = expect_shape("Fans::of", shape);
        let kernel: usize = shape.iter().skip(2).product();
        let size = |axis: usize| shape.get(axis).or(shape.first()).copied().unwrap_or(1);
        Self { inputs: size(1) * kernel, outputs: size(0) * kernel }
    }

    pub(super) fn size(self, fan: Fan) -> f64 {
        match fan {
            Fan::In => self.inputs as f64,
            Fan::Out => self.outputs as f64,
            Fan::Average => (self.inputs + self.outputs) as f64 / 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fans_are_counted_as_in_pytorch() {
        assert_eq!(Fans::of([8, 5]), Fans { inputs: 5, outputs: 8 });
        assert_eq!(Fans::of([8, 5, 3, 2]), Fans { inputs: 30, outputs: 48 });
        assert_eq!(Fans::of([8]), Fans { inputs: 8, outputs: 8 });
    }
}
