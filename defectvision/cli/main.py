"""The command line: inspect, batch, train, evaluate, export, data, lines, serve.

Exit status: 0 done, 1 some inputs failed (each named, the others done), 2 the command itself
could not run.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from defectvision import __version__
from defectvision.bundle.reader import BundleError, list_bundles, list_lines, load_bundle
from defectvision.cli.batch import batch
from defectvision.cli.data import app as data_app
from defectvision.cli.data import steps
from defectvision.cli.terminal import clear_errors, err, out
from defectvision.settings import ROOT, settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Inspect product images, train models for new lines, and serve the dashboard.",
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")
app.command()(batch)
LineName = Annotated[str, typer.Option("--line", help="the line, for example casting")]
BundleName = Annotated[
    str | None, typer.Option("--bundle", help="the bundle; the line's default where not given")
]
Weights = Annotated[
    Path | None, typer.Option("--weights", help="folder of lines", show_default="weights")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON, for machines")]
Flips = Annotated[
    bool, typer.Option("--flips", help="the mean of four mirror images; four times the time")
]


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"defectvision {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for chatty in ("accelerate", "httpx", "onnx_ir", "onnxscript", "torch"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@app.command()
def inspect(
    paths: Annotated[list[Path], typer.Argument(help="images, folders or zip files")],
    line: LineName,
    bundle: BundleName = None,
    weights: Weights = None,
    accept_below: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    reject_above: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    flips: Flips = False,
    submission: Annotated[
        Path | None, typer.Option(help="also write masks as a Severstal submission (CSV)")
    ] = None,
    as_json: Json = False,
) -> None:
    """Inspect images: verdict, label and probabilities of each."""
    from defectvision.bundle.labels import SEPARATOR
    from defectvision.bundle.policy import Policy
    from defectvision.inference.images import ImageError
    from defectvision.inference.sources import read_paths

    failed = False

    def good_files() -> Iterator[tuple[str, bytes]]:
        nonlocal failed
        for upload in read_paths(paths):
            if upload.error is not None:
                failed = True
                _print_failure(upload.error, as_json)
            else:
                yield upload.name, upload.data

    with clear_errors(), ExitStack() as opened:
        inspector = _inspector(weights, line, bundle, flips)
        given = {"accept_below": accept_below, "reject_above": reject_above}
        given = {name: value for name, value in given.items() if value is not None}
        policy = Policy.model_validate({**inspector.policy.model_dump(), **given})
        submit = None
        if submission is not None:
            from defectvision.report.submission import submission_file

            submit = opened.enter_context(submission_file(submission, policy))
        for found in inspector.inspect_many(good_files()):
            if isinstance(found, ImageError):
                failed = True
                _print_failure(found, as_json)
                continue
            if submit is not None:
                submit(found)
            if as_json:
                print(json.dumps(found.as_json(policy)), flush=True)
            else:
                name, probability = found.ranking()[0]
                score = "" if found.defect_score is None else f"  score {found.defect_score:.3f}"
                labels = SEPARATOR.join(found.labels(policy)) or "no defect"
                count = len(found.regions(policy))
                regions = f"  {count} regions" if found.masks is not None else ""
                print(
                    f"{found.verdict(policy).value:<7} {labels:<16} "
                    f"{name} {probability:.1%}{score}{regions}  {found.name}"
                )
    raise typer.Exit(1 if failed else 0)


def _inspector(weights: Path | None, line: str, bundle: str | None, flips: bool):
    """The inspector of a bundle, asking about mirror images too where `flips` is set."""
    from defectvision.inference.flips import FlippingRuntime
    from defectvision.inference.inspector import Inspector, load_inspector

    inspector = load_inspector(weights or settings().weights, line, bundle, settings().limits)
    if flips:
        inspector = Inspector(
            inspector.loaded, settings().limits.pixels, FlippingRuntime(inspector.runtime)
        )
    return inspector


def _print_failure(error, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"path": error.name, "error": f"{error.reason}. {error.remedy}"}))
    else:
        err.print(f"failed  {error}", style="red", markup=False, highlight=False)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="folder of class folders, index.csv, published set")],
    line: LineName,
    recipe: Annotated[
        str, typer.Option(help="a YAML file, or a name from recipes/")
    ] = "efficientnet_lite0",
    bundle: Annotated[
        str | None, typer.Option(help="name of the bundle; the architecture where not given")
    ] = None,
    weights: Weights = None,
    run: Annotated[
        Path | None, typer.Option(help="folder for checkpoints; the same one resumes")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a bundle from labelled images, measure it on images held out, and install it."""
    with clear_errors():
        try:
            from defectvision.training.pipeline import train_line
        except ImportError as error:
            raise RuntimeError(
                f"training needs {error.name}; install requirements.txt "
                "(requirements-serve.txt only inspects)"
            ) from error
        from defectvision.training.recipe import find_recipe, load_recipe

        file = find_recipe(recipe, ROOT / "recipes")
        chosen = load_recipe(file)
        name = bundle or chosen.architecture
        metrics = train_line(
            _grouped(data),
            chosen,
            file.read_text(encoding="utf-8"),
            line,
            name,
            weights or settings().weights,
            run or Path("runs") / line / name,
        )
        _print_metrics(line, name, metrics, as_json)


@app.command()
def export(
    data: Annotated[Path, typer.Option(help="the labelled images that the bundle learned from")],
    line: LineName,
    bundle: BundleName = None,
    weights: Weights = None,
    allowed: Annotated[
        float, typer.Option(min=0, help="most that AUC, macro F1 or mean IoU may fall by")
    ] = 0.002,
    as_json: Json = False,
) -> None:
    """Put a bundle's model into int8, if that loses nothing that matters on its test images."""
    with clear_errors():
        try:
            from defectvision.training.quantize import quantize_bundle
        except ImportError as error:
            raise RuntimeError(f"export needs {error.name}; install requirements.txt") from error
        folder = weights or settings().weights
        name = load_bundle(folder, line, bundle).bundle.name
        found = quantize_bundle(folder, line, name, _grouped(data), allowed)
    if as_json:
        print(json.dumps(asdict(found) | {"kept": found.kept}))
        return
    table = Table("figure", "before", "after", title=f"{line} / {name}, {found.images}")
    for figure, value in found.before.items():
        table.add_row(figure, f"{value:.4f}", f"{found.after[figure]:.4f}")
    out.print(table)
    out.print(
        f"evidence maps correlate {found.evidence_correlation:.4f}; "
        f"{found.verdicts_changed:.1%} of the verdicts changed; "
        f"{len(found.in_fp32)} convolutions stay in fp32"
    )
    out.print(
        "the bundle is in int8 now" if found.kept else "more is lost than allowed: left as it was"
    )


@app.command()
def evaluate(
    data: Annotated[Path, typer.Option(help="labelled images")],
    line: LineName,
    bundle: BundleName = None,
    weights: Weights = None,
    split: Annotated[str, typer.Option(help="only this split of the catalog")] = "",
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="also images that the bundle learned from")
    ] = False,
    flips: Flips = False,
    record: Annotated[
        str, typer.Option(help="add the figures to the bundle under this description")
    ] = "",
    as_json: Json = False,
) -> None:
    """Measure a bundle on labelled images that it has not learned from."""
    with clear_errors():
        import numpy as np
        from rich.progress import Progress

        from defectvision.evaluation import evaluate as evaluation

        inspector = _inspector(weights, line, bundle, flips)
        images = _grouped(data)
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
            found = evaluation.evaluate(
                inspector,
                images,
                split=record or (split and f"{split} split") or "given images",
                seen=include_seen and bool(seen.any()),
                advance=lambda: progress.advance(task),
            )
        for failure in found.failures:
            err.print(f"failed  {failure}", style="red", markup=False, highlight=False)
        if record:
            from defectvision.bundle.writer import record_metrics

            record_metrics(inspector.loaded.folder, found.metrics)
        _print_metrics(line, inspector.loaded.bundle.name, found.metrics, as_json)
    raise typer.Exit(1 if found.failures else 0)


def _grouped(data: Path):
    """The image set `data`; its photo groups are those it names, joined with the near-copies that
    its pictures show. An index can miss some, and a folder of classes names none."""
    from dataclasses import replace

    from defectvision.audit.study import study

    with steps() as advance:
        found = study(data, settings().cache, settings().limits.pixels, advance)
        return replace(found.image_set, catalog=found.grouped)


def _print_metrics(line: str, bundle: str, metrics, as_json: bool) -> None:
    if as_json:
        content = metrics.model_dump(mode="json")
        values = {**content["values"], "confusion": content["confusion"]}
        content = {
            "line": line,
            "bundle": bundle,
            "policy": content["policy"],
            "images": content["images"],
            "groups": content["groups"],
            "seen": content["seen"],
            "metrics": values,
        }
        print(json.dumps(content))
        return
    table = Table(title=f"{line} / {bundle}: {metrics.images} images, {metrics.groups} groups")
    for column in ("metric", "value", "95 % interval"):
        table.add_column(column)
    for name, found in metrics.values.items():
        if found is not None:
            interval = "" if found.low is None else f"{found.low:.4f} .. {found.high:.4f}"
            table.add_row(name, f"{found.value:.4f}", interval)
    out.print(table)


@app.command()
def lines(weights: Weights = None, as_json: Json = False) -> None:
    """List the lines and their bundles, each checked against its hashes."""
    folder = weights or settings().weights
    rows, failed = [], False
    with clear_errors():
        for line in list_lines(folder):
            for name in list_bundles(folder / line.name):
                row = {"line": line.name, "bundle": name, "default": name == line.default_bundle}
                try:
                    loaded = load_bundle(folder, line.name, name)
                except BundleError as error:
                    failed = True
                    row["error"] = str(error)
                else:
                    row |= {
                        "version": loaded.version,
                        "architecture": loaded.bundle.architecture,
                        "classes": list(line.class_names),
                        "can_accept": line.can_accept,
                        "policy": loaded.bundle.policy.model_dump(),
                    }
                rows.append(row)
    if as_json:
        print(json.dumps(rows))
    elif not rows:
        err.print(f"no lines in {folder}; train one with: defectvision train")
    else:
        table = Table()
        for column in ("line", "bundle", "version", "classes"):
            table.add_column(column)
        for row in rows:
            bundle = row["bundle"] + (" (default)" if row["default"] else "")
            state = row.get("error", ", ".join(row.get("classes", [])))
            table.add_row(row["line"], bundle, row.get("version", "unusable"), state)
        out.print(table)
    raise typer.Exit(1 if failed else 0)


@app.command()
def serve(
    address: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on", min=1, max=65535)] = None,
) -> None:
    """Open the dashboard; it listens on this machine only unless told otherwise."""
    address, port = address or settings().address, port or settings().port
    out.print(f"DefectVision on http://{address}:{port}  (stop with Ctrl+C)", highlight=False)
    os.chdir(ROOT)  # Streamlit reads .streamlit/config.toml of the working folder
    os.execv(
        sys.executable,
        [
            sys.executable, "-m", "streamlit", "run", "app.py",
            f"--server.address={address}", f"--server.port={port}",
            f"--browser.serverAddress={address}",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    app()
