"""`defectvision backup` and `defectvision restore`: the store as a folder, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from defectvision.cli.options import Json
from defectvision.cli.store import open_existing
from defectvision.cli.terminal import clear_errors, err, out, print_note
from defectvision.settings import the_store
from defectvision.words import counted


def backup(
    target: Annotated[Path, typer.Argument(help="folder; only what it lacks is copied")],
    as_json: Json = False,
) -> None:
    """Write the store as it is now into a folder, while servers go on: the database, whatever kind
    it is, and each file that it names. Exit status 1 where the store itself had lost files."""
    os.umask(0o077)  # pictures, names and what opens accounts are for their owner alone
    with clear_errors():
        from defectvision.store.backup import back_up

        with _counting("files") as told:
            made, copied = back_up(open_existing(), target, told)
    said = made.model_dump(mode="json") | {"copied": copied}
    if as_json:
        print(json.dumps(said))
    else:
        out.say(
            f"{target}: {counted(made.files, 'file')}, {copied:,} of them new, and the database as "
            f"of {made.made:%Y-%m-%d %H:%M:%S} UTC"
        )
    if made.lost:
        print_note(
            f"{counted(len(made.lost), 'file')} that the database names is not in the store any "
            f"more, and not in the backup: {', '.join(made.lost[:5])}"
        )
    raise typer.Exit(1 if made.lost else 0)


def restore(
    source: Annotated[Path, typer.Argument(help="folder that `defectvision backup` wrote")],
    replace: Annotated[
        bool, typer.Option("--replace", help="remove what the store's database holds")
    ] = False,
    without_damaged: Annotated[
        bool, typer.Option("--without-damaged", help="leave out files that are damaged")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put a backup into the store that the settings name, SQLite or PostgreSQL; it must be empty
    and no server at it. Everything is checked. Exit status 1 where files were left out."""
    with clear_errors():
        from defectvision.store.restore import restore as put_back

        store = the_store()
        with _counting("files") as told:
            found = put_back(source, store, replace, without_damaged, told)
    said = {
        "made": found.manifest.made.isoformat(),
        "rows": found.rows,
        "files": found.files,
        "damaged": found.damaged,
    }
    if as_json:
        print(json.dumps(said))
    else:
        out.say(
            f"{counted(found.rows['batches'], 'batch', 'batches')} with "
            f"{counted(found.rows['inspections'], 'image')} and {counted(found.files, 'file')}, as "
            f"of {found.manifest.made:%Y-%m-%d %H:%M:%S} UTC"
        )
    if found.damaged:
        print_note(f"{counted(len(found.damaged), 'file')} left out, as missing or damaged")
    raise typer.Exit(1 if found.damaged else 0)


@contextmanager
def _counting(what: str) -> Iterator[Callable[[int], None]]:
    """A line on the terminal that counts, as long as it is looked at."""
    from rich.progress import Progress, TextColumn

    columns = TextColumn("{task.completed:.0f}"), TextColumn("{task.description}")
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count: bar.update(task, completed=count)
