"""How every stand-in network ends: from a grid of answers to logits, evidence and embedding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import NodeProto, TensorProto, helper, numpy_helper

ROUGH = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)[None, None]


def write_network(
    file: Path,
    nodes: Sequence[NodeProto],
    constants: dict[str, ArrayLike],
    size: tuple[int, int],
    shapes: dict[str, list[int]],
) -> None:
    """Write the network that `nodes` begin.

    nodes: from `images` (B, 1, *size) to `grid` (B, K, h, w); constants: what they read, the `head`
    (C, K, 1, 1) from the grid to the evidence, and the `bias` (C,); shapes: of each output,
    without the batch.
    """
    node, info = helper.make_node, helper.make_tensor_value_info
    ending = [
        node("Conv", ["grid", "head"], ["evidence"]),
        node("ReduceMean", ["evidence", "places"], ["sums"], keepdims=0),
        node("Add", ["sums", "bias"], ["logits"]),
        node("Conv", ["images", "rough"], ["edges"], pads=[1] * 4),
        node("Abs", ["edges"], ["roughness"]),
        node("Concat", ["roughness", "images"], ["looks"], axis=1),
        node("ReduceMean", ["looks", "places"], ["embedding"], keepdims=0),
    ]
    constants = constants | {"rough": ROUGH, "places": np.array([2, 3], np.int64)}
    graph = helper.make_graph(
        [*nodes, *ending],
        "stand-in",
        [info("images", TensorProto.FLOAT, ["B", 1, *size])],
        [info(name, TensorProto.FLOAT, ["B", *shape]) for name, shape in shapes.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save_model(model, str(file))
