"""The command line: inspect, batch, changes, train, distil, evaluate, compare, operating-point,
calibrate, gate, fingerprints, export, data, report, store, accounts, tokens, lines, bundle, keygen,
sign, work, backup, restore, doctor, serve, serve-api.

Exit status: 0 done, 1 some inputs failed (each named, the others done), 2 the command itself
could not run.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from defectvision import __version__, logs
from defectvision.cli.access import accounts_app, tokens_app
from defectvision.cli.backup import backup, restore
from defectvision.cli.batch import batch
from defectvision.cli.bundle import app as bundle_app
from defectvision.cli.calibrate import calibrate
from defectvision.cli.changes import changes
from defectvision.cli.compare import compare
from defectvision.cli.data import app as data_app
from defectvision.cli.distil import distil
from defectvision.cli.doctor import doctor
from defectvision.cli.evaluate import evaluate
from defectvision.cli.fingerprints import fingerprints
from defectvision.cli.gate import gate
from defectvision.cli.inspect import inspect
from defectvision.cli.lines import lines
from defectvision.cli.operating_point import operating_point
from defectvision.cli.report import app as report_app
from defectvision.cli.serve_api import serve_api
from defectvision.cli.sign import keygen, sign
from defectvision.cli.store import app as store_app
from defectvision.cli.terminal import clear_errors, out
from defectvision.cli.train import export, train
from defectvision.cli.work import work
from defectvision.settings import ROOT, settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Inspect product images, train models for new lines, and serve the dashboard.",
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")
app.add_typer(report_app, name="report")
app.add_typer(store_app, name="store")
app.add_typer(accounts_app, name="accounts")
app.add_typer(tokens_app, name="tokens")
app.add_typer(bundle_app, name="bundle")
app.command()(inspect)
app.command()(batch)
app.command()(changes)
app.command()(train)
app.command()(distil)
app.command()(evaluate)
app.command()(compare)
app.command()(operating_point)
app.command()(calibrate)
app.command()(gate)
app.command()(fingerprints)
app.command()(export)
app.command()(lines)
app.command()(keygen)
app.command()(sign)
app.command()(work)
app.command()(backup)
app.command()(restore)
app.command()(doctor)
app.command()(serve_api)


def _version(asked_for: bool) -> None:
    if asked_for:
        out.print(f"defectvision {__version__}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    logs.set_up()
    if context.invoked_subcommand != "doctor":  # which says it among the others
        with clear_errors():
            logs.set_up(settings().log)


@app.command()
def serve(
    address: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on", min=1, max=65535)] = None,
) -> None:
    """Open the dashboard; it listens on this machine only unless told otherwise."""
    from defectvision.web.door.start import cannot_start

    address, port = address or settings().address, port or settings().port
    os.chdir(ROOT)  # Streamlit reads .streamlit/config.toml of the working folder
    with clear_errors():
        if reason := cannot_start(address, settings()):
            raise ValueError(reason)
    out.print(f"DefectVision on http://{address}:{port}  (stop with Ctrl+C)")
    # glibc keeps up to eight heaps for each core, and what threads left in each is never used again
    # by others: with one for each core a server stays smaller.
    os.environ.setdefault("MALLOC_ARENA_MAX", str(max(2, os.cpu_count() or 1)))
    os.execv(
        sys.executable,
        [
            sys.executable, "-m", "streamlit", "run", "app.py",
            f"--server.address={address}", f"--server.port={port}",
            f"--browser.serverAddress={address}",
        ],
    )  # fmt: skip
