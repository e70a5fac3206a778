"""An image on its way into a training: placed with its masks, then varied as an example."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from defectvision.inference.preprocessing import Placed


class Marked(NamedTuple):
    """A placed image with its masks: (K, H, W) bool in the frame, and whether they are known."""

    placed: Placed
    masks: NDArray[np.bool_]
    known: bool


class Example(NamedTuple):
    """One image as the model learns from it, or a batch of them with B first.

    image: (channels, H, W) float32; target: class number, or (C,) float32 of 0 and 1 on a
    multilabel line; masks: (K, H, W) bool, one per masked class, none where nothing is segmented;
    counts: (H, W) bool, the pixels whose mask is known.
    """

    image: Tensor
    target: Tensor
    masks: Tensor
    counts: Tensor
