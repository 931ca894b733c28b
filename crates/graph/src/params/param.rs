//! A parameter as the layers of a model hold it, and the identity of its store.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::shape::Shape;

/// A handle to a parameter: the identity of the store, the index in it, the name and the shape. Cheap to clone.
///
/// Two are equal if they are the same parameter of the same store. Clones and casts of a store are the same store; one
/// that was constructed separately is another, even if it has the same names.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Param(Arc<Spec>);

#[derive(PartialEq, Eq, Hash)]
pub(super) struct Spec {
    pub(super) store: StoreId,
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) buffer: bool,
}

/// The identity of a store and its clones: the address of an allocation that they and their handles share.
#[derive(Clone)]
pub(super) struct StoreId(Arc<u8>);

impl StoreId {
    pub(super) fn new() -> Self {
        // Not `()`: allocations of size 0 may share an address.
        Self(Arc::new(0))
    }
}

impl PartialEq for StoreId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for StoreId {}

impl Hash for StoreId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Param {
    pub(super) fn new(spec: Spec) -> Self {
        Self(Arc::new(spec))
    }

    pub(super) fn spec(&self) -> &Spec {
        &self.0
    }

    /// The index in the store, counted from 0 in the order of creation.
    pub fn index(&self) -> usize {
        self.0.index
    }

    /// The dotted name, such as `encoder.hidden.weight`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> &Shape {
        &self.0.shape
    }

    /// Whether it is a buffer, which is not trained; see [`Params::add_buffer`](super::Params::add_buffer).
    pub fn is_buffer(&self) -> bool {
        self.0.buffer
    }
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.name, self.0.shape)
    }
}
