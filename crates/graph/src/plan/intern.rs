//! Equal units are kept once.
//!
//! A recurrence that is unrolled has the same few units at each step, on other values. Before: a list of units, each
//! with its layouts and steps, which no cache holds if there are many. After: a list of those that differ ([`Kinds`]),
//! and a number for each unit of the run; what it works on is in its footprint, as before.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use super::unit::Unit;

/// The most steps of a loop that is compared with others: one with more is its own.
const FEW: usize = 64;

/// The units that differ, in the order of their first use.
#[derive(Default)]
pub(super) struct Kinds {
    units: Vec<Unit>,
    /// For each hash the latest unit that has it.
    known: FxHashMap<u64, u32>,
}

impl Kinds {
    /// The number of a unit, which is added if there is no equal one.
    pub(super) fn number(&mut self, unit: Unit) -> u32 {
        let next = self.units.len() as u32;
        if let Some(hash) = hash(&unit) {
            let latest = self.known.entry(hash).or_insert(next);
            if *latest != next && self.units[*latest as usize] == unit {
                return *latest;
            }
            *latest = next;
        }
        self.units.push(unit);
        next
    }

    pub(super) fn into_units(self) -> Vec<Unit> {
        self.units
    }
}

/// The hash of a unit that may occur again. Equal units have equal hashes.
fn hash(unit: &Unit) -> Option<u64> {
    let mut hasher = FxHasher::default();
    match unit {
        Unit::Fused(fused) if fused.steps.len() <= FEW => fused.hash(&mut hasher),
        Unit::Product(factors, sum) => (factors, sum).hash(&mut hasher),
        Unit::Pack(factor) => factor.hash(&mut hasher),
        Unit::Kernel { op, input_shapes, .. } => (op, input_shapes).hash(&mut hasher),
        _ => return None,
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::tape::Graph;

    /// Twenty steps of a recurrence: units of the first step, of the others, and of the output.
    #[test]
    fn the_steps_of_a_recurrence_share_their_units() {
        let graph = Graph::new();
        let weight = graph.input("weight", [3, 3]);
        let mut state = graph.input("state", [2, 3]);
        for _ in 0..20 {
            state = state.matmul(weight).tanh();
        }
        let plan = Plan::new(&graph, &[state]).expect("it compiles");
        assert_eq!((plan.inner.body.len(), plan.inner.units.len()), (40, 2));
        // The loop of the last step goes on; of three sums two are equal.
        let sums = [state.sum_axes(0), state.tanh().sum_axes(1), state.sin().sum_axes(1)];
        let plan = Plan::new(&graph, &sums).expect("it compiles");
        assert_eq!((plan.inner.body.len(), plan.inner.units.len()), (43, 2 + 1 + 2));
    }

    #[test]
    fn a_unit_is_equal_to_the_latest_of_its_hash() {
        let loop_over = |len| Unit::Fused(crate::plan::unit::Fused { len, ..Default::default() });
        let mut kinds = Kinds::default();
        let numbers = [3, 4, 3, 5, 4, 3].map(|len| kinds.number(loop_over(len)));
        assert_eq!(numbers, [0, 1, 0, 2, 1, 0]);
        assert_eq!(kinds.into_units().len(), 3);
    }
}
