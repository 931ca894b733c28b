//! Sums and products of iterators over variables.

use std::iter::{Product, Sum};
use std::ops::{Add, Mul};

use super::Var;

macro_rules! fold {
    ($trait:ident, $method:ident, $join:path, $doc:literal) => {
        impl<'g> $trait for Var<'g> {
            #[doc = $doc]
            ///
            /// The standard library does not pass on the caller's line: each node has the line of the term that it
            /// adds.
            ///
            /// # Panics
            /// If there are no terms, and so no graph for a constant; or the shapes do not broadcast.
            ///
            /// # Example
            /// ```
            /// use gradus_graph::{Graph, Tensor, Var};
            /// let graph = Graph::new();
            /// let terms: Vec<Var<'_>> = (1..5).map(|k| graph.scalar(f64::from(k))).collect();
            /// let (sum, product): (Var<'_>, Var<'_>) = (terms.iter().sum(), terms.into_iter().product());
            /// assert_eq!((graph.eval(sum)?.item(), graph.eval(product)?.item()), (10.0, 24.0));
            /// # Ok::<(), gradus_graph::Error>(())
            /// ```
            fn $method<I: Iterator<Item = Var<'g>>>(terms: I) -> Var<'g> {
                folded(stringify!($method), terms, $join)
            }
        }

        impl<'a, 'g> $trait<&'a Var<'g>> for Var<'g> {
            #[doc = $doc]
            ///
            /// # Panics
            /// As for variables by value.
            fn $method<I: Iterator<Item = &'a Var<'g>>>(terms: I) -> Var<'g> {
                terms.copied().$method()
            }
        }
    };
}

fold!(Sum, sum, Add::add, "The sum of variables, with broadcasting.");
fold!(Product, product, Mul::mul, "The product of variables, with broadcasting.");

fn folded<'g>(
    what: &str,
    mut terms: impl Iterator<Item = Var<'g>>,
    join: impl Fn(Var<'g>, Var<'g>) -> Var<'g>,
) -> Var<'g> {
    let Some(first) = terms.next() else {
        panic!(
            "`{what}` of no variables has no graph: begin with one, as in `terms.fold(graph.scalar(0.0), |a, b| a + b)`"
        )
    };
    terms.fold(first, |all, term| {
        let (graph, shapes) = (term.graph(), [all.shape(), term.shape()]);
        if shapes[0].broadcast(&shapes[1]).is_none() {
            let [before, own] = [all, term].map(|var| var.graph().tape().describe(var.node()));
            let why = shapes[0].why_no_broadcast(&shapes[1]);
            panic!("`{what}` of {} and {}: {why}; the terms are {before} and {own}", shapes[0], shapes[1]);
        }
        graph.at_line_of(term.node(), || join(all, term))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    fn value(y: Var<'_>) -> Vec<f64> {
        y.graph().eval(y).unwrap().into_vec()
    }

    #[test]
    fn iterators_are_summed_and_multiplied() {
        let graph = Graph::new();
        let terms = [graph.scalar(2.0), graph.constant(&Tensor::from([1.0, 3.0])), graph.scalar(5.0)];
        let [sum, product]: [Var<'_>; 2] = [terms.iter().sum(), terms.iter().product()];
        assert_eq!((value(sum), value(product)), (vec![8.0, 10.0], vec![10.0, 30.0]));
        assert_eq!(terms[..1].iter().copied().sum::<Var<'_>>(), terms[0]);
        let of_a_map: Var<'_> = terms.iter().map(|x| x.square().sum()).sum();
        assert_eq!(value(of_a_map), [39.0]);
        // The line is that of a term, and the scope the one that is open.
        let _scope = graph.scope("loss");
        let sum: Var<'_> = terms.iter().sum();
        let line = graph.tape().describe(sum.node());
        assert!(line.starts_with("`add` in scope `loss` at crates/graph/src/tape/iter.rs:"), "{line}");
    }

    #[test]
    #[should_panic(expected = "`sum` of no variables has no graph: begin with one")]
    fn an_empty_sum_is_refused() {
        let _: Var<'_> = std::iter::empty::<Var<'_>>().sum();
    }

    #[test]
    #[should_panic(expected = "`product` of [2] and [3]: ")]
    fn terms_that_do_not_broadcast_are_refused() {
        let graph = Graph::new();
        let _: Var<'_> = [graph.zeros([2]), graph.zeros([3])].iter().product();
    }
}
