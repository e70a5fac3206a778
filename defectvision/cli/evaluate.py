"""`defectvision evaluate`: a bundle's figures on labelled images that it has not learned from, or
on images that people decided on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defectvision.atomic import check_folder
from defectvision.cli.evaluation_report import check_targets, write_reports
from defectvision.cli.figures import print_metrics
from defectvision.cli.inspect import open_inspector
from defectvision.cli.kept import ask_now, labelled_source
from defectvision.cli.options import BundleName, Flips, Good, Json, PolicyChoice, Weights
from defectvision.cli.policy import choose_policy
from defectvision.cli.terminal import clear_errors, err
from defectvision.people import unproven
from defectvision.settings import settings, the_store

if TYPE_CHECKING:
    from defectvision.bundle.policy import Policy
    from defectvision.evaluation.kept import Kept
    from defectvision.inference.inspector import Inspector
    from defectvision.store.evaluations import Reviewed, Source

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])]


def evaluate(
    data: Annotated[Path | None, typer.Option(help="labelled images")] = None,
    line: Annotated[str, typer.Option("--line", help="the line, for example casting")] = "",
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
    reviewed: Annotated[
        bool, typer.Option("--reviewed", help="images that people decided on, in place of --data")
    ] = False,
    batches: Annotated[
        list[int] | None,
        typer.Option("--batch", help="reviewed images of this batch; may be given several times"),
    ] = None,
    since: Day = None,
    until: Day = None,
    html: Annotated[Path | None, typer.Option(help="write a report to read")] = None,
    report_json: Annotated[Path | None, typer.Option(help="write the report as JSON")] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="write both into this folder")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="keep it in the store, for the Evaluate page")
    ] = False,
    work_on: Annotated[int | None, typer.Option(hidden=True)] = None,
    as_json: Json = False,
) -> None:
    """Measure a bundle on labelled images that it has not learned from, or on reviewed ones."""
    if work_on is not None:
        with clear_errors():
            status = _work_on(work_on, weights)
        raise typer.Exit(status)
    with clear_errors():
        if not line:
            raise ValueError("say which line it is, for example --line casting")
        if reviewed == (data is not None):
            raise ValueError("give either --data FOLDER or --reviewed")
        if keep and flips:
            raise ValueError(
                "--keep is for what the dashboard does, which asks about no mirror images: leave "
                "--flips away"
            )
        if record and reviewed:
            raise ValueError("--record is for the figures of a labelled set: give --data FOLDER")
        check_targets(html, report_json, folder)
        inspector = open_inspector(weights, line, bundle, flips)
        if record:
            check_folder(inspector.loaded.folder)
        chosen = choose_policy(inspector.loaded, policy)
        from defectvision.store.evaluations import LabelledSet, Reviewed

        source: Source
        if data is not None:
            source = labelled_source(data, split, good or (), include_seen)
        else:
            source = Reviewed(batches=tuple(batches or ()), since=_utc(since), until=_utc(until))
        with _kept_as(inspector, source, keep) as finish:
            if isinstance(source, LabelledSet):
                kept, metrics = ask_now(inspector, source, chosen, record)
            else:
                kept = _of_reviews(inspector, source, chosen)
                metrics = kept.about.metrics
            finish(kept)
        if record:
            from defectvision.bundle.writer import record_metrics

            record_metrics(inspector.loaded.folder, metrics)
        for failure in kept.about.failures:
            err.say(f"failed  {failure.name}: {failure.reason}. {failure.remedy}", style="red")
        write_reports(kept, chosen, html, report_json, folder)
        print_metrics(line, inspector.loaded.bundle.name, metrics, as_json)
    raise typer.Exit(1 if kept.about.failures else 0)


def _of_reviews(inspector: Inspector, source: Reviewed, policy: Policy) -> Kept:
    from rich.progress import Progress

    from defectvision.batch.evaluating import evaluate_reviewed
    from defectvision.cli.store import open_existing

    store = open_existing()
    with Progress(console=err) as progress:
        task = progress.add_task("evaluating", total=None)
        return evaluate_reviewed(
            store,
            inspector,
            source,
            policy,
            advance=lambda done, total: progress.update(task, completed=done, total=total),
            note=err.say,
        )


@contextmanager
def _kept_as(inspector: Inspector, source: Source, keep: bool) -> Iterator[Callable[[Kept], None]]:
    """What keeps the result in the store, where that is wanted; how it failed is kept too."""
    if not keep:
        yield lambda _: None
        return
    from defectvision.store import evaluations
    from defectvision.store.ownership import join_files

    store = the_store()
    join_files(store)
    with store.session() as session:
        number = evaluations.add_evaluation(
            session, inspector.loaded, source, unproven("command line")
        ).id
    try:
        with evaluations.Alive(store, number):
            yield lambda kept: evaluations.finish(store, number, kept)
    except BaseException as error:
        with store.session() as session:
            evaluations.fail(session, number, str(error) or type(error).__name__)
        raise
    err.say(f"kept as evaluation {number}", style="dim")


def _work_on(number: int, weights: Path | None) -> int:
    """For a server: do evaluation `number` of the store; exit status 0 or 1."""
    from defectvision.batch.evaluating import work_on

    about = settings()
    kept = work_on(the_store(), weights or about.weights, about.limits, about.cache, number)
    return 0 if kept is not None else 1


def _utc(moment: datetime | None) -> datetime | None:
    """A moment as it was typed, which is of this machine's time zone."""
    return None if moment is None else moment.astimezone(UTC)
