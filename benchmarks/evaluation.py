"""How fast an evaluation of 100,000 images answers: an operating point, and each chart.

    python -m benchmarks.evaluation [--images 100000] [--groups 30000]

The images are made up (no model runs): scores of castings, or of tiles with true and drawn defects.
Each question is asked of an evaluation that is open and of which nobody asked it before; the median
of 5 runs, by the clock and in time of all cores together, which other work on the machine does not
stretch. What an open evaluation keeps for all questions (photo groups, draws) is timed apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import read_line
from defectvision.bundle.schema import Metrics
from defectvision.evaluation import charts, defect_sizes
from defectvision.evaluation.comparison import compare
from defectvision.evaluation.consequences import Costs, consequence, least_cost
from defectvision.evaluation.kept import DEFECTS, PIXELS, PROBABILITY, REGIONS, About, Kept, table
from defectvision.evaluation.promises import conformal_band, most_escapes

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
POLICY = Policy(accept_below=0.2, reject_above=0.8)
COSTS = Costs(escape=500, overkill=20, review=2, defect_rate=0.02)
RUNS = 5
MILLISECONDS = {"operating point": 200.0, "all charts": 500.0}  # aims


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--groups", type=int, default=30_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    line = read_line(WEIGHTS / "magnetic-tile")
    kept = made_up(line, given.images, given.groups, seed=0)
    packed = kept.as_bytes()
    found = {
        "open the file": timed(lambda: Kept.read(packed), lambda: None),
        "photo groups and draws": timed(lambda of: of.draws, lambda: fresh(kept)),
        "operating point": timed(lambda of: consequence(of, POLICY, COSTS), lambda: ready(kept)),
        "least cost": timed(lambda of: least_cost(of, POLICY, COSTS), lambda: ready(kept)),
        "at most 1 % escapes": timed(
            lambda of: most_escapes(of, POLICY, 0.01), lambda: ready(kept)
        ),
        "conformal band": timed(
            lambda of: conformal_band(of, POLICY, 0.01, 0.05), lambda: ready(kept)
        ),
    }
    shown: dict[str, Callable[[Kept], Any]] = {
        "verdicts": lambda of: charts.verdict_table(of, POLICY),
        "confusion": lambda of: charts.confusion(of, POLICY),
        "ROC": charts.roc,
        "precision and recall": charts.precision_recall,
        "classes": lambda of: charts.class_table(of, POLICY),
        "histogram": charts.histogram,
        "reliability": charts.reliability,
        "worst mistakes": lambda of: charts.worst(of, POLICY),
        "photo groups": lambda of: charts.by_group(of, POLICY),
    }
    for name, ask in shown.items():
        found[name] = timed(ask, lambda: ready(kept))

    def everything(of: Kept) -> None:
        for ask in shown.values():
            ask(of)

    found["all charts"] = timed(everything, lambda: ready(kept))
    found["masks per class"] = timed(defect_sizes.mask_figures, lambda: ready(kept))
    found["found by length"] = timed(
        lambda of: defect_sizes.detection(of, POLICY), lambda: ready(kept)
    )
    other = made_up(line, given.images, given.groups, seed=1)
    found["comparison of two"] = timed(
        lambda of: compare(of, other, (POLICY, POLICY)), lambda: ready(kept)
    )
    if given.json:
        print(json.dumps(found))
        return
    print(f"{given.images:,} images of {given.groups:,} photo groups, {len(packed) / 1e6:.1f} MB")
    print(f"{'':26s}{'ms':>8s}{'ms of cores':>14s}")
    for name, (value, of_cores) in found.items():
        aim = MILLISECONDS.get(name)
        said = "" if aim is None else f"  (aim: {aim:.0f} ms, {'met' if value < aim else 'MISSED'})"
        print(f"{name:26s}{value:8.1f}{of_cores:14.1f}{said}")


def timed(ask: Callable[..., Any], prepare: Callable[[], Kept | None]) -> tuple[float, float]:
    """The median, in ms by the clock and of all cores, of what `ask` takes on what `prepare`
    gives."""
    taken, used = [], []
    for _ in range(RUNS):
        of = prepare()
        begun, busy = time.perf_counter(), time.process_time()
        ask() if of is None else ask(of)
        taken.append(1000 * (time.perf_counter() - begun))
        used.append(1000 * (time.process_time() - busy))
    return statistics.median(taken), statistics.median(used)


def fresh(kept: Kept) -> Kept:
    """The same evaluation of which nothing was asked."""
    return Kept(kept.about, kept.images, kept.defects, kept.regions, kept.pixels)


def ready(kept: Kept) -> Kept:
    """The same, with what an open evaluation keeps for all questions."""
    of = fresh(kept)
    for part in ("probabilities", "scores", "truth", "defective", "judged", "groups", "draws"):
        getattr(of, part)
    return of


def made_up(line: Line, images: int, groups: int, seed: int, skill: float = 1.5) -> Kept:
    """An evaluation whose scores are of two overlapping kinds, alike within a photo group, and the
    true class of which does not depend on `seed`."""
    same, rng = np.random.default_rng(0), np.random.default_rng(seed)
    names = line.class_names
    group = same.integers(0, groups, images)
    shown = same.integers(0, len(names), images)
    truth = np.arange(len(names)) == shown[:, None]
    of_group = same.normal(size=(groups, len(names)))[group]
    logits = skill * (2 * truth - 1) + rng.normal(size=truth.shape) + 0.5 * of_group
    values = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    good = [names.index(name) for name in line.good_names]
    table_of_images = pd.DataFrame(
        {
            "path": [f"{i:06d}.png" for i in range(images)],
            "digest": [f"{i:064x}" for i in range(images)],
            "truth": np.array(names)[shown],
            "group": [f"{g:06d}" for g in group],
            "score": 1 - values[:, good].sum(1),
            "judged": rng.random(images) > 0.02,
            "objection": "",
            "known": True,
            "seen": "no",
            "inspection": -1,
            "decided_by": "",
        }
        | {PROBABILITY + name: values[:, i] for i, name in enumerate(names)}
    )
    defects = np.flatnonzero(~np.isin(shown, good))
    length = np.exp(same.normal(3, 0.8, len(defects)))
    chance = 1 / (1 + (15 / length) ** 3)
    hit = rng.random(len(defects)) < chance
    rows = pd.DataFrame(
        {
            "image": defects,
            "class_name": np.array(names)[shown[defects]],
            "length_px": length,
            "area_px": (length**2).astype(np.int64),
            "probability": chance,
            "hit": hit,
        }
    )
    about = About(
        line=line, bundle=line.default_bundle, version=f"{seed:012d}",
        mask_classes=line.defect_names, policy=POLICY, data="made up",
        metrics=Metrics(split="", data="", images=images, groups=groups, policy=POLICY, values={}),
    )  # fmt: skip
    pixels = pd.concat(
        [
            pd.DataFrame(
                {
                    "image": np.arange(images),
                    "class_name": name,
                    "tp": 50 * (np.array(names)[shown] == name),
                    "fp": rng.integers(0, 9, images),
                    "fn": 9 * (np.array(names)[shown] == name),
                    "tn": 10_000,
                }
            )
            for name in line.defect_names
        ]
    )
    return Kept(
        about,
        table_of_images,
        rows.astype(DEFECTS),
        table(REGIONS, []),
        pixels.astype(PIXELS).reset_index(drop=True),
    )


if __name__ == "__main__":
    main()
