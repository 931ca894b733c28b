//! How a parent is selected.

use gradus_graph::expect_setting;

use super::super::draws::Draws;

/// How a parent is selected: better points more often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SelectionOperator {
    /// The best of this number of points drawn at random.
    Tournament(usize),
    /// With a probability in proportion to how far the value lies below the worst finite one.
    Roulette,
    /// With a probability that falls evenly with the rank; the best is drawn this many times as often as the mean, 1 to
    /// 2.
    Rank(f64),
}

impl SelectionOperator {
    #[track_caller]
    pub(super) fn check(self) {
        match self {
            Self::Tournament(members) => assert!(members > 0, "a tournament has at least one member"),
            Self::Roulette => {}
            Self::Rank(pressure) => {
                expect_setting("`SelectionOperator::Rank`: pressure", pressure, 1.0..=2.0);
            }
        }
    }

    /// The index of a parent; `order` has the indices from the best to the worst.
    pub(super) fn select(self, order: &[usize], values: &[f64], draws: &mut Draws) -> usize {
        let count = order.len();
        match self {
            Self::Tournament(members) => {
                let rank = (0..members).map(|_| draws.below(count)).min().unwrap_or(0);
                order[rank]
            }
            Self::Roulette => {
                let worst = values.iter().copied().filter(|value| value.is_finite()).fold(f64::NEG_INFINITY, f64::max);
                let weight = |index: usize| (worst - values[index]).max(0.0);
                spin(order, (0..count).map(|rank| weight(order[rank])), draws)
            }
            Self::Rank(pressure) => {
                let step = if count > 1 { 2.0 * (pressure - 1.0) / (count - 1) as f64 } else { 0.0 };
                spin(order, (0..count).map(|rank| pressure - step * rank as f64), draws)
            }
        }
    }
}

/// An index with the probability of its weight; any, if there is no weight.
fn spin(order: &[usize], mut weights: impl Iterator<Item = f64> + Clone, draws: &mut Draws) -> usize {
    let total: f64 = weights.clone().sum();
    if !(total > 0.0 && total.is_finite()) {
        return order[draws.below(order.len())];
    }
    let mut left = total * draws.uniform();
    let stops = weights.position(|weight| {
        left -= weight;
        left < 0.0
    });
    order[stops.unwrap_or(order.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of three points, of values 3, 1 and 2, is selected.
    fn shares(selection: SelectionOperator) -> [f64; 3] {
        let (order, values, mut draws) = ([1, 2, 0], [3.0, 1.0, 2.0], Draws::new(1, 0, 0));
        let mut counts = [0.0; 3];
        (0..100_000).for_each(|_| counts[selection.select(&order, &values, &mut draws)] += 1e-5);
        counts
    }

    #[test]
    fn better_points_are_selected_as_often_as_said() {
        // Of two draws, the best of three is among them with probability 5/9, and only the worst with 1/9.
        let cases = [
            (SelectionOperator::Tournament(2), [1.0 / 9.0, 5.0 / 9.0, 3.0 / 9.0]),
            (SelectionOperator::Roulette, [0.0, 2.0 / 3.0, 1.0 / 3.0]),
            (SelectionOperator::Rank(1.5), [0.5 / 3.0, 1.5 / 3.0, 1.0 / 3.0]),
        ];
        for (selection, expected) in cases {
            let found = shares(selection);
            found.iter().zip(expected).for_each(|(found, expected)| {
                assert!((found - expected).abs() < 0.005, "{selection:?}: {found} for {expected}");
            });
        }
    }
}
