//! Layouts of views of views: each has the elements that one gets by making every view a tensor, one after another.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::shape::{Layout, Shape, unravel};
use crate::tape::{Graph, NodeId, Var};
use crate::tensor::Tensor;

/// A view, chosen by numbers that mean something for a variable of any shape.
#[derive(Clone, Copy, Debug)]
enum View {
    Permute([u8; 6]),
    Slice { axis: u8, start: u8, step: isize, count: u8 },
    Flip { axis: u8 },
    Unsqueeze { axis: u8 },
    Broadcast { lead: u8, size: u8 },
    Join { axis: u8 },
    Split { axis: u8, by: u8 },
}

fn view() -> impl Strategy<Value = View> {
    prop_oneof![
        any::<[u8; 6]>().prop_map(View::Permute),
        (any::<u8>(), any::<u8>(), prop_oneof![Just(1), Just(2), Just(-1), Just(-2_isize)], any::<u8>())
            .prop_map(|(axis, start, step, count)| View::Slice { axis, start, step, count }),
        any::<u8>().prop_map(|axis| View::Flip { axis }),
        any::<u8>().prop_map(|axis| View::Unsqueeze { axis }),
        (0..2_u8, 0..4_u8).prop_map(|(lead, size)| View::Broadcast { lead, size }),
        any::<u8>().prop_map(|axis| View::Join { axis }),
        (any::<u8>(), 2..4_u8).prop_map(|(axis, by)| View::Split { axis, by }),
    ]
}

/// A tensor of that shape, whose elements `from` takes from the other by their index.
fn taken(x: &Tensor<usize>, shape: Shape, from: impl Fn(&[usize]) -> Vec<usize>) -> Tensor<usize> {
    let element = |position| x.at(&from(&unravel(position, &shape)[..]));
    let elements = (0..shape.len()).map(element).collect();
    Tensor::new(shape.clone(), elements)
}

impl View {
    /// The view of the variable, and by definition that of the tensor; nothing if it has no meaning for their shape.
    fn of<'g>(self, v: Var<'g>, x: &Tensor<usize>) -> Option<(Var<'g>, Tensor<usize>)> {
        let shape = x.shape().clone();
        let rank = shape.rank();
        let pick = |axis: u8| (rank > 0).then(|| usize::from(axis) % rank);
        Some(match self {
            Self::Permute(keys) => {
                let mut order: Vec<usize> = (0..rank).collect();
                order.sort_by_key(|&axis| keys[axis % keys.len()]);
                let sizes: Shape = order.iter().map(|&axis| shape[axis]).collect();
                let signed: Vec<isize> = order.iter().map(|&axis| axis as isize).collect();
                let place = |axis| order.iter().position(|&other| other == axis).unwrap();
                (v.permute(signed), taken(x, sizes, |at| (0..rank).map(|axis| at[place(axis)]).collect()))
            }
            Self::Slice { axis, start, step, count } => {
                let axis = pick(axis).filter(|&axis| shape[axis] > 0)?;
                let start = isize::from(start) % shape[axis] as isize;
                let end = (start + step * isize::from(count)).clamp(-1, shape[axis] as isize);
                let count = ((end - start) * step.signum()).max(0) as usize;
                let count = count.div_ceil(step.unsigned_abs());
                // −1 would mean the last element: it is the open end of a range that walks backwards.
                let var = match end {
                    -1 => v.slice_step(axis as isize, start, None, step),
                    _ => v.slice_step(axis as isize, start, end, step),
                };
                let sizes = shape.with_size(axis, count).unwrap();
                (var, taken(x, sizes, |at| moved(at, axis, (start + step * at[axis] as isize) as usize)))
            }
            Self::Flip { axis } => {
                let axis = pick(axis)?;
                let last = shape[axis].wrapping_sub(1);
                (v.flip(axis as isize), taken(x, shape, |at| moved(at, axis, last - at[axis])))
            }
            Self::Unsqueeze { axis } => {
                let axis = usize::from(axis) % (rank + 1);
                let mut sizes = shape.to_vec();
                sizes.insert(axis, 1);
                (v.unsqueeze(axis as isize), taken(x, sizes.into(), |at| [&at[..axis], &at[axis + 1..]].concat()))
            }
            Self::Broadcast { lead, size } => {
                let lead = usize::from(lead);
                let own = shape.iter().map(|&own| if own == 1 { size.into() } else { own });
                let sizes: Shape = std::iter::repeat_n(2, lead).chain(own).collect();
                let from = |at: &[usize]| {
                    at[lead..].iter().zip(shape.iter()).map(|(&at, &own)| if own == 1 { 0 } else { at }).collect()
                };
                (v.broadcast_to(&sizes), taken(x, sizes, from))
            }
            Self::Join { axis } => {
                let axis = usize::from(axis) % rank.checked_sub(1).filter(|&pairs| pairs > 0)?;
                let mut sizes = shape.to_vec();
                let second = sizes.remove(axis + 1);
                sizes[axis] *= second;
                (
                    v.reshape(&sizes[..]),
                    taken(x, sizes.into(), |at| {
                        [&at[..axis], &[at[axis] / second, at[axis] % second], &at[axis + 1..]].concat()
                    }),
                )
            }
            Self::Split { axis, by } => {
                let (axis, by) = (pick(axis)?, usize::from(by));
                if !shape[axis].is_multiple_of(by) {
                    return None;
                }
                let mut sizes = shape.to_vec();
                sizes[axis] /= by;
                sizes.insert(axis + 1, by);
                (
                    v.reshape(&sizes[..]),
                    taken(x, sizes.into(), |at| {
                        [&at[..axis], &[at[axis] * by + at[axis + 1]], &at[axis + 2..]].concat()
                    }),
                )
            }
        })
    }
}

/// The index with another number on one axis.
fn moved(at: &[usize], axis: usize, to: usize) -> Vec<usize> {
    let mut at = at.to_vec();
    at[axis] = to;
    at
}

/// Whether a layout of that shape can have its elements at these positions, which are in row-major order.
fn can_be_strided(shape: &Shape, positions: &[usize]) -> bool {
    let at = |position: usize| positions[position] as isize;
    let step = |axis: usize| shape[axis + 1..].iter().product::<usize>();
    let strides: Vec<isize> =
        (0..shape.rank()).map(|axis| if shape[axis] > 1 { at(step(axis)) - at(0) } else { 0 }).collect();
    (0..shape.len()).all(|position| {
        let index = unravel(position, shape);
        let from_first: isize = index.iter().zip(&strides).map(|(&index, stride)| index as isize * stride).sum();
        at(position) == at(0) + from_first
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_view_of_a_view_has_the_elements_that_both_take(
        sizes in vec(prop_oneof![6 => 1..5_usize, 1 => Just(6), 1 => Just(0)], 0..4),
        views in vec(view(), 1..8),
    ) {
        let graph = Graph::new();
        let mut var = graph.input("x", &sizes[..]);
        let mut expected = Tensor::from_fn(&sizes[..], |k| k);
        // The layout sees these elements; where strides cannot express a view, it sees the elements copied in order.
        let mut buffer = expected.clone().into_vec();
        let mut layout = Layout::contiguous(expected.shape().clone());
        for view in views {
            let recorded = graph.len();
            let Some((viewed, elements)) = view.of(var, &expected) else { continue };
            if elements.len() > 500 || elements.shape().rank() > 6 {
                continue;
            }
            for node in (recorded..graph.len()).map(|node| NodeId(node as u32)) {
                let tape = graph.tape();
                let op = tape.op(node).expect("a view is an op");
                let shape = tape.nodes[node.index()].outputs[0].shape.clone();
                layout = match op.view(&layout) {
                    Some(layout) => layout,
                    None => {
                        let positions: Vec<usize> = layout.positions().collect();
                        prop_assert!(!can_be_strided(&shape, &positions), "{op:?} of {layout:?} needs no copy");
                        buffer = positions.into_iter().map(|position| buffer[position]).collect();
                        op.view(&Layout::contiguous(layout.shape)).expect("what lies in order can be viewed")
                    }
                };
                prop_assert_eq!(&layout.shape, &shape);
            }
            (var, expected) = (viewed, elements);
            prop_assert_eq!(var.shape(), expected.shape().clone());
            let positions: Vec<usize> = layout.positions().collect();
            prop_assert!(positions.iter().map(|&position| &buffer[position]).eq(expected.data()), "{view:?} {layout:?}");
            let in_order = positions.windows(2).all(|pair| pair[1] == pair[0] + 1);
            prop_assert_eq!(layout.is_contiguous(), in_order, "{:?}", layout);
            prop_assert!(layout.clone().within(buffer.len()).is_some());
        }
    }

    #[test]
    fn a_layout_is_within_a_buffer_if_all_its_elements_are(
        axes in vec((prop_oneof![6 => 1..4_usize, 1 => Just(0)], stride()), 0..4),
        offset in prop_oneof![12 => 0..12_usize, 1 => Just(usize::MAX), 1 => Just(isize::MAX as usize)],
        len in 0..14_usize,
    ) {
        let shape: Shape = axes.iter().map(|&(size, _)| size).collect();
        let layout = Layout { shape, strides: axes.iter().map(|&(_, stride)| stride).collect(), offset };
        let position = |element| {
            let index = unravel(element, &layout.shape);
            let steps = index.iter().zip(&layout.strides).map(|(&index, &stride)| index as i128 * stride as i128);
            offset as i128 + steps.sum::<i128>()
        };
        let positions: Vec<i128> = (0..layout.shape.len()).map(position).collect();
        let inside = positions.iter().all(|position| (0..len as i128).contains(position));
        let found = layout.clone().within(len);
        prop_assert_eq!(found.is_some(), inside, "{:?} in {}", &layout, len);
        if let Some(found) = found {
            prop_assert_eq!(&found.shape, &layout.shape);
            prop_assert!(found.positions().map(|position| position as i128).eq(positions), "{found:?} of {layout:?}");
        }
    }
}

/// Mostly small; now and then so large that a product with it overflows.
fn stride() -> impl Strategy<Value = isize> {
    prop_oneof![20 => -5..6_isize, 1 => Just(isize::MIN), 1 => Just(isize::MAX), 1 => Just(isize::MAX / 2)]
}
