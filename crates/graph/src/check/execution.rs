//! The execution of values and derivatives, examined by methods that need no differences: against the definition,
//! against plain evaluation, in the other precision, and again.

use super::allocations;
use super::derivatives::{Examination, Finding, worse};
use super::evaluator::{signed, weighted};
use super::report::{Method, Verdict};
use crate::error::Error;
use crate::params::Params;
use crate::plan::{Feed, Plan};
use crate::real::Real;
use crate::shape::unravel;
use crate::tape::Var;
use crate::tape::op::{Form, Kind};
use crate::tensor::{AnyTensor, Tensor};

impl Examination<'_, '_> {
    /// Examines the execution by all methods.
    pub(super) fn runs(&mut self) -> Result<(), Error> {
        self.expansion()?;
        // Outputs and gradients, of what is real and what is not, by one plan.
        let level = self.evaluator.levels.get(1).map_or(&[][..], |level| &level.values);
        let wanted: Vec<Var<'_>> =
            self.evaluator.outputs.iter().chain(level).chain(&self.evaluator.forward).copied().collect();
        let plan = Plan::new(self.evaluator.graph, &wanted)?;
        let double = self.plan_against_plain::<f64>(&plan, &wanted)?;
        let single = self.plan_against_plain::<f32>(&plan, &wanted)?;
        self.single_precision(&wanted, &double, &single)?;
        Ok(())
    }

    /// The op's kernel, and the vjp that it states, against its definition.
    fn expansion(&mut self) -> Result<(), Error> {
        let Some(sample) = self.target.op() else { return Ok(()) };
        let (graph, inputs) = (self.evaluator.graph, self.evaluator.inputs.clone());
        let Some(expansion) = sample.op.expand(&inputs) else { return Ok(()) };
        let real: Vec<Var<'_>> = expansion.iter().copied().filter(|y| y.kind() == Kind::Real).collect();
        let arguments = self.evaluator.arguments();
        let vars: Vec<Var<'_>> = self.evaluator.variables.iter().map(|variable| variable.var).collect();
        let cotangents = self.evaluator.levels[0].cotangents.clone();
        let mut pairs: Vec<(&'static str, Var<'_>, Var<'_>)> = Vec::new();
        if sample.op.form() != Form::Expanded {
            let outputs = self.evaluator.outputs.iter().zip(&expansion).filter(|(y, _)| y.kind() == Kind::Real);
            pairs.extend(outputs.map(|(&kernel, &definition)| ("the kernel's value", kernel, definition)));
        }
        if let Some(level) = self.evaluator.levels.get(1).filter(|_| !self.is_surrogate()) {
            let derived = graph.vjp(&real, &vars[cotangents], &vars[..arguments])?;
            let both = level.values.iter().zip(derived);
            pairs.extend(both.map(|(&own, derived)| ("the vjp, beside that of the expansion,", own, derived)));
        }
        let wanted: Vec<Var<'_>> = pairs.iter().flat_map(|&(_, a, b)| [a, b]).collect();
        let values = self.evaluator.with(|params, feed| graph.eval_with::<f64>(&wanted, params, feed))?;
        let mut outcome = Ok(Verdict::NotAsked);
        for (&(what, ..), pair) in pairs.iter().zip(values.chunks(2)) {
            let (own, due) = (pair[0].real(), pair[1].real());
            let largest = due.data().iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
            // At a kink the definition may have no derivative where the op states one.
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-10 * (b.abs() + largest) || a == b || b.is_nan();
            let found = first_apart(Method::Expansion, what, own, due, 1e-10 * largest, close);
            outcome = worse(outcome, found.map_or(Ok(Verdict::Agrees), Err));
        }
        self.record(Method::Expansion, outcome);
        Ok(())
    }

    /// Runs the plan twice and on other numbers of threads, and compares its bits with plain evaluation.
    fn plan_against_plain<T: Real>(&mut self, plan: &Plan, wanted: &[Var<'_>]) -> Result<Vec<AnyTensor<T>>, Error> {
        let graph = self.evaluator.graph;
        type Found<T> = (Vec<AnyTensor<T>>, [Result<Verdict, Finding>; 3]);
        let (plain, [planned, repeated, allocated]): Found<T> =
            self.evaluator.with(|params: &Params<T>, feed: &Feed<'_, T>| {
                let plain = graph.eval_with::<T>(wanted, params, feed)?;
                let mut session = plan.session::<T>();
                let apart = |method, what, values: &[AnyTensor<T>]| {
                    let mut pairs = values.iter().zip(&plain);
                    let found = pairs.find_map(|(a, b)| match (a, b) {
                        (AnyTensor::Real(a), AnyTensor::Real(b)) => {
                            first_apart(method, what, &a.cast(), &b.cast(), 0.0, |a, b| a.to_bits() == b.to_bits())
                        }
                        (a, b) => (a != b).then(|| Finding::new(method, what, [f64::NAN; 3])),
                    });
                    found.map_or(Ok(Verdict::Agrees), Err)
                };
                let planned =
                    apart(Method::Plan, "the plan's value, beside plain evaluation,", session.run(params, feed)?.all());
                let what = "the value of a second run";
                let mut repeated = apart(Method::Repetition, what, session.run(params, feed)?.all());
                let counted = allocations::count(|| session.run(params, feed).map(|_| ()));
                let allocated = match counted {
                    None => Ok(Verdict::NotAsked),
                    Some((0, _)) => Ok(Verdict::Agrees),
                    Some((count, _)) => {
                        let numbers = [count as f64, 0.0, 0.0];
                        Err(Finding::new(Method::Allocation, "the number of allocations of a later run", numbers))
                    }
                };
                // Work on less is never divided.
                if plain.iter().any(|value| value.shape().len() > 8192) {
                    for threads in [1, 3] {
                        let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(threads).build() else { continue };
                        let values =
                            pool.install(|| plan.session::<T>().run(params, feed).map(|run| run.all().to_vec()))?;
                        let what = "the value of a run on another number of threads";
                        repeated = worse(repeated, apart(Method::Repetition, what, &values));
                    }
                }
                Ok::<Found<T>, Error>((plain, [planned, repeated, allocated]))
            })?;
        self.record(Method::Plan, planned);
        self.record(Method::Repetition, repeated);
        self.record(Method::Allocation, allocated);
        Ok(plain)
    }

    /// `f32` against `f64`: each value within what rounding may do, which is seen from how much the value moves when
    /// everything it is made from is moved by rounding; and `⟨u, J·v⟩ = ⟨Jᵀ·u, v⟩` in `f32`.
    fn single_precision(
        &mut self,
        wanted: &[Var<'_>],
        double: &[AnyTensor<f64>],
        single: &[AnyTensor<f32>],
    ) -> Result<(), Error> {
        let what = "the value in f32, beside f64,";
        let mut moved: Vec<Vec<f64>> = double.iter().map(|value| vec![0.0; value.shape().len()]).collect();
        let kept: Vec<Tensor<f64>> =
            (0..self.evaluator.variables.len()).map(|v| self.evaluator.value(v).clone()).collect();
        for probe in 0..3 {
            for (variable, kept) in kept.iter().enumerate() {
                let drawn = signed(self.check.seed + 17 + probe, variable as u32, kept.len());
                let by = f64::from(f32::EPSILON);
                let shifted = kept.data().iter().zip(drawn).map(|(x, d)| x + by * d * x.abs().max(0.125)).collect();
                self.evaluator.set_value(variable, Tensor::new(kept.shape(), shifted));
            }
            let graph = self.evaluator.graph;
            let values = self.evaluator.with(|params, feed| graph.eval_with::<f64>(wanted, params, feed))?;
            for ((moved, value), before) in moved.iter_mut().zip(&values).zip(double) {
                if let (AnyTensor::Real(value), AnyTensor::Real(before)) = (value, before) {
                    for ((moved, a), b) in moved.iter_mut().zip(value.data()).zip(before.data()) {
                        *moved = moved.max((a - b).abs());
                    }
                }
            }
        }
        for (variable, kept) in kept.into_iter().enumerate() {
            self.evaluator.set_value(variable, kept);
        }
        // What is small beside the inputs may be lost, as in `1 + erf(x)` far to the left.
        let inputs = (0..self.evaluator.variables.len()).flat_map(|v| self.evaluator.value(v).data());
        let floor = 8.0 * f64::from(f32::EPSILON) * inputs.fold(0.0_f64, |largest, x| largest.max(x.abs()));
        let mut outcome = Ok(Verdict::Agrees);
        for ((var, moved), pair) in wanted.iter().zip(&moved).zip(single.iter().zip(double)) {
            let (AnyTensor::Real(single), AnyTensor::Real(double)) = pair else { continue };
            // What lies near the end of the numbers of f32 is another matter.
            let far = |x: f64| !x.is_finite() || x.abs() > 1e30;
            let largest = double.data().iter().filter(|x| !far(**x)).fold(0.0_f64, |largest, x| largest.max(x.abs()));
            for (element, (&single, &double)) in single.cast::<f64>().data().iter().zip(double.data()).enumerate() {
                let allowed = 64.0 * f64::from(f32::EPSILON) * (double.abs() + largest) + 32.0 * moved[element] + floor;
                if (single - double).abs() <= allowed || far(double) || far(moved[element]) {
                    continue;
                }
                let element = Some(unravel(element, &var.shape()).into());
                let numbers = [single, double, allowed];
                outcome =
                    worse(outcome, Err(Finding { element, ..Finding::new(Method::SinglePrecision, what, numbers) }));
                break;
            }
        }
        let forward = self.evaluator.forward.len();
        let gradients = self.evaluator.levels.get(1).map_or(0, |level| level.values.len());
        if forward > 0 && outcome.is_ok() {
            let cast = |values: &[AnyTensor<f32>]| values.iter().map(|v| v.real().cast::<f64>()).collect::<Vec<_>>();
            let pushed = cast(&single[single.len() - forward..]);
            let pulled = cast(&single[single.len() - forward - gradients..single.len() - forward]);
            let [outputs, tangents] = [0, 1].map(|level| self.evaluator.levels[level].cotangents.clone());
            let total = |values: &[Tensor<f64>], variables: std::ops::Range<usize>| {
                values.iter().zip(variables).map(|(value, v)| weighted(value, self.evaluator.value(v))).sum()
            };
            let (left, right): (super::numeric::Sum, super::numeric::Sum) =
                (total(&pushed, outputs), total(&pulled, tangents));
            let shaken: f64 = moved.iter().flatten().filter(|moved| moved.is_finite()).sum();
            let allowed = 256.0 * f64::from(f32::EPSILON) * (left.weight + right.weight) + 64.0 * shaken;
            if (left.value - right.value).abs() > allowed && left.weight < 1e30 {
                let what = "forward against reverse mode in f32";
                outcome = Err(Finding::new(Method::SinglePrecision, what, [left.value, right.value, allowed]));
            }
        }
        self.record(Method::SinglePrecision, outcome);
        Ok(())
    }
}

/// The first element at which two tensors are not as close as they should be.
fn first_apart(
    method: Method,
    what: &'static str,
    found: &Tensor<f64>,
    due: &Tensor<f64>,
    allowed: f64,
    close: impl Fn(f64, f64) -> bool,
) -> Option<Finding> {
    let mut pairs = found.data().iter().zip(due.data());
    let place = pairs.position(|(&a, &b)| !close(a, b))?;
    let numbers = [found.data()[place], due.data()[place], allowed];
    Some(Finding { element: Some(unravel(place, found.shape()).into()), ..Finding::new(method, what, numbers) })
}
