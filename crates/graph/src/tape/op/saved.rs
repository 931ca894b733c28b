//! How an op is written to a file and read again: a name, a version and attributes; and the ops that a program knows.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{AnyOp, Number, Op, Vars};
use crate::error::{Error, ErrorKind};
use crate::kernel::convolution::Convolution;
use crate::shape::{AxisRange, Shape, Window};
use crate::tape::{Graph, Var};

/// The value of an attribute of an op, as a file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// An integer.
    Integer(i128),
    /// True or false.
    Flag(bool),
    /// A text, or a [`Number`] in the shortest decimal form that gives its bits.
    Text(String),
    /// Several values.
    List(Vec<Attribute>),
}

/// A type that an op may have as an attribute in a file: integers, `bool`, [`Number`], `String`, [`Shape`], and lists of
/// these.
pub trait AttributeValue: Sized {
    /// The value for a file.
    fn save(&self) -> Attribute;

    /// The value from a file, if it is one of this type.
    fn load(attribute: &Attribute) -> Option<Self>;
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl AttributeValue for $integer {
            fn save(&self) -> Attribute {
                Attribute::Integer(*self as i128)
            }

            fn load(attribute: &Attribute) -> Option<Self> {
                if let Attribute::Integer(value) = attribute { Self::try_from(*value).ok() } else { None }
            }
        }
    )*};
}

integers!(i32, i64, isize, u32, u64, usize);

impl AttributeValue for bool {
    fn save(&self) -> Attribute {
        Attribute::Flag(*self)
    }

    fn load(attribute: &Attribute) -> Option<Self> {
        if let Attribute::Flag(value) = attribute { Some(*value) } else { None }
    }
}

impl AttributeValue for String {
    fn save(&self) -> Attribute {
        Attribute::Text(self.clone())
    }

    fn load(attribute: &Attribute) -> Option<Self> {
        if let Attribute::Text(text) = attribute { Some(text.clone()) } else { None }
    }
}

/// What the bits of a NaN begin with, of which there are many.
const BITS: &str = "0x";

impl AttributeValue for Number {
    fn save(&self) -> Attribute {
        let Self(value) = self;
        Attribute::Text(if value.is_nan() { format!("{BITS}{:x}", value.to_bits()) } else { format!("{value:?}") })
    }

    fn load(attribute: &Attribute) -> Option<Self> {
        let Attribute::Text(text) = attribute else { return None };
        match text.strip_prefix(BITS) {
            Some(bits) => u64::from_str_radix(bits, 16).ok().map(|bits| Self(f64::from_bits(bits))),
            None => text.parse().ok().map(Self),
        }
    }
}

fn save_list<'a, A: AttributeValue + 'a>(list: impl IntoIterator<Item = &'a A>) -> Attribute {
    Attribute::List(list.into_iter().map(A::save).collect())
}

fn load_list<A: AttributeValue, L: FromIterator<A>>(attribute: &Attribute) -> Option<L> {
    if let Attribute::List(list) = attribute { list.iter().map(A::load).collect() } else { None }
}

impl<A: AttributeValue> AttributeValue for Vec<A> {
    fn save(&self) -> Attribute {
        save_list(self)
    }

    fn load(attribute: &Attribute) -> Option<Self> {
        load_list(attribute)
    }
}

impl<A: AttributeValue, const N: usize> AttributeValue for SmallVec<[A; N]> {
    fn save(&self) -> Attribute {
        save_list(self)
    }

    fn load(attribute: &Attribute) -> Option<Self> {
        load_list(attribute)
    }
}

impl<A: AttributeValue, const N: usize> AttributeValue for [A; N] {
    fn save(&self) -> Attribute {
        save_list(self)
    }

    fn load(attribute: &Attribute) -> Option<Self> {
        load_list::<A, Vec<A>>(attribute)?.try_into().ok()
    }
}

impl AttributeValue for Shape {
    fn save(&self) -> Attribute {
        save_list(self.iter())
    }

    fn load(attribute: &Attribute) -> Option<Self> {
        Self::try_new(load_list::<usize, Vec<usize>>(attribute)?).ok()
    }
}

/// The fields of a struct, as a list in this order.
macro_rules! fields {
    ($record:ident { $first:ident $(, $field:ident)* }) => {
        impl crate::tape::op::saved::AttributeValue for $record {
            fn save(&self) -> crate::tape::op::saved::Attribute {
                crate::tape::op::saved::Attribute::List(vec![self.$first.save() $(, self.$field.save())*])
            }

            fn load(attribute: &crate::tape::op::saved::Attribute) -> Option<Self> {
                use crate::tape::op::saved::{Attribute, AttributeValue};
                let Attribute::List(list) = attribute else { return None };
                let [$first $(, $field)*] = &list[..] else { return None };
                Some(Self { $first: AttributeValue::load($first)? $(, $field: AttributeValue::load($field)?)* })
            }
        }
    };
}

pub(crate) use fields;

fields!(Window { size, stride, dilation });
fields!(AxisRange { start, step, count });

impl AttributeValue for Convolution {
    fn save(&self) -> Attribute {
        let Self { stride, padding, dilation, groups } = self;
        Attribute::List(vec![stride.save(), padding.save(), dilation.save(), groups.save()])
    }

    fn load(attribute: &Attribute) -> Option<Self> {
        let Attribute::List(list) = attribute else { return None };
        let [stride, padding, dilation, groups] = &list[..] else { return None };
        // The kernels refuse steps that take a place beyond what can be counted.
        let [stride, dilation]: [[u32; 2]; 2] = [AttributeValue::load(stride)?, AttributeValue::load(dilation)?];
        let [stride, dilation] = [stride, dilation].map(|steps| steps.map(|step| step as usize));
        Some(Self { stride, padding: AttributeValue::load(padding)?, dilation, groups: usize::load(groups)? })
    }
}

/// The attributes of an op by name.
///
/// # Example
/// ```
/// use gradus_graph::Attributes;
/// let attributes = Attributes::new().with("axis", &2_usize);
/// assert_eq!(attributes.get("axis"), Ok(2_usize));
/// assert_eq!(attributes.get::<bool>("keep"), Err("attribute `keep` is missing".to_owned()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(String, Attribute)>);

impl Attributes {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: &impl AttributeValue) -> Self {
        self.0.push((name.to_owned(), value.save()));
        self
    }

    /// The attribute of that name.
    ///
    /// # Errors
    /// If there is none, or it has another type: the message names it.
    pub fn get<A: AttributeValue>(&self, name: &str) -> Result<A, String> {
        let (_, attribute) =
            (self.0.iter().find(|(other, _)| other == name)).ok_or_else(|| format!("attribute `{name}` is missing"))?;
        A::load(attribute).ok_or_else(|| format!("attribute `{name}` has a value that it cannot have"))
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Attribute)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl FromIterator<(String, Attribute)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (String, Attribute)>>(attributes: I) -> Self {
        Self(attributes.into_iter().collect())
    }
}

/// An op that can be written to a file, such as that of a model, and read by a program that has it in its [`Ops`].
/// [`saved_op!`](crate::saved_op) implements it from a name and a list of fields.
pub trait SavedOp: Op + Sized {
    /// The name in a file; it is that of no other op.
    const SAVED_AS: &'static str;
    /// The version in a file: it grows when the meaning of the op or of its attributes changes.
    const VERSION: u32 = 1;

    /// The attributes from which [`SavedOp::from_attributes`] makes an equal op.
    fn attributes(&self) -> Attributes;

    /// The op of these attributes. `version` is that of the file, at most [`SavedOp::VERSION`].
    ///
    /// # Errors
    /// If the attributes are not those of such an op.
    fn from_attributes(attributes: &Attributes, version: u32) -> Result<Self, String>;
}

/// [`saved_op!`](crate::saved_op) for the ops of a file, and a function `saved` that adds them to a list.
macro_rules! saved_ops {
    ($($name:literal: $op:ty { $($field:tt),* }),* $(,)?) => {
        $(saved_op!($name: $op { $($field),* });)*

        /// Adds the ops that files may hold.
        pub(super) fn saved(ops: crate::tape::op::saved::Ops) -> crate::tape::op::saved::Ops {
            ops$(.with::<$op>())*
        }
    };
}

pub(crate) use saved_ops;

/// How an op of one type is written and read.
#[derive(Clone, Copy)]
struct Entry {
    version: u32,
    of: TypeId,
    attributes: fn(&dyn Any) -> Option<Attributes>,
    apply: for<'g> fn(&Attributes, u32, &'g Graph, &[Var<'g>]) -> Result<Vars<'g>, Error>,
}

/// The ops that a program can write to files and read from them, by their names.
///
/// # Example
/// ```
/// use gradus_graph::Ops;
/// assert!(Ops::builtin().names().any(|name| name == "matmul"));
/// ```
#[derive(Clone, Default)]
pub struct Ops {
    by_name: BTreeMap<&'static str, Entry>,
    by_type: FxHashMap<TypeId, &'static str>,
}

/// The names of what is no op in the description of a graph.
pub(crate) const LEAVES: [&str; 4] = ["input", "parameter", "constant", "random"];

impl Ops {
    /// Adds an op.
    ///
    /// # Panics
    /// If another op has its name.
    #[must_use]
    #[track_caller]
    pub fn with<O: SavedOp>(mut self) -> Self {
        let entry = Entry {
            version: O::VERSION,
            of: TypeId::of::<O>(),
            attributes: |op| op.downcast_ref::<O>().map(O::attributes),
            apply: apply::<O>,
        };
        self.insert(O::SAVED_AS, entry, std::any::type_name::<O>());
        self
    }

    #[track_caller]
    fn insert(&mut self, name: &'static str, entry: Entry, type_name: &str) {
        let before = self.by_name.insert(name, entry);
        let taken = LEAVES.contains(&name) || before.is_some_and(|before| before.of != entry.of);
        assert!(!taken, "`Ops::with`: an op named `{name}` is there already; {type_name} needs another name");
        self.by_type.insert(entry.of, name);
    }

    /// The names of the ops.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }

    /// Whether an op is known.
    pub(crate) fn has(&self, op: &dyn AnyOp) -> bool {
        self.by_type.contains_key(&op.as_any().type_id())
    }

    /// Name, version and attributes of an op that is known.
    pub(crate) fn find(&self, op: &dyn AnyOp) -> Option<(&'static str, u32, Attributes)> {
        let name = *self.by_type.get(&op.as_any().type_id())?;
        let entry = &self.by_name[name];
        Some((name, entry.version, (entry.attributes)(op.as_any())?))
    }

    /// Appends a node for an op that was read.
    ///
    /// # Errors
    /// If no op has the name, its version is a later one, the attributes are not those of such an op, or it does not
    /// accept the inputs.
    pub(crate) fn apply<'g>(
        &self,
        (name, version, attributes): (&str, u32, &Attributes),
        graph: &'g Graph,
        inputs: &[Var<'g>],
    ) -> Result<Vars<'g>, Error> {
        let unknown = |problem: String| Err(Error::new(ErrorKind::Description, problem));
        match self.by_name.get(name) {
            None => unknown(format!("the op `{name}` is unknown; `Ops::with` adds one that is not built in")),
            Some(entry) if version > entry.version || version == 0 => {
                unknown(format!("the op `{name}` has version {version}; this program knows it up to {}", entry.version))
            }
            Some(entry) => (entry.apply)(attributes, version, graph, inputs),
        }
    }
}

fn apply<'g, O: SavedOp>(
    attributes: &Attributes,
    version: u32,
    graph: &'g Graph,
    inputs: &[Var<'g>],
) -> Result<Vars<'g>, Error> {
    let op = O::from_attributes(attributes, version).map_err(|problem| fault(O::SAVED_AS, &problem))?;
    if version == O::VERSION {
        check_count(O::SAVED_AS, attributes, &op.attributes())?;
    }
    graph.apply(op, inputs)
}

fn fault(name: &str, problem: &str) -> Error {
    Error::new(ErrorKind::Description, format!("the op `{name}`: {problem}"))
}

/// Checks that no attribute was given that the op does not have.
fn check_count(name: &str, given: &Attributes, known: &Attributes) -> Result<(), Error> {
    match (given.0.len(), known.0.len()) {
        (given, known) if given == known => Ok(()),
        (given, known) => Err(fault(name, &format!("{given} attributes were given, where it has {known}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_bits() {
        let strange = [0.1, -0.0, f64::MIN_POSITIVE / 8.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, 1e22];
        let nans = [0x7ff8_0000_0000_0000, 0xfff0_0000_0000_0001].map(f64::from_bits);
        for value in strange.into_iter().chain(nans) {
            assert_eq!(Number::load(&Number(value).save()), Some(Number(value)));
        }
        for text in ["", "one", "0x", "0xg", "1,5"] {
            assert_eq!(Number::load(&Attribute::Text(text.to_owned())), None, "{text}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_none() {
        assert_eq!(u32::load(&Attribute::Integer(-1)), None);
        assert_eq!(u64::load(&u64::MAX.save()), Some(u64::MAX));
        assert_eq!(<[usize; 2]>::load(&vec![1_usize, 2, 3].save()), None);
        assert_eq!(Shape::load(&vec![1_usize << 40, 1 << 40].save()), None);
        assert_eq!(bool::load(&Attribute::Integer(1)), None);
        let window = Window { size: 3, stride: 2, dilation: 1 };
        assert_eq!(Window::load(&window.save()), Some(window));
        assert_eq!(Window::load(&vec![3_usize, 2].save()), None);
        let far = Convolution { stride: [1 << 40, 1], ..Convolution::default() };
        assert_eq!(Convolution::load(&far.save()), None);
        assert_eq!(Convolution::load(&Convolution::default().save()), Some(Convolution::default()));
    }

    /// Of the name of a built-in op.
    #[derive(Debug, PartialEq, Eq, Hash)]
    struct Second;

    impl crate::Pointwise for Second {
        const NAME: &'static str = "second";

        fn value<T: crate::Real>(&self, x: &[T]) -> T {
            x[0]
        }

        fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
            x[0]
        }
    }

    crate::saved_op!("matmul": Second {});

    #[test]
    #[should_panic(expected = "an op named `matmul` is there already")]
    fn a_name_is_that_of_one_op() {
        let _ = Ops::builtin().with::<Second>();
    }
}
