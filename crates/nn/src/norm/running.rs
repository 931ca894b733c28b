//! Running statistics: what training leaves in the buffers `running_mean`, `running_var` and `num_batches_tracked`.
//!
//! After each run of training `running = (1 − m)·running + m·batch`, with the momentum `m` or, without one, with
//! `m = 1/batches`, which makes it the average of all batches. No derivative passes.

use gradus_graph::{Param, Params, Real, Shape, Tensor, Var};

use super::affine::channels;

/// The buffers, one mean and variance a channel.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) mean: Param,
    pub(super) variance: Param,
    pub(super) batches: Param,
}

impl Running {
    /// Adds the buffers under the store's present scope: mean 0, variance 1, no batches.
    #[track_caller]
    pub(super) fn new(params: &mut Params<impl Real>, channels: usize) -> Self {
        Self {
            mean: params.add_buffer("running_mean", Tensor::zeros([channels])),
            variance: params.add_buffer("running_var", Tensor::ones([channels])),
            batches: params.add_buffer("num_batches_tracked", Tensor::zeros(Shape::scalar())),
        }
    }

    /// Counts a batch; gives the number of batches with it.
    #[track_caller]
    pub(super) fn count<'g>(&self, x: Var<'g>) -> Var<'g> {
        let batches = x.graph().updated(&self.batches) + 1.0;
        x.graph().update(&self.batches, batches);
        batches
    }

    /// Moves mean and variance by a share towards those of a batch, all elements of them in the order of the channels.
    #[track_caller]
    pub(super) fn follow<'g>(&self, mean: Var<'g>, variance: Var<'g>, share: Var<'g>) {
        let graph = mean.graph();
        for (buffer, batch) in [(&self.mean, mean), (&self.variance, variance)] {
            let batch = batch.stop_gradient().reshape(buffer.shape());
            graph.update(buffer, graph.updated(buffer) * (1.0 - share) + batch * share);
        }
    }

    /// `(x − running mean)/√(running variance + eps)` of an input `[N, C, …]`.
    #[track_caller]
    pub(super) fn standardize<'g>(&self, x: Var<'g>, eps: f64) -> Var<'g> {
        let (graph, shape) = (x.graph(), channels(&x.shape()));
        let mean = graph.updated(&self.mean).reshape(shape.clone());
        let variance = graph.updated(&self.variance).reshape(shape);
        (x - mean) * (variance + eps).rsqrt()
    }
}
