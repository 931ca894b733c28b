"""Recurrent cells and layers."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def states(layers, batch, *sizes):
    return {f"state{k}": torch.randn(layers, batch, size) for k, size in enumerate(sizes)}


def run(module, x, lengths=None, state0=None, state1=None):
    """Outputs and final states, flat."""
    state = state0 if state1 is None else (state0, state1)
    if lengths is not None:
        x = pack_padded_sequence(x, lengths, batch_first=module.batch_first, enforce_sorted=False)
    outputs, last = module(x, state)
    if lengths is not None:
        outputs, _ = pad_packed_sequence(outputs, batch_first=module.batch_first)
    return (outputs, *(last if isinstance(last, tuple) else (last,)))


def cases(add):
    step, hidden, cell = torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 4)
    add("rnn_cell", nn.RNNCell(3, 4), {"x": step, "h": hidden})
    add("rnn_cell_relu_without_bias", nn.RNNCell(3, 4, bias=False, nonlinearity="relu"), {"x": step, "h": hidden})
    add("gru_cell", nn.GRUCell(3, 4), {"x": step, "h": hidden})
    add("gru_cell_without_bias", nn.GRUCell(3, 4, bias=False), {"x": step, "h": hidden})
    lstm_call = lambda m, x, h, c: m(x, (h, c))
    add("lstm_cell", nn.LSTMCell(3, 4), {"x": step, "h": hidden, "c": cell}, lstm_call)
    add("lstm_cell_without_bias", nn.LSTMCell(3, 4, bias=False), {"x": step, "h": hidden, "c": cell}, lstm_call)

    lengths, x = torch.tensor([2, 4, 1]), torch.randn(4, 3, 2)
    deep = dict(num_layers=2, bidirectional=True)
    add("rnn", nn.RNN(2, 3), {"x": x}, run)
    add("rnn_relu_deep", nn.RNN(2, 3, nonlinearity="relu", **deep), {"x": x, **states(4, 3, 3)}, run)
    add("gru", nn.GRU(2, 3), {"x": x}, run)
    add("gru_without_bias", nn.GRU(2, 3, bias=False), {"x": x}, run)
    add("lstm", nn.LSTM(2, 3), {"x": x}, run)
    add("lstm_without_bias", nn.LSTM(2, 3, bias=False), {"x": x}, run)
    add("lstm_projection", nn.LSTM(2, 3, proj_size=2), {"x": x, **states(1, 3, 2, 3)}, run)
    more = {"x": x, "lengths": lengths}
    add("rnn_lengths", nn.RNN(2, 3, **deep), {**more, **states(4, 3, 3)}, run)
    add("gru_lengths", nn.GRU(2, 3, **deep), {**more, **states(4, 3, 3)}, run)
    add("lstm_lengths", nn.LSTM(2, 3, **deep), {**more, **states(4, 3, 3, 3)}, run)
    first = {"x": x.transpose(0, 1), "lengths": lengths}
    add("gru_batch_first", nn.GRU(2, 3, batch_first=True, **deep), first, run)
    add("lstm_all", nn.LSTM(2, 3, batch_first=True, proj_size=2, **deep), {**first, **states(4, 3, 2, 3)}, run)
    add("lstm_in_evaluation", nn.LSTM(2, 3, num_layers=2, dropout=0.5).eval(), {"x": x}, run)
