//! Einstein's summation: `"ij,jk->ik"` is the matrix product, `"ii->"` the trace, `"bqd,bkd->bqk"` the scores of
//! attention.
//!
//! It is composed of other ops, which give its derivatives.

use crate::shape::subscripts::{Index, Subscripts};
use crate::tape::{Graph, Var};

/// A variable with one index for each axis, no two equal.
struct Indexed<'g> {
    var: Var<'g>,
    indices: Vec<Index>,
}

impl<'g> Indexed<'g> {
    /// An operand as given, with the diagonal of an index that it has twice, and without axes of size 1 of an ellipsis,
    /// because they broadcast.
    #[track_caller]
    fn operand(var: Var<'g>, indices: &[Index]) -> Self {
        let shape = var.shape();
        let broadcasts = |axis: usize| matches!(indices[axis], Index::Ellipsis(_)) && shape[axis] == 1;
        let kept = (0..shape.rank()).filter(|&axis| !broadcasts(axis)).map(|axis| indices[axis]).collect();
        let mut operand = Self { var: var.reshape(shape.without(broadcasts)), indices: kept };
        while let Some((first, second)) = operand.repeated() {
            let size = operand.var.shape()[first];
            let rest = (0..operand.indices.len()).filter(|&axis| axis != first && axis != second);
            let order: Vec<isize> = rest.chain([first, second]).map(|axis| axis as isize).collect();
            let mut shape = operand.var.shape().without(|axis| axis == first || axis == second).to_vec();
            shape.push(size * size);
            let matrix = operand.var.permute(&order[..]).reshape(shape);
            operand.var = matrix.slice_step(-1, None, None, size as isize + 1);
            let index = operand.indices.remove(second);
            operand.indices.remove(first);
            operand.indices.push(index);
        }
        operand
    }

    /// The first two axes of one index.
    fn repeated(&self) -> Option<(usize, usize)> {
        let second = (0..self.indices.len()).find(|&axis| self.indices[..axis].contains(&self.indices[axis]))?;
        let first = self.indices.iter().position(|&index| index == self.indices[second])?;
        Some((first, second))
    }

    fn has(&self, index: Index) -> bool {
        self.indices.contains(&index)
    }

    fn size(&self, index: Index) -> Option<usize> {
        self.indices.iter().position(|&other| other == index).map(|axis| self.var.shape()[axis])
    }

    /// The product of the sizes of indices that it has.
    fn count(&self, indices: &[Index]) -> usize {
        indices.iter().filter_map(|&index| self.size(index)).product()
    }

    /// Summed over the indices for which `keep` is false.
    #[track_caller]
    fn summed(self, keep: impl Fn(Index) -> bool) -> Self {
        let axes: Vec<isize> =
            (0..self.indices.len()).filter(|&axis| !keep(self.indices[axis])).map(|axis| axis as isize).collect();
        Self {
            var: self.var.sum_axes(&axes[..]),
            indices: self.indices.into_iter().filter(|&index| keep(index)).collect(),
        }
    }

    /// The variable with its axes in the order of `indices`, which include its own; other indices become axes of size
    /// 1.
    #[track_caller]
    fn ordered(&self, indices: &[Index]) -> Var<'g> {
        let axis_of = |index: &Index| self.indices.iter().position(|other| other == index);
        let order: Vec<isize> = indices.iter().filter_map(axis_of).map(|axis| axis as isize).collect();
        let sizes: Vec<usize> = indices.iter().map(|&index| self.size(index).unwrap_or(1)).collect();
        self.var.permute(&order[..]).reshape(sizes)
    }

    /// The product with another operand, summed over the shared indices for which `keep` is false.
    #[track_caller]
    fn times(self, other: Self, keep: impl Fn(Index) -> bool) -> Self {
        let (left, right) = (self.summed(|i| keep(i) || other.has(i)), other);
        let right = right.summed(|i| keep(i) || left.has(i));
        let which = |of: &Self, choose: &dyn Fn(Index) -> bool| -> Vec<Index> {
            of.indices.iter().copied().filter(|&index| choose(index)).collect()
        };
        let batch = which(&left, &|i| right.has(i) && keep(i));
        let inner = which(&left, &|i| right.has(i) && !keep(i));
        let (rows, columns) = (which(&left, &|i| !right.has(i)), which(&right, &|i| !left.has(i)));
        let indices = [&batch[..], &rows, &columns].concat();

        // Without a sum this is an elementwise product; and a batch of products of vectors is computed without a matrix
        // product.
        if inner.is_empty() || (!batch.is_empty() && rows.is_empty() && columns.is_empty()) {
            let with_inner = [&indices[..], &inner].concat();
            let product = Self { var: left.ordered(&with_inner) * right.ordered(&with_inner), indices: with_inner };
            return product.summed(keep);
        }
        let (m, k, n) = (left.count(&rows), left.count(&inner), right.count(&columns));
        let mut sizes: Vec<usize> = if batch.is_empty() { vec![] } else { vec![left.count(&batch)] };
        let leading = sizes.len();
        sizes.extend([m, k]);
        let a = left.ordered(&[&batch[..], &rows, &inner].concat()).reshape(&sizes[..]);
        sizes.splice(leading.., [k, n]);
        let b = right.ordered(&[&batch[..], &inner, &columns].concat()).reshape(&sizes[..]);
        let shape: Vec<usize> =
            indices.iter().map(|&i| left.size(i).or_else(|| right.size(i)).expect("one of them has it")).collect();
        Self { var: a.matmul(b).reshape(shape), indices }
    }
}

/// Checks that the operands agree on the size of each index.
fn check_sizes(subscripts: &Subscripts, vars: &[Var<'_>]) -> Result<(), String> {
    let mut seen: Vec<(Index, usize, usize)> = Vec::new();
    for (number, (indices, var)) in subscripts.operands.iter().zip(vars).enumerate() {
        for (&index, &size) in indices.iter().zip(var.shape().iter()) {
            if matches!(index, Index::Ellipsis(_)) && size == 1 {
                continue;
            }
            match seen.iter().find(|(other, ..)| *other == index) {
                None => seen.push((index, size, number)),
                Some(&(_, before, first)) if before != size => {
                    let what = match index {
                        Index::Letter(letter) => format!("`{letter}`"),
                        Index::Ellipsis(axis) => format!("axis -{} of the ellipsis", axis + 1),
                    };
                    return Err(format!("{what} has size {before} in operand {first} and {size} in operand {number}"));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

impl Graph {
    /// Einstein's summation over any number of operands.
    ///
    /// The subscripts have a letter for the index of each axis of each operand and, after `->`, of the output; indices
    /// that are not in the output are summed over. Without `->` the output has the letters that occur once, in
    /// alphabetical order. A letter that occurs twice in an operand selects the diagonal. `...` is any number of axes,
    /// which broadcast. These are the rules of NumPy and PyTorch.
    ///
    /// Operands are contracted from left to right, each pair by one matrix product, batched over the indices that both
    /// have and that are kept. An index of one operand that is not needed later is summed over first.
    ///
    /// # Panics
    /// If the subscripts are malformed or do not fit the shapes.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Graph, Tensor};
    /// let graph = Graph::new();
    /// let a = graph.constant(&Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]]));
    /// let x = graph.constant(&Tensor::from([1.0, 10.0]));
    /// assert_eq!(graph.eval(graph.einsum("ij,j->i", &[a, x]))?.data(), [21.0, 43.0]);
    /// assert_eq!(graph.eval(graph.einsum("i,ij,j->", &[x, a, x]))?.item(), 451.0);
    /// assert_eq!(graph.eval(graph.einsum("ii", &[a]))?.item(), 5.0);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn einsum<'g>(&'g self, subscripts: &str, operands: &[Var<'g>]) -> Var<'g> {
        let shapes: Vec<_> = operands.iter().map(|var| var.shape()).collect();
        let parsed =
            Subscripts::parse(subscripts, &shapes).and_then(|parsed| check_sizes(&parsed, operands).map(|()| parsed));
        let Subscripts { operands: indices, output } = match parsed {
            Ok(parsed) => parsed,
            Err(problem) => panic!("`einsum` of \"{subscripts}\": {problem}"),
        };
        let mut result: Option<Indexed<'g>> = None;
        for (number, (&var, own)) in operands.iter().zip(&indices).enumerate() {
            let operand = Indexed::operand(var, own);
            let later = &indices[number + 1..];
            let keep = |index| output.contains(&index) || later.iter().flatten().any(|&other| other == index);
            result = Some(match result {
                None => operand.summed(keep),
                Some(before) => before.times(operand, keep),
            });
        }
        result.expect("there is an operand").ordered(&output)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::check::assert_property;
    use crate::check::strategies::tensor;
    use crate::shape::{Shape, unravel};
    use crate::tensor::Tensor;

    /// Specs, with the letters of each operand; sizes follow from the letters.
    const SPECS: [(&str, &[&str]); 24] = [
        ("ij,jk->ik", &["ij", "jk"]),
        ("ij,jk", &["ij", "jk"]),
        ("ji,jk->ki", &["ji", "jk"]),
        ("bij,bjk->bik", &["bij", "bjk"]),
        ("bqhd,bkhd->bhqk", &["bqhd", "bkhd"]),
        ("ij,j->i", &["ij", "j"]),
        ("i,i->", &["i", "i"]),
        ("i,j->ij", &["i", "j"]),
        ("i,j->ji", &["i", "j"]),
        ("ij,ij->ij", &["ij", "ij"]),
        ("ij,ij->i", &["ij", "ij"]),
        ("ij,kl->il", &["ij", "kl"]),
        ("ij->ji", &["ij"]),
        ("ijk->j", &["ijk"]),
        ("ii->", &["ii"]),
        ("ii->i", &["ii"]),
        ("iij->ji", &["iij"]),
        ("iji,i->j", &["iji", "i"]),
        ("iii->i", &["iii"]),
        ("i,ij,j->", &["i", "ij", "j"]),
        ("ij,jk,kl->il", &["ij", "jk", "kl"]),
        ("i,i,i->i", &["i", "i", "i"]),
        ("ij,i,ik->jk", &["ij", "i", "ik"]),
        (",i->i", &["", "i"]),
    ];

    fn shape_of(letters: &str, sizes: &[usize]) -> Shape {
        letters.bytes().map(|letter| sizes[usize::from(letter) % sizes.len()]).collect()
    }

    /// The sum over all values of all letters.
    fn by_definition(subscripts: &str, letters: &[&str], operands: &[Tensor<f64>], output: &Shape) -> Tensor<f64> {
        let sizes: BTreeMap<char, usize> = letters
            .iter()
            .zip(operands)
            .flat_map(|(letters, tensor)| letters.chars().zip(tensor.shape().iter().copied()))
            .collect();
        let kept = subscripts.split_once("->").map_or("ik", |(_, kept)| kept);
        let all: Shape = sizes.values().copied().collect();
        let mut sum = Tensor::zeros(output.clone());
        for position in 0..all.len() {
            let value: BTreeMap<char, usize> = sizes.keys().copied().zip(unravel(position, &all)).collect();
            let index = |letters: &str| letters.chars().map(|letter| value[&letter]).collect::<Vec<_>>();
            let term: f64 = letters.iter().zip(operands).map(|(letters, tensor)| tensor.at(&index(letters))).product();
            let place = index(kept).iter().zip(output.iter()).fold(0, |place, (i, size)| place * size + i);
            sum.data_mut()[place] += term;
        }
        sum
    }

    #[test]
    fn values_and_gradients_agree_with_the_definition() {
        for (spec, letters) in SPECS {
            let operands = |sizes: Vec<usize>| {
                letters.iter().map(|letters| tensor(shape_of(letters, &sizes), -2.0..2.0)).collect::<Vec<_>>()
            };
            for sizes in [vec![2, 3, 4, 1, 2, 3, 2], vec![1, 0, 2]] {
                let drawn: Vec<Tensor<f64>> = letters
                    .iter()
                    .map(|letters| Tensor::from_fn(shape_of(letters, &sizes), |k| ((k * 7) % 11) as f64 - 4.0))
                    .collect();
                let graph = Graph::new();
                let vars: Vec<Var<'_>> = drawn.iter().map(|tensor| graph.constant(tensor)).collect();
                let found = graph.eval(graph.einsum(spec, &vars)).unwrap();
                assert_eq!(found, by_definition(spec, letters, &drawn, found.shape()), "{spec}");
            }
            let inputs = prop_oneof![Just(vec![2, 1, 3]), Just(vec![1, 2, 2]), Just(vec![2, 2, 0])];
            assert_property(inputs.prop_flat_map(operands), |x| x[0].graph().einsum(spec, x));
        }
    }

    #[test]
    fn ellipses_broadcast() {
        let shapes = [
            ("...ij,...jk->...ik", [vec![3, 1, 2, 2], vec![2, 2, 3]], vec![3, 2, 2, 3]),
            ("...ij,...jk", [vec![2, 2], vec![2, 2, 3]], vec![2, 2, 3]),
            ("i...,i->...", [vec![2, 3, 1], vec![2]], vec![3, 1]),
            ("...,...->...", [vec![2, 1], vec![1, 3]], vec![2, 3]),
            ("...i,...i->i...", [vec![2, 3], vec![1, 3]], vec![3, 2]),
            ("...,i->i...", [vec![1, 1], vec![2]], vec![2, 1, 1]),
            ("...ii,i->...", [vec![2, 3, 3], vec![3]], vec![2]),
        ];
        for (spec, [a, b], expected) in shapes {
            let inputs = vec![tensor(a.clone(), -2.0..2.0), tensor(b.clone(), -2.0..2.0)];
            assert_property(inputs, |x| x[0].graph().einsum(spec, x));
            let graph = Graph::new();
            assert_eq!(graph.einsum(spec, &[graph.zeros(a), graph.zeros(b)]).shape().sizes(), expected, "{spec}");
        }
        let graph = Graph::new();
        let a = graph.constant(&Tensor::from_fn([3, 1, 2, 2], |k| k as f64));
        let b = graph.constant(&Tensor::from_fn([2, 2, 3], |k| k as f64 - 5.0));
        let value = |y| graph.eval(y).unwrap();
        assert_eq!(value(graph.einsum("...ij,...jk->...ik", &[a, b])), value(a.matmul(b)));
    }

    #[test]
    fn one_pair_is_one_matrix_product() {
        let graph = Graph::new();
        let (a, b) = (graph.zeros([2, 3, 4, 5]), graph.zeros([2, 6, 4, 5]));
        let before = graph.len();
        graph.einsum("bqhd,bkhd->bhqk", &[a, b]);
        let products = (before..graph.len()).filter(|&k| graph.tape().name(crate::tape::NodeId(k as u32)) == "matmul");
        assert_eq!(products.count(), 1);
    }

    #[test]
    #[should_panic(expected = "`einsum` of \"ij,jk->ik\": `j` has size 3 in operand 0 and 4 in operand 1")]
    fn sizes_that_differ_are_named() {
        let graph = Graph::new();
        graph.einsum("ij,jk->ik", &[graph.zeros([2, 3]), graph.zeros([4, 5])]);
    }

    #[test]
    #[should_panic(expected = "`einsum` of \"ii\": `i` has size 2 in operand 0 and 3 in operand 0")]
    fn a_diagonal_needs_a_square() {
        let graph = Graph::new();
        graph.einsum("ii", &[graph.zeros([2, 3])]);
    }

    #[test]
    #[should_panic(expected = "`einsum` of \"...,...\": axis -1 of the ellipsis has size 2 in operand 0 and 3 in")]
    fn ellipses_that_do_not_broadcast_are_named() {
        let graph = Graph::new();
        graph.einsum("...,...", &[graph.zeros([2]), graph.zeros([3])]);
    }

    #[test]
    #[should_panic(expected = "`einsum` of \"ij->ik\": the output has `k`, which no operand has")]
    fn a_malformed_spec_is_named() {
        let graph = Graph::new();
        graph.einsum("ij->ik", &[graph.zeros([2, 3])]);
    }
}
