"""What the bundle in force says of images that nobody has labelled: masks to begin with, and which
image would teach most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from defectvision.bundle.line import Line
from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.image_error import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import load_inspector
from defectvision.settings import settings
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import LabelledImageRow
from defectvision.web.choices import bundle_names, loaded_bundle

KEPT = "label-suggestions"


@dataclass
class Suggestions:
    """Answers of one bundle, by the number of the image: the class that it finds most probable, its
    probability, and that of the next one. drawn: the masks of the image that was asked about last,
    whose page is drawn anew with every stroke."""

    loaded: LoadedBundle
    said: dict[int, tuple[str, float, float]] = field(default_factory=dict)
    drawn: tuple[int, dict[str, NDArray[np.bool_]]] | None = None

    def masks(self, data: bytes, row: LabelledImageRow, line: Line) -> dict[str, NDArray[np.bool_]]:
        """What the bundle outlines of the classes of `line` on an image file."""
        if self.drawn is None or self.drawn[0] != row.id:
            self.drawn = row.id, self._outlined(data, row, line)
        return self.drawn[1]

    def _outlined(
        self, data: bytes, row: LabelledImageRow, line: Line
    ) -> dict[str, NDArray[np.bool_]]:
        answer = self._ask([(row.name, data)])[0]
        if isinstance(answer, ImageError):
            return {}
        self._note(row.id, answer)
        names = [n for n in self.loaded.bundle.mask_classes if n in line.defect_names]
        drawn = {name: answer.class_mask(name, self.loaded.bundle.policy) for name in names}
        return {name: mask for name, mask in drawn.items() if mask.any()}

    def by_doubt(self, store: Store, rows: Sequence[LabelledImageRow]) -> list[int]:
        """Numbers of the images, that first of which the bundle knows least which of two classes it
        shows: its label would teach most."""
        new = [row for row in rows if row.id not in self.said]
        bar = st.progress(0.0, "Asking the bundle in force") if new else None
        for done, row in enumerate(new, 1):
            try:
                answer = self._ask([(row.name, store.files.get(row.digest))])[0]
            except StoreError:
                continue
            if isinstance(answer, Inspection):
                self._note(row.id, answer)
            if bar is not None:
                bar.progress(done / len(new), f"Asking the bundle in force: {done} of {len(new)}")
        if bar is not None:
            bar.empty()
        known = [row.id for row in rows if row.id in self.said]
        rest = [row.id for row in rows if row.id not in self.said]
        return [*sorted(known, key=lambda n: self.said[n][1] - self.said[n][2]), *rest]

    def words(self, image: int) -> str:
        """What it says of an image; empty where it was not asked."""
        if image not in self.said:
            return ""
        name, first, second = self.said[image]
        title = self.loaded.line.title_of(name)
        return (
            f"The bundle in force ({self.loaded.bundle.name}) says {title}, {first:.0%}; the next "
            f"class has {second:.0%}"
        )

    def _ask(self, files: list[tuple[str, bytes]]) -> list[Inspection | ImageError]:
        about = self.loaded.bundle
        inspector = load_inspector(settings().weights, about.line, about.name, settings().limits)
        answers: Iterator[Inspection | ImageError] = iter(inspector.inspect_many(files))
        return list(answers)

    def _note(self, image: int, answer: Inspection) -> None:
        falling = sorted(answer.probabilities.items(), key=lambda one: -one[1])
        second = falling[1][1] if len(falling) > 1 else 1 - falling[0][1]
        self.said[image] = (falling[0][0], falling[0][1], second)


def suggestions_for(line: str) -> Suggestions | None:
    """Those of the line's bundle in force; None where there is none that can be used."""
    names = bundle_names(line) if (settings().weights / line).is_dir() else []
    if not names:
        return None
    try:
        loaded = loaded_bundle(line, names[0])
    except BundleError:
        return None
    kept: Suggestions | None = st.session_state.get(KEPT)
    if kept is None or kept.loaded.version != loaded.version:
        kept = st.session_state[KEPT] = Suggestions(loaded)
    return kept
