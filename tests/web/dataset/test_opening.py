"""The Dataset page opens what the server's settings allow, and says how to allow more."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from defectvision.data.synthetic.samples import write_samples
from defectvision.limits import PIXELS
from defectvision.people import unproven
from defectvision.report.taught_set import Labelled
from defectvision.store import labelling
from defectvision.store.database import Store, open_store
from defectvision.web.dataset.labelled import FOLDER, STALE_SECONDS
from defectvision.web.dataset.opening import DRAWN, OPENED, OWN
from tests.stand_ins.bundles import LINES
from tests.stand_ins.castings import casting

ADA = unproven("ada")


def _page() -> None:
    from defectvision.web.dataset.opening import open_controls

    open_controls()


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("DEFECTVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    return AppTest.from_function(_page, default_timeout=120)


def _give(page: AppTest, path: str) -> None:
    """Type in a path, and open it."""
    page.run().selectbox[0].set_value(OWN).run()
    page.text_input[0].set_value(path).run()
    page.button[0].click().run()


def _opened(page: AppTest) -> str | None:
    if OPENED not in page.session_state:
        return None
    opening = page.session_state[OPENED]
    assert opening.ended.wait(60)
    return opening.now.study.catalog.name


def test_without_roots_no_folder_can_be_given(page: AppTest) -> None:
    page.run().selectbox[0].set_value(OWN).run()
    assert not page.text_input
    assert "DEFECTVISION_SOURCE_ROOTS" in page.info[0].value
    assert page.button[0].disabled


@pytest.mark.parametrize("path", ["/etc", "{root}/../secret", "{root}/link", "{root}x"])
def test_a_folder_elsewhere_is_refused(
    page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    write_samples("casting", tmp_path / "secret", 2)
    (root / "link").symlink_to(tmp_path / "secret")
    monkeypatch.setenv("DEFECTVISION_SOURCE_ROOTS", json.dumps([str(root)]))
    _give(page, path.format(root=root))
    assert "is not below a folder that may be read here" in page.error[0].value
    assert _opened(page) is None


@pytest.mark.parametrize("link", ["file", "folder", "index"])
def test_a_set_with_a_link_that_leads_out_is_refused(
    page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    root = tmp_path / "data"
    write_samples("casting", root / "set", 2)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.png").write_bytes(b"secret")
    (tmp_path / "secret" / "index.csv").write_text("root:x:0:0")
    place = root / "set" / {"file": "ok/a.png", "folder": "more", "index": "index.csv"}[link]
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    target = {"file": "secret/a.png", "folder": "secret", "index": "secret/index.csv"}[link]
    place.symlink_to(tmp_path / target)
    monkeypatch.setenv("DEFECTVISION_SOURCE_ROOTS", json.dumps([str(root)]))
    _give(page, f"{root}/set")
    said = page.error[0].value
    assert "leads out of what may be read here" in said and "root" not in said.partition("data")[2]
    assert _opened(page) is None


@pytest.mark.slow
def test_what_lies_below_a_root_and_the_samples_are_opened(
    page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFECTVISION_SOURCE_ROOTS", json.dumps([str(tmp_path)]))
    write_samples("casting", tmp_path / "mine", 2)
    _give(page, f"{tmp_path}/mine")
    assert _opened(page) == "mine"
    page.selectbox[0].set_value(DRAWN).run()
    page.button[0].click().run()
    assert _opened(page) == "drawn castings"


@pytest.mark.slow
def test_a_page_that_is_loaded_again_shows_the_set_of_its_address(
    page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFECTVISION_SOURCE_ROOTS", json.dumps([str(tmp_path)]))
    write_samples("casting", tmp_path / "mine", 2)
    _give(page, f"{tmp_path}/mine")
    address = dict(page.query_params)
    again = AppTest.from_function(_page, default_timeout=120)
    for name, value in address.items():
        again.query_params[name] = value
    again.run()
    assert _opened(again) == "mine"
    assert again.selectbox[0].value == OWN
    assert again.text_input[0].value == f"{tmp_path}/mine"


@pytest.mark.parametrize("address", [{"folder": "/etc"}, {"set": "of somebody else"}])
def test_an_address_opens_no_more_than_the_page_would(
    page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: dict[str, str]
) -> None:
    monkeypatch.setenv("DEFECTVISION_SOURCE_ROOTS", json.dumps([str(tmp_path)]))
    for name, value in address.items():
        page.query_params[name] = value
    page.run()
    assert page.error[0].value and not page.exception
    assert _opened(page) is None
    page.run()  # said once: the page is not kept from another set
    assert not page.error


def _labelled(tmp_path: Path) -> Store:
    """A store with a set of two labelled images and one that nobody labelled, and an empty set."""
    store = open_store(tmp_path / "store")
    classes = LINES["casting"].classes
    with store.session() as session:
        labelling.new_set(session, "Pump *caps*", "caps", classes, "multiclass", ADA)
        labelling.new_set(session, "Nothing yet", "nothing", classes, "multiclass", ADA)
    for number, name in enumerate(("ok", "def", "ok"), 1):
        given = labelling.Given(f"{number}.png", casting(name, 100 + number))
        labelling.add_images(store, 1, [given], PIXELS, ADA)
        if number < 3:
            labelling.say(store, number, [name], {}, ADA)
    return store


CAPS = "Pump *caps* (set 1 of Label)"


def test_a_set_of_the_label_page_is_opened_by_its_name(page: AppTest, tmp_path: Path) -> None:
    store = _labelled(tmp_path)
    page.run()
    assert page.selectbox[0].options[:2] == ["Nothing yet (set 2 of Label)", CAPS]
    page.selectbox[0].set_value("labelled: 1").run()
    page.button[0].click().run()
    assert not page.exception and not page.error
    assert _opened(page) == "Pump_caps"
    study = page.session_state[OPENED].now.study
    assert sorted(study.catalog.table["label"]) == ["def", "ok"]
    again = AppTest.from_function(_page, default_timeout=120)  # loaded again, by its address
    again.query_params["labelled"] = "1"
    assert _opened(again.run()) == "Pump_caps" and again.selectbox[0].value == "labelled: 1"
    labelling.say(store, 3, ["ok"], {}, ADA)
    again.button[0].click().run()
    assert _opened(again) == "Pump_caps"
    assert len(again.session_state[OPENED].now.study.catalog.table) == 3  # what is said now
    with store.session() as session:
        labelling.end_set(session, 1, ADA, "done")
    assert CAPS not in again.run().selectbox[0].options and not again.exception


def test_a_set_whose_file_is_lost_says_so_until_it_is_back(page: AppTest, tmp_path: Path) -> None:
    store = _labelled(tmp_path)
    [file] = Path(store.files.folder).rglob(Labelled.of(store, 1).rows[0].digest)
    away = file.rename(tmp_path / "away")
    page.query_params["labelled"] = "1"
    page.run()
    assert _opened(page) == "Pump_caps"
    study = page.session_state[OPENED].now.study
    assert len(study.catalog) == 1
    assert any("1.png' is missing" in failure for failure in study.failures)
    away.rename(file)
    page.button[0].click().run()
    assert _opened(page) == "Pump_caps"
    assert len(page.session_state[OPENED].now.study.catalog) == 2


def test_what_nobody_opened_for_long_is_taken_away(page: AppTest, tmp_path: Path) -> None:
    store = _labelled(tmp_path)
    page.query_params["labelled"] = "1"
    page.run()
    assert _opened(page) == "Pump_caps"
    [first] = (tmp_path / "cache" / FOLDER).iterdir()
    for label, seconds in (("ok", STALE_SECONDS / 2), ("def", STALE_SECONDS * 2)):
        past = time.time() - seconds
        os.utime(first, (past, past))
        labelling.say(store, 3, [label], {}, ADA)
        page.button[0].click().run()
        assert _opened(page) == "Pump_caps"
        assert first.is_dir() == (label == "ok")
    assert len([*(tmp_path / "cache" / FOLDER).iterdir()]) == 2  # those of the two labels


@pytest.mark.parametrize(
    ("number", "words"),
    [("2", "nothing of it is labelled yet"), ("9", "no labelled set of this number")]
    + [(text, "no labelled set of this number") for text in ("-1", "../x", "1" * 40, "²", "")],
)
def test_a_set_that_cannot_be_opened_is_said_so(
    page: AppTest, tmp_path: Path, number: str, words: str
) -> None:
    _labelled(tmp_path)
    page.query_params["labelled"] = number
    page.run()
    assert not page.exception and words in page.error[0].value
    assert _opened(page) is None
