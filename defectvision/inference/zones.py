"""The zones of a policy as they lie on a picture."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.rules import Zone
from defectvision.inference.frame import Frame


def corners_on_image(zone: Zone, frame: Frame) -> NDArray[np.float64]:
    """(N, 2) x and y of the zone's corners in px of the image, pixel centres on whole numbers."""
    on_input = np.array(zone.corners) * frame.input_size[::-1] - 0.5
    return on_input @ frame.to_image[:, :2].T + frame.to_image[:, 2]


def shares_of_view(points: Iterable[tuple[float, float]], frame: Frame) -> list[list[float]]:
    """The corners of a zone whose corners lie at `points`, x and y in px of the image; those
    outside of the model's view are moved to its border."""
    turned = np.linalg.inv(np.vstack([frame.to_image, [0, 0, 1]]))[:2]
    on_input = np.array(list(points)) @ turned[:, :2].T + turned[:, 2]
    return np.clip((on_input + 0.5) / frame.input_size[::-1], 0, 1).round(6).tolist()


def covered(zones: Iterable[Zone], frame: Frame) -> NDArray[np.bool_]:
    """(H, W) bool: the px of the image that lie in any of the zones."""
    mask = np.zeros(frame.image_size, np.uint8)
    for zone in zones:
        corners = np.rint(corners_on_image(zone, frame)).astype(np.int32)
        cv2.fillPoly(mask, [corners], 1)
    return mask.view(bool)
