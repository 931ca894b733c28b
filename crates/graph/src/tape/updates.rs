//! Updates of buffers by a training run, such as running statistics.

use super::op::Meta;
use super::{Graph, Var};
use crate::params::Param;

impl Graph {
    /// Records that a training run updates a buffer of the store to `value`, as batch normalisation does with its
    /// running statistics. A graph does not write the store: a `Step` of `gradus-train` writes the updates after each
    /// successful run.
    ///
    /// Several updates of one buffer are composed if each starts from [`Graph::updated`].
    ///
    /// # Panics
    /// If the parameter is not a buffer, or the value has another shape.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Feed, Graph, Params, Tensor};
    /// let mut params: Params<f64> = Params::new(0);
    /// let calls = params.add_buffer("calls", Tensor::scalar(5.0));
    /// let graph = Graph::new();
    /// graph.update(&calls, graph.updated(&calls) + 1.0);
    /// graph.update(&calls, graph.updated(&calls) + 1.0);
    /// let updates = graph.updates();
    /// assert_eq!(updates.len(), 1);
    /// assert_eq!(graph.eval_with(&[updates[0].1], &params, &Feed::new())?[0].real().item(), 7.0);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn update(&self, buffer: &Param, value: Var<'_>) {
        let (name, shape, found) = (buffer.name(), buffer.shape(), value.meta());
        assert!(buffer.is_buffer(), "`update` of `{name}`: it is a parameter, not a buffer");
        assert!(
            found == Meta::real(shape.clone()),
            "`update` of `{name}` of shape {shape} with a value of shape {}",
            found.shape
        );
        self.expect_own("update", &[value]);
        let mut tape = self.tape.borrow_mut();
        let (last, order) = (tape.updates.len(), tape.updated.len());
        tape.updates.push((buffer.clone(), value.value));
        tape.updated.entry(buffer.clone()).or_insert((last, order)).0 = last;
    }

    /// The value of a buffer after the updates that the graph has recorded so far; the buffer itself if there are none.
    #[track_caller]
    pub fn updated(&self, buffer: &Param) -> Var<'_> {
        let last = {
            let tape = self.tape();
            tape.updated.get(buffer).map(|&(last, _)| tape.updates[last].1)
        };
        match last {
            Some(value) => Var { graph: self, value },
            None => self.param(buffer),
        }
    }

    /// The buffers that a training run updates, in the order of their first update, with their new values.
    pub fn updates(&self) -> Vec<(Param, Var<'_>)> {
        let tape = self.tape();
        let mut last_updates: Vec<(usize, usize)> = tape.updated.values().map(|&(last, order)| (order, last)).collect();
        last_updates.sort_unstable();
        let update = |(_, last): (usize, usize)| {
            let (buffer, value) = &tape.updates[last];
            (buffer.clone(), Var { graph: self, value: *value })
        };
        last_updates.into_iter().map(update).collect()
    }
}
