"""Run a bundle's ONNX file: OpenVINO where it is installed, else ONNX Runtime.

A model is asked in one of two ways, and loaded for each when it is first needed: `alone`, where all
cores work on one call and it answers soonest, and side by side, where each of `workers` calls has
its share of the cores and most images are answered in a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import LifoQueue
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

OUTPUTS = ("logits", "evidence", "embedding")
MASKS = "masks"  # a further output of a model that segments
Answer = dict[str, NDArray[np.float32]]


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Runtime(Protocol):
    """A loaded model; `run` may be called from any thread, any number of times at once.

    workers: calls that run best side by side.
    """

    name: str
    workers: int

    def run(self, images: NDArray[np.float32], alone: bool = True) -> Answer:
        """images (B, channels, H, W) float32 to the OUTPUTS, each with B first; and to MASKS
        (B, K, h, w), log-odds, where the model has them."""


class OpenVinoRuntime:
    """OpenVINO on the CPU in fp32 and, where the model is quantised, int8: its default may
    silently turn to bf16, which is not reproducible from one machine to the next."""

    name = "OpenVINO"

    def __init__(self, model: Path, wanted: Sequence[str] = (*OUTPUTS, MASKS)):
        import openvino

        self.workers, self._wanted = cores(), wanted
        self._core = openvino.Core()
        # Read once: what is compiled later must be the model that was checked.
        self._model = self._core.read_model(str(model))
        self._loading = Lock()
        self._loaded: dict[bool, _Requests] = {}
        self._load(alone=True)

    def run(self, images: NDArray[np.float32], alone: bool = True) -> Answer:
        with self._load(alone).borrowed() as request:
            found = request.infer({0: images}, share_inputs=True)
            return {
                name: np.array(values, np.float32)
                for output, values in found.items()
                for name in output.names
                if name in self._wanted
            }

    def _load(self, alone: bool) -> _Requests:
        alone = alone or self.workers == 1  # which is the same then
        if alone in self._loaded:
            return self._loaded[alone]
        with self._loading:
            if alone not in self._loaded:
                compiled = self._core.compile_model(
                    self._model,
                    "CPU",
                    {
                        "INFERENCE_PRECISION_HINT": "f32",
                        "INFERENCE_NUM_THREADS": cores(),
                        "NUM_STREAMS": 1 if alone else self.workers,
                    },
                )
                self._loaded[alone] = _Requests(compiled, 1 if alone else self.workers)
            return self._loaded[alone]


class _Requests:
    """As many requests of one compiled model as it works on at once: each holds the buffers of a
    run, so further threads wait for one instead of filling the memory."""

    def __init__(self, compiled: Any, number: int):  # openvino has no types
        self._idle: LifoQueue[Any] = LifoQueue()
        for _ in range(number):
            self._idle.put(compiled.create_infer_request())
        # A first run by one thread: OpenVINO's Python package sets itself up in it, and two threads
        # that do so at once wait for each other for ever. The first image is then no slower either.
        sides = compiled.inputs[0].partial_shape
        blank = np.zeros([1 if x.is_dynamic else x.get_length() for x in sides], np.float32)
        with self.borrowed() as request:
            request.infer({0: blank}, share_inputs=True)

    @contextmanager
    def borrowed(self) -> Iterator[Any]:
        request = self._idle.get()
        try:
            yield request
        finally:
            self._idle.put(request)


class OnnxRuntime:
    """ONNX Runtime on the CPU."""

    name = "ONNX Runtime"

    def __init__(self, model: Path, wanted: Sequence[str] = (*OUTPUTS, MASKS)):
        self.workers = cores()
        self._model = model.read_bytes()
        self._loading = Lock()
        self._loaded: dict[bool, Any] = {}
        session = self._load(alone=True)
        self._input = session.get_inputs()[0].name
        named = {output.name for output in session.get_outputs()}
        self._wanted = [name for name in wanted if name in named]

    def run(self, images: NDArray[np.float32], alone: bool = True) -> Answer:
        found = self._load(alone).run(self._wanted, {self._input: images})
        return dict(zip(self._wanted, found, strict=True))

    def _load(self, alone: bool) -> Any:
        import onnxruntime

        if alone in self._loaded:
            return self._loaded[alone]
        with self._loading:
            if alone not in self._loaded:
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = cores() if alone else 1
                self._loaded[alone] = onnxruntime.InferenceSession(
                    self._model, options, providers=["CPUExecutionProvider"]
                )
            return self._loaded[alone]


def load_runtime(model: Path, wanted: Sequence[str] = (*OUTPUTS, MASKS)) -> Runtime:
    """The fastest runtime that is installed, with `model` loaded. wanted: those of its outputs that
    are handed back."""
    try:
        return OpenVinoRuntime(model, wanted)
    except ImportError:
        return OnnxRuntime(model, wanted)


def runtime_of(content: bytes, wanted: Sequence[str] = (*OUTPUTS, MASKS)) -> Runtime:
    """As `load_runtime`, of an ONNX model that lies in no file."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(content)
        return load_runtime(file, wanted)
