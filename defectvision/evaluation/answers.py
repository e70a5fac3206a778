"""A bundle's answers to labelled images, and what metrics need of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Measured, Policy
from defectvision.bundle.schema import Bundle
from defectvision.data.catalog import Catalog
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.metrics import judge
from defectvision.evaluation.segmentation import PixelCounts
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.inference.labelled_images import image_name, read_file, read_masks


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
        self._probabilities: list[list[float]] = []
        self._unobjected: list[bool] = []
        self._measured: list[Measured] = []

    def add(self, row: int, answer: Inspection | ImageError, images: ImageSet) -> None:
        """Take the answer to image number `row`. One that could not be inspected, or whose true
        mask cannot be read, is a failure and counts in no metric."""
        if isinstance(answer, ImageError):
            self.failures.append(answer)
            return
        names = self.bundle.mask_classes
        try:
            truth = read_masks(images, row, answer.image_size, names) if names else None
        except ImageError as error:
            self.failures.append(error)
            return
        self._probabilities.append(list(answer.probabilities.values()))
        self._unobjected.append(not answer.objections)
        self._measured.append(answer.measured(self.policy))
        label = self.catalog.table["label"].iloc[row]
        if self.bundle.preprocessing.fit == "round_part" and label in self.line.defect_names:
            share = answer.evidence_inside(label)
            if share is not None:
                self.inside.append(share)
        if truth is not None:
            drawn = np.stack([answer.class_mask(name, self.policy) for name in names])
            self.pixels.append(PixelCounts.of(drawn, truth))
            self.segmented.append(len(self.rows))
        self.rows.append(row)

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
            np.array(self._unobjected, bool),
            table["label"].tolist(),
            self.groups.tolist(),
            self.line,
            self.policy,
            self._measured,
        ).assign(path=table["path"].tolist())
