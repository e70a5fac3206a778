"""Count found pairs of near-copies against the photo groups of an index, and time the opening.

    python benchmarks/near_copies.py ../shared/data/casting

The photo groups are taken out of the catalog before the search sees it. A pair is two images.
Recall is the share of the pairs of one photo group that stand together in a found group; precision
is the share of the pairs that stand together in a found group and share a photo group.

Labels are hidden too, so they test both groupings: `mixed` counts the groups whose images have
different labels, and the images that are outvoted in them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pandas as pd

from defectvision.audit.study import study
from defectvision.data.image_set import open_set
from defectvision.limits import PIXELS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mixed", type=int, default=12, help="mixed groups to list")
    asked = parser.parse_args()
    known = open_set(asked.data, PIXELS)
    truth = known.catalog.table["photo_group"].tolist()
    hidden = replace(
        known,
        catalog=replace(known.catalog, table=known.catalog.table.assign(photo_group="")),
    )
    with tempfile.TemporaryDirectory() as cache:
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            found = study(asked.data, Path(cache), PIXELS, workers=asked.workers, image_set=hidden)
            seconds.append(time.perf_counter() - started)
    same = {p for rows in _members(truth).values() for p in combinations(rows, 2)}
    reported = {p for group in found.groups for p in combinations(sorted(group.images), 2)}
    both = len(same & reported)
    mixed = Counter()
    for group in found.groups:
        names = Counter(truth[i] for i in group.images)
        for a, b in combinations(sorted(names), 2):
            mixed[a, b] += names[a] * names[b]
    own = [f"single {i}" for i in range(len(truth))]
    for number, group in enumerate(found.groups):
        for i in group.images:
            own[i] = str(number)
    labels = known.catalog.table["label"]
    result = {
        "images": len(truth),
        "pairs_in_index": len(same),
        "pairs_reported": len(reported),
        "recall": both / max(1, len(same)),
        "precision": both / max(1, len(reported)),
        "first_seconds": round(seconds[0], 1),
        "second_seconds": round(seconds[1], 2),
        "workers": asked.workers,
        "mixed": {"index": _mixed(truth, labels), "found": _mixed(own, labels)},
        "mixed_photo_groups": [
            {"groups": pair, "pairs": n} for pair, n in mixed.most_common(asked.mixed)
        ],
    }
    print(json.dumps(result, indent=1))


def _mixed(groups: list[str], labels: pd.Series) -> dict[str, int]:
    counts = labels.groupby(pd.Series(groups)).value_counts().unstack(fill_value=0)
    outvoted = counts.sum(axis=1) - counts.max(axis=1)
    return {"of_groups": len(counts), "groups": int((outvoted > 0).sum()),
            "outvoted_images": int(outvoted.sum())}  # fmt: skip


def _members(groups: list[str]) -> dict[str, list[int]]:
    table = pd.Series(groups)
    return {str(k): sorted(v) for k, v in table[table != ""].groupby(table).groups.items()}


if __name__ == "__main__":
    main()
