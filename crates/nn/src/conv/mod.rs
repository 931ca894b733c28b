//! Convolutions along one axis or two, and their transposes.

mod convolution;
mod planes;
mod transposed;

pub use convolution::{Conv, Conv1d, Conv1dOptions, Conv2d, Conv2dOptions, ConvOptions, Padding};
pub use planes::Sizes;
pub(crate) use planes::{last, planes, rows_and_columns, unplaned};
pub use transposed::{
    ConvTranspose, ConvTranspose1d, ConvTranspose1dOptions, ConvTranspose2d, ConvTranspose2dOptions,
    ConvTransposeOptions,
};
