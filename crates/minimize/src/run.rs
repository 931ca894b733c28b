//! The state of a minimisation: its points, its counts of evaluations, and its tests for stopping.

use gradus_graph::{Error, Params, Real};
use gradus_linalg::{add_scaled, max_norm, norm};

use crate::outcome::{Iterate, Limits, Minimization, Reason};
use crate::parameter_vector::ParameterVector;
use crate::slope::Slope;

/// Steps that gain nothing beyond rounding before a method stops; one alone may be chance.
const IDLE: usize = 5;

/// The error of a value and of a model of it, in spacings of the value: sums of many terms err by several.
const HIDDEN: f64 = 1000.0;

/// The largest change to first order, as a part of the value, at which a model is taken to be valid. At
/// the minimum of MGH10 it is 10⁻⁴, where L-BFGS is stuck before it, 1.
const NEAR: f64 = 1e-3;

/// A point with what is known there.
#[derive(Clone)]
pub(crate) struct Point {
    pub(crate) x: Vec<f64>,
    pub(crate) value: f64,
    pub(crate) gradient: Vec<f64>,
}

impl Point {
    pub(crate) fn is_finite(&self) -> bool {
        self.value.is_finite() && max_norm(&self.gradient).is_finite()
    }
}

pub(crate) struct Run<'a, T> {
    pub(crate) params: &'a mut Params<T>,
    pub(crate) layout: ParameterVector,
    pub(crate) limits: Limits,
    /// The last point that was accepted.
    pub(crate) point: Point,
    /// The last point that was tried; the store holds it.
    pub(crate) trial: Point,
    pub(crate) evaluations: usize,
    pub(crate) derivatives: usize,
    pub(crate) products: usize,
    trace: Vec<Iterate>,
    /// The lowest value and the smallest gradient so far, and the steps since something was gained.
    lowest: f64,
    smallest: f64,
    idle: usize,
    /// The value and the parameters where it started.
    first: (f64, Vec<f64>),
    /// The decrease of the value that the method's model predicts at the point, if the model is valid there.
    promised: Option<f64>,
}

impl<'a, T: Real> Run<'a, T> {
    /// Before the first evaluation.
    pub(crate) fn new(params: &'a mut Params<T>, limits: Limits, scaled: bool) -> Self {
        let layout = if scaled { ParameterVector::scaled(params) } else { ParameterVector::new(params) };
        let x = layout.read(params);
        let point = Point { gradient: vec![0.0; x.len()], x, value: f64::NAN };
        let trial = point.clone();
        let (evaluations, derivatives, products) = (0, 0, 0);
        let (trace, lowest, smallest, idle) = (Vec::new(), f64::INFINITY, f64::INFINITY, 0);
        let (first, promised) = ((f64::NAN, point.x.clone()), None);
        Self {
            params,
            layout,
            limits,
            point,
            trial,
            evaluations,
            derivatives,
            products,
            trace,
            lowest,
            smallest,
            idle,
            first,
            promised,
        }
    }

    /// The spacing of numbers near 1 in the store's precision.
    pub(crate) fn eps(&self) -> f64 {
        T::EPS
    }

    /// Whether all evaluations are used.
    pub(crate) fn is_spent(&self) -> bool {
        self.evaluations >= self.limits.evaluations
    }

    /// Tries the point at `x + length·direction`: asks for its value, and for its gradient if the closure sets it.
    pub(crate) fn evaluate(
        &mut self,
        length: f64,
        direction: &[f64],
        mut objective: impl FnMut(&Params<T>, &mut Slope<'_>) -> Result<T, Error>,
    ) -> Result<(), Error> {
        self.trial.x.copy_from_slice(&self.point.x);
        add_scaled(&mut self.trial.x, length, direction);
        self.layout.write(self.params, &mut self.trial.x);
        self.evaluations += 1;
        self.trial.value = objective(self.params, &mut Slope::new(&self.layout, &mut self.trial.gradient))?.as_f64();
        Ok(())
    }

    /// Puts the store back to the point that was accepted last.
    pub(crate) fn return_to_point(&mut self) {
        self.layout.write(self.params, &mut self.point.x);
    }

    /// Accepts the trial as the start; returns the reason if there is nothing to do.
    pub(crate) fn start(&mut self) -> Option<Reason> {
        if !self.trial.is_finite() {
            self.point.value = self.trial.value;
            return Some(Reason::NonFinite);
        }
        self.point.clone_from(&self.trial);
        (self.lowest, self.smallest) = (self.point.value, max_norm(&self.point.gradient));
        self.first.0 = self.point.value;
        self.record(0.0);
        (self.smallest == 0.0).then_some(Reason::Gradient)
    }

    /// Sets the decrease of the value that a model valid at the point predicts; returns the reason to stop if it is
    /// within the limit.
    pub(crate) fn promise(&mut self, promised: Option<f64>) -> Option<Reason> {
        self.promised = promised;
        let limit = self.limits.gradient * self.limits.gradient * self.point.value.abs();
        promised.is_some_and(|promised| promised <= limit).then_some(Reason::Gradient)
    }

    /// Whether the prediction of a model of part of the curvature is valid: the gradient alone predicts a small
    /// decrease.
    pub(crate) fn is_near(&self) -> bool {
        self.reach() <= NEAR * self.measure()
    }

    /// What a change of the value is compared with: the value, or, where that is zero but for rounding, what was
    /// gained.
    fn measure(&self) -> f64 {
        let (value, fall) = (self.point.value.abs(), self.first.0 - self.point.value);
        if value <= T::EPS * fall { fall } else { value }
    }

    /// Whether a step was made.
    pub(crate) fn has_moved(&self) -> bool {
        self.trace.len() > 1
    }

    /// `Σ|gᵢ|·max(|xᵢ|, |xᵢ − x₀ᵢ|)`: the change to first order if each parameter moves by its own size.
    pub(crate) fn reach(&self) -> f64 {
        let sizes = self.point.x.iter().zip(&self.first.1).map(|(x, first)| x.abs().max((x - first).abs()));
        self.point.gradient.iter().zip(sizes).map(|(g, size)| g.abs() * size).sum()
    }

    /// The reason to stop where no step gains anything: [`Reason::Precision`] if the predicted decrease is below the
    /// rounding of the value or of the parameters. Without a valid model the gradient itself has to be small.
    pub(crate) fn at_rest(&self, otherwise: Reason) -> Reason {
        let reach = self.reach();
        let hidden = match self.promised {
            Some(promised) => promised <= HIDDEN * T::EPS * (self.point.value.abs() + reach),
            None => reach <= T::EPS.sqrt() * self.measure(),
        };
        if hidden || max_norm(&self.point.gradient) == 0.0 { Reason::Precision } else { otherwise }
    }

    /// Accepts the trial; returns the reason if the method is to stop there.
    pub(crate) fn accept(&mut self) -> Option<Reason> {
        std::mem::swap(&mut self.point, &mut self.trial);
        let (after, before) = (&self.point, &self.trial);
        let difference: Vec<f64> = after.x.iter().zip(&before.x).map(|(a, b)| a - b).collect();
        let (step, gradient) = (norm(&difference), max_norm(&after.gradient));
        let gain = before.value - after.value;
        let gained = self.lowest - after.value > T::EPS * self.lowest.abs() || gradient < 0.5 * self.smallest;
        self.idle = if gained { 0 } else { self.idle + 1 };
        (self.lowest, self.smallest) = (self.lowest.min(after.value), self.smallest.min(gradient));
        let length = norm(&after.x);
        let (short, low) = (step <= self.limits.step * length, gain <= self.limits.value * before.value.abs());
        self.record(step);
        if gradient == 0.0 {
            Some(Reason::Gradient)
        } else if short && self.limits.step > 0.0 {
            Some(Reason::Step)
        } else if low && self.limits.value > 0.0 {
            Some(Reason::Value)
        } else if self.idle >= IDLE {
            Some(self.at_rest(Reason::Stalled))
        } else {
            self.is_spent().then_some(Reason::Budget)
        }
    }

    fn record(&mut self, step: f64) {
        let (evaluations, value) = (self.evaluations, self.point.value);
        self.trace.push(Iterate { evaluations, value, gradient: self.largest_slope(), step });
    }

    /// The largest element of the gradient, by the parameters as the store has them.
    fn largest_slope(&self) -> f64 {
        let slopes: Vec<f64> = (0..).zip(&self.point.gradient).map(|(index, g)| g / self.layout.unit(index)).collect();
        max_norm(&slopes)
    }

    /// Leaves the store at the last accepted point, also if a closure failed.
    pub(crate) fn close(mut self, ended: Result<Reason, Error>) -> Result<Minimization, Error> {
        self.return_to_point();
        Ok(Minimization {
            reason: ended?,
            value: self.point.value,
            gradient: self.largest_slope(),
            evaluations: self.evaluations,
            derivatives: self.derivatives,
            products: self.products,
            trace: self.trace,
        })
    }
}
