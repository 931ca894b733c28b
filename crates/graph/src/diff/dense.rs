//! Jacobians and Hessians as dense arrays, one sweep per row: for small functions.

use std::panic::Location;

use crate::error::Error;
use crate::tape::{Graph, Var, expect_shape};
use crate::tensor::Tensor;

impl Graph {
    /// The Jacobian of `of` with respect to `wrt`.
    ///
    /// # Shapes
    /// The axes of `of`, followed by those of `wrt`.
    ///
    /// # Errors
    /// If an op between them has no derivative.
    ///
    /// # Panics
    /// If the Jacobian would have more elements than memory can address.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([2.0, 3.0]));
    /// let jacobian = graph.jacobian(x * x, x)?;
    /// assert_eq!(graph.eval(jacobian)?, Tensor::from_rows([[4.0, 0.0], [0.0, 6.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn jacobian<'g>(&'g self, of: Var<'g>, wrt: Var<'g>) -> Result<Var<'g>, Error> {
        for var in [of, wrt] {
            self.check_own("jacobian", &[var], Location::caller())?;
        }
        let (rows, columns) = (of.shape(), wrt.shape());
        let sizes: Vec<usize> = rows.iter().chain(columns.iter()).copied().collect();
        let shape = expect_shape("jacobian", &[&rows, &columns], sizes);
        let mut jacobian = self.zeros([rows.len(), columns.len()]);
        for row in 0..rows.len() {
            let one = self.constant(&Tensor::from_fn(rows.clone(), |k| if k == row { 1.0 } else { 0.0 }));
            let product = self.vjp(&[of], &[one], &[wrt])?[0].reshape([1, columns.len()]);
            jacobian += product.pad(0, row, rows.len() - row - 1);
        }
        Ok(jacobian.reshape(shape))
    }

    /// The Hessian of a scalar with respect to `wrt`.
    ///
    /// Where an op between them has a kink, its first derivative is the subgradient in the table of ops, and its second
    /// derivative 0, even if the whole function is smooth: the Hessian of `x.norm().square()` or
    /// `x.abs().square()` at 0 is 0 and not 2. Written without the kink, as `x.square().sum()`, it is right.
    ///
    /// # Shapes
    /// The axes of `wrt`, twice.
    ///
    /// # Errors
    /// If `of` is not a scalar or an op between them has no derivative.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([2.0, 3.0]));
    /// let product = x.slice(0, 0, 1) * x.slice(0, 1, 2);
    /// let hessian = graph.hessian(product.sum(), x)?;
    /// assert_eq!(graph.eval(hessian)?, Tensor::from_rows([[0.0, 1.0], [1.0, 0.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn hessian<'g>(&'g self, of: Var<'g>, wrt: Var<'g>) -> Result<Var<'g>, Error> {
        let gradient = self.grad_or_zeros(of, &[wrt])?[0];
        self.jacobian(gradient, wrt)
    }
}
