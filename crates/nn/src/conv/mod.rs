//! Convolutions along one axis or two, and their transposes.

mod convolution;
mod filters;
mod options;
mod planes;
mod transposed;

pub use convolution::{Conv, Conv1d, Conv2d};
pub use options::{
    Conv1dOptions, Conv2dOptions, ConvOptions, ConvTranspose1dOptions, ConvTranspose2dOptions, ConvTransposeOptions,
    OutputPadding, Padding,
};
pub use planes::Sizes;
pub(crate) use planes::{last, planes, rows_and_columns, unplaned};
pub use transposed::{ConvTranspose, ConvTranspose1d, ConvTranspose2d};
