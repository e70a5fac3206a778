"""Whether promised thresholds keep their promise on photo groups that did not set them.

    python -m benchmarks.promises FILE... [--splits 100]
    python -m benchmarks.promises --made-up

`FILE`: evaluations as the store keeps them, or numbers of kept evaluations. Each split takes half
of the photo groups at random; the thresholds are set on them and tried on the other half.

- conformal: the mean share of escapes over the splits must be at most what was asked. Of single
  splits it may be more: the share of those is told and not promised.
- 95 % sure: of all groups that there could be, more than was asked have an accepted defective
  picture 5 times in 100 at most. The other half is only a sample of those: how often more than was
  asked have one there, of a promise that is just kept, follows from the sizes of the halves alone
  (beta-binomial), and is told as `allowed`: up to 12 times in 100, as the other half is no larger.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from benchmarks.evaluation import WEIGHTS, made_up
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import read_line
from defectvision.evaluation.consequences import clopper_pearson
from defectvision.evaluation.kept import EvaluationError, Kept
from defectvision.evaluation.outcomes import ACCEPT, REVIEW, verdicts
from defectvision.evaluation.promise import most_above
from defectvision.evaluation.promises import conformal_band, most_escapes

ASKED = (0.01, 0.02, 0.05, 0.1, 0.2)
# What is told as not kept is so beyond chance, of the dozens of promises that a run tries.
CHANCE, BEYOND_CHANCE = 3.0, 0.998  # standard errors, and how sure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluations", nargs="*", help="files, or numbers of kept evaluations")
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--made-up", action="store_true", help="scores that are drawn, 3 sizes")
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
            made = made_up(line, 3 * groups, groups, seed=groups, skill=0.7)
            yield "made up", made


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
            value = losses.mean() if kind == "conformal" else (losses > 0).mean()
            allowed = allowed_above(made.groups, len(losses), asked)
            found[kind].append((float(value), allowed, float((said == REVIEW).mean())))
    rows: list[dict[str, object]] = []
    for kind, values in found.items():
        if len(values) < splits:  # too few groups in some of the halves
            continue
        table = np.array(values)
        above = int((table[:, 0] > asked + 1e-12).sum())
        low, high = clopper_pearson(above, splits)
        error = float(table[:, 0].std() / np.sqrt(splits))
        row: dict[str, object] = {
            "what": name, "promise": kind, "asked": asked, "splits": splits, "groups": groups,
            "mean": float(table[:, 0].mean()), "error": error, "above": above, "above_low": low,
            "above_high": high, "allowed": float(table[:, 1].mean()),
            "review": float(table[:, 2].mean()),
        }  # fmt: skip
        rows.append(row | {"words": _words(row)})
    return rows


def allowed_above(groups: int, others: int, asked: float) -> float:
    """How often more than the share `asked` of `others` groups are below the threshold that
    `groups` groups set, of the promise of `most_escapes`."""
    above = most_above(groups, asked)
    return float(betabinom.sf(np.floor(asked * others + 1e-9), others, above + 1, groups - above))


def losses_of(kept: Kept, policy: Policy) -> NDArray[np.float64]:
    """Of each photo group with defective parts, the share of them that is accepted."""
    said, of = verdicts(kept, policy), kept.defective
    groups = kept.groups[of]
    sizes, bad = np.bincount(groups), np.bincount(groups, said[of] == ACCEPT)
    return bad[sizes > 0] / sizes[sizes > 0]


def _words(row: dict[str, object]) -> str:
    what = f"{row['what']} ({row['groups']} groups): {row['promise']}, at most {row['asked']:.0%}"
    if row["promise"] == "conformal":
        over = float(str(row["mean"])) - float(str(row["asked"]))
        kept = "kept" if over <= CHANCE * float(str(row["error"])) else "NOT KEPT"
        return (
            f"{what} on average: {row['mean']:.2%} (± {row['error']:.2%}) over {row['splits']} "
            f"splits, {kept}; {row['above']} splits above it; {row['review']:.1%} reviewed"
        )
    surely = clopper_pearson(int(str(row["above"])), int(str(row["splits"])), BEYOND_CHANCE)[0]
    kept = "kept" if surely <= float(str(row["allowed"])) else "NOT KEPT"
    return (
        f"{what}: above it in {row['above']} of {row['splits']} splits "
        f"({row['above_low']:.1%} to {row['above_high']:.1%}; allowed {row['allowed']:.1%}), "
        f"{kept}; {row['review']:.1%} reviewed"
    )


if __name__ == "__main__":
    main()
