"""One broken line hides no other, on every page that offers lines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from defectvision.settings import ROOT, settings
from defectvision.web.batch import condition

BROKEN = "casting"
PAGES = ("inspect", "batches", "lines")


@pytest.fixture
def one_broken(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two lines, of which one has a damaged line.json."""
    folder = shutil.copytree(weights, tmp_path / "weights")
    (folder / BROKEN / "line.json").write_text("{")
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(folder))
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(condition, "STARTING_SECONDS", 1e9)  # no worker is heard here
    settings.cache_clear()
    yield folder
    settings.cache_clear()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_other_lines_and_names_the_broken_one(one_broken: Path, page: str) -> None:
    drawn = AppTest.from_file(ROOT / "pages" / f"{page}.py", default_timeout=60).run()
    assert not drawn.exception
    (problem,) = (e for e in drawn.error if e.value)
    assert BROKEN in problem.value and "line\\.json" in problem.value
    shown = [header.value for header in drawn.header]
    if page != "lines":
        (choice,) = (box for box in drawn.selectbox if box.label == "Line")
        shown = choice.options
    assert [title.replace("\\", "") for title in shown] == ["Hot-rolled steel surface"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_without_any_line_says_what_to_do(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(tmp_path / "nothing"))
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    settings.cache_clear()
    drawn = AppTest.from_file(ROOT / "pages" / f"{page}.py", default_timeout=60).run()
    settings.cache_clear()
    assert not drawn.exception
    assert any("defectvision train" in info.value for info in drawn.info)
