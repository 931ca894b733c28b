//! Rows that are found by their numbers: in memory, in a file, or by a function; and what can be made of them.
//!
//! An epoch's batches are an iterator that depends on the seed and the epoch alone. To pass over batches, as a resumed
//! run does, reads none of them.

use std::sync::Arc;

use gradus_graph::Tensor;

use crate::batches::{Batch, Made, Order};
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::stream::{Prefetched, Stream};

/// Rows that are found by their numbers.
///
/// A [`Dataset`] has its rows in memory, [`FileRows`](crate::FileRows) leave them in a file,
/// [`Windows`](crate::Windows) are pieces of a long series, [`from_fn`] computes them. Each becomes another by
/// [`mapped`](Rows::mapped), [`selected`](Rows::selected), [`zipped`](Rows::zipped) and [`chained`](Rows::chained), and gives
/// [`batches`](Rows::batches).
///
/// # Example
/// ```
/// use gradus_data::{Batch, Rows, from_fn};
/// use gradus_graph::Tensor;
/// let squares = from_fn(100, |rows| Ok(Tensor::from(rows.iter().map(|&row| (row * row) as f32).collect::<Vec<_>>())));
/// let numbers = from_fn(100, |rows| Ok(Tensor::from(rows.iter().map(|&row| row as f32).collect::<Vec<_>>())));
/// let odd = numbers.zipped(squares).selected((1..100).step_by(2).collect()).mapped(|pair| Ok(Batch::from(pair)));
/// for batch in odd.batches(8).shuffled(7, 0) {
///     let batch = batch?;
///     assert_eq!(batch.inputs.data()[0].powi(2), batch.targets.data()[0]);
/// }
/// assert_eq!(odd.batches(8).len(), 7);
/// # Ok::<(), gradus_data::DataError>(())
/// ```
pub trait Rows {
    /// What some rows are together.
    type Batch;

    /// The number of rows.
    fn len(&self) -> usize;

    /// The rows of these numbers, in this order.
    ///
    /// # Errors
    /// If a row cannot be read.
    ///
    /// # Panics
    /// If there is no such row.
    fn get(&self, rows: &[usize]) -> Result<Self::Batch, DataError>;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows in their order, `size` at a time. Of rows that are shared or borrowed for ever, [`Rows::into_batches`]
    /// can be read on other threads.
    ///
    /// # Panics
    /// If the size is 0.
    #[track_caller]
    fn batches(&self, size: usize) -> RowBatches<&Self> {
        RowBatches { order: Order::new(self.len(), size), rows: self }
    }

    /// The rows in their order, `size` at a time.
    ///
    /// # Panics
    /// If the size is 0.
    #[track_caller]
    fn into_batches(self, size: usize) -> RowBatches<Self>
    where
        Self: Sized,
    {
        RowBatches { order: Order::new(self.len(), size), rows: self }
    }

    /// The rows with `f` applied to those of a batch together.
    fn mapped<B, F: Fn(Self::Batch) -> Result<B, DataError>>(self, f: F) -> MappedRows<Self, F>
    where
        Self: Sized,
    {
        MappedRows { rows: self, f }
    }

    /// The rows of these numbers alone, in this order: those that a filter left, one part of a split, or some repeated.
    ///
    /// # Panics
    /// If there is no such row.
    #[track_caller]
    fn selected(self, numbers: Vec<usize>) -> SelectedRows<Self>
    where
        Self: Sized,
    {
        if let Some(row) = numbers.iter().find(|&&row| row >= self.len()) {
            panic!("`Rows::selected`: row {row} of {}", self.len());
        }
        SelectedRows { rows: self, numbers }
    }

    /// Pairs of rows of the same numbers.
    ///
    /// # Panics
    /// If the numbers of rows differ.
    #[track_caller]
    fn zipped<R: Rows>(self, other: R) -> ZippedRows<Self, R>
    where
        Self: Sized,
    {
        assert!(self.len() == other.len(), "`Rows::zipped`: {} rows and {} rows", self.len(), other.len());
        ZippedRows { first: self, second: other }
    }

    /// These rows, then others. A batch may have some of each.
    fn chained<R: Rows<Batch = Self::Batch>>(self, other: R) -> ChainedRows<Self, R>
    where
        Self: Sized,
        Self::Batch: Joined,
    {
        ChainedRows { first: self, second: other }
    }
}

impl<R: Rows + ?Sized> Rows for &R {
    type Batch = R::Batch;

    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, rows: &[usize]) -> Result<Self::Batch, DataError> {
        (**self).get(rows)
    }
}

impl<R: Rows + ?Sized> Rows for Arc<R> {
    type Batch = R::Batch;

    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, rows: &[usize]) -> Result<Self::Batch, DataError> {
        (**self).get(rows)
    }
}

impl<X: Clone, Y: Clone> Rows for Dataset<X, Y> {
    type Batch = Batch<X, Y>;

    fn len(&self) -> usize {
        Dataset::len(self)
    }

    fn get(&self, rows: &[usize]) -> Result<Self::Batch, DataError> {
        Ok(self.select(rows).full_batch())
    }
}

impl<T: Clone> Rows for Tensor<T> {
    type Batch = Tensor<T>;

    fn len(&self) -> usize {
        self.shape().first().copied().unwrap_or(0)
    }

    fn get(&self, rows: &[usize]) -> Result<Self::Batch, DataError> {
        Ok(self.select_rows(rows))
    }
}

/// `rows` rows, each batch of which a function makes of their numbers.
pub fn from_fn<B, F: Fn(&[usize]) -> Result<B, DataError>>(rows: usize, f: F) -> ComputedRows<F> {
    ComputedRows { rows, f }
}

/// The rows that [`from_fn`] makes.
#[derive(Clone, Debug)]
pub struct ComputedRows<F> {
    rows: usize,
    f: F,
}

impl<B, F: Fn(&[usize]) -> Result<B, DataError>> Rows for ComputedRows<F> {
    type Batch = B;

    fn len(&self) -> usize {
        self.rows
    }

    fn get(&self, rows: &[usize]) -> Result<B, DataError> {
        (self.f)(rows)
    }
}

/// The rows that [`Rows::mapped`] makes.
#[derive(Clone, Debug)]
pub struct MappedRows<R, F> {
    rows: R,
    f: F,
}

impl<R: Rows, B, F: Fn(R::Batch) -> Result<B, DataError>> Rows for MappedRows<R, F> {
    type Batch = B;

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn get(&self, rows: &[usize]) -> Result<B, DataError> {
        (self.f)(self.rows.get(rows)?)
    }
}

/// The rows that [`Rows::selected`] makes.
#[derive(Clone, Debug)]
pub struct SelectedRows<R> {
    rows: R,
    numbers: Vec<usize>,
}

impl<R: Rows> Rows for SelectedRows<R> {
    type Batch = R::Batch;

    fn len(&self) -> usize {
        self.numbers.len()
    }

    fn get(&self, rows: &[usize]) -> Result<R::Batch, DataError> {
        self.rows.get(&rows.iter().map(|&row| self.numbers[row]).collect::<Vec<_>>())
    }
}

/// The rows that [`Rows::zipped`] makes.
#[derive(Clone, Debug)]
pub struct ZippedRows<A, B> {
    first: A,
    second: B,
}

impl<A: Rows, B: Rows> Rows for ZippedRows<A, B> {
    type Batch = (A::Batch, B::Batch);

    fn len(&self) -> usize {
        self.first.len()
    }

    fn get(&self, rows: &[usize]) -> Result<Self::Batch, DataError> {
        Ok((self.first.get(rows)?, self.second.get(rows)?))
    }
}

/// The rows that [`Rows::chained`] makes.
#[derive(Clone, Debug)]
pub struct ChainedRows<A, B> {
    first: A,
    second: B,
}

impl<A: Rows, B: Rows<Batch = A::Batch>> Rows for ChainedRows<A, B>
where
    A::Batch: Joined,
{
    type Batch = A::Batch;

    fn len(&self) -> usize {
        self.first.len() + self.second.len()
    }

    fn get(&self, rows: &[usize]) -> Result<Self::Batch, DataError> {
        let border = self.first.len();
        let (first, second): (Vec<usize>, Vec<usize>) = rows.iter().partition(|&&row| row < border);
        if second.is_empty() {
            return self.first.get(&first);
        }
        let beyond: Vec<usize> = second.iter().map(|&row| row - border).collect();
        if first.is_empty() {
            return self.second.get(&beyond);
        }
        // The rows of the first, then those of the second, are put where they are asked for.
        let (mut of_first, mut of_second) = (0..first.len(), first.len()..rows.len());
        let place = |&row: &usize| if row < border { of_first.next() } else { of_second.next() };
        let places: Vec<usize> = rows.iter().filter_map(place).collect();
        Ok(A::Batch::join(vec![self.first.get(&first)?, self.second.get(&beyond)?]).pick(&places))
    }
}

/// Batches that can be put together: tensors along their first axes, and pairs of such.
pub trait Joined: Sized {
    /// All rows of all parts.
    ///
    /// # Panics
    /// If there are no parts, or rows of different shapes.
    #[track_caller]
    fn join(parts: Vec<Self>) -> Self;

    /// The rows of these numbers, in this order.
    ///
    /// # Panics
    /// If there is no such row.
    #[track_caller]
    fn pick(&self, numbers: &[usize]) -> Self;
}

impl<T: Clone> Joined for Tensor<T> {
    fn join(parts: Vec<Self>) -> Self {
        Tensor::concat(&parts, 0)
    }

    fn pick(&self, numbers: &[usize]) -> Self {
        self.select_rows(numbers)
    }
}

impl<X: Clone, Y: Clone> Joined for Batch<X, Y> {
    fn join(parts: Vec<Self>) -> Self {
        let (inputs, targets): (Vec<_>, Vec<_>) = parts.into_iter().map(|part| (part.inputs, part.targets)).unzip();
        Batch { inputs: Tensor::concat(&inputs, 0), targets: Tensor::concat(&targets, 0) }
    }

    fn pick(&self, numbers: &[usize]) -> Self {
        Batch { inputs: self.inputs.select_rows(numbers), targets: self.targets.select_rows(numbers) }
    }
}

impl<A: Joined, B: Joined> Joined for (A, B) {
    fn join(parts: Vec<Self>) -> Self {
        let (first, second) = parts.into_iter().unzip();
        (A::join(first), B::join(second))
    }

    fn pick(&self, numbers: &[usize]) -> Self {
        (self.0.pick(numbers), self.1.pick(numbers))
    }
}

/// The batches of rows, made by [`Rows::batches`] and [`Rows::into_batches`]; its length is the number of batches to
/// come.
///
/// A batch is read when it is asked for, and one that is passed over by `nth` or `skip` is not read. (Behind std's `map`
/// it is: what is to be done to rows goes into [`Rows::mapped`], [`RowBatches::numbered`] or [`Stream::prefetched`], which
/// pass on what is passed over.)
#[derive(Clone, Debug)]
#[must_use = "batches are read as they are asked for"]
pub struct RowBatches<R> {
    rows: R,
    order: Order,
}

impl<R: Rows> RowBatches<R> {
    /// Puts the rows into the order that belongs to the seed and the epoch, as
    /// [`Batches::shuffled`](crate::Batches::shuffled) does.
    pub fn shuffled(mut self, seed: u64, epoch: u64) -> Self {
        self.order.shuffle(seed, epoch);
        self
    }

    /// Leaves out the last batch if it is smaller than the others.
    pub fn drop_last(mut self) -> Self {
        self.order.drop_last();
        self
    }

    /// Puts rows of like lengths into the same batch, so that little has to be padded: of the rows in their order, each
    /// hundred batches are sorted by length, and the batches of the epoch are drawn in an order that belongs to the seed
    /// and the epoch.
    ///
    /// # Panics
    /// If there is not one length for each row.
    ///
    /// # Example
    /// ```
    /// use gradus_data::{Rows, Sequences};
    /// use gradus_graph::Tensor;
    /// let texts = Sequences::new((0..1000).map(|k| Tensor::full([1 + k % 50], 1_i64)).collect(), 0);
    /// let lengths = texts.lengths();
    /// for batch in texts.batches(20).shuffled(7, 0).bucketed(&lengths, 7, 0) {
    ///     let (padded, lengths) = batch?;
    ///     let shortest = lengths.data().iter().min().unwrap();
    ///     assert!(padded.shape()[1] as i64 - shortest <= 2);
    /// }
    /// # Ok::<(), gradus_data::DataError>(())
    /// ```
    #[track_caller]
    pub fn bucketed(mut self, lengths: &[usize], seed: u64, epoch: u64) -> Self {
        let (rows, count) = (self.rows.len(), lengths.len());
        assert!(rows == count, "`RowBatches::bucketed`: {count} lengths of {rows} rows");
        self.order.bucket(lengths, seed, epoch);
        self
    }

    /// The batches with the numbers of their rows, by which a random transform of a row can be drawn.
    pub fn numbered(self) -> impl ExactSizeIterator<Item = Result<(Vec<usize>, R::Batch), DataError>> {
        let Self { rows, order } = self;
        Made { order, make: move |numbers: Vec<usize>| rows.get(&numbers).map(|batch| (numbers, batch)) }
    }

    /// Reads batches on `threads` threads before they are asked for. Their order is the same for any number of threads;
    /// none reads when it is asked for.
    ///
    /// # Example
    /// ```
    /// use gradus_data::{Rows, digits};
    /// let digits = std::sync::Arc::new(digits::all());
    /// let read = |threads| digits.clone().into_batches(100).shuffled(1, 0).read_ahead(threads);
    /// assert!(read(3).map(Result::unwrap).eq(read(0).map(Result::unwrap)));
    /// ```
    pub fn read_ahead(self, threads: usize) -> Prefetched<Order, Result<R::Batch, DataError>>
    where
        R: Send + Sync + 'static,
        R::Batch: Send + 'static,
    {
        let Self { rows, order } = self;
        order.prefetched(threads, move |numbers| rows.get(&numbers))
    }
}

impl<R: Rows> Iterator for RowBatches<R> {
    type Item = Result<R::Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let numbers = self.order.next()?;
        Some(self.rows.get(&numbers))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.order.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        let numbers = self.order.nth(n)?;
        Some(self.rows.get(&numbers))
    }
}

impl<R: Rows> ExactSizeIterator for RowBatches<R> {}
