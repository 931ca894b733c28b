//! The macro that says how an op is written to files. It comes before the other modules, which use it.

/// Implements [`SavedOp`](crate::SavedOp) for an op: its name in files, and its fields, each an
/// [`AttributeValue`](crate::AttributeValue).
///
/// # Example
/// ```
/// use gradus_graph::{Number, Ops, Pointwise, Real, Var, saved_op};
///
/// /// x + sin²(a·x)/a
/// #[derive(Debug, PartialEq, Eq, Hash)]
/// struct Snake {
///     a: Number,
/// }
///
/// impl Pointwise for Snake {
///     const NAME: &'static str = "snake";
///     fn value<T: Real>(&self, x: &[T]) -> T {
///         let sine = (self.a.real::<T>() * x[0]).sin();
///         x[0] + sine * sine / self.a.real()
///     }
///     fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
///         (x[0] * (2.0 * self.a.0)).sin() + 1.0
///     }
/// }
///
/// saved_op!("my_crate.snake": Snake { a });
/// let ops = Ops::builtin().with::<Snake>();
/// ```
#[macro_export]
macro_rules! saved_op {
    ($name:literal: $op:ty { $($field:tt),* $(,)? }) => {
        impl $crate::SavedOp for $op {
            const SAVED_AS: &'static str = $name;

            fn attributes(&self) -> $crate::Attributes {
                $crate::Attributes::new()$(.with(::std::stringify!($field), &self.$field))*
            }

            fn from_attributes(
                attributes: &$crate::Attributes,
                _version: u32,
            ) -> ::std::result::Result<Self, ::std::string::String> {
                let _ = attributes;
                ::std::result::Result::Ok(Self { $($field: attributes.get(::std::stringify!($field))?),* })
            }
        }
    };
}
