"""`defectvision lines`: what can be inspected with, and what is wrong with the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from defectvision.bundle.line import Line
from defectvision.bundle.reader import BundleError, find_lines, list_bundles, load_bundle
from defectvision.cli.options import Json, Weights
from defectvision.cli.terminal import clear_errors, err, out
from defectvision.settings import settings


def lines(weights: Weights = None, as_json: Json = False) -> None:
    """List the lines and their bundles, each checked against its hashes; what cannot be read is
    named among them, and the exit status is 1 then."""
    folder = weights or settings().weights
    with clear_errors():
        listed = find_lines(folder)
        rows = [row for line in listed.readable for row in _bundle_rows(folder, line)]
        rows += [{"line": name, "error": reason} for name, reason in listed.problems.items()]
    if as_json:
        print(json.dumps(rows))
    elif not rows:
        err.print(f"no lines in {folder}; train one with: defectvision train")
    else:
        out.print(_table(rows))
    raise typer.Exit(1 if any("error" in row for row in rows) else 0)


def _bundle_rows(weights: Path, line: Line) -> list[dict[str, Any]]:
    rows = []
    for name in list_bundles(weights / line.name):
        row = {"line": line.name, "bundle": name, "default": name == line.default_bundle}
        try:
            loaded = load_bundle(weights, line.name, name, settings().limits.trusted)
        except BundleError as error:
            row["error"] = str(error)
        else:
            row |= {
                "version": loaded.version,
                "signed": loaded.signed,
                "architecture": loaded.bundle.architecture,
                "classes": list(line.class_names),
                "can_accept": line.can_accept,
                "policy": loaded.bundle.policy.model_dump(),
            }
        rows.append(row)
    return rows


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("line", "bundle", "version", "classes")
    for row in rows:
        bundle = row.get("bundle", "–") + (" (default)" if row.get("default") else "")
        state = row.get("error", ", ".join(row.get("classes", [])))
        table.add_row(row["line"], bundle, row.get("version", "unusable"), state)
    return table
