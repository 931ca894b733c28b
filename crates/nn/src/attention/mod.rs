//! Attention: for each query a mean of values, weighted by how well their keys fit it; and the layers of transformers.
//!
//! Sequences have their positions on the second axis from the right: `[…, L, E]`. Layers of several inputs take
//! `[L, N, E]` as PyTorch's do, or `[N, L, E]` if their options say `batch_first`.

mod block;
mod cache;
mod decoder;
mod dot_product;
mod encoder;
mod mask;
mod multi_head;
mod options;
mod positions;
mod rotary;
mod stack;

pub use cache::KeyValueCache;
pub use decoder::{TransformerDecoder, TransformerDecoderLayer};
pub use dot_product::{attention_weights, scaled_dot_product_attention};
pub use encoder::{TransformerEncoder, TransformerEncoderLayer};
pub use mask::Mask;
pub use multi_head::{MultiHeadAttention, MultiHeadAttentionOptions};
pub use options::{TransformerActivation, TransformerOptions};
pub use positions::{LearnedPositions, sinusoidal_positions};
pub use rotary::Rotary;
