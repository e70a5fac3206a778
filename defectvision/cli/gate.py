"""`defectvision gate`: measure what a bundle's gate lets through, and write it into the bundle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from defectvision.atomic import check_folder
from defectvision.cli.inspect import open_inspector
from defectvision.cli.options import BundleName, Foreign, Good, Json, LineName, Weights
from defectvision.cli.terminal import clear_errors, end, err, out
from defectvision.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from defectvision.bundle.schema import GateRate
    from defectvision.data.image_set import ImageSet
    from defectvision.evaluation.gate_trial import Damage


def gate(
    line: LineName,
    data: Annotated[Path, typer.Option(help="labelled images of the line")],
    foreign: Foreign = None,
    more: Annotated[
        list[Path] | None,
        typer.Option(help="a folder of further images of the line that nothing was learned from"),
    ] = None,
    bundle: BundleName = None,
    weights: Weights = None,
    good: Good = None,
    check: Annotated[
        bool, typer.Option("--check", help="try the gate that the bundle has, and write nothing")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure how a bundle tells its line's images from all others and write the limits into it,
    without training; with --check try those that it has, and with damaged pictures."""
    with clear_errors():
        import numpy as np

        from defectvision.bundle.writer import record_gate
        from defectvision.cli.labelled import open_grouped, print_unknown, seen_with_progress
        from defectvision.data.image_set import open_set
        from defectvision.evaluation import gate as gates
        from defectvision.evaluation import gate_trial as trial
        from defectvision.evaluation.gate_images import sights
        from defectvision.evaluation.kept import UNSEEN
        from defectvision.inference.labelled_images import left_out

        inspector = open_inspector(weights, line, bundle)
        limit, bits, folder = settings().limits.pixels, inspector.line.bits, inspector.loaded.folder
        if not check:
            check_folder(folder)
        images = open_grouped(data, bits, good or ())
        seen = np.array(seen_with_progress(images, folder)) != UNSEEN
        known, labelled = (images.take(np.flatnonzero(rows)) for rows in (seen, ~seen))
        if not len(known.catalog):
            raise ValueError(
                f"{data}: the bundle learned from none of these images. Name the set that it was "
                "trained on"
            )
        unseen = [part for part in (labelled, *map(_flat, more or ())) if len(part.catalog)]
        others = [open_set(path, limit) for path in foreign or ()]
        failures = [error for part in (images, *unseen, *others) for error in left_out(part)]
        if not check:
            gates.check_enough(inspector.line.name, sum(len(part.catalog) for part in unseen))
        with err.status("looking") as status:
            looking = sights(
                inspector,
                known,
                unseen,
                others,
                lambda kind: status.update(err.render_str(kind)),
                failures.append,
            )
            looked = list(looking)
        damaged: dict[str, Damage] = {}
        if check:
            rates = trial.try_gate(inspector, looked)
            print_unknown(labelled, inspector.line)
            damaged = trial.try_damage(inspector, labelled, inspector.policy)
        else:
            names = ", ".join(f"{len(part.catalog)} of {part.catalog.name}" for part in unseen)
            made = gates.measure_gate(inspector.gatekeeper, looked, names)
            record_gate(folder, made.gate, gates.file_of(made.arrays))
            rates = made.gate.rates
        missed = trial.misses(rates, damaged)
        _print(f"{line} / {inspector.loaded.bundle.name}", rates, damaged, missed, as_json)
    end(failures, missed=bool(missed))


def _flat(folder: Path) -> ImageSet:
    """The images that lie in a folder, without labels."""
    from defectvision.data.catalog import Catalog, CatalogError, catalog_table
    from defectvision.data.image_names import is_image_name
    from defectvision.data.image_set import ImageSet
    from defectvision.data.readers.listing import is_text, left_out_unnamed

    found = sorted(file.name for file in folder.iterdir() if is_image_name(file.name))
    names = [name for name in found if is_text(name)]
    unnamed = left_out_unnamed(PurePosixPath(name) for name in found if not is_text(name))
    if not names:
        raise CatalogError(f"{folder}: no image in it. Give a folder that holds images.")
    table = catalog_table({"path": names, "label": [""] * len(names)})
    return ImageSet(Catalog(folder, table, folder.name, left_out=tuple(unnamed)))


def _print(
    title: str,
    rates: Mapping[str, GateRate],
    damaged: Mapping[str, Damage],
    missed: list[str],
    as_json: bool,
) -> None:
    if as_json:
        content = {kind: rate.model_dump(mode="json") for kind, rate in rates.items()}
        damages = {name: asdict(damage) for name, damage in damaged.items()}
        print(json.dumps({"bundle": title, "rates": content, "damaged": damages, "missed": missed}))
        return
    table = Table(title=title)
    for column in ("images", "number", "to review", "95 % interval", "where unknown"):
        table.add_column(column)
    for kind, rate in rates.items():
        share, unknown = rate.review, rate.unknown
        table.add_row(
            kind,
            str(rate.images),
            f"{share.value:.2%}",
            f"{share.low:.2%} .. {share.high:.2%}",
            "" if unknown is None else f"{unknown.value:.2%}",
        )
    out.print(table)
    for name, damage in damaged.items():
        out.print(
            f"{name}: {damage.parts} defective parts, {damage.by_score} accepted by their score, "
            f"{damage.accepted} with the gate"
        )
    for words in missed:
        out.print(f"aim missed: {words}")
