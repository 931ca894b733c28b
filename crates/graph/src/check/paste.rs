//! The user's own lines: what stands where an op was made, and a test that makes a failure again.

use std::panic::Location;
use std::path::{Path, PathBuf};

use super::report::FailingOp;
use crate::tape::op::AnyOp;
use crate::tensor::AnyTensor;

/// Elements of all inputs up to which a test is written out.
const MOST: usize = 64;

/// The lines of a source file from the given line on, if the file is there: paths are relative to a folder above the
/// package.
fn lines_from(file: &str, line: u32) -> Option<String> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let above = package.iter().flat_map(|package| package.ancestors());
    let text = std::iter::once(Path::new(""))
        .chain(above)
        .find_map(|folder| std::fs::read_to_string(folder.join(file)).ok())?;
    let skipped = text.split_inclusive('\n').take(line as usize - 1).map(str::len).sum::<usize>();
    text.get(skipped..).map(str::to_owned)
}

/// The text of a line.
pub(super) fn line(location: &Location<'_>) -> Option<String> {
    let text = lines_from(location.file(), location.line())?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// The last argument of a call of two arguments, as it is written.
pub(super) fn last_argument(location: &Location<'_>) -> Option<String> {
    let text = lines_from(location.file(), location.line())?;
    let call = text.get(location.column() as usize - 1..)?;
    second_argument(call)
}

/// What stands after the first comma of the first pair of parentheses, at its own depth.
fn second_argument(call: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut comma = None;
    let mut characters = call.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    let argument: &str = call.get(comma? + 1..place)?;
                    return Some(dedented(argument.trim().trim_end_matches(',')));
                }
            }
            ',' if depth == 1 && comma.is_none() => comma = Some(place),
            '"' => {
                while let Some((_, inner)) = characters.next() {
                    match inner {
                        '\\' => drop(characters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if characters.peek().is_some_and(|(_, next)| *next == '/') => {
                characters.by_ref().find(|(_, inner)| *inner == '\n');
            }
            _ => {}
        }
    }
    None
}

/// The text with what all its lines but the first are indented by taken away.
fn dedented(text: &str) -> String {
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let least = text.lines().skip(1).filter(|line| !line.trim().is_empty()).map(|line| indent(&line)).min();
    let cut = |line: &str| line.get(least.unwrap_or(0)..).unwrap_or("").to_owned();
    let rest = text.lines().skip(1).map(cut);
    text.lines().take(1).map(str::to_owned).chain(rest).collect::<Vec<_>>().join("\n")
}

/// A test that checks a function, as its text has it, at the given inputs.
pub(super) fn of_function(function: &str, inputs: &[AnyTensor<f64>]) -> Option<String> {
    let tensors: Vec<String> = inputs.iter().map(tensor).collect();
    test("this_function", inputs, format!("check::assert_gradients(&[{}], {function});", tensors.join(", ")))
}

/// A test that checks an op on the given inputs.
pub(super) fn of_op(op: &FailingOp, inputs: &[AnyTensor<f64>]) -> Option<String> {
    let tensors: Vec<String> = inputs.iter().map(|input| format!("{}.into()", tensor(input))).collect();
    let test = test(op.name, inputs, format!("check::assert_op_at({}, [{}]);", op.op, tensors.join(", ")))?;
    op.can_be_written.then_some(test)
}

fn test(name: &str, inputs: &[AnyTensor<f64>], call: String) -> Option<String> {
    let elements: usize = inputs.iter().map(|input| input.shape().len()).sum();
    let number = if call.contains("Number(") { "    use gradus::op::Number;\n" } else { "" };
    let call = call.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let test =
        format!("#[test]\nfn the_derivative_of_{name}() {{\n{number}    use gradus::{{Tensor, check}};\n{call}}}");
    (elements <= MOST).then_some(test)
}

/// An op as a program writes it, as far as the text of its `Debug` is what a program writes; that of an enumeration
/// lacks the name of the type.
pub(super) fn op(op: &dyn AnyOp) -> String {
    let text = with_constants(&format!("{op:?}"));
    let path = op.type_name();
    let name = path.split('<').next().and_then(|path| path.rsplit("::").next()).unwrap_or(path);
    if text.starts_with(name) { text } else { format!("{name}::{text}") }
}

/// The text with the words `NaN` and `inf` replaced by the constants of `f64`.
fn with_constants(text: &str) -> String {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.split_inclusive(|c| !word(c))
        .map(|part| {
            let (name, rest) = part.split_at(part.trim_end_matches(|c| !word(c)).len());
            match name {
                "NaN" => format!("f64::NAN{rest}"),
                "inf" => format!("f64::INFINITY{rest}"),
                _ => part.to_owned(),
            }
        })
        .collect()
}

/// Whether a program can write an op as [`op`] does: it is not one of the library's own, which are methods of variables,
/// and its `Debug` has no lists and texts, whose types it does not tell.
pub(super) fn can_be_written(op: &dyn AnyOp) -> bool {
    let own = op.type_name().starts_with(concat!(env!("CARGO_CRATE_NAME"), "::ops::"));
    !own && !format!("{op:?}").contains(['[', '"', '<'])
}

/// A number as a program writes it.
fn number(x: f64) -> String {
    match x {
        _ if x.is_nan() => "f64::NAN".to_owned(),
        f64::INFINITY => "f64::INFINITY".to_owned(),
        f64::NEG_INFINITY => "f64::NEG_INFINITY".to_owned(),
        _ => format!("{x:?}"),
    }
}

/// A tensor as a program writes it.
fn tensor(value: &AnyTensor<f64>) -> String {
    let (shape, items, kind): (_, Vec<String>, _) = match value {
        AnyTensor::Real(tensor) => (tensor.shape(), tensor.data().iter().map(|&x| number(x)).collect(), "f64"),
        AnyTensor::Index(tensor) => (tensor.shape(), tensor.data().iter().map(|x| format!("{x}_i64")).collect(), "i64"),
    };
    match shape.rank() {
        _ if items.is_empty() => format!("Tensor::<{kind}>::new({:?}, vec![])", shape.sizes()),
        1 => format!("Tensor::from([{}])", items.join(", ")),
        _ => format!("Tensor::new({:?}, vec![{}])", shape.sizes(), items.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    #[test]
    fn the_second_argument_is_found() {
        assert_eq!(second_argument("f(a, |x| x[0]);").unwrap(), "|x| x[0]");
        assert_eq!(
            second_argument("f(&[g(1, 2), \"),\"], |x| {\n x(1), 2 // ), \n},)").unwrap(),
            "|x| {\n x(1), 2 // ), \n}"
        );
        assert_eq!(second_argument("f(a)"), None);
        assert_eq!(second_argument("nothing"), None);
    }

    #[test]
    fn numbers_that_are_not_finite_are_constants() {
        assert_eq!(with_constants("Clip { low: -inf, high: NaN }"), "Clip { low: -f64::INFINITY, high: f64::NAN }");
        assert_eq!(with_constants("Inform { info: 1.5 }"), "Inform { info: 1.5 }");
    }

    #[test]
    fn tensors_are_written_as_programs_write_them() {
        let written = |value: AnyTensor<f64>| tensor(&value);
        assert_eq!(written(Tensor::from([0.5, -1.0]).into()), "Tensor::from([0.5, -1.0])");
        assert_eq!(written(Tensor::scalar(2.0).into()), "Tensor::new([], vec![2.0])");
        assert_eq!(written(Tensor::from_rows([[1.0], [2.0]]).into()), "Tensor::new([2, 1], vec![1.0, 2.0])");
        assert_eq!(written(Tensor::<f64>::zeros([0, 2]).into()), "Tensor::<f64>::new([0, 2], vec![])");
        let far = Tensor::from([f64::NAN, f64::INFINITY, -f64::INFINITY]);
        assert_eq!(written(far.into()), "Tensor::from([f64::NAN, f64::INFINITY, f64::NEG_INFINITY])");
        assert_eq!(written(Tensor::from([3_i64]).into()), "Tensor::from([3_i64])");
        assert_eq!(written(Tensor::new([1, 1], vec![3_i64]).into()), "Tensor::new([1, 1], vec![3_i64])");
    }
}
