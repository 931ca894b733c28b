//! The derivative of a convolution with respect to the filters; see `conv`.

use super::conv::{Conv, check_planes};
use crate::kernel::convolution::Convolution;
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Vars, Work};

/// The cotangent of filters of `kernel` from the planes and that of the output.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ConvWeight {
    pub(super) convolution: Convolution,
    pub(super) kernel: [usize; 2],
}

impl ConvWeight {
    /// The shape of the filters with which the convolution of planes of shape `x` has a cotangent of shape `g`.
    fn filters(&self, x: &Shape, g: &Shape) -> Result<Shape, String> {
        let groups = self.convolution.groups;
        let inner = x[1].checked_div(groups).unwrap_or(0);
        let w = Shape::try_new([g[1], inner, self.kernel[0], self.kernel[1]])?;
        let values = self.convolution.output(x, &w)?;
        if values != *g {
            return Err(format!("the convolution with filters of shape {w} is {values}"));
        }
        Ok(w)
    }
}

impl Op for ConvWeight {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real]);

    fn name(&self) -> &'static str {
        "conv_weight"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_planes(inputs)?;
        Ok(smallvec::smallvec![Meta::real(self.filters(&inputs[0].shape, &inputs[1].shape)?)])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (x, g, convolution) = (inputs[0], inputs[1], &self.convolution);
        let filters = self.filters(&x.shape(), &g.shape()).ok()?;
        let shape = g.shape();
        let sizes = [shape[0], convolution.groups, shape[1] / convolution.groups, shape[2] * shape[3]];
        let products = g.reshape(sizes).matmul(convolution.columns(x, self.kernel).t());
        Some(smallvec::smallvec![products.sum_axes(0).reshape(filters)])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn workspace<T: Real>(&self, inputs: &[Shape]) -> usize {
        let w = self.filters(&inputs[0], &inputs[1]).expect("the shape rule accepted the inputs");
        self.convolution.geometry(&inputs[0], &w, &inputs[1]).backward_weight_workspace::<T>()
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let shapes = (&work.input_shapes[0], &work.output_shapes[0], &work.input_shapes[1]);
        let geometry = self.convolution.geometry(shapes.0, shapes.1, shapes.2);
        geometry.backward_weight(work.inputs[0].real(), work.inputs[1].real(), work.outputs[0].real(), work.workspace);
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let (x, g, c) = (call.x(0), call.x(1), call.g());
        match input {
            0 => self.convolution.input(g, c, &x.shape()),
            _ => c.graph().call(Conv(self.convolution), &[x, c]),
        }
    }

    fn multiply_adds(&self, inputs: &[Meta]) -> usize {
        let inner = inputs[0].shape[1] / self.convolution.groups.max(1);
        [inner, self.kernel[0], self.kernel[1]].iter().fold(inputs[1].shape.len(), |all, &n| all.saturating_mul(n))
    }
}

crate::tape::op::saved_ops!("conv_weight": ConvWeight { convolution, kernel });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use super::conv::samples::{cases, fits};
    use crate::check::strategies::tensor;
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let conv_weight = cases().prop_flat_map(|(convolution, x, w)| {
        let kernel = [w[2], w[3]];
        (tensor(x.clone(), -2.0..2.0), tensor(fits(convolution, &x, &w), -2.0..2.0))
            .prop_map(move |(x, g)| Sample::new(ConvWeight { convolution, kernel }, [x.into(), g.into()]))
    });
    vec![Entry::new("conv_weight", "the derivative of `conv` with respect to the filters", conv_weight)]
}
