//! What convolutions and transposed convolutions are made with.

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

/// How many elements a transposed convolution removes from its output.
///
/// # Example
/// ```
/// use gradus_nn::OutputPadding;
/// let removed = OutputPadding { padding: [1, 1], output_padding: [1, 1] };
/// assert_eq!(OutputPadding { output_padding: [1, 1], ..OutputPadding::from(1) }, removed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutputPadding<const AXES: usize> {
    /// The elements removed before and after the output: the padding of the convolution that is transposed.
    pub padding: [usize; AXES],
    /// How many fewer are removed after the output; less than the stride or the dilation.
    pub output_padding: [usize; AXES],
}

impl<const AXES: usize> Default for OutputPadding<AXES> {
    fn default() -> Self {
        Self::from(0)
    }
}

impl<const AXES: usize> From<usize> for OutputPadding<AXES> {
    fn from(padding: usize) -> Self {
        Self { padding: [padding; AXES], output_padding: [0; AXES] }
    }
}

/// The options of a convolution along one axis.
pub type Conv1dOptions = ConvOptions<1>;

/// The options of a convolution along two axes.
pub type Conv2dOptions = ConvOptions<2>;

/// The options of a transposed convolution.
pub type ConvTransposeOptions<const AXES: usize> = ConvOptions<AXES, OutputPadding<AXES>>;

/// The options of a transposed convolution along one axis.
pub type ConvTranspose1dOptions = ConvTransposeOptions<1>;

/// The options of a transposed convolution along two axes.
pub type ConvTranspose2dOptions = ConvTransposeOptions<2>;

/// The options of a convolution, or with [`OutputPadding`] of a transposed convolution: a number for each axis, rows
/// before columns.
///
/// The default is PyTorch's: stride and dilation 1, no padding, one group, weight and bias uniform on `±1/√fan`, where
/// `fan` is the number of elements of a filter (of a transposed convolution the filters of a group times the elements of
/// the kernel). For deep stacks with `relu` take [`Init::he_normal`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvOptions<const AXES: usize, P = Padding<AXES>> {
    /// The distance from one position of the filter to the next: on the input, or on the output of a transposed
    /// convolution.
    pub stride: [usize; AXES],
    /// The zeros around the input, or what a transposed convolution removes from its output.
    pub padding: P,
    /// The distance between neighbouring elements of a filter.
    pub dilation: [usize; AXES],
    /// The number of groups into which channels and filters are divided; a filter sees the channels of its group only.
    pub groups: usize,
    /// The initial weight.
    pub weight: Init,
    /// The initial bias; `None` for a layer without.
    pub bias: Option<Init>,
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
