"""What changed between two batches, in words and as a table."""

from __future__ import annotations

from collections.abc import Iterator

from defectvision.bundle.labels import join_labels
from defectvision.report.export import Cell, as_csv
from defectvision.store.changes import Cell as Verdicts
from defectvision.store.changes import Changes, Counts
from defectvision.store.results import Results
from defectvision.words import counted

SIDES = ("before", "after")
OF_EACH = (
    *("verdict", "label", "defect_score", "decided_by", "batch", "bundle", "bundle_version"),
)
CHANGES_COLUMNS = ("name", "sha256", *(f"{what}_{side}" for what in OF_EACH for side in SIDES))


def changes_of(before: Results, after: Results, decided: bool = True) -> Changes:
    """Of two batches, each under the policy that it is judged by."""
    policies = before.policy_in_force().policy, after.policy_in_force().policy
    return Changes(before, after, policies, decided)


def in_words(found: Counts) -> str:
    """How many images came to another verdict, and how many cannot be told."""
    if not found.images:
        return "The two batches have no image in common."
    said = f"{counted(found.changed, 'image')} of {found.images:,} came to another verdict"
    if found.renamed:
        said += f", and {counted(found.renamed, 'rejected one')} to another defect"
    left = [
        f"{counted(count, 'image is', 'images are')} in the {side} batch alone"
        for count, side in zip(found.alone, ("first", "second"), strict=True)
        if count
    ]
    return ". ".join([said, *left]) + "."


def changes_csv(changes: Changes, cell: Verdicts | None = None) -> bytes:
    """A row for each image of a cell, else for each that changed; see CHANGES_COLUMNS. Verdict and
    label are those that are compared: where decisions count, of people where `decided_by` names
    some."""
    return as_csv(CHANGES_COLUMNS, _rows(changes, cell))


def _rows(changes: Changes, cell: Verdicts | None) -> Iterator[list[Cell]]:
    batches = (changes.before.batch, changes.after.batch)
    for pair in changes.every(cell):
        sides: list[tuple[Cell, ...]] = [
            (
                verdict.value,
                join_labels(labels),
                found.defect_score,
                found.decision.who if found.decision else "",
                *(batch.id, batch.bundle, found.bundle_version),
            )
            for found, policy, batch in zip(pair, changes.policies, batches, strict=True)
            for verdict, labels in [changes.said(found, policy)]
        ]
        both = (value for values in zip(*sides, strict=True) for value in values)
        yield [pair[1].name, pair[1].row.digest or "", *both]
