//! What convolutions and transposed convolutions are made with.

use super::planes::Sizes;
use crate::init::Init;

/// How many zeros a convolution puts around its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Padding<const AXES: usize> {
    /// None: one output for each position at which the filter lies within the input.
    #[default]
    Valid,
    /// As many as keep the sizes, where the stride is 1; of an odd number the larger half comes after the input.
    Same,
    /// The given number before and after the input, for each axis.
    Zeros([usize; AXES]),
}

impl<const AXES: usize> From<usize> for Padding<AXES> {
    fn from(zeros: usize) -> Self {
        Self::Zeros([zeros; AXES])
    }
}

impl<const AXES: usize> From<[usize; AXES]> for Padding<AXES> {
    fn from(zeros: [usize; AXES]) -> Self {
        Self::Zeros(zeros)
    }
}

/// The padding of a transposed convolution, of which [`ConvTransposeOptions`] sets both numbers; by default 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutputPadding<const AXES: usize> {
    pub(super) padding: [usize; AXES],
    pub(super) output_padding: [usize; AXES],
}

impl<const AXES: usize> Default for OutputPadding<AXES> {
    fn default() -> Self {
        Self { padding: [0; AXES], output_padding: [0; AXES] }
    }
}

/// The options of a convolution along one axis.
pub type Conv1dOptions = ConvOptions<1>;

/// The options of a convolution along two axes.
pub type Conv2dOptions = ConvOptions<2>;

/// The options of a transposed convolution.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{ConvTranspose2d, ConvTranspose2dOptions};
/// let mut params: Params = Params::new(0);
/// let doubles = ConvTranspose2dOptions::new().stride(2).padding(1).output_padding(1);
/// let layer = ConvTranspose2d::with(&mut params, "layer", 16, 8, 3, doubles);
/// assert_eq!(layer.forward(Graph::new().zeros([1, 16, 7, 7])).shape().sizes(), [1, 8, 14, 14]);
/// ```
pub type ConvTransposeOptions<const AXES: usize> = ConvOptions<AXES, OutputPadding<AXES>>;

/// The options of a transposed convolution along one axis.
pub type ConvTranspose1dOptions = ConvTransposeOptions<1>;

/// The options of a transposed convolution along two axes.
pub type ConvTranspose2dOptions = ConvTransposeOptions<2>;

/// The options of a convolution, or with [`OutputPadding`] of a transposed convolution.
///
/// The default is PyTorch's: stride and dilation 1, no padding, one group, weight and bias uniform on `±1/√fan`, where
/// `fan` is the number of elements of a filter (of a transposed convolution the filters of a group times the elements
/// of the kernel). For deep stacks with `relu` take [`Init::he_normal`].
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Params};
/// use gradus_nn::{Conv2d, Conv2dOptions, Init};
/// let mut params: Params = Params::new(0);
/// let options = Conv2dOptions::new().stride(2).padding([1, 0]).weight(Init::he_normal()).without_bias();
/// let layer = Conv2d::with(&mut params, "layer", 3, 16, [3, 1], options);
/// assert_eq!(layer.forward(Graph::new().zeros([10, 3, 28, 28])).shape().sizes(), [10, 16, 14, 14]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvOptions<const AXES: usize, P = Padding<AXES>> {
    pub(super) stride: [usize; AXES],
    pub(super) padding: P,
    pub(super) dilation: [usize; AXES],
    pub(super) groups: usize,
    pub(super) weight: Init,
    pub(super) bias: Option<Init>,
}

impl<const AXES: usize, P: Default> Default for ConvOptions<AXES, P> {
    fn default() -> Self {
        Self {
            stride: [1; AXES],
            padding: P::default(),
            dilation: [1; AXES],
            groups: 1,
            weight: Init::default(),
            bias: Some(Init::default()),
        }
    }
}

impl<const AXES: usize, P: Default> ConvOptions<AXES, P> {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<const AXES: usize, P> ConvOptions<AXES, P> {
    /// The distance from one position of the filter to the next, in elements of the input, or of the output of a
    /// transposed convolution; 1 by default.
    #[must_use]
    pub fn stride(self, stride: impl Into<Sizes<AXES>>) -> Self {
        Self { stride: stride.into().0, ..self }
    }

    /// The distance between neighbouring elements of a filter; 1 by default.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<Sizes<AXES>>) -> Self {
        Self { dilation: dilation.into().0, ..self }
    }

    /// The number of groups into which channels and filters are divided, 1 by default; a filter sees the channels of
    /// its group only.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// The initial weight, by default uniform on `±1/√fan`.
    #[must_use]
    pub fn weight(self, weight: Init) -> Self {
        Self { weight, ..self }
    }

    /// The initial bias, by default uniform on `±1/√fan`.
    #[must_use]
    pub fn bias(self, bias: Init) -> Self {
        Self { bias: Some(bias), ..self }
    }

    /// Leaves the bias out.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }
}

impl<const AXES: usize> ConvOptions<AXES> {
    /// The zeros around the input: a number of them before and after, or one for each axis, or [`Padding::Same`]; none
    /// by default.
    #[must_use]
    pub fn padding(self, padding: impl Into<Padding<AXES>>) -> Self {
        Self { padding: padding.into(), ..self }
    }
}

impl<const AXES: usize> ConvTransposeOptions<AXES> {
    /// The number of elements removed before and after the output, the padding of the convolution that is transposed; 0
    /// by default.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Sizes<AXES>>) -> Self {
        self.padding.padding = padding.into().0;
        self
    }

    /// How many fewer elements are removed after the output; less than the stride or the dilation, and 0 by default.
    #[must_use]
    pub fn output_padding(mut self, output_padding: impl Into<Sizes<AXES>>) -> Self {
        self.padding.output_padding = output_padding.into().0;
        self
    }
}
