//! The built-in ops, one file an op or close family. Each is written as a user's op would be.

mod activation;
mod argmax;
mod arithmetic;
mod axes;
mod compare;
mod concat;
mod cross_entropy;
mod cumsum;
mod einsum;
mod einsum_spec;
mod exponential;
mod extremes;
mod index_select;
mod indices;
mod matmul;
mod moments;
mod norm;
mod one_hot;
mod outer;
mod power;
mod prod;
mod reduction;
mod rounding;
mod runs;
mod softmax;
mod split;
mod sum;
mod take_along;
mod triangle;
mod trigonometric;
mod unary;
mod view;

pub use arithmetic::Operand;
pub use axes::Axes;

/// Every built-in op with its samples, as the suite checks them and the table of ops lists them.
#[cfg(any(test, feature = "proptest"))]
pub fn registry() -> Vec<crate::check::Entry> {
    [exponential::entries(), sum::entries()].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;

    use crate::plan::AnyTensor;
    use crate::tape::Graph;

    /// Every sample is of the entry's op, and the op accepts it and runs.
    #[test]
    fn samples_are_of_the_op_and_run() {
        let mut runner = TestRunner::deterministic();
        for entry in super::registry() {
            for _ in 0..64 {
                let sample = entry.samples.new_tree(&mut runner).expect("nothing is refused").current();
                assert_eq!(sample.op.name(), entry.name);
                let graph = Graph::new();
                let inputs: Vec<_> = (sample.inputs.iter())
                    .map(|input| match input {
                        AnyTensor::Real(x) => graph.constant(x),
                        AnyTensor::Index(x) => graph.index_constant(x),
                    })
                    .collect();
                let outputs =
                    graph.apply_any(&sample.op, &inputs).unwrap_or_else(|error| panic!("{sample:?}: {error}"));
                let values = graph.eval_with::<f64>(&outputs, &crate::Params::new(0), &crate::Feed::new());
                values.unwrap_or_else(|error| panic!("{sample:?}: {error}"));
            }
        }
    }
}
