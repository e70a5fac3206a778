"""Ask a model about an image and its mirror images, and take the mean of its answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from defectvision.inference.runtime import MASKS, Answer, Runtime

# What is mirrored: nothing, left and right, top and bottom, both.
FLIPS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))
MAPS = ("evidence", MASKS)


class FlippingRuntime:
    """A runtime that asks another one four times (test-time augmentation by flips).

    Maps are mirrored back before the mean, so evidence still adds up to the logits. Four times the
    time; worth it where the surface has no preferred side, such as a rolled strip.
    """

    def __init__(self, runtime: Runtime):
        self.runtime = runtime
        self.name = f"{runtime.name}, mean of {len(FLIPS)} flips"
        self.workers = runtime.workers

    def run(self, images: NDArray[np.float32], alone: bool = True) -> Answer:
        """images (B, channels, H, W) float32 to the wrapped runtime's outputs."""
        total: Answer = {}
        for axes in FLIPS:
            flipped = np.ascontiguousarray(np.flip(images, axes)) if axes else images
            for name, values in self.runtime.run(flipped, alone).items():
                back = np.flip(values, axes) if axes and name in MAPS else values
                total[name] = total[name] + back if name in total else back.copy()
        return {name: values / np.float32(len(FLIPS)) for name, values in total.items()}
