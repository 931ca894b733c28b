//! Masks of attention: which keys a query may attend to.

use gradus_graph::{Kind, Shape, Tensor, Var};

/// Which keys a query may attend to: all that each of the fields allows.
///
/// A masked score becomes −∞, so that its weight and its derivatives are exactly 0; where the mask is `causal` alone, −∞
/// is added to it, so that scores have to be finite, as in PyTorch. A query whose keys are all masked
/// has weights, value and derivatives of 0, not NaN.
///
/// The default is all keys. Note that 1 stands for a key that may be attended to, as in PyTorch's
/// `scaled_dot_product_attention` and unlike in its `MultiheadAttention`, where `True` excludes a key.
///
/// # Shapes
/// Scores are `[…, L, S]`, for `L` queries and `S` keys; those of several heads are `[N, H, L, S]`. The parts broadcast
/// to them: `[L, S]` is one mask for all, `[N, 1, L, S]` one for each example.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::{Mask, attention_weights};
/// let graph = Graph::new();
/// let [q, k] = [graph.zeros([1, 3, 2]), graph.zeros([1, 3, 2])];
/// let lengths = graph.index_constant(&Tensor::from([2]));
/// let mask = Mask { lengths: Some(lengths), ..Mask::causal() };
/// let rows = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.5, 0.0]];
/// assert_eq!(graph.eval(attention_weights(q, k, mask))?.reshape([3, 3]), Tensor::from_rows(rows));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mask<'g> {
    /// Query `i` attends to the keys `0..=i` only. With more keys than queries, the first of both are aligned, as in
    /// PyTorch.
    pub causal: bool,
    /// 1 where a query may attend to a key, 0 where it may not.
    pub allowed: Option<Var<'g>>,
    /// Added to the scores; −∞ excludes a key.
    pub added: Option<Var<'g>>,
    /// How many keys of each example there are, the others being padding: indices `[N]`, for the first axis of the
    /// scores.
    pub lengths: Option<Var<'g>>,
}

impl<'g> Mask<'g> {
    /// All keys.
    pub fn none() -> Self {
        Self::default()
    }

    /// No key that comes after the query.
    pub fn causal() -> Self {
        Self { causal: true, ..Self::default() }
    }

    /// The first `lengths` keys of each example.
    pub fn lengths(lengths: Var<'g>) -> Self {
        Self { lengths: Some(lengths), ..Self::default() }
    }

    /// The keys for which a mask is 1.
    pub fn allowed(allowed: Var<'g>) -> Self {
        Self { allowed: Some(allowed), ..Self::default() }
    }

    /// The scores `[…, L, S]`, −∞ where they are masked.
    #[track_caller]
    pub(super) fn apply(self, scores: Var<'g>) -> Var<'g> {
        let (graph, shape) = (scores.graph(), scores.shape());
        let (queries, keys) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
        for (mask, name) in [(self.allowed, "allowed"), (self.added, "added")] {
            let Some(mask) = mask.map(Var::shape) else { continue };
            assert!(
                mask.broadcast(&shape).as_ref() == Some(&shape),
                "`Mask` of {mask}: `{name}` must broadcast to the scores, which are {shape}"
            );
        }
        let scores = match self.added {
            Some(added) => scores + added,
            None => scores,
        };
        let mut allowed = self.allowed;
        if let Some(lengths) = self.lengths {
            let found = lengths.meta();
            assert!(
                found.kind == Kind::Index && found.shape.rank() == 1 && Some(&found.shape[0]) == shape.first(),
                "`Mask` of {}: `lengths` must be indices of the size of the first axis of the scores, which are \
                 {shape}",
                found.shape
            );
            let each: Shape = (0..shape.rank()).map(|axis| if axis == 0 { shape[0] } else { 1 }).collect();
            let indices = graph.constant(&Tensor::<f64>::from_fn([keys], |key| key as f64));
            let inside = indices.less(lengths.to_real().reshape(each));
            allowed = Some(match allowed {
                Some(allowed) => inside.logical_and(allowed),
                None => inside,
            });
        }
        // Not in a closure: nodes have the line of the caller.
        let causal = if self.causal { Some(graph.ones([queries, keys]).tril(0)) } else { None };
        match (allowed, causal) {
            (Some(allowed), None) => allowed.where_(scores, f64::NEG_INFINITY),
            (Some(allowed), Some(causal)) => causal.logical_and(allowed).where_(scores, f64::NEG_INFINITY),
            // A constant, which a plan lets the product of queries and keys add.
            (None, Some(causal)) => scores + causal.where_(0.0, f64::NEG_INFINITY),
            (None, None) => scores,
        }
    }
}
