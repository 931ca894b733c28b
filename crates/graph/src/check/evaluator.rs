//! A function with its derivatives as one graph, compiled once and run at many points.
//!
//! Level 0 is the function `y = f(x)`. A level `k` has a cotangent `cₖ` for each of its values, and level `k + 1` is the
//! vector-Jacobian product of level `k` under `cₖ`, with respect to all variables before it: `x`, then `c₀`, and so on.
//! So the scalar `⟨cₖ, level k⟩` has level `k + 1` for its gradient, at every order.

use std::ops::Range;

use super::numeric::{self, Place, Slope, Sum};
use super::target::Target;
use crate::error::Error;
use crate::kernel::random::RandomStream;
use crate::params::{Param, Params};
use crate::plan::{Feed, Plan, Session};
use crate::real::Real;
use crate::tape::op::Kind;
use crate::tape::{Graph, Var};
use crate::tensor::{AnyTensor, Data, Tensor};

/// What can be moved: an input, a parameter, or a cotangent.
pub(super) struct Variable<'g> {
    pub(super) name: String,
    pub(super) var: Var<'g>,
    /// If it is a parameter, its value stands in the store.
    param: Option<Param>,
    value: Tensor<f64>,
}

/// One order of derivatives.
pub(super) struct Level<'g> {
    pub(super) values: Vec<Var<'g>>,
    /// The variables that are the cotangents of the values.
    pub(super) cotangents: Range<usize>,
    session: Session<f64>,
}

/// The function at a point, with its derivatives.
pub(super) struct Evaluator<'g> {
    pub(super) graph: &'g Graph,
    pub(super) variables: Vec<Variable<'g>>,
    indices: Vec<(String, Tensor<i64>)>,
    params: Params<f64>,
    /// The inputs of the function, in order.
    pub(super) inputs: Vec<Var<'g>>,
    /// All outputs of the function.
    pub(super) outputs: Vec<Var<'g>>,
    /// The number of nodes that the function itself has.
    pub(super) recorded: usize,
    /// Levels 0 to the order.
    pub(super) levels: Vec<Level<'g>>,
    /// The Jacobian-vector product under the cotangents of level 1.
    pub(super) forward: Vec<Var<'g>>,
}

/// Numbers of either sign, between a quarter and five quarters in size, that can be typed.
pub(super) fn signed(seed: u64, stream: u32, len: usize) -> Vec<f64> {
    let mut drawn = vec![0.0; len];
    RandomStream { seed, step: 0, stream }.uniform(0, &mut drawn);
    drawn.iter().map(|x| 2.0 * x - 1.0).map(|x| ((x + 0.25_f64.copysign(x)) * 64.0).round() / 64.0).collect()
}

impl<'g> Evaluator<'g> {
    /// Records the target on the graph and compiles it with its derivatives up to `order`.
    pub(super) fn new(graph: &'g Graph, target: &dyn Target, order: usize, seed: u64) -> Result<Self, Error> {
        let mut variables = Vec::new();
        let mut indices = Vec::new();
        let mut inputs = Vec::new();
        for (number, input) in target.inputs().iter().enumerate() {
            let name = format!("input {number}");
            match input {
                AnyTensor::Real(value) => {
                    let var = graph.input(&name, value.shape());
                    variables.push(Variable { name, var, param: None, value: value.clone() });
                    inputs.push(var);
                }
                AnyTensor::Index(value) => {
                    inputs.push(graph.index_input(&name, value.shape()));
                    indices.push((name, value.clone()));
                }
            }
        }
        let outputs = target.record(graph, &inputs)?.to_vec();
        let params = target.params().cloned().unwrap_or_else(|| Params::new(0));
        for (param, var) in graph.params() {
            params.check(&param).map_err(|problem| Error::new(crate::ErrorKind::Feed, problem))?;
            if params.is_trainable(&param) {
                let name = format!("parameter `{}`", param.name());
                variables.push(Variable { name, var, param: Some(param), value: Tensor::scalar(0.0) });
            }
        }
        let recorded = graph.len();

        let mut values: Vec<Var<'g>> = outputs.iter().copied().filter(|y| y.kind() == Kind::Real).collect();
        let mut levels: Vec<(Vec<Var<'g>>, Range<usize>)> = Vec::new();
        for level in 0..=order {
            let first = variables.len();
            for (number, value) in values.iter().enumerate() {
                let name = format!("cotangent {number} of order {level}");
                let drawn = signed(seed, variables.len() as u32, value.shape().len());
                let value = Tensor::new(value.shape(), drawn);
                variables.push(Variable { var: graph.input(&name, value.shape()), name, param: None, value });
            }
            let all: Vec<Var<'g>> = variables.iter().map(|variable| variable.var).collect();
            levels.push((values.clone(), first..variables.len()));
            if level < order {
                values = graph.vjp(&values, &all[first..], &all[..first])?;
            }
        }
        let forward = match &levels[..] {
            [(values, _), (_, tangents), ..] => {
                let all: Vec<Var<'g>> = variables.iter().map(|variable| variable.var).collect();
                graph.jvp(values, &all[..tangents.len()], &all[tangents.clone()])?
            }
            _ => Vec::new(),
        };
        // A plan knows the inputs that there were when it was compiled; so all are compiled at the end.
        let compiled = |(values, cotangents): (Vec<Var<'g>>, Range<usize>)| {
            let session = Plan::new(graph, &values)?.session();
            Ok(Level { values, cotangents, session })
        };
        let levels = levels.into_iter().map(compiled).collect::<Result<_, Error>>()?;
        Ok(Self { graph, variables, indices, params, inputs, outputs, recorded, levels, forward })
    }

    /// The number of variables that the function itself has.
    pub(super) fn arguments(&self) -> usize {
        self.levels[0].cotangents.start
    }

    pub(super) fn value(&self, variable: usize) -> &Tensor<f64> {
        let Variable { param, value, .. } = &self.variables[variable];
        param.as_ref().map_or(value, |param| self.params.get(param))
    }

    pub(super) fn data_mut(&mut self, variable: usize) -> &mut [f64] {
        let Variable { param, value, .. } = &mut self.variables[variable];
        match param {
            Some(param) => self.params.get_mut(param).data_mut(),
            None => value.data_mut(),
        }
    }

    pub(super) fn set_value(&mut self, variable: usize, new: Tensor<f64>) {
        let Variable { param, value, .. } = &mut self.variables[variable];
        match param {
            Some(param) => self.params.set(param, new),
            None => *value = new,
        }
    }

    /// Runs a level at the present values.
    pub(super) fn run(&mut self, level: usize) -> Result<&[AnyTensor<f64>], Error> {
        let Self { variables, indices, params, levels, .. } = self;
        Ok(levels[level].session.run(params, &feed(variables, indices))?.all())
    }

    /// The gradient of `⟨cₖ, level k⟩` for the level `k` at the present values.
    pub(super) fn gradient(&mut self, level: usize) -> Result<Vec<Tensor<f64>>, Error> {
        Ok(self.run(level + 1)?.iter().map(|value| value.real().clone()).collect())
    }

    /// `⟨cₖ, level k⟩` at the present values.
    pub(super) fn scalar(&mut self, level: usize) -> Result<Sum, Error> {
        let Self { variables, indices, params, levels, .. } = self;
        let Level { cotangents, session, .. } = &mut levels[level];
        let values = session.run(params, &feed(variables, indices))?.all();
        Ok(values.iter().zip(&variables[cotangents.clone()]).map(|(y, c)| weighted(y.real(), &c.value)).sum())
    }

    /// Evaluates variables of the graph in any precision, node by node or by a plan of its own.
    pub(super) fn with<T: Real, R>(&self, run: impl FnOnce(&Params<T>, &Feed<'_, T>) -> R) -> R {
        let cast: Vec<Tensor<T>> = self.variables.iter().map(|variable| variable.value.cast()).collect();
        let params = self.params.cast();
        let mut feed = Feed::new();
        for (variable, value) in self.variables.iter().zip(&cast).filter(|(variable, _)| variable.param.is_none()) {
            feed = feed.with(&variable.name, Data::Real(value));
        }
        for (name, value) in &self.indices {
            feed = feed.with(name, Data::Index(value));
        }
        run(&params, &feed)
    }

    /// What differences say of `⟨cₖ, level k⟩` when one element of a variable moves.
    pub(super) fn along_element(
        &mut self,
        level: usize,
        [variable, element]: [usize; 2],
        noise: f64,
        room: f64,
    ) -> Result<Slope, Error> {
        let base = self.value(variable).data()[element];
        let found = numeric::derivative(Place { base, room, noise }, |t| {
            self.data_mut(variable)[element] = base + t;
            self.scalar(level)
        });
        self.data_mut(variable)[element] = base;
        found
    }

    /// Calls `probe` with the function of `t` that `⟨cₖ, level k⟩` is when the variables of `direction` move by `t`.
    pub(super) fn along<R>(
        &mut self,
        level: usize,
        direction: &Direction,
        probe: impl FnOnce(&mut dyn FnMut(f64) -> Result<Sum, Error>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let base: Vec<Tensor<f64>> = direction.0.iter().map(|(variable, _)| self.value(*variable).clone()).collect();
        let found = probe(&mut |t| {
            for ((variable, direction), base) in direction.0.iter().zip(&base) {
                let moved = self.data_mut(*variable).iter_mut();
                for ((x, base), d) in moved.zip(base.data()).zip(direction) {
                    *x = base + t * d;
                }
            }
            self.scalar(level)
        });
        for ((variable, _), base) in direction.0.iter().zip(base) {
            self.set_value(*variable, base);
        }
        found
    }

    /// How far values of `⟨cₖ, level k⟩` are off by rounding: the largest of two directions, doubled, as directions
    /// differ.
    pub(super) fn noise(&mut self, level: usize, seed: u64) -> Result<f64, Error> {
        let all = 0..self.levels[level].cotangents.start;
        let mut largest: f64 = 0.0;
        for stream in 0..2 {
            let direction = self.direction(all.clone(), seed, 1000 + stream);
            largest = largest.max(self.along(level, &direction, |f| numeric::noise(f))?);
        }
        Ok(2.0 * largest)
    }

    /// A direction of length 1 in which all the given variables move, each element by something.
    pub(super) fn direction(&self, variables: Range<usize>, seed: u64, stream: u32) -> Direction {
        let drawn = |v: usize| signed(seed, stream * 97 + v as u32, self.value(v).len());
        let mut parts: Vec<(usize, Vec<f64>)> = variables.map(|v| (v, drawn(v))).collect();
        let square: f64 = parts.iter().flat_map(|(_, part)| part).map(|d| d * d).sum();
        let scale = 1.0 / square.sqrt().max(1e-300);
        parts.iter_mut().flat_map(|(_, part)| part).for_each(|d| *d *= scale);
        Direction(parts)
    }
}

/// How far each element of some variables moves.
pub(super) struct Direction(pub(super) Vec<(usize, Vec<f64>)>);

impl Direction {
    /// The derivative along the direction that the gradient says, with its weight.
    pub(super) fn dot(&self, gradient: &[Tensor<f64>]) -> Sum {
        let part = |(variable, part): &(usize, Vec<f64>)| {
            let terms = gradient[*variable].data().iter().zip(part).map(|(g, d)| g * d);
            Sum { value: terms.clone().sum(), weight: terms.map(f64::abs).sum() }
        };
        self.0.iter().map(part).sum()
    }

    /// The least that an element moves.
    pub(super) fn least(&self) -> f64 {
        self.0.iter().flat_map(|(_, part)| part).map(|d| d.abs()).filter(|&d| d > 0.0).fold(f64::INFINITY, f64::min)
    }
}

fn feed<'a>(variables: &'a [Variable<'_>], indices: &'a [(String, Tensor<i64>)]) -> Feed<'a, f64> {
    let mut feed = Feed::new();
    for variable in variables.iter().filter(|variable| variable.param.is_none()) {
        feed = feed.with(&variable.name, Data::Real(&variable.value));
    }
    for (name, value) in indices {
        feed = feed.with(name, Data::Index(value));
    }
    feed
}

/// The sum of products, with the sum of their magnitudes; what is multiplied by zero does not count.
pub(super) fn weighted(a: &Tensor<f64>, b: &Tensor<f64>) -> Sum {
    let terms = a.data().iter().zip(b.data()).filter(|(_, b)| **b != 0.0).map(|(a, b)| a * b);
    Sum { value: terms.clone().sum(), weight: terms.map(f64::abs).sum() }
}

impl std::iter::Sum for Sum {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), |a, b| Self { value: a.value + b.value, weight: a.weight + b.weight })
    }
}
