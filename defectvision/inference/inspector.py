"""Inspect images with one bundle: scores, evidence and how sure it all is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.bundle import policy as policies
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import BundleError, load_bundle_once
from defectvision.bundle.schema import MODEL_FILE, LoadedBundle
from defectvision.inference.activity import INSPECTIONS
from defectvision.inference.decode_memory import holding
from defectvision.inference.frame import Frame
from defectvision.inference.gate import Gatekeeper, Seen
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection, Milliseconds
from defectvision.inference.preprocessing import prepare, read_image
from defectvision.inference.probabilities import probabilities_of, sigmoid
from defectvision.inference.runtime import MASKS, Runtime, load_runtime
from defectvision.inference.thumbnail import small_jpeg
from defectvision.limits import Limits

AHEAD = 4  # images that wait for each worker
SPARE = 1  # images beyond one a core: while two wait for each other, a core has another one


@dataclass(frozen=True)
class Extras:
    """What of the decoded image an inspection keeps: a thumbnail, its pixels."""

    thumbnail: bool = False
    pixels: bool = False


@dataclass(frozen=True, eq=False)
class Description:
    """An image as a model sees it. embedding: (D,), before it decides; answers: (4 C,), its logits
    and of each class's evidence the largest, the smallest and the spread; picture: as decoded for
    it."""

    embedding: NDArray[np.float32]
    answers: NDArray[np.float32]
    picture: NDArray[np.uint8]


class Inspector:
    """One loaded bundle, ready for any number of threads."""

    def __init__(self, loaded: LoadedBundle, limit_pixels: int, runtime: Runtime | None = None):
        """limit_pixels: of the largest image that is inspected; a larger one is refused."""
        self.loaded, self.limit_pixels = loaded, limit_pixels
        model = loaded.folder / MODEL_FILE
        self.runtime = runtime or load_runtime(model)
        # About what the model takes: its weights as computed with, to answer alone and beside.
        computed = 2 if loaded.bundle.precision == "fp16-weights" else 1
        self.memory_bytes = 2 * computed * model.stat().st_size
        self.gatekeeper = Gatekeeper.of(loaded.folder, loaded.bundle)
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
        return self._inspect(data, name, Extras(), alone=True)

    def inspect_many(
        self,
        files: Iterable[tuple[str, bytes]],
        thumbnails: bool = False,
        pixels_of: Collection[str] = (),
    ) -> Iterator[Inspection | ImageError]:
        """Inspect image files in order; a file that cannot be decoded gives its ImageError, one
        whose turn did not come for want of memory BusyError.

        thumbnails: give each a small picture. pixels_of: names of the files whose decoded pixels
        are handed back too, for whoever would decode them again; see `Inspection.pixels`.

        One image more than there are cores is worked on at a time, each from its bytes to its
        answer on one of them: nothing waits for the slowest step, and memory holds a few images
        however many there are. `files` is read in the caller's thread, a few ahead. A single file
        gets all cores.
        """
        files = iter(files)
        begun = list(islice(files, 2))
        if len(begun) < 2:
            for name, data in begun:
                yield self._attempt(data, name, Extras(thumbnails, name in pixels_of), True)
            return
        workers = self.runtime.workers
        waiting: deque[Future[Inspection | ImageError]] = deque()
        with ThreadPoolExecutor(workers + SPARE, thread_name_prefix="inspect") as pool:
            try:
                for name, data in chain(begun, files):
                    extras = Extras(thumbnails, name in pixels_of)
                    waiting.append(pool.submit(self._attempt, data, name, extras, False))
                    if len(waiting) > AHEAD * workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # of a caller that wants no more, too
                for future in waiting:
                    future.cancel()

    def _attempt(
        self, data: bytes, name: str, extras: Extras, alone: bool
    ) -> Inspection | ImageError:
        try:
            return self._inspect(data, name, extras, alone)
        except ImageError as error:
            return error

    def _inspect(self, data: bytes, name: str, extras: Extras, alone: bool) -> Inspection:
        with INSPECTIONS.under_way(), holding():
            return self._inspected(data, name, extras, alone)

    def _inspected(self, data: bytes, name: str, extras: Extras, alone: bool) -> Inspection:
        how = self.loaded.bundle.preprocessing
        started = time.perf_counter()
        image, size = read_image(data, name, how, self.limit_pixels, self.line.bits)
        decoded = time.perf_counter()
        tensor, placed = prepare(image, how, size)
        ready = time.perf_counter()
        answer = {k: v[0] for k, v in self.runtime.run(tensor[None], alone).items()}
        answered = time.perf_counter()
        small = small_jpeg(image) if extras.thumbnail else b""
        values = probabilities_of(answer["logits"], self.loaded.bundle, self.line)
        probabilities = dict(zip(self.line.class_names, values.astype(float).tolist(), strict=True))
        seen = self.gatekeeper.look(image, size, placed, answer["embedding"])
        foreign_score = self.gatekeeper.foreign_score(seen)
        masks = None
        if self.loaded.bundle.mask_classes:
            masks = np.rint(sigmoid(answer[MASKS]) * 255).astype(np.uint8)
        return Inspection(
            name=name,
            line=self.line,
            bundle_version=self.loaded.version,
            frame=Frame(size, tensor.shape[1:], placed.to_image),
            logits=answer["logits"],
            probabilities=probabilities,
            defect_score=policies.defect_score(probabilities, self.line),
            foreign_score=foreign_score,
            objections=self.gatekeeper.objections(seen, foreign_score),
            evidence=answer["evidence"],
            evidence_bias=self._bias,
            inside=placed.inside,
            part_found=placed.part_found,
            milliseconds=Milliseconds(
                (decoded - started) * 1e3, (answered - ready) * 1e3, (answered - started) * 1e3
            ),
            masks=masks,
            mask_classes=self.loaded.bundle.mask_classes,
            thumbnail=small,
            pixels=image if extras.pixels and image.shape[:2] == size else None,
        )

    def describe(self, data: bytes, name: str) -> Description:
        """What the model makes of one image file, for whoever learns from that; raises ImageError
        where it cannot be decoded."""
        how = self.loaded.bundle.preprocessing
        image, size = read_image(data, name, how, self.limit_pixels, self.line.bits)
        tensor, _ = prepare(image, how, size)
        answer = {k: v[0] for k, v in self.runtime.run(tensor[None]).items()}
        evidence = answer["evidence"]
        extremes = [evidence.max((1, 2)), evidence.min((1, 2)), evidence.std((1, 2))]
        return Description(
            answer["embedding"], np.concatenate([answer["logits"], *extremes]), image
        )

    def look(self, data: bytes, name: str) -> Seen:
        """What the gate sees in one image file; raises ImageError where it cannot be decoded."""
        how = self.loaded.bundle.preprocessing
        image, size = read_image(data, name, how, self.limit_pixels, self.line.bits)
        tensor, placed = prepare(image, how, size)
        embedding = self.runtime.run(tensor[None])["embedding"][0]
        return self.gatekeeper.look(image, size, placed, embedding)


_inspectors: dict[tuple[Path, str, Line, int], Inspector] = {}
_known = Lock()
# One for each bundle, so that one that lies on a share that hangs keeps no other waiting.
_loading: dict[tuple[Path, str, Line, int], Lock] = {}


def load_inspector(weights: Path, line: str, bundle: str | None, limits: Limits) -> Inspector:
    """The inspector of a bundle, one for all threads of the process, loaded anew where the
    bundle was replaced; raises BundleError."""
    return inspector_of(load_bundle_once(weights, line, bundle, limits.trusted), limits)


def inspector_of(loaded: LoadedBundle, limits: Limits) -> Inspector:
    """The process's inspector of a checked bundle; raises BundleError where its files are whole and
    cannot be used all the same. Where the models need more memory than they
    may take, those that nobody asked for the longest are let go."""
    key = loaded.folder, loaded.version, loaded.line, limits.pixels
    with _known:
        loading = _loading.setdefault(key, Lock())
    with loading:
        with _known:
            found = _inspectors.get(key)
        if found is None:
            found = _tried(loaded, limits.pixels)
    with _known:
        _inspectors.pop(key, None)
        _inspectors[key] = found  # the last one used stands last
        while len(_inspectors) > 1 and (
            sum(model.memory_bytes for model in _inspectors.values()) > limits.model_bytes
        ):
            del _inspectors[next(iter(_inspectors))]
        return found


def _tried(loaded: LoadedBundle, limit_pixels: int) -> Inspector:
    """An inspector that has answered to a blank picture."""
    blank = cv2.imencode(".png", np.full((16, 16), 128, np.uint8))[1].tobytes()
    try:
        made = Inspector(loaded, limit_pixels)
        made.inspect(blank, "blank")
    except Exception as error:  # of whichever library reads that file
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise BundleError(
            f"{loaded.folder}: cannot be loaded ({said[-1].strip()[:200]}). Export the bundle "
            "again, or copy it from where it works"
        ) from error
    return made
