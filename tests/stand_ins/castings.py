"""Drawn casts whose scores under the stand-in bundle of casting are known."""

from __future__ import annotations

import cv2
import numpy as np

from defectvision.data.synthetic.samples import draw

# Label and seed. The defect score of 105 is near 0.995, of 108 near 0.68.
CLEAR_DEFECT, DOUBTFUL_DEFECT, GOOD = ("def", 105), ("def", 108), ("ok", 3)


def casting(label: str, seed: int) -> bytes:
    """A drawn cast as PNG, without the mark of the samples that the program offers."""
    image = draw("casting", label, np.random.default_rng([seed, label == "ok"]), 300)
    return cv2.imencode(".png", image)[1].tobytes()
