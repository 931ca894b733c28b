//! Sliding windows as a view, and their transpose, which adds what overlaps.
//!
//! Along each of the last axes `y[…, p, …, k, …] = x[…, stride·p + dilation·k, …]`. The derivative is `fold`, whose
//! derivative is `windows`.

use smallvec::SmallVec;

use crate::real::Real;
use crate::shape::{Layout, Shape, Window, windowed_shape};
use crate::tape::Var;
use crate::tape::op::{Accepts, Call, Form, Meta, Metas, Op, Signature, Work};

type List = SmallVec<[Window; 2]>;

/// Windows over the last axes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Windows {
    windows: List,
}

/// Windows over last axes of these sizes, added at the positions of their elements.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fold {
    sizes: SmallVec<[usize; 2]>,
    windows: List,
}

impl Op for Windows {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

    fn name(&self) -> &'static str {
        "windows"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let shape = windowed_shape(&inputs[0].shape, &self.windows)?;
        Ok(smallvec::smallvec![Meta { shape, ..inputs[0].clone() }])
    }

    fn form(&self) -> Form {
        Form::View
    }

    fn view(&self, input: &Layout) -> Option<Layout> {
        Some(input.windowed(&self.windows))
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let shape = call.x(0).shape();
        let sizes = SmallVec::from_slice(&shape[shape.rank() - self.windows.len()..]);
        call.g().graph().call(Fold { sizes, windows: self.windows.clone() }, &[call.g()])
    }
}

impl Fold {
    /// The shape whose windows the input holds.
    fn whole(&self, input: &Shape) -> Result<Shape, String> {
        let Some(lead) = input.rank().checked_sub(2 * self.windows.len()) else {
            return Err(format!("{} axes are too few for {} windows", input.rank(), self.windows.len()));
        };
        let whole = Shape::try_collect(input[..lead].iter().chain(&self.sizes).copied())?;
        let windows = windowed_shape(&whole, &self.windows)?;
        if windows != *input {
            return Err(format!("the windows over {whole} have the shape {windows}"));
        }
        Ok(whole)
    }
}

impl Op for Fold {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real]);

    fn name(&self) -> &'static str {
        "fold"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        Ok(smallvec::smallvec![Meta::real(self.whole(&inputs[0].shape)?)])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (x, y) = (work.inputs[0].real(), work.outputs[0].real());
        y.fill(T::zero());
        let target = Layout::contiguous(work.output_shapes[0].clone()).windowed(&self.windows);
        for (&x, position) in x.iter().zip(target.positions()) {
            y[position] += x;
        }
        Ok(())
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        call.g().graph().call(Windows { windows: self.windows.clone() }, &[call.g()])
    }
}

impl<'g> Var<'g> {
    /// All positions of windows that slide along the last axes, one window per axis:
    /// `y[…, p, k] = x[…, stride·p + dilation·k]` for positions `p` and elements `k` along one axis.
    ///
    /// It is a view, as PyTorch's `Tensor.unfold`; the derivative is [`Var::fold`].
    ///
    /// # Shapes
    /// `[…, a, b]` gives `[…, positions on a, positions on b, size of the first window, size of the second]`, and
    /// similarly for any number of windows. Elements at the end that no window reaches are left out.
    ///
    /// # Panics
    /// If a window does not fit on its axis, or there are more windows than axes.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor, Window};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1.0, 4.0, 9.0, 16.0, 25.0]));
    /// let pairs = x.windows(&[Window { size: 2, stride: 1, dilation: 2 }]);
    /// assert_eq!(graph.eval(pairs)?, Tensor::from_rows([[1.0, 9.0], [4.0, 16.0], [9.0, 25.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn windows(self, windows: &[Window]) -> Var<'g> {
        self.graph().call(Windows { windows: windows.into() }, &[self])
    }

    /// The transpose (not the inverse) of [`Var::windows`]: zeros with last axes of the given sizes, to which the
    /// windows are added, `y[…, stride·p + dilation·k] += x[…, p, k]`. The derivative is [`Var::windows`].
    ///
    /// # Shapes
    /// `[…, positions, sizes of the windows]` gives `[…, sizes]`.
    ///
    /// # Panics
    /// If windows over axes of these sizes have another shape.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Window};
    /// let graph = Graph::new();
    /// let window = [Window { size: 3, stride: 1, dilation: 1 }];
    /// let counts = graph.ones([3, 3]).fold(&[5], &window);
    /// assert_eq!(graph.eval(counts)?.data(), [1.0, 2.0, 3.0, 2.0, 1.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn fold(self, sizes: &[usize], windows: &[Window]) -> Var<'g> {
        self.graph().call(Fold { sizes: sizes.into(), windows: windows.into() }, &[self])
    }
}

crate::tape::op::saved_ops! {
    "windows": Windows { windows },
    "fold": Fold { sizes, windows },
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{any_tensor, shape, tensor};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    /// Leading axes, and up to two windows with the sizes of the axes that they slide on.
    fn cases() -> impl Strategy<Value = (Shape, Vec<(Window, usize)>)> {
        let window = (1..4_usize, 1..4_usize, 1..3_usize)
            .prop_map(|(size, stride, dilation)| Window { size, stride, dilation })
            .prop_flat_map(|window| (Just(window), (0..4_usize).prop_map(move |more| window.reach() + more)));
        (shape(2), prop::collection::vec(window, 0..=2))
    }
    let whole = |lead: &Shape, windows: &[(Window, usize)]| -> Shape {
        lead.iter().copied().chain(windows.iter().map(|(_, size)| *size)).collect()
    };
    let windows = cases().prop_flat_map(move |(lead, windows)| {
        let list: List = windows.iter().map(|(window, _)| *window).collect();
        any_tensor(whole(&lead, &windows)).prop_map(move |x| Sample::new(Windows { windows: list.clone() }, [x]))
    });
    let fold = cases().prop_flat_map(move |(lead, windows)| {
        let sizes: SmallVec<[usize; 2]> = windows.iter().map(|(_, size)| *size).collect();
        let list: List = windows.iter().map(|(window, _)| *window).collect();
        let shape = windowed_shape(&whole(&lead, &windows), &list).expect("the windows fit");
        tensor(shape, -4.0..4.0)
            .prop_map(move |x| Sample::new(Fold { sizes: sizes.clone(), windows: list.clone() }, [x.into()]))
    });
    vec![
        Entry::new(
            "windows",
            "`x[stride·p + dilation·k]` along the last axes, for positions `p` and elements `k`",
            windows,
        ),
        Entry::new("fold", "zeros with `x` added at `stride·p + dilation·k`: the derivative of `windows`", fold),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn windows_over_two_axes() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_fn([2, 4, 5], |k| k as f64));
        let (down, along) = (Window { size: 2, stride: 2, dilation: 1 }, Window { size: 2, stride: 1, dilation: 3 });
        let y = graph.eval(x.windows(&[down, along])).unwrap();
        assert_eq!(y.shape().sizes(), [2, 2, 2, 2, 2]);
        let expected = |k: usize| {
            let digit = |axis: usize| k >> (4 - axis) & 1;
            (20 * digit(0) + 5 * (2 * digit(1) + digit(3)) + digit(2) + 3 * digit(4)) as f64
        };
        assert!(y.data().iter().enumerate().all(|(k, &y)| y == expected(k)), "{y}");
    }

    #[test]
    fn windows_of_a_view_are_of_its_elements() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_fn([3, 4], |k| k as f64));
        let window = [Window { size: 2, stride: 1, dilation: 1 }];
        let value = |y| graph.eval(y).unwrap();
        assert_eq!(value(x.t().flip(1).windows(&window)).data()[..4], [8.0, 4.0, 4.0, 0.0]);
        assert_eq!(value(graph.ones([1, 1]).broadcast_to([2, 3]).windows(&window)), Tensor::full([2, 2, 2], 1.0));
    }

    #[test]
    #[should_panic(expected = "`windows` of [2, 3]: a window that reaches over 5 elements does not fit on 3")]
    fn a_window_without_a_place_is_named() {
        Graph::new().zeros([2, 3]).windows(&[Window { size: 3, stride: 1, dilation: 2 }]);
    }
}
