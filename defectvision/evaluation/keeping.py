"""What an evaluation keeps of a bundle's answers, see `kept.py`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from defectvision.bundle.policy import STRICTNESS
from defectvision.bundle.schema import Metrics
from defectvision.evaluation.answers import Answers
from defectvision.evaluation.defect_sizes import mask_figures
from defectvision.evaluation.kept import (
    DEFECTS,
    IMAGES,
    PIXELS,
    PROBABILITY,
    REGIONS,
    About,
    Failed,
    Kept,
    Seen,
    joined,
    table,
)
from defectvision.evaluation.metrics import confusion, measure
from defectvision.evaluation.outcomes import named, verdicts
from defectvision.inference.images import ImageError
from defectvision.inference.regions import Region
from defectvision.roots import opened


def keep_answers(
    answers: Answers,
    metrics: Metrics,
    *,
    version: str,
    data: str,
    seen: Sequence[Seen],
    failures: Iterable[ImageError],
) -> Kept:
    """The evaluation of answers to a labelled set.

    version: of the bundle; data: the images in words; seen: of each image of the catalog.
    """
    catalog, line = answers.catalog, answers.line
    rows = catalog.table.iloc[answers.rows]
    images: list[dict[str, Any]] = [
        {
            "path": path,
            "digest": file_digest(catalog.image_path(row)),
            "truth": label,
            "group": group,
            "score": np.nan if score is None else score,
            "judged": not objection,
            "objection": objection,
            "known": regions is not None,
            "seen": seen[row],
            "inspection": -1,
            "decided_by": "",
        }
        for row, path, label, group, score, objection, regions in zip(
            answers.rows,
            rows["path"],
            rows["label"],
            answers.groups.tolist(),
            answers.scores,
            answers.objections,
            answers.regions,
            strict=True,
        )
    ]
    names = answers.bundle.mask_classes
    about = About(
        line=line,
        bundle=answers.bundle.name,
        version=version,
        mask_classes=names,
        policy=answers.policy,
        data=data,
        root=str(catalog.root.absolute()),
        metrics=metrics,
        failures=tuple(failed(error) for error in failures),
    )
    probabilities = answers.probabilities.reshape(-1, len(line.class_names))
    columns = pd.DataFrame(probabilities, columns=[PROBABILITY + n for n in line.class_names])
    defects = [
        {
            "image": image,
            **vars(defect),
            "probability": np.nan if defect.probability is None else defect.probability,
            "hit": bool(defect.hit),
        }
        for image, found in enumerate(answers.defects)
        for defect in found
    ]
    pixels = [
        {
            "image": image,
            "class_name": name,
            **{n: int(getattr(counts, n)[0, k]) for n in ("tp", "fp", "fn", "tn")},
        }
        for image, counts in zip(answers.segmented, answers.pixels, strict=True)
        for k, name in enumerate(names)
    ]
    return Kept(
        about,
        pd.concat([table(IMAGES, images), columns], axis=1),
        table(DEFECTS, defects),
        region_table(found or () for found in answers.regions),
        table(PIXELS, pixels),
    )


def figures_of(kept: Kept, split: str) -> Metrics:
    """The figures of an evaluation under its policy, as `evaluate.measured` gives them, but for
    what only the model's maps can tell. split: what the images are, in words."""
    line, policy = kept.line, kept.about.policy
    judged = pd.DataFrame(
        {
            "score": kept.scores,
            "label": joined(named(kept, policy), line),
            "verdict": [STRICTNESS[code].value for code in verdicts(kept, policy)],
            "truth": joined(kept.truth, line),
            "group": kept.images["group"],
        }
    )
    return Metrics(
        split=split,
        data=kept.about.data,
        images=len(kept),
        groups=judged["group"].nunique(),
        seen=not kept.unseen.all(),
        policy=policy,
        values=measure(judged, kept.probabilities, line) | mask_figures(kept),
        confusion=confusion(judged, line) if line.label_mode == "multiclass" else {},
    )


def region_table(regions: Iterable[Iterable[Region]]) -> pd.DataFrame:
    """The regions of each image, in order."""
    names = [name for name in REGIONS if name not in ("image", "zones")]
    rows = [
        {
            "image": image,
            **{name: getattr(region, name) for name in names},
            "zones": json.dumps(region.zones),
        }
        for image, found in enumerate(regions)
        for region in found
    ]
    return table(REGIONS, rows)


def failed(error: ImageError) -> Failed:
    return Failed(name=error.name, reason=error.reason, remedy=error.remedy)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file; empty where it cannot be read any more."""
    try:
        with opened(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
