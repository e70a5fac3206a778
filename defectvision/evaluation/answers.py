"""A bundle's answers to labelled images, and what metrics need of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import maximum

from defectvision.bundle.line import Line
from defectvision.bundle.policy import UNMEASURED, Measured, Policy, Verdict
from defectvision.bundle.schema import Bundle
from defectvision.data.catalog import Catalog
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.metrics import judge
from defectvision.evaluation.segmentation import PixelCounts
from defectvision.inference.broken_rules import broken_rules, measured
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.inference.judged import Judged
from defectvision.inference.labelled_images import image_name, read_file, read_masks
from defectvision.inference.masks import connected_areas, mask_of
from defectvision.inference.regions import Region, rectangle_sides


def inspected(
    inspector: Inspector, images: ImageSet
) -> Iterator[tuple[int, Inspection | ImageError]]:
    """Each image of the set by its row number, with its inspection or what is wrong with it.

    In order, but for those whose file cannot even be read: they come last.
    """
    rows: deque[int] = deque()
    unread: list[tuple[int, ImageError]] = []

    def files() -> Iterator[tuple[str, bytes]]:
        for row in range(len(images.catalog)):
            try:
                data = read_file(images, row)
            except ImageError as error:
                unread.append((row, error))
                continue
            rows.append(row)
            yield image_name(images, row), data

    for answer in inspector.inspect_many(files()):
        yield rows.popleft(), answer
    yield from unread


@dataclass(frozen=True)
class Defect:
    """A connected area of a true mask: length_px is the longer side of the smallest rectangle
    around it. probability: the strongest of the class's mask on it; hit: whether the drawn mask
    touches it; None where the bundle does not outline the class."""

    class_name: str
    length_px: float
    area_px: int
    probability: float | None
    hit: bool | None


def defects_of(
    truth: NDArray[np.bool_],
    names: Sequence[str],
    answer: Inspection,
    drawn: NDArray[np.bool_] | None,
) -> list[Defect]:
    """The defects of an image, in reading order by class.

    truth: (K, H, W) masks of the classes `names`; drawn: (K, H, W) what the policy draws of the
    same, None where the bundle outlines nothing.
    """
    found = []
    for k, name in enumerate(names):
        if not truth[k].any():
            continue
        areas = connected_areas(truth[k])
        lengths = rectangle_sides(areas)[:, 0]
        strongest = hits = None
        if drawn is not None:
            grid = answer.frame.on_image(answer.mask_grids[name])
            numbers = np.arange(1, len(areas) + 1)
            strongest = maximum(grid, areas.marks, numbers) / 255
            hits = np.isin(numbers, areas.marks[drawn[k]])
        found += [
            Defect(
                name,
                float(lengths[i]),
                int(areas.area_px[i]),
                None if strongest is None else float(strongest[i]),
                None if hits is None else bool(hits[i]),
            )
            for i in range(len(areas))
        ]
    return found


class Answers:
    """The answers to labelled images, and what their metrics need of each; the pictures' maps are
    dropped as they come, so that a large set fits into memory."""

    def __init__(self, catalog: Catalog, line: Line, bundle: Bundle, policy: Policy):
        self.catalog, self.line, self.bundle, self.policy = catalog, line, bundle, policy
        self.failures: list[ImageError] = []
        self.rows: list[int] = []
        self.inside: list[float] = []
        self.pixels: list[PixelCounts] = []
        self.segmented: list[int] = []
        self.scores: list[float | None] = []
        self.objections: list[str] = []
        self.regions: list[tuple[Region, ...] | None] = []
        self.defects: list[list[Defect]] = []
        self._probabilities: list[list[float]] = []
        self._measured: list[Measured] = []

    def add(self, row: int, answer: Inspection | ImageError, images: ImageSet) -> None:
        """Take the answer to image number `row`. One that could not be inspected, or whose true
        mask cannot be read, is a failure and counts in no metric."""
        if isinstance(answer, ImageError):
            self.failures.append(answer)
            return
        try:
            truth = self._truth(images, row, answer.image_size)
        except ImageError as error:
            self.failures.append(error)
            return
        names, cut = self.bundle.mask_classes, answer.cut(self.policy)
        label = self.catalog.table["label"].iloc[row]
        if self.bundle.preprocessing.fit == "round_part" and label in self.line.defect_names:
            share = answer.evidence_inside(label)
            if share is not None:
                self.inside.append(share)
        drawn = None
        if truth is not None and names:
            areas = {found.class_name: found for found, _ in cut.classes}
            drawn = np.stack([mask_of(areas.get(name), answer.image_size) for name in names])
            self.pixels.append(PixelCounts.of(drawn, truth))
            self.segmented.append(len(self.rows))
        known = names or self.line.defect_names
        defects = [] if truth is None else defects_of(truth, known, answer, drawn)
        self.add_judged(row, answer, cut.regions, defects)

    def add_judged(
        self,
        row: int,
        answer: Judged,
        regions: tuple[Region, ...] | None,
        defects: Sequence[Defect] = (),
    ) -> None:
        """Take scores and regions of image number `row`; regions: as the policy cuts them, None
        where they are lost: then its rules send the part to review."""
        if regions is None:
            said = Measured(Verdict.REVIEW) if self.policy.rules else UNMEASURED
        else:
            broken = broken_rules(regions, self.policy, self.bundle.mask_classes)
            said = measured(broken, self.policy)
        self._probabilities.append([answer.probabilities[n] for n in self.line.class_names])
        self._measured.append(said)
        self.scores.append(answer.defect_score)
        self.objections.append(answer.objection)
        self.regions.append(regions)
        self.defects.append(list(defects))
        self.rows.append(row)

    def _truth(self, images: ImageSet, row: int, size: tuple[int, int]) -> NDArray[np.bool_] | None:
        """(K, H, W) true masks of the classes that the bundle outlines; of all defects, where it
        outlines none and they can be read. None where nobody has marked them."""
        if names := self.bundle.mask_classes:
            return read_masks(images, row, size, names)
        if not images.has_masks:
            return None
        try:
            return read_masks(images, row, size, self.line.defect_names)
        except ImageError:
            return None

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(N, C) in the order of the line's classes."""
        return np.array(self._probabilities)

    @property
    def groups(self) -> NDArray[np.str_]:
        """(N,) photo groups."""
        return self.catalog.groups()[self.rows]

    def judged(self) -> pd.DataFrame:
        """One row an image (see metrics.judge) with its path."""
        table = self.catalog.table.iloc[self.rows]
        return judge(
            self.probabilities,
            np.array([not objection for objection in self.objections], bool),
            table["label"].tolist(),
            self.groups.tolist(),
            self.line,
            self.policy,
            self._measured,
        ).assign(path=table["path"].tolist())
