"""Evaluations as the commands get them: from the store by number, or by asking a bundle now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from defectvision.cli.terminal import err
from defectvision.settings import settings

if TYPE_CHECKING:
    from defectvision.bundle.policy import Policy
    from defectvision.bundle.schema import Metrics
    from defectvision.evaluation.kept import Kept
    from defectvision.inference.inspector import Inspector
    from defectvision.store.evaluations import LabelledSet


def ask_now(
    inspector: Inspector, source: LabelledSet, policy: Policy, record: str = ""
) -> tuple[Kept, Metrics]:
    """`evaluate_set` with progress. record: what the figures are called."""
    from rich.progress import Progress

    from defectvision.batch.evaluating import evaluate_set
    from defectvision.cli.labelled import steps

    with steps() as tell, Progress(console=err) as progress:
        task = progress.add_task("evaluating", total=None)
        return evaluate_set(
            inspector,
            source,
            policy,
            settings().cache,
            advance=lambda done, total: progress.update(task, completed=done, total=total),
            tell=tell,
            note=err.say,
            said=record,
        )


def labelled_source(
    data: Path, split: str = "", good: Sequence[str] = (), include_seen: bool = False
) -> LabelledSet:
    """A labelled set as it is named on the command line."""
    from defectvision.store.evaluations import LabelledSet

    path = str(data.expanduser().absolute())
    return LabelledSet(path=path, split=split, good=tuple(good), seen=include_seen)


def from_store(number: int) -> Kept:
    """A kept evaluation; raises ValueError where there is no store and StoreError."""
    from defectvision.cli.store import open_existing
    from defectvision.store.evaluations import open_evaluation

    return open_evaluation(open_existing(), number)


def number_of(text: str) -> int:
    """The number of an evaluation as it was typed; raises ValueError."""
    if not text.isdigit():
        raise ValueError(
            f"'{text}' is no number of an evaluation. Give one that was kept (evaluate --keep), "
            "or --data FOLDER to ask now"
        )
    return int(text)
