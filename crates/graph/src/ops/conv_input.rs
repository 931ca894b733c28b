//! The derivative of a convolution with respect to the planes, which is also called transposed convolution; see `conv`.

use super::conv::{Conv, check_planes, multiply_adds};
use crate::kernel::convolution::Convolution;
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Vars, Work};

/// The cotangent of planes of `size` from that of the output and the filters.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ConvInput {
    pub(super) convolution: Convolution,
    pub(super) size: [usize; 2],
}

impl ConvInput {
    /// The shape of the planes whose convolution has a cotangent of shape `g`.
    fn planes(&self, g: &Shape, w: &Shape) -> Result<Shape, String> {
        let channels = w[1].saturating_mul(self.convolution.groups);
        let x = Shape::try_new([g[0], channels, self.size[0], self.size[1]])?;
        let values = self.convolution.output(&x, w)?;
        if values != *g {
            return Err(format!("the convolution of {x} with such filters is {values}"));
        }
        Ok(x)
    }
}

impl Op for ConvInput {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real]);

    fn name(&self) -> &'static str {
        "conv_input"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_planes(inputs)?;
        Ok(smallvec::smallvec![Meta::real(self.planes(&inputs[0].shape, &inputs[1].shape)?)])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (g, w, convolution) = (inputs[0], inputs[1], &self.convolution);
        let (shape, filters) = (g.shape(), w.shape());
        let planes = self.planes(&shape, &filters).ok()?;
        let columns = convolution.matrices(w, 0).t().matmul(convolution.matrices(g, 1).reshape([
            shape[0],
            convolution.groups,
            shape[1] / convolution.groups,
            shape[2] * shape[3],
        ]));
        let kernel = [filters[2], filters[3]];
        let windows = columns.reshape([shape[0], planes[1], kernel[0], kernel[1], shape[2], shape[3]]);
        let padded = convolution.padded(self.size)?;
        let mut x = windows.permute([0, 1, 4, 5, 2, 3]).fold(&padded, &convolution.windows(kernel));
        for axis in 0..2 {
            let before = convolution.padding[axis][0];
            x = x.slice(axis as isize + 2, before as isize, (before + self.size[axis]) as isize);
        }
        Some(smallvec::smallvec![x])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn workspace<T: Real>(&self, inputs: &[Shape]) -> usize {
        let x = self.planes(&inputs[0], &inputs[1]).expect("the shape rule accepted the inputs");
        self.convolution.geometry(&x, &inputs[1], &inputs[0]).backward_input_workspace::<T>()
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let shapes = (&work.output_shapes[0], &work.input_shapes[1], &work.input_shapes[0]);
        let geometry = self.convolution.geometry(shapes.0, shapes.1, shapes.2);
        geometry.backward_input(work.inputs[0].real(), work.inputs[1].real(), work.outputs[0].real(), work.workspace);
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let (g, w, c) = (call.x(0), call.x(1), call.g());
        match input {
            0 => c.graph().call(Conv(self.convolution), &[c, w]),
            _ => self.convolution.weight(c, g, &w.shape()),
        }
    }

    fn multiply_adds(&self, inputs: &[Meta]) -> usize {
        multiply_adds(&inputs[0].shape, &inputs[1].shape)
    }
}

impl<'g> Var<'g> {
    /// The transposed convolution: the linear map from a cotangent of [`Var::conv`] to one of planes of the given rows
    /// and columns,
    ///
    /// `x[n, c, p·stride + i·dilation − padding, q·stride + j·dilation − padding] += w[o, c, i, j] · g[n, o, p, q]`
    ///
    /// summed over the filters `o` of the group of channel `c`, their elements `(i, j)` and the positions `(p, q)`. It
    /// is PyTorch's `conv_transpose2d`, which has an `output_padding` instead of the size.
    ///
    /// # Shapes
    /// `[N, O, P, Q]` and filters of `[O, C/groups, kh, kw]` give `[N, C, H, W]` with `size = [H, W]`.
    ///
    /// # Panics
    /// If the convolution of such planes would have another shape than `self`.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Convolution, Graph, Tensor};
    /// let graph = Graph::new();
    /// let g = graph.constant(&Tensor::new([1, 1, 1, 3], vec![3.0, 5.0, 7.0]));
    /// let w = graph.constant(&Tensor::new([1, 1, 1, 2], vec![-1.0, 1.0]));
    /// let x = g.conv_transposed(w, Convolution::default(), [1, 4]);
    /// assert_eq!(graph.eval(x)?.data(), [-3.0, -2.0, -2.0, 7.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn conv_transposed(self, filters: Var<'g>, convolution: Convolution, size: [usize; 2]) -> Var<'g> {
        self.graph().call(ConvInput { convolution, size }, &[self, filters])
    }
}

crate::tape::op::saved_ops!("conv_input": ConvInput { convolution, size });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use super::conv::samples::{cases, fits};
    use crate::check::strategies::tensor;
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let conv_input = cases().prop_flat_map(|(convolution, x, w)| {
        let size = [x[2], x[3]];
        (tensor(fits(convolution, &x, &w), -2.0..2.0), tensor(w, -2.0..2.0))
            .prop_map(move |(g, w)| Sample::new(ConvInput { convolution, size }, [g.into(), w.into()]))
    });
    vec![Entry::new(
        "conv_input",
        "the derivative of `conv` with respect to the planes: transposed convolution",
        conv_input,
    )]
}
