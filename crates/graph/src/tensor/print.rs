//! Printing of tensors.

use std::fmt;

use super::Tensor;
use crate::shape::Shape;

/// Elements printed at each end of an axis that is abbreviated.
const EDGE: usize = 3;
/// Tensors with more elements than this are abbreviated, as in NumPy.
const FULL: usize = 1000;
/// Elements printed of a tensor that is abbreviated, at most.
const MOST: usize = 10_000;

/// A tensor to print: for each axis the number of elements at each end, `None` for all of them; and the text of each
/// element.
struct Printed<'a> {
    shape: &'a Shape,
    edges: Vec<Option<usize>>,
    text: &'a dyn Fn(usize) -> String,
    width: usize,
}

impl<'a> Printed<'a> {
    fn new(shape: &'a Shape, text: &'a dyn Fn(usize) -> String) -> Self {
        // An axis without elements still has brackets, one pair for each index of the axes before it.
        let cells = shape.iter().fold(1, |cells: usize, &size| cells.saturating_mul(size.max(1)));
        let mut edges = vec![None; shape.rank()];
        let mut printed: usize = 1;
        for axis in (0..shape.rank()).rev().filter(|_| cells > FULL) {
            // With many axes the outer ones are abbreviated more.
            let edge = if printed.saturating_mul(2 * EDGE) <= MOST { EDGE } else { usize::from(printed < MOST) };
            if shape[axis] > 2 * edge {
                edges[axis] = Some(edge);
            }
            printed *= shape[axis].clamp(1, (2 * edge).max(1));
        }
        let mut printed = Self { shape, edges, text, width: 0 };
        let mut width = 0;
        printed.visit(0, 0, &mut |position| width = width.max(text(position).len()));
        printed.width = width;
        printed
    }

    /// The indices printed along an axis; `None` is the gap.
    fn shown(&self, axis: usize) -> impl Iterator<Item = Option<usize>> + use<> {
        let size = self.shape[axis];
        let (first, gap, last) = match self.edges[axis] {
            None => (size, false, 0),
            Some(edge) => (edge.max(1), true, edge),
        };
        (0..first).map(Some).chain(gap.then_some(None)).chain((size - last..size).map(Some))
    }

    fn visit(&self, axis: usize, start: usize, see: &mut dyn FnMut(usize)) {
        if axis == self.shape.rank() {
            return see(start);
        }
        let step: usize = self.shape[axis + 1..].iter().product();
        for i in self.shown(axis).flatten() {
            self.visit(axis + 1, start + i * step, see);
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, axis: usize, start: usize) -> fmt::Result {
        if axis == self.shape.rank() {
            return write!(f, "{:>width$}", (self.text)(start), width = self.width);
        }
        let step: usize = self.shape[axis + 1..].iter().product();
        f.write_str("[")?;
        for (number, i) in self.shown(axis).enumerate() {
            if number > 0 {
                f.write_str(",")?;
                if axis + 1 < self.shape.rank() {
                    for _ in 0..self.shape.rank() - axis - 1 {
                        f.write_str("\n")?;
                    }
                    for _ in 0..=axis {
                        f.write_str(" ")?;
                    }
                } else {
                    f.write_str(" ")?;
                }
            }
            match i {
                Some(i) => self.write(f, axis + 1, start + i * step)?,
                None => f.write_str("...")?,
            }
        }
        f.write_str("]")
    }
}

/// Digits of the longest 64-bit integer and of most real numbers.
const PLAIN: usize = 24;

/// A number as text; a real number with more digits than that gets an exponent.
fn readable(text: String) -> String {
    match text.parse::<f64>() {
        Ok(value) if text.len() > PLAIN => format!("{value:e}"),
        _ => text,
    }
}

impl<T: fmt::Display> fmt::Display for Tensor<T> {
    /// Nested brackets as NumPy prints them, abbreviated above 1,000 elements, numbers aligned. Very large and very
    /// small numbers have an exponent. `{:.3}` sets the number of decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = f.precision();
        let text = |position: usize| match precision {
            Some(precision) => format!("{:.precision$}", self.data[position]),
            None => readable(format!("{}", self.data[position])),
        };
        Printed::new(&self.shape, &text).write(f, 0, 0)
    }
}

impl<T: fmt::Debug> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor {} ", self.shape)?;
        // `f32` and `f64` debug-print with a point, so that values can be pasted into a program.
        let text = |position: usize| format!("{:?}", self.data[position]);
        Printed::new(&self.shape, &text).write(f, 0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_numpys() {
        assert_eq!(Tensor::scalar(2.5).to_string(), "2.5");
        assert_eq!(Tensor::from([1.0, 10.5]).to_string(), "[   1, 10.5]");
        assert_eq!(format!("{:.2}", Tensor::from_rows([[1.0], [-0.333]])), "[[ 1.00],\n [-0.33]]");
        assert_eq!(Tensor::<f32>::zeros([2, 0]).to_string(), "[[],\n []]");
        let large = Tensor::from_fn([2000], |k| k);
        assert_eq!(large.to_string(), "[   0,    1,    2, ..., 1997, 1998, 1999]");
        assert_eq!(Tensor::from([1e300, -1.5, 0.0]).to_string(), "[1e300,  -1.5,     0]");
        assert_eq!(Tensor::from([f32::MIN_POSITIVE, 0.1]).to_string(), "[1.1754944e-38,           0.1]");
        assert_eq!(Tensor::from([i64::MIN]).to_string(), "[-9223372036854775808]");
        let cube = Tensor::from_fn([2, 1, 2], |k| k);
        assert_eq!(cube.to_string(), "[[[0, 1]],\n\n [[2, 3]]]");
    }

    #[test]
    fn what_is_printed_is_short_whatever_the_shape() {
        let none: Tensor<f32> = Tensor::zeros([100_000_000, 0]);
        assert_eq!(none.to_string(), "[[],\n [],\n [],\n ...,\n [],\n [],\n []]");
        assert_eq!(format!("{none:?}").lines().count(), 7);
        let shapes: [&[usize]; 4] = [&[0, 1 << 40], &[7; 7], &[2; 20], &[1 << 30, 1 << 29, 0]];
        for shape in shapes {
            assert!(format!("{:?}", Tensor::<f32>::zeros(shape)).len() < 1_000_000, "{shape:?}");
        }
    }
}
