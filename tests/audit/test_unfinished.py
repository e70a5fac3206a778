"""What is kept of a study that has not come to its end, and what of it is believed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from defectvision.audit.reading import Reading
from defectvision.audit.unfinished import KEPT, Unfinished, unfinished
from defectvision.copies.alignment import Agreement
from defectvision.copies.keypoints import extract
from defectvision.data.synthetic.samples import draw

AGREEMENT = Agreement(40, 60, 0.9, 0.95, 1.0, "rotated")


def reading(image: int) -> Reading:
    pixels = draw("casting", "def", np.random.default_rng(image), 128)
    return Reading(
        image,
        {"width": 128, "brightness": 100 / 3, "format": "png", "sha256": str(image)},
        [{"image": image, "label": "毛刺", "area_px": 12, "x": np.float64(1 / 3)}],
        {"毛刺": np.full((32, 32), 1 / 3, np.float32)},
        extract(pixels if pixels.ndim == 2 else pixels[..., 0]),
        ["a remark"],
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    work = Unfinished(tmp_path, 5)
    work.add_readings([reading(0), reading(1)])
    work.add_readings([reading(2), Reading(3, errors=["3.png: damaged."])])
    work.add_agreements([(0, 1), (1, 2)], [AGREEMENT, None])
    work.close()
    return tmp_path


def test_what_was_measured_is_there_again_as_it_was(folder: Path) -> None:
    work = Unfinished(folder, 5)
    assert list(work.readings) == [0, 1, 2, 3]
    for image in range(3):
        once, again = reading(image), work.readings[image]
        assert (again.measures, again.errors) == (once.measures, once.errors)
        assert again.regions == once.regions
        assert np.array_equal(again.coverage["毛刺"], once.coverage["毛刺"])
        assert once.features is not None
        assert np.array_equal(work.features.descriptors(image), once.features.descriptors)
    assert work.agreements == {(0, 1): AGREEMENT, (1, 2): None}


@pytest.mark.parametrize("name", ["readings.jsonl", "pairs.jsonl"])
@pytest.mark.parametrize("torn", [b'{"image": 4, "meas', b"[3, 4", b"\0" * 300, b"null\n", b"[]\n"])
def test_a_line_that_was_cut_off_costs_itself_alone(folder: Path, name: str, torn: bytes) -> None:
    with (folder / name).open("ab") as file:
        file.write(torn)
    work = Unfinished(folder, 5)
    assert list(work.readings) == [0, 1, 2, 3] and len(work.agreements) == 2
    work.add_readings([reading(4)])
    work.add_agreements([(3, 4)], [AGREEMENT])
    work.close()
    after = Unfinished(folder, 5)
    assert list(after.readings) == [0, 1, 2, 3, 4] and len(after.agreements) == 3


def test_a_picture_whose_features_were_lost_is_measured_again(folder: Path) -> None:
    file = folder / "descriptors.bin"
    whole = bytearray(file.read_bytes())
    one = len(whole) // 5
    whole[one : 2 * one] = bytes(one)  # as after a loss of power
    file.write_bytes(whole)
    work = Unfinished(folder, 5)
    assert list(work.readings) == [0, 2, 3]
    work.add_readings([reading(1)])
    work.close()
    assert sorted(Unfinished(folder, 5).readings) == [0, 1, 2, 3]


def test_it_is_taken_away_at_the_end_and_kept_where_there_was_none(tmp_path: Path) -> None:
    with unfinished(tmp_path, "one", 5) as work:
        work.add_readings([reading(0)])
    assert list((tmp_path / "unfinished").iterdir()) == []
    with pytest.raises(OSError, match="disk full"), unfinished(tmp_path, "one", 5) as work:
        work.add_readings([reading(0)])
        raise OSError("disk full")
    with unfinished(tmp_path, "one", 5) as work:
        assert list(work.readings) == [0]


HOLDER = """
import sys, time
from pathlib import Path
from defectvision.audit.unfinished import unfinished
with unfinished(Path(sys.argv[1]), sys.argv[2], 5):
    print("held", flush=True)
    time.sleep(600)
"""


def held(cache: Path, key: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(cache), key]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_two_processes_never_have_the_same_one(tmp_path: Path) -> None:
    """The second waits until the first ends, however it ends."""
    holder = held(tmp_path, "one")
    waiting, had = threading.Event(), threading.Event()

    def second() -> None:
        with unfinished(tmp_path, "one", 5, waiting.set):
            had.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert waiting.wait(20) and not had.wait(0.5)
    holder.kill()
    holder.wait()
    assert had.wait(20)
    thread.join()
    with unfinished(tmp_path, "one", 5, pytest.fail):
        pass


def test_those_that_nobody_goes_on_with_do_not_pile_up(tmp_path: Path) -> None:
    place = tmp_path / "unfinished"
    for number in range(KEPT + 3):
        with pytest.raises(RuntimeError), unfinished(tmp_path, f"old{number}", 5):
            raise RuntimeError
        for file in (place / f"old{number}").glob("*.jsonl"):
            os.utime(file, (number, number))
    holder = held(tmp_path, "old0")  # the oldest, and somebody is at it
    for file in (place / "old0").glob("*.jsonl"):
        os.utime(file, (0, 0))
    with unfinished(tmp_path, "new", 5):
        time.sleep(0)
    kept = {folder.name for folder in place.iterdir() if folder.is_dir()}
    holder.kill()
    holder.wait()
    assert kept == {"old0", *(f"old{n}" for n in range(3, KEPT + 3))}
