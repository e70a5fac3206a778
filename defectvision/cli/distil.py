"""`defectvision distil`: a general network from a small pretrained one, without labels."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from defectvision.cli.terminal import clear_errors, end, out
from defectvision.settings import ROOT

log = logging.getLogger(__name__)
PROBE_SIZE = 224  # px


def distil(
    run: Annotated[Path, typer.Option(help="folder of this training; the same one resumes")],
    data: Annotated[
        list[Path] | None, typer.Option(help="folder of images; none: those of the run")
    ] = None,
    labelled: Annotated[
        list[Path] | None, typer.Option("--probe", help="labelled set that probes the features")
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="a YAML file, or a name from recipes/distillation/")
    ] = "resnet50-general",
) -> None:
    """Teach a general network what a small pretrained one knows, from images without labels.

    What comes out (weights.safetensors in the run's folder) is named in a recipe as pretrained.
    """
    with clear_errors(), _alone(run):
        import torch

        from defectvision.cli.labelled import open_grouped
        from defectvision.inference.images import ImageError
        from defectvision.inference.labelled_images import readable
        from defectvision.training.distillation import distil, fit_threads, load_distillation
        from defectvision.training.probe import read_probe_set
        from defectvision.training.recipe import find_recipe
        from defectvision.training.unlabelled import open_pool

        chosen = load_distillation(find_recipe(recipe, ROOT / "recipes" / "distillation"))
        pool = open_pool(data or (), run / "pool")
        probes = []
        failures: list[ImageError] = []
        for folder in labelled or ():
            images, damaged = readable(open_grouped(folder, None), masks=False)
            probes.append(read_probe_set(images.catalog, PROBE_SIZE, run / "probe"))
            failures += damaged
        stopped: list[int] = []

        def stop(number: int, frame: FrameType | None) -> None:
            log.info("asked to stop (%s): saving", signal.Signals(number).name)
            stopped.append(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        most = torch.get_num_threads()

        def stopping() -> bool:
            fit_threads(most, os.getloadavg()[0])
            return bool(stopped)

        out.print(distil(chosen, pool, run, probes, stopping))
    end(failures)


@contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Raises RuntimeError where another process trains in this folder."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(
                f"{run}: another process trains here; wait for it, or end it first"
            ) from error
        yield
