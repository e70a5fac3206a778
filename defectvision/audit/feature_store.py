"""Features of thousands of pictures on disk, so that any worker can open any pair of them."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from defectvision.copies.keypoints import POINTS, SMALL_SIDE, Features


class FeatureStore:
    """Arrays of a fixed size per picture, mapped into memory; a folder that its owner deletes.

    `writable`: what the folder holds stays, and what it lacks is made.
    """

    def __init__(self, folder: Path, count: int, *, writable: bool = False) -> None:
        mode: Literal["r+", "r"] = "r+" if writable else "r"

        def array(name: str, kind: str, *shape: int) -> np.memmap[Any, Any]:
            file = folder / f"{name}.bin"
            if writable:
                file.touch()
            return np.memmap(file, dtype=kind, mode=mode, shape=(max(1, count), *shape))

        self.count = count
        self._descriptors = array("descriptors", "uint8", POINTS, 128)
        self._points = array("points", "float32", POINTS, 2)
        self._small = array("small", "uint8", SMALL_SIDE, SMALL_SIDE)
        self._sizes = array("sizes", "int32", 3)  # points, height, width

    def put(self, i: int, features: Features) -> None:
        n = len(features.points)
        self._sizes[i] = (n, *features.size)
        self._descriptors[i, :n] = features.descriptors
        self._points[i, :n] = features.points
        self._small[i] = features.small

    def get(self, i: int) -> Features:
        n, height, width = (int(v) for v in self._sizes[i])
        return Features(
            np.array(self._points[i, :n]),
            np.array(self._descriptors[i, :n]),
            np.array(self._small[i]),
            (height, width),
        )

    def descriptors(self, i: int) -> NDArray[np.uint8]:
        return np.array(self._descriptors[i, : self._sizes[i, 0]])

    def checksum(self, i: int) -> int:
        """Of what is stored of picture i: a machine that lost its power may have lost some."""
        n = min(max(0, int(self._sizes[i, 0])), POINTS)
        parts = (self._sizes[i], self._points[i, :n], self._descriptors[i, :n], self._small[i])
        checksum = 0
        for part in parts:
            checksum = zlib.crc32(part.tobytes(), checksum)
        return checksum

    def flush(self) -> None:
        for array in (self._descriptors, self._points, self._small, self._sizes):
            array.flush()
