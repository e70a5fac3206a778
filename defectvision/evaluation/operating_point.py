"""Choose the default policy from validation scores."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from defectvision.inference.policy import Policy

ALLOWED = 0.01  # share of defective parts accepted, and of good parts rejected
WIDEST = (0.05, 0.95)


def choose_policy(scores: NDArray[np.floating], good: NDArray[np.bool_]) -> Policy:
    """The narrowest review band around 0.5 that keeps escapes and overkills within ALLOWED.

    scores: (N,) calibrated defect scores of validation parts; good: (N,) bool. The band does not
    grow beyond WIDEST: a model that would need more is not helped by reviewing everything.
    """
    defective, fine = np.sort(scores[~good]), np.sort(scores[good])
    accept_below = reject_above = 0.5
    if len(defective):
        accept_below = min(0.5, float(defective[int(ALLOWED * len(defective))]))
    if len(fine):
        reject_above = max(0.5, float(fine[len(fine) - 1 - int(ALLOWED * len(fine))]) + 1e-3)
    return Policy(
        accept_below=math.floor(1000 * max(WIDEST[0], accept_below)) / 1000,
        reject_above=math.ceil(1000 * min(WIDEST[1], reject_above)) / 1000,
    )
