//! Data for Gradus: labelled rows, batches of them, and where they come from.
//!
//! A [`Dataset`] pairs a tensor of inputs with a tensor of targets, row by row, and cuts them into batches. The
//! handwritten [`digits`] and the yearly [`sunspots`] are built in; [`mnist`] reads files in the format of MNIST, and
//! [`idx`] any file of that kind.
//!
//! # Example
//! ```
//! use gradus_data::{Split, digits};
//!
//! let Split { train, test } = digits::load();
//! for epoch in 0..2 {
//!     for batch in train.batches(32).shuffled(7, epoch).drop_last() {
//!         assert_eq!(batch.inputs.shape().sizes(), [32, 8, 8]);
//!         assert_eq!(batch.targets.shape().sizes(), [32]);
//!     }
//! }
//! assert_eq!(test.full_batch().len(), 360);
//! ```

mod array;
mod augment;
pub mod balance;
mod batches;
pub mod cifar;
mod dataset;
pub mod digits;
mod error;
mod file;
mod file_rows;
pub mod folds;
mod half;
pub mod idx;
#[cfg(feature = "images")]
pub mod image;
pub mod mnist;
pub mod npy;
pub mod npz;
mod prepare;
mod rows;
mod sequence;
mod shuffle;
mod split;
mod stream;
pub mod sunspots;
mod table;
pub mod text;
mod windows;

pub use array::FileArray;
pub use augment::{Augment, centre_crop, mix_up};
pub use batches::{Batch, Batches, Order};
pub use dataset::Dataset;
pub use error::{DataError, Problem};
pub use file_rows::FileRows;
pub use prepare::{Filling, Fitted, FittedState, Impute, MinMax, OneHot, Standardize, TableEncoder, TableRecipe};
pub use rows::{ChainedRows, ComputedRows, Joined, MappedRows, RowBatches, Rows, SelectedRows, ZippedRows, from_fn};
pub use sequence::{Sequences, pad};
pub use split::Split;
pub use stream::{Batched, Prefetched, Shuffled, Stream};
pub use table::{Categories, Column, ColumnType, Schema, Table, Texts};
#[cfg(feature = "csv")]
pub use table::{Csv, CsvChunks};
pub use windows::Windows;
