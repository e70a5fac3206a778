"""Reviewed images as a labelled set that `defectvision train` reads."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Iterable, Iterator

from defectvision.bundle.labels import join_labels
from defectvision.bundle.policy import Verdict
from defectvision.csv_file import csv_bytes
from defectvision.report.archive import add, own_path
from defectvision.store import reviews
from defectvision.store.errors import StoreError
from defectvision.store.results import Results

log = logging.getLogger(__name__)
LEARNED = (Verdict.ACCEPT, Verdict.REJECT)


def reviewed_images(results: Results) -> Iterator[tuple[str, bytes, str]]:
    """Name, picture and label of each image of a batch on which all who decided agree, or a third
    settled it, and whose picture was kept. A rejected part whose class nobody named has no label
    to learn, and is left out."""
    good = next((c.name for c in results.line.classes if c.kind == "ok"), "")
    with results.store.reading() as session:
        reviewed = reviews.decided_in(session, results.batch.id)
    for number, votes in reviewed.items():
        found = results.one(number)
        decision = found.decision if found else None
        if found is None or decision is None or decision.verdict not in LEARNED:
            continue
        label = good if decision.verdict == Verdict.ACCEPT else join_labels(decision.labels)
        settled = any(review.settles for review in votes)
        agreed = len({(review.decision, review.label) for review in votes}) == 1
        if decision.verdict == Verdict.REJECT and (not label or not (settled or agreed)):
            continue
        try:
            picture = found.picture()
        except StoreError as error:
            log.warning("left out of the labelled set: %s", error)
            continue
        if picture is not None:
            yield found.name, picture, label


def labelled_zip(images: Iterable[tuple[str, bytes, str]]) -> bytes:
    """A zip file of images (name, content, label) with an index.csv beside them.

    Labels are class names, `|` between several, empty for good.
    """
    out = io.BytesIO()
    index = [("path", "label")]
    taken: set[str] = set()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data, label in images:
            path = own_path("images", name, taken)
            add(archive, path, data)
            index.append((path, label))
        add(archive, "index.csv", csv_bytes(index))
    return out.getvalue()
