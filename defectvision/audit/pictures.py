"""Measures of single pictures: size, light, sharpness, and what lies beside the part."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.copies.keypoints import as_grey
from defectvision.inference.thumbnail import fit

MEASURED_SIDE = 512  # px; sharpness is comparable only at one scale
BORDER = 0.06  # of the shorter side
CORNER = 0.12
OUTLIER_SCORE = 5.0  # robust z-score; about 1 in 2 million for a normal distribution

# column: (title, unit)
MEASURES = {
    "width": ("Width", "px"),
    "height": ("Height", "px"),
    "aspect_ratio": ("Aspect ratio", "width / height"),
    "brightness": ("Brightness", "mean grey level, 0-255"),
    "contrast": ("Contrast", "standard deviation, grey levels"),
    "sharpness": ("Sharpness", "variance of the Laplacian at 512 px"),
}


def measure(image: NDArray[np.uint8], data: bytes, name: str) -> dict[str, float | str]:
    """The measures of one decoded picture and of the file it came from."""
    grey = as_grey(image)
    height, width = grey.shape
    small = fit(grey, MEASURED_SIDE)
    border = max(1, round(BORDER * min(height, width)))
    corner = max(1, round(CORNER * min(height, width)))
    corners = [grey[y, x] for y in _ends(corner) for x in _ends(corner)]
    frame = [grey[y] for y in _ends(border)] + [grey[border:-border, x] for x in _ends(border)]
    return {
        "width": width,
        "height": height,
        "aspect_ratio": width / height,
        "pixels": width * height,
        "brightness": float(small.mean()),
        "contrast": float(small.std()),
        "sharpness": float(cv2.Laplacian(small, cv2.CV_32F).var()),
        "corner_brightness": float(np.concatenate([c.ravel() for c in corners]).mean()),
        "border_brightness": float(np.concatenate([f.ravel() for f in frame]).mean()),
        "colour": float(image.ndim == 3),
        "format": Path(name).suffix.lower().lstrip(".") or "none",
        "file_bytes": len(data),
        "bytes_per_px": len(data) / (width * height),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _ends(length: int) -> tuple[slice, slice]:
    return slice(None, length), slice(-length, None)


def outliers(pictures: pd.DataFrame) -> pd.DataFrame:
    """Rows (image, path, measure, value, usual, score) of odd pictures, the oddest first.

    The score is the distance from the median in robust standard deviations (1.4826 times the
    median absolute deviation, with at least 1 % of the median, so that a constant measure of a
    camera does not make every rounding an outlier).
    """
    odd = []
    for column in MEASURES:
        if column not in pictures:
            continue
        values = pictures[column].astype(float)
        # sharpness and sizes vary by factors, not by amounts
        scaled = np.log(values.clip(lower=1e-3)) if column in _BY_FACTOR else values
        middle = scaled.median()
        spread = 1.4826 * (scaled - middle).abs().median()
        spread = max(spread, 0.01 * (1.0 if column in _BY_FACTOR else abs(middle)), 1e-6)
        score = (scaled - middle).abs() / spread
        for i in score.index[score > OUTLIER_SCORE]:
            odd.append(
                {
                    "image": int(pictures.at[i, "image"]),
                    "path": pictures.at[i, "path"],
                    "measure": column,
                    "value": float(values[i]),
                    "usual": float(values.median()),
                    "score": float(score[i]),
                }
            )
    table = pd.DataFrame(odd, columns=["image", "path", "measure", "value", "usual", "score"])
    return table.sort_values("score", ascending=False, ignore_index=True)


_BY_FACTOR = frozenset({"width", "height", "aspect_ratio", "sharpness"})
