"""Serve a trained bundle in int8 where that loses nothing that matters.

NNCF's static quantisation (https://github.com/openvinotoolkit/nncf): weights signed and per
channel, activations unsigned except where they are negative, calibrated on training images that
went through the preprocessing of serving. Where the validation images lose too much, its accuracy
control puts the layers that hurt back into fp32, one after the other. The test images have the last
word: a bundle that loses more on them than is allowed stays as it was. A bundle that was measured
by folds has no test images; there the validation images speak alone, and the card says so.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nncf
import numpy as np
import onnx
from nncf.quantization.advanced_parameters import AdvancedAccuracyRestorerParameters
from numpy.typing import NDArray

from defectvision import atomic
from defectvision.bundle.card import write_card
from defectvision.bundle.reader import BundleError, load_bundle
from defectvision.bundle.schema import MODEL_FILE, LoadedBundle, Metrics
from defectvision.bundle.writer import file_hash, write_about
from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import ImageSet
from defectvision.evaluation import kept
from defectvision.evaluation.answers import Answers, inspected
from defectvision.evaluation.calibration import expected_calibration_error
from defectvision.evaluation.evaluate import ask, measured
from defectvision.evaluation.seen import how_seen
from defectvision.inference.images import ImageError
from defectvision.inference.inspector import Inspector
from defectvision.inference.labelled_images import image_name, read_file, readable
from defectvision.inference.preprocessing import prepare, read_image
from defectvision.inference.runtime import MASKS, OpenVinoRuntime
from defectvision.models.trained import load_network
from defectvision.training import export
from defectvision.training.recipe import Recipe
from defectvision.training.targets import targets_of
from defectvision.training.task import TrainingTask

CALIBRATION_IMAGES = 128
RANKING_IMAGES = 50
MOST_RESTORED = 20  # layers that are put back into fp32 before it is given up
# The figures that may not fall, of those that the line has.
GUARDED = ("auc", "macro_f1", "mean_iou")
UNSEEN = "images of photo groups never seen"
SEEN = "validation images, which also chose the policy"


@dataclass(frozen=True)
class Quantized:
    """What int8 costs on images that the weights were not fitted to.

    before, after: the guarded figures and the calibration error; images: which these are;
    evidence_correlation: the mean one of the evidence maps; verdicts_changed: share of the images;
    in_fp32: the layers that were left so; kept: whether the bundle is in int8 now.
    """

    images: str
    before: dict[str, float]
    after: dict[str, float]
    evidence_correlation: float
    verdicts_changed: float
    in_fp32: tuple[str, ...]
    allowed: float

    @property
    def kept(self) -> bool:
        return all(
            self.before[k] - self.after[k] <= self.allowed for k in GUARDED if k in self.before
        )


def quantize_bundle(
    weights: Path, line: str, name: str, images: ImageSet, allowed: float = 0.002
) -> tuple[Quantized, tuple[ImageError, ...]]:
    """Put the bundle's model into int8, if no figure of GUARDED falls by more than `allowed`.

    images: the set that the bundle was trained on. Those that cannot be read are left out, and
    returned beside what int8 costs.
    Raises CatalogError where that is not the set, BundleError for a bundle without weights,
    one that is in int8 already, and one that remembers good parts.
    """
    loaded = load_bundle(weights, line, name)
    if loaded.bundle.precision == "int8":
        raise BundleError(f"{loaded.folder}: is in int8 already. Train it again to begin anew")
    if loaded.bundle.remembers:
        raise BundleError(
            f"{loaded.folder}: remembers good parts, and int8 shortens the distances that its "
            "limit is of (docs/good-parts.md). Leave it as it is"
        )
    images, damaged = readable(images, masks=bool(loaded.bundle.mask_classes))
    train, val, test = _splits(loaded, images)
    shape = loaded.bundle.preprocessing
    graph = export.to_graph(load_network(loaded), (shape.height, shape.width), shape.channels)
    with TemporaryDirectory() as folder:
        candidate = Path(folder) / MODEL_FILE
        quantized = _search(graph, loaded, train, val, candidate, allowed)
        in_fp32 = _convolutions_in_fp32(quantized)
        export.write_graph(quantized, candidate)
        before, after, correlation = _compare(loaded, candidate, test or val)
        verdicts = [side.judged()["verdict"].to_numpy() for side in (before, after)]
        metrics = measured([after], split="test split, photo groups held out").metrics
        costs = Quantized(
            images=UNSEEN if test else SEEN,
            before=_figures(before),
            after=_figures(after, metrics),
            evidence_correlation=correlation,
            verdicts_changed=float((verdicts[0] != verdicts[1]).mean()),
            in_fp32=in_fp32,
            allowed=allowed,
        )
        if costs.kept:
            _install(loaded, candidate, costs, metrics if test else None)
    return costs, damaged


def _splits(loaded: LoadedBundle, images: ImageSet) -> tuple[ImageSet, ImageSet, ImageSet | None]:
    """What calibrates, what the search looks at, and what decides.

    The first two are images that the bundle learned from and was tuned on, told apart by its
    recipe's split; the last are those whose photo groups it has not seen, None where there are
    none, as after folds.
    """
    recipe = Recipe.model_validate(loaded.bundle.provenance["recipe"])
    images = TrainingTask.of(recipe, loaded.line, images).images
    seen = np.array(how_seen(images, loaded.folder)) != kept.UNSEEN
    split = images.catalog.table["split"].to_numpy()
    train, val = (np.flatnonzero(seen & (split == part)) for part in ("train", "val"))
    if not len(train) or not len(val):
        raise CatalogError(
            f"{images.catalog.root}: is not the set that {loaded.folder} was trained on. Give "
            "that one: its training images calibrate, the others decide"
        )
    unseen = np.flatnonzero(~seen)
    return images.take(train), images.take(val), images.take(unseen) if len(unseen) else None


def _inputs(loaded: LoadedBundle, images: ImageSet, number: int) -> list[dict[str, np.ndarray]]:
    """Model inputs of up to `number` images, spread over the set."""
    shape, count = loaded.bundle.preprocessing, len(images.catalog)
    inputs = []
    for row in np.linspace(0, count - 1, min(number, count)).astype(int).tolist():
        data, name = read_file(images, row), image_name(images, row)
        image, size = read_image(data, name, shape, images.limit_pixels, images.bits)
        inputs.append({"images": prepare(image, shape, size)[0][None]})
    return inputs


def _search(
    graph: onnx.ModelProto,
    loaded: LoadedBundle,
    train: ImageSet,
    val: ImageSet,
    scratch: Path,
    allowed: float,
) -> onnx.ModelProto:
    """The quantised graph, with as many layers in fp32 as the validation images ask for."""

    reference = _figures(ask(Inspector(loaded, val.limit_pixels), val))

    def score(model: onnx.ModelProto, rows: Iterable[int]) -> tuple[float, list[float]]:
        """How far the figure that fell most fell, and how well each image is answered; of some of
        the images, by which layers are ranked, only the latter."""
        onnx.save_model(model, str(scratch))
        chosen = np.fromiter(rows, int)
        answers = ask(
            Inspector(loaded, val.limit_pixels, OpenVinoRuntime(scratch)), val.take(chosen)
        )
        each = _worth_of_each(answers)
        if len(chosen) < len(val.catalog):
            return float(np.mean(each)), each
        figures = _figures(answers)
        # 1 where nothing is lost: NNCF also divides by it.
        return 1 + min(figures[k] - reference[k] for k in GUARDED if k in reference), each

    return nncf.quantize_with_accuracy_control(
        graph,
        nncf.Dataset(_inputs(loaded, train, CALIBRATION_IMAGES)),
        nncf.Dataset(range(len(val.catalog))),
        score,
        max_drop=allowed,
        subset_size=CALIBRATION_IMAGES,
        ignored_scope=nncf.IgnoredScope(names=_heads(graph), types=["ReduceMean"]),
        advanced_accuracy_restorer_parameters=AdvancedAccuracyRestorerParameters(
            max_num_iterations=MOST_RESTORED, ranking_subset_size=RANKING_IMAGES
        ),
    )


def _heads(graph: onnx.ModelProto) -> list[str]:
    """The nodes behind evidence and masks, back to the convolution that made each: they stay in
    fp32, so that the evidence adds up to the logit as exactly as before."""
    made_by = {output: node for node in graph.graph.node for output in node.output}
    names: set[str] = set()
    waiting = [o.name for o in graph.graph.output if o.name in ("evidence", MASKS)]
    while waiting:
        node = made_by.get(waiting.pop())
        if node is None or node.name in names:
            continue
        names.add(node.name)
        if node.op_type != "Conv":
            waiting.extend(node.input)
    return sorted(names)


def _convolutions_in_fp32(graph: onnx.ModelProto) -> tuple[str, ...]:
    made_by = {output: node.op_type for node in graph.graph.node for output in node.output}
    return tuple(
        node.name
        for node in graph.graph.node
        if node.op_type == "Conv" and made_by.get(node.input[1]) != "DequantizeLinear"
    )


def _compare(
    loaded: LoadedBundle, candidate: Path, images: ImageSet
) -> tuple[Answers, Answers, float]:
    """The answers of the bundle and of the candidate to the same images, and the mean correlation
    of their evidence maps."""
    bundle, limit = loaded.bundle, images.limit_pixels
    sides = [Answers(images.catalog, loaded.line, bundle, bundle.policy) for _ in range(2)]
    models = [Inspector(loaded, limit), Inspector(loaded, limit, OpenVinoRuntime(candidate))]
    correlations = []
    for (row, one), (_, other) in zip(*(inspected(m, images) for m in models), strict=True):
        for side, answer in zip(sides, (one, other), strict=True):
            side.add(row, answer, images)
        if isinstance(one, ImageError) or isinstance(other, ImageError):
            continue
        maps = [answer.evidence.ravel() for answer in (one, other)]
        if all(values.std() > 0 for values in maps):
            correlations.append(float(np.corrcoef(*maps)[0, 1]))
    before, after = sides
    return before, after, float(np.mean(correlations)) if correlations else 0.0


def _worth_of_each(answers: Answers) -> list[float]:
    """Per image the log of what its true labels were given and, of a line that segments, the mean
    Dice of its classes."""
    truth, probabilities = _truth(answers), answers.probabilities.clip(1e-6, 1 - 1e-6)
    if truth.ndim == 2:
        given = np.where(truth > 0, probabilities, 1 - probabilities)
        worth = np.log(given).mean(1)
    else:
        worth = np.log(probabilities[np.arange(len(truth)), truth])
    for at, counts in zip(answers.segmented, answers.pixels, strict=True):
        drawn, right = counts.tp + counts.fp + counts.tp + counts.fn, 2 * counts.tp
        worth[at] += np.where(drawn > 0, right / np.maximum(drawn, 1), 1.0).mean()
    return worth.tolist()


def _truth(answers: Answers) -> NDArray[Any]:
    answered = replace(answers.catalog, table=answers.catalog.table.iloc[answers.rows])
    return targets_of(answered, answers.line)


def _figures(answers: Answers, metrics: Metrics | None = None) -> dict[str, float]:
    """The guarded figures and the calibration error; `metrics` where they are measured already."""
    values = (metrics or measured([answers], split="").metrics).values
    guarded = {key: values.get(key) for key in GUARDED}
    figures = {k: m.value for k, m in guarded.items() if m is not None and m.value is not None}
    probabilities, truth = answers.probabilities, _truth(answers)
    if truth.ndim == 2:  # every class is a question of its own
        probabilities = np.stack([1 - probabilities.ravel(), probabilities.ravel()], 1)
        truth = truth.ravel().astype(int)
    return figures | {"calibration_error": expected_calibration_error(probabilities, truth)}


def _install(loaded: LoadedBundle, model: Path, costs: Quantized, metrics: Metrics | None) -> None:
    """Put the model into the bundle. Figures of the fp32 model are no longer the bundle's, except
    those of a cross-validation, which are the recipe's."""
    fresh = loaded.folder.with_name(loaded.folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(loaded.folder, fresh)
    shutil.copyfile(model, fresh / MODEL_FILE)
    bundle = loaded.bundle
    bundle = bundle.model_copy(
        update={
            "precision": "int8",
            "files": bundle.files | {MODEL_FILE: file_hash(fresh / MODEL_FILE)},
            "provenance": bundle.provenance | {"quantization": asdict(costs)},
            "metrics": (metrics,) if metrics else bundle.metrics,
        }
    )
    write_about(fresh, bundle)
    write_card(fresh, bundle)
    atomic.replace_folder(fresh, loaded.folder)
