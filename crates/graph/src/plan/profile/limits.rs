//! What the machine can do, measured on the spot: the rate of a product and the bandwidth of copies.

use std::time::Instant;

use crate::error::Error;
use crate::params::Params;
use crate::plan::{Feed, Plan};
use crate::real::Real;
use crate::tape::Graph;
use crate::tensor::Tensor;

/// The limits of the machine, for the threads of the present pool.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Operations a second of a product of matrices of 384×384.
    pub(super) product_rate: f64,
    /// Bytes a second that a loop reads and writes, of data in the cache and beyond.
    cached: f64,
    uncached: f64,
}

/// Bytes of a unit that are taken to be in the cache.
const CACHE: u64 = 1 << 20;

impl Limits {
    pub(super) fn bandwidth(&self, bytes: u64) -> f64 {
        if bytes <= CACHE { self.cached } else { self.uncached }
    }

    pub(super) fn measure<T: Real>() -> Result<Self, Error> {
        const SIZE: usize = 384;
        let square = Tensor::full([SIZE, SIZE], T::of(0.5));
        let product = least::<T>(&square, |x| x.matmul(x), 8)?;
        let copy = |len: usize, runs: usize| -> Result<f64, Error> {
            let seconds = least::<T>(&Tensor::full([len], T::one()), |x| -x, runs)?;
            Ok((2 * len * size_of::<T>()) as f64 / seconds)
        };
        Ok(Self {
            product_rate: 2.0 * (SIZE as f64).powi(3) / product,
            cached: copy(1 << 15, 200)?,
            uncached: copy(1 << 22, 5)?,
        })
    }
}

/// The least time of a run of a function of one tensor.
fn least<T: Real>(
    x: &Tensor<T>,
    f: impl for<'g> Fn(crate::tape::Var<'g>) -> crate::tape::Var<'g>,
    runs: usize,
) -> Result<f64, Error> {
    let graph = Graph::new();
    let output = f(graph.input("x", x.shape().clone()));
    let mut session = Plan::new(&graph, &[output])?.session::<T>();
    let (params, mut best) = (Params::new(0), f64::INFINITY);
    for _ in 0..=runs {
        let start = Instant::now();
        session.run(&params, &Feed::new().with("x", x))?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}
