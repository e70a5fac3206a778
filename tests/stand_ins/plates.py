"""Plates of brushed metal with two holes, good and defective ones, and a line that learns them."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import cv2
import numpy as np
from typer.testing import CliRunner

from defectvision.batch.runner import work_on
from defectvision.bundle.reader import load_bundle
from defectvision.cli.main import app
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store import batches, reviews
from defectvision.store.batches import images_in
from defectvision.store.database import Store
from defectvision.store.sources import Folder
from defectvision.store.tables import ImageState

PARTS = 24
SIDE = 128
ANNA = unproven("anna")


def plate(seed: int, scratched: bool = False, kind: str = "plate") -> np.ndarray:
    """(SIDE, SIDE) uint8: brushed metal with two holes that lie a little elsewhere on each part."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 26, (SIDE, SIDE)).astype(np.float32), (0, 0), 6, None, 1)
    image = 140 + 4 * grain + rng.normal(0, 3, (SIDE, SIDE))
    for x in (40, 88):
        centre = (x + int(rng.integers(-3, 4)), 64 + int(rng.integers(-3, 4)))
        cv2.circle(image, centre, 12, 40, -1, cv2.LINE_AA)
    if scratched:
        x, y = rng.integers(20, 50, 2).tolist()
        cv2.line(image, (x, y), (x + 60, y + 45), 250, 3, cv2.LINE_AA)
    if kind == "stamped":
        cv2.circle(image, (64, 106), 8, 60, 3, cv2.LINE_AA)
    if kind == "other":
        cv2.rectangle(image, (10, 10), (118, 118), 20, 9)
    return image.clip(0, 255).astype(np.uint8)


def write(folder: Path, number: int, first: int = 0, **how) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"part {first + i}.png" for i in range(number)]
    for i, file in enumerate(files):
        cv2.imwrite(str(file), plate(first + i, **how))
    return files


def train(data: Path, out: Path, *options: str, line: str = "plates"):
    command = ["train", "--data", str(data), "--line", line, "--json"]
    command += ["--weights", str(out / "weights"), "--run", str(out / "run"), *options]
    return CliRunner().invoke(app, command)


def reviewed(store: Store, weights: Path, folder: Path, said: dict[str, str]) -> int:
    """A batch of the folder's pictures, on which somebody has decided as `said` says by name."""
    with store.session() as session:
        loaded = load_bundle(weights, "plates")
        batch = batches.add_batch(session, loaded, Folder(path=str(folder)), "lot", ANNA).id
    work_on(store, weights, Limits(), batch, Event())
    with store.session() as session:
        rows = {row.name: row.id for row in images_in(session, batch, ImageState.DONE)}
        for name, decision in said.items():
            reviews.decide(session, rows[name], ANNA, decision, loaded.bundle.policy)
    return batch
