//! The ops of this crate in files.

use gradus_graph::Ops;

use crate::loss;

/// The built-in ops with those of the losses of this crate, for a model file that holds a loss. The values of layers need
/// none of them.
///
/// # Example
/// ```
/// assert!(gradus_nn::saved_ops().names().any(|name| name == "nn.ctc_lattice"));
/// ```
pub fn saved_ops() -> Ops {
    loss::saved(Ops::builtin())
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Graph, Tensor, Var};

    use super::*;
    use crate::loss::{Ctc, CtcTargets};

    /// Every loss with an op of its own is described and built again.
    #[test]
    fn losses_are_written_and_read() {
        let graph = Graph::new();
        let p = graph.constant(&Tensor::from_rows([[0.25, 0.75], [0.5, 0.5]]));
        let labels = graph.index_constant(&Tensor::from([1, 0]));
        let steps = graph.constant(&Tensor::from_fn([3, 1, 3], |k| (k as f64).sin())).log_softmax(-1);
        let one = |value: i64| graph.index_constant(&Tensor::from([value]));
        let word = graph.index_constant(&Tensor::from_rows([[1, 2]]));
        let targets = CtcTargets { labels: word, label_lengths: one(2), input_lengths: one(3) };
        let losses: Vec<Var<'_>> = vec![
            loss::binary_cross_entropy(p, p),
            loss::binary_cross_entropy_with_logits(p, p),
            loss::kl_divergence(p.ln(), p),
            loss::kl_divergence_of_logs(p.ln(), p.ln()),
            loss::CrossEntropy::new().ignored(0).loss(p, labels),
            Ctc::new().terms(steps, targets),
        ];
        let description = graph.describe(&losses, &saved_ops()).expect("every op is known");
        for name in saved_ops().names().filter(|name| name.starts_with("nn.")) {
            assert!(description.nodes.iter().any(|node| node.op == name), "`{name}` does not occur");
        }
        let built = Graph::new();
        let again = description.build(&built, &saved_ops(), |_| None).expect("it can be built");
        for (before, after) in losses.iter().zip(&again) {
            assert_eq!(graph.eval(*before).expect("it runs"), built.eval(*after).expect("it runs"));
        }
    }
}
