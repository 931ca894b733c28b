//! Data for Gradus: labelled rows, batches of them, and where they come from.
//!
//! A [`Dataset`] pairs a tensor of inputs with a tensor of targets, row by row, and cuts them into batches. The
//! handwritten [`digits`] and the yearly [`sunspots`] are built in.
//!
//! **Readers**: `Csv` for tables (feature `csv`), [`npy`] and [`npz`], [`idx`] and [`mnist`], [`cifar`], [`text`], and
//! `image` for folders of images (feature `images`). None trusts a header, none takes more memory than in proportion to
//! its file, and an error names the file and the line and column, or what was expected there. What is written is bytes:
//! how a file is replaced is the caller's affair.
//!
//! **Rows** ([`Rows`]) are found by their numbers, in memory, in a file ([`FileRows`]) or by a function ([`from_fn`]):
//! their order in an epoch depends on a seed and the epoch, and a run that resumes passes over batches without reading
//! them. **Streams** ([`Stream`]) are any iterators: of the tables of a long file, say. Both are read ahead on threads.
//!
//! **Preparation** is fitted on the training part and kept with the model ([`FittedState`]): [`TableEncoder`] for whole
//! tables, [`Standardize`], [`MinMax`], [`Impute`], [`OneHot`], [`Categories`] and [`text::Vocabulary`] for parts of it.
//! [`folds`] and [`balance`] choose rows, [`Augment`] and [`mix_up`] change images.
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
