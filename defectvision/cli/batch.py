"""`defectvision batch`: many images with the engine of the Batches page."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path, PurePath
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from defectvision import atomic
from defectvision.cli.engine import Address, EngineName, crews_of
from defectvision.cli.options import BundleName, Json, PolicyChoice, Weights
from defectvision.cli.policy import choose_policy
from defectvision.cli.terminal import clear_errors, err, out, print_note
from defectvision.people import unproven
from defectvision.settings import settings, the_store

if TYPE_CHECKING:
    from defectvision.batch.crew import CrewOf
    from defectvision.bundle.policy import Policy
    from defectvision.store.batches import Counts
    from defectvision.store.database import Store

FORMATS = (".csv", ".xlsx", ".json", ".parquet")
LOOK_SECONDS = 0.2
LOOK_SHARE = 50  # times as long as counting takes there is none


def batch(
    source: Annotated[
        str,
        typer.Argument(
            help="folder (with all below), zip file or image; a path or an fsspec URL, as "
            "s3://bucket/lot; or a Parquet file with a column of them, 'path'"
        ),
    ] = "",
    line: Annotated[str, typer.Option("--line", help="the line, for example casting")] = "",
    bundle: BundleName = None,
    again: Annotated[
        int | None,
        typer.Option(
            "--again",
            help="number of a kept batch, whose images are inspected again with another bundle; "
            "takes the place of SOURCE and --line, and is kept like it",
        ),
    ] = None,
    policy: PolicyChoice = "",
    file: Annotated[
        Path | None, typer.Option("--out", help=f"write the results: {', '.join(FORMATS)}")
    ] = None,
    db: Annotated[
        bool, typer.Option("--db", help="keep the batch, for the dashboard to show")
    ] = False,
    title: Annotated[str, typer.Option(help="of the batch; the source's name where empty")] = "",
    engine: EngineName = "local",
    address: Address = "",
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Inspect a folder or zip file of any size. With --db the dashboard shows it, and goes on with
    it where it was broken off; one of --engine ray is gone on with by `defectvision work --engine
    ray`. With --again it says which verdicts changed."""
    with clear_errors():
        from defectvision.batch.again import start_batch_again
        from defectvision.batch.start import BatchRequest, start_batch
        from defectvision.bundle.reader import load_bundle
        from defectvision.cli.changes import counts_as_json, find_changes
        from defectvision.report.changes import in_words
        from defectvision.store.batches import Engine
        from defectvision.store.database import open_store
        from defectvision.store.retention import ALL, NONE

        if again is not None:
            line, db = _line_of_batch(again, source, line), True
        elif not source or not line:
            raise ValueError("say what to inspect: SOURCE and --line, or --again BATCH")
        if file is None and not db:
            raise ValueError("say where the results go: --out FILE, or --db to keep the batch")
        if file is not None and file.suffix.lower() not in FORMATS:
            raise ValueError(f"{file}: '{file.suffix}' is not one of {', '.join(FORMATS)}")
        if file is not None:
            atomic.check_target(file)
        about = settings()
        folder_of_lines = weights or about.weights
        loaded = load_bundle(folder_of_lines, line, bundle, settings().limits.trusted)
        if policy and file is None:
            raise ValueError(
                "--policy is for the file of --out: what is kept with --db is shown under the "
                "policy in force"
            )
        chosen = choose_policy(loaded, policy) if file is not None else None
        temporary = None if db else Path(tempfile.mkdtemp(prefix="defectvision-"))
        try:
            if temporary is None:
                store = the_store()
            else:
                store = open_store(temporary)
            who, works_with = unproven("command line"), Engine(engine)
            with crews_of(engine, address) as crew_of:
                if again is not None:
                    made = start_batch_again(store, loaded, again, None, who, title, works_with)
                else:
                    request = BatchRequest(
                        title or PurePath(source).name,
                        path=source,
                        # Without the store nobody would look at the pictures again.
                        keep=ALL if db else NONE,
                        engine=works_with,
                    )
                    made = start_batch(store, loaded, request, None, who)
                number = made.id
                counts, message = _run(store, folder_of_lines, number, crew_of)
            if file is not None and chosen is not None:
                try:
                    _write(store, number, file, chosen)
                except OSError as error:
                    where = f"DEFECTVISION_STORE={temporary}" if temporary else "the store"
                    temporary = None  # it stays
                    raise ValueError(
                        f"{file}: cannot be written ({error.strerror or error}). What was "
                        f"inspected is kept as batch {number} of {where}: open the dashboard "
                        "with it, and export the batch there"
                    ) from error
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
        said: dict[str, object] = {
            "batch": number if db else None,
            "images": counts.total,
            "done": counts.done,
        }
        said |= {"failed": counts.failed, "repeated": counts.repeated}
        if message:
            raise ValueError(message)
        changed = ""
        if again is not None:
            found = find_changes(store, again, number).counts()
            said |= {"again_of": again, "changes": counts_as_json(found)}
            changed = f"{in_words(found)} See: defectvision changes {again} {number}"
    if as_json:
        print(json.dumps(said))
    else:
        out.print(
            f"{counts.done} inspected ({counts.repeated} of them the same file as another), "
            f"{counts.failed} failed"
        )
        if changed:
            out.say(changed)
    raise typer.Exit(1 if counts.failed else 0)


def _line_of_batch(number: int, source: str, line: str) -> str:
    """The line of a kept batch; raises ValueError where something else is named beside it."""
    from defectvision.cli.store import open_existing
    from defectvision.store.batches import get_batch

    if source:
        raise ValueError(f"give either {source} or --again {number}, not both")
    with open_existing().reading() as session:
        found = get_batch(session, number).line
    if line and line != found:
        raise ValueError(f"batch {number} is of line '{found}', not of '{line}'. Leave --line out")
    return found


def _run(store: Store, weights: Path, number: int, crew_of: CrewOf | None) -> tuple[Counts, str]:
    """Wait for the end of the batch, with progress, and work on it unless a server does; returns
    what became of it, and why it stopped early."""
    from rich.progress import Progress

    from defectvision.batch.worker import work_until_ended
    from defectvision.inference.passed_over import PassedOver
    from defectvision.store.batches import State, count_images, get_batch, images_in
    from defectvision.store.tables import ImageState

    stop = Event()
    with ThreadPoolExecutor(1) as pool, Progress(console=err, transient=True) as bar:
        task = bar.add_task("listing", total=None)
        what = store, weights, settings().limits, number, stop, crew_of
        work, took = pool.submit(work_until_ended, *what), 0.0
        try:
            while not wait([work], max(LOOK_SECONDS, LOOK_SHARE * took)).done:
                started = time.perf_counter()
                with store.reading() as session:
                    counts = count_images(session, number)
                took = time.perf_counter() - started
                bar.update(
                    task,
                    description="inspecting" if counts.total else "listing",
                    total=counts.total or None,
                    completed=counts.done + counts.failed,
                )
            work.result()
        finally:
            stop.set()
    with store.reading() as session:
        counts, state = count_images(session, number), get_batch(session, number)
        print_note(PassedOver(state.passed_over).words)
        for row in images_in(session, number, ImageState.FAILED):
            err.say(f"failed  {row.name}: {row.reason}. {row.remedy}", style="red")
    return counts, "" if state.state == State.DONE else state.message or f"batch is {state.state}"


def _write(store: Store, number: int, file: Path, policy: Policy) -> None:
    from defectvision.report.export import result_columns, result_rows, results_csv, results_json
    from defectvision.report.tables import workbook
    from defectvision.store.results import Results
    from defectvision.store.tables import now

    results = Results.open(store, number)
    origin = results.origin
    found, errors = results.every(results.selection(policy)), results.errors()
    drawn = results.synthetic()
    suffix = file.suffix.lower()
    if suffix == ".csv":
        content = results_csv(found, policy, origin, errors, drawn)
    elif suffix == ".json":
        content = results_json(found, policy, errors)
    else:
        table = result_columns(origin, policy), result_rows(found, policy, origin, errors, drawn)
        if suffix == ".parquet":
            import pandas as pd

            content = pd.DataFrame(list(table[1]), columns=list(table[0])).to_parquet()
        else:
            content = workbook({"Results": table}, now())
    atomic.write_bytes(file, content)
