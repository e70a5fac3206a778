"""Evaluate a served bundle on labelled images that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from defectvision.bundle.labels import DEVIATION, SEPARATOR, is_good_label, is_good_name
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import Measure, Metrics
from defectvision.data.catalog import Catalog
from defectvision.data.image_set import ImageSet
from defectvision.data.readers.index import examples
from defectvision.evaluation.answers import Answers, inspected
from defectvision.evaluation.kept import EvaluationError
from defectvision.evaluation.metrics import confusion, measure
from defectvision.evaluation.segmentation import PixelCounts, measure_masks
from defectvision.inference.images import ImageError
from defectvision.inference.inspector import Inspector
from defectvision.inference.labelled_images import left_out

SHOWN = 8  # labels
NAME_GOOD = "Name each that means a good part with --good"  # of labels that a line does not know


@dataclass(frozen=True)
class Evaluation:
    """`judged` has one row an image (see metrics.judge) and its path; `failures` are the images
    that could not be read, which count in no metric."""

    metrics: Metrics
    judged: pd.DataFrame
    failures: tuple[ImageError, ...]


def labelled(catalog: Catalog, line: Line) -> Catalog:
    """The catalog with labels as `line` names them: on a multiclass line an image without one, or
    with any good name, gets the good class; on a multilabel line a good class is no label; on a
    line from good parts every label that it does not know, several of an image too, is a deviation.

    Raises EvaluationError for a class that the line lacks, and for several labels of an image
    where the line names one.
    """
    good = next(iter(line.good_names), None)
    labels = catalog.table["label"]
    labels = labels.mask(_deviates(catalog, line), DEVIATION)
    if line.label_mode == "multilabel":
        labels = labels.mask(labels.map(is_good_name), "")
        unknown = set(replace(catalog, table=catalog.table.assign(label=labels)).classes)
    else:
        several = catalog.table[labels.str.contains(SEPARATOR, regex=False)]
        if len(several):
            raise EvaluationError(
                f"{several['path'].iloc[0]}: has several labels ({len(several)} images do); "
                "this line names one class an image"
            )
        if good is not None:
            other = labels.map(is_good_name) & ~labels.isin(line.class_names)
            labels = labels.mask((labels == "") | other, good)
        unknown = set(labels)
    unknown -= set(line.class_names)
    if unknown:
        raise EvaluationError(
            f"{catalog.root}: class {min(unknown)!r} is not one of line '{line.name}' "
            f"({', '.join(line.class_names)})"
        )
    return replace(catalog, table=catalog.table.assign(label=labels))


def _deviates(catalog: Catalog, line: Line) -> pd.Series[bool]:
    """Which images a line from good parts takes for deviations since it does not know their
    label."""
    labels = catalog.table["label"]
    known = labels.map(is_good_label) | labels.isin(line.class_names)
    return ~known & (DEVIATION in line.defect_names)


def taken_for_deviations(catalog: Catalog, line: Line) -> str:
    """Which labels `labelled` takes for deviations since the line does not know them; empty where
    there are none."""
    counts = catalog.table["label"][_deviates(catalog, line)].value_counts()
    if counts.empty:
        return ""
    told = examples([f"{label!r} ({count})" for label, count in counts.items()], SHOWN)
    return f"line '{line.name}' knows no label {told}: such images count as deviations"


def evaluate(
    inspector: Inspector,
    images: ImageSet,
    *,
    split: str,
    policy: Policy | None = None,
    seen: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Inspect every image of the set and measure the answers under `policy` (the bundle's by
    default). `split` says in words what the images are; `advance` is called for each image.
    """
    answers = ask(inspector, images, policy=policy, advance=advance)
    evaluation = measured([answers], split=split, seen=seen)
    return replace(evaluation, failures=(*left_out(images), *evaluation.failures))


def ask(
    inspector: Inspector,
    images: ImageSet,
    *,
    policy: Policy | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Answers:
    """Inspect every image of the set; raises EvaluationError where none can be."""
    line = inspector.line
    catalog = labelled(images.catalog, line)
    answers = Answers(catalog, line, inspector.loaded.bundle, policy or inspector.policy)
    for row, answer in inspected(inspector, images):
        advance()
        answers.add(row, answer, images)
    if not answers.rows:
        raise EvaluationError(
            f"{catalog.root}: none of its images could be inspected. The first: "
            f"{next(iter(answers.failures), 'there is none')}"
        )
    return answers


def measured(parts: Sequence[Answers], *, split: str, seen: bool = False) -> Evaluation:
    """The metrics of all images of `parts`, each part under its own policy; the last one's is
    named. Several parts are the folds of a cross-validation."""
    line, bundle, catalog = parts[-1].line, parts[-1].bundle, parts[-1].catalog
    judged = pd.concat([part.judged() for part in parts], ignore_index=True)
    probabilities = np.concatenate([part.probabilities for part in parts])
    values = measure(judged, probabilities, line)
    if inside := [share for part in parts for share in part.inside]:
        values["evidence_inside"] = Measure(value=round(float(np.mean(inside)), 5))
    if pixels := [counts for part in parts for counts in part.pixels]:
        groups = [group for part in parts for group in part.groups[part.segmented].tolist()]
        values |= measure_masks(PixelCounts.join(pixels), bundle.mask_classes, groups)
    metrics = Metrics(
        split=split,
        data=catalog.name,
        images=len(judged),
        groups=judged["group"].nunique(),
        seen=seen,
        policy=parts[-1].policy,
        values=values,
        confusion=confusion(judged, line) if line.label_mode == "multiclass" else {},
    )
    return Evaluation(metrics, judged, tuple(f for part in parts for f in part.failures))
