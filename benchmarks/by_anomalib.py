"""Learn from good parts with Anomalib, for `benchmarks.good_parts_compared`, which runs this with
the Python of an installation of its own: this project does not depend on it.

    PYTHON -P benchmarks/by_anomalib.py job.json

The job names the method, the images to learn from and to test, the input's (height, width), the
file of the encoder's weights, how many vectors PatchCore keeps, and the folder for the answers:
`scores.npy` (N,), `maps.npy` (N, H, W), the exported model, and `told.json`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anomalib
import numpy as np
import torch
from anomalib.data.utils import read_image
from anomalib.models import Padim, Patchcore
from safetensors.torch import load_file
from torch import Tensor

BACKBONE = "tf_efficientnet_lite0"
# At the strides that the layers of Anomalib's own choice have: 8 and 16, and 4, 8 and 16.
LAYERS = {"PatchCore": ["blocks.2", "blocks.4"], "PaDiM": ["blocks.1", "blocks.2", "blocks.4"]}
KEPT = 100  # numbers a place that PaDiM draws, as Anomalib does for ResNet18
BATCH = 8
ONE_IMAGE = {"dynamic_axes": {}}  # by default it writes a graph that takes two images alone

Model = Patchcore | Padim


def made(job: dict) -> Model:
    """The method with the given encoder; scores as they come, neither scaled nor judged."""
    kind = {"PatchCore": Patchcore, "PaDiM": Padim}[job["method"]]
    options = {} if kind is Patchcore else {"n_features": KEPT}
    model = kind(
        backbone=BACKBONE,
        layers=list(LAYERS[job["method"]]),
        pre_trained=False,
        pre_processor=kind.configure_pre_processor(image_size=tuple(job["size"])),
        post_processor=False,
        evaluator=False,
        visualizer=False,
        **options,
    )
    encoder, weights = model.model.feature_extractor.feature_extractor, load_file(job["encoder"])
    encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
    return model


def pictures(model: Model, paths: list[str], many: int) -> Iterator[Tensor]:
    """The files as the model takes them, `many` at a time: (B, 3, H, W)."""
    for first in range(0, len(paths), many):
        read = [read_image(path, as_tensor=True) for path in paths[first : first + many]]
        yield torch.stack([model.pre_processor.transform(picture) for picture in read])


def learn(model: Model, paths: list[str], vectors: int) -> None:
    """What Anomalib's trainer does with these methods: one pass, then the fit."""
    model.train()
    for batch in pictures(model, paths, BATCH):
        model.model(batch)
    if isinstance(model, Patchcore):
        places = sum(len(some) for some in model.model.embedding_store)
        model.coreset_sampling_ratio = min(1.0, (vectors + 0.5) / places)
    model.fit()
    model.eval()


def export(model: Model, folder: Path, size: tuple[int, int]) -> str:
    """The file of the model for OpenVINO; '' where it cannot be exported."""
    try:
        return str(model.to_openvino(folder, input_size=size, onnx_kwargs=ONE_IMAGE))
    except (RuntimeError, ValueError, MemoryError) as error:
        print(f"not exported: {error}", file=sys.stderr)
        return ""


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(job["out"])
    torch.manual_seed(0)
    model = made(job)
    scores, maps, preparing, answering = [], [], [], []
    with torch.no_grad():
        started = time.process_time()
        learn(model, job["learned"], job["vectors"])
        learned = time.process_time()
        for path in job["tested"]:
            begun = time.perf_counter()
            picture = next(pictures(model, [path], 1))
            ready = time.perf_counter()
            answer = model.model(picture)
            answering.append(time.perf_counter() - ready)
            preparing.append(ready - begun)
            scores.append(float(answer.pred_score))
            maps.append(answer.anomaly_map[0, 0].numpy())
        exporting = time.process_time()
        file = export(model, folder, tuple(job["size"]))
        exported = time.process_time()
    np.save(folder / "scores.npy", np.array(scores))
    np.save(folder / "maps.npy", np.stack(maps))
    told = {
        "version": anomalib.__version__,
        "learning s": learned - started,
        "exporting s": exported - exporting,
        "preparing": preparing,
        "answering": answering,
        "file": file,
        "ratio": getattr(model, "coreset_sampling_ratio", None),
    }
    (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
