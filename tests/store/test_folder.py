"""Where store and cache lie by default, and that a store of an earlier version is found again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from defectvision import settings as settings_module
from defectvision.settings import ROOT, Settings
from defectvision.store.database import open_store
from defectvision.store.tables import InspectionRow
from tests.stand_ins.bundles import LINES
from tests.stand_ins.stores import fill


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user and a checkout of their own."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "DEFECTVISION_STORE", "DEFECTVISION_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(settings_module, "ROOT", tmp_path / "checkout")
    return tmp_path / "home"


def test_store_and_cache_lie_with_the_user_and_not_in_the_checkout(home: Path) -> None:
    made = Settings()
    assert made.store == home / ".local/share/defectvision"
    assert made.cache == home / ".cache/defectvision"
    assert not made.store.is_relative_to(ROOT) and not made.cache.is_relative_to(ROOT)


@pytest.mark.parametrize(("value", "followed"), [("/data", True), ("relative", False), ("", False)])
def test_the_base_directories_of_the_system_are_followed(
    home, monkeypatch, value, followed
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", value)
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    store = Path("/data/defectvision") if followed else home / ".local/share/defectvision"
    cache = Path("/data/defectvision") if followed else home / ".cache/defectvision"
    assert (Settings().store, Settings().cache) == (store, cache)


def test_a_store_in_the_checkout_opens_with_everything_in_it(home, tmp_path, caplog) -> None:
    old = tmp_path / "checkout" / "store"
    fill(open_store(old), LINES["casting"], 5)
    with caplog.at_level(logging.WARNING):
        found = Settings().store
    assert found == old
    assert str(old) in caplog.text and str(home / ".local/share/defectvision") in caplog.text
    with open_store(found).reading() as session:
        assert session.query(InspectionRow).count() == 5
    # Moved as the log says, it is found in its new place, and nothing is said any more.
    new = home / ".local/share/defectvision"
    new.parent.mkdir(parents=True)
    old.rename(new)
    caplog.clear()
    assert Settings().store == new and caplog.text == ""


def test_files_beside_another_database_count_as_a_store(home, tmp_path) -> None:
    """With DEFECTVISION_DATABASE only the files lie in the store's folder."""
    (tmp_path / "checkout/store/files/ab").mkdir(parents=True)
    assert Settings().store == tmp_path / "checkout/store"


def test_the_store_of_the_new_place_comes_first(home, tmp_path, caplog) -> None:
    for folder in (tmp_path / "checkout/store", home / ".local/share/defectvision"):
        open_store(folder)
    assert Settings().store == home / ".local/share/defectvision"
    assert caplog.text == ""


def test_a_setting_is_followed_whatever_lies_where(home, tmp_path, monkeypatch) -> None:
    open_store(tmp_path / "checkout/store")
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "elsewhere"))
    assert Settings().store == tmp_path / "elsewhere"
