"""`defectvision report`: what was released, checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from defectvision.cli.options import Json
from defectvision.cli.terminal import clear_errors, err, out
from defectvision.settings import settings

app = typer.Typer(no_args_is_help=True, help="Check reports and tables of released lots.")


@app.callback()
def main() -> None:
    """Commands about reports."""


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="a report or a table that a release made")],
    as_json: Json = False,
) -> None:
    """Whether a file is, byte for byte, what a release made, and whether the lot in the database
    still gives the record that was released. Exit status 1 where either was changed."""
    with clear_errors():
        from defectvision.report.release import check_file
        from defectvision.store.database import open_existing_store

        about = settings()
        store = open_existing_store(about.store, about.database, about.files)
        if store is None:
            raise ValueError(
                f"{about.store}: there is no store there. Set DEFECTVISION_STORE to the one in "
                "which the lot was released"
            )
        found = check_file(store, file)
    if as_json:
        print(json.dumps({"path": str(file), "sound": found.sound, "words": found.words}))
    else:
        terminal, style = (out, None) if found.sound else (err, "red")
        terminal.say(found.words, style=style)
    raise typer.Exit(0 if found.sound else 1)
