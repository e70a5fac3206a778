"""Evaluations made up for a test: no images, no model, but every kind of score and mistake."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from defectvision.bundle import policy as policies
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import Metrics
from defectvision.evaluation.kept import (
    DEFECTS,
    IMAGES,
    PIXELS,
    PROBABILITY,
    REGIONS,
    About,
    Kept,
    table,
)


def made_up(
    line: Line,
    images: int,
    groups: int | None = None,
    seed: int = 0,
    *,
    skill: float = 2.0,
    policy: Policy | None = None,
    outlines: bool = False,
    unjudged: float = 0.05,
    version: str = "0" * 12,
) -> Kept:
    """An evaluation of `images` in `groups` photo groups (each image its own where None), whose
    true class is the more probable the higher `skill` is; every tenth score is round.

    outlines: with true defects, which are found the more often the longer they are, and with random
    regions.
    """
    rng = np.random.default_rng(seed)
    names = line.class_names
    group = rng.integers(0, groups, images) if groups else np.arange(images)
    of_group = rng.normal(size=(int(group.max(initial=0)) + 1, len(names)))
    shown = rng.integers(0, len(names) + (line.label_mode == "multilabel"), images)
    truth = np.arange(len(names)) == shown[:, None]
    logits = skill * truth * 2 - skill + rng.normal(size=truth.shape) + of_group[group] / 2
    if line.label_mode == "multiclass":
        values = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    else:
        values = 1 / (1 + np.exp(-logits))
    tenth = np.arange(images) % 10 == 0
    if line.label_mode == "multilabel":
        values[tenth] = values[tenth].round(1)
    found = [dict(zip(names, row, strict=True)) for row in values.tolist()]
    scores = [policies.defect_score(one, line) for one in found]
    judged = rng.random(images) >= unjudged
    rows = [
        {
            "path": f"{number:06d}.png",
            "digest": f"{number:064x}",
            "truth": "" if shown[number] == len(names) else names[shown[number]],
            "group": f"group {group[number]:06d}",
            "score": np.nan if scores[number] is None else scores[number],
            "judged": judged[number],
            "objection": "" if judged[number] else "too dark",
            "known": True,
            "seen": "no",
            "inspection": -1,
            "decided_by": "",
        }
        for number in range(images)
    ]
    probabilities = pd.DataFrame(values, columns=[PROBABILITY + name for name in names])
    masks = line.defect_names if outlines else ()
    policy = policy or Policy(accept_below=0.3, reject_above=0.6)
    about = About(
        line=line,
        bundle=line.default_bundle,
        version=version,
        mask_classes=masks,
        policy=policy,
        data="made up",
        metrics=Metrics(
            split="made up", data="made up", images=images, groups=groups or images,
            policy=policy, values={},
        ),
    )  # fmt: skip
    return Kept(
        about,
        pd.concat([table(IMAGES, rows), probabilities], axis=1),
        _defects(rng, line, shown) if outlines else table(DEFECTS, []),
        _regions(rng, line, images) if outlines else table(REGIONS, []),
        _pixels(rng, line, truth) if outlines else table(PIXELS, []),
    )


def _defects(rng: np.random.Generator, line: Line, shown: np.ndarray) -> pd.DataFrame:
    rows = []
    for image, number in enumerate(shown):
        name = line.class_names[number] if number < len(line.class_names) else ""
        for _ in range(int(rng.integers(1, 3)) if name in line.defect_names else 0):
            length = float(np.exp(rng.normal(3, 0.8)))
            hit = rng.random() < 1 / (1 + np.exp(-3 * (np.log(length) - np.log(15))))
            strength = 0.5 + rng.random() / 2 if hit else rng.random() / 2
            rows.append(
                {"image": image, "class_name": name, "length_px": length,
                 "area_px": int(length**2) + 1, "probability": strength, "hit": hit}
            )  # fmt: skip
    return table(DEFECTS, rows)


def _regions(rng: np.random.Generator, line: Line, images: int) -> pd.DataFrame:
    rows = []
    for image in range(images):
        areas = sorted(rng.integers(1, 400, int(rng.integers(0, 4))).tolist(), reverse=True)
        for area in areas:
            rows.append(
                {
                    "image": image,
                    "class_name": str(rng.choice(line.defect_names)),
                    "area_px": area,
                    "length_px": float(rng.integers(1, 30)),
                    "width_px": 2.0,
                    "probability": 0.7,
                    "zones": json.dumps([z for z in ("rim", "bore") if rng.random() < 0.3]),
                }
            )
    return table(REGIONS, rows)


def _pixels(rng: np.random.Generator, line: Line, truth: np.ndarray) -> pd.DataFrame:
    rows = []
    for image, shows in enumerate(truth):
        for name in line.defect_names:
            is_there = bool(shows[line.class_names.index(name)])
            size = int(rng.integers(10, 200)) if is_there else 0
            hit = int(rng.integers(0, size + 1))
            rows.append(
                {"image": image, "class_name": name, "tp": hit, "fp": int(rng.integers(0, 20)),
                 "fn": size - hit, "tn": 10_000 - size}
            )  # fmt: skip
    return table(PIXELS, rows)
