"""Lines from good parts alone: how well they tell good from defective, and what is promised.

    python -m benchmarks.good_parts ../shared/data/magnetic_tile ../shared/data/casting

Each set is learned from its good images alone; every good part is measured by a memory that holds
neither it nor a near-copy, every defective one by the whole memory. `hair-cracks` is drawn here:
dark lines of 2 px on a texture 1250 px high. For the promise, thirty good parts, or half of fewer,
drawn by photo group, set the limit, and the share of the others that it stops is compared with what
it promised.

    python -m benchmarks.good_parts --box 200

draws so many good parts of 900 x 900 px and times the command that makes a line of them, up to its
answer to a picture: twice, of a round part that is cut out and of a surface.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from defectvision.bundle.reader import load_bundle
from defectvision.cli.labelled import open_grouped
from defectvision.data.synthetic.samples import draw
from defectvision.evaluation.evaluate import Evaluation
from defectvision.evaluation.promise import limit_of
from defectvision.inference.inspector import Inspector
from defectvision.limits import PIXELS
from defectvision.settings import ROOT
from defectvision.training.pipeline import train_line
from defectvision.training.recipe import Memory, Recipe, load_recipe

DRAWS, SETTING = 100, 30  # draws, and good parts that set the limit in each
GOOD, DEFECTIVE = 120, 40  # pictures of a drawn set
TIMED = 20
BOXED = 900  # px, a side of a part of the box
SHOWN = ("auc", "escapes", "overkills", "reviews", "iou/deviation", "detection/deviation")


def hair_crack(rng: np.random.Generator, cracked: bool) -> tuple[np.ndarray, np.ndarray]:
    """A picture (1250, 500) uint8 of a machined surface, and its truth (1250, 500) bool."""
    size = (1250, 500)
    coarse = cv2.resize(rng.normal(0, 1, (40, 16)).astype(np.float32), size[::-1])
    lines = cv2.GaussianBlur(rng.normal(0, 1, size).astype(np.float32), (0, 0), 1, None, 9)
    image = 110 + 10 * coarse + 60 * lines + rng.normal(0, 4, size)
    truth = np.zeros(size, np.uint8)
    if cracked:
        steps = rng.normal(0, 2.5, 90).cumsum()
        across, down = rng.uniform(80, 420) + steps, rng.uniform(50, 700) + np.arange(90) * 4.5
        points = np.stack([across.clip(5, 494), down.clip(5, 1240)], 1).round().astype(np.int32)
        cv2.polylines(truth, [points], False, 1, 2)
        image -= 45 * cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 0.7)
    return image.clip(0, 255).astype(np.uint8), truth > 0


def draw_set(folder: Path, seed: int = 0) -> Path:
    """A set of drawn pictures with an index and masks."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    rows = []
    for number in range(GOOD + DEFECTIVE):
        cracked = number >= GOOD
        image, truth = hair_crack(rng, cracked)
        cv2.imwrite(str(folder / f"{number}.png"), image)
        mask = f"{number}_mask.png" if cracked else ""
        if cracked:
            cv2.imwrite(str(folder / mask), truth.astype(np.uint8) * 255)
        rows.append((f"{number}.png", "crack" if cracked else "good", mask, number))
    table = pd.DataFrame(rows, columns=["path", "label", "mask", "photo_group"])
    table.to_csv(folder / "index.csv", index=False)
    return folder


def measure(data: Path, recipe: Recipe, folder: Path) -> dict[str, object]:
    """All figures of one set."""
    images = open_grouped(data, None)
    name = data.name.lower().replace("_", "-")
    started = time.perf_counter()
    found = train_line(
        images, recipe, recipe.model_dump_json(), name, "memory", folder, folder / "run" / name
    )
    seconds = time.perf_counter() - started
    inspector = Inspector(load_bundle(folder, name, "memory"), images.limit_pixels)
    rows = range(min(TIMED, len(images.catalog)))
    times = [
        inspector.inspect(images.catalog.image_path(row).read_bytes(), "a").milliseconds
        for row in rows
    ]
    how = inspector.loaded.bundle.preprocessing
    row: dict[str, object] = {
        "set": name,
        "input": f"{how.height}x{how.width} {how.fit}",
        "learned from": int((found.judged["truth"] == "ok").sum()),
        "seconds": round(seconds),
        "model ms": round(float(np.median([x.model for x in times])), 1),
        "MB": round((inspector.loaded.folder / "model.onnx").stat().st_size / 1e6, 1),
    }
    for key in SHOWN:
        figure = found.metrics.values.get(key)
        if figure is not None and figure.value is not None:
            row[key] = [figure.value, figure.low, figure.high]
    row |= kept(found)
    return row


def kept(found: Evaluation) -> dict[str, object]:
    """How often a limit that some of the good parts set stops no more than promised."""
    good = found.judged[found.judged["truth"] == "ok"]
    highest = good.groupby("group")["score"].max().to_numpy()
    rng, within = np.random.default_rng(0), 0
    for _ in range(DRAWS):
        order = rng.permutation(len(highest))
        some = min(SETTING, len(order) // 2)
        limit, promised = limit_of(highest[order[:some]], 0.05)
        within += int((highest[order[some:]] > limit).mean() <= promised)
    return {"parts": len(highest), "promise kept": within / DRAWS}


def box(parts: int, line: str, label: str, folder: Path) -> dict[str, object]:
    """Seconds from a folder of drawn good parts to the answer of the line that they make."""
    rng, good = np.random.default_rng(0), folder / "good"
    good.mkdir(parents=True)
    for number in range(parts):
        cv2.imwrite(str(good / f"{number:04d}.jpg"), draw(line, label, rng, BOXED))
    command = [sys.executable, "-m", "defectvision.cli", "train", "--data", str(good)]
    command += ["--line", "box", "--weights", str(folder), "--run", str(folder / "run")]
    alone = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    started = time.perf_counter()
    subprocess.run(command, check=True, env=alone, capture_output=True)
    trained = time.perf_counter()
    inspector = Inspector(load_bundle(folder, "box", None), PIXELS)
    inspector.inspect((good / "0000.jpg").read_bytes(), "0000.jpg")
    answered = time.perf_counter()
    how = inspector.loaded.bundle.preprocessing
    return {
        "parts": f"{parts} of {line}, {BOXED} x {BOXED} px",
        "input": f"{how.height}x{how.width} {how.fit}",
        "train s": round(trained - started, 1),
        "first answer s": round(answered - trained, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--side", type=int, nargs="*", default=[320])
    parser.add_argument("--no-drawn", action="store_true", help="leave out the hair cracks")
    parser.add_argument("--box", type=int, help="time a line from so many drawn parts")
    options = parser.parse_args()
    if options.box:
        for line, label in (("casting", "ok"), ("magnetic-tile", "free")):
            with tempfile.TemporaryDirectory() as drawn:
                print(json.dumps(box(options.box, line, label, Path(drawn))), flush=True)
        return
    recipe = load_recipe(ROOT / "recipes" / "good_parts.yaml")
    with tempfile.TemporaryDirectory() as kept_in:
        folder = Path(kept_in)
        sets = list(options.sets)
        if not options.no_drawn:
            sets.append(draw_set(folder / "hair-cracks"))
        for side in options.side:
            sized = recipe.model_copy(update={"memory": Memory(longest_side=side)})
            for data in sets:
                print(json.dumps(measure(data, sized, folder / f"side-{side}")), flush=True)


if __name__ == "__main__":
    main()
