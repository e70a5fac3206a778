"""Evaluate a served bundle on labelled images that it has not seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from defectvision.data.catalog import Catalog
from defectvision.evaluation.metrics import confusion, judge, measure
from defectvision.inference.bundle import Line, Measure, Metrics
from defectvision.inference.images import ImageError
from defectvision.inference.inspector import Inspector
from defectvision.inference.policy import Policy

SEEN_FILE = "trained_on.txt"
DIGITS = 16  # hexadecimal digits of an image's SHA-256 that are kept


class EvaluationError(ValueError):
    """Images that a bundle cannot be evaluated on; says which and what to do."""


@dataclass(frozen=True)
class Evaluation:
    """`judged` has one row an image (see metrics.judge) and its path; `failures` could not be
    decoded."""

    metrics: Metrics
    judged: pd.DataFrame
    failures: tuple[ImageError, ...]


def image_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS]


def single_labels(catalog: Catalog, line: Line | None = None) -> Catalog:
    """The catalog with its empty labels named after the line's good class ("ok" by default).

    Raises EvaluationError for images with several labels or with a class the line lacks.
    """
    good = next((c.name for c in line.classes if c.kind == "ok"), None) if line else "ok"
    labels = catalog.table["label"]
    several = catalog.table[labels.str.contains("|", regex=False)]
    if len(several):
        raise EvaluationError(
            f"{several['path'].iloc[0]}: has several labels ({len(several)} images do); "
            "this line names one class an image"
        )
    if good is not None:
        labels = labels.where(labels != "", good)
    if line is not None:
        unknown = sorted(set(labels) - set(line.class_names))
        if unknown:
            raise EvaluationError(
                f"{catalog.root}: class {unknown[0]!r} is not one of line '{line.name}' "
                f"({', '.join(line.class_names)})"
            )
    return replace(catalog, table=catalog.table.assign(label=labels))


def take_rows(catalog: Catalog, rows: np.ndarray) -> Catalog:
    """The catalog with only these rows, by number."""
    return replace(catalog, table=catalog.table.iloc[rows].reset_index(drop=True))


def seen_rows(catalog: Catalog, bundle_folder: Path) -> np.ndarray:
    """(N,) bool: images that the bundle was trained or tuned on, or whose photo group it saw."""
    listed = bundle_folder / SEEN_FILE
    if not listed.is_file():
        return np.zeros(len(catalog), bool)
    known = set(listed.read_text(encoding="ascii").split())
    exact = np.array([image_digest(catalog.image_path(i)) in known for i in range(len(catalog))])
    groups = catalog.groups()
    return np.isin(groups, np.unique(groups[exact]))


def evaluate(
    inspector: Inspector,
    catalog: Catalog,
    *,
    split: str,
    policy: Policy | None = None,
    seen: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Inspect every image of `catalog` and measure the answers under `policy` (the bundle's by
    default). `split` says in words what the images are; `advance` is called for each image.
    """
    line = inspector.line
    policy = policy or inspector.policy
    catalog = single_labels(catalog, line)
    paths = [catalog.image_path(i) for i in range(len(catalog))]
    found, failures, rows = [], [], []
    files = ((path.name, path.read_bytes()) for path in paths)
    for row, answer in enumerate(inspector.inspect_many(files)):
        advance()
        if isinstance(answer, ImageError):
            failures.append(answer)
        else:
            rows.append(row)
            found.append(answer)
    if not found:
        raise EvaluationError(f"{catalog.root}: none of its images could be inspected")
    probabilities = np.array([list(f.probabilities.values()) for f in found])
    foreign = np.array([f.foreign_score for f in found])
    table = catalog.table.iloc[rows]
    judged = judge(
        probabilities,
        foreign,
        table["label"].tolist(),
        catalog.groups()[rows].tolist(),
        line,
        policy,
    ).assign(path=table["path"].tolist())
    values = measure(judged, probabilities, line)
    defects = [c.name for c in line.classes if c.kind == "defect"]
    inside = [
        share
        for answer, truth in zip(found, judged["truth"], strict=True)
        if truth in defects and (share := answer.evidence_inside(truth)) is not None
    ]
    if inspector.loaded.bundle.preprocessing.fit == "round_part" and inside:
        values["evidence_inside"] = Measure(value=round(float(np.mean(inside)), 5))
    metrics = Metrics(
        split=split,
        data=catalog.name,
        images=len(judged),
        groups=judged["group"].nunique(),
        seen=seen,
        policy=policy,
        values=values,
        confusion=confusion(judged, line),
    )
    return Evaluation(metrics, judged, tuple(failures))
