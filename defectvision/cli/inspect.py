"""`defectvision inspect`: images from the command line, one line or one JSON object each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defectvision.atomic import check_target
from defectvision.bundle.policy import Policy, beside_thresholds
from defectvision.cli.options import BundleName, Flips, Json, LineName, PolicyChoice, Weights
from defectvision.cli.policy import choose_policy
from defectvision.cli.terminal import clear_errors, print_failure, print_note
from defectvision.settings import settings
from defectvision.words import counted, visible

if TYPE_CHECKING:
    from defectvision.inference.inspection import Inspection
    from defectvision.inference.inspector import Inspector


def inspect(
    paths: Annotated[list[Path], typer.Argument(help="images, folders or zip files")],
    line: LineName,
    bundle: BundleName = None,
    weights: Weights = None,
    policy: PolicyChoice = "",
    accept_below: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    reject_above: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    flips: Flips = False,
    submission: Annotated[
        Path | None, typer.Option(help="also write masks as a Severstal submission (CSV)")
    ] = None,
    as_json: Json = False,
) -> None:
    """Inspect images: verdict, label and probabilities of each."""
    from defectvision.inference.images import ImageError
    from defectvision.inference.passed_over import PassedOver
    from defectvision.inference.sources import read_paths

    failed, passed_over = False, PassedOver()

    def readable_files() -> Iterator[tuple[str, bytes]]:
        nonlocal failed
        for upload in read_paths(paths, passed_over=passed_over):
            if upload.error is None:
                yield upload.name, upload.data or b""
            else:
                failed = True
                print_failure(upload.error, as_json)

    with clear_errors(), ExitStack() as opened:
        inspector = open_inspector(weights, line, bundle, flips)
        given = {"accept_below": accept_below, "reject_above": reject_above}
        changes = {name: value for name, value in given.items() if value is not None}
        chosen = choose_policy(inspector.loaded, policy)
        chosen = Policy.model_validate(chosen.model_dump() | changes)
        submit = None
        if submission is not None:
            from defectvision.report.submission import submission_file

            if not inspector.loaded.bundle.mask_classes:
                raise ValueError(f"{line}: this bundle has no masks to submit")
            check_target(submission)
            submit = opened.enter_context(submission_file(submission, chosen))
        for answer in inspector.inspect_many(readable_files()):
            if isinstance(answer, ImageError):
                failed = True
                print_failure(answer, as_json)
                continue
            if submit is not None:
                submit(answer)
            if as_json:
                print(json.dumps(answer.as_json(chosen)), flush=True)
            else:
                print(_in_a_line(answer, chosen))
    print_note(passed_over.words)
    raise typer.Exit(1 if failed else 0)


def open_inspector(
    weights: Path | None, line: str, bundle: str | None, flips: bool = False
) -> Inspector:
    """The inspector of a bundle, asking about mirror images too where `flips` is set; raises
    BundleError."""
    from defectvision.inference.flips import FlippingRuntime
    from defectvision.inference.inspector import Inspector, load_inspector

    limits = settings().limits
    inspector = load_inspector(weights or settings().weights, line, bundle, limits)
    if flips:
        return Inspector(inspector.loaded, limits.pixels, FlippingRuntime(inspector.runtime))
    return inspector


def _in_a_line(inspection: Inspection, policy: Policy) -> str:
    score = inspection.defect_score
    scored = "" if score is None else f"  score {beside_thresholds(score, policy)[0]}"
    verdict = inspection.verdict(policy).value
    if inspection.objections:
        return visible(f"{verdict:<7} {inspection.objection}  {inspection.name}")
    named = [f"{n} {inspection.probabilities[n]:.1%}" for n in inspection.labels(policy)]
    labels = ", ".join(named) or "no defect"
    count = len(inspection.regions(policy))
    regions = "" if inspection.masks is None else f"  {counted(count, 'region')}"
    regions += "".join(f"  {words}" for words in inspection.broken_in_words(policy))
    return visible(f"{verdict:<7} {labels:<22}{scored}{regions}  {inspection.name}")
