"""Lay one picture over another and say how well they agree, point by point and grey by grey."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.copies.keypoints import MIRROR, Features

RATIO = 0.85  # Lowe's: nearest against second nearest distance
REACH_PX = 1.6  # of the small copies, for a point to agree with the map
STRETCH = 1.7  # largest change of the aspect ratio
SCALE = 2.2  # largest change of size
LEAST_OVERLAP = 0.35
LEAST_POINTS = 6


@dataclass(frozen=True)
class Agreement:
    """How well a picture lies on another.

    inliers: points that agree with one affine map; matches: points that had a counterpart;
    detail: correlation (-1..1) of fine grey structure over the overlap after the map; light: the
    same of the whole grey levels; overlap: share of the smaller picture that both show; kind:
    `mirrored`, `rotated`, `stretched`, `re-lit` or `same view`.
    """

    inliers: int
    matches: int
    detail: float
    light: float
    overlap: float
    kind: str


def agreement(one: Features, other: Features) -> Agreement | None:
    """Compare two pictures under an affine map, mirrored or not; None where no map is found."""
    best: tuple[int, int, NDArray[np.float64]] | None = None
    if min(len(one.points), len(other.points)) < LEAST_POINTS:
        return None
    a = one.descriptors.astype(np.float32) / np.float32(256)
    b = other.descriptors.astype(np.float32) / np.float32(256)
    for descriptors in (b, b[:, MIRROR]):
        pairs = _matches(a, descriptors)
        if len(pairs) < LEAST_POINTS or (best and len(pairs) < best[0]):
            continue
        matrix, inliers = cv2.estimateAffine2D(
            other.points[pairs[:, 1]],
            one.points[pairs[:, 0]],
            ransacReprojThreshold=REACH_PX,
            maxIters=600,
            confidence=0.995,
        )
        if matrix is None or not plausible(matrix):
            continue
        count = int(inliers.sum())
        if best is None or count > best[0]:
            best = count, len(pairs), matrix
    if best is None or best[0] < LEAST_POINTS:
        return None
    count, matches, matrix = best
    compared = _compare(one, other, matrix)
    if compared is None:
        return None
    detail, light, overlap, gain = compared
    return Agreement(count, matches, detail, light, overlap, _kind(matrix, gain))


def _matches(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.intp]:
    """(m, 2) numbers of points that are clearly each other's nearest."""
    similarity = a @ b.T
    nearest = similarity.argmax(axis=1)
    rows = np.arange(len(a))
    first = similarity[rows, nearest]
    similarity[rows, nearest] = -1
    second = similarity.max(axis=1)
    # RootSIFT vectors have length 1: distance**2 = 2 - 2 * similarity
    clear = (1 - first) < RATIO**2 * (1 - second)
    return np.column_stack([rows[clear], nearest[clear]])


def plausible(matrix: NDArray[np.float64]) -> bool:
    """Whether one picture can be another, laid over it by an affine map (2, 3)."""
    long, short = np.linalg.svd(matrix[:, :2])[1]
    return short > 0 and long / short < STRETCH and 1 / SCALE < np.sqrt(long * short) < SCALE


def _compare(
    one: Features, other: Features, matrix: NDArray[np.float64]
) -> tuple[float, float, float, float] | None:
    height, width = one.size
    a = one.small[:height, :width].astype(np.float32)
    inner = other.small[: other.size[0], : other.size[1]]
    b = cv2.warpAffine(
        inner, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)
    mask = np.zeros(other.size, np.uint8)
    mask[2:-2, 2:-2] = 1
    mask = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_NEAREST).astype(bool)
    area = min(a.size, inner.size * abs(np.linalg.det(matrix[:, :2])))
    overlap = float(mask.sum() / max(1.0, area))
    if overlap < LEAST_OVERLAP:
        return None
    fine_a, fine_b = _fine(a), _fine(b)
    gain = float(a[mask].mean() - b[mask].mean())
    return _correlation(fine_a, fine_b, mask), _correlation(a, b, mask), min(1.0, overlap), gain


def _fine(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Structure of a few px, each place at its own contrast, so that edges do not drown it."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.8)
    detail = smooth - cv2.GaussianBlur(grey, (0, 0), 4.0)
    return detail / np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 8.0) + 2.0)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    a, b = a[mask] - a[mask].mean(), b[mask] - b[mask].mean()
    return float((a * b).sum() / (np.sqrt((a * a).sum() * (b * b).sum()) + 1e-6))


def _kind(matrix: NDArray[np.float64], gain: float) -> str:
    long, short = np.linalg.svd(matrix[:, :2])[1]
    turn = abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    if np.linalg.det(matrix[:, :2]) < 0:
        return "mirrored"
    if turn > 3:
        return "rotated"
    if long / short > 1.05:
        return "stretched"
    return "re-lit" if abs(gain) > 4 else "same view"
