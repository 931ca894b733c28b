//! Batches that no cache holds: units which treat each index of the first axis alone run strip by strip.
//!
//! A batch of matrices, such as the scores of attention or the points of a mixture, goes through several units, each of
//! which reads and writes all of it. Before, for values of ten matrices:
//!
//! ```text
//! product  s = x·w          all of s is written
//! loop     e = exp(s)       and read, and all of e is written
//! sum      t = Σ e
//! ```
//!
//! and after, for a tenth of each at a time, which stays in the cache:
//!
//! ```text
//! product  s₁ = x₁·w₁
//! loop     e₁ = exp(s₁)
//! sum      t[0] = Σ e₁
//! product  s₂ = x₂·w₂       in the memory of s₁
//! …
//! ```
//!
//! A group of units is cut if products or kernels along the first axis ([`Op::is_separable`]) and loops hand large values
//! to each other. What only the group reads is as large as a strip; the strips of other results lie in the whole
//! ([`Drafts::within`]). Small units between those of the group run before it, or after it if they need its results; a
//! large one ends it, so that values do not wait in memory. The bits are the same, since no element is computed
//! differently.
//!
//! [`Op::is_separable`]: crate::tape::op::Op::is_separable

use rustc_hash::{FxHashMap, FxHashSet};

use super::draft::{Buffer, Draft, DraftLoop, DraftStep, Drafted, Drafts, Origin, Place, View};
use crate::shape::{Layout, Shape};
use crate::tape::op::Meta;
use crate::tape::{NodeId, Tape};

/// The elements of a value that no cache near a core holds beside others.
const LARGE: usize = 1 << 17;
/// The elements of a strip, if the first axis can be divided so.
const STRIP: usize = 1 << 15;
/// The elements of a strip that are worth a unit.
const SMALL: usize = 1 << 8;
/// The elements that a group must hand on within it.
const HANDED_ON: usize = 1 << 18;

/// Cuts the groups of large units of the drafts.
pub(super) fn cut_into_strips(tape: &Tape, drafts: &mut Drafts) {
    let mut counts: Vec<usize> = Vec::new();
    for unit in drafts.units.iter().filter(|unit| !unit.constant) {
        if let Some(count) = count(tape, drafts, &unit.draft)
            && !counts.contains(&count)
        {
            counts.push(count);
        }
    }
    for count in counts {
        let mut places = drafts.places();
        let groups = groups(tape, drafts, count);
        if groups.is_empty() {
            continue;
        }
        for group in groups {
            cut(tape, drafts, &mut places, &group, count);
        }
        drafts.reorder(&places);
    }
}

/// Into how many strips a product or kernel suggests to cut.
fn count(tape: &Tape, drafts: &Drafts, draft: &Draft) -> Option<usize> {
    let (size, largest) = match draft {
        Draft::Product { shapes: [a, b], out, .. } if a.rank() > 2 => {
            (a[0], a.len().max(b.len()).max(drafts.buffers[*out as usize].len))
        }
        Draft::Kernel { op, inputs, outputs, node, .. } => {
            let read = inputs.iter().map(|view| view.buffer).chain(outputs.iter().copied());
            let largest = read.map(|buffer| drafts.buffers[buffer as usize].len).max()?;
            if largest < LARGE {
                return None;
            }
            let metas = metas(tape, *node);
            if metas.is_empty() || !tape.ops[*op as usize].is_separable(&metas) {
                return None;
            }
            (metas[0].shape[0], largest)
        }
        _ => return None,
    };
    if largest < LARGE || size < 2 {
        return None;
    }
    (2..=size).find(|&count| size.is_multiple_of(count) && (largest / count <= STRIP || count == size))
}

fn metas(tape: &Tape, node: NodeId) -> Vec<Meta> {
    tape.nodes[node.index()].inputs.iter().map(|&input| tape.meta(input).clone()).collect()
}

/// Units that are cut together.
struct Group {
    members: Vec<u32>,
    /// Units between the members that need their results.
    later: Vec<u32>,
}

/// The groups of units that can be cut into `count` strips.
fn groups(tape: &Tape, drafts: &Drafts, count: usize) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut now = Group { members: Vec::new(), later: Vec::new() };
    // The results of the members, and of what must wait for them.
    let (mut results, mut late) = (FxHashSet::default(), FxHashSet::default());
    for number in 0..drafts.units.len() as u32 {
        let Drafted { draft, constant, .. } = &drafts.units[number as usize];
        if *constant {
            continue;
        }
        let (mut is_fed, mut is_late, mut largest) = (false, false, 0);
        draft.reads(|buffer| {
            is_fed |= results.contains(&buffer);
            is_late |= late.contains(&buffer);
            largest = largest.max(drafts.buffers[buffer as usize].len);
        });
        draft.results(|buffer| largest = largest.max(drafts.buffers[buffer as usize].len));
        let may_join = largest >= LARGE || is_fed && largest >= SMALL * count;
        if may_join && !is_late && is_separable(tape, drafts, draft, count, &results) {
            add_results(drafts, draft, &mut results, &mut late);
            now.members.push(number);
            continue;
        }
        if largest >= LARGE {
            groups.extend(finished(drafts, &mut now));
            (results, late) = (FxHashSet::default(), FxHashSet::default());
            if is_separable(tape, drafts, draft, count, &results) {
                add_results(drafts, draft, &mut results, &mut late);
                now.members.push(number);
            }
        } else if is_fed || is_late {
            let mut own = FxHashSet::default();
            add_results(drafts, draft, &mut own, &mut late);
            late.extend(own);
            now.later.push(number);
        }
    }
    groups.extend(finished(drafts, &mut now));
    groups
}

/// Adds the results of a unit, and what they lie within, which is not there before all of its parts are, to what is late.
fn add_results(drafts: &Drafts, draft: &Draft, results: &mut FxHashSet<u32>, late: &mut FxHashSet<u32>) {
    draft.results(|mut buffer| {
        results.insert(buffer);
        while let Some(&(whole, _)) = drafts.within.get(&buffer) {
            late.insert(whole);
            buffer = whole;
        }
    });
}

/// The group, without loops that have nothing to do with the other members, if it is worth it.
fn finished(drafts: &Drafts, group: &mut Group) -> Option<Group> {
    let Group { mut members, later } = std::mem::replace(group, Group { members: Vec::new(), later: Vec::new() });
    if members.len() < 2 {
        return None;
    }
    let mut results: FxHashMap<u32, bool> = FxHashMap::default();
    let mut fed: FxHashSet<u32> = FxHashSet::default();
    for &member in &members {
        let draft = &drafts.units[member as usize].draft;
        draft.reads(|buffer| {
            if let Some(is_read) = results.get_mut(&buffer) {
                *is_read = true;
                fed.insert(member);
            }
        });
        draft.results(|buffer| {
            results.insert(buffer, false);
        });
    }
    let handed_on = results.iter().filter(|(_, is_read)| **is_read);
    let handed_on: usize = handed_on.map(|(&buffer, _)| drafts.buffers[buffer as usize].len).sum();
    members.retain(|&member| {
        let mut is_read = fed.contains(&member);
        drafts.units[member as usize].draft.results(|buffer| is_read |= results[&buffer]);
        is_read
    });
    (members.len() > 1 && handed_on >= HANDED_ON).then_some(Group { members, later })
}

/// Whether a unit can be cut into strips, of which each reads its own strip of the results.
fn is_separable(tape: &Tape, drafts: &Drafts, draft: &Draft, count: usize, results: &FxHashSet<u32>) -> bool {
    let strip = |view: &View, shape: &Shape| {
        let len = results.contains(&view.buffer).then(|| drafts.buffers[view.buffer as usize].len);
        strip(&layout(view, shape), count, len).is_some()
    };
    let divides = |buffer: u32| drafts.buffers[buffer as usize].len.is_multiple_of(count);
    match draft {
        Draft::Loop(draft) => {
            let is_cut = draft.len > 0 && draft.len.is_multiple_of(count);
            is_cut
                && !(draft.steps.is_empty() && draft.copies.is_empty())
                && draft.loads.iter().all(|view| strip(view, &Shape::from(draft.len)))
        }
        Draft::Product { a, b, shapes, is_packed: false, plus, .. } => {
            // Of a batch, each product is added to the same.
            let is_outside = plus.as_ref().is_none_or(|plus| !results.contains(&plus.buffer));
            let is_batch = |shape: &Shape| shape.rank() > 2 && shape[0].is_multiple_of(count) && !shape.contains(&0);
            is_outside && shapes.iter().all(is_batch) && strip(a, &shapes[0]) && strip(b, &shapes[1])
        }
        Draft::Kernel { op, inputs, outputs, node, strips: 1 } => {
            let op = &tape.ops[*op as usize];
            let (metas, made) = (metas(tape, *node), &tape.nodes[node.index()].outputs);
            let is_cut =
                |meta: &Meta| meta.shape.rank() > 0 && meta.shape[0].is_multiple_of(count) && !meta.shape.contains(&0);
            op.is_separable(&metas)
                && metas.iter().chain(made).all(is_cut)
                && inputs.iter().zip(&metas).all(|(view, meta)| strip(view, &meta.shape))
                && outputs.iter().all(|&out| divides(out))
        }
        _ => false,
    }
}

fn layout(view: &View, shape: &Shape) -> Layout {
    view.layout.as_ref().map_or_else(|| Layout::contiguous(shape.clone()), |layout| (**layout).clone())
}

/// The first of `count` strips of a layout, and how far they are apart. Of a result of the group with `len` elements,
/// each must lie in its own strip of the result.
fn strip(layout: &Layout, count: usize, len: Option<usize>) -> Option<(Layout, isize)> {
    let axis = layout.shape.iter().position(|&size| size != 1)?;
    let size = layout.shape[axis];
    if size == 0 || !size.is_multiple_of(count) {
        return None;
    }
    let apart = (size / count) as isize * layout.strides[axis];
    let first = Layout { shape: layout.shape.with_size(axis, size / count).ok()?, ..layout.clone() };
    if let Some(len) = len {
        let each = len / count;
        let is_own = len.is_multiple_of(count) && usize::try_from(apart) == Ok(each);
        if !is_own || first.clone().within(each).is_none() {
            return None;
        }
    }
    Some((first, apart))
}

/// Cuts the units of a group into strips, which come where its last member is.
fn cut(tape: &Tape, drafts: &mut Drafts, places: &mut Vec<Place>, group: &Group, count: usize) {
    let last = group.members[group.members.len() - 1];
    let kept = read_outside(drafts, group);
    let units: Vec<(Draft, NodeId)> = group
        .members
        .iter()
        .map(|&member| {
            let Drafted { draft, node, .. } = &mut drafts.units[member as usize];
            (std::mem::replace(draft, Draft::Loop(DraftLoop::default())), *node)
        })
        .collect();
    let mut order = 0;
    for number in 0..count {
        // The results of the members, each with its strip.
        let mut own: FxHashMap<u32, u32> = FxHashMap::default();
        for (draft, node) in &units {
            let unit = drafts.units.len() as u32;
            draft.results(|whole| {
                let Buffer { kind, len, stored, step, .. } = drafts.buffers[whole as usize];
                let part = drafts.add_produced(kind, len / count, unit);
                let buffer = &mut drafts.buffers[part as usize];
                (buffer.stored, buffer.step) = (stored, step);
                if kept.contains(&whole) {
                    drafts.within.insert(part, (whole, number * (len / count)));
                    drafts.buffers[whole as usize].origin = Origin::Unit(unit);
                }
                own.insert(whole, part);
            });
            let cut = cut_unit(tape, draft, &Strip { number, count, own: &own });
            drafts.push_unit(cut, *node);
            places.push(Place::before(last, order));
            order += 1;
        }
    }
    for (draft, _) in &units {
        draft.results(|whole| drafts.buffers[whole as usize].stored &= kept.contains(&whole));
    }
    for (order, &unit) in (0..).zip(group.later.iter().filter(|&&unit| unit < last)) {
        places[unit as usize] = Place::before(last + 1, order);
    }
}

/// The results of a group that others read, or that lie within another value.
fn read_outside(drafts: &Drafts, group: &Group) -> FxHashSet<u32> {
    let members: FxHashSet<u32> = group.members.iter().copied().collect();
    let mut read: FxHashSet<u32> = drafts.outputs.iter().map(|view| view.buffer).collect();
    read.extend(drafts.within.keys());
    for (number, unit) in (0..).zip(&drafts.units) {
        if !members.contains(&number) {
            unit.draft.reads(|buffer| {
                read.insert(buffer);
            });
        }
    }
    read
}

/// One strip of a group: its number, and its results.
struct Strip<'a> {
    number: usize,
    count: usize,
    own: &'a FxHashMap<u32, u32>,
}

impl Strip<'_> {
    fn view(&self, view: &View, shape: &Shape) -> View {
        let (first, apart) = strip(&layout(view, shape), self.count, None).expect("the unit is separable");
        match self.own.get(&view.buffer) {
            Some(&part) => View { buffer: part, layout: Some(Box::new(first)) },
            None => {
                let offset = (first.offset as isize + self.number as isize * apart) as usize;
                View { buffer: view.buffer, layout: Some(Box::new(Layout { offset, ..first })) }
            }
        }
    }

    fn shape(&self, shape: &Shape) -> Shape {
        shape.with_size(0, shape[0] / self.count).expect("it is smaller")
    }
}

/// The work of a unit on a strip.
fn cut_unit(tape: &Tape, draft: &Draft, strip: &Strip<'_>) -> Draft {
    match draft {
        Draft::Loop(draft) => Draft::Loop(DraftLoop {
            len: draft.len / strip.count,
            loads: draft.loads.iter().map(|view| strip.view(view, &Shape::from(draft.len))).collect(),
            args: draft.args.clone(),
            steps: draft.steps.iter().map(|step| DraftStep { buffer: strip.own[&step.buffer], ..*step }).collect(),
            copies: draft.copies.iter().map(|(load, out)| (*load, strip.own[out])).collect(),
            // Taken later.
            totals: Vec::new(),
        }),
        Draft::Product { a, b, shapes, plus, out, .. } => Draft::Product {
            a: strip.view(a, &shapes[0]),
            b: strip.view(b, &shapes[1]),
            shapes: [strip.shape(&shapes[0]), strip.shape(&shapes[1])],
            is_packed: false,
            plus: plus.clone(),
            out: strip.own[out],
        },
        Draft::Kernel { op, inputs, outputs, node, .. } => Draft::Kernel {
            op: *op,
            inputs: inputs.iter().zip(metas(tape, *node)).map(|(view, meta)| strip.view(view, &meta.shape)).collect(),
            outputs: outputs.iter().map(|out| strip.own[out]).collect(),
            node: *node,
            strips: strip.count,
        },
        _ => unreachable!("the unit is separable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::pass_tests::{assert_bits_on_threads, before_and_after};
    use crate::plan::{Feed, Plan};
    use crate::tape::{Graph, Var};
    use crate::tensor::{AnyTensor, Tensor};

    fn units(outputs: &[Var<'_>]) -> [Vec<String>; 2] {
        before_and_after(outputs, cut_into_strips).0
    }

    #[test]
    fn units_along_the_first_axis_run_strip_by_strip() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [6, 400, 100]), graph.input("w", [6, 100, 100]));
        let y = x.matmul(w);
        let [before, after] = units(&[y.exp().sum_axes(2)]);
        assert_eq!(before, ["product", "exp", "sum"]);
        assert_eq!(after, ["product", "exp", "sum"].repeat(6));
        // Two strips and the sums are in the arena, not two values.
        let arena = Plan::new(&graph, &[y.exp().sum_axes(2).sum()]).unwrap().summary().arena;
        assert!(arena < 2 * (6 * 400 * 100) / 6 + 6 * 400 + 100, "{arena}");
        // A small unit that needs nothing of the group comes before it, and one that needs it, after it.
        let y = x.matmul(w);
        let small = graph.input("small", [7]).sum();
        let sums = y.exp().sum_axes(2);
        let (total, others) = (sums.sum(), y.cos().sum_axes(2));
        let [before, after] = units(&[small, total, others]);
        assert_eq!(before, ["product", "sum", "exp+cos", "sum", "sum", "sum"]);
        let strips = ["product", "exp+cos", "sum", "sum"].repeat(6);
        assert_eq!(after, [&["sum"], &strips[..], &["sum"]].concat());
    }

    #[test]
    fn small_units_and_other_axes_stay() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [6, 40, 10]), graph.input("w", [6, 10, 10]));
        let (large, right) = (graph.input("large", [6, 400, 100]), graph.input("right", [6, 100, 100]));
        let rows = graph.input("rows", [2400, 100]);
        for output in [
            x.matmul(w).exp().sum_axes(2),
            large.matmul(right).permute([1, 0, 2]).exp().sum_axes(2),
            large.matmul(right).sum_axes(0),
            rows.matmul(rows.t()).slice(0, 0, 600).exp().sum_axes(0),
        ] {
            let [before, after] = units(&[output]);
            assert_eq!(before, after);
        }
    }

    /// Attention and a mixture with gradients, whose values others read before and after, on several threads.
    #[test]
    fn the_bits_are_those_of_whole_units() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [6, 300, 80]), graph.input("w", [6, 80, 80]));
        let scores = x.matmul(x.permute([0, 2, 1])) * 0.1;
        let mixed = scores.softmax(2).matmul(x.matmul(w));
        let centred = x.slice(0, 0, 1) - w.slice(1, 0, 1);
        let terms = (centred.matmul(w).square() * 0.5).sum_axes(2).logsumexp_axes(0);
        let loss = mixed.square().mean() - terms.sum() + mixed.sum_axes([1, 2]).cos().sum();
        let mut outputs = graph.grad(loss, &[x, w]).unwrap();
        // Parts of a value that a unit of the same size reads.
        let joined = graph.concat(&[mixed.exp(), scores.softmax(2).matmul(x)], 0);
        outputs.push(joined.sin().sum_axes(2));
        outputs.extend([loss, mixed, scores.log_softmax(2).sum_axes(1), graph.concat(&[centred, mixed], 0)]);
        let numbers = |shape: [usize; 3]| Tensor::<f32>::from_fn(shape, |k| ((k * 7919) % 1013) as f32 / 5060.0 - 0.1);
        let (x, w) = (numbers([6, 300, 80]), numbers([6, 80, 80]));
        let feed = Feed::new().with("x", &x).with("w", &w);
        let plan = Plan::new(&graph, &outputs).unwrap();
        let units = [plan.summary().units, Plan::with_anomaly_checks(&graph, &outputs).unwrap().summary().units];
        assert!(units[0] > 60, "{units:?}");
        assert_bits_on_threads::<f32>(&graph, &outputs, &feed);
    }

    /// Each op of the suite that says so gives the same bits on one index of the first axis as on all.
    #[test]
    fn ops_that_are_separable_are_so() {
        use proptest::strategy::{Strategy, ValueTree};
        use proptest::test_runner::TestRunner;

        let mut found: Vec<&'static str> = Vec::new();
        for entry in crate::registry() {
            let mut runner = TestRunner::deterministic();
            for _ in 0..50 {
                let sample = entry.samples.new_tree(&mut runner).expect("a sample is drawn").current();
                let graph = Graph::new();
                let constant = |input: &AnyTensor<f64>| match input {
                    AnyTensor::Real(tensor) => graph.constant(tensor),
                    AnyTensor::Index(tensor) => graph.index_constant(tensor),
                };
                let inputs: Vec<Var<'_>> = sample.inputs.iter().map(constant).collect();
                let metas: Vec<Meta> = inputs.iter().map(|input| input.meta()).collect();
                let size = metas.first().and_then(|meta| meta.shape.first().copied()).unwrap_or(0);
                if size < 2 || !sample.op.is_separable(&metas) {
                    continue;
                }
                let whole = graph.apply_any(&sample.op, &inputs).unwrap();
                for at in 0..size as isize {
                    let own: Vec<Var<'_>> = inputs.iter().map(|input| input.slice(0, at, at + 1)).collect();
                    for (own, whole) in graph.apply_any(&sample.op, &own).unwrap().iter().zip(&whole) {
                        let whole = graph.eval(whole.slice(0, at, at + 1)).unwrap();
                        let own = graph.eval(*own).unwrap();
                        assert_eq!(own.shape(), whole.shape(), "{sample:?}");
                        let bits = |tensor: &Tensor<f64>| tensor.data().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                        assert_eq!(bits(&own), bits(&whole), "{sample:?}");
                    }
                }
                found.push(entry.name);
            }
        }
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, ["log_softmax", "logsumexp", "softmax", "softmax_vjp", "sum"]);
    }
}
