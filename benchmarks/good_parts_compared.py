"""A line from good parts beside Anomalib's PatchCore and PaDiM: same images, encoder and input.

    python -m benchmarks.good_parts_compared ../shared/data/magnetic_tile ../shared/data/casting \
        --anomalib /path/to/its/venv/bin/python

Anomalib is installed apart, with openvino and onnxscript. Of the photo groups that show good parts
alone, near-copies joined, half are learned from; the good images of the others and defective ones
are tested. Hair cracks are drawn as in `benchmarks.good_parts`, and learned at two sizes.

PatchCore keeps as many vectors as this project. Times are such that other work on the machine
changes them little: CPU seconds for learning and export; of an image, the fastest tenth of all for
preparing it, and the fastest of some turns for the model, which is the exported file in OpenVINO,
fp32, its input ready. Torch with several threads waits for other work: set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import openvino
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.good_parts import draw_set
from defectvision.bundle.labels import DEVIATION, is_good_label
from defectvision.bundle.reader import load_bundle
from defectvision.cli.labelled import open_grouped
from defectvision.data.catalog import CatalogError
from defectvision.data.image_head import image_size
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.metrics import Metric, exact_if_alike, resample
from defectvision.inference.frame import Frame
from defectvision.inference.inspector import Inspector
from defectvision.inference.preprocessing import prepare, read_image
from defectvision.inference.runtime import MASKS
from defectvision.models.memory import PatchMemory
from defectvision.settings import ROOT
from defectvision.training.pipeline import train_line
from defectvision.training.pretrained import load_pretrained
from defectvision.training.recipe import Recipe, load_recipe

RECIPES = ("good_parts", "good_parts_fine")
OURS, OTHERS = "DefectVision", ("PatchCore", "PaDiM")
BACKBONE = "tf_efficientnet_lite0"
LEARNED, GOOD, DEFECTIVE = 60, 60, 60  # images at most
FEW = 24  # images to learn from, where all are large
TURNS, RUNS = 5, 10
ALARMS = 0.3  # share of good places up to which PRO counts (Bergmann et al. 2020)
HERE = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class Asked:
    """Rows of `images` to learn from and to test, no photo group on both sides."""

    images: ImageSet
    learned: NDArray[np.int_]
    tested: NDArray[np.int_]

    @classmethod
    def of(cls, images: ImageSet, most: int, seed: int = 0) -> Asked:
        rng, catalog = np.random.default_rng(seed), images.catalog
        good = catalog.table["label"].map(is_good_label).to_numpy(bool)
        groups = catalog.groups()
        mixed = np.isin(groups, groups[good]) & np.isin(groups, groups[~good])
        clean = rng.permutation(np.unique(groups[good & ~mixed]))
        first = np.isin(groups, clean[: (len(clean) + 1) // 2]) & good
        others = good & ~first & ~mixed

        def some(rows: NDArray[np.bool_], most: int) -> NDArray[np.int_]:
            return np.sort(rng.permutation(np.flatnonzero(rows))[:most])

        tested = some(others, GOOD), some(~good & ~mixed, DEFECTIVE)
        return cls(images, some(first, most), np.concatenate(tested))

    def files(self, rows: NDArray[np.int_]) -> list[Path]:
        return [self.images.catalog.image_path(row) for row in rows]

    @property
    def defective(self) -> NDArray[np.bool_]:
        """(N,) of those tested."""
        labels = self.images.catalog.table["label"].iloc[self.tested]
        return ~labels.map(is_good_label).to_numpy(bool)

    def truth(self, number: int) -> NDArray[np.bool_] | None:
        """(H, W) where the tested image number `number` is defective; None where nobody marked, or
        where the mask marks nothing."""
        row = int(self.tested[number])
        size = image_size(self.images.catalog.image_path(row))
        assert size is not None
        if not self.defective[number]:
            return np.zeros(size, bool)
        try:
            masks = self.images.class_masks(row, size, (DEVIATION,))
        except CatalogError:
            return None
        return None if masks is None else masks[0]


@dataclass(frozen=True, eq=False)
class Answered:
    """What a method says of the tested images. scores: (N,); map_of: the (H, W) map over image
    number n, px of the image; file: of the exported model, whose input is `shape`; seconds: CPU
    seconds to learn and to export; preparing: (N,) seconds from a file to the model's input;
    answering: (N,) of the model in torch, empty where it only runs exported."""

    name: str
    scores: NDArray[np.float64]
    map_of: Callable[[int], NDArray[np.float32]]
    file: Path | None
    shape: tuple[int, ...]
    seconds: tuple[float, float]
    preparing: list[float]
    answering: list[float]

    @property
    def megabytes(self) -> float:
        """Of the exported model's files."""
        if self.file is None:
            return float("nan")
        return sum(f.stat().st_size for f in self.file.parent.glob(f"{self.file.stem}.*")) / 1e6


def by_ours(asked: Asked, recipe: Recipe, folder: Path) -> Answered:
    """The line that `train` makes of the images to learn from: all that it does counts as
    learning, its export and what it measures for its promise too."""
    started = time.process_time()
    images = asked.images.take(asked.learned)
    train_line(images, recipe, recipe.model_dump_json(), "line", "memory", folder, folder / "run")
    seconds = time.process_time() - started
    inspector = Inspector(load_bundle(folder, "line", "memory"), images.limit_pixels)
    how, scores, grids, times = inspector.loaded.bundle.preprocessing, [], [], []
    for file in asked.files(asked.tested):
        started = time.perf_counter()
        pixels, size = read_image(
            file.read_bytes(), file.name, how, images.limit_pixels, images.bits
        )
        tensor, placed = prepare(pixels, how, size)
        times.append(time.perf_counter() - started)
        answer = inspector.runtime.run(tensor[None])
        scores.append(float(answer["logits"][0, 1]))
        frame = Frame(size, (how.height, how.width), placed.to_image)
        grids.append((frame, answer[MASKS][0, 0]))

    def map_of(number: int) -> NDArray[np.float32]:
        frame, grid = grids[number]
        return frame.on_image(grid, float(grid.min()))

    shape = 1, how.channels, how.height, how.width
    model = inspector.loaded.folder / "model.onnx"
    return Answered(OURS, np.array(scores), map_of, model, shape, (seconds, 0), times, [])


def by_anomalib(
    asked: Asked, method: str, python: Path, recipe: Recipe, size: tuple[int, int], folder: Path
) -> Answered:
    """What the method of that name says, run by the Python that has it. size: of the input."""
    folder.mkdir(parents=True)
    network = PatchMemory(BACKBONE, channels=3)
    load_pretrained(network, recipe.pretrained)
    assert network.backbone is not None and recipe.memory is not None
    save_file(network.backbone.state_dict(), folder / "encoder.safetensors")
    job = {
        "method": method,
        "learned": [str(file.resolve()) for file in asked.files(asked.learned)],
        "tested": [str(file.resolve()) for file in asked.files(asked.tested)],
        "size": size,
        "encoder": str(folder / "encoder.safetensors"),
        "vectors": recipe.memory.vectors,
        "out": str(folder),
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = [str(python), "-P", str(HERE / "by_anomalib.py"), str(folder / "job.json")]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{method}: {' '.join(command)} failed:\n{ran.stderr[-2000:]}")
    told, maps = json.loads((folder / "told.json").read_text()), np.load(folder / "maps.npy")
    sizes = [image_size(file) for file in asked.files(asked.tested)]

    def map_of(number: int) -> NDArray[np.float32]:
        height, width = sizes[number] or size
        return cv2.resize(maps[number], (width, height), interpolation=cv2.INTER_LINEAR)

    kept = f", {100 * told['ratio']:.2g} % of places kept" if told["ratio"] else ""
    return Answered(
        f"Anomalib {told['version']} {method}{kept}",
        np.load(folder / "scores.npy"),
        map_of,
        Path(told["file"]) if told["file"] else None,
        (1, 3, *size),
        (told["learning s"], told["exporting s"]),
        told["preparing"],
        told["answering"],
    )


def areas(asked: Asked, found: list[Answered]) -> list[list[str]]:
    """A row a method: its area under the curve, and how much the first one's is larger, each with
    its 95 % interval by photo group."""
    defective = asked.defective
    of_part = asked.images.catalog.groups()[asked.tested]
    groups = of_part.tolist()

    def area(scores: NDArray[np.float64]) -> Metric:
        def of(weights: NDArray[np.float64]) -> float:
            kinds = {bool(flag) for flag in defective[weights > 0]}
            if len(kinds) < 2:
                return float("nan")
            return float(roc_auc_score(defective, scores, sample_weight=weights))

        return of

    curves = [area(one.scores) for one in found]
    metrics: dict[str, Metric] = {f"{n}": curve for n, curve in enumerate(curves)}
    for n, curve in enumerate(curves[1:], 1):
        metrics[f"{n}-"] = lambda weights, other=curve: curves[0](weights) - other(weights)
    measured = resample(metrics, groups)
    parts = min(len(set(of_part[kind])) for kind in (defective, ~defective))
    for n in range(len(found)):
        measured[f"{n}"] = exact_if_alike(measured[f"{n}"], parts)

    def said(name: str, sign: str) -> str:
        found = measured.get(name)
        if found is None or found.low is None or found.high is None:
            return ""
        return f"{found.value:{sign}.3f} ({found.low:{sign}.3f} to {found.high:{sign}.3f})"

    return [[said(f"{n}", ""), said(f"{n}-", "+")] for n in range(len(found))]


def places(asked: Asked, found: Answered) -> tuple[float, float]:
    """The average precision of places, and PRO: the mean share of each defect that is found, over
    limits that mark up to ALARMS of what is good (Bergmann et al. 2020,
    https://arxiv.org/abs/1911.02357). Of every second px either way; images without a mask do not
    count, and NaN where none has one."""
    values, flags, defects = [], [], []
    for number in range(len(asked.tested)):
        truth = asked.truth(number)
        if truth is None:
            continue
        answered = found.map_of(number)
        values.append(answered[::2, ::2].ravel())
        flags.append(truth[::2, ::2].ravel())
        count, marks = cv2.connectedComponents(truth.astype(np.uint8))
        defects += [np.sort(answered[marks == mark]) for mark in range(1, count)]
    if not defects:
        return float("nan"), float("nan")
    value, flag = np.concatenate(values), np.concatenate(flags)
    alarms = np.linspace(0, ALARMS, 301)
    limits = np.quantile(value[~flag], 1 - alarms)
    shares = [1 - np.searchsorted(defect, limits) / len(defect) for defect in defects]
    pro = float(np.trapezoid(np.mean(shares, 0), alarms)) / ALARMS
    return float(average_precision_score(flag, value)), pro


def model_times(found: list[Answered]) -> list[list[float]]:
    """A row a method: ms of its model for an image with one thread and with two."""
    core, requests = openvino.Core(), []
    for one in found:
        for threads in (1, 2) if one.file else ():
            model = core.read_model(str(one.file))
            model.reshape(one.shape)
            config = {
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
            }
            compiled = core.compile_model(model, "CPU", config)
            drawn = np.random.default_rng(0).random(one.shape, np.float32)
            requests.append((one.name, compiled.create_infer_request(), drawn, []))
            requests[-1][1].infer({0: drawn})
    for _ in range(TURNS):
        for _, request, drawn, times in requests:
            started = time.perf_counter()
            for _ in range(RUNS):
                request.infer({0: drawn}, share_inputs=True)
            times.append(1e3 * (time.perf_counter() - started) / RUNS)
    return [[min(times) for name, _, _, times in requests if name == one.name] for one in found]


def milliseconds(seconds: list[float]) -> str:
    """The fastest tenth."""
    return f"{1e3 * np.quantile(seconds, 0.1):.1f}" if seconds else "-"


def compare(name: str, asked: Asked, recipe: Recipe, python: Path, folder: Path) -> None:
    """Print the rows of one set."""
    found = [by_ours(asked, recipe, folder)]
    size = found[0].shape[2], found[0].shape[3]
    found += [by_anomalib(asked, m, python, recipe, size, folder / m) for m in OTHERS]
    groups, bad = asked.images.catalog.groups(), asked.defective
    print(
        f"\n{name}: {len(asked.learned)} good images of {len(set(groups[asked.learned]))} photo "
        f"groups learned from; tested {(~bad).sum()} good of {len(set(groups[asked.tested][~bad]))}"
        f" and {bad.sum()} defective of {len(set(groups[asked.tested][bad]))}; input "
        f"{size[0]} x {size[1]}\n\n| method | AUC | this project's more | pixel AP | PRO | CPU "
        "s to learn + export | prepare ms | model ms, 1 / 2 threads | in torch ms | MB |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    times = model_times(found)
    for one, area, took in zip(found, areas(asked, found), times, strict=True):
        precision, pro = places(asked, one)
        cells = [
            *(one.name, *area, f"{precision:.3f}", f"{pro:.3f}"),
            " + ".join(f"{x:.0f}" for x in one.seconds if x),
            milliseconds(one.preparing),
            " / ".join(f"{x:.1f}" for x in took) or "-",
            *(milliseconds(one.answering), f"{one.megabytes:.1f}"),
        ]
        print(f"| {' | '.join(cells)} |".replace("nan", "-"), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--anomalib", type=Path, required=True, help="the Python that has it")
    parser.add_argument("--no-drawn", action="store_true", help="leave out the hair cracks")
    options = parser.parse_args()
    recipes = {n: load_recipe(ROOT / "recipes" / f"{n}.yaml") for n in RECIPES}
    with tempfile.TemporaryDirectory() as kept_in:
        folder = Path(kept_in)
        asked = [(data, "good_parts", LEARNED) for data in options.sets]
        if not options.no_drawn:
            drawn = draw_set(folder / "hair-cracks")
            asked += [(drawn, "good_parts", LEARNED), (drawn, "good_parts_fine", FEW)]
        for number, (data, recipe, most) in enumerate(asked):
            chosen = Asked.of(open_grouped(data, None), most)
            into = folder / f"{number}"
            compare(f"{data.name}, {recipe}", chosen, recipes[recipe], options.anomalib, into)


if __name__ == "__main__":
    main()
