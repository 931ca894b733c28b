//! Integer arithmetic of indices, without derivatives. Overflow of 64 bits is an error of the run.

use crate::real::Real;
use crate::shape::unravel;
use crate::tape::op::{Accepts, Attributes, Form, Meta, Metas, Op, Ops, SavedOp, Signature, Work};
use crate::tape::{Operand, Var};

/// An operation on two indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Integer {
    Add,
    Sub,
    Mul,
    FloorDiv,
    Modulo,
}

impl Integer {
    fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::FloorDiv => "//",
            Self::Modulo => "mod",
        }
    }

    fn value(self, x: i64, y: i64) -> Option<i64> {
        // Whether the remainder and the divisor have different signs: then truncation has rounded up.
        let rounded_up = |rest: i64| rest != 0 && (rest < 0) != (y < 0);
        match self {
            Self::Add => x.checked_add(y),
            Self::Sub => x.checked_sub(y),
            Self::Mul => x.checked_mul(y),
            Self::FloorDiv => Some(x.checked_div(y)? - i64::from(rounded_up(x % y))),
            Self::Modulo if y == -1 => Some(0),
            Self::Modulo => x.checked_rem(y).map(|rest| if rounded_up(rest) { rest + y } else { rest }),
        }
    }
}

impl Op for Integer {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Index, Accepts::Index]);

    fn name(&self) -> &'static str {
        match self {
            Self::Add => "integer_add",
            Self::Sub => "integer_sub",
            Self::Mul => "integer_mul",
            Self::FloorDiv => "floor_div",
            Self::Modulo => "modulo",
        }
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        if inputs[0].shape != inputs[1].shape {
            return Err("the shapes differ (broadcast them first)".into());
        }
        Ok(smallvec::smallvec![inputs[0].clone()])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (x, y) = (work.inputs[0].index(), work.inputs[1].index());
        for (element, (out, (&x, &y))) in work.outputs[0].index().iter_mut().zip(x.iter().zip(y)).enumerate() {
            let fault = || {
                let position = unravel(element, &work.input_shapes[0]);
                format!("{x} {} {y} at position {position:?} is no 64-bit integer", self.sign())
            };
            *out = self.value(x, y).ok_or_else(fault)?;
        }
        Ok(())
    }
}

impl<'g> Var<'g> {
    /// The operation on this index and another, after broadcasting both.
    #[track_caller]
    pub(super) fn integer(self, op: Integer, other: Var<'g>) -> Var<'g> {
        let (x, y) = self.broadcast_with(op.name(), other);
        self.graph().call(op, &[x, y])
    }

    /// The quotient of two indices rounded down, `⌊x/y⌋`, as Python's `//`. A divisor of 0 is an error of the run.
    ///
    /// # Panics
    /// If a variable is real, or the shapes do not broadcast.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let position = graph.index_constant(&Tensor::from([7, -7]));
    /// let (row, column) = (position.floor_div(3), position.modulo(3));
    /// assert_eq!(graph.eval(row.to_real())?.data(), [2.0, -3.0]);
    /// assert_eq!(graph.eval((row * 3 + column).to_real())?.data(), [7.0, -7.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn floor_div(self, divisor: impl Operand<'g>) -> Var<'g> {
        self.integer(Integer::FloorDiv, divisor.operand_of(self))
    }

    /// The remainder of [`Var::floor_div`], `x − y·⌊x/y⌋`, which has the sign of the divisor, as Python's `%`. A
    /// divisor of 0 is an error of the run.
    ///
    /// # Panics
    /// If a variable is real, or the shapes do not broadcast.
    #[track_caller]
    pub fn modulo(self, divisor: impl Operand<'g>) -> Var<'g> {
        self.integer(Integer::Modulo, divisor.operand_of(self))
    }
}

impl SavedOp for Integer {
    const SAVED_AS: &'static str = "integer";

    fn attributes(&self) -> Attributes {
        Attributes::new().with("sign", &self.sign().to_owned())
    }

    fn from_attributes(attributes: &Attributes, _version: u32) -> Result<Self, String> {
        let sign: String = attributes.get("sign")?;
        let all = [Self::Add, Self::Sub, Self::Mul, Self::FloorDiv, Self::Modulo];
        all.into_iter().find(|op| op.sign() == sign).ok_or_else(|| format!("no arithmetic has the sign `{sign}`"))
    }
}

/// Adds the op that files may hold.
pub(super) fn saved(ops: Ops) -> Ops {
    ops.with::<Integer>()
}

#[cfg(any(test, feature = "proptest"))]
pub(super) fn entries() -> Vec<crate::check::Entry> {
    use crate::check::strategies::{indices, shape};
    use crate::check::{Entry, Sample};
    use proptest::prelude::*;

    let samples = |op: Integer| {
        shape(4).prop_flat_map(move |shape| {
            (indices(shape.clone(), 9), indices(shape, 9)).prop_map(move |(x, y)| {
                // On both sides of 0, and the second never 0.
                let (x, y) = (x.map(|x| x - 4), y.map(|y| if *y < 4 { y - 4 } else { y - 3 }));
                Sample::new(op, [x.into(), y.into()])
            })
        })
    };
    vec![
        Entry::new("integer_add", "`x + y` of indices", samples(Integer::Add)),
        Entry::new("integer_sub", "`x − y` of indices", samples(Integer::Sub)),
        Entry::new("integer_mul", "`x · y` of indices", samples(Integer::Mul)),
        Entry::new("floor_div", "`⌊x / y⌋` of indices", samples(Integer::FloorDiv)),
        Entry::new("modulo", "`x − y · ⌊x / y⌋` of indices", samples(Integer::Modulo)),
    ]
}

#[cfg(test)]
mod tests {
    use super::Integer;
    use crate::error::ErrorKind;
    use crate::params::Params;
    use crate::plan::{Feed, Plan};
    use crate::tape::{Graph, Var};
    use crate::tensor::Tensor;

    /// By a plan, compared with evaluation node by node.
    fn value(x: Var<'_>) -> Vec<i64> {
        let (params, feed) = (Params::<f32>::new(0), Feed::new());
        let plain = x.graph().eval_with(&[x], &params, &feed).unwrap()[0].index().clone();
        let mut session = Plan::new(x.graph(), &[x]).unwrap().session();
        assert_eq!(session.run(&params, &feed).unwrap().indices(0), &plain);
        plain.into_vec()
    }

    #[test]
    fn operators_with_integers_and_each_other() {
        let graph = Graph::new();
        let x = graph.index_constant(&Tensor::from([1_i64, 2, 3]));
        let mut y = x * 2 - 1;
        y += x;
        assert_eq!(value(y), [2, 5, 8]);
        assert_eq!(value(10 - x), [9, 8, 7]);
        assert_eq!(value(-x + 5_usize), [4, 3, 2]);
        assert_eq!(value([x, x, y].iter().sum::<Var<'_>>()), [4, 9, 14]);
        assert_eq!(value(x.unsqueeze(1) * x).len(), 9);
        let large = graph.index_constant(&Tensor::scalar((1 << 53) + 1));
        assert_eq!(value(large + 2_i64), [(1 << 53) + 3]);
    }

    #[test]
    fn quotients_are_pythons() {
        for (x, y, quotient, rest) in [(7, 3, 2, 1), (-7, 3, -3, 2), (7, -3, -3, -2), (-7, -3, 2, -1), (6, -3, -2, 0)] {
            assert_eq!((Integer::FloorDiv.value(x, y), Integer::Modulo.value(x, y)), (Some(quotient), Some(rest)));
        }
        assert_eq!(Integer::FloorDiv.value(i64::MIN, -1), None);
        assert_eq!(Integer::Modulo.value(i64::MIN, -1), Some(0));
        assert_eq!((Integer::FloorDiv.value(1, 0), Integer::Modulo.value(1, 0)), (None, None));
    }

    #[test]
    fn what_is_no_integer_is_an_error_of_the_run() {
        let graph = Graph::new();
        let x = graph.index_constant(&Tensor::from([1, i64::MAX]));
        let faults = [
            (x + 1, "9223372036854775807 + 1 at position [1] is no 64-bit integer"),
            (x.floor_div(x - x), "1 // 0 at position [0] is no 64-bit integer"),
        ];
        for (y, message) in faults {
            let mut session = Plan::new(&graph, &[y]).unwrap().session::<f64>();
            let error = session.run(&Params::new(0), &Feed::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Run);
            assert!(error.to_string().ends_with(message), "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "`add` of [1] and [1]: expects real numbers where an index was given")]
    fn indices_and_real_numbers_do_not_mix() {
        let graph = Graph::new();
        let _ = graph.index_constant(&Tensor::from([1])) + graph.zeros([1]);
    }

    #[test]
    #[should_panic(expected = "`add` of [1] and [1]: expects real numbers where an index was given")]
    fn a_real_number_beside_an_index_is_refused() {
        let graph = Graph::new();
        let _ = graph.index_constant(&Tensor::from([1])) + 0.5;
    }

    #[test]
    #[should_panic(expected = "`floor_div` of [1] and [1]: expects indices where real numbers were given")]
    fn quotients_are_of_indices() {
        Graph::new().zeros([1]).floor_div(2);
    }
}
