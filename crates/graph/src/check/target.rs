//! What can be checked: a function of variables, an op, a model with its loss.

use super::sample::Sample;
use crate::error::Error;
use crate::params::Params;
use crate::real::Real;
use crate::tape::op::Vars;
use crate::tape::{Graph, Var};
use crate::tensor::{AnyTensor, Data, Tensor};

/// A differentiable function at a point.
pub(super) trait Target {
    /// The inputs at the point.
    fn inputs(&self) -> &[AnyTensor<f64>];

    /// The parameters at the point; those that the graph uses and that are not frozen are inputs as well.
    fn params(&self) -> Option<&Params<f64>> {
        None
    }

    /// The op, if it is one.
    fn op(&self) -> Option<&Sample> {
        None
    }

    /// Records the function.
    fn record<'g>(&self, graph: &'g Graph, inputs: &[Var<'g>]) -> Result<Vars<'g>, Error>;

    /// The same function at other inputs.
    fn at(&self, inputs: Vec<AnyTensor<f64>>) -> Box<dyn Target + '_>;
}

/// A function of variables.
pub(super) struct Function<'a, F> {
    inputs: Vec<AnyTensor<f64>>,
    f: &'a F,
}

impl<'a, F: for<'g> Fn(&[Var<'g>]) -> Var<'g>> Function<'a, F> {
    pub(super) fn new(inputs: &[Tensor<f64>], f: &'a F) -> Self {
        Self { inputs: inputs.iter().cloned().map(AnyTensor::Real).collect(), f }
    }
}

impl<F: for<'g> Fn(&[Var<'g>]) -> Var<'g>> Target for Function<'_, F> {
    fn inputs(&self) -> &[AnyTensor<f64>] {
        &self.inputs
    }

    fn record<'g>(&self, _graph: &'g Graph, inputs: &[Var<'g>]) -> Result<Vars<'g>, Error> {
        Ok(Vars::from_slice(&[(self.f)(inputs)]))
    }

    fn at(&self, inputs: Vec<AnyTensor<f64>>) -> Box<dyn Target + '_> {
        Box::new(Function { inputs, f: self.f })
    }
}

impl Target for Sample {
    fn inputs(&self) -> &[AnyTensor<f64>] {
        &self.inputs
    }

    fn op(&self) -> Option<&Sample> {
        Some(self)
    }

    fn record<'g>(&self, graph: &'g Graph, inputs: &[Var<'g>]) -> Result<Vars<'g>, Error> {
        graph.apply_any(&self.op, inputs)
    }

    fn at(&self, inputs: Vec<AnyTensor<f64>>) -> Box<dyn Target + '_> {
        Box::new(Sample { op: self.op.clone(), inputs })
    }
}

/// A model with its loss: a function of parameters.
pub(super) struct Model<'a, F> {
    pub(super) params: Params<f64>,
    pub(super) loss: &'a F,
}

impl<F: for<'g> Fn(&'g Graph) -> Var<'g>> Target for Model<'_, F> {
    fn inputs(&self) -> &[AnyTensor<f64>] {
        &[]
    }

    fn params(&self) -> Option<&Params<f64>> {
        Some(&self.params)
    }

    fn record<'g>(&self, graph: &'g Graph, _inputs: &[Var<'g>]) -> Result<Vars<'g>, Error> {
        Ok(Vars::from_slice(&[(self.loss)(graph)]))
    }

    fn at(&self, _inputs: Vec<AnyTensor<f64>>) -> Box<dyn Target + '_> {
        Box::new(Model { params: self.params.clone(), loss: self.loss })
    }
}

/// A loss of inputs, at the given values: they are constants of the graph.
pub(super) fn at_inputs<T: Real, const N: usize>(
    inputs: [Data<'_, T>; N],
    loss: &impl for<'g> Fn(&'g Graph, [Var<'g>; N]) -> Var<'g>,
) -> impl for<'g> Fn(&'g Graph) -> Var<'g> {
    move |graph| {
        let constant = |input| match input {
            Data::Real(tensor) => graph.constant(tensor),
            Data::Index(tensor) => graph.index_constant(tensor),
        };
        loss(graph, inputs.map(constant))
    }
}
