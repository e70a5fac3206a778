"""Whether promised thresholds keep their promise on photo groups that did not set them.

    python -m benchmarks.promises FILE... [--splits 100]
    python -m benchmarks.promises --made-up

`FILE`: evaluations as the store keeps them, or numbers of kept evaluations. Each split takes half
of the photo groups at random; the thresholds are set on them and tried on the other half.

- conformal: the mean share of escapes over the splits must be at most what was asked. Of single
  splits it may be more: the share of those is told and not promised.
- 95 % sure: the share of splits in which more photo groups than asked have an accepted defective
  picture must be at most 5 %, but for chance: the exact interval of that share is told. It is
  tested against the other half, which is a sample too: where that is small, a share in it above
  what was asked says little, and is counted where it is above it with 95 % certainty.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation import WEIGHTS, made_up
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import read_line
from defectvision.evaluation.consequences import clopper_pearson
from defectvision.evaluation.kept import EvaluationError, Kept
from defectvision.evaluation.outcomes import ACCEPT, REVIEW, verdicts
from defectvision.evaluation.promise import SURE
from defectvision.evaluation.promises import conformal_band, most_escapes

ASKED = (0.01, 0.02, 0.05, 0.1, 0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluations", nargs="*", help="files, or numbers of kept evaluations")
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--made-up", action="store_true", help="scores that are drawn, 6 sizes")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = []
    for name, kept in _evaluations(given.evaluations, given.made_up):
        for asked in ASKED:
            rows += tried(name, kept, asked, given.splits)
    if given.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(row["words"])


def _evaluations(names: list[str], drawn: bool) -> Iterator[tuple[str, Kept]]:
    for name in names:
        if name.isdigit():
            from defectvision.settings import the_store
            from defectvision.store.evaluations import open_evaluation

            kept = open_evaluation(the_store(), int(name))
        else:
            kept = Kept.read(Path(name).read_bytes())
        about = kept.about
        what = f"{about.line.name}/{about.bundle}"
        if kept.unseen.any():
            yield f"{what}, unseen", kept.take(kept.unseen)
        if not kept.unseen.all():
            yield f"{what}, all, of which it learned from most", kept
    if drawn:
        line = read_line(WEIGHTS / "casting")
        for groups in (100, 1000, 4000):
            for skill in (0.5, 1.0):
                made = made_up(line, 3 * groups, groups, seed=groups, skill=skill)
                yield f"made up, {groups:,} groups, skill {skill}", made


def tried(name: str, kept: Kept, asked: float, splits: int) -> list[dict[str, object]]:
    """Both promises of one share; nothing of what the groups cannot promise."""
    rng = np.random.default_rng(0)
    groups = int(kept.groups.max(initial=-1)) + 1
    found: dict[str, list[tuple[float, float, float]]] = {"conformal": [], "95 % sure": []}
    for _ in range(splits):
        chosen = np.isin(kept.groups, rng.permutation(groups)[: groups // 2])
        some, others = kept.take(chosen), kept.take(~chosen)
        for kind, promise in (("conformal", conformal_band), ("95 % sure", most_escapes)):
            try:
                made = promise(some, Policy(accept_below=0, reject_above=1), asked)
            except EvaluationError:  # nothing can escape
                return []
            if made.policy is None:
                continue
            losses = losses_of(others, made.policy)
            if not len(losses):
                continue
            said = verdicts(others, made.policy)
            hit = int((losses > 0).sum())
            sure = clopper_pearson(hit, len(losses), 2 * SURE - 1)[0] > asked
            value = losses.mean() if kind == "conformal" else hit / len(losses)
            found[kind].append((float(value), float(sure), float((said == REVIEW).mean())))
    rows: list[dict[str, object]] = []
    for kind, values in found.items():
        if len(values) < splits:  # too few groups in some of the halves
            continue
        table = np.array(values)
        above = int((table[:, 0] > asked + 1e-12).sum())
        low, high = clopper_pearson(above, splits)
        row: dict[str, object] = {
            "what": name, "promise": kind, "asked": asked, "splits": splits, "groups": groups,
            "mean": float(table[:, 0].mean()), "above": above, "above_low": low,
            "above_high": high, "surely_above": int(table[:, 1].sum()),
            "review": float(table[:, 2].mean()),
        }  # fmt: skip
        rows.append(row | {"words": _words(row)})
    return rows


def losses_of(kept: Kept, policy: Policy) -> NDArray[np.float64]:
    """Of each photo group with defective parts, the share of them that is accepted."""
    said, of = verdicts(kept, policy), kept.defective
    groups = kept.groups[of]
    sizes, bad = np.bincount(groups), np.bincount(groups, said[of] == ACCEPT)
    return bad[sizes > 0] / sizes[sizes > 0]


def _words(row: dict[str, object]) -> str:
    what = f"{row['what']} ({row['groups']} groups): {row['promise']}, at most {row['asked']:.0%}"
    if row["promise"] == "conformal":
        kept = "kept" if float(str(row["mean"])) <= float(str(row["asked"])) else "NOT KEPT"
        return (
            f"{what} on average: {row['mean']:.3%} over {row['splits']} splits, {kept}; "
            f"{row['above']} splits above it; {row['review']:.1%} reviewed"
        )
    kept = "kept" if float(str(row["above_low"])) <= 1 - SURE else "NOT KEPT"
    return (
        f"{what}: above it in {row['above']} of {row['splits']} splits "
        f"({row['above_low']:.1%} to {row['above_high']:.1%}; promised 5%), in "
        f"{row['surely_above']} beyond chance, {kept}; {row['review']:.1%} reviewed"
    )


if __name__ == "__main__":
    main()
