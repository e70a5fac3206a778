"""Reviewed images as a labelled set that `defectvision train` reads."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Iterable, Iterator, Sequence

from defectvision.bundle.labels import join_labels
from defectvision.bundle.policy import Verdict
from defectvision.csv_file import csv_bytes
from defectvision.inference.judged import Decision
from defectvision.report.archive import add, own_path
from defectvision.store import reviews
from defectvision.store.decisions import last_words
from defectvision.store.errors import StoreError
from defectvision.store.results import Results
from defectvision.store.tables import ReviewRow

log = logging.getLogger(__name__)
LEARNED = (Verdict.ACCEPT, Verdict.REJECT)


def reviewed_images(results: Results) -> Iterator[tuple[str, bytes, str]]:
    """Name, picture and label of each image of a batch on which all who decided agree, or a third
    settled it, and whose picture was kept. Left out is what has no certain label to learn: a
    rejected part whose defect nobody named, and a file that is in the batch several times and was
    decided on differently."""
    good = next((c.name for c in results.line.classes if c.kind == "ok"), "")
    with results.store.reading() as session:
        reviewed = reviews.decided_in(session, results.batch.id)
    labels = {}
    said: dict[str | None, set[str | None]] = {}
    for number, votes in reviewed.items():
        found = results.one(number)
        decision = found.decision if found else None
        if found is None or decision is None or decision.verdict not in LEARNED:
            continue
        label = good if decision.verdict == Verdict.ACCEPT else _defects(results, decision, votes)
        said.setdefault(found.row.digest, set()).add(label)
        if label is not None:
            labels[number] = label
    for number, label in labels.items():
        found = results.one(number)
        if found is None or len(said[found.row.digest]) > 1:
            continue
        try:
            picture = found.picture()
        except StoreError as error:
            log.warning("left out of the labelled set: %s", error)
            continue
        if picture is not None:
            yield found.name, picture, label


def _defects(results: Results, decision: Decision, votes: Sequence[ReviewRow]) -> str | None:
    """The label of a rejected part; None where it is not certain, or was kept by an earlier version
    that let a part be rejected as a good one."""
    words = last_words(votes).values()
    settled = any(review.settles for review in words)
    agreed = len({(review.decision, review.label) for review in words}) == 1
    certain = decision.labels and set(decision.labels) <= set(results.line.defect_names)
    return join_labels(decision.labels) if certain and (settled or agreed) else None


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
