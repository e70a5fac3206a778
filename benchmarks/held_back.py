"""Whether a line that knows defects by name still sees a kind that nothing has learned from.

    python -m benchmarks.held_back ../shared/data/magnetic_tile
    python -m benchmarks.held_back ../shared/data/neu --good patches

learns defects by name beside the memory of good parts (recipe `good_parts_named`), with one kind at
a time held back, and tells how many parts of it pass by the memory alone, by the head alone and by
both. Each is asked about parts that it has not learned from, nor near-copies of them, and passes
what lies below a limit that its own scores of good parts set as a training sets it. `--good` lets a
kind stand for the good one where a set has none. Images are looked at once a set.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from defectvision.bundle.labels import DEVIATION
from defectvision.cli.labelled import open_grouped
from defectvision.inference.labelled_images import readable
from defectvision.settings import ROOT
from defectvision.training.fitting import fitted
from defectvision.training.good_parts import remember
from defectvision.training.names import GOOD, UNKNOWN, Seen, compared, learn_names
from defectvision.training.new_line import named_parts_line_for
from defectvision.training.progress import Tell
from defectvision.training.recipe import load_recipe
from defectvision.training.task import TrainingTask

EYES = ("memory", "head", "both")


def held_back(data: Path, good: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Figures of all defects where all are learned, then of each kind where it alone is not."""
    images, _ = readable(open_grouped(data, None, good), masks=False)
    recipe = fitted(load_recipe(ROOT / "recipes" / "good_parts_named.yaml"), images)
    assert recipe.memory is not None
    with tempfile.TemporaryDirectory() as kept, Progress(disable=True) as bars:
        line = named_parts_line_for(images.catalog, Path(kept) / "line", "memory")
        task = TrainingTask.of(recipe, line, images)
        made = remember(task, Tell(Path(kept), bars))
    seen, asked = made.seen(task), recipe.memory.stopped
    yield figures("none", seen, compared(seen, learn_names(seen, made.usual), asked))
    named = [name for name in line.defect_names if name != DEVIATION]
    for number, name in enumerate(named, 1):
        others = seen.kind != number
        known = seen.take(others)
        known = replace(known, kind=known.kind - (known.kind > number), names=len(named) - 1)
        names = learn_names(known, made.usual[others])
        tested = seen.take(np.isin(seen.kind, (GOOD, number)))
        new = tested.kind == number
        tested = replace(tested, kind=np.where(new, UNKNOWN, GOOD), names=0)
        by_head = names.by_fold(tested)
        names = replace(names, named=by_head, left_out=by_head)
        row = figures(name, tested, compared(tested, names, asked))
        unnamed = names.joint.log_odds(tested.distance, by_head)[new].argmax(1) == 0
        yield row | {"given no name": round(float(unnamed.mean()), 3)}


def figures(kind: str, seen: Seen, found: dict[str, Any]) -> dict[str, Any]:
    """Counts, and each figure as value and interval."""
    bad = seen.kind != GOOD
    counts = {"held back": kind, "images": int(bad.sum())}
    counts |= {"parts": len(np.unique(seen.parts[bad])), "good": int((~bad).sum())}
    return counts | {key: [one["value"], one["low"], one["high"]] for key, one in found.items()}


def as_row(row: dict[str, Any]) -> str:
    """A row of the table in docs/good-parts.md."""

    def share(key: str) -> str:
        value, low, high = (100 * number for number in row[key])
        return f"{value:.0f} ({low:.0f} to {high:.0f})"

    cells = [row["held back"], f"{row['images']} of {row['parts']}"]
    cells += [share(f"escapes/{eye}") for eye in EYES]
    cells += [f"{row[f'auc/{eye}'][0]:.3f}" for eye in EYES]
    for eye in ("memory", "head"):
        value, low, high = row[f"auc/more than {eye}"]
        cells.append(f"{value:+.3f} ({low:+.3f} to {high:+.3f})")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--good", action="append", default=[], help="a kind that stands for good")
    options = parser.parse_args()
    for data in options.sets:
        rows = []
        for row in held_back(data, options.good):
            print(json.dumps({"set": data.name} | row), flush=True)
            rows.append(as_row(row))
        print("\n".join(rows), flush=True)


if __name__ == "__main__":
    main()
