//! Pooling: planes and sequences made smaller by the largest or the mean of windows, of equal parts, or of all.

mod adaptive;
mod average;
mod global;
mod max;
mod positions;

pub use adaptive::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool, AdaptiveMaxPool1d, AdaptiveMaxPool2d,
};
pub use average::{AvgPool, AvgPool1d, AvgPool1dOptions, AvgPool2d, AvgPool2dOptions, AvgPoolOptions};
pub use global::{GlobalAvgPool, GlobalAvgPool1d, GlobalAvgPool2d, GlobalMaxPool, GlobalMaxPool1d, GlobalMaxPool2d};
pub use max::{MaxPool, MaxPool1d, MaxPool1dOptions, MaxPool2d, MaxPool2dOptions, MaxPoolOptions};
