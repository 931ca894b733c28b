//! Two-dimensional convolution.
//!
//! It is linear in the planes and in the filters, so three ops are closed under differentiation: `conv`; `conv_input`,
//! which maps a cotangent of the output to one of the planes (also called transposed convolution); and `conv_weight`,
//! which maps it to one of the filters. The derivatives of each are the other two.

use super::conv_input::ConvInput;
use super::conv_weight::ConvWeight;
use crate::kernel::convolution::Convolution;
use crate::real::Real;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Vars, Work};

/// The values of a convolution.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Conv(pub(super) Convolution);

/// Checks that both inputs have four axes.
pub(super) fn check_planes(inputs: &[Meta]) -> Result<(), String> {
    match inputs.iter().all(|input| input.shape.rank() == 4) {
        true => Ok(()),
        false => Err("both inputs must have four axes".into()),
    }
}

/// The multiply-adds of a convolution with outputs and filters of these shapes.
pub(super) fn multiply_adds(values: &Shape, filters: &Shape) -> usize {
    values.len().saturating_mul(filters[1..].iter().product::<usize>())
}

impl Op for Conv {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Real]);

    fn name(&self) -> &'static str {
        "conv"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        check_planes(inputs)?;
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
    /// The cotangent of planes of shape `x`.
    pub(super) fn input<'g>(&self, g: Var<'g>, w: Var<'g>, x: &Shape) -> Var<'g> {
        g.graph().call(ConvInput { convolution: *self, size: [x[2], x[3]] }, &[g, w])
    }

    /// The cotangent of filters of shape `w`.
    pub(super) fn weight<'g>(&self, x: Var<'g>, g: Var<'g>, w: &Shape) -> Var<'g> {
        g.graph().call(ConvWeight { convolution: *self, kernel: [w[2], w[3]] }, &[x, g])
    }

    /// The im2col matrices of `x`, `[N, groups, C/groups·kh·kw, P·Q]`.
    pub(super) fn columns<'g>(&self, x: Var<'g>, kernel: [usize; 2]) -> Var<'g> {
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

    /// Filters, or planes by channel, as matrices with a row for each filter, `[…, groups, rows, …]`.
    pub(super) fn matrices<'g>(&self, value: Var<'g>, axis: usize) -> Var<'g> {
        let shape = value.shape();
        let rest = shape[axis + 1..].iter().product();
        let lead = shape[..axis].iter().copied();
        value.reshape(lead.chain([self.groups, shape[axis] / self.groups, rest]).collect::<Shape>())
    }
}

impl<'g> Var<'g> {
    /// The two-dimensional convolution of planes with filters, which are not flipped (cross-correlation, as PyTorch's
    /// `conv2d`):
    ///
    /// `y[n, o, p, q] = Σ w[o, c, i, j] · x[n, c, p·stride + i·dilation − padding, q·stride + j·dilation − padding]`
    ///
    /// over the channels `c` of the group of filter `o` and the elements `(i, j)` of the filter, with zeros for
    /// elements outside of the plane. The order of the sums depends on the shapes alone, not on the number of threads.
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
}

crate::tape::op::saved_ops!("conv": Conv { 0 });

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use self::samples::cases;
    use crate::check::strategies::tensor;
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let conv = cases().prop_flat_map(|(convolution, x, w)| {
        (tensor(x, -2.0..2.0), tensor(w, -2.0..2.0))
            .prop_map(move |(x, w)| Sample::new(Conv(convolution), [x.into(), w.into()]))
    });
    vec![Entry::new("conv", "`Σ w[c, i, j]·x[c, p + i, q + j]`: the convolution of planes with filters", conv)]
}

/// The samples of a convolution and of its derivatives.
#[cfg(any(test, feature = "proptest"))]
pub(super) mod samples {
    use super::*;
    use crate::check::strategies::size;
    use proptest::prelude::*;

    /// A convolution with the shapes of planes and filters.
    pub(in crate::ops) fn cases() -> impl Strategy<Value = (Convolution, Shape, Shape)> {
        // Kernel, stride, dilation, padding before and after, and additional elements.
        let axis = || (1..4_usize, 1..3_usize, 1..3_usize, 0..3_usize, 0..2_usize, 0..3_usize);
        let counts = (size(), 1..3_usize, prop_oneof![9 => Just(1), 3 => Just(2), 1 => Just(0_usize)], 1..3_usize);
        // Only some options at the same time, or the planes would be large.
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
    pub(in crate::ops) fn fits(convolution: Convolution, x: &Shape, w: &Shape) -> Shape {
        convolution.output(x, w).expect("the filters fit")
    }
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
        let at = |tensor: &Tensor<f64>, index: [usize; 4]| {
            tensor.data()
                [index.iter().zip(tensor.shape().iter()).fold(0, |position, (index, size)| position * size + index)]
        };
        Tensor::from_fn(y.clone(), |k| {
            let (q, p, o, n) = (k % y[3], k / y[3] % y[2], k / y[3] / y[2] % y[1], k / y[3] / y[2] / y[1]);
            let mut sum = 0.0;
            for c in 0..channels {
                for i in 0..w.shape()[2] {
                    for j in 0..w.shape()[3] {
                        let element_at = |position: usize, element: usize, axis: usize| {
                            (position * convolution.stride[axis] + element * convolution.dilation[axis])
                                .checked_sub(convolution.padding[axis][0])
                                .filter(|&index| index < x.shape()[2 + axis])
                        };
                        if let (Some(row), Some(column)) = (element_at(p, i, 0), element_at(q, j, 1)) {
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
        let apart =
            |lines, padding| Convolution { dilation: [lines, 1], padding: [padding; 2], ..Convolution::default() };
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
            // The direct way: strides, groups, lines apart, long sums, lines of padding alone, several bands.
            (padded([1, 1], 2, 1, 1), [3, 20, 9, 11], [17, 20, 3, 3]),
            (padded([0, 1], 1, 1, 2), [2, 12, 10, 7], [32, 6, 3, 2]),
            (apart(3, [1, 0]), [2, 5, 16, 9], [9, 5, 3, 4]),
            (padded([1, 1], 1, 1, 1), [2, 100, 6, 6], [9, 100, 3, 3]),
            (apart(3, [7, 7]), [2, 6, 3, 2], [6, 6, 5, 5]),
            (padded([2, 2], 1, 1, 1), [1, 9, 50, 60], [33, 9, 5, 5]),
            (padded([0, 0], 1, 1, 1), [20, 1, 28, 28], [8, 1, 5, 5]),
            (Convolution { groups: 2, ..apart(3, [0, 1]) }, [3, 2, 14, 9], [10, 1, 3, 2]),
            // The matrix of columns: distances in a line, too many filters or channels for the direct way.
            (padded([2, 1], 1, 2, 1), [2, 48, 12, 14], [5, 48, 3, 3]),
            (padded([1, 1], 1, 2, 1), [1, 8, 60, 70], [8, 8, 3, 3]),
            (padded([1, 1], 1, 2, 1), [7, 6, 9, 9], [5, 6, 3, 3]),
            (padded([1, 2], 2, 2, 1), [21, 130, 6, 7], [3, 130, 2, 3]),
            (padded([0, 0], 2, 1, 1), [3, 20, 7, 7], [18, 20, 2, 2]),
            (padded([1, 1], 1, 1, 1), [2, 3, 6, 6], [130, 3, 3, 3]),
            (padded([1, 1], 1, 1, 1), [2, 130, 6, 6], [6, 130, 3, 3]),
        ]
    }

    #[test]
    fn values_are_those_of_plain_loops() {
        let graph = Graph::new();
        for (convolution, x, w) in cases() {
            let (x, w) = (numbers(x, 1), numbers(w, 2));
            let (expected, y) =
                (by_loops(convolution, &x, &w), graph.constant(&x).conv(graph.constant(&w), convolution));
            assert!(graph.eval(y).unwrap().is_close(&expected, 1e-12, 1e-12), "{convolution:?}");
            let mut session = crate::Plan::new(&graph, &[y]).unwrap().session::<f32>();
            let outputs = session.run(&crate::Params::new(0), &crate::Feed::new()).unwrap();
            let single = Tensor::from_fn(expected.shape().clone(), |k| f64::from(outputs.real(0).data()[k]));
            assert!(single.is_close(&expected, 1e-5, 1e-5), "{convolution:?}");
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
    #[should_panic(expected = "filters that reach over [5, 3] elements do not fit on [4, 4], padding included")]
    fn filters_that_do_not_fit_are_named() {
        let graph = Graph::new();
        graph.zeros([1, 1, 4, 4]).conv(graph.zeros([1, 1, 5, 3]), Convolution::default());
    }
}
