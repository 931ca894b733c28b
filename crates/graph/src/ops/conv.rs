//! Convolution of planes, as neural networks count it (no flip): with zeros around `x`,
//! `y[n, o, p, q] = Σ w[o, c, i, j] · x[n, c, p·stride + i·dilation − padding, …]` over the channels `c` of the group of
//! `o` and the elements `(i, j)` of its filter.
//!
//! Shapes: `x` `[N, C, H, W]`, `w` `[O, C/groups, kh, kw]`, `y` `[N, O, P, Q]`. The value is linear in each input, so
//! three ops are closed under differentiation: `conv`, the transpose `conv_input` that takes a cotangent of `y` to one
//! of `x` (also called transposed convolution), and `conv_weight` that takes it to one of `w`. The derivatives of each
//! are the other two. Sums are over blocks of sizes that the shapes give, the same at any number of threads.

use super::windows::Window;
use crate::kernel::convolution::Geometry;
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Vars, Work};

/// The steps of a convolution of planes: rows first, columns second.
///
/// # Example
/// ```
/// use gradus_graph::Convolution;
/// let halved = Convolution { stride: [2, 2], padding: [[1, 1], [1, 1]], ..Convolution::default() };
/// assert_eq!(halved.positions([28, 28], [3, 3]), Some([14, 14]));
/// assert_eq!(Convolution::default().positions([2, 2], [3, 3]), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// From one position of the filters to the next.
    pub stride: [usize; 2],
    /// Zeros before the first and behind the last element of each axis.
    pub padding: [[usize; 2]; 2],
    /// From one element that a filter sees to the next.
    pub dilation: [usize; 2],
    /// The number of groups into which channels and filters are divided; a filter sees the channels of its group.
    pub groups: usize,
}

impl Default for Convolution {
    /// Every position once, nothing around, nothing left out, one group.
    fn default() -> Self {
        Self { stride: [1, 1], padding: [[0, 0], [0, 0]], dilation: [1, 1], groups: 1 }
    }
}

impl Convolution {
    fn windows(&self, kernel: [usize; 2]) -> [Window; 2] {
        [0, 1].map(|axis| Window { size: kernel[axis], stride: self.stride[axis], dilation: self.dilation[axis] })
    }

    /// The sizes with their padding, unless they overflow.
    fn padded(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let padded = |axis: usize| size[axis].checked_add(self.padding[axis][0])?.checked_add(self.padding[axis][1]);
        Some([padded(0)?, padded(1)?])
    }

    /// The rows and columns of the output for planes and filters of the given rows and columns; nothing if a filter
    /// does not fit even once.
    pub fn positions(&self, size: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let (windows, padded) = (self.windows(kernel), self.padded(size)?);
        let counts = [0, 1].map(|axis| windows[axis].count(padded[axis]));
        (!counts.contains(&0)).then_some(counts)
    }

    /// The shape of the output, or what does not fit.
    fn output(&self, x: &Shape, w: &Shape) -> Result<Shape, String> {
        let (&[images, channels, height, width], &[filters, inner, rows, columns]) = (&x[..], &w[..]) else {
            return Err(
                "planes are [images, channels, rows, columns] and filters [filters, channels, rows, columns]".into()
            );
        };
        if self.groups == 0 {
            return Err("there are no groups; one is the least".into());
        }
        let windows = self.windows([rows, columns]);
        windows.iter().try_for_each(Window::expect_steps)?;
        let needed = inner.saturating_mul(self.groups);
        if channels != needed {
            return Err(format!("filters of {inner} channels in {} groups need {needed} channels", self.groups));
        }
        if filters % self.groups != 0 {
            return Err(format!("{filters} filters cannot be divided into {} groups", self.groups));
        }
        // The planes with their padding are a shape as well, so that no place in them overflows.
        let padded = self.padded([height, width]).unwrap_or([usize::MAX; 2]);
        Shape::try_new([images, channels, padded[0], padded[1]])?;
        match self.positions([height, width], [rows, columns]) {
            Some([down, along]) => Shape::try_new([images, filters, down, along]),
            None => {
                let reach = windows.map(|window| window.reach());
                Err(format!("filters that reach over {reach:?} elements have no place on {padded:?}, padding included"))
            }
        }
    }

    /// The geometry of inputs that the shape rules accepted.
    fn geometry(&self, x: &[usize], w: &[usize], y: &[usize]) -> Geometry {
        Geometry {
            images: x[0],
            groups: self.groups,
            channels: w[1],
            filters: w[0] / self.groups,
            size: [x[2], x[3]],
            kernel: [w[2], w[3]],
            positions: [y[2], y[3]],
            stride: self.stride,
            dilation: self.dilation,
            before: self.padding.map(|padding| padding[0]),
            is_turned: false,
        }
    }

    /// The matrices `[N, groups, C/groups·kh·kw, P·Q]` of what the filters see of `x`.
    fn columns<'g>(&self, x: Var<'g>, kernel: [usize; 2]) -> Var<'g> {
        let mut padded = x;
        for (axis, [before, after]) in [-2, -1].into_iter().zip(self.padding) {
            if before + after > 0 {
                padded = padded.pad(axis, before, after);
            }
        }
        let windows = padded.windows(&self.windows(kernel));
        let shape = windows.shape();
        let rows = shape[1] / self.groups * kernel[0] * kernel[1];
        windows.permute([0, 1, 4, 5, 2, 3]).reshape([shape[0], self.groups, rows, shape[2] * shape[3]])
    }

    /// Filters, or planes by channel, as matrices with a row for each filter: `[…, groups, rows, …]`.
    fn matrices<'g>(&self, value: Var<'g>, axis: usize) -> Var<'g> {
        let shape = value.shape();
        let rest = shape[axis + 1..].iter().product();
        let lead = shape[..axis].iter().copied();
        value.reshape(lead.chain([self.groups, shape[axis] / self.groups, rest]).collect::<Shape>())
    }
}

/// The values of a convolution.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Conv(Convolution);

/// From a cotangent of the values and the filters, that of planes of `size`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ConvInput {
    convolution: Convolution,
    size: [usize; 2],
}

/// From the planes and a cotangent of the values, that of filters of `kernel`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ConvWeight {
    convolution: Convolution,
    kernel: [usize; 2],
}

/// Says so if an input has not four axes.
fn expect_planes(inputs: &[Meta]) -> Result<(), String> {
    match inputs.iter().all(|input| input.shape.rank() == 4) {
        true => Ok(()),
        false => Err("both inputs must have four axes".into()),
    }
}

/// Elements of planes, for each of which all that filters of the given shape have in a channel is multiplied.
fn multiply_adds(values: &Shape, filters: &Shape) -> usize {
    values.len().saturating_mul(filters[1..].iter().product::<usize>())
}

impl Op for Conv {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real]);

    fn name(&self) -> &'static str {
        "conv"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        expect_planes(inputs)?;
        Ok(smallvec::smallvec![Meta::real(self.0.output(&inputs[0].shape, &inputs[1].shape)?)])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (x, w) = (inputs[0], inputs[1]);
        let (shape, filters) = (x.shape(), w.shape());
        let kernel = [filters[2], filters[3]];
        let y = self.0.matrices(w, 0).matmul(self.0.columns(x, kernel));
        Some(smallvec::smallvec![y.reshape(self.0.output(&shape, &filters).ok()?)])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn workspace<T: Real>(&self, inputs: &[Shape]) -> usize {
        let y = self.0.output(&inputs[0], &inputs[1]).expect("the shape rule accepted the inputs");
        self.0.geometry(&inputs[0], &inputs[1], &y).forward_workspace::<T>()
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let geometry = self.0.geometry(&work.input_shapes[0], &work.input_shapes[1], &work.output_shapes[0]);
        let (x, w) = (work.inputs[0].real(), work.inputs[1].real());
        geometry.forward(x, w, work.outputs[0].real(), work.workspace);
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        let (x, w, g) = (call.x(0), call.x(1), call.g());
        match input {
            0 => self.0.input(g, w, &x.shape()),
            _ => self.0.weight(x, g, &w.shape()),
        }
    }

    fn multiply_adds(&self, inputs: &[Meta]) -> usize {
        self.0.output(&inputs[0].shape, &inputs[1].shape).map_or(0, |y| multiply_adds(&y, &inputs[1].shape))
    }
}

impl Convolution {
    fn input<'g>(&self, g: Var<'g>, w: Var<'g>, x: &Shape) -> Var<'g> {
        g.graph().call(ConvInput { convolution: *self, size: [x[2], x[3]] }, &[g, w])
    }

    fn weight<'g>(&self, x: Var<'g>, g: Var<'g>, w: &Shape) -> Var<'g> {
        g.graph().call(ConvWeight { convolution: *self, kernel: [w[2], w[3]] }, &[x, g])
    }
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
        expect_planes(inputs)?;
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
        expect_planes(inputs)?;
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

impl<'g> Var<'g> {
    /// The convolution of planes with filters, as neural networks count it: the filters are not flipped.
    ///
    /// # Shapes
    /// `[N, C, H, W]` and filters of `[O, C/groups, kh, kw]` give `[N, O, P, Q]`, see [`Convolution::positions`].
    ///
    /// # Panics
    /// If the shapes do not fit.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Convolution, Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::new([1, 1, 1, 4], vec![1.0, 4.0, 9.0, 16.0]));
    /// let w = graph.constant(&Tensor::new([1, 1, 1, 2], vec![-1.0, 1.0]));
    /// assert_eq!(graph.eval(x.conv(w, Convolution::default()))?.data(), [3.0, 5.0, 7.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn conv(self, filters: Var<'g>, convolution: Convolution) -> Var<'g> {
        self.graph().call(Conv(convolution), &[self, filters])
    }

    /// The transposed convolution: the linear map that takes a cotangent of [`Var::conv`] to one of planes of the given
    /// rows and columns.
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

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{size, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    /// A convolution with the shapes of planes and filters.
    fn cases() -> impl Strategy<Value = (Convolution, Shape, Shape)> {
        // Kernel, stride, dilation, padding before and behind, and elements more than one position needs.
        let axis = || (1..4_usize, 1..3_usize, 1..3_usize, 0..3_usize, 0..2_usize, 0..3_usize);
        let counts = (size(), 1..3_usize, prop_oneof![9 => Just(1), 3 => Just(2), 1 => Just(0_usize)], 1..3_usize);
        // What few of the steps have at once, or the planes would be large.
        (counts, axis(), axis(), 0..4_u8).prop_map(|((images, groups, channels, filters), down, along, plain)| {
            let axes = [down, along].map(|(kernel, stride, dilation, before, after, more)| match plain {
                0 => (kernel, stride, dilation, before, after, more),
                1 => (1, 1, 1, 0, 0, more),
                2 => (kernel, 1, 1, before, after, more),
                _ => (kernel.min(2), stride, 1, 0, 0, more),
            });
            let convolution = Convolution {
                stride: axes.map(|axis| axis.1),
                dilation: axes.map(|axis| axis.2),
                padding: axes.map(|axis| [axis.3, axis.4]),
                groups,
            };
            let size = axes.map(|(kernel, _, dilation, before, after, more)| {
                (dilation * (kernel - 1) + 1 + more).saturating_sub(before + after).max(1)
            });
            let w = Shape::from([filters * groups, channels, axes[0].0, axes[1].0]);
            (convolution, Shape::from([images.min(2), channels * groups, size[0], size[1]]), w)
        })
    }
    fn fits(convolution: Convolution, x: &Shape, w: &Shape) -> Shape {
        convolution.output(x, w).expect("the filters have a place")
    }
    let conv = cases().prop_flat_map(|(convolution, x, w)| {
        (tensor(x, -2.0..2.0), tensor(w, -2.0..2.0))
            .prop_map(move |(x, w)| Sample::new(Conv(convolution), [x.into(), w.into()]))
    });
    let conv_input = cases().prop_flat_map(|(convolution, x, w)| {
        let size = [x[2], x[3]];
        (tensor(fits(convolution, &x, &w), -2.0..2.0), tensor(w, -2.0..2.0))
            .prop_map(move |(g, w)| Sample::new(ConvInput { convolution, size }, [g.into(), w.into()]))
    });
    let conv_weight = cases().prop_flat_map(|(convolution, x, w)| {
        let kernel = [w[2], w[3]];
        (tensor(x.clone(), -2.0..2.0), tensor(fits(convolution, &x, &w), -2.0..2.0))
            .prop_map(move |(x, g)| Sample::new(ConvWeight { convolution, kernel }, [x.into(), g.into()]))
    });
    vec![
        Entry::new("conv", "`Σ w[c, i, j]·x[c, p + i, q + j]`: the convolution of planes with filters", conv),
        Entry::new(
            "conv_input",
            "the derivative of `conv` with respect to the planes: transposed convolution",
            conv_input,
        ),
        Entry::new("conv_weight", "the derivative of `conv` with respect to the filters", conv_weight),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    fn numbers(shape: impl Into<Shape>, seed: usize) -> Tensor<f64> {
        Tensor::from_fn(shape.into(), |k| ((k * 7919 + seed * 104_729) % 1009) as f64 / 504.5 - 1.0)
    }

    /// The definition, in plain loops.
    fn by_loops(convolution: Convolution, x: &Tensor<f64>, w: &Tensor<f64>) -> Tensor<f64> {
        let y = convolution.output(x.shape(), w.shape()).unwrap();
        let (channels, filters) = (w.shape()[1], w.shape()[0] / convolution.groups);
        let at = |tensor: &Tensor<f64>, place: [usize; 4]| {
            tensor.data()[place.iter().zip(tensor.shape().iter()).fold(0, |at, (index, size)| at * size + index)]
        };
        Tensor::from_fn(y.clone(), |k| {
            let (q, p, o, n) = (k % y[3], k / y[3] % y[2], k / y[3] / y[2] % y[1], k / y[3] / y[2] / y[1]);
            let mut sum = 0.0;
            for c in 0..channels {
                for i in 0..w.shape()[2] {
                    for j in 0..w.shape()[3] {
                        let place = |position: usize, element: usize, axis: usize| {
                            (position * convolution.stride[axis] + element * convolution.dilation[axis])
                                .checked_sub(convolution.padding[axis][0])
                                .filter(|&place| place < x.shape()[2 + axis])
                        };
                        if let (Some(row), Some(column)) = (place(p, i, 0), place(q, j, 1)) {
                            sum += at(w, [o, c, i, j]) * at(x, [n, o / filters * channels + c, row, column]);
                        }
                    }
                }
            }
            sum
        })
    }

    /// Shapes that take every path of the kernels: several blocks of rows and of columns, several tasks, one element,
    /// one channel a filter.
    fn cases() -> Vec<(Convolution, [usize; 4], [usize; 4])> {
        let padded = |padding, stride, dilation, groups| Convolution {
            stride: [stride; 2],
            padding: [padding; 2],
            dilation: [dilation; 2],
            groups,
        };
        vec![
            (padded([1, 1], 1, 1, 1), [2, 3, 9, 11], [4, 3, 3, 3]),
            (padded([2, 1], 2, 2, 2), [2, 4, 13, 10], [6, 2, 3, 2]),
            (padded([0, 0], 1, 1, 1), [3, 5, 40, 41], [7, 5, 1, 1]),
            (padded([1, 0], 2, 1, 1), [2, 3, 8, 8], [2, 3, 1, 1]),
            (padded([1, 1], 1, 1, 3), [2, 3, 20, 17], [3, 1, 3, 3]),
            (padded([3, 4], 3, 2, 4), [1, 4, 20, 31], [4, 1, 4, 3]),
            (padded([1, 1], 1, 1, 1), [2, 48, 12, 14], [5, 48, 3, 3]),
            (padded([1, 1], 1, 1, 1), [1, 8, 60, 70], [8, 8, 3, 3]),
            (padded([0, 0], 2, 1, 1), [1, 1, 1, 9000], [2, 1, 1, 16]),
            (padded([7, 7], 1, 3, 1), [1, 1, 3, 2], [2, 1, 5, 5]),
            (padded([1, 1], 1, 1, 1), [7, 6, 7, 7], [5, 6, 3, 3]),
            (padded([0, 0], 1, 1, 2), [9, 6, 3, 5], [4, 3, 1, 1]),
            (padded([1, 2], 2, 1, 1), [21, 130, 6, 5], [3, 130, 2, 3]),
            (padded([5, 1], 1, 1, 2), [2, 2, 4, 6], [2, 1, 3, 3]),
        ]
    }

    #[test]
    fn values_are_those_of_plain_loops() {
        let graph = Graph::new();
        for (convolution, x, w) in cases() {
            let (x, w) = (numbers(x, 1), numbers(w, 2));
            let y = graph.eval(graph.constant(&x).conv(graph.constant(&w), convolution)).unwrap();
            assert!(y.is_close(&by_loops(convolution, &x, &w), 1e-12, 1e-12), "{convolution:?}");
        }
    }

    /// `⟨ȳ, conv(x, w)⟩ = ⟨conv_input(ȳ, w), x⟩ = ⟨conv_weight(x, ȳ), w⟩`, and both against their expansions.
    #[test]
    fn transposes_are_transposes_on_large_shapes() {
        let graph = Graph::new();
        for (convolution, x, w) in cases() {
            let (x, w) = (graph.constant(&numbers(x, 1)), graph.constant(&numbers(w, 2)));
            let y = x.conv(w, convolution);
            let g = graph.constant(&numbers(y.shape(), 3));
            let (of_x, of_w) = (convolution.input(g, w, &x.shape()), convolution.weight(x, g, &w.shape()));
            let value = |y: Var<'_>| graph.eval(y).unwrap();
            let [whole, one, other] = [(g * y).sum(), (of_x * x).sum(), (of_w * w).sum()].map(|sum| value(sum).item());
            let near = |other: f64| (whole - other).abs() < 1e-10 * (1.0 + whole.abs());
            assert!(near(one) && near(other), "{convolution:?}: {whole}, {one}, {other}");
            let size = [x.shape()[2], x.shape()[3]];
            let expanded = ConvInput { convolution, size }.expand(&[g, w]).unwrap()[0];
            assert!(value(of_x).is_close(&value(expanded), 1e-11, 1e-11), "{convolution:?}");
            let kernel = [w.shape()[2], w.shape()[3]];
            let expanded = ConvWeight { convolution, kernel }.expand(&[x, g]).unwrap()[0];
            assert!(value(of_w).is_close(&value(expanded), 1e-11, 1e-11), "{convolution:?}");
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let graph = Graph::new();
                let mut values = Vec::new();
                for (convolution, x, w) in cases() {
                    let x = graph.constant(&numbers([8 * x[0], x[1], x[2], x[3]], 1));
                    let w = graph.constant(&numbers(w, 2));
                    let y = x.conv(w, convolution);
                    let g = graph.constant(&numbers(y.shape(), 3));
                    let plan = crate::Plan::new(
                        &graph,
                        &[y, convolution.input(g, w, &x.shape()), convolution.weight(x, g, &w.shape())],
                    );
                    let mut session = plan.unwrap().session::<f32>();
                    let outputs = session.run(&crate::Params::new(0), &crate::Feed::new()).unwrap();
                    values.extend((0..3).map(|k| outputs.real(k).data().to_vec()));
                }
                values
            })
        };
        let one = run(1);
        assert!(run(2) == one && run(5) == one);
    }

    #[test]
    fn nothing_in_gives_nothing_or_zeros() {
        let graph = Graph::new();
        let shapes = [[0, 2, 4, 4], [2, 0, 4, 4]].map(|x| (x, [3, x[1], 3, 3]));
        for (x, w) in shapes.into_iter().chain([([2, 2, 4, 4], [0, 2, 3, 3])]) {
            let (x, w) = (graph.ones(x), graph.ones(w));
            let y = x.conv(w, Convolution::default());
            assert!(graph.eval(y).unwrap().data().iter().all(|&y| y == 0.0));
            for slope in graph.grad(y.sum(), &[x, w]).unwrap() {
                assert!(graph.eval(slope).unwrap().data().iter().all(|&slope| slope == 0.0));
            }
        }
    }

    #[test]
    #[should_panic(
        expected = "`conv` of [1, 3, 4, 4] and [2, 2, 3, 3]: filters of 2 channels in 1 groups need 2 channels"
    )]
    fn channels_that_do_not_fit_are_named() {
        let graph = Graph::new();
        graph.zeros([1, 3, 4, 4]).conv(graph.zeros([2, 2, 3, 3]), Convolution::default());
    }

    #[test]
    #[should_panic(
        expected = "filters that reach over [5, 3] elements have no place on [4, 4], padding included (at crates"
    )]
    fn filters_that_do_not_fit_are_named() {
        let graph = Graph::new();
        graph.zeros([1, 1, 4, 4]).conv(graph.zeros([1, 1, 5, 3]), Convolution::default());
    }
}
