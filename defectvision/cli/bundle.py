"""`defectvision bundle`: which one is the default, and bundles that come and go as zip files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from defectvision import atomic
from defectvision.cli.options import BundleName, Json, LineName, Weights
from defectvision.cli.terminal import clear_errors, out, print_note
from defectvision.people import unproven
from defectvision.roots import opened
from defectvision.settings import settings, the_store

app = typer.Typer(
    no_args_is_help=True, help="Bundles: import and export them, and say which is the default."
)
COMMAND_LINE = "command line"


@app.command("export")
def export_to(
    file: Annotated[Path, typer.Argument(help="zip file to write")],
    line: LineName,
    bundle: BundleName = None,
    weights: Weights = None,
) -> None:
    """Write a bundle, with its line, into one zip file."""
    with clear_errors():
        from defectvision.bundle.reader import load_bundle
        from defectvision.store.bundles import export_bundle

        atomic.check_target(file)
        about = settings()
        loaded = load_bundle(weights or about.weights, line, bundle, about.limits.trusted)
        atomic.write_bytes(file, export_bundle(the_store(), loaded, unproven(COMMAND_LINE)))
        out.say(f"{line} / {loaded.bundle.name}, version {loaded.version}: {file}")


@app.command("import")
def import_from(
    file: Annotated[Path, typer.Argument(help="zip file of a bundle")],
    name: Annotated[str, typer.Option("--as", help="another name for it")] = "",
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Check a bundle from a zip file, try it on a test picture, and put it among the others. It
    replaces none."""
    with clear_errors():
        from defectvision.store.bundles import import_bundle
        from defectvision.store.policies import in_force

        about = settings()
        with opened(file) as parcel:
            loaded = import_bundle(
                the_store(),
                parcel,
                weights or about.weights,
                unproven(COMMAND_LINE),
                name,
                about.limits.trusted,
            )
        with the_store().reading() as session:
            about_it = loaded.bundle
            policy = in_force(session, loaded.line.name, about_it.name, about_it.policy)
    if policy.outdated is not None:
        print_note(f"in force for it is {policy.words}: evaluate it, and save one for it")
    elif policy.number is not None:
        print_note(
            f"in force for it is {policy.words} for a bundle of this name before. Its scores may "
            "mean something else: evaluate it, and choose the policy anew"
        )
    found = {"line": loaded.line.name, "bundle": loaded.bundle.name, "version": loaded.version}
    if as_json:
        print(json.dumps(found | {"signed": loaded.signed}))
    else:
        out.say(f"{found['line']} / {found['bundle']}, version {loaded.version}, {loaded.signed}")


@app.command("default")
def default(
    line: LineName,
    bundle: Annotated[str, typer.Option("--bundle", help="the bundle to take from now on")],
    why: Annotated[str, typer.Option("--why", help="the reason, for the audit trail")],
    weights: Weights = None,
) -> None:
    """Take another bundle of a line wherever none is named."""
    with clear_errors():
        from defectvision.bundle.reader import known_line
        from defectvision.store.bundles import switch_default

        if not why.strip():
            raise ValueError("--why is empty. Give the reason")
        about = settings()
        folder = weights or about.weights
        before = known_line(folder, line).default_bundle
        trusted = about.limits.trusted
        who = unproven(COMMAND_LINE)
        switch_default(the_store(), folder, line, bundle, who, why.strip(), before, trusted)
        out.say(f"the default of line '{line}' is '{bundle}' now; before it was '{before}'")


@app.command("remember")
def remember(
    line: LineName,
    batch: Annotated[int, typer.Option("--batch", help="number of the batch that stopped them")],
    part: Annotated[
        list[str] | None,
        typer.Option(
            "--part", help="name of an image; all good parts that were stopped where not given"
        ),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option("--bundle", help="whose next version it is; the one that inspected the batch"),
    ] = None,
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Let good parts that were stopped, as people decided, join what a bundle from good parts
    remembers: as a version of it that is in force for nobody."""
    with clear_errors():
        from defectvision.batch.remembering import remember_parts
        from defectvision.bundle.reader import load_bundle
        from defectvision.store.results import Results
        from defectvision.store.reviews import stopped_good

        about, store = settings(), the_store()
        results = Results.open(store, batch)
        if results.line.name != line:
            raise ValueError(f"batch {batch} is of line '{results.line.name}'. Name that one")
        selection = results.selection(results.policy_in_force().policy)
        with store.reading() as session:
            rows = {row.name: row.id for row in stopped_good(session, selection)}
        if missing := sorted(set(part or ()) - set(rows)):
            raise ValueError(
                f"{missing[0]}: is no good part of batch {batch} that was stopped; those are: "
                f"{', '.join(rows) or 'none'}"
            )
        folder, name = weights or about.weights, bundle or results.batch.bundle
        base = load_bundle(folder, line, name, about.limits.trusted)
        chosen = [number for name, number in rows.items() if not part or name in part]
        who = unproven(COMMAND_LINE)
        found = remember_parts(store, base, chosen, who, about.limits)
    if as_json:
        print(json.dumps(found.as_json()))
        return
    for one in found.joined:
        out.say(f"{one.name}: defect score {one.before:.3f} before, {one.after:.3f} now")
    out.say(found.words)
    for words in found.warnings:
        print_note(words)
    made = found.bundle
    out.say(f"{line} / {made.bundle.name}, version {made.version}; it is not the default")
