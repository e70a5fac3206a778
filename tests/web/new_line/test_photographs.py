"""Uploaded photographs are looked at before they are kept, whatever they are called."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import pytest

from defectvision.limits import PIXELS
from defectvision.roots import NotAllowedError
from defectvision.web.new_line.photographs import Intake, allowed_folder, leave_out
from defectvision.web.new_line.runs import Run, find_run, new_run
from tests.stand_ins.castings import casting

PARTS = [casting("ok", i) for i in range(4)]


class BrokenOffError(Exception):
    """Somebody clicks."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return new_run(tmp_path / "runs")


def take(run: Run, *files: tuple[str, bytes], limit: int = PIXELS) -> None:
    Intake(list(files)).take_in(run, limit, lambda _done: None)


def zipped(*files: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files:
            archive.writestr(name, data)
    return packed.getvalue()


def test_a_photograph_is_kept_under_a_name_of_its_content(run: Run) -> None:
    take(run, ("../../Gehäuse 1.PNG", PARTS[0]), ("a.png", PARTS[1]), ("a.png", PARTS[2]))
    kept = run.photographs()
    files = sorted(p.name for p in run.images.iterdir())
    assert files == sorted(kept.names) and len(files) == 3
    assert all(len(f) == 24 and f.endswith(".png") for f in files)
    assert sorted(kept.names.values()) == ["../../Gehäuse 1.PNG", "a.png", "a.png"]
    assert [p for p in run.folder.parent.parent.rglob("*") if "Geh" in p.name] == []


def test_an_exact_copy_counts_once_and_is_told(run: Run) -> None:
    take(run, ("a.png", PARTS[0]), ("b.png", PARTS[0]))
    take(run, ("c.png", PARTS[0]), ("d.png", PARTS[1]))
    kept = run.photographs()
    assert len(kept.names) == 2 and kept.again == ("b.png", "c.png")


@pytest.mark.parametrize(
    ("name", "data", "limit", "said"),
    [
        ("torn.png", PARTS[0][:900], PIXELS, "damaged or cut off"),
        ("large.png", PARTS[0], 1000, "megapixels, more than"),
        ("words.jpg", b"these are words", PIXELS, "words.jpg"),
        ("empty.png", b"", PIXELS, "empty.png"),
        ("lot.zip", zipped(("notes.txt", b"hi")), PIXELS, "without an image"),
    ],
)
def test_what_is_no_whole_photograph_is_named_and_left_out(
    run: Run, name: str, data: bytes, limit: int, said: str
) -> None:
    small = PARTS[1]
    take(run, (name, data), limit=limit)
    take(run, ("good.png", small))
    kept = run.photographs()
    (refused,) = kept.refused
    assert refused.startswith(name) and said in refused
    assert list(kept.names.values()) == ["good.png"]
    assert [p.name for p in run.images.iterdir()] == list(kept.names)


def test_the_photographs_of_a_zip_file_are_taken_one_by_one(run: Run) -> None:
    lot = zipped(("left/a.png", PARTS[0]), ("left/torn.png", PARTS[1][:500]), ("b.png", PARTS[2]))
    take(run, ("lot.zip", lot))
    kept = run.photographs()
    assert sorted(kept.names.values()) == ["lot.zip/b.png", "lot.zip/left/a.png"]
    assert len(kept.refused) == 1 and "lot.zip/left/torn.png" in kept.refused[0]


def test_looking_that_is_broken_off_goes_on_where_it_was(run: Run) -> None:
    lot = zipped(*((f"{i}.png", part) for i, part in enumerate(PARTS[1:])))
    intake = Intake([("first.png", PARTS[0]), ("lot.zip", lot)])

    def click(done: int) -> None:
        if done == 2:
            raise BrokenOffError

    with pytest.raises(BrokenOffError) as broken:  # which is still known when it goes on
        intake.take_in(run, PIXELS, click)
    assert len(run.photographs().names) == 2
    told: list[int] = []
    intake.take_in(run, PIXELS, told.append)
    del broken
    kept = run.photographs()
    assert told == [1, 2] and len(kept.names) == 4 and kept.again == ()


def test_two_windows_on_the_same_photographs_lose_none(run: Run) -> None:
    def other(done: int) -> None:
        take(run, (f"other{done}.png", PARTS[done]), ("torn.png", PARTS[0][:500]))

    Intake([("mine.png", PARTS[0])]).take_in(run, PIXELS, other)
    kept = run.photographs()
    assert sorted(kept.names.values()) == ["mine.png", "other1.png"] and len(kept.refused) == 1


def test_a_place_that_cannot_be_written_loses_nothing_that_was_kept(run: Run) -> None:
    take(run, ("a.png", PARTS[0]), ("torn.png", PARTS[1][:500]))
    before = run.photographs()
    shutil.rmtree(run.images)
    run.images.write_text("no folder")
    with pytest.raises(OSError):
        take(run, ("b.png", PARTS[2]))
    assert run.photographs() == before and len(before.names) == len(before.refused) == 1


def test_what_is_left_out_is_gone(run: Run) -> None:
    take(run, *((f"{i}.png", part) for i, part in enumerate(PARTS)))
    first = next(iter(run.photographs().names))
    leave_out(run, [first, "no-such-file.png", "../../photographs.json"])
    assert len(run.photographs().names) == 3
    assert not (run.images / first).exists() and (run.folder / "photographs.json").is_file()


def test_a_folder_is_only_read_below_a_root(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    for folder in (root / "good" / "deep", secret):
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(PARTS[0])
    (root / "good" / "b.JPG").write_bytes(PARTS[1])
    (root / "good" / "notes.txt").write_text("no picture")
    assert allowed_folder(root / "good", [root]) == ((root / "good").resolve(), 2)
    for given in (secret, root / "good" / ".." / ".." / "secret", root / "nowhere" / ".." / ".."):
        with pytest.raises(NotAllowedError, match="not below a folder that may be read"):
            allowed_folder(given, [root])
    with pytest.raises(NotADirectoryError):
        allowed_folder(root / "missing", [root])
    (root / "good" / "link").symlink_to(secret)
    with pytest.raises(NotAllowedError, match="leads out"):
        allowed_folder(root / "good", [root])


@pytest.mark.parametrize("name", ["..", "../runs", "", "line", "20260101-000000-zzzzzzzz"])
def test_no_address_leads_to_another_folder(run: Run, name: str) -> None:
    assert find_run(run.folder.parent, name) is None
    assert find_run(run.folder.parent, run.id) == run
