//! The outputs of a run of a step: the loss, its gradients, and auxiliary values.

use std::sync::Arc;

use gradus_graph::{AnyTensor, Error, ErrorKind, Param, Real, SparseRows, Tensor};
use gradus_optim::Gradient;

/// The order of the outputs of a run: the loss, then the derivatives with respect to parameters, those with respect to
/// inputs, the auxiliary values and the new values of buffers.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) wrt: Arc<[Param]>,
    pub(crate) wrt_inputs: Vec<usize>,
    pub(crate) buffers: Vec<Param>,
    /// The gradients that are rows of a table. The parts of each are outputs after all others: indices, then rows.
    pub(crate) tables: Vec<Table>,
}

/// A gradient that is the sum of rows of a table, in place of one output of the table's shape.
#[derive(Debug)]
pub(crate) struct Table {
    /// The number of its parameter in [`Layout::wrt`].
    pub(crate) param: usize,
    /// The number of its first output, and how many parts it has.
    pub(crate) first: usize,
    pub(crate) parts: usize,
}

/// The values of a run: its outputs, and the sums of rows that are gradients, in the order of [`Layout::tables`].
#[derive(Debug)]
pub(crate) struct Values<T> {
    pub(crate) outputs: Vec<AnyTensor<T>>,
    rows: Vec<SparseRows<T>>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { outputs: Vec::new(), rows: Vec::new() }
    }
}

impl<T: Real> Values<T> {
    /// Adds up the rows after a run.
    ///
    /// # Errors
    /// If an index is out of range.
    pub(crate) fn add_rows(&mut self, layout: &Layout) -> Result<(), Error> {
        if self.rows.len() < layout.tables.len() {
            self.rows.resize_with(layout.tables.len(), SparseRows::new);
        }
        for (table, rows) in layout.tables.iter().zip(&mut self.rows) {
            let part = |number: usize| {
                let [indices, rows] = [0, 1].map(|half| &self.outputs[table.first + 2 * number + half]);
                (indices.index().data(), rows.real().data())
            };
            let param = &layout.wrt[table.param];
            rows.set_sum(param.shape(), table.parts, part).map_err(|problem| {
                Error::new(ErrorKind::Run, format!("the gradient of parameter `{}`: {problem}", param.name()))
            })?;
        }
        Ok(())
    }
}

/// A loss, its gradients in the order of the parameters in their store, and its auxiliary values.
///
/// A reference is an iterator over the gradients, as an optimizer takes them: `optimizer.step(&mut params, &gradients)`.
///
/// The gradient of a table of which few rows are read (by [`Var::index_select`](gradus_graph::Var::index_select) along
/// the first axis, as an embedding does, of less than a quarter of the rows, and by nothing else) is computed as these
/// rows ([`SparseRows`]). So the step costs nothing for the other rows; nor does the optimizer, if its rule leaves them
/// as they are ([`Gradient`]). [`Gradients::iter`] gives all elements.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, Sgd};
/// use gradus_train::Step;
/// let mut params: Params = Params::new(0);
/// let w = params.add("w", Tensor::from([1.0, 2.0]));
/// let mut step = Step::new(|graph, []| graph.param(&w).square().sum());
/// let mut sgd = Optimizer::new(Sgd::new(0.25));
/// let gradients = step.run(&mut params, ())?;
/// assert_eq!(gradients.loss(), 5.0);
/// sgd.step(&mut params, &gradients)?;
/// assert_eq!(params.get(&w).data(), [0.5, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Gradients<'a, T, const M: usize = 0> {
    layout: &'a Layout,
    outputs: &'a [AnyTensor<T>],
    rows: &'a [SparseRows<T>],
}

impl<T, const M: usize> Clone for Gradients<'_, T, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const M: usize> Copy for Gradients<'_, T, M> {}

/// The gradients one after another; see [`Gradients`].
#[derive(Clone, Debug)]
pub struct Pairs<'a, T> {
    layout: &'a Layout,
    outputs: &'a [AnyTensor<T>],
    rows: &'a [SparseRows<T>],
    /// The number of the next parameter, and of the next table.
    next: usize,
    table: usize,
}

impl<'a, T: Real> Iterator for Pairs<'a, T> {
    type Item = (&'a Param, Gradient<'a, T>);

    fn next(&mut self) -> Option<Self::Item> {
        let param = self.layout.wrt.get(self.next)?;
        let gradient = match self.layout.tables.get(self.table) {
            Some(table) if table.param == self.next => {
                self.table += 1;
                Gradient::Rows(&self.rows[self.table - 1])
            }
            _ => Gradient::Dense(self.outputs[1 + self.next].real()),
        };
        self.next += 1;
        Some((param, gradient))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.layout.wrt.len() - self.next;
        (left, Some(left))
    }
}

impl<'a, T: Real, const M: usize> Gradients<'a, T, M> {
    pub(crate) fn new(layout: &'a Layout, values: &'a Values<T>) -> Self {
        Self { layout, outputs: &values.outputs, rows: &values.rows }
    }

    /// The value of the loss.
    pub fn loss(&self) -> T {
        self.outputs[0].real().item()
    }

    /// The parameters with all elements of their gradients.
    pub fn iter(&self) -> impl Iterator<Item = (&'a Param, &'a Tensor<T>)> + Clone + Send + use<'a, T, M> {
        self.into_iter().map(|(param, gradient)| (param, gradient.dense()))
    }

    /// The gradient with respect to an input.
    ///
    /// # Panics
    /// If it was not asked for by [`Step::wrt_inputs`](crate::Step::wrt_inputs).
    #[track_caller]
    pub fn input(&self, number: usize) -> &'a Tensor<T> {
        match self.layout.wrt_inputs.iter().position(|&input| input == number) {
            Some(position) => self.outputs[1 + self.layout.wrt.len() + position].real(),
            None => panic!("there is no gradient of input {number}: ask for it with `Step::wrt_inputs`"),
        }
    }

    /// The auxiliary values of a step made by [`Step::with_aux`](crate::Step::with_aux).
    pub fn aux(&self) -> [&'a AnyTensor<T>; M] {
        let first = self.before_aux();
        std::array::from_fn(|number| &self.outputs[first + number])
    }

    /// The loss and the gradients alone.
    pub(crate) fn without_aux(&self) -> Gradients<'a, T> {
        Gradients { layout: self.layout, outputs: self.outputs, rows: self.rows }
    }

    /// The buffers that the trace updates, with their new values.
    pub(crate) fn updates(&self) -> impl Iterator<Item = (&'a Param, &'a Tensor<T>)> + use<'a, T, M> {
        self.layout.buffers.iter().zip(self.outputs[self.before_aux() + M..].iter().map(AnyTensor::real))
    }

    fn before_aux(&self) -> usize {
        1 + self.layout.wrt.len() + self.layout.wrt_inputs.len()
    }
}

impl<'a, T: Real, const M: usize> IntoIterator for &Gradients<'a, T, M> {
    type Item = (&'a Param, Gradient<'a, T>);
    type IntoIter = Pairs<'a, T>;

    fn into_iter(self) -> Pairs<'a, T> {
        Pairs { layout: self.layout, outputs: self.outputs, rows: self.rows, next: 0, table: 0 }
    }
}
