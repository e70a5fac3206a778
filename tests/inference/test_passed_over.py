"""What of a folder or zip file is no image is counted by suffix, and said."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from defectvision.inference.passed_over import MOST_KINDS, OTHER, PassedOver
from defectvision.inference.sources import Limits, expand_uploads, images_below, read_paths

LOTS: dict[str, tuple[list[str], dict[str, int]]] = {
    "images alone": (["a.png", "left/b.JPG"], {}),
    "texts": (["a.png", "notes.txt", "b/c.TXT", "d.xml"], {".txt": 2, ".xml": 1}),
    "annotations": ([f"{i}.{end}" for i in range(5) for end in ("png", "json")], {".json": 5}),
    "no suffix": (["a.png", "README", "deep/er/LICENSE"], {"without suffix": 2}),
    "hidden": ([".DS_Store", ".git/config.txt", "a/.x/y.txt", "__MACOSX/._a.txt", "a.png"], {}),
    "hidden images": ([".a.png", "__MACOSX/._b.png", "a.png"], {}),
    "windows": (["a.png", "Thumbs.db", "desktop.ini"], {".db": 1, ".ini": 1}),
    "odd suffixes": (
        ["a.png", "b.\u202egnp", "c." + "x" * 40, "d.a b", "e.1-2", "f.日本"],
        {OTHER: 3, ".1-2": 1, ".日本": 1},
    ),
    "spelled otherwise": (["a.PNG", "b.Tiff", "c.png.bak", "d.png~"], {".bak": 1, OTHER: 1}),
    "many kinds": (
        ["a.png", *(f"f.k{i:02}" for i in range(MOST_KINDS + 3))],
        {f".k{i:02}": 1 for i in range(MOST_KINDS)} | {OTHER: 3},
    ),
}  # fmt: skip


def zipped(names: list[str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
        archive.writestr("folder/", b"")
    return out.getvalue()


def folder(names: list[str], place: Path) -> Path:
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"x")
    (place / "empty.txt").mkdir()
    return place


@pytest.mark.parametrize("lot", LOTS)
@pytest.mark.parametrize("kind", ["uploaded zip", "zip on disk", "folder", "images below"])
def test_files_that_are_no_images_are_counted(tmp_path, kind, lot) -> None:
    names, expected = LOTS[lot]
    passed_over = PassedOver()
    if kind == "uploaded zip":
        list(expand_uploads([("lot.zip", zipped(names))], Limits(), passed_over))
    elif kind == "zip on disk":
        (tmp_path / "lot.zip").write_bytes(zipped(names))
        list(read_paths([tmp_path / "lot.zip"], passed_over=passed_over))
    elif kind == "folder":
        list(read_paths([folder(names, tmp_path / ".hidden" / "lot")], passed_over=passed_over))
    else:
        images_below(folder(names, tmp_path / "lot"), passed_over)
    if lot == "many kinds":  # a folder is not listed in order
        assert (len(passed_over), passed_over.total()) == (len(expected), sum(expected.values()))
        assert passed_over[OTHER] == 3
    else:
        assert passed_over == expected


def test_several_sources_are_counted_together(tmp_path) -> None:
    (tmp_path / "b.zip").write_bytes(zipped(["a.png", "n.txt"]))
    lots = [folder(["a.png", "n.txt", "m.xml"], tmp_path / "a"), tmp_path / "b.zip"]
    passed_over = PassedOver()
    assert len(list(read_paths(lots, passed_over=passed_over))) == 2
    assert passed_over == {".txt": 2, ".xml": 1}


def test_archives_are_counted_in_a_folder_and_named_in_a_zip_file(tmp_path) -> None:
    names = ["a.png", "b.zip", "c.tar.gz"]
    passed_over = PassedOver()
    assert len(images_below(folder(names, tmp_path), passed_over)) == 1
    assert passed_over == {".zip": 1, ".gz": 1}
    passed_over = PassedOver()
    uploads = list(expand_uploads([("lot.zip", zipped(names))], Limits(), passed_over))
    assert [u.error is None for u in uploads] == [True, False, False] and not passed_over


def test_a_file_that_is_named_is_not_passed_over(tmp_path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x")
    passed_over = PassedOver()
    assert len(list(read_paths([tmp_path / "a.txt"], passed_over=passed_over))) == 1
    assert len(list(expand_uploads([("b.txt", b"x")], Limits(), passed_over))) == 1
    assert not passed_over


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ""),
        (["a.txt"], "1 file passed over: 1 .txt"),
        (
            ["a.xml", "b.xml", *(f"{i}.txt" for i in range(10))],
            "12 files passed over: 10 .txt, 2 .xml",
        ),
        (["a.b", "a.a", "x"], "3 files passed over: 1 .a, 1 .b, 1 without suffix"),
        (["a.txt"] * 1200 + ["a.\n"], "1,201 files passed over: 1,200 .txt, 1 of other kinds"),
    ],
)
def test_words(names, words) -> None:
    passed_over = PassedOver()
    for name in names:
        passed_over.add(PurePosixPath(name))
    assert passed_over.words == words
    assert PassedOver(dict(passed_over)).words == words, "as the store keeps it"
