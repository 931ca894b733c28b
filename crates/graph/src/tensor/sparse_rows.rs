//! Tensors that are zero but for some rows, such as the gradient of a table of which few rows were read.

use std::fmt;
use std::sync::OnceLock;

use super::Tensor;
use crate::kernel::reduce::{Add, Fold, UNCOMPENSATED};
use crate::real::Real;
use crate::shape::{Shape, unravel};

/// A tensor that is zero but for some of its slices along the first axis, the rows: these are all that it holds.
///
/// It is the gradient of a table of which a program reads few rows (an embedding): a step of training computes it where
/// that pays, and an optimizer moves these rows alone if its rule leaves the others as they are.
///
/// # Example
/// ```
/// use gradus_graph::{SparseRows, Tensor};
/// let mut rows = SparseRows::<f32>::new();
/// // Row 2 occurs twice: what is given for it is added.
/// rows.set_sum(&[4, 2].into(), 1, |_| (&[2, 0, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))?;
/// assert_eq!((rows.indices(), rows.values()), (&[0, 2][..], &[3.0, 4.0, 6.0, 8.0][..]));
/// assert_eq!(*rows.dense(), Tensor::from_rows([[3.0, 4.0], [0.0, 0.0], [6.0, 8.0], [0.0, 0.0]]));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone)]
pub struct SparseRows<T> {
    shape: Shape,
    /// The rows, ascending, and their elements.
    indices: Vec<usize>,
    values: Vec<T>,
    /// All elements, once they were asked for; kept up to date from then on.
    dense: OnceLock<Tensor<T>>,
    /// Memory of [`SparseRows::set_sum`]: the entries of the lists by row and place, the place after the last entry of
    /// each list, and two rows of sums.
    entries: Vec<u64>,
    ends: Vec<u64>,
    sums: Vec<T>,
}

impl<T> Default for SparseRows<T> {
    fn default() -> Self {
        let (shape, dense) = (Shape::from(0), OnceLock::new());
        Self {
            shape,
            indices: Vec::new(),
            values: Vec::new(),
            dense,
            entries: Vec::new(),
            ends: Vec::new(),
            sums: Vec::new(),
        }
    }
}

impl<T: Real> SparseRows<T> {
    /// No rows, of shape `[0]`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The shape of the tensor, with the rows that are zero.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The rows that may be other than zero, ascending.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The elements of these rows, one after another.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The number of elements of a row.
    pub fn width(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// All elements. They are computed when they are first asked for, and from then on by [`SparseRows::set_sum`].
    pub fn dense(&self) -> &Tensor<T> {
        self.dense.get_or_init(|| {
            let mut dense = Tensor::zeros(&self.shape);
            write(dense.data_mut(), &self.indices, &self.values);
            dense
        })
    }

    /// The index of the first element that is NaN or infinite, if there is one.
    pub fn first_non_finite(&self) -> Option<Vec<usize>> {
        let place = self.values.iter().position(|value| !value.is_finite())?;
        let (row, within) = (self.indices[place / self.width()], place % self.width());
        Some(unravel(row * self.width() + within, &self.shape))
    }

    /// The element at an index.
    ///
    /// # Panics
    /// If the index is out of range.
    #[track_caller]
    pub fn at(&self, index: &[usize]) -> T {
        assert!(
            index.len() == self.shape.rank() && index.iter().zip(self.shape.iter()).all(|(index, size)| index < size),
            "no element {index:?} in a tensor of shape {}",
            self.shape
        );
        let inner = index[1..].iter().zip(self.shape[1..].iter()).fold(0, |place, (index, size)| place * size + index);
        self.indices.binary_search(&index[0]).map_or(T::zero(), |row| self.values[row * self.width() + inner])
    }

    /// Makes this the sum of `lists` lists of rows: of number k, `list(k)` gives the indices of rows, and their elements
    /// one after another. The bits are those of [`Var::index_add`](crate::Var::index_add) to zeros for each list, added
    /// in the order of the lists. Allocates no more once it has had lists of these lengths.
    ///
    /// # Errors
    /// If the shape has no axis, an index is out of range, or a list has another number of elements. The rows are then
    /// unspecified.
    pub fn set_sum<'a>(
        &mut self,
        shape: &Shape,
        lists: usize,
        list: impl Fn(usize) -> (&'a [i64], &'a [T]),
    ) -> Result<(), String> {
        let Some(&count) = shape.first() else { return Err("a tensor without axes has no rows".into()) };
        let width = self.begin(shape);
        self.list_entries(count, width, (0..lists).map(&list))?;
        // Room for as many rows as there can be, so that later lists of these lengths need no more.
        self.indices.reserve(self.entries.len());
        self.values.reserve((self.entries.len() * width).saturating_sub(self.values.len()));
        self.values.clear();
        self.sums.resize(2 * width, T::zero());
        let mut rest = &self.entries[..];
        while let Some(&first) = rest.first() {
            let row = (first >> 32) as usize;
            let (own, others) = rest.split_at(run(rest, |entry| (entry >> 32) as usize == row));
            let at = self.values.len();
            self.indices.push(row);
            self.values.resize(at + width, T::zero());
            add_row(own, &self.ends, &list, &mut self.values[at..], &mut self.sums);
            rest = others;
        }
        self.end();
        Ok(())
    }

    /// Makes this the given rows of a tensor, which are ascending.
    ///
    /// # Panics
    /// If the rows are not ascending, or one is not in the tensor.
    #[track_caller]
    pub fn set_rows(&mut self, of: &Tensor<T>, rows: &[usize]) {
        let count = of.shape().first().copied().unwrap_or(0);
        let are_rows = rows.is_sorted_by(|a, b| a < b) && rows.last().is_none_or(|&last| last < count);
        assert!(are_rows, "`SparseRows::set_rows`: the rows are ascending and below {count}");
        let width = self.begin(of.shape());
        self.indices.extend_from_slice(rows);
        self.values.clear();
        for row in rows {
            self.values.extend_from_slice(&of.data()[row * width..][..width]);
        }
        self.end();
    }

    /// Begins anew, with no rows; returns the number of elements of one.
    fn begin(&mut self, shape: &Shape) -> usize {
        if self.shape == *shape {
            let width = self.width();
            if let Some(dense) = self.dense.get_mut() {
                let dense = dense.data_mut();
                self.indices.iter().for_each(|&row| dense[row * width..][..width].fill(T::zero()));
            }
        } else {
            (self.shape, self.dense) = (shape.clone(), OnceLock::new());
        }
        self.indices.clear();
        self.width()
    }

    /// Keeps all elements up to date, if they were asked for.
    fn end(&mut self) {
        if let Some(dense) = self.dense.get_mut() {
            write(dense.data_mut(), &self.indices, &self.values);
        }
    }

    /// Lists the entries by row, and for each row in their order: the row in the upper half of a number, the place in
    /// the lower.
    fn list_entries<'a>(
        &mut self,
        count: usize,
        width: usize,
        lists: impl Iterator<Item = (&'a [i64], &'a [T])>,
    ) -> Result<(), String> {
        self.entries.clear();
        self.ends.clear();
        for (indices, values) in lists {
            if indices.len().checked_mul(width) != Some(values.len()) {
                let expected = format!("{} rows of {width} elements", indices.len());
                return Err(format!("{expected} were announced, and {} elements given", values.len()));
            }
            for &index in indices {
                let (place, limit) = (self.entries.len() as u64, (count as u64).min(1 << 32));
                if index as u64 >= limit || place >= 1 << 32 {
                    return Err(format!("index {index} at position {place} is out of range for {count} rows"));
                }
                self.entries.push(((index as u64) << 32) | place);
            }
            self.ends.push(self.entries.len() as u64);
        }
        self.entries.sort_unstable();
        Ok(())
    }
}

/// The number of entries at the beginning for which `is_own` holds.
fn run(entries: &[u64], is_own: impl Fn(u64) -> bool) -> usize {
    entries.iter().position(|&entry| !is_own(entry)).unwrap_or(entries.len())
}

/// Sums the entries of one row: those of each list from zero, and the sums of the lists.
fn add_row<'a, T: Real>(
    entries: &[u64],
    ends: &[u64],
    list: &impl Fn(usize) -> (&'a [i64], &'a [T]),
    total: &mut [T],
    sums: &mut [T],
) {
    let width = total.len();
    let place = |entry: u64| entry & u64::from(u32::MAX);
    let (sum, lost) = sums.split_at_mut(width);
    let (mut rest, mut is_first) = (entries, true);
    while let Some(&entry) = rest.first() {
        let number = ends.partition_point(|&end| end <= place(entry));
        let start = if number == 0 { 0 } else { ends[number - 1] };
        let (own, others) = rest.split_at(run(rest, |entry| place(entry) < ends[number]));
        let values = list(number).1;
        let part = |entry: u64| &values[(place(entry) - start) as usize * width..][..width];
        let into = if is_first { &mut *total } else { &mut *sum };
        if own.len() <= UNCOMPENSATED {
            // From a positive zero: the sum of negative zeros is positive.
            into.iter_mut().zip(part(own[0])).for_each(|(total, &x)| *total = T::zero() + x);
            for &entry in &own[1..] {
                into.iter_mut().zip(part(entry)).for_each(|(total, &x)| *total += x);
            }
        } else {
            into.fill(T::zero());
            lost.fill(T::zero());
            for &entry in own {
                for ((total, lost), &x) in into.iter_mut().zip(&mut *lost).zip(part(entry)) {
                    Add::gather(total, lost, x);
                }
            }
            into.iter_mut().zip(&*lost).for_each(|(total, &lost)| *total = Add::finish(*total, lost));
        }
        if !is_first {
            total.iter_mut().zip(&*sum).for_each(|(total, &sum)| *total += sum);
        }
        (rest, is_first) = (others, false);
    }
}

/// Writes rows into a tensor.
fn write<T: Real>(dense: &mut [T], indices: &[usize], values: &[T]) {
    let width = values.len() / indices.len().max(1);
    if width > 0 {
        for (&row, values) in indices.iter().zip(values.chunks_exact(width)) {
            dense[row * width..][..width].copy_from_slice(values);
        }
    }
}

impl<T> fmt::Debug for SparseRows<T> {
    /// The shape and the rows that are there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SparseRows").field("shape", &self.shape).field("indices", &self.indices).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum is that of scatters into zeros, to the bit: with few and many entries of a row, in one list and in
    /// several, after other rows, and with and without all elements asked for.
    #[test]
    fn sums_have_the_bits_of_additions_to_zeros() {
        let shape = Shape::from([50, 3]);
        let list = |count: usize, seed: usize| -> (Vec<i64>, Vec<f32>) {
            let index = |k: usize| if k.is_multiple_of(4) { 13 } else { (k * k * 7 + seed * k + seed) as i64 % 50 };
            let value = |k: usize| ((k * 37 + seed * 11) % 101) as f32 / 7.0 - 6.5;
            ((0..count).map(index).collect(), (0..3 * count).map(value).collect())
        };
        let mut kept = SparseRows::new();
        for (number, counts) in
            [vec![1], vec![20], vec![200], vec![0], vec![7, 300, 0, 9], vec![3, 3]].iter().enumerate()
        {
            let lists: Vec<_> = counts.iter().enumerate().map(|(seed, &count)| list(count, seed)).collect();
            let given: Vec<(&[i64], &[f32])> =
                lists.iter().map(|(indices, values)| (&indices[..], &values[..])).collect();
            kept.set_sum(&shape, given.len(), |k| given[k]).unwrap();
            let mut expected = Tensor::<f32>::zeros(&shape);
            for (indices, values) in &given {
                let mut sums = vec![0.0_f32; 150];
                for k in 0..150 {
                    let own = indices.iter().enumerate().filter(|(_, index)| **index as usize == k / 3);
                    let parts: Vec<f32> = own.map(|(place, _)| values[place * 3 + k % 3]).collect();
                    let (mut total, mut lost) = (0.0, 0.0);
                    for &part in &parts {
                        if parts.len() > UNCOMPENSATED {
                            Add::gather(&mut total, &mut lost, part)
                        } else {
                            total += part
                        }
                    }
                    sums[k] = if parts.len() > UNCOMPENSATED { Add::finish(total, lost) } else { total };
                }
                expected.data_mut().iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
            let bits = |tensor: &Tensor<f32>| tensor.data().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(kept.dense()), bits(&expected), "case {number}");
            let mut fresh = SparseRows::new();
            fresh.set_sum(&shape, given.len(), |k| given[k]).unwrap();
            assert_eq!((fresh.indices(), bits(fresh.dense())), (kept.indices(), bits(&expected)));
            assert!(kept.indices().is_sorted_by(|a, b| a < b));
            let all = kept.dense().clone();
            fresh.set_rows(&all, kept.indices());
            assert_eq!((fresh.values(), bits(fresh.dense())), (kept.values(), bits(&expected)));
        }
    }

    #[test]
    fn elements_are_found_and_faults_named() {
        let mut rows = SparseRows::new();
        rows.set_sum(&Shape::from([4, 2, 2]), 1, |_| (&[3], &[1.0, 2.0, f64::NAN, 4.0])).unwrap();
        assert_eq!(rows.first_non_finite(), Some(vec![3, 1, 0]));
        assert_eq!((rows.at(&[3, 1, 1]), rows.at(&[2, 1, 1])), (4.0, 0.0));
        for (index, values, message) in [
            (4, 4, "index 4 at position 0 is out of range for 4 rows"),
            (-1, 4, "index -1 at position 0 is out of range for 4 rows"),
            (0, 3, "1 rows of 4 elements were announced, and 3 elements given"),
        ] {
            let (index, values) = ([index], vec![0.0; values]);
            let problem = rows.set_sum(&Shape::from([4, 2, 2]), 1, |_| (&index, &values)).unwrap_err();
            assert_eq!(problem, message);
        }
    }
}
