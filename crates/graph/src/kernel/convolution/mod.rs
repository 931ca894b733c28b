//! Two-dimensional convolution: forward, backward with respect to the input, backward with respect to the filters.
//!
//! With up to 128 filters, where making columns would take as long as the product, windows are multiplied where they lie
//! (`direct`). Otherwise all three are products with the matrix of columns: row `(channel, i, j)`, column `p` holds the
//! element of the input at the filters' element `(i, j)` for position `p`, or zero where that lies in the padding. The
//! matrix is made block by block, each small enough for the L2 cache, and the product reads it from there:
//! `y = w·columns`, `w̄ = ȳ·columnsᵀ`, and `x̄` is `wᵀ·ȳ` added to the elements of the columns (col2im).
//! For a kernel of size 1 without stride and padding the input is that matrix. Several images with
//! small planes share a block. Depthwise convolutions need no matrix products: they are loops over padded planes.
//!
//! Order of sums: blocks depend on sizes alone, images and blocks follow each other in order (the direct way adds up
//! eight parts of them), and threads divide the elements of a result or whole parts, never the terms of one sum. So the
//! bits do not depend on the number of threads.
//!
//! Safety: threads get disjoint parts of a result, found by products of the sizes of the geometry. Each entry checks
//! first that all buffers have these sizes and that no such product overflows ([`Geometry::expect_sizes`]).

#![allow(unsafe_code)] // Hands disjoint parts of a result to threads.

mod backward_input;
mod backward_weight;
mod direct;
mod forward;
mod geometry;
mod im2col;
mod options;
mod plane;
#[cfg(test)]
mod tests;
mod threads;

pub(crate) use geometry::Geometry;
pub use options::Convolution;
