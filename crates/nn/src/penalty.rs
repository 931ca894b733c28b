//! Penalties on parameters, to be added to a loss: `Σ|w|` (L1) and `Σw²` (L2), over all elements of those chosen.
//!
//! They are given the parameters and not the store, so that a traced function can hold the handles while training
//! writes to the store.

use gradus_graph::{Graph, Param, Var};

/// `Σ|w|`: drives small weights to 0. The derivative at 0 is 0.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Param, Params, Tensor};
/// use gradus_nn::penalty;
/// let mut params: Params<f64> = Params::new(0);
/// params.add("weight", Tensor::from([1.0, -2.0]));
/// params.add("bias", Tensor::from([10.0]));
/// let weights: Vec<Param> = params.trainable().filter(|param| param.name().ends_with("weight")).cloned().collect();
///
/// let graph = Graph::new();
/// let penalty = penalty::l1(&graph, &weights);
/// assert_eq!(graph.eval_with(&[penalty], &params, &Feed::new())?[0].real().item(), 3.0);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn l1<'g, 'p>(graph: &'g Graph, params: impl IntoIterator<Item = &'p Param>) -> Var<'g> {
    let mut total = graph.scalar(0.0);
    for param in params {
        total += graph.param(param).abs().sum();
    }
    total
}

/// `Σw²`: keeps weights small. Weight decay with factor `λ`, as optimisers state it, is the gradient of `λ/2·Σw²`.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Graph, Params, Tensor};
/// use gradus_nn::penalty;
/// let mut params: Params<f64> = Params::new(0);
/// params.add("weight", Tensor::from([1.0, -2.0]));
/// let graph = Graph::new();
/// let penalty = penalty::l2(&graph, params.trainable()) * 0.5;
/// assert_eq!(graph.eval_with(&[penalty], &params, &Feed::new())?[0].real().item(), 2.5);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[track_caller]
pub fn l2<'g, 'p>(graph: &'g Graph, params: impl IntoIterator<Item = &'p Param>) -> Var<'g> {
    let mut total = graph.scalar(0.0);
    for param in params {
        total += graph.param(param).square().sum();
    }
    total
}

#[cfg(test)]
mod tests {
    use gradus_graph::{Feed, Params, Tensor};

    use super::*;

    #[test]
    fn gradients_are_signs_and_doubled_weights() {
        let mut params: Params<f64> = Params::new(0);
        let weight = params.add("weight", Tensor::from([3.0, -0.5, 0.0]));
        let graph = Graph::new();
        let w = graph.param(&weight);
        let slope = |penalty| graph.grad(penalty, &[w]).unwrap()[0];
        let slopes = [slope(l1(&graph, [&weight])), slope(l2(&graph, [&weight]))];
        let values = graph.eval_with(&slopes, &params, &Feed::new()).unwrap();
        assert_eq!(values[0].real().data(), [1.0, -1.0, 0.0]);
        assert_eq!(values[1].real().data(), [6.0, -1.0, 0.0]);
    }

    #[test]
    fn no_parameters_have_no_penalty() {
        let graph = Graph::new();
        assert_eq!(graph.eval(l1(&graph, []) + l2(&graph, [])).unwrap().item(), 0.0);
    }
}
