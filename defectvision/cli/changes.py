"""`defectvision changes`: what two kept batches of the same images say differently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defectvision import atomic
from defectvision.bundle.policy import Policy, beside_thresholds
from defectvision.cli.options import Json
from defectvision.cli.store import open_existing
from defectvision.cli.terminal import clear_errors, out

if TYPE_CHECKING:
    from defectvision.bundle.policy import Verdict
    from defectvision.store.changes import Changes, Counts
    from defectvision.store.database import Store
    from defectvision.store.stored import StoredInspection


def changes(
    before: Annotated[int, typer.Argument(help="number of the first batch")],
    after: Annotated[int, typer.Argument(help="number of the second batch")],
    file: Annotated[Path | None, typer.Option("--out", help="write them as .csv")] = None,
    decisions: Annotated[
        bool, typer.Option(help="count what people decided, in the batch in which they did")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the images whose verdict, or whose rejected defect, is another one in the second of two
    batches of one line; images are matched by the content of their files."""
    with clear_errors():
        from defectvision.report.changes import changes_csv, in_words

        if file is not None and file.suffix.lower() != ".csv":
            raise ValueError(f"{file}: '{file.suffix}' is not .csv")
        if file is not None:
            atomic.check_target(file)
        found = find_changes(open_existing(), before, after, decisions)
        counts = found.counts()
        if file is not None:
            atomic.write_bytes(file, changes_csv(found))
        rows: list[dict[str, Any]] = [
            {
                "path": pair[1].name,
                "sha256": pair[1].row.digest,
                "before": _side(pair[0], *found.said(pair[0], found.policies[0])),
                "after": _side(pair[1], *found.said(pair[1], found.policies[1])),
            }
            for pair in found.every()
        ]
    if as_json:
        about = {"before": before, "after": after, **counts_as_json(counts), "changed": rows}
        print(json.dumps(about))
        return
    for row in rows:
        sides = zip((row["before"], row["after"]), found.policies, strict=True)
        out.say(f"{row['path']}: {' -> '.join(_in_words(*side) for side in sides)}")
    out.say(in_words(counts))


def find_changes(store: Store, before: int, after: int, decided: bool = False) -> Changes:
    """Raises StoreError where a batch is gone, ValueError where they are of different lines."""
    from defectvision.report.changes import changes_of
    from defectvision.store.results import Results

    one, two = Results.open(store, before), Results.open(store, after)
    if one.batch.line != two.batch.line:
        raise ValueError(
            f"batch {before} is of line '{one.batch.line}' and batch {after} of line "
            f"'{two.batch.line}'. Compare batches of one line"
        )
    return changes_of(one, two, decided)


def counts_as_json(counts: Counts) -> dict[str, Any]:
    """verdicts: images by verdict before, then after."""
    verdicts: dict[str, dict[str, int]] = {}
    for (one, two), images in sorted(counts.verdicts.items()):
        verdicts.setdefault(one, {})[two] = images
    return {
        "images": counts.images,
        "verdicts": verdicts,
        "other_defect": counts.renamed,
        "alone": list(counts.alone),
    }


def _side(found: StoredInspection, verdict: Verdict, labels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "labels": list(labels),
        "defect_score": found.defect_score,
        "decided_by": found.decision.who if found.decision else "",
    }


def _in_words(side: dict[str, Any], policy: Policy) -> str:
    score = side["defect_score"]
    score = "" if score is None else f" {beside_thresholds(score, policy)[0]}"
    by = f", decided by {side['decided_by']}" if side["decided_by"] else ""
    return f"{side['verdict']}{score} ({', '.join(side['labels']) or 'no defect'}{by})"
