import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

CHOSEN = torch.tensor([[1, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]], dtype=torch.bool)


def padded(lengths, count):
    """True where a key is padding, as PyTorch's layers want it."""
    return torch.arange(count)[None] >= lengths[:, None]


def causal(size):
    return nn.Transformer.generate_square_subsequent_mask(size, dtype=torch.float64)


def heads(module, q, k, v, lengths=None, added=None):
    padding = None if lengths is None else padded(lengths, k.shape[1 if module.batch_first else 0])
    return module(q, k, v, attn_mask=added, key_padding_mask=padding, average_attn_weights=False)


def cases(add):
    randn = torch.randn
    indices = torch.tensor([[2, 0, 1], [1, 1, 3]])
    add("embedding", nn.Embedding(4, 3), {"indices": indices})
    add("embedding_with_padding", nn.Embedding(4, 3, padding_idx=1), {"indices": indices})
    add("embedding_as_output", nn.Embedding(4, 3, padding_idx=1), {"indices": indices},
        lambda module, indices: module(indices).tanh() @ module.weight.T)

    q, k, v = randn(2, 3, 2), randn(2, 4, 2), randn(2, 4, 3)
    sequences = {"q": q, "k": k, "v": v}
    dot = scaled_dot_product_attention
    add("attention", None, sequences, lambda _, q, k, v: dot(q, k, v))
    add("attention_causal", None, sequences, lambda _, q, k, v: dot(q, k, v, is_causal=True))
    add("attention_chosen", None, sequences, lambda _, q, k, v: dot(q, k, v, attn_mask=CHOSEN))
    add("attention_added", None, {**sequences, "added": randn(3, 4)}, lambda _, q, k, v, added: dot(q, k, v, added))
    add("attention_scaled", None, sequences, lambda _, q, k, v: dot(q, k, v, scale=0.3))

    def own(module, x):
        return heads(module, x, x, x)

    add("heads_own", nn.MultiheadAttention(4, 2), {"x": randn(3, 2, 4)}, own)
    add("heads_own_batch_first", nn.MultiheadAttention(4, 2, batch_first=True), {"x": randn(2, 3, 4)}, own)
    add("heads_own_single", nn.MultiheadAttention(4, 2, bias=False), {"x": randn(3, 4)}, own)
    add("heads_own_causal", nn.MultiheadAttention(4, 1), {"x": randn(3, 2, 4)},
        lambda module, x: heads(module, x, x, x, added=causal(3)))
    add("heads_of_another", nn.MultiheadAttention(4, 2), {"q": randn(3, 2, 4), "k": randn(5, 2, 4), "v": randn(5, 2, 4)}, heads)
    add("heads_of_other_sizes", nn.MultiheadAttention(4, 2, kdim=3, vdim=5, batch_first=True),
        {"q": randn(2, 3, 4), "k": randn(2, 2, 3), "v": randn(2, 2, 5), "lengths": torch.tensor([2, 1])}, heads)
    add("heads_added", nn.MultiheadAttention(4, 2), {"q": randn(3, 1, 4), "k": randn(4, 1, 4), "added": randn(3, 4)},
        lambda module, q, k, added: heads(module, q, k, k, added=added))

    sizes = {"d_model": 4, "nhead": 2, "dim_feedforward": 3, "dropout": 0.0}
    first = {"norm_first": True, "activation": "gelu"}
    x, memory, lengths = randn(3, 2, 4), randn(4, 2, 4), torch.tensor([2, 4])
    encoder, decoder = nn.TransformerEncoderLayer, nn.TransformerDecoderLayer
    add("encoder_layer", encoder(**sizes), {"x": x})
    add("encoder_layer_norm_first", encoder(**sizes, **first, batch_first=True), {"x": x, "lengths": torch.tensor([2, 1, 2])},
        lambda module, x, lengths: module(x, src_key_padding_mask=padded(lengths, 2)))
    add("encoder_layer_without_bias", encoder(**sizes, bias=False, layer_norm_eps=0.1), {"x": x},
        lambda module, x: module(x, src_mask=causal(3)))
    add("encoder", nn.TransformerEncoder(encoder(**sizes, **first), 2, nn.LayerNorm(4), enable_nested_tensor=False), {"x": x},
        lambda module, x: module(x, mask=causal(3)))
    both = {"x": x, "memory": memory}
    add("decoder_layer", decoder(**sizes), both, lambda module, x, memory: module(x, memory, tgt_mask=causal(3)))
    add("decoder_layer_norm_first", decoder(**sizes, **first), {**both, "lengths": lengths},
        lambda module, x, memory, lengths: module(
            x, memory, tgt_mask=causal(3).isinf(), memory_key_padding_mask=padded(lengths, 4)))
    add("decoder", nn.TransformerDecoder(decoder(**sizes), 2, nn.LayerNorm(4)), both)
