"""Write the weights of the CT network for use: ``ct_export.py WEIGHTS.pt OUT.onnx``. Needs torch.

As :mod:`export`, after the batch normalisation has become part of the convolutions.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import onnx
import torch
from onnx import helper

from ct_net import CtNet, folded
from export import halved


def exported(net: CtNet) -> onnx.ModelProto:
    """ONNX graph of a network for images of any size that its pooling divides."""
    buffer = io.BytesIO()
    axes = {name: {2: "i", 3: "j", 4: "k"} for name in ("image", "logits")}
    torch.onnx.export(
        folded(net),
        (torch.zeros(1, 1, 32, 32, 32),),
        buffer,
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes=axes,
    )
    return onnx.load_from_string(buffer.getvalue())


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    saved = torch.load(given.weights, map_location="cpu", weights_only=True)
    channels = saved["channels"]
    net = CtNet(len(channels))
    state = saved["weights"].items()
    net.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in state})
    model = halved(exported(net))
    helper.set_model_props(model, {"channels": json.dumps(channels), "steps": str(saved["steps"])})
    onnx.checker.check_model(model)
    given.out.write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
