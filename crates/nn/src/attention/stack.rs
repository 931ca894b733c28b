//! Layers of an encoder or a decoder, one after another.

use gradus_graph::{Params, Real, Var};

use super::block::expect_sequence;
use super::options::TransformerOptions;
use crate::norm::LayerNorm;

/// Layers of one type, and a normalisation at the end if there is one.
#[derive(Clone, Debug)]
pub(super) struct Stack<L> {
    pub(super) name: String,
    pub(super) layers: Vec<L>,
    norm: Option<LayerNorm>,
    size: usize,
    options: TransformerOptions,
}

impl<L> Stack<L> {
    pub(super) fn new(name: &str, layers: Vec<L>, size: usize, options: TransformerOptions) -> Self {
        Self { name: name.to_owned(), layers, norm: None, size, options }
    }

    /// Adds a normalisation at the end to the store.
    #[track_caller]
    pub(super) fn add_norm(&mut self, params: &mut Params<impl Real>) {
        self.norm = Some(self.options.norm(&mut params.enter(&self.name), "norm", self.size));
    }

    /// Panics if the input has another shape than sequences. `stack` is the name of the type.
    #[track_caller]
    pub(super) fn expect_input(&self, stack: &str, x: Var<'_>) {
        expect_sequence(stack, &x.shape(), self.size);
    }

    /// The output, from that of the last layer.
    #[track_caller]
    pub(super) fn finish<'g>(&self, y: Var<'g>) -> Var<'g> {
        match &self.norm {
            Some(norm) => norm.forward(y),
            None => y,
        }
    }
}
