//! What the arena promises to the values in it: no two overlap while both are needed, each begins at a cache line, and
//! together they take no more memory than the sum of all.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;

use super::free_list::{ALIGN, FreeList};
use super::memory::Map;
use super::unit::{Slot, SlotId, Storage};
use super::{Plan, Summary};
use crate::check::strategies::graph as random_graph;
use crate::tape::{Graph, Var};

/// Lengths of values: none, a few elements, whole cache lines, and many elements.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0), 4 => 1..40_usize, 2 => (1..6_usize).prop_map(|lines| lines * ALIGN), 2 => 1..1000_usize]
}

proptest! {
    /// Values come one after another. Each is given back when some more have come, so in any order.
    #[test]
    fn values_that_live_at_the_same_time_are_apart(values in vec((length(), 0..12_usize), 1..80)) {
        let mut arena = FreeList::default();
        let mut live: Vec<(Range<usize>, usize)> = Vec::new();
        let mut sum = 0;
        for (now, &(len, life)) in values.iter().enumerate() {
            let start = arena.allocate(len);
            prop_assert!(start.is_multiple_of(ALIGN) && start + len <= arena.size());
            for (other, _) in live.iter().filter(|(other, _)| len > 0 && !other.is_empty()) {
                prop_assert!(start + len <= other.start || other.end <= start, "{}..{} and {other:?}", start, start + len);
            }
            sum += len.next_multiple_of(ALIGN);
            prop_assert!(arena.size() <= sum);
            live.push((start..start + len, now + life));
            for (gone, _) in live.extract_if(.., |(_, last)| *last <= now) {
                arena.free(gone.start, gone.len());
            }
        }
        // When nothing is needed any more, all of the arena is one free piece.
        for (rest, _) in live {
            arena.free(rest.start, rest.len());
        }
        let size = arena.size();
        prop_assert_eq!((arena.allocate(size), arena.size()), (0, size));
    }
}

/// Follows a run: every element that a unit reads of a value in the arena was written last as an element of that value.
fn expect_values_kept(map: &Map) -> Result<(), TestCaseError> {
    let (slots, units) = map.slots();
    let offset = |slot: SlotId| match slots[slot as usize].storage {
        Storage::Arena(offset) => Some(offset),
        _ => None,
    };
    let mut sum = 0;
    for &Slot { storage, len } in slots {
        if let Storage::Arena(offset) = storage {
            prop_assert!(offset.is_multiple_of(ALIGN));
            sum += len.next_multiple_of(ALIGN);
        }
    }
    prop_assert!(map.arena() <= sum, "an arena of {} for {sum} elements", map.arena());
    let mut owner: Vec<Option<SlotId>> = vec![None; map.arena()];
    for unit in 0..units {
        let (reads, writes) = map.footprint(unit);
        for part in reads {
            if let Some(offset) = offset(part.slot) {
                let elements = &owner[offset + part.from..][..part.len];
                prop_assert!(elements.iter().all(|&owner| owner == Some(part.slot)), "unit {unit} reads {part:?}");
            }
        }
        for part in writes {
            if let Some(offset) = offset(part.slot) {
                owner[offset + part.from..][..part.len].fill(Some(part.slot));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_value_of_a_plan_is_overwritten_before_its_last_reader(recipe in random_graph(&crate::registry())) {
        let graph = Graph::new();
        let inputs: Vec<Var<'_>> = (recipe.inputs().iter().enumerate())
            .map(|(number, input)| graph.input(&format!("x{number}"), input.shape()))
            .collect();
        let value = recipe.build(&inputs);
        let mut outputs = graph.grad_or_zeros(value, &inputs).unwrap();
        outputs.push(value);
        for plan in [Plan::new(&graph, &outputs).unwrap(), Plan::with_anomaly_checks(&graph, &outputs).unwrap()] {
            expect_values_kept(&plan.inner.real)?;
            expect_values_kept(&plan.inner.index)?;
            let Summary { arena, .. } = *plan.summary();
            prop_assert_eq!(arena, plan.inner.real.arena());
        }
    }
}
