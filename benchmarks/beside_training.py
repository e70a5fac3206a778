"""How long one image takes while a line is learned beside it, as the dashboard learns one.

    python -m benchmarks.beside_training ../shared/data/casting --line casting

Images are inspected one after the other, and then a second apart, alone and beside a training, in
turns in one run; the training begins anew until all turns are over, and its first seconds are not
counted. In a row, the training is stopped after the first image; a second apart, it runs again
whenever one begins.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from defectvision.batch import keeper
from defectvision.data.synthetic.samples import write_samples
from defectvision.inference.inspector import Inspector, load_inspector
from defectvision.inference.sources import images_below
from defectvision.limits import Limits
from defectvision.settings import Settings

TURNS, WARM_SECONDS = 3, 60.0
APART = {"in a row": 0.0, "a second apart": 1.0}  # s
Times = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--line", default="casting")
    parser.add_argument("--images", type=int, default=40, help="of each turn")
    asked = parser.parse_args()
    inspector = load_inspector(Settings().weights, asked.line, None, Limits())
    files = [file.read_bytes() for file in images_below(asked.data)[: asked.images]]
    alone: Times = {how: [] for how in APART}
    beside: Times = {how: [] for how in APART}
    with tempfile.TemporaryDirectory() as folder:
        write_samples("casting", Path(folder) / "samples", per_class=200, seed=1)
        _inspect(inspector, files, {how: [] for how in APART})
        for turn in range(TURNS):
            _inspect(inspector, files, alone)
            training = _train(Path(folder), turn)
            try:
                time.sleep(WARM_SECONDS)
                with keeper.standing_aside(training):
                    _inspect(inspector, files, beside)
                assert training.poll() is None, "the training ended before the images did"
            finally:
                os.killpg(training.pid, signal.SIGKILL)
                training.wait()
    for how in APART:
        print(how)
        for name, taken in (("alone", alone[how]), ("beside a training", beside[how])):
            print(f"  {name}: median {_median(taken):.1f} ms, 95th percentile {_p95(taken):.1f} ms")
        median, p95 = (of(beside[how]) / of(alone[how]) for of in (_median, _p95))
        print(f"  ratio: median {median:.2f}, 95th percentile {p95:.2f}")


def _median(times: list[float]) -> float:
    return statistics.median(times)


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def _inspect(inspector: Inspector, files: list[bytes], times: Times) -> None:
    """Add the ms of each image."""
    for how, seconds in APART.items():
        for data in files:
            time.sleep(seconds)
            started = time.perf_counter()
            inspector.inspect(data, "image")
            times[how].append(1000 * (time.perf_counter() - started))


def _train(folder: Path, turn: int) -> subprocess.Popen[bytes]:
    """As the dashboard starts it, but that it ends with this program's pipe."""
    words = ["train", "--data", folder / "samples", "--line", f"line-{turn}"]
    words += ["--recipe", "efficientnet_lite0", "--weights", folder / "weights"]
    words += ["--run", folder / f"run-{turn}"]
    return keeper.start(list(map(str, words)))


if __name__ == "__main__":
    main()
