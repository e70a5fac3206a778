"""What keeping results costs, and how fast a large table answers.

    python -m benchmarks.batches ../shared/data/casting --line casting --images 2000

The same images, made distinct by a few bytes after the picture's end, go through the inspector
alone, read from disk, and through the worker of the Batches page with the store on, in turns in
one run. Then 100,000 made-up inspections are filtered, counted, paged and put under other
thresholds; a time is the median of 5.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event

from defectvision.batch.runner import work_on
from defectvision.batch.start import BatchRequest, start_batch
from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.reader import load_bundle
from defectvision.inference.inspector import load_inspector
from defectvision.inference.sources import images_below
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.settings import Settings
from defectvision.store.batches import count_images
from defectvision.store.database import open_store
from defectvision.store.results import Results
from defectvision.store.selection import Filter, Sorting
from tests.stand_ins.bundles import LINES
from tests.stand_ins.stores import fill

TURNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--line", default="casting")
    parser.add_argument("--images", type=int, default=2000, help="0 leaves this part out")
    parser.add_argument("--rows", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.images:
            _throughput(Path(folder), asked)
        _table(Path(folder), asked.rows)


def _throughput(folder: Path, asked: argparse.Namespace) -> None:
    weights = Settings().weights
    files = images_below(asked.data)
    inspector = load_inspector(weights, asked.line, None, Limits())
    rates: dict[str, list[float]] = {"inspector alone": [], "worker with the store": []}
    for turn in range(TURNS):
        lot = folder / f"lot-{turn}"
        lot.mkdir()
        for i in range(asked.images):
            source = files[i % len(files)]
            # The same picture as another file: else the store would know its answer.
            content = source.read_bytes() + i.to_bytes(4, "big") + bytes([turn])
            (lot / f"{i:06d}{source.suffix}").write_bytes(content)

        def read(lot: Path = lot) -> Iterator[tuple[str, bytes]]:
            return ((file.name, file.read_bytes()) for file in images_below(lot))

        started = time.perf_counter()
        for _ in inspector.inspect_many(read()):
            pass
        rates["inspector alone"].append(asked.images / (time.perf_counter() - started))
        store = open_store(folder / f"store-{turn}")
        loaded = load_bundle(weights, asked.line)
        number = start_batch(store, loaded, BatchRequest(path=lot), None, unproven("benchmark")).id
        started = time.perf_counter()
        work_on(store, weights, Limits(), number, Event())
        rates["worker with the store"].append(asked.images / (time.perf_counter() - started))
        with store.reading() as session:
            counts = count_images(session, number)
        assert (counts.done, counts.repeated) == (asked.images, 0), counts
        shutil.rmtree(lot)
        shutil.rmtree(store.folder)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, rate in medians.items():
        print(f"{name}: {rate:.1f} images/s")
    alone, kept = medians.values()
    print(f"ratio: {kept / alone:.2f}")


def _table(folder: Path, rows: int) -> None:
    for name in ("casting", "severstal-strip"):
        store = open_store(folder / name)
        print(f"{name}, {rows:,} inspections: ms for counts and charts, ms for a page by score")
        _ask(Results.open(store, fill(store, LINES[name], rows)))


def _ask(results: Results) -> None:
    policy, other = Policy(accept_below=0.3, reject_above=0.6), Policy()
    label = results.line.class_names[-1]
    filters = {
        "all": Filter(),
        "verdict": Filter(verdicts=frozenset({Verdict.REJECT})),
        "label": Filter(classes=frozenset({label})),
        "score": Filter(low=0.4, high=0.6),
        "name": Filter(text="0099"),
        "not reviewed": Filter(reviewed=False),
    }
    for words, chosen in filters.items():
        selection = results.selection(policy, chosen)
        counts = _ms(partial(results.summary, selection))
        page = _ms(partial(results.page, selection, Sorting("defect_score", descending=True)))
        print(f"  {words}: {counts:.0f}, {page:.0f}")
    moved = results.selection(other)
    print(f"  all, under a moved threshold: {_ms(partial(results.summary, moved)):.0f}")


def _ms(work: Callable[[], object]) -> float:
    took = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        took.append((time.perf_counter() - started) * 1e3)
    return statistics.median(took)


if __name__ == "__main__":
    main()
