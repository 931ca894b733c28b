//! Layers, activations, initial values, losses and penalties of Gradus.
//!
//! A model is a plain struct of layers. Its constructor takes the store of parameters and gives each layer a name; its
//! `forward` is the formula.
//!
//! # Example
//! ```
//! use gradus_graph::{Feed, Graph, Params, Tensor, Var};
//! use gradus_nn::{Dense, loss};
//!
//! struct Classifier {
//!     hidden: Dense,
//!     output: Dense,
//! }
//!
//! impl Classifier {
//!     fn new(params: &mut Params) -> Self {
//!         Self { hidden: Dense::new(params, "hidden", 2, 8), output: Dense::new(params, "output", 8, 3) }
//!     }
//!
//!     fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
//!         self.output.forward(self.hidden.forward(x).relu())
//!     }
//! }
//!
//! let mut params = Params::new(0);
//! let model = Classifier::new(&mut params);
//! assert_eq!(params.count(), 2 * 8 + 8 + 8 * 3 + 3);
//!
//! let graph = Graph::new();
//! let x = graph.constant(&Tensor::from_rows([[0.0, 1.0], [1.0, 0.0]]));
//! let labels = graph.index_constant(&Tensor::from([2, 0]));
//! let loss = loss::cross_entropy(model.forward(x), labels);
//! let value = graph.eval_with(&[loss], &params, &Feed::new())?[0].real().item();
//! assert!((value - 3.0_f32.ln()).abs() < 0.5, "an untrained model gives each class a third: {value}");
//! # Ok::<(), gradus_graph::Error>(())
//! ```

mod activation;
mod alpha_dropout;
mod attention;
mod axis;
mod bilinear;
mod conv;
mod dense;
mod drop_connect;
mod dropout;
mod embedding;
mod flatten;
mod glu;
mod init;
mod layer;
pub mod loss;
mod maxout;
mod noise;
mod norm;
pub mod penalty;
mod pool;
mod prelu;
mod recurrent;
mod residual;
mod saved;
#[cfg(test)]
mod test_numbers;
mod upsample;

pub use activation::{
    Elu, Gelu, GeluTanh, HardSigmoid, HardSwish, HardTanh, LeakyRelu, LogSigmoid, LogSoftmax, Mish, Relu, Selu,
    Sigmoid, Silu, Softmax, Softplus, Softsign, Tanh,
};
pub use alpha_dropout::AlphaDropout;
pub use attention::{
    KeyValueCache, LearnedPositions, Mask, MultiHeadAttention, MultiHeadAttentionOptions, Rotary,
    TransformerActivation, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer,
    TransformerOptions, attention_weights, scaled_dot_product_attention, sinusoidal_positions,
};
pub use bilinear::Bilinear;
pub use conv::{
    Conv, Conv1d, Conv1dOptions, Conv2d, Conv2dOptions, ConvOptions, ConvTranspose, ConvTranspose1d,
    ConvTranspose1dOptions, ConvTranspose2d, ConvTranspose2dOptions, ConvTransposeOptions, OutputPadding, Padding,
    Sizes,
};
pub use dense::{Dense, DenseOptions};
pub use drop_connect::DropConnect;
pub use dropout::{ChannelDropout, Dropout, VariationalDropout};
pub use embedding::{Embedding, EmbeddingOptions};
pub use flatten::Flatten;
pub use glu::{GeGlu, Glu, SwiGlu};
pub use init::{Fan, Fans, Gain, Init};
pub use layer::{Apply, Checkpointed, Layer, Mode, Sequential, Steady};
pub use maxout::Maxout;
pub use noise::{GaussianDropout, GaussianNoise};
pub use norm::{
    BatchNorm, BatchNormOptions, GroupNorm, GroupNormOptions, InstanceNorm, InstanceNormOptions, LayerNorm,
    LayerNormOptions, RmsNorm, RmsNormOptions, SpectralNorm, SpectralNormOptions, WeightNorm,
};
pub use pool::*;
pub use prelu::PRelu;
pub use recurrent::{
    Biases, Given, Gru, GruCell, GruCellOptions, GruOptions, Lstm, LstmCell, LstmCellOptions, LstmOptions, LstmState,
    Recurrent, RecurrentCell, RecurrentInit, RecurrentOptions, Reset, Rnn, RnnActivation, RnnCell, RnnCellOptions,
    RnnOptions, Sequence, State,
};
pub use residual::{Highway, Residual};
pub use saved::saved_ops;
pub use upsample::{Interpolation, Resize, Upsample, Upsample1d, Upsample2d};
