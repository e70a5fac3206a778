"""How long one image takes while a line is learned beside it, as the dashboard learns one.

    python -m benchmarks.beside_training ../shared/data/casting --line casting

Images are inspected one after the other, alone and beside a training, in turns in one run; the
training begins anew until all turns are over, and its first seconds are not counted.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from defectvision.data.synthetic.samples import write_samples
from defectvision.inference.inspector import Inspector, load_inspector
from defectvision.inference.sources import images_below
from defectvision.limits import Limits
from defectvision.settings import ROOT, Settings

TURNS, WARM_SECONDS = 3, 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--line", default="casting")
    parser.add_argument("--images", type=int, default=150, help="of each turn")
    asked = parser.parse_args()
    inspector = load_inspector(Settings().weights, asked.line, None, Limits())
    files = [file.read_bytes() for file in images_below(asked.data)[: asked.images]]
    times: dict[str, list[float]] = {"alone": [], "beside a training": []}
    with tempfile.TemporaryDirectory() as folder:
        write_samples("casting", Path(folder) / "samples", per_class=200, seed=1)
        _inspect(inspector, files)
        for turn in range(TURNS):
            times["alone"] += _inspect(inspector, files)
            training = _train(Path(folder), turn)
            try:
                time.sleep(WARM_SECONDS)
                times["beside a training"] += _inspect(inspector, files)
                assert training.poll() is None, "the training ended before the images did"
            finally:
                os.killpg(training.pid, signal.SIGKILL)
                training.wait()
    for name, taken in times.items():
        p95 = statistics.quantiles(taken, n=20)[-1]
        print(f"{name}: median {statistics.median(taken):.1f} ms, 95th percentile {p95:.1f} ms")
    alone, beside = times.values()
    median = statistics.median(beside) / statistics.median(alone)
    p95 = statistics.quantiles(beside, n=20)[-1] / statistics.quantiles(alone, n=20)[-1]
    print(f"ratio: median {median:.2f}, 95th percentile {p95:.2f}")


def _inspect(inspector: Inspector, files: list[bytes]) -> list[float]:
    """ms of each."""
    taken = []
    for data in files:
        started = time.perf_counter()
        inspector.inspect(data, "image")
        taken.append(1000 * (time.perf_counter() - started))
    return taken


def _train(folder: Path, turn: int) -> subprocess.Popen[bytes]:
    """As the dashboard starts it, but that it ends with this program's pipe."""
    words = ["train", "--data", folder / "samples", "--line", f"line-{turn}", "--recipe"]
    words += [
        "efficientnet_lite0",
        "--weights",
        folder / "weights",
        "--run",
        folder / f"run-{turn}",
    ]
    python = [sys.executable, "-m"]
    return subprocess.Popen(
        [*python, "defectvision.batch.keeper", "-", *python, "defectvision.cli", *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        start_new_session=True,
    )


if __name__ == "__main__":
    main()
