"""Write trained weights as an ONNX file with float16 weights: ``export.py WEIGHTS.pt OUT.onnx``. Needs torch.

The weights are stored as float16 and turned to float32 when the file is loaded; the arithmetic is float32,
which is what a CPU is fast in. The channels stand in the metadata of the file.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from unet import MR_STRIDES, MR_WIDTHS, UNet

SMALLEST = 64  # values; shorter tensors stay float32


def exported(net: UNet) -> onnx.ModelProto:
    """ONNX graph of a network for images of any size that its pooling divides."""
    buffer = io.BytesIO()
    example = torch.zeros(1, 1, 32, 32, 16)
    axes = {name: {2: "i", 3: "j", 4: "k"} for name in ("image", "logits")}
    torch.onnx.export(
        net.eval(),
        (example,),
        buffer,
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes=axes,
    )
    return onnx.load_from_string(buffer.getvalue())


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Same graph with large weights as float16, each followed by a cast to float32."""
    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALLEST:
            continue
        name = tensor.name
        half = numpy_helper.from_array(values.astype(np.float16), name + "_half")
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    saved = torch.load(given.weights, map_location="cpu", weights_only=True)
    channels = saved["channels"]
    net = UNet(len(channels), MR_STRIDES, MR_WIDTHS)
    net.load_state_dict({name: tensor.float() for name, tensor in saved["weights"].items()})
    model = halved(exported(net))
    helper.set_model_props(model, {"channels": json.dumps(channels), "steps": str(saved["steps"])})
    onnx.checker.check_model(model)
    given.out.write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
