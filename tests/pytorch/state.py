"""Takes a file of our weights into PyTorch's modules, name by name and shape by shape, and writes what they then hold.

    python3 tests/pytorch/state.py READ WRITE

The modules are those of `state.rs` under the same names. The state dict is loaded strictly; each parameter is then
raised by one, and the buffers stay.
"""

import json
import pathlib
import struct
import sys

import torch
from torch import nn

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases

DTYPES = {"F64": torch.float64, "I64": torch.int64}


def load(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        flat = torch.frombuffer(bytearray(data[start:end]), dtype=DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def main():
    read, write = map(pathlib.Path, sys.argv[1:])
    modules = nn.ModuleDict(
        {
            "dense": nn.Linear(3, 4),
            "embedding": nn.Embedding(5, 4),
            "conv": nn.Conv2d(2, 4, (3, 1), groups=2),
            "upwards": nn.ConvTranspose2d(2, 4, 3),
            "batch_norm": nn.BatchNorm2d(4),
            "layer_norm": nn.LayerNorm(6),
            "lstm": nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2),
            "gru": nn.GRU(3, 4),
            "attention": nn.MultiheadAttention(8, 2),
            "encoder": nn.TransformerEncoder(
                nn.TransformerEncoderLayer(8, 2, 16), 2, enable_nested_tensor=False
            ),
        }
    ).double()
    modules.load_state_dict(load(read), strict=True)
    with torch.no_grad():
        for parameter in modules.parameters():
            parameter.add_(1.0)
    cases.save(write, modules.state_dict())


if __name__ == "__main__":
    main()
