"""Prints what TensorBoard reads in a folder of event files, as JSON: for `cargo test -p gradus-train --test logs`."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef

board = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "histograms": 0, "images": 0})
board.Reload()
tags = board.Tags()
found = {
    "version": board.file_version,
    "scalars": {tag: [[e.step, e.value] for e in board.Scalars(tag)] for tag in tags["scalars"]},
    "histograms": {
        tag: [
            {"step": e.step, "min": h.min, "max": h.max, "num": h.num, "sum": h.sum, "sum_squares": h.sum_squares,
             "limits": list(h.bucket_limit), "counts": list(h.bucket)}
            for e in board.Histograms(tag)
            for h in [e.histogram_value]
        ]
        for tag in tags["histograms"]
    },
    "images": {
        tag: [[e.step, e.height, e.width, len(e.encoded_image_string)] for e in board.Images(tag)]
        for tag in tags["images"]
    },
    "graph": None,
}
if tags["graph"]:
    graph = board.Graph()
    assert isinstance(graph, GraphDef)
    found["graph"] = [
        [node.name, node.op, list(node.input),
         [[d.size for d in shape.dim] for shape in node.attr["_output_shapes"].list.shape]]
        for node in graph.node
    ]
try:
    import io

    from PIL import Image

    found["pixels"] = {
        tag: [list(Image.open(io.BytesIO(e.encoded_image_string)).convert("RGB").tobytes()) for e in board.Images(tag)]
        for tag in tags["images"]
    }
except ImportError:
    pass
print(json.dumps(found))
