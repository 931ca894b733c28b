//! The leaves of a graph: inputs, constants, parameters, random numbers.

use std::ops::Range;
use std::panic::Location;

use super::op::Meta;
use super::{Constant, Distribution, Graph, NodeId, Source, Value, Var, expect_shape, refuse};
use crate::params::Param;
use crate::real::Real;
use crate::shape::{IntoShape, Shape};
use crate::tensor::Tensor;

impl Graph {
    /// A real input whose value is fed by name at each run.
    ///
    /// # Panics
    /// If an input of that name exists, or the sizes are no valid [`Shape`].
    #[track_caller]
    pub fn input(&self, name: &str, shape: impl IntoShape) -> Var<'_> {
        self.named_input(name, Meta::real(expect_shape("input", &[], shape)), Location::caller())
    }

    /// An index input (classes, positions) whose value is fed by name at each run.
    ///
    /// # Panics
    /// As [`Graph::input`].
    #[track_caller]
    pub fn index_input(&self, name: &str, shape: impl IntoShape) -> Var<'_> {
        self.named_input(name, Meta::index(expect_shape("index_input", &[], shape)), Location::caller())
    }

    #[track_caller]
    fn named_input(&self, name: &str, meta: Meta, caller: &'static Location<'static>) -> Var<'_> {
        let number = {
            let mut tape = self.tape.borrow_mut();
            let (id, number) = (NodeId(tape.nodes.len() as u32), tape.inputs.len() as u32);
            if let Some(before) = tape.input_index.insert(name.to_owned(), number) {
                let line = tape.nodes[tape.inputs[before as usize].1.index()].location;
                panic!("an input named `{name}` exists already, declared at {line}");
            }
            tape.inputs.push((name.to_owned(), id));
            number
        };
        self.leaf(Source::Input(number), meta, caller)
    }

    /// A real constant.
    #[track_caller]
    pub fn constant<T: Real>(&self, value: &Tensor<T>) -> Var<'_> {
        if value.shape().rank() == 0 {
            return self.scalar(value.item().as_f64());
        }
        let number = self.add_constant(Constant::Real(value.cast()));
        self.leaf(Source::Constant(number), Meta::real(value.shape()), Location::caller())
    }

    /// A constant of indices.
    #[track_caller]
    pub fn index_constant(&self, value: &Tensor<i64>) -> Var<'_> {
        let number = self.add_constant(Constant::Index(value.clone()));
        self.leaf(Source::Constant(number), Meta::index(value.shape()), Location::caller())
    }

    /// A real scalar constant; equal constants are one node.
    #[track_caller]
    pub fn scalar(&self, value: f64) -> Var<'_> {
        if let Some(&value) = self.tape().scalars.get(&value.to_bits()) {
            return Var { graph: self, value };
        }
        let number = self.add_constant(Constant::Scalar(value));
        let var = self.leaf(Source::Constant(number), Meta::real(Shape::scalar()), Location::caller());
        self.tape.borrow_mut().scalars.insert(value.to_bits(), var.value);
        var
    }

    /// A constant of the given shape with all elements equal.
    ///
    /// # Panics
    /// If the sizes are no valid [`Shape`].
    #[track_caller]
    pub fn full(&self, shape: impl IntoShape, value: f64) -> Var<'_> {
        let shape = expect_shape("full", &[], shape);
        self.scalar(value).broadcast_to(shape)
    }

    /// A constant of zeros.
    ///
    /// # Panics
    /// If the sizes are no valid [`Shape`].
    #[track_caller]
    pub fn zeros(&self, shape: impl IntoShape) -> Var<'_> {
        let shape = expect_shape("zeros", &[], shape);
        self.full(shape, 0.0)
    }

    /// A constant of ones.
    ///
    /// # Panics
    /// If the sizes are no valid [`Shape`].
    #[track_caller]
    pub fn ones(&self, shape: impl IntoShape) -> Var<'_> {
        let shape = expect_shape("ones", &[], shape);
        self.full(shape, 1.0)
    }

    fn add_constant(&self, constant: Constant) -> u32 {
        let mut tape = self.tape.borrow_mut();
        tape.constants.push(constant);
        tape.constants.len() as u32 - 1
    }

    /// A parameter of a model. A parameter is one node, even if a model uses it several times.
    #[track_caller]
    pub fn param(&self, param: &Param) -> Var<'_> {
        let known = {
            let tape = self.tape();
            let substitute = tape.substitutes.iter().rev().find(|(_, of, _)| of == param).map(|&(.., value)| value);
            substitute.or_else(|| tape.param_index.get(param).copied())
        };
        if let Some(value) = known {
            return Var { graph: self, value };
        }
        let number = {
            let mut tape = self.tape.borrow_mut();
            let id = NodeId(tape.nodes.len() as u32);
            tape.params.push((param.clone(), id));
            tape.params.len() as u32 - 1
        };
        let var = self.leaf(Source::Param(number), Meta::real(param.shape()), Location::caller());
        self.tape.borrow_mut().param_index.insert(param.clone(), var.value);
        var
    }

    /// The parameters that the graph uses, in the order of their first use, with their variables.
    pub fn params(&self) -> Vec<(Param, Var<'_>)> {
        let var = |&(ref param, node): &(Param, NodeId)| {
            (param.clone(), Var { graph: self, value: Value { node, output: 0 } })
        };
        self.tape().params.iter().map(var).collect()
    }

    /// Random numbers, uniform in [0, 1), by the counter-based generator Philox4x32-10 (Salmon et al. 2011): a function
    /// of the seed and the step of a run, the number of the leaf and the index of the element.
    ///
    /// # Panics
    /// If the sizes are no valid [`Shape`].
    #[track_caller]
    pub fn uniform(&self, shape: impl IntoShape) -> Var<'_> {
        self.random(Distribution::Uniform, expect_shape("uniform", &[], shape), Location::caller())
    }

    /// Random numbers, normal with mean 0 and standard deviation 1, by the method of Box and Muller (1958); see
    /// [`Graph::uniform`] for the generator.
    ///
    /// # Panics
    /// If the sizes are no valid [`Shape`].
    #[track_caller]
    pub fn normal(&self, shape: impl IntoShape) -> Var<'_> {
        self.random(Distribution::Normal, expect_shape("normal", &[], shape), Location::caller())
    }

    /// Random numbers that are 1 with the given probability, else 0.
    ///
    /// # Panics
    /// If the probability is not within 0 and 1, or the sizes are no valid [`Shape`].
    #[track_caller]
    pub fn bernoulli(&self, probability: f64, shape: impl IntoShape) -> Var<'_> {
        if !(0.0..=1.0).contains(&probability) {
            refuse("bernoulli", &[], &format!("{probability} is not a probability"));
        }
        let shape = expect_shape("bernoulli", &[], shape);
        self.random(Distribution::Bernoulli(probability), shape, Location::caller())
    }

    /// Random indices, uniform in a half-open range. They do not depend on the precision.
    ///
    /// # Panics
    /// If the range is empty, or the sizes are no valid [`Shape`].
    ///
    /// # Example
    /// ```
    /// use gradus_graph::Graph;
    /// let graph = Graph::new();
    /// let dice = graph.randint(1..7, [100]);
    /// let outside = dice.to_real().less(1).logical_or(dice.to_real().greater(6));
    /// assert_eq!(graph.eval(outside.sum())?.item(), 0.0);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn randint(&self, range: Range<i64>, shape: impl IntoShape) -> Var<'_> {
        if range.is_empty() {
            refuse("randint", &[], &format!("there is no integer in {range:?}"));
        }
        let shape = expect_shape("randint", &[], shape);
        self.random(Distribution::Integers(range), shape, Location::caller())
    }

    fn random(&self, distribution: Distribution, shape: Shape, caller: &'static Location<'static>) -> Var<'_> {
        let meta = Meta { kind: distribution.kind(), shape };
        let number = {
            let mut tape = self.tape.borrow_mut();
            tape.randoms.push(distribution);
            tape.randoms.len() as u32 - 1
        };
        self.leaf(Source::Random(number), meta, caller)
    }

    /// A placeholder for a cotangent of the given shape, from which forward mode is derived.
    pub(crate) fn seed(&self, shape: Shape, caller: &'static Location<'static>) -> Var<'_> {
        self.leaf(Source::Seed, Meta::real(shape), caller)
    }
}
