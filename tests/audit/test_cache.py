"""What a study's key depends on, and what stays of a broken write."""

import json
import os
from pathlib import Path

import pytest

from defectvision.audit import cache as cache_module
from defectvision.audit.cache import STUDIES, known_key, study_key, write_folder
from defectvision.data.image_set import ImageSet, open_set
from defectvision.limits import PIXELS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    root.mkdir()
    for name in ("a.png", "b.png", "b_mask.png"):
        (root / name).write_bytes(name.encode())
    (root / "index.csv").write_text("path,label,mask\na.png,,\nb.png,x,b_mask.png\n")
    return root


def key(root: Path, limit: int = PIXELS, image_set: ImageSet | None = None) -> str:
    opened = image_set or open_set(root, limit)
    return study_key(opened, lambda done, total: None, root.parent / "cache")


CHANGES = {
    "an image": lambda root: (root / "a.png").write_bytes(b"another"),
    "a mask": lambda root: (root / "b_mask.png").write_bytes(b"another mask"),
    "a label": lambda root: (root / "index.csv").write_text("path,label\na.png,\nb.png,y\n"),
    "class numbers": lambda root: (root / "classes.csv").write_text("1,x\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_study_depends_on_changes_its_key(root: Path, change: str) -> None:
    before = key(root)
    assert key(root) == before
    CHANGES[change](root)
    assert key(root) != before


def test_another_limit_is_another_study(root: Path) -> None:
    assert key(root, 1000) != key(root, 2000)


def test_a_moved_set_is_recognised_by_its_content(root: Path) -> None:
    before = key(root)
    (root / "notes.txt").write_text("beside the images")
    assert key(root.rename(root.parent / "moved")) == before


def test_a_file_that_did_not_change_is_not_read_again(root: Path) -> None:
    before = key(root)
    status = (root / "a.png").stat()
    (root / "a.png").write_bytes(b"A.png")  # as long, and as old
    os.utime(root / "a.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert key(root) == before


def test_a_key_is_known_at_once_only_while_no_file_must_be_read(root: Path) -> None:
    image_set, cache = open_set(root, PIXELS), root.parent / "cache"
    assert known_key(image_set, cache) is None
    whole = key(root)
    assert known_key(image_set, cache) == whole
    (root / "b_mask.png").write_bytes(b"another mask")
    assert known_key(image_set, cache) is None
    (root / "b_mask.png").unlink()
    assert known_key(image_set, cache) == key(root, image_set=image_set) != whole


def test_a_kill_while_files_are_read_costs_seconds_of_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(cache_module, "TOLD", 1)
    image_set, cache = open_set(root, PIXELS), root.parent / "cache"

    def kill(done: int, files: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study_key(image_set, kill, cache)
    (memory,) = (cache / "digests").iterdir()
    assert list(json.loads(memory.read_text())) == ["a.png"]
    assert study_key(image_set, lambda done, files: None, cache) == key(root)


def test_a_damaged_memory_of_digests_is_no_reason_to_fail(root: Path) -> None:
    before = key(root)
    (memory,) = (root.parent / "cache" / "digests").iterdir()
    for content in ("{", "[]", "null"):
        memory.write_text(content)
        assert key(root) == before


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "studies" / "one"

    def broken(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_folder(place, broken)
    assert list(place.parent.iterdir()) == []
    write_folder(place, lambda folder: (folder / "whole").touch())
    with pytest.raises(OSError, match="disk full"):
        write_folder(place, broken)
    assert [file.name for file in place.iterdir()] == ["whole"]


def test_the_studies_used_last_are_kept(tmp_path: Path) -> None:
    for number in range(STUDIES):
        folder = tmp_path / f"{number:02d}"
        folder.mkdir()
        os.utime(folder, (number, number))
    os.utime(tmp_path / "00", None)  # opened again a moment ago
    write_folder(tmp_path / "new", lambda folder: None)
    names = {folder.name for folder in tmp_path.iterdir()}
    assert len(names) == STUDIES and {"new", "00"} <= names and "01" not in names
