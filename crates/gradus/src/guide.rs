//! The guides and reference pages of `docs`, whose examples are compiled and run with the tests.

/// [ops]: crate::guide::ops
/// [layers]: crate::guide::layers
/// [guide]: crate::guide::gradient_checks
#[cfg_attr(feature = "csv", doc = include_str!("../docs/guide.md"))]
#[cfg_attr(not(feature = "csv"), doc = "This page needs the feature `csv`.")]
pub mod tutorial {}

#[doc = include_str!("../docs/gradient-checks.md")]
pub mod gradient_checks {}

#[doc = include_str!("../docs/ops.md")]
pub mod ops {}

#[doc = include_str!("../docs/layers.md")]
pub mod layers {}

#[doc = include_str!("../docs/accuracy.md")]
pub mod accuracy {}

#[doc = include_str!("../docs/speed.md")]
pub mod speed {}

/// [soundness]: crate::guide::soundness
/// [ops]: crate::guide::ops
/// [layers]: crate::guide::layers
#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}

#[doc = include_str!("../docs/soundness.md")]
pub mod soundness {}

/// [architecture]: crate::guide::architecture
#[doc = include_str!("../docs/design.md")]
pub mod design {}

#[doc = include_str!("../docs/weight-updates.md")]
pub mod study {}
