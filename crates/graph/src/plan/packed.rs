//! Right factors that several products read, such as the recurrent weight of an unrolled sequence: packed once in a run.
//!
//! The kernel of a product reads its right factor in panels, and packs it into them if its rows are not contiguous or far
//! apart. Before, for `x₁·w` and `x₂·w`:
//!
//! ```text
//! product  y₁ = x₁·w        (packs w)
//! product  y₂ = x₂·w        (packs w)
//! ```
//!
//! and after:
//!
//! ```text
//! pack     p = w
//! product  y₁ = x₁·p
//! product  y₂ = x₂·p
//! ```
//!
//! A factor that depends on constants alone is packed before the first run. The bits are the same, since the order of sums
//! does not depend on where the numbers lie.

use rustc_hash::FxHashMap;

use super::draft::{Draft, Drafted, Drafts, Place, View};
use crate::kernel::gemm;
use crate::shape::{Layout, Shape};
use crate::tape::op::Kind;

/// The products that have a right factor in common.
struct Shared {
    products: Vec<u32>,
    /// The fewest rows of a left factor.
    rows: usize,
}

/// Packs the right factors that several products of the drafts read.
pub(super) fn pack_shared_factors(drafts: &mut Drafts) {
    let mut shared: FxHashMap<(u32, Layout), Shared> = FxHashMap::default();
    for (number, drafted) in drafts.units.iter().enumerate() {
        let Draft::Product { b, shapes: [a, shape], .. } = &drafted.draft else { continue };
        if shape[..shape.rank() - 2].iter().any(|&size| size != 1) {
            continue;
        }
        let rows = a[a.rank() - 2];
        let entry = shared.entry((b.buffer, matrix(b, shape))).or_insert(Shared { products: Vec::new(), rows });
        entry.products.push(number as u32);
        entry.rows = entry.rows.min(rows);
    }
    let mut chosen: Vec<_> = shared
        .into_iter()
        .filter(|((_, layout), Shared { products, rows })| {
            let sizes = [*rows, layout.shape[0], layout.shape[1]];
            gemm::is_worth_packing(products.len(), sizes, layout.strides[1] == 1)
        })
        .collect();
    if chosen.is_empty() {
        return;
    }
    // In an order that is the same in every run of the program.
    chosen.sort_by_key(|(_, Shared { products, .. })| products[0]);
    let mut places = drafts.places();
    for ((buffer, layout), Shared { products, .. }) in chosen {
        let constant = drafts.buffers[buffer as usize].constant;
        let unit = drafts.units.len() as u32;
        let len = gemm::packed_len(layout.shape[0], layout.shape[1]);
        let out = drafts.add_produced(Kind::Real, len, unit);
        drafts.buffers[out as usize].constant = constant;
        let node = drafts.units[products[0] as usize].node;
        let from = View { buffer, layout: Some(Box::new(layout.clone())) };
        let draft = Draft::Pack { from, shape: layout.shape, out };
        drafts.units.push(Drafted { draft, node, constant });
        places.push(Place::before(products[0], 0));
        for product in products {
            let Draft::Product { b, shapes: [_, shape], is_packed, .. } = &mut drafts.units[product as usize].draft
            else {
                unreachable!("the unit is a product")
            };
            *b = View { buffer: out, layout: Some(Box::new(Layout::contiguous(shape.clone()))) };
            *is_packed = true;
        }
    }
    drafts.reorder(&places);
}

/// The layout of a right factor of one matrix, with its two axes alone.
fn matrix(view: &View, shape: &Shape) -> Layout {
    let layout = view.layout.as_ref().map_or_else(|| Layout::contiguous(shape.clone()), |layout| (**layout).clone());
    let axes = shape.rank() - 2;
    Layout {
        shape: Shape::from([shape[axes], shape[axes + 1]]),
        strides: layout.strides[axes..].into(),
        offset: layout.offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::pass_tests::{assert_bits_on_threads, before_and_after};
    use crate::plan::{Feed, Plan};
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    fn units(outputs: &[Var<'_>]) -> [Vec<String>; 2] {
        before_and_after(outputs, |_, drafts| pack_shared_factors(drafts)).0
    }

    #[test]
    fn a_weight_of_several_products_is_packed_once() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [8, 64]), graph.input("w", [64, 64]));
        let y = x.matmul(w.t()).tanh().matmul(w.t());
        assert_eq!(
            units(&[y]),
            [vec!["product", "tanh", "product"], vec!["pack", "product of panels", "tanh", "product of panels"]]
        );
        // Rows that are contiguous are read where they lie, unless there are many products.
        let [before, after] = units(&[x.matmul(w).tanh().matmul(w)]);
        assert_eq!(before, after);
        let many = (0..3).fold(x.matmul(w), |y, _| y.tanh().matmul(w));
        assert_eq!(units(&[many])[1][..2], ["pack", "product of panels"]);
        // Nor is anything packed for a few rows, or for one product.
        let row = x.slice(0, 0, 1);
        let [before, after] = units(&[row.matmul(w.t()).tanh().matmul(w.t()), x.matmul(w.slice(0, 0, 32).t())]);
        assert_eq!(before, after);
    }

    #[test]
    fn a_constant_is_packed_before_the_first_run() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [8, 64]), graph.constant(&Tensor::<f64>::ones([64, 64])));
        let y = x.matmul(w.t()).tanh().matmul(w.t());
        let plan = Plan::new(&graph, &[y]).unwrap();
        assert_eq!(plan.inner.prologue.len(), 1);
        assert_eq!(plan.summary().units, 3);
    }

    #[test]
    fn the_bits_are_those_of_products_that_pack_for_themselves() {
        for [k, n] in [[32, 32], [50, 50], [70, 33], [500, 200]] {
            let graph = Graph::new();
            let (x, w, v) = (graph.input("x", [37, k]), graph.input("w", [n, k]), graph.input("v", [k, n]));
            let back = w.flip(0).flip(1);
            let outputs: Vec<Var<'_>> = (0..4)
                .flat_map(|step| {
                    let x = x * (1.0 + f64::from(step));
                    [x.matmul(w.t()), x.matmul(v) + 1.0, x.matmul(back.t()) + x.matmul(w.t())]
                })
                .collect();
            let numbers =
                |shape: [usize; 2]| Tensor::<f32>::from_fn(shape, |k| ((k * 7919) % 1013) as f32 / 506.0 - 1.0);
            let (x, w, v) = (numbers([37, k]), numbers([n, k]), numbers([k, n]));
            let doubles = [x.cast::<f64>(), w.cast(), v.cast()];
            let feed = Feed::new().with("x", &x).with("w", &w).with("v", &v);
            assert_bits_on_threads::<f32>(&graph, &outputs, &feed);
            let feed = Feed::new().with("x", &doubles[0]).with("w", &doubles[1]).with("v", &doubles[2]);
            assert_bits_on_threads::<f64>(&graph, &outputs, &feed);
        }
    }
}
