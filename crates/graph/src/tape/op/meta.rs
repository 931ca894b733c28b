//! Kinds and shapes of values, and the signature of an op.

use smallvec::SmallVec;

use crate::shape::{IntoShape, Shape};

/// What the elements of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Real numbers, in the precision of the run. Booleans are the real numbers 0 and 1.
    Real,
    /// Integers, such as classes or positions; they have no derivative.
    Index,
}

/// Kind and shape of a value, which are known while a graph is built.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Real numbers or indices.
    pub kind: Kind,
    /// The sizes of the axes.
    pub shape: Shape,
}

impl Meta {
    /// A real value of the given shape.
    ///
    /// # Panics
    /// If the sizes are no valid [`Shape`]; a shape rule that computes sizes takes [`Shape::try_new`].
    #[track_caller]
    pub fn real(shape: impl IntoShape) -> Self {
        Self::new(Kind::Real, shape)
    }

    /// An index value of the given shape.
    ///
    /// # Panics
    /// As [`Meta::real`].
    #[track_caller]
    pub fn index(shape: impl IntoShape) -> Self {
        Self::new(Kind::Index, shape)
    }

    #[track_caller]
    fn new(kind: Kind, shape: impl IntoShape) -> Self {
        match shape.try_into_shape() {
            Ok(shape) => Self { kind, shape },
            Err(problem) => panic!("{problem}"),
        }
    }
}

/// Kinds and shapes of an op's outputs; usually one.
pub type Metas = SmallVec<[Meta; 1]>;

/// What an input of an op may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// Real numbers.
    Real,
    /// Indices.
    Index,
    /// Real numbers or indices.
    Any,
}

/// How many inputs an op takes, and of which kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// One input for each entry.
    Fixed(&'static [Accepts]),
    /// Any number of inputs, one at least.
    Variadic(Accepts),
}

impl Signature {
    /// Checks the number of the inputs, and their kinds.
    pub(crate) fn check(self, inputs: &[Meta]) -> Result<(), String> {
        let (count, fits) = match self {
            Self::Fixed(kinds) => (kinds.len(), inputs.len() == kinds.len()),
            Self::Variadic(_) => (1, !inputs.is_empty()),
        };
        if !fits {
            let least = if matches!(self, Self::Fixed(_)) { "" } else { "at least " };
            let plural = if count == 1 { "" } else { "s" };
            return Err(format!("takes {least}{count} input{plural}, not {}", inputs.len()));
        }
        let accepts = |number: usize| match self {
            Self::Fixed(kinds) => kinds[number],
            Self::Variadic(all) => all,
        };
        inputs.iter().enumerate().try_for_each(|(number, input)| match (accepts(number), input.kind) {
            (Accepts::Real, Kind::Index) => {
                Err("expects real numbers where an index was given (`to_real` converts)".into())
            }
            (Accepts::Index, Kind::Real) => Err("expects indices where real numbers were given".into()),
            _ => Ok(()),
        })
    }
}
