"""Run a bundle's ONNX file: OpenVINO where it is installed, else ONNX Runtime."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

OUTPUTS = ("logits", "evidence", "embedding")
MASKS = "masks"  # a further output of a model that segments
Answer = dict[str, NDArray[np.float32]]


class Runtime(Protocol):
    """A loaded model; `run` may be called from any thread."""

    name: str

    def run(self, images: NDArray[np.float32]) -> Answer:
        """images (B, channels, H, W) float32 to the OUTPUTS, each with B first; and to MASKS
        (B, K, h, w), log-odds, where the model has them."""


class OpenVinoRuntime:
    """OpenVINO on the CPU in fp32: its default may silently turn to bf16, which is not
    reproducible from one machine to the next."""

    name = "OpenVINO"

    def __init__(self, model: Path):
        import openvino

        core = openvino.Core()
        core.set_property({"ENABLE_MMAP": True})
        self._compiled = core.compile_model(
            str(model),
            "CPU",
            {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"},
        )
        named = set().union(*(output.names for output in self._compiled.outputs))
        self._wanted = (*OUTPUTS, MASKS) if MASKS in named else OUTPUTS
        self._own = threading.local()

    def run(self, images: NDArray[np.float32]) -> Answer:
        # A request holds the buffers of one run, so each thread has its own.
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        found = self._own.request.infer({0: images}, share_inputs=True)
        return {name: np.array(found[name], np.float32) for name in self._wanted}


class OnnxRuntime:
    """ONNX Runtime on the CPU."""

    name = "ONNX Runtime"

    def __init__(self, model: Path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count() or 1
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        named = {output.name for output in self._session.get_outputs()}
        self._wanted = (*OUTPUTS, MASKS) if MASKS in named else OUTPUTS

    def run(self, images: NDArray[np.float32]) -> Answer:
        found = self._session.run(list(self._wanted), {self._input: images})
        return dict(zip(self._wanted, found, strict=True))


def load_runtime(model: Path) -> Runtime:
    """The fastest runtime that is installed, with `model` loaded."""
    try:
        return OpenVinoRuntime(model)
    except ImportError:
        return OnnxRuntime(model)
