//! The interface of strategies: a generation with its random numbers and the evaluation of candidates.

use gradus_graph::Error;

use super::draws::Draws;

/// How candidates are varied and chosen from.
///
/// A strategy works on points: vectors with a number for each trainable scalar, in units of the region where the search
/// starts, which is from 0 to 1 in each. It keeps its population between the calls.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_minimize::search::{Ended, Generation, Search, Strategy};
///
/// /// Draws ten points a generation.
/// struct RandomSearch;
/// impl Strategy for RandomSearch {
///     fn advance(&mut self, generation: &mut Generation<'_>) -> Result<(), Ended> {
///         let points: Vec<Vec<f64>> = (0..10).map(|i| generation.start(&mut generation.draws(i))).collect();
///         generation.evaluate(&points).map(|_| ())
///     }
/// }
///
/// let mut params: Params<f64> = Params::new(0);
/// let x = params.add("x", Tensor::from([3.0]));
/// let search = Search::new(RandomSearch).within(-4.0, 4.0).budget(1000);
/// let found = search.run(&mut params, || |params: &Params<f64>| Ok(params.get(&x).item().powi(2)))?;
/// assert!(found.value < 1e-3 && found.evaluations == 1000);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub trait Strategy {
    /// Makes the candidates of one generation, has them evaluated, and chooses.
    ///
    /// # Errors
    /// As [`Generation::evaluate`]; or [`Ended::Converged`] if the strategy has converged.
    fn advance(&mut self, generation: &mut Generation<'_>) -> Result<(), Ended>;
}

/// Why a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A value as low as the target was found.
    Target,
    /// The evaluations are used up.
    Budget,
    /// The strategy has no variation left.
    Converged,
    /// The objective failed. [`Search::run`](super::Search::run) gives the error.
    Failed(Error),
}

/// One generation of a search.
pub struct Generation<'a> {
    pub(super) number: u64,
    pub(super) seed: u64,
    /// Whether each scalar has bounds.
    pub(super) bounded: &'a [bool],
    /// The evaluations that are allowed, and those that are made.
    pub(super) budget: usize,
    pub(super) evaluations: usize,
    #[allow(clippy::type_complexity)] // It is what it says.
    pub(super) evaluate: &'a mut dyn FnMut(&[Vec<f64>]) -> Result<Vec<f64>, Ended>,
}

impl Generation<'_> {
    /// The number of generations before this one.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The number of scalars.
    pub fn dimension(&self) -> usize {
        self.bounded.len()
    }

    /// The number of evaluations that the search may make.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// The fraction of the budget that was used before this generation.
    pub fn used(&self) -> f64 {
        self.evaluations as f64 / self.budget.max(1) as f64
    }

    /// Random numbers: those of candidate `number` in this generation.
    pub fn draws(&self, number: usize) -> Draws {
        Draws::new(self.seed, self.number, number as u32)
    }

    /// A point of the region where the search starts.
    pub fn start(&self, draws: &mut Draws) -> Vec<f64> {
        (0..self.dimension()).map(|_| draws.uniform()).collect()
    }

    /// Reflects a point into the bounds.
    pub fn reflect(&self, point: &mut [f64]) {
        for (element, _) in point.iter_mut().zip(self.bounded).filter(|(_, bounded)| **bounded) {
            *element = reflected(*element);
        }
    }

    /// Whether scalar `i` has bounds: 0 and 1.
    pub fn is_bounded(&self, i: usize) -> bool {
        self.bounded[i]
    }

    /// The values of the candidates, lower being better. Points outside the bounds are evaluated at their reflections,
    /// [`Self::reflect`].
    ///
    /// # Errors
    /// If the search ends with these candidates.
    pub fn evaluate(&mut self, points: &[Vec<f64>]) -> Result<Vec<f64>, Ended> {
        (self.evaluate)(points)
    }
}

/// A number reflected at 0 and 1 until it is in `0..=1`.
pub(super) fn reflected(x: f64) -> f64 {
    if (0.0..=1.0).contains(&x) {
        return x;
    }
    let x = x.rem_euclid(2.0);
    // What is not finite goes to the middle.
    if x <= 1.0 {
        x
    } else if x <= 2.0 {
        2.0 - x
    } else {
        0.5
    }
}

/// The indices in order of their values, the lowest first; ties in order.
pub(super) fn ranked(values: &[f64]) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..values.len()).collect();
    indices.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_stays_inside() {
        let cases = [(0.25, 0.25), (-0.25, 0.25), (1.25, 0.75), (2.25, 0.25), (-1.25, 0.75), (f64::INFINITY, 0.5)];
        for (x, expected) in cases {
            assert_eq!(reflected(x), expected, "{x}");
        }
        assert_eq!(reflected(f64::NAN), 0.5);
    }
}
