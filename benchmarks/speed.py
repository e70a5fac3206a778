"""How fast a bundle answers, against the usual ways to run the same network, in one run.

    make bench
    make bench ARGS="--line neu-surface --bundle resnet50 --data ../shared/data/neu"

All see the same JPEG files and the same trained weights, and take turns; a figure is the median of
the turns. Without --data the pictures are drawn. (e) is the practical limit: the bare OpenVINO
runtime with tensors that lie ready, in the better of its two ways, and nothing done with its
answer.

(a) eager torch, one image after the other, with a Grad-CAM map of the grad-cam package
(b) torch, channels last, bf16, 8 at a time, with the evidence map of the model
(c) ONNX Runtime in fp32, 8 at a time
(d) this product's public interface: files in, label, evidence map and regions out
(e) bare OpenVINO
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import openvino
import torch

from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import LoadedBundle
from defectvision.data.synthetic.samples import draw
from defectvision.inference.images import decode_image
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.inference.preprocessing import prepare
from defectvision.inference.runtime import cores
from defectvision.inference.sources import images_below
from defectvision.limits import PIXELS
from defectvision.models.gradcam import GradientExplainer
from defectvision.models.trained import load_model
from defectvision.settings import Settings
from defectvision.training.export import to_graph

BATCH = 8
SESSIONS = (1, 4, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--line", default="neu-surface")
    parser.add_argument("--bundle", default="resnet50")
    parser.add_argument("--data", type=Path, help="folder of images")
    parser.add_argument("--images", type=int, default=200, help="images in each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--lot", type=int, default=0, help="images to watch the memory with")
    asked = parser.parse_args()
    loaded = load_bundle(Settings().weights, asked.line, asked.bundle)
    with tempfile.TemporaryDirectory() as folder:
        files = _files(Path(folder), asked)
        _conditions(loaded, files)
        _compare(loaded, files, asked.turns)
        _sessions(loaded, files)
        if asked.lot:
            _memory(loaded, files, asked.lot)


def _files(folder: Path, asked: argparse.Namespace) -> list[Path]:
    """JPEG files of `asked.images` images; those of another format are written anew."""
    if asked.data:
        found = images_below(asked.data)
        step = max(1, len(found) // asked.images)
        pictures = (
            decode_image(f.read_bytes(), f.name, PIXELS) for f in found[::step][: asked.images]
        )
    else:
        size = {"casting": 300, "neu-surface": 200}.get(asked.line, 400)
        labels = {"casting": ("ok", "def"), "neu-surface": ("crazing", "patches")}
        kinds = cycle(labels.get(asked.line, labels["casting"]))
        drawn = asked.line if asked.line in labels else "casting"
        rng = np.random.default_rng(0)
        pictures = (draw(drawn, kind, rng, size) for kind in islice(kinds, asked.images))
    files = []
    for number, picture in enumerate(pictures):
        file = folder / f"{number:05d}.jpg"
        order = picture if picture.ndim == 2 else picture[:, :, ::-1]
        file.write_bytes(cv2.imencode(".jpg", order, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
        files.append(file)
    return files


def _conditions(loaded: LoadedBundle, files: list[Path]) -> None:
    how, shape = loaded.bundle.preprocessing, decode_image(files[0].read_bytes(), "", PIXELS).shape
    print(
        f"{loaded.bundle.line}/{loaded.bundle.name} ({loaded.bundle.precision}), input "
        f"{how.height}x{how.width}, {len(files)} JPEG files such as {shape[0]}x{shape[1]}; "
        f"{cores()} cores, {_processor()}, torch {torch.__version__}, ONNX Runtime "
        f"{onnxruntime.__version__}, OpenVINO {openvino.__version__.split('-')[0]}\n"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor()
    lines = (line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    found = {key.strip(): value.strip() for key, value in lines}
    extras = [x for x in ("avx512_vnni", "avx512_bf16", "amx_int8") if x in found.get("flags", "")]
    return " ".join([found.get("model name", "unknown processor"), *extras])


def _compare(loaded: LoadedBundle, files: list[Path], turns: int) -> None:
    inspector = Inspector(loaded, PIXELS)
    model = load_model(loaded)
    tensors = [_tensor(loaded, f) for f in files]
    torch.set_num_threads(cores())
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "fp32.onnx"
        graph = to_graph(model, tensors[0].shape[1:], tensors[0].shape[0])
        plain.write_bytes(graph.SerializeToString())
        session = onnxruntime.InferenceSession(str(plain), providers=["CPUExecutionProvider"])
    few = files[: max(BATCH, len(files) // 5)]  # for the slowest
    many: dict[str, Callable[[], object]] = {
        "(a) eager torch, Grad-CAM": partial(_eager, loaded, GradientExplainer(loaded), few),
        "(b) torch bf16, evidence map": partial(_bf16, loaded, load_model(loaded), files),
        "(c) ONNX Runtime fp32": partial(_onnx, loaded, session, files),
        "(d) this product": partial(_product, inspector, files),
        "(e) bare OpenVINO, side by side": partial(_bare, loaded, tensors, 1, cores()),
        "(e) bare OpenVINO, 8 at a time": partial(_bare, loaded, tensors, BATCH, 1),
    }
    took: dict[str, list[float]] = {name: [] for name in many}
    for _ in range(turns):
        for name, work in many.items():
            started = time.perf_counter()
            done = work()
            seconds = done if isinstance(done, float) else time.perf_counter() - started
            number = len(few if name.startswith("(a)") else files)
            took[name].append(seconds * 1e3 / number)
    _table("files on disk, many", took)

    data = [f.read_bytes() for f in files]
    single: dict[str, list[float]] = {"(d) this product": [], "(e) bare OpenVINO": []}
    bare = _compiled(loaded, 1).create_infer_request()
    for n in range(min(len(files), 100) + 5):
        started = time.perf_counter()
        _measured(inspector.inspect(data[n % len(data)], "image"), inspector)
        between = time.perf_counter()
        bare.infer({0: tensors[n % len(data)][None]}, share_inputs=True)
        if n >= 5:
            single["(d) this product"].append((between - started) * 1e3)
            single["(e) bare OpenVINO"].append((time.perf_counter() - between) * 1e3)
    _table("one image, bytes in, answer out", single)


def _tensor(loaded: LoadedBundle, file: Path) -> np.ndarray:
    image = decode_image(file.read_bytes(), file.name, PIXELS)
    return prepare(image, loaded.bundle.preprocessing)[0]


def _eager(loaded: LoadedBundle, explainer: GradientExplainer, files: list[Path]) -> None:
    # The package runs the model itself; its answer is what the page would show.
    for file in files:
        explainer.explain(_tensor(loaded, file), 0)


def _bf16(loaded: LoadedBundle, model: torch.nn.Module, files: list[Path]) -> None:
    model = model.to(memory_format=torch.channels_last)
    for start in range(0, len(files), BATCH):
        batch = np.stack([_tensor(loaded, f) for f in files[start : start + BATCH]])
        images = torch.from_numpy(batch).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            model(images).evidence.float().numpy()


def _onnx(loaded: LoadedBundle, session: onnxruntime.InferenceSession, files: list[Path]) -> None:
    for start in range(0, len(files), BATCH):
        batch = np.stack([_tensor(loaded, f) for f in files[start : start + BATCH]])
        session.run(None, {"images": batch})


def _product(inspector: Inspector, files: list[Path]) -> None:
    for found in inspector.inspect_many(_read(files)):
        assert isinstance(found, Inspection), found
        _measured(found, inspector)


def _measured(found: Inspection, inspector: Inspector) -> None:
    """What a page shows of an answer: verdict, labels, and measured regions."""
    found.as_json(inspector.policy)


def _read(files: list[Path]) -> Iterator[tuple[str, bytes]]:
    return ((file.name, file.read_bytes()) for file in files)


def _compiled(loaded: LoadedBundle, streams: int):
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": cores(),
        "NUM_STREAMS": streams,
    }
    return openvino.Core().compile_model(str(loaded.folder / "model.onnx"), "CPU", settings)


def _bare(loaded: LoadedBundle, tensors: list[np.ndarray], batch: int, threads: int) -> float:
    """Seconds to answer all tensors, each thread with a request of its own; without compiling."""
    compiled = _compiled(loaded, threads)
    batches = [np.stack(tensors[i : i + batch]) for i in range(0, len(tensors), batch)]
    requests = [compiled.create_infer_request() for _ in range(threads)]
    for request in requests:
        request.infer({0: batches[0]}, share_inputs=True)
    left, lock = iter(batches), threading.Lock()

    def work(request) -> None:
        while True:
            with lock:
                ready = next(left, None)
            if ready is None:
                return
            request.infer({0: ready}, share_inputs=True)

    workers = [threading.Thread(target=work, args=(request,)) for request in requests]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - started


def _table(title: str, took: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in took.items()}
    limit = min(value for name, value in medians.items() if name.startswith("(e)"))
    print(f"| {title} | ms an image | times the time of (e) |\n| --- | ---: | ---: |")
    for name, value in medians.items():
        print(f"| {name} | {value:.2f} | {value / limit:.2f} |")
    print(flush=True)


def _sessions(loaded: LoadedBundle, files: list[Path]) -> None:
    """Threads that each inspect all files one by one, as people at pages do."""
    inspector = Inspector(loaded, PIXELS)
    data = [f.read_bytes() for f in files]
    wanted = [inspector.inspect(d, "image") for d in data]
    print("| sessions | images/s | p50 ms | p95 ms | answers that differ |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for number in SESSIONS:
        times: list[float] = []
        wrong: list[int] = []
        share = max(4, 2 * len(data) // number)

        def session(
            offset: int, share: int = share, times: list = times, wrong: list = wrong
        ) -> None:
            for i in range(offset, offset + share):
                i %= len(data)
                started = time.perf_counter()
                found = inspector.inspect(data[i], "image")
                times.append((time.perf_counter() - started) * 1e3)
                same = np.array_equal(found.logits, wanted[i].logits) and np.array_equal(
                    found.evidence, wanted[i].evidence
                )
                if not same:
                    wrong.append(i)

        threads = [threading.Thread(target=session, args=(7 * n,)) for n in range(number)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = len(times) / (time.perf_counter() - started)
        p50, p95 = np.percentile(times, (50, 95))
        print(f"| {number} | {rate:.1f} | {p50:.1f} | {p95:.1f} | {len(wrong)} |", flush=True)
    print()


def _memory(loaded: LoadedBundle, files: list[Path], lot: int) -> None:
    """Resident memory after 500 images and after all."""
    inspector = Inspector(loaded, PIXELS)
    started, early = time.perf_counter(), 0.0
    for done, _ in enumerate(inspector.inspect_many(_read(list(islice(cycle(files), lot)))), 1):
        if done == min(500, lot):
            early = _resident()
    rate = lot / (time.perf_counter() - started)
    late = _resident()
    print(
        f"{lot} images at {rate:.1f} images/s: {early:.0f} MB after {min(500, lot)}, {late:.0f} MB "
        f"at the end ({late / early - 1:+.1%})"
    )


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
