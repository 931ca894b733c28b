//! A minimisation under way: where it stands, what it has used, and whether it is to stop.

use gradus_graph::{Error, Params, Real};

use crate::flat::Flat;

use super::outcome::{Iterate, Limits, Outcome, Reason};
use super::slope::Slope;
use super::vector::{add_scaled, max_norm, norm};

/// Steps that gain nothing beyond rounding before a method stops; one alone may be chance.
const IDLE: usize = 5;

/// A point with what is known there.
#[derive(Clone)]
pub(super) struct Point {
    pub(super) x: Vec<f64>,
    pub(super) value: f64,
    pub(super) gradient: Vec<f64>,
}

impl Point {
    pub(super) fn is_finite(&self) -> bool {
        self.value.is_finite() && max_norm(&self.gradient).is_finite()
    }
}

pub(super) struct Run<'a, T> {
    pub(super) params: &'a mut Params<T>,
    pub(super) flat: Flat,
    pub(super) limits: Limits,
    /// The last point that was accepted.
    pub(super) point: Point,
    /// The last point that was tried; the store holds it.
    pub(super) trial: Point,
    pub(super) evaluations: usize,
    pub(super) derivatives: usize,
    pub(super) products: usize,
    trace: Vec<Iterate>,
    /// The lowest value and the smallest gradient so far, and the steps since something was gained.
    lowest: f64,
    smallest: f64,
    idle: usize,
}

impl<'a, T: Real> Run<'a, T> {
    /// Before the first evaluation.
    pub(super) fn new(params: &'a mut Params<T>, limits: Limits) -> Self {
        let flat = Flat::new(params);
        let x = flat.read(params);
        let point = Point { gradient: vec![0.0; x.len()], x, value: f64::NAN };
        let trial = point.clone();
        let (evaluations, derivatives, products) = (0, 0, 0);
        let (trace, lowest, smallest, idle) = (Vec::new(), f64::INFINITY, f64::INFINITY, 0);
        Self { params, flat, limits, point, trial, evaluations, derivatives, products, trace, lowest, smallest, idle }
    }

    /// The spacing of numbers near 1 in the store's precision.
    pub(super) fn eps(&self) -> f64 {
        T::EPS
    }

    /// Whether no evaluation is left.
    pub(super) fn is_spent(&self) -> bool {
        self.evaluations >= self.limits.evaluations
    }

    /// Tries the point at `x + length·direction`: asks for its value, and for its gradient if the closure sets it.
    pub(super) fn evaluate(
        &mut self,
        length: f64,
        direction: &[f64],
        mut objective: impl FnMut(&Params<T>, &mut Slope<'_>) -> Result<T, Error>,
    ) -> Result<(), Error> {
        self.trial.x.copy_from_slice(&self.point.x);
        add_scaled(&mut self.trial.x, length, direction);
        self.flat.write(self.params, &mut self.trial.x);
        self.evaluations += 1;
        self.trial.value = objective(self.params, &mut Slope::new(&self.flat, &mut self.trial.gradient))?.as_f64();
        Ok(())
    }

    /// Puts the store back to the point that was accepted last.
    pub(super) fn return_to_point(&mut self) {
        self.flat.write(self.params, &mut self.point.x);
    }

    /// Goes to the trial as to the start; gives the reason if there is nothing to do.
    pub(super) fn start(&mut self) -> Option<Reason> {
        if !self.trial.is_finite() {
            self.point.value = self.trial.value;
            return Some(Reason::NonFinite);
        }
        self.point.clone_from(&self.trial);
        (self.lowest, self.smallest) = (self.point.value, max_norm(&self.point.gradient));
        self.record(0.0);
        (self.smallest <= self.limits.gradient).then_some(Reason::Gradient)
    }

    /// Goes to the trial; gives the reason if the method is to stop there.
    pub(super) fn accept(&mut self) -> Option<Reason> {
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
        if gradient <= self.limits.gradient {
            Some(Reason::Gradient)
        } else if short && self.limits.step > 0.0 {
            Some(Reason::Step)
        } else if low && self.limits.value > 0.0 {
            Some(Reason::Value)
        } else if self.idle >= IDLE {
            Some(Reason::Precision)
        } else {
            self.is_spent().then_some(Reason::Budget)
        }
    }

    fn record(&mut self, step: f64) {
        let (evaluations, value) = (self.evaluations, self.point.value);
        self.trace.push(Iterate { evaluations, value, gradient: max_norm(&self.point.gradient), step });
    }

    /// Leaves the store at the last accepted point, also if a closure failed.
    pub(super) fn close(mut self, ended: Result<Reason, Error>) -> Result<Outcome, Error> {
        self.return_to_point();
        Ok(Outcome {
            reason: ended?,
            value: self.point.value,
            gradient: max_norm(&self.point.gradient),
            evaluations: self.evaluations,
            derivatives: self.derivatives,
            products: self.products,
            trace: self.trace,
        })
    }
}
