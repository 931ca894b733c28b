//! Normalisation: layers that bring their input to mean 0 and variance 1, and weights of a fixed norm.
//!
//! They differ in what a mean is taken over, for an input `[N, C, …]`:
//!
//! | layer | over |
//! |---|---|
//! | [`BatchNorm`] | `N` and the axes after `C`, each channel by itself |
//! | [`InstanceNorm`] | the axes after `C`, each channel of each example by itself |
//! | [`GroupNorm`] | the axes after `C` and a group of channels, each example by itself |
//! | [`LayerNorm`] | the last axes, whatever they are |
//! | [`RmsNorm`] | as [`LayerNorm`], without subtracting the mean |
//!
//! [`WeightNorm`] and [`SpectralNorm`] are layers around a layer, whose weight they make from other parameters.

mod affine;
mod batch;
mod group;
mod instance;
mod layer;
#[cfg(test)]
mod plain_loops;
mod rms;
mod running;
mod spectral;
mod weight;

pub use batch::{BatchNorm, BatchNormOptions};
pub use group::{GroupNorm, GroupNormOptions};
pub use instance::{InstanceNorm, InstanceNormOptions};
pub use layer::{LayerNorm, LayerNormOptions};
pub use rms::{RmsNorm, RmsNormOptions};
pub use spectral::{SpectralNorm, SpectralNormOptions};
pub use weight::WeightNorm;
