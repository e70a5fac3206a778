"""The docs say what the code does: figures, floors, files, routes. And no file is too long."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from defectvision.api.app import api
from docs import figures

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "written"),
    [
        ("README.md", figures.measured_table),
        ("README.md", figures.published_castings),
        ("docs/architecture.md", figures.floors),
        ("docs/gate.md", figures.gate_table),
        ("docs/settings.md", figures.settings_table),
        ("docs/speed.md", figures.int8_costs),
    ],
)
def test_a_page_shows_the_figures_of_today(page: str, written: Callable[[], str]) -> None:
    assert f" ]]] -->\n{written()}\n<!-- [[[end]]]" in (ROOT / page).read_text(encoding="utf-8")


def test_the_picture_of_the_floors_names_every_part_of_the_package() -> None:
    drawn = set(re.findall(r"\w+", " ".join(re.findall(r'floor\d+\["(.+)"\]', ARCHITECTURE))))
    parts = {p.stem for p in (ROOT / "defectvision").iterdir() if not p.name.startswith("_")}
    assert parts <= drawn


@pytest.mark.parametrize(
    "name",
    sorted(
        set(re.findall(r"`((?:defectvision|docs|pages|recipes|tests)/[\w./-]*)`", ARCHITECTURE))
    ),
)
def test_a_file_that_is_named_for_a_task_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_every_file_on_the_ways_exists() -> None:
    ways = ARCHITECTURE[ARCHITECTURE.index("## Ways") : ARCHITECTURE.index("## To add")]
    named = set(re.findall(r"`((?:\w+/)+\w+\.py|(?:\w+/)+)`", ways))
    assert len(named) > 15
    assert [x for x in sorted(named) if not (ROOT / "defectvision" / x).exists()] == []


def test_every_folder_of_the_layout_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+`) \| ", text[text.index("## Layout") :], re.MULTILINE)
    named = {x for row in rows for x in re.findall(r"`([^`<]+)[`<]", row)}
    places = (ROOT, ROOT / "defectvision")
    assert len(named) > 8
    assert [x for x in sorted(named) if not any((p / x).exists() for p in places)] == []


def test_every_route_of_the_api_is_documented() -> None:
    text = (ROOT / "docs/batches.md").read_text(encoding="utf-8")
    table = text[text.index("| route | does |") :].replace("...", "/inspections/{id}")
    for path in api.openapi()["paths"]:
        assert path.removeprefix("/v1").replace("{number}", "{id}") in table, path


def test_no_file_is_too_long_to_read() -> None:
    """400 lines at most, and 80 of a page."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.js", "*.css", "*.html"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    lengths = {x: len((ROOT / x).read_text(encoding="utf-8").splitlines()) for x in listed}
    too_long = {
        name: lines
        for name, lines in lengths.items()
        if lines > (80 if name.startswith("pages/") else 400)
    }
    assert too_long == {}
