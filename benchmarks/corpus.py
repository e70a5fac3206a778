"""What the worst files cost: hostile and odd ones of every format, made by the program.

    python -m benchmarks.corpus [--json]

Each is unpacked and decoded in a process of its own; then the heaviest sixteen at once, in sixteen
threads of one. Memory is the process's largest, less what it had before; seconds are of the
processor. Ends with exit status 1 where a file was neither decoded right nor refused in words.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from defectvision.inference.images import ImageError, decode_image
from defectvision.inference.sources import expand_uploads
from tests.stand_ins.corpus import Odd, corpus

AT_ONCE = 16
LONGEST_SECONDS = 60.0
DIFFERENCE = 6.0  # grey levels: mean that a lossy format may change


@dataclass(frozen=True)
class Cost:
    """What one file took, and what became of it: `decoded`, or the reasons why not."""

    name: str
    seconds: float
    memory_mb: float
    became: list[str]
    wrong: str = ""


def _memory_mb(what: str) -> float:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(what))
    return int(line.split()[1]) / 1000


def _cost(odd: Odd) -> Cost:
    before, began = _memory_mb("VmRSS"), time.process_time()
    became, wrong = [], ""
    try:
        for upload in expand_uploads([(odd.name, odd.data)]):
            try:
                if upload.error is not None:
                    raise upload.error
                pixels = decode_image(upload.data or b"", upload.name)
                became.append("decoded")
                wanted = odd.shows if odd.shows is not None else odd.like
                if wanted is not None and not _shows(pixels, wanted):
                    wrong = f"{odd.name} shows another picture"
                del pixels
            except ImageError as error:
                became.append(error.reason)
                if not error.reason.strip() or not error.remedy.strip():
                    wrong = f"{odd.name} was refused without a reason"
    except Exception as error:
        wrong = f"{odd.name}: {type(error).__name__}: {error}"
    if odd.shows is not None and became != ["decoded"]:
        wrong = f"{odd.name} was refused: {became}"
    took = time.process_time() - began
    return Cost(odd.name, took, _memory_mb("VmHWM") - before, sorted(set(became)), wrong)


def _shows(pixels: np.ndarray, wanted: np.ndarray) -> bool:
    same = pixels.shape == wanted.shape
    return same and float(np.abs(pixels.astype(int) - wanted).mean()) <= DIFFERENCE


def _quietly(odd: Odd) -> None:
    for upload in expand_uploads([(odd.name, odd.data)]):
        try:
            decode_image(upload.data or b"", upload.name)
        except ImageError:
            continue


def _together(worst: list[Odd]) -> tuple[float, float]:
    """MB and s of all at once."""
    before, began = _memory_mb("VmRSS"), time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(_quietly, worst))
    return _memory_mb("VmHWM") - before, time.monotonic() - began


def _made() -> list[Odd]:
    warnings.simplefilter("ignore")
    return list(corpus())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="for machines")
    asked = parser.parse_args()
    # Made in another process, so that this one has no memory at hand to use again.
    processes = multiprocessing.get_context("fork")
    with processes.Pool(1) as maker:
        files = maker.apply(_made)
    decode_image(files[0].data, "first")
    with processes.Pool(1, maxtasksperchild=1) as pool:
        costs = [pool.apply_async(_cost, (odd,)).get(LONGEST_SECONDS) for odd in files]
        heaviest = sorted(zip(costs, files, strict=True), key=lambda pair: -pair[0].memory_mb)
        worst = [odd for _, odd in heaviest[:AT_ONCE]]
        together, seconds = pool.apply_async(_together, (worst,)).get(10 * LONGEST_SECONDS)
    wrong = [cost.wrong for cost in costs if cost.wrong]
    if asked.json:
        print(json.dumps({"files": [asdict(c) for c in costs], "together_mb": together}))
        sys.exit(bool(wrong))
    decoded = sum("decoded" in cost.became for cost in costs)
    print(
        f"{len(costs)} files: {decoded} decoded, {len(costs) - decoded} refused, {len(wrong)} wrong"
    )
    for what, unit in (("seconds", "s"), ("memory_mb", "MB")):
        print(f"most {what} of one file:")
        for cost in sorted(costs, key=lambda c: -getattr(c, what))[:5]:
            print(
                f"  {getattr(cost, what):7.2f} {unit}  {cost.name}: {', '.join(cost.became)[:90]}"
            )
    print(f"{AT_ONCE} of the heaviest at once: {together:.0f} MB in {seconds:.1f} s")
    print("\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
