//! Sums that products are part of: a product whose only reader adds something to it is computed with the addition.
//!
//! Before, for `relu(a·b + bias)`, and for the gradient `a₁·b₁ + a₂·b₂` of a weight that is used twice:
//!
//! ```text
//! product  p = a·b                 product  p = a₁·b₁
//! loop     s = p + bias            product  q = a₂·b₂
//!          y = relu(s)             loop     s = p + q
//! ```
//!
//! and after:
//!
//! ```text
//! product  s = a·b + bias          product  p = a₁·b₁
//! loop     y = relu(s)             product  s = a₂·b₂ + p
//! ```
//!
//! What is added may be broadcast along the rows or lie in a larger value, but its rows must be contiguous; products of a
//! batch, such as the scores of attention, are added to one matrix, such as a mask. If it is
//! needed no more after the product, [`assign`](super::assign) puts the sum in its memory. A product moves to the place
//! of its reader if what is added to it is computed after it; nothing else reads it in between. The bits are those of the
//! product and the addition after it, since the kernel adds what it is given after the sums of all blocks of k.

use super::draft::{Draft, DraftArg, DraftLoop, DraftStep, Drafts, Origin, Place, View};
use crate::shape::{Layout, Shape};
use crate::tape::Tape;

struct Folder<'a> {
    drafts: &'a mut Drafts,
    /// How many units and outputs read each buffer.
    readers: Vec<u32>,
    places: Vec<Place>,
    folded: u32,
}

/// Folds the sums of the drafts.
pub(super) fn fold_sums(tape: &Tape, drafts: &mut Drafts) {
    if !drafts.units.iter().any(|unit| matches!(unit.draft, Draft::Product { .. })) {
        return;
    }
    let is_sum: Vec<bool> = tape.ops.iter().map(|op| op.is_sum()).collect();
    let units = drafts.units.len() as u32;
    let mut folder = Folder { readers: drafts.readers(), places: drafts.places(), folded: 0, drafts };
    for unit in 0..units {
        folder.fold(unit, &is_sum);
    }
    if folder.folded > 0 {
        let places = folder.places;
        drafts.reorder(&places);
    }
}

impl Folder<'_> {
    /// Folds the sums among the steps of a loop.
    fn fold(&mut self, unit: u32, is_sum: &[bool]) {
        let Draft::Loop(draft) = &self.drafts.units[unit as usize].draft else { return };
        let is_product = |view: &View| match self.drafts.buffers[view.buffer as usize].origin {
            Origin::Unit(unit) => matches!(self.drafts.units[unit as usize].draft, Draft::Product { .. }),
            _ => false,
        };
        if !draft.loads.iter().any(is_product) || !draft.steps.iter().any(|step| is_sum[step.op as usize]) {
            return;
        }
        let Draft::Loop(draft) = &mut self.drafts.units[unit as usize].draft else { return };
        let mut draft = std::mem::take(draft);
        let mut uses = vec![0; draft.loads.len()];
        for arg in &draft.args {
            if let DraftArg::Load(load) = arg {
                uses[*load as usize] += 1;
            }
        }
        // For each step, the load that has its value instead.
        let mut loaded: Vec<Option<u32>> = vec![None; draft.steps.len()];
        for number in 0..draft.steps.len() {
            let step = draft.steps[number];
            let args = step.first_arg as usize..(step.first_arg + step.args) as usize;
            for arg in &mut draft.args[args.clone()] {
                if let DraftArg::Step(other) = *arg
                    && let Some(load) = loaded[other as usize]
                {
                    *arg = DraftArg::Load(load);
                }
            }
            if let (true, [DraftArg::Load(x), DraftArg::Load(y)]) = (is_sum[step.op as usize], &draft.args[args])
                && let (x, y) = (*x, *y)
                && let Some(load) = self.fold_step(unit, &mut draft, &uses, number, [x, y])
            {
                loaded[number] = Some(load);
            }
        }
        if loaded.iter().any(Option::is_some) {
            self.compact(&mut draft, &loaded);
        }
        self.drafts.units[unit as usize].draft = Draft::Loop(draft);
    }

    /// Folds a step that adds two loads, if one of them is a product. Returns its load, which then has the sum. `uses` says
    /// how many arguments each load is.
    fn fold_step(
        &mut self,
        unit: u32,
        draft: &mut DraftLoop,
        uses: &[u32],
        number: usize,
        [x, y]: [u32; 2],
    ) -> Option<u32> {
        // Of two products the later one, since the other is there before it.
        let single = |load: u32| self.product(unit, draft, load).filter(|_| uses[load as usize] == 1);
        let place = |load: u32| single(load).map(|product| self.places[product as usize]);
        let (product, other) = if place(x) > place(y) { (x, y) } else { (y, x) };
        let moving = single(product)?;
        let added = &draft.loads[other as usize];
        let Draft::Product { shapes, plus, out, .. } = &mut self.drafts.units[moving as usize].draft else {
            unreachable!("the unit is a product")
        };
        let layout = rows(added, shapes)?;
        let (buffer, sum) = (added.buffer, draft.steps[number].buffer);
        let before = std::mem::replace(out, sum);
        *plus = Some(View { buffer, layout: Some(Box::new(layout)) });
        self.drafts.buffers[before as usize].stored = false;
        let result = &mut self.drafts.buffers[sum as usize];
        (result.origin, result.stored) = (Origin::Unit(moving), true);
        draft.loads[product as usize] = View { buffer: sum, layout: None };
        self.readers[sum as usize] += 1;
        self.readers[buffer as usize] += 1;
        let needs = match self.drafts.buffers[buffer as usize] {
            added if added.constant != self.drafts.units[unit as usize].constant => None,
            added => match added.origin {
                Origin::Unit(other) => Some(self.places[other as usize]),
                _ => None,
            },
        };
        if needs.is_some_and(|place| place > self.places[moving as usize]) {
            self.places[moving as usize] = Place::before(unit, self.folded);
        }
        self.folded += 1;
        Some(product)
    }

    /// The product that a load of a unit reads, if it is one product and nothing else reads it.
    fn product(&self, unit: u32, draft: &DraftLoop, load: u32) -> Option<u32> {
        let View { buffer, layout: None } = draft.loads[load as usize] else { return None };
        let Origin::Unit(product) = self.drafts.buffers[buffer as usize].origin else { return None };
        let drafted = &self.drafts.units[product as usize];
        let Draft::Product { shapes: [a, _], plus: None, .. } = &drafted.draft else { return None };
        let is_something = a[a.rank() - 1] > 0 && draft.len > 0;
        let is_alone = self.readers[buffer as usize] == 1 && draft.copies.is_empty();
        (is_something && is_alone && drafted.constant == self.drafts.units[unit as usize].constant).then_some(product)
    }

    /// Removes the steps that are loaded now, and the loads that nothing reads.
    fn compact(&mut self, draft: &mut DraftLoop, loaded: &[Option<u32>]) {
        let DraftLoop { len, loads, args, steps, copies, totals } = std::mem::take(draft);
        debug_assert!(totals.is_empty(), "totals are folded after sums");
        (draft.len, draft.copies) = (len, copies);
        let mut new_steps: Vec<u32> = Vec::with_capacity(steps.len());
        let mut new_loads: Vec<Option<u32>> = vec![None; loads.len()];
        for (number, step) in steps.into_iter().enumerate() {
            new_steps.push(draft.steps.len() as u32);
            if loaded[number].is_some() {
                continue;
            }
            let first_arg = draft.args.len() as u32;
            for arg in &args[step.first_arg as usize..(step.first_arg + step.args) as usize] {
                draft.args.push(match *arg {
                    DraftArg::Step(other) => DraftArg::Step(new_steps[other as usize]),
                    DraftArg::Load(load) => DraftArg::Load(*new_loads[load as usize].get_or_insert_with(|| {
                        draft.loads.push(loads[load as usize].clone());
                        draft.loads.len() as u32 - 1
                    })),
                });
            }
            self.drafts.buffers[step.buffer as usize].step = draft.steps.len() as u32;
            draft.steps.push(DraftStep { first_arg, ..step });
        }
        for (load, _) in new_loads.iter().enumerate().filter(|(_, load)| load.is_none()) {
            self.readers[loads[load].buffer as usize] -= 1;
        }
    }
}

/// What is added to each product of these shapes, as a matrix with contiguous rows, if it is one.
fn rows(view: &View, [a, b]: &[Shape; 2]) -> Option<Layout> {
    let (count, size) = (a[..a.rank() - 2].iter().product(), [a[a.rank() - 2], b[b.rank() - 1]]);
    let shape = Shape::from([count, size[0], size[1]]);
    let all = match &view.layout {
        Some(layout) => layout.reshaped(&shape)?,
        None => Layout::contiguous(shape),
    };
    if count > 1 && all.strides[0] != 0 {
        return None;
    }
    let layout = Layout { shape: Shape::from(size), strides: all.strides[1..].into(), offset: all.offset };
    let [m, n] = size;
    (layout.strides[1] == 1 && (n > 1 || layout.strides[0] == 1 || m == 1)).then_some(layout)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::params::Params;
    use crate::plan::pass_tests::{assert_bits_on_threads, before_and_after};
    use crate::plan::{Feed, Plan};
    use crate::real::Real;
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    fn units(outputs: &[Var<'_>]) -> [Vec<String>; 2] {
        before_and_after(outputs, fold_sums).0
    }

    #[test]
    fn a_bias_is_added_by_the_product() {
        let graph = Graph::new();
        let (x, w, bias) = (graph.input("x", [2, 3, 4]), graph.input("w", [4, 5]), graph.input("bias", [5]));
        let [before, after] = units(&[(x.matmul(w) + bias).relu()]);
        assert_eq!(before, ["product", "add+relu"]);
        assert_eq!(after, ["product and sum", "relu"]);
    }

    #[test]
    fn the_gradient_of_a_weight_that_is_used_again_is_one_sum() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [3, 5]), graph.input("w", [5, 5]));
        let loss = x.matmul(w).tanh().matmul(w).tanh().matmul(w).sum();
        let [before, after] = units(&graph.grad(loss, &[w]).unwrap());
        assert_eq!(before.iter().filter(|unit| *unit == "add").count(), 2, "{before:?}");
        assert!(!after.iter().any(|unit| unit == "add"), "{after:?}");
        assert_eq!(after.iter().filter(|unit| *unit == "product and sum").count(), 2, "{after:?}");
        assert_eq!(before.len(), after.len() + 2);
    }

    #[test]
    fn a_mask_is_added_by_each_product_of_a_batch() {
        let graph = Graph::new();
        let (q, k) = (graph.input("q", [6, 4, 3]), graph.input("k", [6, 5, 3]));
        let scores = q.matmul(k.t());
        for mask in [graph.input("mask", [4, 5]), graph.input("row", [5]), graph.input("page", [1, 4, 5])] {
            let [before, after] = units(&[(scores + mask).softmax(-1)]);
            assert_eq!(before, ["product", "add", "softmax"]);
            assert_eq!(after, ["product and sum", "softmax"]);
        }
        // One for each product is left to a loop.
        let [before, after] = units(&[(scores + graph.input("all", [6, 4, 5])).softmax(-1)]);
        assert_eq!(before, after);
    }

    /// In strips, with few steps and rows or columns, and in one piece.
    #[test]
    fn threads_do_not_change_the_bits_of_products_of_a_batch() {
        for [m, k, n] in [[130, 200, 150], [40, 30, 20], [3, 2, 50], [50, 3, 2], [1, 9, 1]] {
            let graph = Graph::new();
            let (a, b) = (graph.input("a", [6, m, k]), graph.input("b", [6, k, n]));
            let (mask, row) = (graph.input("mask", [m, n]), graph.input("row", [n]));
            let products = a.matmul(b) + mask;
            // What is added is computed in the plan, and needed no more.
            let own = (a * 2.0).matmul(b) + mask.softmax(-1);
            let outputs = [products.tanh(), products.softmax(-1).sum_axes(2), a.abs().matmul(b) + row, own.exp()];
            let numbers = |shape: &[usize], seed: usize| {
                Tensor::from_fn(shape, |k| ((((k + seed) * 7919) % 1013) as f64 / 506.0 - 1.0) * 0.25)
            };
            let values = [numbers(&[6, m, k], 1), numbers(&[6, k, n], 2), numbers(&[m, n], 3), numbers(&[n], 4)];
            let names = ["a", "b", "mask", "row"];
            let feed = names.into_iter().zip(&values).fold(Feed::new(), |feed, (name, value)| feed.with(name, value));
            assert_bits_on_threads(&graph, &outputs, &feed);
        }
    }

    #[test]
    fn a_sum_takes_over_the_memory_of_what_it_adds() {
        let graph = Graph::new();
        let (x, y) = (graph.input("x", [8, 64]), graph.input("y", [8, 64]));
        let products = (1..6).map(|k| (x * f64::from(k)).t().matmul(y));
        let sum = products.reduce(|sum, product| sum + product).unwrap();
        let summary = Plan::new(&graph, &[sum.sum()]).unwrap().summary().clone();
        // One result of 64×64, and scaled copies of x.
        assert!(summary.arena < 2 * 64 * 64, "{summary}");
    }

    #[test]
    fn a_product_moves_behind_what_is_added_to_it() {
        let graph = Graph::new();
        let (x, w) = (graph.input("x", [8, 8]), graph.input("w", [8, 8]));
        let product = x.matmul(w);
        let [before, after] = units(&[product + x.softmax(-1)]);
        assert_eq!(before, ["product", "softmax", "add"]);
        assert_eq!(after, ["softmax", "product and sum"]);
    }

    #[test]
    fn what_is_read_elsewhere_stays_as_it_is() {
        let graph = Graph::new();
        let (x, y) = (graph.input("x", [4, 4]), graph.input("y", [4, 4]));
        let product = x.matmul(y);
        for outputs in [
            // Both the product and its sum are wanted; the other operand is no matrix with contiguous rows; it comes from
            // the same loop; the product is added to itself.
            vec![product + y, product],
            vec![product + y.t()],
            vec![product + y.exp(), y.exp()],
            vec![product + product],
        ] {
            let [before, after] = units(&outputs);
            let is_same_loop = before.iter().any(|unit| unit == "exp+add");
            assert!(before == after || is_same_loop, "{before:?} {after:?}");
        }
    }

    /// Sums of products and other values, of which some can be folded.
    fn values<'g>(graph: &'g Graph, [m, k, n]: [usize; 3], choices: &[u8]) -> Vec<Var<'g>> {
        let a = graph.input("a", [m, k]);
        let b = graph.input("b", [k, n]);
        let large = graph.input("large", [3, m, n]);
        let mut values = vec![a.matmul(b)];
        for (number, choice) in choices.iter().enumerate() {
            let product = (a * (1.0 + number as f64)).matmul(b);
            let last = values[values.len() - 1];
            let page = (number % 3) as isize;
            let slice = large.slice(0, page, page + 1).squeeze(0);
            values.push(match choice % 11 {
                0 => last + product,
                1 => product + last,
                2 => product + slice,
                3 => slice + product * 0.5,
                4 => product + slice.slice(0, 0, 1).squeeze(0),
                5 => product + slice.slice(1, 0, 1),
                6 => (a.matmul(b) + product + slice) * last,
                7 => product + slice.flip(0),
                8 => product.t() + slice.t(),
                9 => (product + slice).tanh() + last,
                _ => product + slice.softmax(-1),
            });
            if choice % 11 == 8 {
                let turned = values.pop().unwrap();
                values.push(turned.t());
            }
        }
        values
    }

    fn compare<T: Real>(sizes @ [m, k, n]: [usize; 3], choices: &[u8], pool: &rayon::ThreadPool) {
        let graph = Graph::new();
        let values = values(&graph, sizes, choices);
        let numbers = |shape: &[usize], seed: usize| {
            Tensor::<T>::from_fn(shape, |k| T::of((((k + seed) * 7919) % 1013) as f64 / 506.0 - 1.0))
        };
        let (a, b, large) = (numbers(&[m, k], 1), numbers(&[k, n], 2), numbers(&[3, m, n], 3));
        let feed = Feed::new().with("a", &a).with("b", &b).with("large", &large);
        let outputs: Vec<Var<'_>> = values.iter().copied().rev().step_by(2).collect();
        let plain = graph.eval_with(&outputs, &Params::new(0), &feed).unwrap();
        let plan = Plan::new(&graph, &outputs).unwrap();
        let mut session = pool.install(|| plan.session::<T>());
        for _ in 0..2 {
            let found = pool.install(|| session.run(&Params::new(0), &feed).unwrap().all().to_vec());
            assert!(found == plain, "{sizes:?} {choices:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn the_bits_are_those_of_product_and_addition(
            sizes in (1..40_usize, prop_oneof![1..20_usize, 380..400_usize], 1..40_usize),
            choices in prop::collection::vec(any::<u8>(), 1..6),
        ) {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            compare::<f32>(sizes.into(), &choices, &pool);
            compare::<f64>(sizes.into(), &choices, &pool);
        }
    }

    #[test]
    fn threads_do_not_change_the_bits_of_a_sum() {
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            compare::<f32>([130, 200, 150], &[0, 1, 2, 4, 6, 9, 10], &pool);
            compare::<f32>([130, 500, 150], &[0, 1, 2, 4, 6, 9, 10], &pool);
        }
    }
}
