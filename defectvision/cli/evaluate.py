"""`defectvision evaluate`: a bundle's figures on labelled images that it has not learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from defectvision.atomic import check_folder
from defectvision.cli.figures import print_metrics
from defectvision.cli.inspect import open_inspector
from defectvision.cli.options import BundleName, Flips, Good, Json, LineName, PolicyChoice, Weights
from defectvision.cli.policy import choose_policy
from defectvision.cli.terminal import clear_errors, err, print_failure


def evaluate(
    data: Annotated[Path, typer.Option(help="labelled images")],
    line: LineName,
    bundle: BundleName = None,
    weights: Weights = None,
    policy: PolicyChoice = "",
    split: Annotated[str, typer.Option(help="only this split of the catalog")] = "",
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="also images that the bundle learned from")
    ] = False,
    flips: Flips = False,
    good: Good = None,
    record: Annotated[
        str, typer.Option(help="add the figures to the bundle under this description")
    ] = "",
    as_json: Json = False,
) -> None:
    """Measure a bundle on labelled images that it has not learned from."""
    with clear_errors():
        import numpy as np
        from rich.progress import Progress

        from defectvision.bundle.writer import record_metrics
        from defectvision.cli.labelled import open_grouped
        from defectvision.evaluation import evaluate as evaluation

        inspector = open_inspector(weights, line, bundle, flips)
        if record:
            check_folder(inspector.loaded.folder)
        chosen = choose_policy(inspector.loaded, policy)
        images = open_grouped(data, inspector.line.bits, good or ())
        if split:
            images = images.subset(split)
        seen = evaluation.seen_rows(images.catalog, inspector.loaded.folder)
        if not include_seen:
            images = images.take(np.flatnonzero(~seen))
        if seen.any():
            err.print(
                f"{int(seen.sum())} of {len(seen)} images were learned from, or show the same "
                f"photograph as one that was: {'included' if include_seen else 'left out'}"
            )
        if not len(images.catalog):
            raise ValueError(
                f"{data}: the bundle learned from all of these images. Give images that it has "
                "not seen, or add --include-seen to measure its memory"
            )
        with Progress(console=err) as progress:
            task = progress.add_task("evaluating", total=len(images.catalog))
            result = evaluation.evaluate(
                inspector,
                images,
                split=record or (split and f"{split} split") or "given images",
                policy=chosen,
                seen=include_seen and bool(seen.any()),
                advance=lambda: progress.advance(task),
            )
        for failure in result.failures:
            print_failure(failure)
        if record:
            record_metrics(inspector.loaded.folder, result.metrics)
        print_metrics(line, inspector.loaded.bundle.name, result.metrics, as_json)
    raise typer.Exit(1 if result.failures else 0)
