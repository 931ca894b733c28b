//! The result of a check: the verdict of each method, and a failure that can be acted on.

use std::fmt;

use super::derivatives::{Finding, INPUT};
use crate::tensor::AnyTensor;

/// A method by which a derivative, or the execution that computes it, is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// There is a derivative of the orders that are asked for, and the function runs.
    Existence,
    /// The gradient against differences of the function.
    Differences,
    /// The derivative of the gradient against differences of the gradient.
    SecondOrder,
    /// `⟨u, J·v⟩ = ⟨Jᵀ·u, v⟩`: forward against reverse mode.
    ForwardMode,
    /// The vjp is linear in the cotangent, and 0 for a cotangent of 0.
    Linearity,
    /// What is left after the Taylor polynomial falls with the power that is due.
    Taylor,
    /// `⟨v, H·w⟩ = ⟨w, H·v⟩`.
    Symmetry,
    /// The op's kernel and vjp against its definition in other ops.
    Expansion,
    /// The compiled plan against plain evaluation, bit for bit.
    Plan,
    /// `f32` against `f64`, values, gradients and modes.
    SinglePrecision,
    /// A second run and other numbers of threads give the same bits, and nothing writes to an input.
    Repetition,
    /// A second run allocates nothing; asked where [`CountingAllocator`](super::CountingAllocator) is installed.
    Allocation,
    /// Inputs lie within the domain, and there values and derivatives are numbers.
    Domain,
    /// Kinks are where the op states them, and the derivative there is the one that it states.
    Kinks,
    /// The op refuses inputs that do not fit, with a message and without a panic.
    Refusal,
}

impl Method {
    /// All methods, in the order in which a report lists them.
    pub const ALL: [Self; 15] = [
        Self::Existence,
        Self::Differences,
        Self::SecondOrder,
        Self::ForwardMode,
        Self::Linearity,
        Self::Taylor,
        Self::Symmetry,
        Self::Expansion,
        Self::Plan,
        Self::SinglePrecision,
        Self::Repetition,
        Self::Allocation,
        Self::Domain,
        Self::Kinks,
        Self::Refusal,
    ];

    /// A short name, as reports use it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Existence => "existence",
            Self::Differences => "differences",
            Self::SecondOrder => "second order",
            Self::ForwardMode => "forward mode",
            Self::Linearity => "linearity",
            Self::Taylor => "Taylor slopes",
            Self::Symmetry => "symmetry",
            Self::Expansion => "expansion",
            Self::Plan => "plan",
            Self::SinglePrecision => "f32",
            Self::Repetition => "repetition",
            Self::Allocation => "allocation",
            Self::Domain => "domain",
            Self::Kinks => "kinks",
            Self::Refusal => "refusal",
        }
    }
}

/// The verdict of one method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The method does not apply, or was not asked for.
    #[default]
    NotAsked,
    /// Nothing could be made out: all was rounding, or a kink was near.
    Undecided,
    /// All is well.
    Agrees,
    /// Something is wrong.
    Disagrees,
}

/// Ends of a domain that are told apart: the lower, the upper, and the one within.
pub(super) const ENDS: usize = 4;

/// What a check has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    verdicts: [Verdict; Method::ALL.len()],
    /// Derivatives that were compared with differences.
    pub compared: usize,
    /// Of these, those whose numeric value was too uncertain for a verdict.
    pub undecided: usize,
    /// The largest difference between an analytic and a numeric derivative, relative to `1 + |numeric|`.
    pub largest_error: f64,
    /// An error of more than this in a single derivative that was looked at would have been seen.
    pub detectable: f64,
    /// Of an op, a bit for each real input: whether the op declares a derivative.
    pub(super) derivable: u64,
    /// Whether that was other than zero.
    pub(super) exercised: u64,
    /// A bit for each end of the domain of each input: whether it is stated.
    pub(super) ends: u64,
    /// Whether a value or a derivative of the op was not finite there.
    pub(super) ends_seen: u64,
    /// The ops of a function that are at a kink, each with its line and the kink.
    pub(super) kinks: Vec<String>,
}

impl Report {
    /// The verdict of a method.
    pub fn of(&self, method: Method) -> Verdict {
        self.verdicts[method as usize]
    }

    /// Whether more derivatives were undecided than one in ten, so that the check says nothing.
    pub fn is_undecided(&self) -> bool {
        self.undecided * 10 > self.compared
    }

    pub(super) fn record(&mut self, method: Method, verdict: Verdict) {
        let known = &mut self.verdicts[method as usize];
        *known = verdict.max(*known);
    }

    /// Adds what another report has seen.
    pub fn add(&mut self, other: &Self) {
        Method::ALL.iter().for_each(|&method| self.record(method, other.of(method)));
        self.compared += other.compared;
        self.undecided += other.undecided;
        self.largest_error = self.largest_error.max(other.largest_error);
        self.detectable = self.detectable.max(other.detectable);
        self.derivable |= other.derivable;
        self.exercised |= other.exercised;
        self.ends |= other.ends;
        self.ends_seen |= other.ends_seen;
        if self.kinks.is_empty() {
            self.kinks.clone_from(&other.kinks);
        }
    }

    /// What the samples of an op have left out, over all reports.
    #[cfg(any(test, feature = "proptest"))]
    pub(super) fn gap(&self) -> Option<String> {
        let first = |mask: u64| (mask != 0).then(|| mask.trailing_zeros() as usize);
        let idle = first(self.derivable & !self.exercised).map(|input| {
            format!(
                "no sample gives input {input} a derivative other than zero; let the strategy of its entry draw one that \
                 does, or declare `Derivative::Zero` if there is none"
            )
        });
        let loose = || {
            first(self.ends & !self.ends_seen).map(|end| {
                let (input, end) = (end / ENDS, end % ENDS);
                format!(
                    "`domain({input})` ends (end {end}) where the op has finite values and derivatives: it is narrower \
                     than it need be"
                )
            })
        };
        idle.or_else(loose)
    }

    /// The names of the methods with that verdict, separated by commas.
    fn names(&self, verdict: Verdict) -> String {
        let names: Vec<&str> =
            Method::ALL.into_iter().filter(|&method| self.of(method) == verdict).map(Method::name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, undecided, largest_error, detectable, .. } = self;
        writeln!(f, "{compared} derivatives compared, {undecided} undecided; agree: {}", self.names(Verdict::Agrees))?;
        write!(f, "largest error {largest_error:.1e}; one above {detectable:.1e} would have been seen")?;
        self.kinks.iter().try_for_each(|kink| write!(f, "\nat a kink: {kink}"))
    }
}

/// The op of a graph that a failure is traced to.
#[derive(Clone, Debug, PartialEq)]
pub struct FailingOp {
    /// Its name.
    pub name: &'static str,
    /// The op with its attributes, as a program writes it.
    pub op: String,
    /// The dotted path of the scope; empty at the top.
    pub scope: String,
    /// The line that made the node, `src/main.rs:3:4`; empty if the op was checked by itself.
    pub line: String,
    /// The text of that line, if the file is there.
    pub source: Option<String>,
    /// Whether `op` is what a program can write.
    pub(super) can_be_written: bool,
}

/// A derivative that is wrong: where, by how much, by whose verdict, and how to see it again.
#[derive(Clone, PartialEq)]
pub struct Failure {
    /// The first method that disagreed.
    pub method: Method,
    /// What is wrong: "the derivative", "the derivative of the gradient".
    pub what: &'static str,
    /// The input, parameter or cotangent; `None` if the failure is of all together.
    pub variable: Option<String>,
    /// The element of it; `None` if many were moved together.
    pub element: Option<Vec<usize>>,
    /// What the graph says.
    pub analytic: f64,
    /// What it is compared with.
    pub numeric: f64,
    /// How far the two may be apart.
    pub uncertainty: f64,
    /// What else is to be said.
    pub note: Option<String>,
    /// The op that is to blame.
    pub op: Option<FailingOp>,
    /// The inputs of what fails: of the op if there is one, else of the function.
    pub point: Vec<AnyTensor<f64>>,
    /// The verdict of each method.
    pub report: Report,
    /// A test to paste.
    pub reproducer: Option<String>,
}

impl Failure {
    pub(super) fn new(finding: Finding, point: &[AnyTensor<f64>], report: Report) -> Self {
        let Finding { method, what, variable, element, analytic, numeric, uncertainty, note, point: own } = finding;
        Self {
            method,
            what,
            variable: variable.map(String::from),
            element: element.map(Vec::from),
            analytic,
            numeric,
            uncertainty,
            note,
            op: None,
            point: own.map_or_else(|| point.to_vec(), Vec::from),
            report,
            reproducer: None,
        }
    }

    /// What a smaller case must share with this one to be the same failure.
    pub(super) fn kind(&self) -> (Method, &'static str) {
        (self.method, self.what)
    }

    /// The report with colours, for a terminal.
    pub fn coloured(&self) -> impl fmt::Display + '_ {
        Coloured(self)
    }

    /// For a panic: with colours if the error output is a terminal and `NO_COLOR` is not set.
    pub(super) fn text(&self) -> String {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if terminal && !plain { self.coloured().to_string() } else { self.to_string() }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, colours: bool) -> fmt::Result {
        let [red, green, dim, bold, end] =
            if colours { ["\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[1m", "\x1b[0m"] } else { [""; 5] };
        let of = self.op.as_ref().map_or(String::new(), |op| format!(" of `{}`", op.name));
        let respect = self.variable.as_ref().map_or(String::new(), |name| format!(" with respect to {name}"));
        let verdict = match (self.method, self.what) {
            (Method::Existence, _) => "does not exist",
            (Method::Domain, INPUT) => "is outside the domain",
            (Method::Domain, _) => "is NaN",
            _ => "is wrong",
        };
        writeln!(f, "{bold}{}{of}{respect} {verdict}{end}", self.what)?;
        let label = |name: &str| format!("  {dim}{name:<10}{end} ");
        if let Some(op) = self.op.as_ref().filter(|op| !op.line.is_empty()) {
            let scope = if op.scope.is_empty() { String::new() } else { format!(", in scope `{}`", op.scope) };
            writeln!(f, "{}{bold}{}{end}{scope}", label("made at"), op.line)?;
            if let Some(source) = &op.source {
                writeln!(f, "{}{source}", label(""))?;
            }
        }
        if let Some(element) = &self.element {
            writeln!(f, "{}{element:?}", label("element"))?;
        }
        if !self.analytic.is_nan() || !self.numeric.is_nan() {
            writeln!(f, "{}{red}{}{end}", label("analytic"), short(self.analytic))?;
            writeln!(f, "{}{green}{}{end} ± {:.1e}", label("numeric"), short(self.numeric), self.uncertainty)?;
        }
        if let Some(hint) = self.hint() {
            writeln!(f, "{}{hint}", label("looks like"))?;
        }
        if let Some(note) = &self.note {
            writeln!(f, "{}{note}", label("note"))?;
        }
        for kink in &self.report.kinks {
            writeln!(f, "{}{kink}", label("at a kink"))?;
        }
        writeln!(f, "{}{red}{}{end}", label("against"), self.report.names(Verdict::Disagrees))?;
        writeln!(f, "{}{green}{}{end}", label("for"), self.report.names(Verdict::Agrees))?;
        if let Some(op) = &self.op {
            writeln!(f, "{}{}", label("op"), op.op)?;
        }
        for (number, input) in self.point.iter().enumerate() {
            let text = match input {
                _ if input.shape().contains(&0) => format!("nothing, of shape {}", input.shape()),
                AnyTensor::Real(tensor) => one_line(&tensor.to_string()),
                AnyTensor::Index(tensor) => one_line(&tensor.to_string()),
            };
            writeln!(f, "{}{text}", label(&format!("input {number}")))?;
        }
        if let Some(reproducer) = &self.reproducer {
            writeln!(f, "  {dim}to see it again{end}")?;
            for line in reproducer.lines() {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }

    /// What the ratio of a wrong derivative to the right one tells.
    fn hint(&self) -> Option<String> {
        if !matches!(self.method, Method::Differences | Method::SecondOrder) || self.numeric.abs() <= self.uncertainty {
            return None;
        }
        let ratio = self.analytic / self.numeric;
        let near = |value: f64| (ratio - value).abs() < 1e-4 * value.abs();
        let whole = (2..=64).find(|&n| near(f64::from(n)) || near(1.0 / f64::from(n)));
        if near(-1.0) {
            Some("a wrong sign".to_owned())
        } else if self.analytic == 0.0 {
            Some("a derivative that is lost".to_owned())
        } else if let Some(n) = whole.filter(|&n| near(1.0 / f64::from(n))) {
            Some(format!("a factor of 1/{n}: a factor or a sum over a repeated axis that is missing"))
        } else {
            whole.map(|n| format!("a factor of {n}"))
        }
    }
}

/// A text of several lines in one, and not too long.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}

/// A number to ten digits, without zeros at the end.
fn short(x: f64) -> String {
    let rounded: f64 = format!("{x:.9e}").parse().unwrap_or(x);
    format!("{rounded:?}")
}

struct Coloured<'a>(&'a Failure);

impl fmt::Display for Coloured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, true)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

impl std::error::Error for Failure {}
