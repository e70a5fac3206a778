"""What must hold before there is a verdict at all: the picture looks like what was learned, and
is good enough to judge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.schema import Bundle, Gate
from defectvision.inference.picture_statistics import PictureStatistics, picture_statistics
from defectvision.inference.preprocessing import Placed
from defectvision.inference.structure import has_structure

UNLIKE = "unlike this line"
NO_STRUCTURE = "nothing to be seen in the picture"
NO_PART = "no round part found"
LIMIT = 1.0  # a foreign score above this is of an image that does not look like the line
FARTHEST = 12.0  # usual spreads: beyond, one statistic says no more than that it is far off
NEIGHBOURS = 5
COARSEST = 0.25  # px of the image per px of the model's input: less holds on no line


@dataclass(frozen=True)
class Objection:
    """Why there can be no verdict on an image, in plain words.

    kind: `unlike`, it is not what the model has learned to judge; `quality`, the picture is not
    good enough.
    """

    kind: Literal["unlike", "quality"]
    words: str


def reasons_in_words(objections: Iterable[Objection]) -> str:
    """All reasons as one text; empty without any."""
    return "; ".join(objection.words for objection in objections)


def objections_to(foreign_score: float) -> tuple[Objection, ...]:
    """What a foreign score alone objects to."""
    return (Objection("unlike", UNLIKE),) if foreign_score > LIMIT else ()


@dataclass(frozen=True)
class Seen:
    """What the gate knows of an image.

    structure: whether there is anything in it; part_found: whether a part was looked for and
    found, None where none is looked for; embedding: (K + 1,) places within the components that
    `foreign.npz` holds, and log of what they leave over; distance: see `foreign_distance`.
    """

    structure: bool
    part_found: bool | None
    statistics: PictureStatistics
    embedding: NDArray[np.float64]
    distance: float

    @property
    def features(self) -> NDArray[np.float64]:
        """(D,) all that likeness is told by."""
        return np.concatenate([self.statistics.all, self.embedding])


@dataclass(frozen=True, eq=False)
class Gatekeeper:
    """What a bundle knows of its line's pictures. Numpy only, and the same answer every time.

    usual: the arrays of `foreign.npz`; learned: what `gate` was measured with, None without one.
    """

    bundle: Bundle
    usual: dict[str, NDArray[np.float32]]
    learned: Learned | None

    @classmethod
    def of(cls, folder: Path, bundle: Bundle) -> Gatekeeper:
        """Of a checked bundle in `folder`."""
        learned = Learned(read_arrays(folder / bundle.gate.file)) if bundle.gate else None
        return cls(bundle, read_arrays(folder / bundle.foreign.file), learned)

    def look(
        self,
        image: NDArray[np.uint8],
        size: tuple[int, int],
        placed: Placed,
        embedding: NDArray[np.float32],
    ) -> Seen:
        """`image` as decoded, of a picture of `size` (height, width) px, `placed` for the model,
        whose output is `embedding` (D,)."""
        round_part = self.bundle.preprocessing.fit == "round_part"
        within, rest = embedded(embedding[None], **self.usual)
        return Seen(
            has_structure(image),
            placed.part_found if round_part else None,
            picture_statistics(placed, size, round_part),
            np.append(within[0], np.log(rest[0] + 1e-3)).astype(np.float64),
            float(_farther(within, rest)[0]),
        )

    def foreign_score(self, seen: Seen) -> float:
        """Distance from the images that were learned, above LIMIT where it is not of the line."""
        gate = self.bundle.gate
        if gate is None or self.learned is None:
            return seen.distance / self.bundle.foreign.limit
        return self.learned.score(seen.features, gate)

    def objections(self, seen: Seen, foreign_score: float) -> tuple[Objection, ...]:
        """What speaks against a verdict: what is wrong with the picture first, as it can be
        mended."""
        if not seen.structure:
            return (Objection("unlike", NO_STRUCTURE),)
        gate, where = self.bundle.gate, "part" if seen.part_found else "picture"
        found = [Objection("quality", words) for words in faults(seen.statistics, gate, where)]
        if gate is not None and gate.part_needed and seen.part_found is False:
            found.append(Objection("unlike", NO_PART))
        return (*found, *objections_to(foreign_score))


class Learned:
    """The images that were learned, as `gate.npz` holds them: centre and spread (D,) of the
    features, whitening (D, D), known (N, D) whitened features, weights (D,) and offset (1,) of the
    log odds that an image is not of the line."""

    def __init__(self, arrays: dict[str, NDArray[np.float32]]):
        self.arrays = {name: values.astype(np.float64) for name, values in arrays.items()}
        self._lengths = np.square(self.arrays["known"]).sum(1)

    def distance(self, features: NDArray[np.float64]) -> float:
        """Mean distance to the nearest NEIGHBOURS of the known images."""
        white = self.arrays["whitening"].T @ self._standard(features)
        squares = self._lengths - 2 * (self.arrays["known"] @ white) + white @ white
        nearest = np.partition(squares, NEIGHBOURS)[:NEIGHBOURS]
        return float(np.sqrt(np.maximum(nearest, 0)).mean())

    def log_odds(self, features: NDArray[np.float64]) -> float:
        """That the image is of something else; 0 where none was at hand to learn from."""
        return float(self.arrays["weights"] @ self._standard(features) + self.arrays["offset"][0])

    def score(self, features: NDArray[np.float64], gate: Gate) -> float:
        """The larger of the two against its limit; LIMIT at the limit. Odds count up to twice."""
        odds = 2 / (1 + np.exp(-np.clip(self.log_odds(features) - gate.log_odds, -30, 30)))
        return max(self.distance(features) / gate.distance, float(odds))

    def _standard(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return standardized(features, self.arrays["centre"], self.arrays["spread"])


def faults(seen: PictureStatistics, gate: Gate | None, where: str) -> list[str]:
    """What is wrong with a picture against the limits of `gate`, in words. where: what the
    statistics are of, `part` or `picture`."""
    found = []
    if gate is not None:
        if seen.clipped > gate.clipped:
            found.append(f"over-exposed, {seen.clipped:.0%} of the {where} clipped")
        elif seen.level > gate.brightest:
            found.append(f"too bright, mean grey {seen.level:.0f} of 255")
        if seen.level < gate.darkest:
            found.append(f"too dark, mean grey {seen.level:.0f} of 255")
        elif seen.dark > gate.dark:
            found.append(f"under-exposed, {seen.dark:.0%} of the {where} black")
        if seen.contrast < gate.contrast:
            found.append(f"too little contrast, {seen.contrast:.0f} grey levels")
        if seen.sharpness < gate.sharpness:
            found.append("out of focus")
    if seen.scale < (COARSEST if gate is None else gate.scale):
        found.append(f"too few pixels, enlarged {1 / seen.scale:.1f} times")
    return found


def standardized(
    features: NDArray[np.float64], centre: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(..., D) features less their centre in usual spreads, none farther off than FARTHEST."""
    return np.clip((features - centre) / spread, -FARTHEST, FARTHEST)


def read_arrays(file: Path) -> dict[str, NDArray[np.float32]]:
    """The arrays of an npz file as float32; raises OSError and ValueError."""
    with np.load(file, allow_pickle=False) as opened:
        return {name: opened[name].astype(np.float32) for name in opened.files}


def embedded(
    embeddings: NDArray[np.float32],
    mean: NDArray[np.float32],
    components: NDArray[np.float32],
    scale: NDArray[np.float32],
    residual: NDArray[np.float32],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """(N, K) places of embeddings (N, D) within the principal components (K, D), and (N,) the
    length of what they leave over; each against its usual size."""
    centred = embeddings - mean
    within = centred @ components.T
    rest = np.linalg.norm(centred - within @ components, axis=1)
    return within / scale, rest / residual[0]


def foreign_distance(
    embeddings: NDArray[np.float32], **usual: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N,) distance of embeddings (N, D) from the usual ones, as `embedded` takes them:
    Mahalanobis within the principal components, and what they leave over against its usual size.
    All that a bundle without a gate tells likeness by."""
    return _farther(*embedded(embeddings, **usual))


def _farther(within: NDArray[np.floating], rest: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.maximum(np.sqrt(np.square(within).mean(axis=1)), rest).astype(np.float32)
