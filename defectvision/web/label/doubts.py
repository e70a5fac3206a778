"""Labels of a set that are probably wrong, with the reason of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from defectvision.audit.photo_groups import photo_groups
from defectvision.bundle.labels import label_names
from defectvision.bundle.line import Line
from defectvision.bundle.reader import BundleError, find_lines
from defectvision.bundle.schema import LoadedBundle
from defectvision.copies.keypoints import as_grey, extract
from defectvision.evaluation.label_errors import Doubts, Seen, label_doubts, too_few
from defectvision.inference.image_error import ImageError
from defectvision.inference.inspector import inspector_of
from defectvision.settings import settings
from defectvision.store import labelling
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import LabelledImageRow, LabelledSetRow
from defectvision.web.choices import bundle_names, loaded_bundle
from defectvision.web.new_line.form import runs_folder
from defectvision.web.new_line.runs import every_run
from defectvision.words import counted

KEPT = "label-doubts"
READING = 0.75  # of the bar, about as long as it takes


@dataclass(frozen=True, eq=False)
class Described:
    """Images by what a bundle makes of them. rows: that could be read; groups: (N,) the same number
    for those of one part."""

    rows: tuple[LabelledImageRow, ...]
    seen: Seen
    groups: NDArray[np.int64]


@dataclass
class LabelDoubts:
    """Of one set, by one bundle that describes its images. taught: whether that bundle learned from
    this set. described: the images `of` these numbers. reasons: by the number of the image, the
    surest first; about: what was done, in words."""

    line: Line
    loaded: LoadedBundle
    taught: bool
    of: tuple[int, ...] = ()
    described: Described | None = None
    reasons: dict[int, str] = field(default_factory=dict)
    about: str = ""

    def look(self, store: Store, rows: Sequence[LabelledImageRow]) -> list[int]:
        """Numbers of the labelled images `rows` whose label is doubted, the surest first."""
        self.reasons = {}
        if said := too_few(len(rows)):
            self.about = f"{said}."
            return []
        numbers = tuple(row.id for row in rows)
        if self.described is None or self.of != numbers:
            self.described, self.of = self._describe(store, rows), numbers
        known = self.described
        now = {row.id: label_names(row.label) for row in rows}
        labels = [now[row.id] for row in known.rows]
        found = label_doubts(known.seen, labels, known.groups, self.line)
        self.reasons = {
            known.rows[doubt.row].id: f"{doubt.words(self.line, labels[doubt.row])}."
            for doubt in found.found
        }
        self.about = self._in_words(found, len(np.unique(known.groups)))
        return list(self.reasons)

    def _describe(self, store: Store, rows: Sequence[LabelledImageRow]) -> Described:
        """With progress, as it takes some tens of ms an image."""
        bar = st.progress(0.0, "Looking at the labelled images")
        inspector = inspector_of(self.loaded, settings().limits)
        known, described, pictures = [], [], []
        for done, row in enumerate(rows, 1):
            words = f"Looking at the labelled images: {done:,} of {len(rows):,}"
            bar.progress(READING * done / len(rows), words)
            try:
                found = inspector.describe(store.files.get(row.digest), row.name)
            except (StoreError, ImageError):  # named where it is opened
                continue
            known.append(row)
            described.append((found.embedding, found.answers))
            pictures.append(extract(as_grey(found.picture)))

        def advance(share: float) -> None:
            bar.progress(READING + (1 - READING) * share, "Looking for near-copies")

        parts, digests = [row.part for row in known], [row.digest for row in known]
        groups = photo_groups(parts, digests, pictures, advance)
        bar.empty()
        if not described:
            nothing = np.zeros((0, 0), np.float32)
            return Described((), Seen(nothing, nothing), groups)
        embeddings, answers = (np.array(part) for part in zip(*described, strict=True))
        # What it answers it has learned from these labels, where it has.
        seen = Seen(embeddings, answers[:, :0] if self.taught else answers)
        return Described(tuple(known), seen, groups)

    def _in_words(self, found: Doubts, parts: int) -> str:
        """What was done, and what it cannot tell."""
        if not found.judged:
            return f"{found.refused}."
        said = (
            f"{counted(len(found.found), 'label')} of {found.judged:,} stand out. Five models were "
            f"made for each image from four fifths of the {counted(parts, 'part')}, never from its "
            f"own or from a near-copy; they read what bundle {self.loaded.bundle.name} of line "
            f"{self.loaded.line.name} sees."
        )
        if self.taught:
            said += (
                " That bundle learned from this set, so it may know a wrong label by heart: some "
                "are missed."
            )
        return f"{said} {found.refused}." if found.refused else said


def doubts_for(row: LabelledSetRow) -> LabelDoubts | None:
    """Those of the set, kept while the session lasts; None where no bundle can describe its
    images."""
    kept: tuple[int, LabelDoubts] | None = st.session_state.get(KEPT)
    if kept is not None and kept[0] == row.id:
        return kept[1]
    learned = {
        (order.line, order.bundle)
        for run in every_run(runs_folder())
        if (order := run.order()) is not None and order.labelled_set == row.id
    }
    candidates = list(_candidates(row.line))
    # What learned from the very labels in question comes last.
    for line, bundle in sorted(candidates, key=lambda one: one in learned):
        try:
            loaded = loaded_bundle(line, bundle)
        except BundleError:
            continue
        made = LabelDoubts(labelling.line_of_set(row), loaded, (line, bundle) in learned)
        st.session_state[KEPT] = (row.id, made)
        return made
    return None


def _candidates(own: str) -> Iterator[tuple[str, str]]:
    """Line and bundle of what can describe images: the line's own first, then the defaults of other
    lines that were taught to tell classes apart."""
    lines = find_lines(settings().weights).readable
    for line in sorted(lines, key=lambda line: line.name != own):
        if line.name == own:
            yield from ((own, name) for name in bundle_names(own))
        elif not line.deviates:
            yield line.name, line.default_bundle
