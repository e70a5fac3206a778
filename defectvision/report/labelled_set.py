"""Reviewed images as a labelled set that `defectvision train` reads."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator

from defectvision.bundle.policy import Verdict
from defectvision.csv_file import csv_bytes
from defectvision.report.archive import add, own_path
from defectvision.store import reviews
from defectvision.store.results import Results


def reviewed_images(results: Results) -> Iterator[tuple[str, bytes, str]]:
    """Name, picture and label of each image of a batch on which all who decided agree, and whose
    picture was kept."""
    good = next((c.name for c in results.line.classes if c.kind == "ok"), "")
    with results.store.reading() as session:
        decided = reviews.decided(session, results.batch.id)
    for number, votes in decided.items():
        said = {good if r.decision == Verdict.ACCEPT else r.label for r in votes}
        agreed = len({r.decision for r in votes}) == len(said) == 1
        found = results.one(number)
        picture = found.picture() if found else None
        if agreed and found is not None and picture is not None:
            yield found.name, picture, said.pop()


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
