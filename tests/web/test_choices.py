"""One broken line hides no other, on every page that offers lines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from defectvision.settings import ROOT, settings
from defectvision.web.batch import condition
from defectvision.web.choices import bundle_words
from tests.stand_ins.bundles import LINES, write_bundle

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
    (choice,) = (box for box in drawn.selectbox if box.label == "Line")
    assert choice.options == ["Hot-rolled steel surface"]
    if page == "lines":
        shown = [header.value.replace("\\", "") for header in drawn.header]
        assert shown == choice.options


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


@pytest.fixture
def two_lines(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A line with two bundles, and another one."""
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(weights))
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(condition, "STARTING_SECONDS", 1e9)
    settings.cache_clear()
    yield weights
    settings.cache_clear()


def opened(page: str, **address: str) -> AppTest:
    app = AppTest.from_file(ROOT / "pages" / f"{page}.py", default_timeout=60)
    app.query_params.update(address)
    drawn = app.run()
    assert not drawn.exception
    return drawn


def chosen(drawn: AppTest, label: str) -> str:
    return next(box.value for box in drawn.selectbox if box.label == label)


def address(drawn: AppTest) -> dict[str, str]:
    return {k: v if isinstance(v, str) else v[-1] for k, v in drawn.query_params.items()}


OTHER, LONG = "efficientnet_lite0", "joint_efficientnet_lite0"


@pytest.mark.parametrize("page", ["inspect", "batches", "evaluate"])
def test_the_address_names_the_line_and_a_page_loaded_again_shows_it(
    two_lines: Path, page: str
) -> None:
    drawn = opened(page)
    assert address(drawn) == {"line": "casting"}
    next(box for box in drawn.selectbox if box.label == "Line").set_value("neu-surface").run()
    assert address(drawn) == {"line": "neu-surface"}
    again = opened(page, **address(drawn))
    assert chosen(again, "Line") == "neu-surface" and not again.warning


@pytest.mark.parametrize("page", ["inspect", "batches"])
def test_the_address_names_a_bundle_that_is_not_the_default(two_lines: Path, page: str) -> None:
    drawn = opened(page)
    box = next(box for box in drawn.selectbox if box.label == "Model")
    box.set_value(OTHER).run()
    assert address(drawn) == {"line": "casting", "bundle": OTHER}
    again = opened(page, **address(drawn))
    assert chosen(again, "Model") == OTHER
    next(box for box in again.selectbox if box.label == "Line").set_value("neu-surface").run()
    assert address(again) == {"line": "neu-surface"}
    next(box for box in again.selectbox if box.label == "Line").set_value("casting").run()
    assert address(again) == {"line": "casting", "bundle": OTHER}  # of the line, as it was
    box = next(box for box in again.selectbox if box.label == "Model")
    box.set_value("resnet50").run()
    assert address(again) == {"line": "casting"}


def test_a_bundle_of_the_address_is_the_one_to_evaluate(two_lines: Path) -> None:
    drawn = opened("evaluate", line="casting", bundle=OTHER)
    assert drawn.multiselect[0].value == [OTHER]


@pytest.mark.parametrize("line", ["gone", "", "../casting", "<img src=x>", "[a](http://b)", "x\0"])
@pytest.mark.parametrize("page", ["inspect", "batches", "evaluate"])
def test_an_address_with_a_line_that_is_not_there_says_so_and_shows_another(
    two_lines: Path, page: str, line: str
) -> None:
    drawn = opened(page, line=line)
    (said,) = drawn.warning
    assert "and there is none" in said.value
    assert "**Casting**" in said.value
    assert "](" not in said.value and "<img" not in said.value.replace("\\<", "")
    assert chosen(drawn, "Line") == "casting" and address(drawn) == {"line": "casting"}


@pytest.mark.parametrize("bundle", ["gone", "../resnet50", "*x*", "b" * 5000])
def test_an_address_with_a_bundle_that_is_not_there_says_so(two_lines: Path, bundle: str) -> None:
    drawn = opened("inspect", line="casting", bundle=bundle)
    (said,) = drawn.warning
    assert "and there is none" in said.value and len(said.value) < 400
    assert chosen(drawn, "Model") == "resnet50" and address(drawn) == {"line": "casting"}


@pytest.mark.parametrize(
    ("name", "default", "words"),
    [
        ("resnet50", "resnet50", "resnet50 (default)"),
        ("resnet50", "other", "resnet50"),
        (LONG, LONG, "joint_e…et_lite0 (default)"),
        (LONG, "other", LONG),
    ],
)
def test_a_long_name_does_not_hide_which_bundle_is_the_default(
    name: str, default: str, words: str
) -> None:
    line = LINES["casting"].model_copy(update={"default_bundle": default})
    assert bundle_words(name, line) == words


def test_whoever_had_a_bundle_that_is_gone_has_the_default(
    two_lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(two_lines, tmp_path / "weights")
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(folder))
    settings.cache_clear()
    write_bundle(folder, "casting", "third")
    drawn = opened("batches", line="casting", bundle="third")
    assert chosen(drawn, "Model") == "third"
    shutil.rmtree(folder / "casting" / "third")
    drawn.query_params.clear()  # as by the menu, from another page
    drawn.run()
    assert not drawn.exception and chosen(drawn, "Model") == "resnet50"
    assert address(drawn) == {"line": "casting"}
