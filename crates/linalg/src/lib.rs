//! Dense linear algebra on slices, for the crates of Gradus that need it: layers, update rules and minimisers.
//!
//! Matrices are row-major slices; sides are arguments. Nothing here allocates but [`PivotedQr`], and no bit of a result
//! depends on the number of threads.
//!
//! # Example
//! ```
//! use gradus_linalg::eigenbasis;
//! let mut matrix = [2.0, 1.0, 1.0, 2.0];
//! let (mut basis, mut values) = ([0.0; 4], [0.0; 2]);
//! eigenbasis(&mut matrix, &mut basis, &mut values);
//! assert!((values[0] - 3.0_f64).abs() < 1e-15 && (values[1] - 1.0).abs() < 1e-15);
//! ```

mod eigen;
mod matrix;
mod orthonormal;
mod pivoted_qr;
mod vector;

pub use eigen::{eigenbasis, inverse_root, refine_eigenbasis};
pub use matrix::{Matrix, multiply, set_identity, workspace};
pub use orthonormal::orthonormalize;
pub use pivoted_qr::{PivotedQr, Triangle};
pub use vector::{add_scaled, dot, max_norm, norm, power_of_two_near};
