"""`defectvision compare`: whether one bundle is better than another on the same images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defectvision.cli.inspect import open_inspector
from defectvision.cli.kept import ask_now, from_store, labelled_source, number_of
from defectvision.cli.options import Good, Json, Weights
from defectvision.cli.policy import choose_policy
from defectvision.cli.terminal import clear_errors, end, out

if TYPE_CHECKING:
    from defectvision.evaluation.comparison import Comparison
    from defectvision.evaluation.kept import Kept

SHOWN = 20  # images on which they differ


def compare(
    names: Annotated[
        list[str],
        typer.Argument(help="two or more kept evaluations; with --data bundles"),
    ],
    data: Annotated[Path | None, typer.Option(help="labelled images that the bundles get")] = None,
    line: Annotated[str, typer.Option("--line", help="the line, for example casting")] = "",
    weights: Weights = None,
    split: Annotated[str, typer.Option(help="only this split of the catalog")] = "",
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="also images that a bundle learned from")
    ] = False,
    good: Good = None,
    as_json: Json = False,
) -> None:
    """Compare bundles on the images that all of them were asked about, each under its policy:
    paired differences with intervals and p-values by photo group. The first is what the others are
    compared with."""
    with clear_errors():
        from defectvision.evaluation.comparison import compare as compared

        if len(names) < 2:
            raise ValueError("name two at least: what is compared, and with what")
        if data is None:
            found = [from_store(number_of(name)) for name in names]
        else:
            if not line:
                raise ValueError("say which line it is, for example --line casting")
            source = labelled_source(data, split, good or (), include_seen)
            found = []
            for name in names:
                inspector = open_inspector(weights, line, name)
                found.append(ask_now(inspector, source, choose_policy(inspector.loaded, ""))[0])
        first, *others = found
        results = [
            compared(first, other, (first.about.policy, other.about.policy)) for other in others
        ]
        if as_json:
            print(json.dumps([_as_json(result) for result in results]))
        else:
            for result in results:
                _print(result)
    end([one for kept in found for one in kept.about.failures] if data is not None else [])


def _as_json(result: Comparison) -> dict[str, object]:
    from defectvision.report.evaluation.content import plain_values

    return {
        "first": _name(result.first),
        "second": _name(result.second),
        "images": len(result.rows),
        "alone": result.alone,
        "differences": plain_values(result.differences),
        "differ": result.first.images["path"].iloc[result.differ].tolist(),
        "words": result.words,
    }


def _name(kept: Kept) -> dict[str, str]:
    return {"bundle": kept.about.bundle, "version": kept.about.version, "data": kept.about.data}


def _print(result: Comparison) -> None:
    from rich.table import Table

    from defectvision.evaluation.comparison import names_of

    one, two = names_of(result.first, result.second)
    table = Table(title=f"{result.first.line.name}: {one} and {two}")
    for column in ("metric", one, two, "difference", "95 % interval", "p"):
        table.add_column(column)
    for found in result.differences:
        if found.difference is not None:
            table.add_row(
                found.title,
                f"{found.first:.4f}",
                f"{found.second:.4f}",
                f"{found.difference:+.4f}",
                f"{found.low:+.4f} .. {found.high:+.4f}",
                f"{found.p:.4f}",
            )
    out.print(table)
    out.say(result.words)
    paths = result.first.images["path"].iloc[result.differ].tolist()
    if paths:
        out.say(f"They differ on {len(paths):,} images: {', '.join(paths[:SHOWN])}" + (
            f" and {len(paths) - SHOWN:,} more" if len(paths) > SHOWN else ""
        ))  # fmt: skip
