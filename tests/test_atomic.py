"""Files that a reader finds whole, old or new."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from defectvision.atomic import replacing, write_text


def test_what_breaks_off_leaves_the_old_content_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "new" / "card.md"
    write_text(file, "old")
    with pytest.raises(ZeroDivisionError), replacing(file) as fresh:
        fresh.write_text("half")
        raise ZeroDivisionError
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


def test_a_reader_meanwhile_sees_the_old_content_and_no_second_one(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    write_text(file, "old")
    with replacing(file) as fresh:
        fresh.write_text("new")
        assert file.read_text() == "old"
        assert [p for p in tmp_path.iterdir() if not p.name.startswith(".")] == [file]
        assert fresh.suffix == file.suffix, "some writers choose the format by it"
    assert file.read_text() == "new"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_who_may_read_it_is_what_the_user_says(tmp_path: Path, umask: int, mode: int) -> None:
    """A store of pictures stays closed where the user keeps all files closed."""
    before = os.umask(umask)
    try:
        write_text(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
