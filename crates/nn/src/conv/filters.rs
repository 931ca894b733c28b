//! The filters and the bias of a convolution or a transposed convolution.

use gradus_graph::{Graph, Param, Params, Real, Shape, Var};

use super::options::ConvOptions;
use super::planes::filters;
use crate::init::{Fans, optional_param};

#[derive(Clone, Debug)]
pub(super) struct Filters<const AXES: usize> {
    pub(super) name: String,
    pub(super) weight: Param,
    pub(super) bias: Option<Param>,
}

impl<const AXES: usize> Filters<AXES> {
    /// Adds a weight of the given first two sizes, and a bias, to the store.
    #[track_caller]
    pub(super) fn new<P>(
        params: &mut Params<impl Real>,
        name: &str,
        sizes: [usize; 2],
        kernel: [usize; AXES],
        filters: usize,
        options: &ConvOptions<AXES, P>,
    ) -> Self {
        let mut scope = params.enter(name);
        let params = &mut *scope;
        let shape = &[&sizes[..], &kernel].concat()[..];
        let fans = Fans::of(shape);
        let weight = options.weight.param(params, "weight", shape, fans);
        let bias = optional_param(options.bias, params, "bias", filters, fans);
        Self { name: name.to_owned(), weight, bias }
    }

    /// The weight as `[_, _, rows, columns]`.
    #[track_caller]
    pub(super) fn of<'g>(&self, graph: &'g Graph) -> Var<'g> {
        filters::<AXES>(graph.param(&self.weight))
    }

    /// The output `[…, filters, sizes]` with the bias of each filter added.
    #[track_caller]
    pub(super) fn add_bias<'g>(&self, y: Var<'g>) -> Var<'g> {
        match &self.bias {
            Some(bias) => {
                let shape: Shape = [bias.shape()[0]].into_iter().chain([1; AXES]).collect();
                y + y.graph().param(bias).reshape(shape)
            }
            None => y,
        }
    }

    /// Panics if the axis of channels has another size.
    #[track_caller]
    pub(super) fn expect_channels(&self, what: &str, shape: &Shape, channels: usize, groups: usize) {
        let found = shape.rank().checked_sub(AXES + 1).map(|axis| shape[axis]);
        assert!(
            found == Some(channels),
            "`{what}` of {shape}: axis −{} must have size {channels}, as `{}` is {} in {groups} group{}",
            AXES + 1,
            self.weight.name(),
            self.weight.shape(),
            if groups == 1 { "" } else { "s" }
        );
    }
}

/// Panics if a size or distance is 0, or the groups do not divide channels and filters.
#[track_caller]
pub(super) fn expect_options<const AXES: usize, P>(
    what: &str,
    name: &str,
    [channels, filters]: [usize; 2],
    kernel: [usize; AXES],
    options: &ConvOptions<AXES, P>,
) {
    let groups = options.groups;
    for (number, along) in [("kernel", kernel), ("stride", options.stride), ("dilation", options.dilation)] {
        assert!(
            !along.contains(&0),
            "`{what}` `{name}`: the {number} is {along:?}; it must be at least 1 on each axis"
        );
    }
    assert!(
        groups > 0 && channels.is_multiple_of(groups) && filters.is_multiple_of(groups),
        "`{what}` `{name}`: {groups} groups must divide {channels} channels and {filters} filters"
    );
}
