"""Verdicts and labels of all images of an evaluation at once, as `bundle.policy` gives them one by
one; a test holds the two together."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.bundle.policy import STRICTNESS, Policy, Verdict
from defectvision.bundle.rules import Rule
from defectvision.evaluation.kept import EvaluationError, Kept
from defectvision.inference.regions import cut_of

ACCEPT, REVIEW, REJECT = range(3)  # places in STRICTNESS
NONE = -1
Answer = TypeVar("Answer", NDArray[np.int8], NDArray[np.bool_])


def verdicts(kept: Kept, policy: Policy) -> NDArray[np.int8]:
    """(N,) the model's verdict on each image, as its place in STRICTNESS. Raises EvaluationError
    where the policy's rules need masks to be cut anew."""

    def ask() -> NDArray[np.int8]:
        standing = standings(kept, policy)
        decided = np.where(standing == NONE, REJECT, standing)
        return np.where(kept.judged, decided, REVIEW).astype(np.int8)

    return _last(kept, "verdicts", policy, ask)


def _last(kept: Kept, what: str, policy: Policy, ask: Callable[[], Answer]) -> Answer:
    """What was answered under the policy that asked last: charts of one moment ask the same."""
    asked, answer = kept.remembered.get(what, (None, None))
    if asked != policy:
        kept.remembered[what] = policy, (answer := ask())
    return answer


def standings(kept: Kept, policy: Policy) -> NDArray[np.int8]:
    """(N,) `Policy.standing` of each image; NONE where the line gives no score."""
    scores = kept.scores
    zone = np.select(
        [np.isnan(scores), scores < policy.accept_below, scores >= policy.reject_above],
        [NONE, ACCEPT, REJECT],
        REVIEW,
    ).astype(np.int8)
    by_rules = measured(kept, policy)[0]
    if by_rules is None:
        return zone
    both = np.maximum(zone, by_rules) if policy.score_decides else by_rules
    return np.where(zone == NONE, NONE, both).astype(np.int8)


def named(kept: Kept, policy: Policy) -> NDArray[np.bool_]:
    """(N, C) the classes that the policy names on each image, see `bundle.policy.labels`."""
    return _last(kept, "named", policy, lambda: _named(kept, policy))


def _named(kept: Kept, policy: Policy) -> NDArray[np.bool_]:
    line, values = kept.line, kept.probabilities
    standing = standings(kept, policy)
    by_rules, classes = measured(kept, policy)
    defects = np.array([c.kind == "defect" for c in line.classes])
    rows = np.arange(len(kept))
    top_defect = np.where(defects, values, -np.inf).argmax(1)
    if line.label_mode == "multiclass":
        chosen = values.argmax(1)
        if not defects.all():
            top_ok = np.where(~defects, values, -np.inf).argmax(1)
            chosen = np.where(standing == ACCEPT, top_ok, chosen)
        chosen = np.where(standing == REJECT, top_defect, chosen)
        if by_rules is not None:
            first = np.array([line.class_names.index(c[0]) if c else NONE for c in classes], int)
            ruled = (standing == REJECT) & (by_rules == REJECT) & (first != NONE)
            chosen = np.where(ruled, first, chosen)
        found = np.zeros(values.shape, bool)
        found[rows, chosen] = True
        return found
    levels = np.array([policy.class_threshold(name) for name in line.class_names])
    found = (values >= levels) & defects
    for row, broken in enumerate(classes):
        for name in broken:
            found[row, line.class_names.index(name)] = True
    alone = (standing == REJECT) & ~found.any(1)
    found[rows[alone], top_defect[alone]] = True
    found[standing == ACCEPT] = False
    return found


def measured(kept: Kept, policy: Policy) -> tuple[NDArray[np.int8] | None, list[tuple[str, ...]]]:
    """What the policy's rules say of each image: (N,) verdicts, and the classes of the strictest
    broken ones, the largest region's first; None and nothing where it has no rules."""
    if not policy.rules:
        return None, []
    key = ("rules", policy.model_dump_json(include={"rules", "mm_per_px"}))
    if key not in kept.remembered:
        kept.remembered[key] = _measured(kept, policy)
    return kept.remembered[key]


def _measured(kept: Kept, policy: Policy) -> tuple[NDArray[np.int8], list[tuple[str, ...]]]:
    about = kept.about
    if cut_of(policy, about.mask_classes) != cut_of(about.policy, about.mask_classes):
        raise EvaluationError(
            "the policy's rules measure regions that it cuts in another way than the policy of "
            "this evaluation. Evaluate the images again under the new policy"
        )
    said = np.full(len(kept), ACCEPT, np.int8)
    known = kept.images["known"].to_numpy(bool)
    broken: list[tuple[NDArray[np.bool_], NDArray[np.bool_], int]] = []
    images = kept.regions["image"].to_numpy(np.int64)
    for rule in policy.rules:
        if not about.mask_classes or rule.class_name not in (None, *about.mask_classes):
            said = np.maximum(said, REVIEW)
            continue
        counts = _counts(kept.regions, rule, policy.mm_per_px)
        breaks = np.bincount(images[counts], minlength=len(kept)) >= rule.at_least
        then = STRICTNESS.index(Verdict(rule.then))
        said = np.where(breaks, np.maximum(said, then), said)
        broken.append((counts, breaks, then))
    # Of each image the regions of the strictest broken rules, the largest first.
    area = kept.regions["area_px"].to_numpy(np.int64)
    rows = [np.flatnonzero(c & b[images] & (said[images] == then)) for c, b, then in broken]
    chosen = np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)
    chosen = chosen[np.lexsort((-area[chosen], images[chosen]))]
    classes: list[tuple[str, ...]] = [()] * len(kept)
    ranked = pd.DataFrame(
        {"image": images[chosen], "name": kept.regions["class_name"].to_numpy()[chosen]}
    ).drop_duplicates()
    for image, name in ranked.itertuples(index=False):
        classes[image] += (str(name),)
    for image in np.flatnonzero(~known):
        classes[image] = ()
    return np.where(known, said, REVIEW).astype(np.int8), classes


def _counts(regions: pd.DataFrame, rule: Rule, mm_per_px: float | None) -> NDArray[np.bool_]:
    """(M,) which regions the rule counts, as `broken_rules` does."""
    value: NDArray[Any] = regions[f"{rule.measure}_px"].to_numpy(np.float64)
    if rule.unit == "mm":
        scale = mm_per_px or 0.0
        value = value * (scale**2 if rule.measure == "area" else scale)
    counts = value > rule.over
    if rule.class_name is not None:
        counts &= (regions["class_name"] == rule.class_name).to_numpy(bool)
    if rule.zone is not None:
        counts &= regions["zones"].map(lambda text: rule.zone in json.loads(text)).to_numpy(bool)
    return counts
