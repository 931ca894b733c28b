//! Errors of this crate.

use std::fmt;
use std::panic::Location;

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An op does not accept its inputs.
    Op,
    /// A derivative does not exist.
    Derivative,
    /// The data that was fed does not fit what the graph declares.
    Feed,
    /// A run failed for a reason that depends on values, such as an index that is out of range.
    Run,
    /// Anomaly mode found a NaN or an infinity.
    Anomaly,
    /// Parameters of a store do not fit an operation on them.
    Params,
    /// An op or a graph cannot be described for a file, or a description does not make a graph.
    Description,
    /// A graph is too large to be drawn.
    Picture,
}

/// An error: a message with the op, the shapes and the line of the caller.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// The line of the caller, where the message does not name it.
    line: Option<&'static Location<'static>>,
}

impl Error {
    /// An error with the given message, for code that builds on graphs.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), line: None }
    }

    /// The error of a call at a line.
    pub(crate) fn at(kind: ErrorKind, message: String, line: &'static Location<'static>) -> Self {
        Self { kind, message, line: Some(line) }
    }

    /// Panics with the message, for methods that return no `Result`. It names the line only if that is another than the
    /// one that Rust prints.
    #[track_caller]
    pub fn panic(self) -> ! {
        match self.line {
            Some(line) if line != Location::caller() => panic!("{self}"),
            _ => panic!("{}", self.message),
        }
    }

    /// The kind of an error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} (at {line})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl fmt::Debug for Error {
    /// The message itself, which is printed by a `main` that returns the error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// The panics of tests.
#[cfg(test)]
pub(crate) mod testing {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
    use std::sync::Once;

    thread_local! {
        /// File and line of the last panic of this thread.
        static LINE: Cell<Option<(String, u32)>> = const { Cell::new(None) };
    }

    /// The message that a closure panics with, and the file and line that Rust prints.
    pub(crate) fn panic_of(refused: impl FnOnce()) -> (String, (String, u32)) {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let usual = take_hook();
            set_hook(Box::new(move |info| {
                LINE.set(info.location().map(|line| (line.file().to_owned(), line.line())));
                usual(info);
            }));
        });
        let panic = catch_unwind(AssertUnwindSafe(refused)).expect_err("it is refused");
        let message = *panic.downcast::<String>().expect("a formatted message");
        (message, LINE.take().expect("the hook has seen it"))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::panic_of;
    use crate::tape::Graph;
    use crate::tape::op::{Accepts, Meta, Metas, Op, Signature};

    const HUGE: [usize; 2] = [usize::MAX; 2];

    /// An op that accepts no input.
    #[derive(Debug, PartialEq, Eq, Hash)]
    struct Nothing;

    impl Op for Nothing {
        const INPUTS: Signature = Signature::Fixed(&[Accepts::Any]);

        fn name(&self) -> &'static str {
            "nothing"
        }

        fn infer(&self, _inputs: &[Meta]) -> Result<Metas, String> {
            Err("no input fits".into())
        }
    }

    /// The text names a line only if Rust prints another one.
    #[test]
    #[rustfmt::skip]
    fn a_panic_names_its_line_once() {
        let graph = Graph::new();
        let x = graph.zeros([2, 3]);
        let first = line!();
        let refused: [&dyn Fn(); 3] = [
            &|| _ = x.matmul(x),
            &|| _ = graph.call(Nothing, &[x]),
            &|| _ = graph.input("", HUGE),
        ];
        for (refused, line) in refused.into_iter().zip(first + 2..) {
            let (message, place) = panic_of(refused);
            assert_eq!(place, (file!().to_owned(), line), "{message}");
            assert!(!message.contains("(at "), "{message}");
        }
        // That of a guard is another line than that of the panic.
        let guarded = line!() + 1;
        let _line = graph.at_line(std::panic::Location::caller());
        let (message, place) = panic_of(|| _ = graph.call(Nothing, &[x]));
        assert_eq!(place, (file!().to_owned(), guarded + 1));
        assert!(message.starts_with("`nothing` of [2, 3]: no input fits (at "), "{message}");
        assert!(message.contains(&format!("error.rs:{guarded}:")), "{message}");
        let error = graph.apply(Nothing, &[x]).unwrap_err().to_string();
        assert_eq!(error, message);
    }
}
