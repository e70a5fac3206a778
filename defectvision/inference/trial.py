"""A bundle tried on a made picture, and how fast it is on this machine, by a process of its own:
`python -m defectvision.inference.trial WEIGHTS LINE BUNDLE RUNS`, which prints a `Speed`.

A model of anybody's may break the library that runs it, or take all memory; that ends the process
that tries it, and not the server.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from defectvision.bundle.reader import BundleError, load_bundle
from defectvision.bundle.schema import LoadedBundle, Preprocessing
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.inference.runtime import cores
from defectvision.limits import PIXELS
from defectvision.words import duration, visible, why_ended

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "defectvision.inference.trial"
LONGEST_SECONDS = 180.0
MOST_MEMORY = 12 << 30  # bytes of data that the process may hold
WARM = 3  # first runs, which are slower and not counted
RUNS = 40  # of a measurement
LONGEST_WORDS = 300


class Speed(BaseModel):
    """How long one image takes from its file to its answer, with all cores, one at a time.

    median_ms, p95_ms: of `runs`; model_ms: median of the model alone; height, width: px of the made
    picture; load_s: until the model is loaded.
    """

    model_config = ConfigDict(frozen=True)

    median_ms: float = Field(gt=0)
    p95_ms: float = Field(gt=0)
    model_ms: float = Field(gt=0)
    load_s: float = Field(ge=0)
    runs: int = Field(gt=0)
    height: int
    width: int
    cores: int
    runtime: str
    bytes: int


def try_bundle(weights: Path, line: str, bundle: str, runs: int = 1) -> Speed:
    """Inspect a made picture `runs` times with `weights/line/bundle`, which need not be signed, in
    a process of its own. Raises BundleError where it cannot."""
    words = [str(weights.absolute()), line, bundle, str(runs)]
    place = weights / line / bundle
    try:
        done = subprocess.run(
            [sys.executable, "-m", PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=ROOT,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(
            f"{place}: did not answer to a test picture within {duration(LONGEST_SECONDS)}. Export "
            "it again"
        ) from error
    said = done.stderr.decode(errors="replace").strip().splitlines()
    last = visible(said[-1])[:LONGEST_WORDS] if said else ""
    if done.returncode == 2 and last:
        raise BundleError(last)
    if done.returncode != 0:
        why = why_ended(done.returncode, last)
        raise BundleError(f"{place}: ended early on a test picture: {why}")
    try:
        return Speed.model_validate_json(done.stdout.splitlines()[-1])
    except (IndexError, ValidationError) as error:
        raise BundleError(f"{place}: the trial said nothing that can be read") from error


def main() -> None:
    weights, line, bundle, runs = sys.argv[1:]
    _hold_less()
    try:
        print(_tried(load_bundle(Path(weights), line, bundle), int(runs)).model_dump_json())
    except BundleError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error
    except Exception as error:  # of whichever library reads the model or its arrays
        words = str(error).strip().splitlines() or [type(error).__name__]
        where = f"{weights}/{line}/{bundle}"
        reason = words[-1].strip()[:LONGEST_WORDS]
        print(f"{where}: does not run on a test picture ({reason})", file=sys.stderr)
        raise SystemExit(2) from error


def _hold_less() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = MOST_MEMORY if hard == resource.RLIM_INFINITY else min(MOST_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _tried(loaded: LoadedBundle, runs: int) -> Speed:
    begun = time.perf_counter()
    inspector = Inspector(loaded, PIXELS)
    load_s = time.perf_counter() - begun
    how = loaded.bundle.preprocessing
    picture = made_picture(how)
    if runs > 1:
        for _ in range(WARM):
            inspector.inspect(picture, "made")
    answers = [inspector.inspect(picture, "made") for _ in range(runs)]
    _check(answers[0], loaded)
    total = [answer.milliseconds.total for answer in answers]
    return Speed(
        median_ms=float(np.median(total)),
        p95_ms=float(np.percentile(total, 95)),
        model_ms=float(np.median([answer.milliseconds.model for answer in answers])),
        load_s=load_s,
        runs=runs,
        height=how.height,
        width=how.width,
        cores=cores(),
        runtime=inspector.runtime.name,
        bytes=sum((loaded.folder / name).stat().st_size for name in loaded.bundle.files),
    )


def made_picture(how: Preprocessing) -> bytes:
    """A PNG of grey noise with a bright disc, of the size of the model's input: the same always."""
    rng = np.random.default_rng(0)
    image = rng.normal(90, 12, (how.height, how.width))
    y, x = np.mgrid[: how.height, : how.width]
    radius = 0.4 * min(how.height, how.width)
    image[np.hypot(y - how.height / 2, x - how.width / 2) < radius] += 80
    grey = np.clip(image, 0, 255).astype(np.uint8)
    encoded: bytes = cv2.imencode(".png", grey)[1].tobytes()
    return encoded


def _check(answer: Inspection, loaded: LoadedBundle) -> None:
    """Raises ValueError where the answer is not one."""
    arrays = [answer.logits, answer.evidence, np.array(answer.foreign_score)]
    if not all(np.isfinite(values).all() for values in arrays):
        raise ValueError("its answer holds numbers that are none")
    classes = len(loaded.line.classes)
    if answer.evidence.ndim != 3 or len(answer.evidence) != classes:
        raise ValueError(f"its evidence is not one map for each of {classes} classes")
    masks = len(loaded.bundle.mask_classes)
    if masks and (answer.masks is None or answer.masks.ndim != 3 or len(answer.masks) != masks):
        raise ValueError(f"its masks are not those of {masks} classes")


if __name__ == "__main__":
    main()
