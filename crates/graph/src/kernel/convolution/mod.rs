//! Convolutions of planes: the values, and the cotangents of what is convolved and of the filters.
//!
//! All three are products with the matrix of columns: row `(channel, i, j)`, column `p` holds the element of the input
//! that the filters' element `(i, j)` meets at the position `p`, or zero where that lies in the padding. The matrix is
//! made block by block, each small enough for the L2 cache, and the product reads it from there:
//! `y = w·columns`, `w̄ = ȳ·columnsᵀ`, and `x̄` adds up the elements of `wᵀ·ȳ` where columns come from.
//! Where a filter is one element and nothing is skipped or padded, the input is that matrix. Of small planes several
//! images share a block. Filters that each see one channel of their own leave nothing to multiply matrices for: they
//! are loops over planes with zeros around them.
//!
//! Order of sums: blocks depend on sizes alone, images and blocks follow each other in order, and threads divide the
//! elements of a result, never the terms of one. So the bits do not depend on the number of threads.
//!
//! Safety: threads get disjoint parts of a result, found by products of the sizes of the geometry. Each entry checks first
//! that all buffers have these sizes and that no such product overflows ([`Geometry::expect_sizes`]).

#![allow(unsafe_code)] // Hands disjoint parts of a result to threads.

mod backward_input;
mod backward_weight;
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
