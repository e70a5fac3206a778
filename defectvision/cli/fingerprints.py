"""`defectvision fingerprints`: let a bundle know copies of the images that it learned from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from defectvision.atomic import check_folder
from defectvision.cli.options import BundleName, Json, LineName, Weights
from defectvision.cli.terminal import clear_errors, end, err, out
from defectvision.settings import settings


def fingerprints(
    line: LineName,
    data: Annotated[Path, typer.Option(help="the images that the bundle learned from")],
    bundle: BundleName = None,
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Write fingerprints of the images that a bundle learned from into it, so that copies of them
    are known on any machine. Its verdicts stay as they are; its version changes."""
    with clear_errors():
        import numpy as np
        from rich.progress import Progress

        from defectvision.bundle.reader import load_bundle
        from defectvision.bundle.schema import FINGERPRINTS_FILE
        from defectvision.bundle.writer import record_fingerprints
        from defectvision.cli.labelled import open_grouped
        from defectvision.evaluation.seen import digests_of, exactly_seen, make_fingerprints
        from defectvision.inference.labelled_images import readable

        folder = weights or settings().weights
        loaded = load_bundle(folder, line, bundle, settings().limits.trusted)
        check_folder(loaded.folder)
        images, damaged = readable(open_grouped(data, loaded.line.bits), masks=False)
        exact = exactly_seen(images.catalog, loaded.folder)
        if not exact.any():
            raise ValueError(
                f"{data}: the bundle learned from none of these images. Name the set that it was "
                "trained on"
            )
        used = images.take(np.flatnonzero(exact))
        with Progress(console=err, transient=True) as progress:
            task = progress.add_task("taking fingerprints", total=len(used.catalog))
            made = make_fingerprints(used, lambda: progress.advance(task))
        content = made.content()
        record_fingerprints(loaded.folder, content)
        again = load_bundle(folder, line, loaded.bundle.name)
    found = {
        "line": line,
        "bundle": loaded.bundle.name,
        "version": again.version,
        "version_before": loaded.version,
        "learned_from": len(digests_of(loaded.folder)),
        "found": int(exact.sum()),
        "fingerprints": len(made),
        "bytes": len(content),
    }
    if as_json:
        print(json.dumps(found))
        end(damaged)
    out.say(
        f"{line} / {loaded.bundle.name}: {len(made)} fingerprints of the {found['learned_from']} "
        f"images that it learned from, {len(content) / 1e6:.1f} MB in {FINGERPRINTS_FILE}. Its "
        f"version is {again.version} now; it was {loaded.version}"
    )
    end(damaged)
