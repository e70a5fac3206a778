"""Teach a bundle's gate what its line looks like, set its limits, and measure both kinds of error.

What is learned comes from images that the model learned from; limits and all figures come from
images that it did not. Limits are set by the line's own images alone, and false alarms are counted
on photo groups that had no part in them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression

from defectvision.bundle.schema import GATE_FILE, OWN, Bundle, Gate, GateRate, Measure
from defectvision.data.resampling import clopper_pearson
from defectvision.evaluation.gate_images import STRUCTURELESS, Sight
from defectvision.inference.gate import Gatekeeper, Learned, standardized

FOLDS = 5
BEYOND = 0.998  # share of the line's own images that no limit lies within
# How far beyond those a limit lies, as a share of their distance from the middle one: of likeness,
# and of pictures. The least by which few images of other photo groups are stopped.
LIKENESS_ROOMS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 0.9, 1.3)
PICTURE_ROOMS = (0.25, 0.4, 0.6, 0.9, 1.3)
FEW = 0.01  # share of those, or one image
LIKENESS, CLIPPED_AND_DARK, SCALE = 2, slice(2, 4), 8  # columns of `_judged_by`
LEAST_ZOOM = 0.2  # natural log: pictures a fifth smaller are no other pictures
LEAST_CLIPPED = 0.01  # share of white or black px that is never too much
LEAST_SPREAD = 0.05  # of a statistic: one that never varied must not decide alone
MOST_MISSED = 0.003  # share of the line's own images without a part, up to which one is needed
LIKELIHOOD = 0.1  # scikit-learn's C
FEWEST = 20  # unseen images of the line


class GateError(ValueError):
    """A gate that cannot be measured; says why and what to do."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A gate with its rates, and the arrays of its file."""

    gate: Gate
    arrays: dict[str, NDArray[Any]]


def measure_gate(keeper: Gatekeeper, sights: Sequence[Sight], unseen: str) -> Measured:
    """Learn from the known ones of `sights`, set the limits and measure on the others. unseen:
    what the line's own unseen images are, in words. Raises GateError where those are too few."""
    own = [sight for sight in sights if sight.kind == OWN and not sight.known]
    check_enough(keeper.bundle.line, len(own))
    arrays = learn(sights)
    gate = limits(Learned(arrays), own).model_copy(update={"unseen": unseen})
    complete = with_gate(keeper, gate, arrays)
    rates = {OWN: rate(own, _cross_fitted(arrays, keeper, own))}
    for kind in dict.fromkeys(sight.kind for sight in sights if sight.kind != OWN):
        tried = [sight for sight in sights if sight.kind == kind and not sight.known]
        unknown = None
        if kind != STRUCTURELESS and any(s.known for s in sights if s.kind == kind):
            others = learn([sight for sight in sights if sight.kind != kind])
            without = with_gate(keeper, limits(Learned(others), own), others)
            unknown = share(stopped(without, tried), len({sight.group for sight in tried}))
        if tried:
            rates[kind] = rate(tried, stopped(complete, tried), unknown)
    return Measured(gate.model_copy(update={"rates": rates}), arrays)


def check_enough(line: str, unseen: int) -> None:
    """Raises GateError where so few images of the line set no limit; also worth asking before many
    are looked at."""
    if unseen < FEWEST:
        raise GateError(
            f"{line}: {unseen} images of the line are left that the bundle has not learned from, "
            f"and a limit needs {FEWEST}. Name a folder of others with --more"
        )


def learn(sights: Sequence[Sight]) -> dict[str, NDArray[Any]]:
    """The arrays of `Learned` from the known ones of `sights`, in the precision they are kept."""
    known = np.stack([s.seen.features for s in sights if s.known and s.kind == OWN])
    centre = known.mean(0).astype(np.float32)
    spread = np.maximum(known.std(0), LEAST_SPREAD).astype(np.float32)
    own = standardized(known, centre.astype(float), spread.astype(float))
    sizes, axes = np.linalg.eigh(LedoitWolf().fit(own).covariance_)
    whitening = (axes / np.sqrt(sizes)).astype(np.float32)
    weights, offset = np.zeros(len(centre)), 0.0
    others = [s for s in sights if s.known and s.kind not in (OWN, STRUCTURELESS)]
    if others:
        names, kinds = np.unique([s.kind for s in others], return_inverse=True)
        far = np.stack([s.seen.features for s in others])
        far = standardized(far, centre.astype(float), spread.astype(float))
        # Every kind counts the same, and all together as much as the line's own images.
        share = 1 / (len(names) * np.bincount(kinds)[kinds])
        heavy = np.concatenate([np.full(len(own), 1 / len(own)), share]) * (len(own) + len(far))
        which = np.repeat([0, 1], [len(own), len(far)])
        odds = LogisticRegression(C=LIKELIHOOD, max_iter=500)
        odds.fit(np.vstack([own, far]), which, sample_weight=heavy)
        weights, offset = odds.coef_[0], float(odds.intercept_[0])
    return {
        "centre": centre,
        "spread": spread,
        "whitening": whitening,
        "known": (own @ whitening).astype(np.float16),
        "weights": weights.astype(np.float32),
        "offset": np.array([offset], np.float32),
    }


def limits(learned: Learned, own: Sequence[Sight]) -> Gate:
    """The limits that `own` images of the line set."""
    values = _judged_by(learned, own)
    folds = _folds(own)
    few = max(FEW, 1 / len(own))
    rooms = list(product(LIKENESS_ROOMS, PICTURE_ROOMS))
    alarms = _alarms(values, folds, rooms)
    enough = [room for room, share in zip(rooms, alarms, strict=True) if share <= few]
    chosen = enough[0] if enough else rooms[int(np.argmin(alarms))]
    highest = _limits(*_edges(values), np.array([chosen]))[0]
    found = [sight.seen.part_found for sight in own]
    missed = float(np.mean([one is False for one in found]))
    distance, odds, clipped, dark, darkest, brightest, contrast, sharpness, scale = highest.tolist()
    return Gate(
        file=GATE_FILE,
        distance=distance,
        log_odds=odds,
        clipped=clipped,
        dark=dark,
        darkest=-darkest,
        brightest=brightest,
        contrast=-contrast,
        sharpness=-sharpness,
        scale=float(np.exp(-scale)),
        part_needed=found[0] is not None and missed <= MOST_MISSED,
    )


def _judged_by(learned: Learned, own: Sequence[Sight]) -> NDArray[np.float64]:
    """(N, 9) all that a limit is put on, so turned that more is worse; in the order of `limits`."""
    rows = []
    for seen in (sight.seen for sight in own):
        picture, features = seen.statistics, seen.features
        likeness = learned.distance(features), learned.log_odds(features)
        light = picture.clipped, picture.dark, -picture.level, picture.level, -picture.contrast
        rows.append([*likeness, *light, -picture.sharpness, -np.log(picture.scale)])
    return np.array(rows)


def _edges(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(9,) what BEYOND of the (N, 9) values do not exceed, and how far that is from the middle."""
    edge = np.quantile(values, BEYOND, axis=0, method="higher")
    return edge, edge - np.median(values, axis=0)


def _limits(
    edge: NDArray[np.float64], reach: NDArray[np.float64], rooms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(R, 9) limits for (R, 2) rooms, of likeness and of pictures."""
    wide = np.repeat(rooms, (LIKENESS, len(edge) - LIKENESS), axis=1)
    found = edge + wide * reach
    found[:, CLIPPED_AND_DARK] = np.maximum(found[:, CLIPPED_AND_DARK], LEAST_CLIPPED)
    found[:, SCALE] = np.maximum(found[:, SCALE], edge[SCALE] + LEAST_ZOOM)
    return np.asarray(found)


def _alarms(
    values: NDArray[np.float64], folds: NDArray[np.int_], rooms: list[tuple[float, float]]
) -> NDArray[np.float64]:
    """(R,) share of the images beyond a limit that the other folds set, for each of the rooms."""
    over = np.zeros((len(rooms), len(values)), bool)
    for fold in np.unique(folds):
        held = folds == fold
        if not held.all():
            highest = _limits(*_edges(values[~held]), np.array(rooms))
            over[:, held] = (values[None, held] > highest[:, None]).any(axis=2)
    return np.asarray(over.mean(axis=1))


def _folds(own: Sequence[Sight]) -> NDArray[np.int_]:
    """(N,) fold of each image; a photo group is in one."""
    names, member = np.unique([sight.group for sight in own], return_inverse=True)
    return np.random.default_rng(0).permutation(len(names))[member] % FOLDS


def file_of(arrays: dict[str, NDArray[Any]]) -> bytes:
    """The arrays as the content of a gate's file; the same arrays give the same bytes."""
    out = io.BytesIO()
    content: dict[str, Any] = dict(arrays)
    np.savez_compressed(out, **content)
    return out.getvalue()


def with_gate(keeper: Gatekeeper, gate: Gate, arrays: dict[str, NDArray[Any]]) -> Gatekeeper:
    """The same bundle's gatekeeper with another gate."""
    bundle: Bundle = keeper.bundle.model_copy(update={"gate": gate})
    return Gatekeeper(bundle, keeper.usual, Learned(arrays))


def stopped(keeper: Gatekeeper, sights: Sequence[Sight]) -> NDArray[np.bool_]:
    """(N,) bool: the images that are sent to review."""
    return np.array(
        [bool(keeper.objections(s.seen, keeper.foreign_score(s.seen))) for s in sights], bool
    )


def _cross_fitted(
    arrays: dict[str, NDArray[Any]], keeper: Gatekeeper, own: Sequence[Sight]
) -> NDArray[np.bool_]:
    """(N,) bool: the line's own images that limits stop which the others' photo groups set."""
    learned, alarms, fold = Learned(arrays), np.zeros(len(own), bool), _folds(own)
    for number in range(FOLDS):
        rest = [sight for sight, f in zip(own, fold, strict=True) if f != number]
        held = np.flatnonzero(fold == number).tolist()
        if held and rest:
            fitted = with_gate(keeper, limits(learned, rest), arrays)
            alarms[held] = stopped(fitted, [own[i] for i in held])
    return alarms


def rate(
    sights: Sequence[Sight], marked: NDArray[np.bool_], unknown: Measure | None = None
) -> GateRate:
    """How many of `sights` are marked (N,) as sent to review."""
    groups = len({sight.group for sight in sights})
    review = share(marked, groups)
    return GateRate(images=len(sights), groups=groups, review=review, unknown=unknown)


def share(marked: NDArray[np.bool_], groups: int) -> Measure:
    """The share of marked images (N,) with its exact 95 % interval (Clopper and Pearson 1934), as
    wide as photo groups, not images, are many."""
    part = float(marked.mean())
    low, high = clopper_pearson(part * groups, groups)
    return Measure(value=round(part, 5), low=round(low, 5), high=round(high, 5))
