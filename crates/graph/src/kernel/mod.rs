//! The work that runs on the CPU: the functions of one number, and the products of matrices.
//!
//! All code here is generic over the precision and written so that the compiler turns its loops into vector code;
//! [`simd`] picks the widest instruction set that the machine has, at run time.

pub(crate) mod along_axis;
pub(crate) mod convolution;
pub mod gemm;
pub(crate) mod indices;
pub mod math;
pub mod parallel;
pub mod random;
pub(crate) mod reduce;
pub mod simd;
pub(crate) mod softmax;
