"""`defectvision data`: what a labelled set is like, before a model is trained on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from defectvision import atomic
from defectvision.cli.options import Bits, Good
from defectvision.cli.terminal import clear_errors, err, out, print_note
from defectvision.words import counted

app = typer.Typer(no_args_is_help=True, help="Understand a labelled set before training on it.")


@app.callback()
def main() -> None:
    """Commands about labelled sets."""


@app.command()
def report(
    data: Annotated[Path, typer.Argument(help="folder, index.csv, COCO file, data.yaml, table")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, for machines")] = False,
    html: Annotated[Path | None, typer.Option(help="write the report as one HTML file")] = None,
    index: Annotated[
        Path | None, typer.Option(help="write an index.csv whose split keeps photo groups whole")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="folder of what was found before")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes; all cores if left out")
    ] = None,
    bits: Bits = None,
    good: Good = None,
) -> None:
    """Class balance, defect sizes, near-copies, leaks across splits and shortcuts of a set."""
    from defectvision.audit.findings import findings
    from defectvision.audit.study import study
    from defectvision.cli.labelled import steps
    from defectvision.data.image_set import open_set
    from defectvision.data.leaks import corrected_split
    from defectvision.settings import settings

    with clear_errors():
        for target in filter(None, (html, index)):
            target.parent.mkdir(parents=True, exist_ok=True)
            atomic.check_target(target)
        with steps() as tell:
            images = open_set(data, settings().limits.pixels, bits, good or ())
            place = cache or settings().cache
            found = study(data, place, images.limit_pixels, tell, workers, images)
        content = findings(found)
        if html is not None:
            from defectvision.report.dataset.parts import study_html

            atomic.write_text(html, study_html(found))
        if index is not None:
            corrected_split(found.grouped).write_index(index)
    for failure in found.failures:
        err.say(f"failed  {failure}", style="red")
    if as_json:
        print(json.dumps(content))
    else:
        _print(content)
    raise typer.Exit(1 if found.failures else 0)


def _print(content: dict[str, Any]) -> None:
    from rich.table import Table

    images = counted(content["images"], "image")
    table = Table(title=f"{content['name']} ({content['layout']}): {images}")
    for column in ("class", "images", "inverse weight", "effective weight"):
        table.add_column(column, justify="left" if column == "class" else "right")
    counts = dict(content["counts"])
    if content["clean"]:
        counts["(good)"] = content["clean"]
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        weights = content["class_weights"][name]
        table.add_row(
            name, f"{count:,}", f"{weights['inverse']:.3g}", f"{weights['effective']:.3g}"
        )
    out.print(table)
    ratio = content["imbalance_ratio"]
    if ratio:
        out.print(f"imbalance ratio {ratio:.1f} : 1")
    majority = content["majority"]
    out.print(f"always answering {majority['answer']}: accuracy {majority['accuracy']:.1%}")
    groups = content["near_duplicate_groups"]
    grouped = sum(len(g["paths"]) for g in groups)
    out.print(f"near-copies: {counted(grouped, 'image')} in {counted(len(groups), 'group')}")
    leaking = content["leaks"]
    out.print(f"groups in several splits: {len(leaking['groups'])}")
    for warning in content["warnings"]:
        print_note(warning)
