//! Jacobians and Hessians as dense arrays, for small functions: a vjp for each row or, if there are fewer columns, a jvp
//! for each column.

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
        if rows.contains(&0) || columns.contains(&0) {
            // An op without a derivative is an error here as well.
            self.vjp(&[of], &[self.zeros(rows)], &[wrt])?;
            return Ok(self.zeros(shape));
        }
        let is_tall = columns.len() < rows.len();
        let pulled = if is_tall { Some(self.pulled(&[of], &[wrt], Location::caller())?) } else { None };
        let along = if is_tall { &columns } else { &rows };
        let mut parts = Vec::with_capacity(along.len());
        for at in 0..along.len() {
            let one = self.constant(&Tensor::from_fn(along.clone(), |k| if k == at { 1.0 } else { 0.0 }));
            parts.push(match &pulled {
                Some(pulled) => self.pushed(pulled, &[of], &[one], Location::caller())?[0].reshape([rows.len(), 1]),
                None => self.vjp(&[of], &[one], &[wrt])?[0].reshape([1, columns.len()]),
            });
        }
        Ok(self.concat(&parts, if is_tall { 1 } else { 0 }).reshape(shape))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Tall, wide and square ones, of functions that depend on some of the elements, and without elements.
    #[test]
    fn jacobians_hold_the_derivative_of_each_element() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([1.0, 2.0, 3.0]));
        let [a, b, c] = [0, 1, 2].map(|k| x.slice(0, k, k + 1));
        let of = |rows: &[Var<'_>]| graph.eval(graph.jacobian(graph.concat(rows, 0), x).unwrap()).unwrap();
        let tall = [a * b, b.square(), c * 5.0, a * 0.0 + 1.0, a + b + c];
        let wanted = [[2.0, 1.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 5.0], [0.0; 3], [1.0; 3]];
        assert_eq!(of(&tall), Tensor::from_rows(wanted));
        assert_eq!(of(&tall[..2]), Tensor::from_rows([wanted[0], wanted[1]]));
        assert_eq!(of(&tall[..3]), Tensor::from_rows([wanted[0], wanted[1], wanted[2]]));
        let jacobian = |of, wrt| graph.eval(graph.jacobian(of, wrt).unwrap()).unwrap();
        let outer = x.unsqueeze(1) * x.slice(0, 0, 2);
        assert_eq!(jacobian(outer, x).shape()[..], [3, 2, 3]);
        assert_eq!(jacobian(outer, x).data()[..6], [2.0, 0.0, 0.0, 2.0, 1.0, 0.0]);
        assert_eq!(jacobian(x.slice(0, 0, 0), x).shape()[..], [0, 3]);
        assert_eq!(jacobian(graph.ones([4]), x), Tensor::zeros([4, 3]));
    }

    /// The work of each row is that of one product, whose copies are as long as the row.
    #[test]
    fn work_grows_with_the_elements() {
        let activations = |size: usize| {
            let graph = Graph::new();
            let x = graph.input("x", [size]);
            let jacobian = graph.jacobian(x.sin(), x).unwrap();
            crate::plan::Plan::new(&graph, &[jacobian]).unwrap().summary().activations
        };
        assert!(activations(80) * 10 < activations(40) * 42);
    }
}
