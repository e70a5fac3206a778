"""Inspect images with one bundle: scores, evidence and how sure it all is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from defectvision.inference import policy as rules
from defectvision.inference.bundle import Line, LoadedBundle, load_bundle_once
from defectvision.inference.images import ImageError, decode_image
from defectvision.inference.judged import Judged
from defectvision.inference.policy import Policy
from defectvision.inference.preprocessing import map_to_image, prepare
from defectvision.inference.regions import Region, find_regions
from defectvision.inference.runtime import MASKS, Runtime, load_runtime
from defectvision.inference.thumbnail import small_jpeg


@dataclass(frozen=True)
class Milliseconds:
    """Where the time of one inspection went; `model` is the batch's share of this image."""

    decode: float
    model: float
    total: float


@dataclass(frozen=True)
class Inspection(Judged):
    """One image under one bundle: raw scores; verdict and label come from a policy.

    image_size: (height, width) px; logits: (C,) float32; evidence: (C, h, w) float32, whose mean
    over places plus `evidence_bias` (C,) is the logit; to_image: (2, 3), model input px to image
    px; input_size: (height, width) of the model's input; foreign_score: distance from the
    training images, above 1 where the image does not look like this line; masks: (K, h, w) uint8,
    probability x 255 of each of `mask_classes` on a grid spread over the model's input, None where
    the model does not segment; thumbnail: a small JPEG, empty unless it was asked for.
    """

    name: str
    line: Line
    bundle_version: str
    image_size: tuple[int, int]
    logits: NDArray[np.float32]
    probabilities: dict[str, float]
    defect_score: float | None
    foreign_score: float
    evidence: NDArray[np.float32]
    evidence_bias: NDArray[np.float32]
    inside: NDArray[np.bool_]
    input_size: tuple[int, int]
    to_image: NDArray[np.float64]
    part_found: bool
    milliseconds: Milliseconds
    masks: NDArray[np.uint8] | None = None
    mask_classes: tuple[str, ...] = ()
    thumbnail: bytes = b""

    @property
    def times(self) -> dict[str, float]:
        return vars(self.milliseconds)

    def regions(self, policy: Policy) -> tuple[Region, ...]:
        return find_regions(self, policy)

    def evidence_on_image(self, class_name: str) -> NDArray[np.float32]:
        """(H, W) float32: what each place of the image adds to the class's logit, drawn
        smoothly from the model's grid. Nothing is added outside the model's view."""
        index = self.line.class_names.index(class_name)
        return map_to_image(self.evidence[index], self.to_image, self.input_size, self.image_size)

    def evidence_inside(self, class_name: str) -> float | None:
        """Share of the class's positive evidence that lies on the part; None without any."""
        index = self.line.class_names.index(class_name)
        positive = np.maximum(self.evidence[index], 0)
        rows, columns = positive.shape
        blocks = self.inside[
            : self.inside.shape[0] // rows * rows, : self.inside.shape[1] // columns * columns
        ]
        cover = blocks.reshape(rows, blocks.shape[0] // rows, columns, -1).mean((1, 3))
        total = float(positive.sum())
        return float((positive * cover).sum()) / total if total > 0 else None


class Inspector:
    """One loaded bundle, ready for any number of threads."""

    def __init__(self, loaded: LoadedBundle, runtime: Runtime | None = None):
        self.loaded = loaded
        self.runtime = runtime or load_runtime(loaded.folder / "model.onnx")
        with np.load(loaded.folder / loaded.bundle.foreign.file, allow_pickle=False) as file:
            self._usual = {name: file[name].astype(np.float32) for name in file.files}
        self._bias = np.array(loaded.bundle.evidence_bias, np.float32)

    @property
    def line(self) -> Line:
        return self.loaded.line

    @property
    def policy(self) -> Policy:
        """The bundle's default policy."""
        return self.loaded.bundle.policy

    def inspect(self, data: bytes, name: str) -> Inspection:
        """Inspect one image file; raises ImageError where it cannot be decoded."""
        (found,) = self.inspect_many([(name, data)], batch_size=1)
        if isinstance(found, ImageError):
            raise found
        return found

    def inspect_many(
        self, files: Iterable[tuple[str, bytes]], batch_size: int = 8, thumbnails: bool = False
    ) -> Iterator[Inspection | ImageError]:
        """Inspect image files in order; a file that cannot be decoded gives its ImageError."""
        waiting: list[tuple] = []
        for name, data in files:
            started = time.perf_counter()
            try:
                image = decode_image(data, name)
            except ImageError as error:
                waiting.append((error,))
            else:
                decoded = time.perf_counter()
                tensor, placed = prepare(image, self.loaded.bundle.preprocessing)
                ready = time.perf_counter()
                size, times = image.shape[:2], (decoded - started, ready - started)
                small = small_jpeg(image) if thumbnails else b""
                waiting.append((name, size, tensor, placed, *times, small))
            if len(waiting) == batch_size:
                yield from self._answer(waiting)
                waiting = []
        yield from self._answer(waiting)

    def _answer(self, waiting: list[tuple]) -> Iterator[Inspection | ImageError]:
        good = [entry for entry in waiting if len(entry) > 1]
        started = time.perf_counter()
        answer = self.runtime.run(np.stack([entry[2] for entry in good])) if good else {}
        share = (time.perf_counter() - started) / max(1, len(good))
        row = 0
        for entry in waiting:
            if len(entry) == 1:
                yield entry[0]
                continue
            yield self._inspection(entry, {k: v[row] for k, v in answer.items()}, share)
            row += 1

    def _inspection(self, entry: tuple, answer: dict, share: float) -> Inspection:
        name, size, tensor, placed, decode, ready, small = entry
        scaled = answer["logits"] / self.loaded.bundle.temperature
        if self.line.label_mode == "multilabel":
            values = _sigmoid(scaled)
        else:
            values = np.exp(scaled - scaled.max())
            values /= values.sum()
        probabilities = dict(zip(self.line.class_names, values.astype(float).tolist(), strict=True))
        masks = None
        if self.loaded.bundle.mask_classes:
            masks = np.rint(_sigmoid(answer[MASKS]) * 255).astype(np.uint8)
        return Inspection(
            name=name,
            line=self.line,
            bundle_version=self.loaded.version,
            image_size=size,
            logits=answer["logits"],
            probabilities=probabilities,
            defect_score=rules.defect_score(probabilities, self.line),
            foreign_score=self._foreign(answer["embedding"]),
            evidence=answer["evidence"],
            evidence_bias=self._bias,
            inside=placed.inside,
            input_size=tensor.shape[1:],
            to_image=placed.to_image,
            part_found=placed.part_found,
            milliseconds=Milliseconds(decode * 1e3, share * 1e3, (ready + share) * 1e3),
            masks=masks,
            mask_classes=self.loaded.bundle.mask_classes,
            thumbnail=small,
        )

    def _foreign(self, embedding: NDArray[np.float32]) -> float:
        return float(
            foreign_distance(embedding[None], **self._usual)[0] / self.loaded.bundle.foreign.limit
        )


def _sigmoid(log_odds: NDArray[np.float32]) -> NDArray[np.float32]:
    return 1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))


def foreign_distance(
    embeddings: NDArray[np.float32],
    mean: NDArray[np.float32],
    components: NDArray[np.float32],
    scale: NDArray[np.float32],
    residual: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(N,) distance of embeddings (N, D) from the usual ones: Mahalanobis within the principal
    components (K, D), and what they leave over against its usual size."""
    centred = embeddings - mean
    within = centred @ components.T
    rest = np.linalg.norm(centred - within @ components, axis=1)
    inner = np.sqrt(((within / scale) ** 2).mean(axis=1))
    return np.maximum(inner, rest / residual[0])


MOST_LOADED = 4  # inspectors that a process keeps, each with its model in memory
_inspectors: dict[tuple[Path, str], Inspector] = {}
_loading = Lock()


def load_inspector(weights: Path, line: str, bundle: str | None = None) -> Inspector:
    """The inspector of a bundle, one for all threads of the process, loaded anew where the
    bundle was replaced; raises BundleError."""
    return inspector_of(load_bundle_once(weights, line, bundle))


def inspector_of(loaded: LoadedBundle) -> Inspector:
    """The process's inspector of a checked bundle."""
    key = loaded.folder, loaded.version
    with _loading:
        found = _inspectors.pop(key, None) or Inspector(loaded)
        _inspectors[key] = found  # the last one used stands last
        while len(_inspectors) > MOST_LOADED:
            del _inspectors[next(iter(_inspectors))]
        return found
