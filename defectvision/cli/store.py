"""`defectvision store`: what it holds, and a person's word that files may be removed."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from defectvision.cli.options import Json
from defectvision.cli.terminal import clear_errors, out, print_note
from defectvision.people import unproven
from defectvision.settings import settings
from defectvision.words import counted

if TYPE_CHECKING:
    from defectvision.store.database import Store

app = typer.Typer(help="What the store holds, and what is removed from it.")


@app.callback(invoke_without_command=True)
def main(context: typer.Context, as_json: Json = False) -> None:
    """Say what the store holds, and why no file is removed where that is so."""
    if context.invoked_subcommand is not None:
        return
    with clear_errors():
        from defectvision.store.dropped import standing

        store = open_existing()
        found = standing(store)
    if as_json:
        print(json.dumps(dataclasses.asdict(found) | {"place": store.files.url}))
        return
    out.print(
        f"{store.files.url}: {counted(found.files, 'file')}, {found.bytes / 1e9:.2f} GB, of "
        f"database {found.identity}. {counted(found.waiting, 'file')} not needed any more.",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    if found.standstill:
        print_note(f"no file is removed: {found.standstill}. See: defectvision store confirm")


@app.command()
def confirm(
    who: Annotated[str, typer.Option(help="your name, for the audit trail")],
    why: Annotated[str, typer.Option(help="the reason, for the audit trail")],
) -> None:
    """Say that the files are this database's alone, that the clock is right, and that what is not
    needed any more may be removed. A running server then does it within an hour."""
    with clear_errors():
        from defectvision.store.dropped import confirm_removal

        confirm_removal(open_existing(), unproven(who), why)
    out.print("Confirmed; the audit trail says so.")


def open_existing() -> Store:
    """The store that the settings name; raises ValueError where there is none yet."""
    from defectvision.store.database import open_existing_store

    about = settings()
    store = open_existing_store(about.store, about.database, about.files)
    if store is None:
        raise ValueError(f"{about.store}: there is no store there. Set DEFECTVISION_STORE")
    return store
