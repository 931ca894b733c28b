//! Relations that derivatives satisfy among themselves: linearity of the vjp, forward against reverse mode, Taylor
//! polynomials, symmetry of the Hessian.

use std::ops::Range;

use super::derivatives::{Examination, Finding, worse};
use super::evaluator::{Direction, Evaluator, signed, weighted};
use super::numeric::{self, Sum};
use super::report::{Method, Verdict};
use crate::error::Error;
use crate::shape::unravel;
use crate::tape::op::Kinks;
use crate::tensor::Tensor;

impl Examination<'_, '_> {
    /// `vjp(αa + βb) = α·vjp(a) + β·vjp(b)`, and `vjp(0)` is exactly 0.
    pub(super) fn linearity(&mut self) -> Result<(), Error> {
        let cotangents = self.evaluator.levels[0].cotangents.clone();
        let kept: Vec<Tensor<f64>> = cotangents.clone().map(|c| self.evaluator.value(c).clone()).collect();
        let other: Vec<Tensor<f64>> = kept
            .iter()
            .zip(0..)
            .map(|(c, k)| Tensor::new(c.shape(), signed(self.check.seed + 1, k, c.len())))
            .collect();
        let (alpha, beta) = (0.75, -1.5);
        let gradient = |evaluator: &mut Evaluator<'_>, value: &dyn Fn(usize, usize) -> f64| {
            for (number, c) in cotangents.clone().enumerate() {
                let shape = kept[number].shape().clone();
                evaluator.set_value(c, Tensor::from_fn(shape, |k| value(number, k)));
            }
            evaluator.gradient(0)
        };
        let (a, b) = (|n: usize, k: usize| kept[n].data()[k], |n: usize, k: usize| other[n].data()[k]);
        let of_a = gradient(self.evaluator, &a)?;
        let of_b = gradient(self.evaluator, &b)?;
        let of_both = gradient(self.evaluator, &|n, k| alpha * a(n, k) + beta * b(n, k))?;
        let of_zero = gradient(self.evaluator, &|_, _| 0.0)?;
        gradient(self.evaluator, &a)?;
        let mut outcome = Ok(Verdict::Agrees);
        let what = "the vjp, which must be linear in the cotangent,";
        // A sum inside may cancel to something far smaller than its terms.
        let rounding = 64.0 * f64::EPSILON * self.evaluator.scalar(0)?.weight;
        for (variable, ((a, b), (both, zero))) in of_a.iter().zip(&of_b).zip(of_both.iter().zip(&of_zero)).enumerate() {
            let largest = a.data().iter().chain(b.data()).fold(0.0_f64, |m, x| m.max(x.abs()));
            for element in 0..a.len() {
                let expected = alpha * a.data()[element] + beta * b.data()[element];
                let (found, allowed) = (both.data()[element], 1e-12 * largest + rounding);
                let numbers = match zero.data()[element] {
                    0.0 if (found - expected).abs() <= allowed || expected.is_nan() => continue,
                    0.0 => [found, expected, allowed],
                    of_zero if of_zero.is_nan() && expected.is_nan() => continue,
                    of_zero => [of_zero, 0.0, 0.0],
                };
                let finding = Finding {
                    variable: Some(self.evaluator.variables[variable].name.as_str().into()),
                    element: Some(unravel(element, a.shape()).into()),
                    ..Finding::new(Method::Linearity, what, numbers)
                };
                outcome = worse(outcome, Err(finding));
                break;
            }
        }
        self.record(Method::Linearity, outcome);
        Ok(())
    }

    /// `⟨u, J·v⟩ = ⟨Jᵀ·u, v⟩`, to rounding.
    pub(super) fn forward_against_reverse(&mut self) -> Result<(), Error> {
        if self.evaluator.forward.is_empty() {
            return Ok(());
        }
        let forward = self.evaluator.forward.clone();
        let graph = self.evaluator.graph;
        let pushed = self.evaluator.with(|params, feed| graph.eval_with::<f64>(&forward, params, feed))?;
        let pulled = self.evaluator.gradient(0)?;
        let pair = |values: &mut dyn Iterator<Item = (&Tensor<f64>, usize)>| -> Sum {
            values.map(|(value, variable)| weighted(value, self.evaluator.value(variable))).sum()
        };
        let [outputs, tangents] = [0, 1].map(|level| self.evaluator.levels[level].cotangents.clone());
        let left = pair(&mut pushed.iter().map(|y| y.real()).zip(outputs));
        let right = pair(&mut pulled.iter().zip(tangents));
        let allowed = 1e-12 * (left.weight + right.weight);
        let agree = (left.value - right.value).abs() <= allowed || (left.value.is_nan() && right.value.is_nan());
        let numbers = [left.value, right.value, allowed];
        let wrong =
            || Finding::new(Method::ForwardMode, "forward against reverse mode, ⟨u, J·v⟩ against ⟨Jᵀ·u, v⟩,", numbers);
        let outcome = if agree { Ok(Verdict::Agrees) } else { Err(wrong()) };
        self.record(Method::ForwardMode, outcome);
        Ok(())
    }

    /// What is left of the function after its Taylor polynomial falls with the power of the first term that is missing.
    pub(super) fn taylor(&mut self, noise: f64) -> Result<(), Error> {
        let arguments = 0..self.evaluator.arguments();
        let direction = self.evaluator.direction(arguments.clone(), self.check.seed, 1);
        if self.at_kink || self.room_along(&direction) < 0.125 {
            self.record(Method::Taylor, Ok(Verdict::Undecided));
            return Ok(());
        }
        let first = direction.dot(&self.evaluator.gradient(0)?).value;
        let mut derivatives = vec![first];
        if self.evaluator.levels.len() > 2 {
            // With the direction for the cotangent of the gradient, the second level holds `H·d`.
            let tangents = self.evaluator.levels[1].cotangents.clone();
            let kept = self.set_tangents(tangents.clone(), &direction);
            let second = direction.dot(&self.evaluator.gradient(1)?).value;
            self.restore(tangents, kept);
            derivatives.push(second);
        }
        let slopes = (1..=derivatives.len())
            .map(|terms| {
                let found = self.evaluator.along(0, &direction, |f| numeric::taylor(&derivatives[..terms], noise, f));
                found.map(|slope| (terms, slope))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let mut outcome = Ok(Verdict::NotAsked);
        for (terms, slope) in slopes {
            let due = terms as f64 + 1.0;
            outcome = match slope {
                None => worse(outcome, Ok(Verdict::Agrees)),
                Some(slope) if slope > due - 0.25 => worse(outcome, Ok(Verdict::Agrees)),
                Some(slope) if slope > due - 0.6 => worse(outcome, Ok(Verdict::Undecided)),
                Some(slope) if slope.is_nan() => worse(outcome, Ok(Verdict::Undecided)),
                Some(slope) => {
                    let what = if terms == 1 {
                        "the Taylor slope with the gradient"
                    } else {
                        "the Taylor slope with the Hessian"
                    };
                    worse(outcome, Err(Finding::new(Method::Taylor, what, [slope, due, 0.25])))
                }
            };
        }
        // A kink in reach spoils the slope but proves nothing.
        if outcome.is_err() && self.report.of(Method::Differences) == Verdict::Agrees && self.smooth_is_unknown() {
            outcome = Ok(Verdict::Undecided);
        }
        self.record(Method::Taylor, outcome);
        Ok(())
    }

    /// Whether the target may have kinks that nobody states: functions and models are made of ops that may.
    fn smooth_is_unknown(&self) -> bool {
        match self.target.op() {
            None => true,
            Some(sample) => (0..sample.inputs.len()).any(|input| sample.op.kinks(input) != Kinks::None),
        }
    }

    fn set_tangents(&mut self, tangents: Range<usize>, direction: &Direction) -> Vec<Tensor<f64>> {
        let kept = tangents.clone().map(|t| self.evaluator.value(t).clone()).collect();
        for (tangent, (_, part)) in tangents.zip(&direction.0) {
            let shape = self.evaluator.value(tangent).shape().clone();
            self.evaluator.set_value(tangent, Tensor::new(shape, part.clone()));
        }
        kept
    }

    fn restore(&mut self, variables: Range<usize>, values: Vec<Tensor<f64>>) {
        for (variable, value) in variables.zip(values) {
            self.evaluator.set_value(variable, value);
        }
    }

    /// `⟨v, H·w⟩ = ⟨w, H·v⟩` to rounding.
    pub(super) fn symmetry(&mut self) -> Result<(), Error> {
        if self.evaluator.levels.len() < 3 {
            return Ok(());
        }
        let arguments = 0..self.evaluator.arguments();
        let tangents = self.evaluator.levels[1].cotangents.clone();
        let [v, w] = [11, 12].map(|stream| self.evaluator.direction(arguments.clone(), self.check.seed, stream));
        let mut sides = [Sum::default(); 2];
        for (side, (along, with)) in sides.iter_mut().zip([(&v, &w), (&w, &v)]) {
            let kept = self.set_tangents(tangents.clone(), along);
            let product = self.evaluator.gradient(1)?;
            self.restore(tangents.clone(), kept);
            *side = with.dot(&product);
        }
        let [left, right] = sides;
        // Second derivatives are made of numbers of the size of the function and of its gradient, which may cancel.
        let sizes = self.evaluator.scalar(0)?.weight + self.evaluator.scalar(1)?.weight;
        let allowed = 1e-11 * (left.weight + right.weight) + 1e-13 * sizes;
        let agree = (left.value - right.value).abs() <= allowed || left.value.is_nan();
        let numbers = [left.value, right.value, allowed];
        let outcome = if agree {
            Ok(Verdict::Agrees)
        } else {
            Err(Finding::new(Method::Symmetry, "the symmetry of the Hessian, ⟨v, H·w⟩ against ⟨w, H·v⟩,", numbers))
        };
        self.record(Method::Symmetry, outcome);
        Ok(())
    }
}
