//! A function that a closure traces on a graph, compiled with the derivatives that a method asks for.

use gradus_graph::{Error, Feed, Graph, Param, Params, Plan, Real, Session, Tensor, Var};

use crate::jacobian::Jacobian;
use crate::slope::Slope;

/// What is computed at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The function.
    Value,
    /// The function, a scalar, and its gradient.
    Gradient,
    /// The product of the Hessian of a scalar function with a direction.
    HessianProduct,
    /// The Jacobian by each parameter.
    Jacobian,
    /// The product of the Jacobian with a direction.
    Forward,
    /// The product of a cotangent with the Jacobian.
    Backward,
}

/// A function of the trainable parameters that its trace reads.
pub(crate) struct Traced<T> {
    wrt: Vec<Param>,
    /// The names of the inputs that a direction is fed to, one for each parameter.
    directions: Vec<String>,
    session: Session<T>,
}

/// The name of the input for the cotangent of the residuals.
const COTANGENT: &str = "cotangent";

impl<T: Real> Traced<T> {
    /// Traces once, and compiles what is wanted, each by itself.
    #[track_caller]
    pub(crate) fn new<const N: usize>(
        params: &Params<T>,
        trace: impl for<'g> FnOnce(&'g Graph) -> Var<'g>,
        wanted: [Wanted; N],
    ) -> Result<[Self; N], Error> {
        let graph = Graph::new();
        let y = trace(&graph);
        let trainable = |(param, _): &(Param, Var<'_>)| params.contains(param) && params.is_trainable(param);
        let (wrt, vars): (Vec<Param>, Vec<Var<'_>>) = graph.params().into_iter().filter(trainable).unzip();
        let mut compiled = Vec::with_capacity(N);
        for wanted in wanted {
            compiled.push(Self::compile(y, &wrt, &vars, wanted)?);
        }
        Ok(compiled.try_into().unwrap_or_else(|_| unreachable!("one is compiled for each that is wanted")))
    }

    /// Compiles one of them.
    #[track_caller]
    fn compile(y: Var<'_>, wrt: &[Param], vars: &[Var<'_>], wanted: Wanted) -> Result<Self, Error> {
        let graph = y.graph();
        let directed = matches!(wanted, Wanted::HessianProduct | Wanted::Forward);
        let directions: Vec<String> =
            wrt.iter().filter(|_| directed).map(|param| format!("direction of {}", param.name())).collect();
        let tangents: Vec<Var<'_>> =
            directions.iter().zip(vars).map(|(name, var)| graph.input(name, var.shape())).collect();
        let mut outputs = Vec::new();
        match wanted {
            Wanted::Value => outputs.push(y),
            Wanted::Gradient => {
                outputs.push(y);
                outputs.extend(graph.grad_or_zeros(y, vars)?);
            }
            Wanted::HessianProduct => outputs.extend(graph.hvp(y, vars, &tangents)?),
            Wanted::Jacobian => {
                for &var in vars {
                    outputs.push(graph.jacobian(y, var)?);
                }
            }
            Wanted::Forward => outputs.extend(graph.jvp(&[y], vars, &tangents)?),
            Wanted::Backward => outputs.extend(graph.vjp(&[y], &[graph.input(COTANGENT, y.shape())], vars)?),
        }
        Ok(Self { wrt: wrt.to_vec(), directions, session: Plan::new(graph, &outputs)?.session() })
    }

    /// The value.
    pub(crate) fn value(&mut self, params: &Params<T>) -> Result<Tensor<T>, Error> {
        Ok(self.session.run(params, &Feed::new())?.real(0).clone())
    }

    /// The value, and the gradient into `slope`.
    pub(crate) fn gradient(&mut self, params: &Params<T>, slope: &mut Slope<'_>) -> Result<T, Error> {
        let outputs = self.session.run(params, &Feed::new())?;
        slope.set(self.wrt.iter().zip(outputs.all()[1..].iter().map(|gradient| gradient.real())));
        Ok(outputs.real(0).item())
    }

    /// The Jacobian.
    pub(crate) fn jacobian(&mut self, params: &Params<T>, jacobian: &mut Jacobian<'_>) -> Result<(), Error> {
        let outputs = self.session.run(params, &Feed::new())?;
        let blocks = self.wrt.iter().zip(outputs.all());
        blocks.for_each(|(param, block)| jacobian.set(param, block.real()));
        Ok(())
    }

    /// The product of the Hessian with a direction, into `slope`.
    pub(crate) fn hessian_product(
        &mut self,
        params: &Params<T>,
        direction: &Params<T>,
        slope: &mut Slope<'_>,
    ) -> Result<(), Error> {
        let feed = directed(&self.directions, &self.wrt, direction);
        let outputs = self.session.run(params, &feed)?;
        slope.set(self.wrt.iter().zip(outputs.all().iter().map(|product| product.real())));
        Ok(())
    }

    /// The product of the Jacobian with a direction.
    pub(crate) fn forward(&mut self, params: &Params<T>, direction: &Params<T>) -> Result<Tensor<T>, Error> {
        let feed = directed(&self.directions, &self.wrt, direction);
        Ok(self.session.run(params, &feed)?.real(0).clone())
    }

    /// The product of a cotangent with the Jacobian, into `slope`.
    pub(crate) fn backward(
        &mut self,
        params: &Params<T>,
        cotangent: &Tensor<T>,
        slope: &mut Slope<'_>,
    ) -> Result<(), Error> {
        let outputs = self.session.run(params, &Feed::new().with(COTANGENT, cotangent))?;
        slope.set(self.wrt.iter().zip(outputs.all().iter().map(|product| product.real())));
        Ok(())
    }
}

fn directed<'a, T: Real>(names: &'a [String], wrt: &[Param], direction: &'a Params<T>) -> Feed<'a, T> {
    names.iter().zip(wrt).fold(Feed::new(), |feed, (name, param)| feed.with(name, direction.get(param)))
}
