"""What is kept of pictures so that a copy of one is known again without the picture.

Of each picture its strongest points, 20 bytes each: where it lies, how it is turned, how large it
is, and of each bin of its descriptor one bit, whether it is above the descriptor's median. A copy
is recognised by one affine map that enough points agree with. Nothing else is kept: no grey levels,
no file names, and nothing is learned from the pictures as a whole.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, zip_longest

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.copies.alignment import plausible
from defectvision.copies.keypoints import MIRROR, SIDE, Points

KEPT = 64  # points of a picture
MOST = 3_200  # pictures: 4 MB
LEAST = 12  # points that agree, for a picture to be a copy; see docs/near-copies.md
# A first look, by fewer points, chooses the pictures that are compared.
LOOKED_AT, LOOKED_BY = 32, 160  # strongest points of the kept picture, and of the one in question
COMPARED = 12  # pictures
RATIO = 0.85  # of the nearest against the second nearest
FARTHEST = 40  # bits of 128
TURN = 20.0  # degrees by which points of one map may be turned otherwise
ZOOM = 0.6  # octaves by which they may be scaled otherwise
REACH_PX = 3.2  # at SIDE, for a point to agree with a map
LEAST_MATCHES = 4
AT_ONCE = 512  # pictures
POINT_BYTES = 20
PLACE = 255 / SIDE
OCTAVE = 24  # steps of a size
MOST_BYTES = 16_000_000  # of a file of fingerprints


class FingerprintError(ValueError):
    """A file that holds no fingerprints; says why."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Points of one picture, the strongest first.

    places: (n, 2) float32 px at SIDE; angles: (n,) degrees; octaves: (n,) log2 of the size; bits:
    (n, 128) bool.
    """

    places: NDArray[np.float32]
    angles: NDArray[np.float32]
    octaves: NDArray[np.float32]
    bits: NDArray[np.bool_]

    @classmethod
    def of(cls, points: Points) -> Marks:
        order = np.argsort(-points.strengths, kind="stable")
        values = points.descriptors[order]
        bits = values > np.median(values, axis=1, keepdims=True)
        octaves = np.log2(np.maximum(points.sizes[order], 1))
        return cls(points.places[order], points.angles[order], octaves, bits)

    @classmethod
    def unpacked(cls, packed: NDArray[np.uint8]) -> Marks:
        """From (n, POINT_BYTES)."""
        told = packed[:, :4].astype(np.float32)
        return cls(
            told[:, :2] / np.float32(PLACE),
            told[:, 2] * np.float32(360 / 256),
            told[:, 3] / np.float32(OCTAVE),
            np.unpackbits(packed[:, 4:], axis=1).astype(bool),
        )

    def packed(self) -> NDArray[np.uint8]:
        """(n, POINT_BYTES) of at most KEPT points."""
        told = np.column_stack(
            [
                np.clip(np.rint(self.places * PLACE), 0, 255),
                np.rint(self.angles * (256 / 360)) % 256,
                np.clip(np.rint(self.octaves * OCTAVE), 0, 255),
            ]
        ).astype(np.uint8)
        return np.hstack([told, np.packbits(self.bits, axis=1)])[:KEPT]

    def agreeing(self, other: Marks) -> int:
        """How many points agree with one affine map of this picture onto the other, mirrored or
        not."""
        return max(self._agreeing(other, mirrored) for mirrored in (False, True))

    def _agreeing(self, other: Marks, mirrored: bool) -> int:
        if len(other.bits) < LEAST_MATCHES or len(self.bits) < LEAST_MATCHES:
            return 0
        clear, nearest = _clear(_signs(self.bits), _signs(other.bits, mirrored))
        mine, its = np.flatnonzero(clear), nearest[clear]
        if len(mine) < LEAST_MATCHES:
            return 0
        # Points of one map are all turned and scaled the same.
        turned = other.angles[its] - (-self.angles[mine] if mirrored else self.angles[mine])
        zoomed = other.octaves[its] - self.octaves[mine]
        apart = np.abs((turned[:, None] - turned + 180) % 360 - 180)
        alike = (apart < TURN) & (np.abs(zoomed[:, None] - zoomed) < ZOOM)
        chosen = alike[alike.sum(axis=1).argmax()]
        if chosen.sum() < LEAST_MATCHES:
            return 0
        matrix, inliers = cv2.estimateAffine2D(
            self.places[mine[chosen]],
            other.places[its[chosen]],
            ransacReprojThreshold=REACH_PX,
            maxIters=600,
            confidence=0.995,
        )
        if matrix is None or not plausible(matrix):
            return 0
        same_side = (np.linalg.det(matrix[:, :2]) < 0) == mirrored
        return int(inliers.sum()) if same_side else 0


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Of N pictures. counts: (N,) uint8 points of each; points: (sum of counts, POINT_BYTES)."""

    counts: NDArray[np.uint8]
    points: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.counts)

    @classmethod
    def of(cls, pictures: Iterable[tuple[str, Points]]) -> Fingerprints:
        """Of pictures, each with its photo group. Pictures with too few points to be recognised by
        are left out, and where there are more than MOST the groups have about as many each."""
        groups: dict[str, list[NDArray[np.uint8]]] = defaultdict(list)
        for group, points in pictures:
            if len(points.places) >= LEAST:
                groups[group].append(Marks.of(points).packed())
        turns = chain.from_iterable(zip_longest(*groups.values()))
        kept = [one for one in turns if one is not None][:MOST]
        joined = np.concatenate(kept) if kept else np.zeros((0, POINT_BYTES), np.uint8)
        return cls(np.array([len(one) for one in kept], np.uint8), joined)

    def joined(self, other: Fingerprints) -> Fingerprints:
        """Of the pictures of both; of these alone where all of them would be more than MOST."""
        counts = np.concatenate([self.counts, other.counts])
        if len(counts) > MOST:
            return self
        return Fingerprints(counts, np.concatenate([self.points, other.points]))

    def knows(self, points: Points) -> bool:
        """Whether a picture with these points is a copy of one of those that were kept."""
        marks = Marks.of(points)
        if len(marks.bits) < LEAST:
            return False
        return any(self._kept(i).agreeing(marks) >= LEAST for i in self._like(marks))

    def _kept(self, number: int) -> Marks:
        begin, end = self._ends[number : number + 2]
        return Marks.unpacked(self.points[begin:end])

    def _like(self, marks: Marks) -> list[int]:
        """Numbers of the pictures most of whose points have a clear counterpart, most first."""
        votes = np.zeros((len(self), 2), np.int64)
        for begin in range(0, len(self), AT_ONCE):
            signs = _signs(self._strongest[begin : begin + AT_ONCE].reshape(-1, 128))
            for side, mirrored in enumerate((False, True)):
                clear, _ = _clear(signs, _signs(marks.bits[:LOOKED_BY], mirrored))
                votes[begin : begin + AT_ONCE, side] = clear.reshape(-1, LOOKED_AT).sum(axis=1)
        order = np.argsort(-votes.max(axis=1), kind="stable")
        return order[:COMPARED].tolist()

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])

    @cached_property
    def _strongest(self) -> NDArray[np.bool_]:
        """(N, LOOKED_AT, 128) bits; none are set of points that a picture lacks."""
        bits = np.zeros((len(self), LOOKED_AT, 128), bool)
        for number in range(len(self)):
            some = self._kept(number).bits[:LOOKED_AT]
            bits[number, : len(some)] = some
        return bits

    def content(self) -> bytes:
        """As a file; the same fingerprints give the same bytes."""
        out = io.BytesIO()
        np.savez(out, counts=self.counts, points=self.points)
        return out.getvalue()

    @classmethod
    def read(cls, content: bytes) -> Fingerprints:
        """From a file's content, which may come from anywhere; raises FingerprintError."""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                counts, points = (_array(archive, f"{name}.npy") for name in ("counts", "points"))
        except (zipfile.BadZipFile, KeyError, OSError, ValueError, EOFError) as error:
            raise FingerprintError(f"holds no fingerprints ({error})") from error
        if counts.ndim != 1 or points.ndim != 2 or points.shape[1] != POINT_BYTES:
            raise FingerprintError("holds no fingerprints (arrays of another shape)")
        if len(counts) > MOST or counts.max(initial=0) > KEPT or counts.sum() != len(points):
            raise FingerprintError("holds no fingerprints (more or fewer points than it says)")
        return cls(counts, points)


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[np.uint8]:
    """An array of bytes whose header says no more than there is; raises KeyError and ValueError."""
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise ValueError(f"{name} is too large")
    with archive.open(name) as file:
        content = io.BytesIO(file.read(MOST_BYTES + 1))
    if np.lib.format.read_magic(content) != (1, 0):
        raise ValueError(f"{name} is of another version")
    shape, _, kind = np.lib.format.read_array_header_1_0(content)
    rest = content.read()
    if kind != np.uint8 or math.prod(shape) != len(rest) or min(shape, default=0) < 0:
        raise ValueError(f"{name} is not the array that it says")
    return np.frombuffer(rest, np.uint8).reshape(shape)


def _signs(bits: NDArray[np.bool_], mirrored: bool = False) -> NDArray[np.float32]:
    ordered = bits[:, MIRROR] if mirrored else bits
    return ordered.astype(np.float32) * 2 - 1


def _clear(
    a: NDArray[np.float32], b: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """(n,) which of the signs `a` (n, 128) have a clear counterpart among `b` (m, 128), m > 1, and
    its number."""
    apart = (128 - a @ b.T) / 2
    rows, nearest = np.arange(len(a)), apart.argmin(axis=1)
    first = apart[rows, nearest]
    apart[rows, nearest] = 128
    return (first < RATIO * apart.min(axis=1)) & (first <= FARTHEST), nearest
