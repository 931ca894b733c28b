//! Kernels for the CPU: elementwise functions, matrix products, convolutions, reductions, random numbers.
//!
//! They are generic over the precision, and their loops are written so that the compiler vectorises them; [`simd`]
//! selects the widest instruction set of the machine at run time.

pub(crate) mod across;
pub(crate) mod along_axis;
pub(crate) mod convolution;
pub mod gemm;
pub(crate) mod indices;
pub mod math;
pub(crate) mod max_pool;
pub(crate) mod multiply_add;
pub mod parallel;
pub mod random;
pub(crate) mod reduce;
pub mod simd;
pub(crate) mod slim;
pub(crate) mod softmax;
pub(crate) mod strided;
