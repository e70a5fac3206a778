"""The whole Dataset page for the report: charts with their sentences, and the lists."""

from __future__ import annotations

from datetime import datetime

from defectvision.audit import pictures
from defectvision.audit.shortcuts import warnings
from defectvision.audit.study import Study
from defectvision.data.leaks import leaks
from defectvision.report.dataset import words
from defectvision.report.dataset.html import dataset_html
from defectvision.report.dataset.sections import all_sections

Table = tuple[str, str, list[str], list[list[object]]]
LISTED = 100


def study_html(study: Study) -> str:
    """The Dataset page of a study as one file, see `dataset_html`."""
    catalog = study.catalog
    sections = [
        (title, [(block.figure, block.sentence) for block in blocks])
        for title, blocks in all_sections(study)
    ]
    about = (
        f"{len(catalog):,} images, layout {catalog.layout}, written "
        f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}."
    )
    said = [*catalog.warnings, *warnings(study.shortcuts)]
    return dataset_html(catalog.name, about, said, sections, _tables(study))


def _tables(study: Study) -> list[Table]:
    paths = study.catalog.table["path"].tolist()
    grouped = study.grouped
    tables: list[Table] = []
    found = leaks(grouped)
    if len(found):
        rows = [
            [r.splits, r.images, ", ".join(r.paths[:4])] for r in found.head(LISTED).itertuples()
        ]
        said = _of_more(words.of_leaks(study), len(found))
        tables.append(("Leaking groups", said, ["splits", "images", "files"], rows))
    if study.groups:
        rows = [
            [g.kind, len(g.images), ", ".join(paths[i] for i in g.images[:4])]
            for g in study.groups[:LISTED]
        ]
        columns = ["most differ by", "images", "files (the first four)"]
        said = _of_more(words.of_groups(study), len(study.groups))
        tables.append(("Near-copy groups", said, columns, rows))
    contradictions = grouped.contradictions()
    if len(contradictions):
        rows = contradictions[["photo_group", "label", "path"]].head(LISTED).to_numpy().tolist()
        said = _of_more(words.of_contradictions(study), len(contradictions))
        tables.append(("Different labels in one group", said, ["group", "label", "file"], rows))
    odd = pictures.outliers(study.pictures)
    if len(odd):
        rows = [
            [r.path, pictures.MEASURES[r.measure][0], f"{r.value:.4g}", f"{r.usual:.4g}"]
            for r in odd.head(LISTED).itertuples()
        ]
        said = "Far from the usual values of this set: look at them before training."
        said = _of_more(said, len(odd))
        tables.append(("Odd ones out", said, ["file", "measure", "value", "usual"], rows))
    if study.failures:
        rows = [[text] for text in study.failures]
        tables.append(("Files that could not be read", "Left out everywhere.", ["message"], rows))
    return tables


def _of_more(said: str, count: int) -> str:
    """`said` with a word on the rows that are not listed."""
    return f"{said} The first {LISTED} of {count:,}." if count > LISTED else said
