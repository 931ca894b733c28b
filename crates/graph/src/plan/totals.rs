//! Sums and means of all that a loop computes.
//!
//! Before, for the mean of `σ(x)·tanh x` and the slope of it:
//!
//! ```text
//! loop     y = σ(x)·tanh x
//!          g = …
//! kernel   m = mean(y)
//! ```
//!
//! and after, without memory for `y`:
//!
//! ```text
//! loop     g = …
//!          m = mean(σ(x)·tanh x)
//! ```
//!
//! A loop leaves the sums of each of its blocks in a record, and combines the records after its last block
//! ([`Total`](crate::kernel::reduce::Total)), in the order of the elements. So the bits are those of the reduction on
//! any number of threads.

use super::draft::{Draft, DraftLoop, DraftTotal, Drafts, Origin, View};
use crate::tape::Tape;

/// Takes totals in the loops that compute what they are of.
pub(super) fn fold_totals(tape: &Tape, drafts: &mut Drafts) {
    let mut folded = Vec::new();
    for unit in 0..drafts.units.len() {
        if let Some((producer, total, of)) = total(tape, drafts, unit) {
            let result = &mut drafts.buffers[total.out as usize];
            (result.origin, result.step) = (Origin::Unit(producer), 0);
            let Draft::Loop(draft) = &mut drafts.units[producer as usize].draft else { unreachable!("it is a loop") };
            draft.totals.push(total);
            // Nothing is left of the unit.
            drafts.units[unit].draft = Draft::Loop(DraftLoop::default());
            folded.push(of);
        }
    }
    if folded.is_empty() {
        return;
    }
    let readers = drafts.readers();
    for buffer in folded {
        drafts.buffers[buffer as usize].stored = readers[buffer as usize] > 0;
    }
    drafts.reorder(&drafts.places());
}

/// If a unit is a total of what a step of a loop computes: the loop, the total, and the buffer of the step.
fn total(tape: &Tape, drafts: &Drafts, unit: usize) -> Option<(u32, DraftTotal, u32)> {
    let drafted = &drafts.units[unit];
    let Draft::Kernel { op, inputs, outputs, node, strips: 1 } = &drafted.draft else { return None };
    let &[View { buffer, ref layout }] = &inputs[..] else { return None };
    let meta = tape.meta(tape.nodes[node.index()].inputs[0]);
    let total = tape.ops[*op as usize].total(&meta.shape)?;
    let of = drafts.buffers[buffer as usize];
    let Origin::Unit(producer) = of.origin else { return None };
    let producing = &drafts.units[producer as usize];
    let Draft::Loop(draft) = &producing.draft else { return None };
    let is_step = draft.steps.get(of.step as usize).is_some_and(|step| step.buffer == buffer);
    // A loop over one element has a form of its own.
    let is_whole = layout.is_none() && draft.len == meta.shape.len() && draft.len > 1;
    let total = DraftTotal { op: *op, total, step: of.step, out: outputs[0] };
    // What lies in another value is read there.
    let is_alone = [buffer, outputs[0]].iter().all(|buffer| !drafts.within.contains_key(buffer));
    (is_step && is_whole && is_alone && producing.constant == drafted.constant).then_some((producer, total, buffer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;
    use crate::plan::build::build;
    use crate::plan::{Feed, Plan};
    use crate::real::Real;
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    /// The units before and after the pass: the steps of a loop, with the totals behind a bar, or the name of a kernel.
    fn units(outputs: &[Var<'_>]) -> [Vec<String>; 2] {
        let tape = &*outputs[0].graph().tape();
        let values: Vec<_> = outputs.iter().map(|output| output.value).collect();
        let mut drafts = build(tape, &values, true).unwrap();
        let listed = |drafts: &Drafts| -> Vec<String> {
            let name = |op: u32| tape.ops[op as usize].name();
            let one = |draft: &Draft| match draft {
                Draft::Loop(draft) => {
                    let steps = draft.steps.iter().map(|step| name(step.op)).collect::<Vec<_>>().join("+");
                    draft.totals.iter().fold(steps, |text, total| format!("{text}|{}", name(total.op)))
                }
                Draft::Kernel { op, .. } => name(*op).to_owned(),
                other => format!("{other:?}"),
            };
            drafts.units.iter().map(|unit| one(&unit.draft)).collect()
        };
        let before = listed(&drafts);
        fold_totals(tape, &mut drafts);
        [before, listed(&drafts)]
    }

    #[test]
    fn a_mean_and_its_slope_are_one_loop() {
        let graph = Graph::new();
        let x = graph.input("x", [40, 100]);
        let y = (x.sigmoid() * x.exp()).mean();
        let slope = graph.grad(y, &[x]).unwrap()[0];
        let [before, after] = units(&[y, slope]);
        // The last is the cotangent of an element, a constant.
        assert_eq!(before[1..], ["mean", "div"]);
        assert_eq!(after, [format!("{}|mean", before[0]), "div".to_owned()]);
        // Neither x nor the slope is in the arena, and the values have no memory.
        assert_eq!(Plan::new(&graph, &[y, slope]).unwrap().summary().arena, 0);
    }

    #[test]
    fn several_totals_and_readers() {
        let graph = Graph::new();
        let x = graph.input("x", [8, 64]);
        let y = x.exp();
        let [before, after] = units(&[y.sum(), y.mean(), y, x.sum(), (y - y.mean()).square().sum()]);
        assert_eq!(before, ["exp", "sum", "mean", "sum", "sub+square", "sum"]);
        // The sum of an input is no total of a loop.
        assert_eq!(after, ["exp|sum|mean", "sum", "sub+square|sum"]);
    }

    #[test]
    fn what_is_no_total_stays_as_it_is() {
        let graph = Graph::new();
        let (x, one, none) = (graph.input("x", [8, 64]), graph.input("one", [1]), graph.input("none", [0]));
        for output in
            [x.exp().sum_axes(0), x.exp().t().sum(), one.exp().sum(), x.exp().slice(0, 0, 4).mean(), none.exp().mean()]
        {
            let [before, after] = units(&[output]);
            assert_eq!(before, after);
        }
    }

    fn compare<T: Real>(len: usize, odd: Option<f64>, pool: &rayon::ThreadPool) {
        let graph = Graph::new();
        let x = graph.input("x", [len]);
        let y = (x.sin() * 3.0 + x) * 1e2;
        let shifted = y - y.mean();
        let outputs = [y.sum(), y.mean(), shifted.square().mean(), shifted, (x * 2.0).sum(), (x + 1.0).mean()];
        let mut numbers: Vec<T> = (0..len).map(|k| T::of(((k * 7919 + 13) % 10007) as f64 / 977.0 - 4.0)).collect();
        if let Some(odd) = odd {
            numbers[len / 3] = T::of(odd);
        }
        let (x, params) = (Tensor::new([len], numbers), Params::new(0));
        let feed = Feed::new().with("x", &x);
        let plain = graph.eval_with(&outputs, &params, &feed).unwrap();
        let plan = Plan::new(&graph, &outputs).unwrap();
        let mut session = pool.install(|| plan.session::<T>());
        for _ in 0..2 {
            let found = pool.install(|| session.run(&params, &feed).unwrap().all().to_vec());
            let bits = |list: &[crate::AnyTensor<T>]| -> Vec<Option<u64>> {
                let all = list.iter().flat_map(|tensor| tensor.real().data().iter());
                all.map(|x| (!x.is_nan()).then(|| x.as_f64().to_bits())).collect()
            };
            assert!(bits(&found) == bits(&plain), "{len} elements, {odd:?}, {} threads", pool.current_num_threads());
        }
    }

    #[test]
    fn totals_have_the_bits_of_reductions_on_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for len in [2, 15, 17, 300, 1024, 1025, 5000, 300_000] {
                compare::<f64>(len, None, &pool);
                compare::<f32>(len, None, &pool);
                for odd in [f64::INFINITY, f64::NAN, 3e38] {
                    compare::<f32>(len, Some(odd), &pool);
                }
            }
        }
    }
}
