"""Writes what PyTorch computes for each case of each family: one safetensors file a family.

    python3 tests/pytorch/cases.py [--out FOLDER] [--seed NUMBER] [FAMILY ...]

A family is a file beside this one with a function `cases(add)`. It calls

    add(name, module, inputs, call)

with a module or None, a dict of input tensors, and a function from the module and the inputs by name to an output or a
tuple of outputs; left out, it is `module(*inputs)`. Everything is double precision. Parameters are moved away from
their initial values, so that ones and zeros hide nothing; buffers stay.

Of each case the file has `name/input/…`, `name/param/…` (the state dict before the call), `name/output/k`,
`name/cotangent/k`, the gradients of Σₖ⟨outputₖ, cotangentₖ⟩ as `name/input_grad/…` and `name/param_grad/…`, and
`name/after/…`, the buffers after the call. `cargo test --test pytorch` compares.
"""

import argparse
import importlib
import json
import pathlib
import struct
import sys
import zlib

import torch

FOLDER = pathlib.Path(__file__).resolve().parent
FAMILIES = ["attention", "convolution", "ctc", "loss", "norm", "other", "recurrent"]
DTYPES = {torch.float64: "F64", torch.int64: "I64"}


def save(path, arrays):
    """The safetensors format: eight bytes of length, a JSON header, the elements."""
    header, chunks, offset = {}, [], 0
    for name, tensor in sorted(arrays.items()):
        data = bytes(tensor.detach().clone(memory_format=torch.contiguous_format).untyped_storage())
        span = [offset, offset + len(data)]
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": span}
        chunks.append(data)
        offset = span[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def state(module):
    return {} if module is None else {name: value.clone() for name, value in module.state_dict().items()}


def record(arrays, seed, name, module, inputs, call=None):
    assert not any(key.startswith(f"{name}/") for key in arrays), f"two cases are named {name}"
    torch.manual_seed(seed + zlib.crc32(name.encode()))
    if module is not None:
        module.double()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    inputs = {key: value.detach().clone() for key, value in inputs.items()}
    for value in inputs.values():
        if value.is_floating_point():
            value.requires_grad_()
    for key, value in state(module).items():
        arrays[f"{name}/param/{key}"] = value
    outputs = call(module, **inputs) if call else module(*inputs.values())
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
    cotangents = [torch.randn_like(output) for output in outputs]
    total = sum((output * cotangent).sum() for output, cotangent in zip(outputs, cotangents))
    total.backward()
    zeros = torch.zeros_like
    for key, value in inputs.items():
        arrays[f"{name}/input/{key}"] = value
        if value.is_floating_point():
            arrays[f"{name}/input_grad/{key}"] = zeros(value) if value.grad is None else value.grad
    for number, (output, cotangent) in enumerate(zip(outputs, cotangents)):
        arrays[f"{name}/output/{number}"] = output
        arrays[f"{name}/cotangent/{number}"] = cotangent
    if module is not None:
        for key, value in module.named_parameters():
            arrays[f"{name}/param_grad/{key}"] = zeros(value) if value.grad is None else value.grad
        for key, value in module.named_buffers():
            arrays[f"{name}/after/{key}"] = value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=FOLDER / "cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("families", nargs="*", default=FAMILIES)
    options = parser.parse_args()
    sys.path.insert(0, str(FOLDER))
    sys.dont_write_bytecode = True
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    for family in options.families:
        arrays = {}
        torch.manual_seed(options.seed)
        module = importlib.import_module(family)
        module.cases(lambda *case, **more: record(arrays, options.seed, *case, **more))
        if arrays:
            save(options.out / f"{family}.safetensors", arrays)


if __name__ == "__main__":
    main()
