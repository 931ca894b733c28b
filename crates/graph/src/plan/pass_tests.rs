//! What the tests of the passes share: the units of a plan before and after, and its bits on several threads.

use super::build::build;
use super::draft::{Draft, Drafts};
use super::{Feed, Plan};
use crate::params::Params;
use crate::real::Real;
use crate::tape::{Graph, Tape, Var};

/// The names of the units of a plan before and after a pass, and its drafts then.
pub(super) fn before_and_after(
    outputs: &[Var<'_>],
    pass: impl FnOnce(&Tape, &mut Drafts),
) -> ([Vec<String>; 2], Drafts) {
    let tape = &*outputs[0].graph().tape();
    let values: Vec<_> = outputs.iter().map(|output| output.value).collect();
    let mut drafts = build(tape, &values, true).expect("the graph is right");
    let listed = |drafts: &Drafts| drafts.units.iter().map(|unit| name(tape, &unit.draft)).collect();
    let before = listed(&drafts);
    pass(tape, &mut drafts);
    ([before, listed(&drafts)], drafts)
}

fn name(tape: &Tape, draft: &Draft) -> String {
    let name = |op: u32| tape.ops[op as usize].name();
    match draft {
        Draft::Product { plus: Some(_), .. } => "product and sum".to_owned(),
        Draft::Product { is_packed: true, .. } => "product of panels".to_owned(),
        Draft::Product { .. } => "product".to_owned(),
        Draft::Pack { .. } => "pack".to_owned(),
        Draft::Loop(draft) if draft.steps.is_empty() => "copy".to_owned(),
        Draft::Loop(draft) => draft.steps.iter().map(|step| name(step.op)).collect::<Vec<_>>().join("+"),
        Draft::Kernel { op, .. } => name(*op).to_owned(),
        other => format!("{other:?}"),
    }
}

/// Checks that a plan gives what plain evaluation does, to the bit, in two runs on each of several numbers of threads.
pub(super) fn assert_bits_on_threads<T: Real>(graph: &Graph, outputs: &[Var<'_>], feed: &Feed<'_, T>) {
    let params = Params::new(0);
    let plain = graph.eval_with(outputs, &params, feed).expect("it can be evaluated");
    let plan = Plan::new(graph, outputs).expect("the graph is right");
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        pool.install(|| {
            let mut session = plan.session::<T>();
            for _ in 0..2 {
                let found = session.run(&params, feed).expect("it can be run");
                assert!(found.all() == &plain[..], "other bits on {threads} threads");
            }
        });
    }
}
