"""A bundle as a zip file, and what is refused of one that anybody may have made."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from defectvision.bundle.reader import load_bundle
from defectvision.inference import parcel
from defectvision.inference.parcel import ParcelError, pack, unpack

Files = dict[str, bytes]


@pytest.fixture
def files(weights: Path) -> Files:
    """What a zip file of the bundle holds, by name."""
    with zipfile.ZipFile(io.BytesIO(pack(load_bundle(weights, "casting")))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: Files, **more: zipfile.ZipInfo) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(more.get(name, name), content)
    return out


def test_what_is_packed_unpacks_to_the_same_bundle(weights: Path, tmp_path: Path) -> None:
    loaded = load_bundle(weights, "casting")
    content = pack(loaded)
    assert content == pack(loaded)
    line, name = unpack(io.BytesIO(content), tmp_path)
    assert (line, name) == (loaded.line, "resnet50")
    for file in loaded.folder.iterdir():
        assert (tmp_path / "casting" / "resnet50" / file.name).read_bytes() == file.read_bytes()


def without(name: str) -> Callable[[Files], Files]:
    return lambda files: {n: c for n, c in files.items() if n != name}


def renamed(old: str, new: str) -> Callable[[Files], Files]:
    return lambda files: {new if n == old else n: c for n, c in files.items()}


def changed(name: str, old: bytes, new: bytes) -> Callable[[Files], Files]:
    return lambda files: {n: c.replace(old, new) if n == name else c for n, c in files.items()}


ABOUT, MODEL = "casting/resnet50/bundle.json", "casting/resnet50/model.onnx"
HOSTILE: dict[str, tuple[Callable[[Files], Files], str]] = {
    "climbs": (lambda f: f | {"../../evil.py": b""}, "has no place in a bundle"),
    "absolute": (lambda f: f | {"/etc/passwd": b""}, "has no place in a bundle"),
    "backslash": (lambda f: f | {"casting\\resnet50\\x": b""}, "has no place in a bundle"),
    "hidden": (lambda f: f | {"casting/resnet50/.x": b""}, "has no place in a bundle"),
    "nested": (lambda f: f | {"casting/resnet50/deep/x": b""}, "has no place in a bundle"),
    "another line": (lambda f: f | {"casting/other.json": b""}, "has no place in a bundle"),
    "two bundles": (lambda f: f | {"casting/b/bundle.json": b"{}"}, "must hold one bundle"),
    "two lines": (lambda f: f | {"tiles/line.json": b"{}"}, "must hold one bundle"),
    "a stranger": (lambda f: f | {"casting/resnet50/run.py": b""}, "has no hash"),
    "no model": (without(MODEL), "lacks 'model.onnx'"),
    "no bundle.json": (without(ABOUT), "has no casting/resnet50/bundle.json"),
    "no line.json": (without("casting/line.json"), "has no casting/line.json"),
    "no json": (lambda f: f | {ABOUT: b"{"}, "bundle.json: the file: invalid json"),
    "another name": (changed(ABOUT, b'"resnet50"', b'"resnet51"'), "says it is"),
    "another line's": (changed("casting/line.json", b'"casting"', b'"tiles"'), "of line 'tiles'"),
    "too long a text": (lambda f: f | {ABOUT: bytes(parcel.MOST_WORDS + 1)}, "unfolds to more"),
    "many files": (
        lambda f: f | {f"casting/resnet50/{i}": b"" for i in range(parcel.MOST_FILES)},
        "has more than 40 files",
    ),
    "empty": (lambda f: {}, "must hold one bundle of one line; it holds none"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_what_is_no_bundle_is_refused_in_words(how: str, files: Files, tmp_path: Path) -> None:
    change, words = HOSTILE[how]
    folder = tmp_path / "a" / "b"
    with pytest.raises(ParcelError, match=words):
        unpack(zipped(change(files)), folder)
    left = {p for p in tmp_path.rglob("*") if p.is_file()}
    assert all(p.is_relative_to(folder) for p in left)


def test_links_encryption_and_damage_are_refused(files: Files, tmp_path: Path) -> None:
    link = zipfile.ZipInfo(MODEL)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ParcelError, match="no ordinary file"):
        unpack(zipped(files | {MODEL: b"/etc/passwd"}, **{MODEL: link}), tmp_path / "1")
    lzma = zipfile.ZipInfo(MODEL)
    lzma.compress_type = zipfile.ZIP_LZMA
    with pytest.raises(ParcelError, match="unusual method"):
        unpack(zipped(files, **{MODEL: lzma}), tmp_path / "2")
    content = zipped(files).getvalue()
    with pytest.raises(ParcelError, match="no zip file, or a damaged one"):
        unpack(io.BytesIO(content[: len(content) // 2]), tmp_path / "3")
    with pytest.raises(ParcelError, match="no zip file"):
        unpack(io.BytesIO(b"\x89PNG" + content[4:200]), tmp_path / "4")
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    broken = stored.getvalue().replace(files[MODEL][-40:], files[MODEL][-40:][::-1])
    with pytest.raises(ParcelError, match="is damaged"):
        unpack(io.BytesIO(broken), tmp_path / "5")


def test_a_bomb_is_not_unfolded(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel, "MOST_BYTES", 4 << 20)
    with pytest.raises(ParcelError, match="unfolds to more"):
        unpack(zipped(files | {MODEL: bytes(32 << 20)}), tmp_path / "1")
    assert sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()) <= 4 << 20
    monkeypatch.setattr(parcel, "MOST_ARRAYS", 10)
    with pytest.raises(ParcelError, match=r"foreign\.npz: unfolds to more"):
        unpack(zipped(files | {MODEL: b""}), tmp_path / "2")
