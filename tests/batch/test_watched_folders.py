"""A watched folder loses no picture: what counts is content, and what changed is looked at."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select

from defectvision.batch import watch
from defectvision.batch.memory import Memory
from defectvision.batch.runner import work_on
from defectvision.batch.sources import folder_source
from defectvision.bundle.reader import load_bundle
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store import batches
from defectvision.store.batches import State
from defectvision.store.database import Store
from defectvision.store.files import digest_of
from defectvision.store.tables import InspectionRow
from tests.stand_ins.castings import casting

GOOD, BAD, OTHER = casting("ok", 3), casting("def", 105), casting("def", 108)


@dataclass
class Camera:
    """A folder that a batch watches, in the hands of one server."""

    store: Store
    weights: Path
    folder: Path
    clock: list[float]
    number: int = 0
    memory: Memory = field(default_factory=Memory)

    def write(self, name: str, data: bytes) -> Path:
        file = self.folder / name
        file.write_bytes(data)
        return file

    def look(self, seconds: float = 2.0) -> None:
        """Have the server look twice, with some time between."""
        for _ in range(2):
            work_on(self.store, self.weights, Limits(), self.number, Event(), memory=self.memory)
            self.clock[0] += seconds

    def restart(self) -> None:
        """The server starts again, and remembers nothing."""
        self.memory = Memory()

    @property
    def rows(self) -> dict[str, tuple[str, str | None]]:
        """State and content of each image."""
        with self.store.reading() as session:
            wanted = select(InspectionRow).where(InspectionRow.batch_id == self.number)
            found = session.scalars(wanted.order_by(InspectionRow.id))
            return {row.name: (row.state, row.digest) for row in found}

    @property
    def said(self) -> tuple[str, str]:
        with self.store.reading() as session:
            batch = batches.get_batch(session, self.number)
            return batch.state, batch.message


@pytest.fixture
def camera(store, weights, tmp_path, clock) -> Camera:
    folder = tmp_path / "camera"
    folder.mkdir()
    made = Camera(store, weights, folder, clock)
    with store.session() as session:
        source = folder_source(folder, None, watch=True)
        made.number = batches.add_batch(
            session, load_bundle(weights, "casting"), source, "shift 1", unproven("ada")
        ).id
    made.look()
    return made


def done(*parts: bytes) -> list[tuple[str, str]]:
    return [("done", digest_of(part)) for part in parts]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_camera_that_overwrites_one_file_has_every_part_inspected(camera, restarted) -> None:
    for part in (GOOD, BAD, OTHER, GOOD):
        camera.write("cap.png", part)
        if restarted:
            camera.restart()
        camera.look()
        camera.look()
    assert list(camera.rows.values()) == done(GOOD, BAD, OTHER, GOOD)
    assert list(camera.rows) == ["cap.png", "cap (2).png", "cap (3).png", "cap (4).png"]


def test_another_part_of_the_same_name_size_and_time_is_seen(camera) -> None:
    size = max(len(GOOD), len(BAD)) + 1
    first, second = (part.ljust(size, b"\0") for part in (GOOD, BAD))
    file = camera.write("cap.png", first)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    camera.look()
    camera.write("cap.png", second)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    camera.look()
    assert list(camera.rows.values()) == done(first, second)


@pytest.mark.parametrize("how", ["touched", "written again", "replaced", "copied back"])
def test_the_same_content_is_no_other_part(camera, how) -> None:
    file = camera.write("cap.png", GOOD)
    camera.look()
    if how == "touched":
        os.utime(file)
    elif how == "written again":
        file.write_bytes(GOOD)
    elif how == "replaced":
        camera.write("new", GOOD).replace(file)
    else:
        file.rename(camera.folder / "away")
        camera.look()
        (camera.folder / "away").rename(file)
    camera.look()
    camera.look()
    assert camera.rows == {"cap.png": ("done", digest_of(GOOD))}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("half", [GOOD[:9000], b"", bytes(len(GOOD))])
def test_a_file_that_was_read_half_written_is_read_again(camera, restarted, half) -> None:
    camera.write("slow.png", half)
    camera.look()
    assert camera.rows["slow.png"][0] == "failed"
    camera.write("slow.png", GOOD)
    if restarted:
        camera.restart()
    camera.look()
    assert camera.rows == {"slow.png": ("done", digest_of(GOOD))}
    with camera.store.reading() as session:
        assert batches.count_images(session, camera.number).failed == 0


def test_a_file_that_fails_often_is_looked_at_as_often_as_it_changes(camera) -> None:
    for i in range(12):
        camera.write("slow.png", GOOD[: 500 * i])
        camera.look()
    camera.write("slow.png", GOOD)
    camera.look()
    assert camera.rows == {"slow.png": ("done", digest_of(GOOD))}


def test_a_file_is_not_read_while_somebody_writes_it(camera) -> None:
    for i in range(6):
        camera.write("slow.png", GOOD[: 3000 * i])
        camera.look(seconds=0.4)
        assert camera.rows == {}
    camera.write("slow.png", GOOD)
    camera.look()
    assert camera.rows == {"slow.png": ("done", digest_of(GOOD))}


@pytest.mark.parametrize("ahead", [-3600, 3600, 10 * 365 * 86_400])
@pytest.mark.parametrize("restarted", [False, True])
def test_the_cameras_clock_is_of_no_matter(camera, ahead, restarted) -> None:
    file = camera.write("ahead.png", GOOD)
    os.utime(file, (time.time() + ahead,) * 2)
    if restarted:
        camera.restart()
    camera.look()
    assert camera.rows == {"ahead.png": ("done", digest_of(GOOD))}


def test_a_folder_that_was_away_is_followed_again_and_the_message_goes(camera) -> None:
    camera.write("a.png", GOOD)
    camera.look()
    away = camera.folder.rename(camera.folder.with_name("away"))
    for _ in range(5):
        camera.look(seconds=60)
    state, message = camera.said
    assert state == State.WATCHING and f"{camera.folder}: is gone" in message
    (away / "b.png").write_bytes(BAD)
    away.rename(camera.folder)
    for _ in range(3):
        camera.look()
    assert camera.said == (State.WATCHING, "")
    assert camera.rows == {"a.png": done(GOOD)[0], "b.png": done(BAD)[0]}


def test_a_mount_that_is_gone_is_told_from_an_empty_folder(camera, monkeypatch) -> None:
    file = camera.write("a.png", GOOD)
    camera.look()
    file.unlink()
    camera.look()
    assert camera.said == (State.WATCHING, ""), "somebody took the files away"
    stat = Path.stat

    def on_another_disk(path: Path, **more: bool) -> os.stat_result:
        about = stat(path, **more)
        if path != camera.folder:
            return about
        return os.stat_result((*about[:2], about.st_dev + 1, *about[3:10]))

    with monkeypatch.context() as unmounted:
        unmounted.setattr(Path, "stat", on_another_disk)
        camera.look()
        assert "is not mounted" in camera.said[1]
    camera.clock[0] += 60
    camera.look()
    assert camera.said == (State.WATCHING, "")


def test_an_image_that_vanishes_before_it_is_read_spoils_no_other(camera, monkeypatch) -> None:
    """A share that is away for a moment looks the same: it is tried some times."""
    gone = camera.write("a.png", GOOD)
    camera.write("b.png", BAD)
    changed = watch.Watch.changed

    def moved_then(self, *given):
        found = changed(self, *given)
        if gone in found:
            gone.rename(gone.with_suffix(".away"))
        return found

    with monkeypatch.context() as moving:
        moving.setattr(watch.Watch, "changed", moved_then)
        camera.look()
        assert camera.rows["b.png"] == done(BAD)[0] and camera.rows["a.png"][0] == "waiting"
    gone.with_suffix(".away").rename(gone)
    camera.look(seconds=30)
    camera.look(seconds=30)
    assert camera.rows["a.png"] == done(GOOD)[0]
    gone = camera.write("c.png", OTHER)
    monkeypatch.setattr(watch.Watch, "changed", moved_then)
    for _ in range(8):
        camera.look(seconds=60)
    assert camera.rows["c.png"][0] == "failed"


def test_it_is_said_when_images_come_no_more_as_usual(camera) -> None:
    for i in range(8):
        camera.write(f"{i}.png", GOOD + bytes([i]))
        camera.look(seconds=10)
    assert camera.said[1] == ""
    camera.look(seconds=60)
    camera.look(seconds=360)
    camera.look(seconds=1)
    assert camera.said[1].startswith("no image for 1") and "usually one comes" in camera.said[1]
    camera.write("new.png", GOOD)
    camera.look()
    camera.look()
    assert camera.said == (State.WATCHING, "")


def test_names_that_look_alike_are_each_inspected(camera) -> None:
    """The order in which they come changes nothing of those that were there."""
    folder = os.fsencode(camera.folder)
    for letter, part in ((b"\xf7", GOOD), (b"\xf6", BAD)):
        with open(folder + b"/" + letter + b".png", "wb") as file:  # noqa: PTH123 - bytes
            file.write(part)
        camera.look()
    assert camera.rows == {"�.png": done(GOOD)[0], "� (2).png": done(BAD)[0]}
