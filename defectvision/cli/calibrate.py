"""`defectvision calibrate`: make a bundle's probabilities mean what they say, without training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defectvision.atomic import check_folder
from defectvision.bundle.words import calibration_rows
from defectvision.cli.inspect import open_inspector
from defectvision.cli.options import BundleName, Good, Json, LineName, Weights
from defectvision.cli.terminal import clear_errors, end, err, out
from defectvision.words import counted

if TYPE_CHECKING:
    from defectvision.bundle.schema import Calibration, LoadedBundle
    from defectvision.data.image_set import ImageSet
    from defectvision.evaluation.answers import Answers
    from defectvision.inference.inspector import Inspector

SPLIT = "photo groups not learned from"


def calibrate(
    line: LineName,
    data: Annotated[Path, typer.Option(help="labelled images of the line")],
    bundle: BundleName = None,
    weights: Weights = None,
    good: Good = None,
    check: Annotated[
        bool, typer.Option("--check", help="say what the images support, and write nothing")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fit a bundle's probabilities to labelled images that it has not learned from, where they
    support it. Its default policy moves along, so that its verdicts stay; its version changes."""
    with clear_errors():
        import numpy as np

        from defectvision.bundle.writer import record_calibration
        from defectvision.cli.labelled import open_grouped, print_unknown, seen_with_progress
        from defectvision.evaluation.evaluate import measured
        from defectvision.evaluation.kept import UNSEEN
        from defectvision.evaluation.recalibration import (
            cross_fitted,
            recalibrated,
            without_calibration,
        )
        from defectvision.inference.labelled_images import left_out

        inspector = open_inspector(weights, line, bundle)
        plain = without_calibration(inspector.loaded)
        if not check:
            check_folder(plain.folder)
        images = open_grouped(data, inspector.line.bits, good or ())
        known = seen_with_progress(images, plain.folder)
        unseen = images.take(np.flatnonzero(np.array(known) == UNSEEN))
        if not len(unseen.catalog):
            raise ValueError(
                f"{data}: the bundle learned from all of these images, so they cannot tell how "
                "sure it may be. Give images that it has not seen"
            )
        print_unknown(unseen, inspector.line)
        answers = _asked(inspector, plain, unseen)
        told = f"{counted(len(answers.rows), 'image')} of {images.catalog.name} it has not seen"
        made = recalibrated(plain, [answers], told)
        if made is not None and not check:
            fresh = _asked(inspector, replace(plain, bundle=made), unseen)
            record_calibration(
                plain.folder, made, cross_fitted(measured([fresh], split=SPLIT), made)
            )
    found = None if made is None else made.calibration
    _print(line, plain.bundle.name, found, check, as_json)
    end((*left_out(images), *answers.failures))


def _asked(inspector: Inspector, loaded: LoadedBundle, images: ImageSet) -> Answers:
    """What the bundle as it is in `loaded` answers to the images."""
    from rich.progress import Progress

    from defectvision.evaluation.evaluate import ask
    from defectvision.inference.inspector import Inspector

    one = Inspector(loaded, inspector.limit_pixels, inspector.runtime)
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("inspecting", total=len(images.catalog))
        return ask(one, images, advance=lambda: progress.advance(task))


def _print(line: str, bundle: str, made: Calibration | None, check: bool, as_json: bool) -> None:
    if as_json:
        content = {
            "line": line,
            "bundle": bundle,
            "calibration": None if made is None else made.model_dump(mode="json"),
            "written": made is not None and not check,
        }
        print(json.dumps(content))
    elif made is None:
        out.say(
            f"{line} / {bundle}: these images support no other calibration than the temperature; "
            "nothing is changed"
        )
    else:
        for row in calibration_rows(made):
            out.say(f"{line} / {bundle}: {row}")
        if not check:
            out.say(
                "Verdicts of its default policy stay. Policies that were saved for everyone "
                "hold for the scores before; save them anew"
            )
