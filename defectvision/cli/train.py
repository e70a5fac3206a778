"""`defectvision train` and `export`: from labelled images to a bundle, and that into int8."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from defectvision.atomic import check_folder
from defectvision.bundle.labels import is_good_label
from defectvision.bundle.reader import check_name, load_bundle, read_line
from defectvision.bundle.schema import ABOUT_FILE, LINE_FILE
from defectvision.bundle.words import metric_words
from defectvision.cli.figures import print_metrics
from defectvision.cli.options import (
    Bits,
    BundleName,
    Foreign,
    Good,
    Json,
    LineName,
    Weights,
    finite,
)
from defectvision.cli.terminal import clear_errors, end, out, print_note
from defectvision.settings import ROOT, settings
from defectvision.words import counted


def train(
    data: Annotated[
        Path,
        typer.Option(help="folder of class folders or of good parts, index.csv, published set"),
    ],
    line: LineName,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="a YAML file, or a name from recipes/; good_parts where no image shows a defect, "
            "else efficientnet_lite0"
        ),
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(help="name of the bundle; the architecture where not given")
    ] = None,
    weights: Weights = None,
    run: Annotated[
        Path | None, typer.Option(help="folder for checkpoints; the same one resumes")
    ] = None,
    bits: Bits = None,
    good: Good = None,
    foreign: Foreign = None,
    as_json: Json = False,
) -> None:
    """Train a bundle from labelled images, or from good parts alone, measure it on images held out,
    and install it. Images that cannot be read are named and left out; the exit status is 1 then."""
    with clear_errors():
        try:
            from defectvision.training.pipeline import train_line
        except ImportError as error:
            raise RuntimeError(
                f"training needs {error.name}; install requirements.txt "
                "(requirements-serve.txt only inspects)"
            ) from error
        from defectvision.cli.labelled import open_grouped
        from defectvision.data.image_set import open_set
        from defectvision.data.statistics import lacks_good
        from defectvision.training.recipe import find_recipe, load_recipe

        check_name(line)
        if bundle is not None:
            check_name(bundle)
        given = load_recipe(find_recipe(recipe, ROOT / "recipes")) if recipe else None
        folder = weights or settings().weights
        if bits is None and (folder / line / LINE_FILE).is_file():
            bits = read_line(folder / line).bits
        unsorted_good = given is None or given.memory is not None
        images = open_grouped(data, bits, good or (), unsorted_good)
        if recipe is None:
            all_good = images.catalog.table["label"].map(is_good_label).all()
            recipe = "good_parts" if all_good else "efficientnet_lite0"
        file = find_recipe(recipe, ROOT / "recipes")
        chosen = load_recipe(file)
        name = bundle or chosen.architecture
        check_folder(folder / line / name)
        if (folder / line / name / ABOUT_FILE).is_file():
            print_note(
                f"{folder / line / name}: holds a bundle, which what is learned now replaces. Name "
                "another one with --bundle to keep it"
            )
        if not chosen.memory and (warning := lacks_good(images.catalog)):
            print_note(warning)
        result = train_line(
            images,
            chosen,
            file.read_text(encoding="utf-8"),
            line,
            name,
            folder,
            run or Path("runs") / line / name,
            [open_set(path, settings().limits.pixels) for path in foreign or ()],
        )
        if result is None:  # of several processes, another one tells
            return
        print_metrics(line, name, result.metrics, as_json)
        if said := load_bundle(folder, line, name).bundle.caution:
            print_note(said.replace("**", ""))
    end(result.failures)


def export(
    data: Annotated[Path, typer.Option(help="the labelled images that the bundle learned from")],
    line: LineName,
    bundle: BundleName = None,
    weights: Weights = None,
    good: Good = None,
    allowed: Annotated[
        float,
        typer.Option(
            min=0, callback=finite, help="most that AUC, macro F1 or mean IoU may fall by"
        ),
    ] = 0.002,
    as_json: Json = False,
) -> None:
    """Put a bundle's model into int8, if that loses nothing that matters on its test images."""
    # NNCF tells of its steps on the standard output, which is for the result.
    with clear_errors(), redirect_stdout(sys.stderr):
        try:
            from defectvision.training.quantize import quantize_bundle
        except ImportError as error:
            raise RuntimeError(f"export needs {error.name}; install requirements.txt") from error
        from defectvision.cli.labelled import open_grouped

        folder = weights or settings().weights
        loaded = load_bundle(folder, line, bundle)
        check_folder(loaded.folder)
        name, images = loaded.bundle.name, open_grouped(data, loaded.line.bits, good or ())
        cost, damaged = quantize_bundle(folder, line, name, images, allowed)
    if as_json:
        print(json.dumps(asdict(cost) | {"kept": cost.kept}))
        end(damaged)
    table = Table("figure", "before", "after", title=f"{line} / {name}, {cost.images}")
    for figure, value in cost.before.items():
        table.add_row(metric_words(figure).title, f"{value:.4f}", f"{cost.after[figure]:.4f}")
    out.print(table)
    kept = counted(len(cost.in_fp32), "convolution stays", "convolutions stay")
    out.print(
        f"evidence maps correlate {cost.evidence_correlation:.4f}; "
        f"{cost.verdicts_changed:.1%} of the verdicts changed; {kept} in fp32"
    )
    out.print(
        "the bundle is in int8 now" if cost.kept else "more is lost than allowed: left as it was"
    )
    end(damaged)
