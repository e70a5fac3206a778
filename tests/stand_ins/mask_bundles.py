"""Stand-in networks with an output `masks`: each class is a band of grey levels.

A px belongs to a class where its grey level lies in the class's band, so that a test knows the mask
of what it drew to the px. The masks' share of the picture is what the scores are made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import helper

from defectvision.bundle.schema import Preprocessing
from defectvision.inference.runtime import MASKS
from tests.stand_ins.networks import write_network

FULL, NONE = 5.0, -8.0  # log-odds inside and outside of a band, far from its borders


@dataclass(frozen=True)
class Bands:
    """A line's stand-in: the grey levels (low, high) of each class with a mask, the model's input,
    the px of one cell of its evidence grid (across and down) and of one of its mask grid."""

    levels: dict[str, tuple[float, float]]
    size: tuple[int, int]
    cell: tuple[int, int]
    stride: int = 1
    fit: str = "stretch"

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(
            height=self.size[0], width=self.size[1], fit=self.fit, lighting="fixed"
        )


BANDS = {
    "severstal-strip": Bands(
        {"1": (60, 85), "2": (-1, 60), "3": (170, 225), "4": (225, 256)}, (256, 1600), (32, 32)
    ),
    "magnetic-tile": Bands(
        {
            "blowhole": (-1, 25),
            "break": (25, 45),
            "crack": (45, 60),
            "fray": (170, 225),
            "uneven": (225, 256),
        },
        (224, 224),
        (16, 16),
        stride=2,
        fit="letterbox",
    ),
}
SHARE = 0.004  # of the picture: a mask of this area gives its class the probability 0.5


def write_mask_model(file: Path, line: str, classes: tuple[str, ...]) -> list[float]:
    """Write the network of `line`; returns the bias that the mean of the evidence lacks."""
    bands = BANDS[line]
    names = list(bands.levels)
    multilabel = set(names) == set(classes)
    slope = 2.0  # log-odds per grey level at a band's border
    scale, middle = 0.25 * 255, 0.5 * 255  # from the model's input back to grey levels
    low, high = (np.array(side, np.float32) for side in zip(*bands.levels.values(), strict=True))
    head = np.zeros((len(classes), len(names)), np.float32)
    bias = np.zeros(len(classes), np.float32)
    for column, name in enumerate(names):
        head[classes.index(name), column] = 3 / SHARE
    for row, name in enumerate(classes):
        bias[row] = -3 if multilabel else (3 if name not in names else 0)
    constants = {
        "scale": np.float32(scale * slope),
        "above": ((middle - low) * slope).reshape(-1, 1, 1),
        "below": ((middle - high) * slope).reshape(-1, 1, 1),
        "full": np.float32(FULL),
        "none": np.float32(NONE),
        "head": head[:, :, None, None],
        "bias": bias,
    }
    node = helper.make_node
    step = [bands.stride] * 2
    nodes = [
        node("AveragePool", ["images"], ["coarse"], kernel_shape=step, strides=step),
        node("Mul", ["coarse", "scale"], ["grey"]),
        node("Add", ["grey", "above"], ["over"]),
        node("Add", ["grey", "below"], ["short"]),
        node("Neg", ["short"], ["under"]),
        node("Min", ["over", "under", "full"], ["most"]),
        node("Max", ["most", "none"], [MASKS]),
        node("Sigmoid", [MASKS], ["shares"]),
        node(
            "AveragePool",
            ["shares"],
            ["grid"],
            kernel_shape=[c // bands.stride for c in bands.cell],
            strides=[c // bands.stride for c in bands.cell],
        ),
    ]
    height, width = bands.size
    shapes = {
        "logits": [len(classes)],
        "evidence": [len(classes), height // bands.cell[0], width // bands.cell[1]],
        "embedding": [2],
        MASKS: [len(names), height // bands.stride, width // bands.stride],
    }
    write_network(file, nodes, constants, bands.size, shapes)
    return bias.tolist()
