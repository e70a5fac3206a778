import io
import os
import struct
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectvision.inference.sources import (
    Limits,
    Upload,
    clean_name,
    expand_uploads,
    own_name,
    read_paths,
)


def packed(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def shown(uploads) -> list[tuple[str, bytes | str]]:
    """(name, data or the reason why not) of each."""
    found = []
    for upload in uploads:
        assert (upload.data is None) != (upload.error is None)
        if upload.error is not None:
            assert upload.error.name == upload.name
            assert upload.error.remedy
        found.append((upload.name, upload.error.reason if upload.error else upload.data))
    return found


def expanded(data: bytes, limits: Limits | None = None) -> list[tuple[str, bytes | str]]:
    return shown(expand_uploads([("lot.zip", data)], limits or Limits()))


def test_files_pass_and_zips_unfold_in_order():
    data = packed({"left/a.png": b"A", "left/deep/b.JPG": b"B", "notes.txt": b"-"})
    uploads = expand_uploads([("x.png", b"X"), ("lot.zip", data), ("broken.png", b"")])
    assert shown(uploads) == [
        ("x.png", b"X"),
        ("lot.zip/left/a.png", b"A"),
        ("lot.zip/left/deep/b.JPG", b"B"),
        ("broken.png", b""),
    ]


def test_a_zip_is_known_by_its_content():
    data = packed({"a.png": b"A"})
    assert shown(expand_uploads([("upload", data)])) == [("upload/a.png", b"A")]


OUTSIDE = "a name that leads out of the zip file"
NESTED = "an archive inside the zip file"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"裂纹/图 1.png": b"A"}, [("裂纹/图 1.png", b"A")]),
        (
            {"__MACOSX/._a.png": b"-", ".x/a.png": b"-", ".a.png": b"-", "a.png": b"A"},
            [("a.png", b"A")],
        ),
        ({"empty/": b"", "a.png": b"A"}, [("a.png", b"A")]),
        ({"../a.png": b"-", "b.png": b"B"}, [("../a.png", OUTSIDE), ("b.png", b"B")]),
        ({"sub/../../a.png": b"-"}, [("sub/../../a.png", OUTSIDE)]),
        ({"..\\a.png": b"-"}, [("../a.png", OUTSIDE)]),
        ({"/etc/a.png": b"-"}, [("/etc/a.png", OUTSIDE)]),
        ({"C:\\a.png": b"-"}, [("C:/a.png", OUTSIDE)]),
        ({"a\nb.png": b"A"}, [("a\nb.png", b"A")]),
        ({"at 4.42\u202fPM.png": b"A"}, [("at 4.42\u202fPM.png", b"A")]),
        ({"検査\u3000部品.png": b"A"}, [("検査\u3000部品.png", b"A")]),
        ({"in.zip": packed({"a.png": b"A"}), "b.png": b"B"}, [("in.zip", NESTED), ("b.png", b"B")]),
        ({"in.tar.gz": b"-"}, [("in.tar.gz", NESTED)]),
    ],
)  # fmt: skip
def test_members(entries, expected):
    assert expanded(packed(entries)) == [(f"lot.zip/{name}", what) for name, what in expected]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed({}), "a zip file without an image"),
        (packed({"notes.txt": b"-"}), "a zip file without an image"),
        (packed({"a.png": b"A" * 99})[:40], "a damaged zip file"),
        (b"PK\x03\x04" + bytes(100), "a damaged zip file"),
    ],
    ids=["empty", "no image", "cut off", "no directory"],
)
def test_zip_refused(data, reason):
    ((name, what),) = expanded(data)
    assert name == "lot.zip"
    assert what.startswith(reason)


def test_encrypted_entry_is_refused():
    data = bytearray(packed({"a.png": b"A"}) + b"")
    # general purpose flag, bit 0, in the local header and in the directory
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert expanded(bytes(data)) == [("lot.zip/a.png", "encrypted")]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods(method):
    ((_, what),) = expanded(packed({"a.png": b"A"}, method))
    assert what == (b"A" if method == zipfile.ZIP_STORED else "packed by an unusual method")


def test_a_damaged_member_does_not_end_the_others():
    data = bytearray(packed({"a.png": b"AAAA", "b.png": b"BBBB"}, zipfile.ZIP_STORED))
    data[data.index(b"AAAA")] = 0
    (first, second) = expanded(bytes(data))
    assert first[1].startswith("damaged in the zip file")
    assert second == ("lot.zip/b.png", b"BBBB")


def test_limit_of_entries():
    data = packed({f"{i}.png": b"A" for i in range(4)})
    assert len(expanded(data, Limits(entries=4))) == 4
    ((name, what),) = expanded(data, Limits(entries=3))
    assert (name, what) == ("lot.zip", "a zip file of more than 3 files")


def test_a_huge_directory_is_refused_before_it_is_listed(monkeypatch):
    data = packed({"a" * 60_000 + ".png": b"A"})

    def listed(*_):
        raise AssertionError("the directory was read")

    monkeypatch.setattr(zipfile, "ZipFile", listed)
    ((name, what),) = expanded(data, Limits(entries=3))
    assert (name, what) == ("lot.zip", "a zip file of more than 3 files")


def test_limit_of_an_entry_holds_for_what_comes_out():
    limits = Limits(entry_bytes=1000)
    data = packed({"big.png": bytes(1001), "fits.png": bytes(1000)})
    big, fits = expanded(data, limits)
    assert big == ("lot.zip/big.png", "more than 0.0009537 MiB")
    assert fits == ("lot.zip/fits.png", bytes(1000))


def test_a_header_that_lies_about_the_size_does_not_help():
    honest = packed({"big.png": bytes(5_000_000)})
    size = struct.pack("<I", 5_000_000)
    assert honest.count(size) == 2
    lying = honest.replace(size, struct.pack("<I", 10))
    ((_, what),) = expanded(lying, Limits(entry_bytes=1000))
    assert isinstance(what, str)


def test_limit_of_the_whole_counts_refused_entries_too():
    limits = Limits(entry_bytes=1000, total_bytes=2500)
    data = packed({f"{i}.png": bytes(1500) for i in range(9)})
    found = expanded(data, limits)
    assert [what.split(" ")[0] for _, what in found] == ["more", "not"]
    data = packed({f"{i}.png": bytes(900) for i in range(9)})
    kinds = [type(what) for _, what in expanded(data, limits)]
    assert kinds == [bytes, bytes, str]


def entries_opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the entries of zip files that are opened from now on."""
    names = []
    original = zipfile.ZipFile.open

    def counted(self, entry, *args, **kwargs):
        names.append(entry.filename)
        return original(self, entry, *args, **kwargs)

    monkeypatch.setattr(zipfile.ZipFile, "open", counted)
    return names


def test_a_size_that_is_claimed_is_refused_before_anything_is_unpacked(monkeypatch):
    data = packed({"big.png": bytes(5_000), "fits.png": b"fits"})
    opened = entries_opened(monkeypatch)
    big, fits = expanded(data, Limits(entry_bytes=1000))
    assert big == ("lot.zip/big.png", "more than 0.0009537 MiB")
    assert fits == ("lot.zip/fits.png", b"fits")
    assert opened == ["fits.png"]


def test_a_small_zip_cannot_unfold_to_thousands_of_times_its_size():
    limits = Limits(free_bytes=1000, ratio=20)
    packed_well = packed({f"{i}.png": bytes(10_000) for i in range(50)})
    found = expanded(packed_well, limits)
    assert len(found) < 20
    assert found[-1][1].startswith("not read: the zip file unfolds to more than")
    stored = packed({f"{i}.png": bytes(10_000) for i in range(50)}, zipfile.ZIP_STORED)
    assert len(expanded(stored, limits)) == 50


def of_one_name(count: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for i in range(count):
            archive.writestr("a.png", b"%d" % i)
    return buffer.getvalue()


def test_few_files_of_one_name_are_read_and_the_others_refused():
    found = expanded(of_one_name(13))
    assert found[:10] == [("lot.zip/a.png", b"%d" % i) for i in range(10)]
    reason = "more than 10 files of one name in the zip file"
    assert found[10:] == [("lot.zip/a.png", reason)] * 3


def test_thousands_of_files_of_one_name_get_their_own_in_time():
    taken: set[str] = set()
    begun = time.process_time()
    names = [own_name("a.png", taken) for _ in range(20_000)]
    assert time.process_time() - begun < 2
    assert len(set(names)) == 20_000
    assert names[:3] == ["a.png", "a (2).png", "a (3).png"]
    assert names[-1] == "a (20000).png"


def test_unpacks_one_image_at_a_time(monkeypatch):
    data = packed({"a.png": b"A", "b.png": b"B"})
    opened = entries_opened(monkeypatch)
    uploads = expand_uploads([("lot.zip", data)])
    assert next(uploads) == Upload("lot.zip/a.png", b"A")
    assert opened == ["a.png"]


VALID = packed({"sub/a.png": b"A" * 200, "b.png": bytes(range(256)), "c.txt": b"-"})


@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=6
    ),
    kept=st.integers(4, len(VALID)),
)
def test_mutated_zips_never_raise(changes, kept):
    mutated = bytearray(VALID)
    for at, value in changes:
        mutated[at] = value
    data = b"PK\x03\x04" + bytes(mutated)[4:kept]
    for name, what in expanded(data, Limits(entries=10, entry_bytes=4096, total_bytes=8192)):
        assert name.startswith("lot.zip")
        assert isinstance(what, str) or len(what) <= 4096


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("lot/b.png", "lot/a/c.TIF", "lot/.hidden/d.png", "lot/notes.txt", "x.dat"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(name.encode())
    Path("lot.zip").write_bytes(packed({"z.png": b"Z"}))
    Path("none").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["lot"], [("lot/a/c.TIF", b"lot/a/c.TIF"), ("lot/b.png", b"lot/b.png")]),
        (["lot.zip"], [("lot.zip/z.png", b"Z")]),
        (["x.dat"], [("x.dat", b"x.dat")]),  # named: its content decides
        (["none"], [("none", "a folder without an image")]),
        (
            ["nowhere.png", "lot/b.png"],
            [("nowhere.png", "no such file or folder"), ("lot/b.png", b"lot/b.png")],
        ),
        (["nowhere.zip"], [("nowhere.zip", "no such file or folder")]),
        ([], []),
    ],
)
def test_read_paths(folder, paths, expected):
    assert shown(read_paths(map(Path, paths))) == expected


def test_read_paths_limits_a_file(folder):
    assert shown(read_paths([Path("x.dat")], Limits(entry_bytes=3))) == [
        ("x.dat", "more than 2.861e-06 MiB")
    ]


def test_read_paths_does_not_wait_for_a_pipe(folder):
    os.mkfifo("pipe.png")
    assert shown(read_paths([Path("pipe.png")])) == [("pipe.png", "not an ordinary file")]


def test_what_is_called_like_an_image_and_is_no_file_is_named_in_its_folder(folder):
    Path("odd").mkdir()
    os.mkfifo("odd/pipe.png")
    os.mkfifo("odd/pipe.log")
    Path("odd/link.png").symlink_to("nowhere")
    Path("odd/a.png").write_bytes(b"a")
    assert dict(shown(read_paths([Path("odd")]))) == {
        "odd/a.png": b"a",
        "odd/link.png": "no such file or folder",
        "odd/pipe.png": "not an ordinary file",
    }


def test_read_paths_names_an_unreadable_file(folder, monkeypatch):
    def refused(*_given, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    assert shown(read_paths([Path("x.dat")])) == [("x.dat", "cannot be read (Permission denied)")]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("part.png", "part.png"),
        ("C:\\lot\\part.png", "C:/lot/part.png"),
        ("a\x00b\n\x1b[31mc.png", "ab[31mc.png"),
        ("gnp\u202e.exe", "gnp.exe"),
        ("  ", "unnamed"),
        ("é.png", "é.png"),
    ],
)
def test_names_lose_what_is_not_seen(name: str, shown: str) -> None:
    assert clean_name(name) == shown


def test_long_names_keep_both_ends() -> None:
    shown = clean_name("a" * 500 + "_left.png")
    assert len(shown) <= 200 and shown.startswith("aaa") and shown.endswith("_left.png")


def test_a_taken_name_is_numbered_before_its_suffix() -> None:
    taken: set[str] = set()
    names = [own_name(name, taken) for name in ("a.png", "a.png", "b", "b", "a (2).png", "a.png")]
    assert names == ["a.png", "a (2).png", "b", "b (2)", "a (2) (2).png", "a (3).png"]
