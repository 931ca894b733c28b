//! Cuts along an axis, and repetitions: made of views, so that in a plan the parts cost nothing.

use super::axes::resolve_axis;
use crate::shape::Shape;
use crate::tape::Var;

impl<'g> Var<'g> {
    /// The parts of the given sizes along an axis, one after another.
    ///
    /// # Panics
    /// If the axis is out of range, or the sizes do not add up to that of the axis.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1.0, 2.0, 3.0]));
    /// let parts = x.split(&[1, 2], 0);
    /// assert_eq!(graph.eval(parts[1])?.data(), [2.0, 3.0]);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn split(self, sizes: &[usize], axis: isize) -> Vec<Var<'g>> {
        let shape = self.shape();
        let axis = resolve_axis("split", axis, &shape);
        let (total, size) = (sizes.iter().sum::<usize>(), shape[axis]);
        assert!(
            total == size,
            "`split` of {shape}: the sizes {sizes:?} add up to {total}, but axis {axis} has size {size}"
        );
        self.parts(sizes.iter().copied(), axis)
    }

    /// `count` parts of equal size along an axis, one after another.
    ///
    /// # Panics
    /// If the axis is out of range, or its size is not a multiple of `count`.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let gates = graph.constant(&Tensor::from_rows([[1.0, 2.0, 3.0, 4.0]])).chunks(2, -1);
    /// assert_eq!(graph.eval(gates[1])?, Tensor::from_rows([[3.0, 4.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn chunks(self, count: usize, axis: isize) -> Vec<Var<'g>> {
        let shape = self.shape();
        let axis = resolve_axis("chunks", axis, &shape);
        let size = shape[axis];
        assert!(
            count > 0 && size.is_multiple_of(count),
            "`chunks` of {shape}: axis {axis} of size {size} cannot be cut into {count} equal parts"
        );
        self.parts(std::iter::repeat_n(size / count, count), axis)
    }

    #[track_caller]
    fn parts(self, sizes: impl Iterator<Item = usize>, axis: usize) -> Vec<Var<'g>> {
        let mut parts = Vec::new();
        let mut start = 0;
        for size in sizes {
            parts.push(self.slice(axis as isize, start, start + size as isize));
            start += size as isize;
        }
        parts
    }

    /// The whole repeated side by side, `repeats[k]` times along axis `k`.
    ///
    /// The repeats are aligned with the axes at the last, as in NumPy: where there are more repeats, axes of size 1
    /// are added in front; where there are fewer, the first axes are not repeated.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([1.0, 2.0]));
    /// let twice = graph.eval(x.tile([2, 2]))?;
    /// assert_eq!(twice, Tensor::from_rows([[1.0, 2.0, 1.0, 2.0], [1.0, 2.0, 1.0, 2.0]]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn tile(self, repeats: impl AsRef<[usize]>) -> Var<'g> {
        let (shape, repeats) = (self.shape(), repeats.as_ref());
        let rank = shape.rank().max(repeats.len());
        let aligned = |sizes: &[usize], axis: usize| (axis + sizes.len()).checked_sub(rank).map_or(1, |k| sizes[k]);
        let pairs = || (0..rank).map(|axis| (aligned(repeats, axis), aligned(&shape, axis)));
        // [a, b] as [1, a, 1, b], repeated to [r, a, s, b], read as [r·a, s·b].
        let apart: Shape = pairs().flat_map(|(_, size)| [1, size]).collect();
        let repeated: Shape = pairs().flat_map(|(repeat, size)| [repeat, size]).collect();
        let joined: Shape = pairs().map(|(repeat, size)| repeat * size).collect();
        self.reshape(apart).broadcast_to(repeated).reshape(joined)
    }
}

#[cfg(test)]
mod tests {
    use crate::check::assert_property;
    use crate::check::strategies::{alike, tensor};
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    #[test]
    fn gradients() {
        let matrix = || vec![tensor([3, 4], -3.0..3.0)];
        assert_property(matrix(), |x| {
            let parts = x[0].split(&[1, 0, 3], -1);
            parts[0] * parts[2].square() + parts[1].sum()
        });
        assert_property(matrix(), |x| {
            let [a, b] = x[0].chunks(2, 1)[..] else { panic!("two parts") };
            a * b
        });
        assert_property(alike(1, -3.0..3.0), |x| x[0].tile([2, 1, 3]).square());
        assert_property(matrix(), |x| x[0].tile([2]).square() + x[0].tile([1, 1, 1, 2]));
    }

    #[test]
    fn tiles_are_numpys() {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]]));
        let value = |y| graph.eval(y).unwrap();
        let wide = Tensor::from_rows([[1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0]]);
        assert_eq!(value(x.tile([2])), wide);
        assert_eq!(value(x.tile([2, 1])).data(), [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(value(x.tile([0, 1])).shape().sizes(), [0, 2]);
        assert_eq!(value(x.tile([3, 1, 1])).shape().sizes(), [3, 2, 2]);
        assert_eq!(value(graph.scalar(5.0).tile([2])).data(), [5.0, 5.0]);
    }

    #[test]
    #[should_panic(expected = "`split` of [5, 2]: the sizes [2, 2] add up to 4, but axis 0 has size 5")]
    fn sizes_must_add_up() {
        Graph::new().zeros([5, 2]).split(&[2, 2], 0);
    }

    #[test]
    #[should_panic(expected = "`chunks` of [5, 2]: axis 0 of size 5 cannot be cut into 2 equal parts")]
    fn parts_must_be_equal() {
        Graph::new().zeros([5, 2]).chunks(2, 0);
    }
}
