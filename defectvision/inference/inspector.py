"""Inspect images with one bundle: scores, evidence and how sure it all is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from defectvision.inference import policy as rules
from defectvision.inference.bundle import Line, LoadedBundle, load_bundle_once
from defectvision.inference.images import ImageError
from defectvision.inference.judged import Judged
from defectvision.inference.policy import Policy
from defectvision.inference.preprocessing import map_to_image, prepare, read_image
from defectvision.inference.regions import Region, find_regions
from defectvision.inference.runtime import MASKS, Runtime, load_runtime
from defectvision.inference.thumbnail import small_jpeg
from defectvision.settings import settings

AHEAD = 4  # images that wait for each worker


@dataclass(frozen=True)
class Milliseconds:
    """Where the time of one inspection went."""

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
        model = loaded.folder / "model.onnx"
        self.runtime = runtime or load_runtime(model)
        # About what the model takes: its weights as computed with, to answer alone and beside.
        computed = 2 if loaded.bundle.precision == "fp16-weights" else 1
        self.memory_bytes = 2 * computed * model.stat().st_size
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
        """Inspect one image file with all cores; raises ImageError where it cannot be decoded."""
        return self._inspect(data, name, thumbnail=False, alone=True)

    def inspect_many(
        self, files: Iterable[tuple[str, bytes]], thumbnails: bool = False
    ) -> Iterator[Inspection | ImageError]:
        """Inspect image files in order; a file that cannot be decoded gives its ImageError.

        As many images are worked on at a time as there are cores, each from its bytes to its
        answer on one of them: nothing waits for the slowest step, and memory holds a few images
        however many there are. `files` is read in the caller's thread, a few ahead. A single file
        gets all cores.
        """
        files = iter(files)
        begun = list(islice(files, 2))
        if len(begun) < 2:
            yield from (self._attempt(data, name, thumbnails, True) for name, data in begun)
            return
        workers = self.runtime.workers
        waiting: deque[Future] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="inspect") as pool:
            try:
                for name, data in chain(begun, files):
                    waiting.append(pool.submit(self._attempt, data, name, thumbnails, False))
                    if len(waiting) > AHEAD * workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # of a caller that wants no more, too
                for future in waiting:
                    future.cancel()

    def _attempt(
        self, data: bytes, name: str, thumbnail: bool, alone: bool
    ) -> Inspection | ImageError:
        try:
            return self._inspect(data, name, thumbnail, alone)
        except ImageError as error:
            return error

    def _inspect(self, data: bytes, name: str, thumbnail: bool, alone: bool) -> Inspection:
        how = self.loaded.bundle.preprocessing
        started = time.perf_counter()
        image, size = read_image(data, name, how)
        decoded = time.perf_counter()
        tensor, placed = prepare(image, how, size)
        ready = time.perf_counter()
        answer = {k: v[0] for k, v in self.runtime.run(tensor[None], alone).items()}
        answered = time.perf_counter()
        small = small_jpeg(image) if thumbnail else b""
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
            milliseconds=Milliseconds(
                (decoded - started) * 1e3, (answered - ready) * 1e3, (answered - started) * 1e3
            ),
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


_inspectors: dict[tuple[Path, str], Inspector] = {}
_loading = Lock()


def load_inspector(weights: Path, line: str, bundle: str | None = None) -> Inspector:
    """The inspector of a bundle, one for all threads of the process, loaded anew where the
    bundle was replaced; raises BundleError."""
    return inspector_of(load_bundle_once(weights, line, bundle))


def inspector_of(loaded: LoadedBundle) -> Inspector:
    """The process's inspector of a checked bundle. Where the models need more memory than the
    settings allow, those that nobody asked for the longest are let go."""
    key = loaded.folder, loaded.version
    room = settings().model_memory_mb * 1e6
    with _loading:
        found = _inspectors.pop(key, None) or Inspector(loaded)
        _inspectors[key] = found  # the last one used stands last
        while len(_inspectors) > 1 and sum(m.memory_bytes for m in _inspectors.values()) > room:
            del _inspectors[next(iter(_inspectors))]
        return found
