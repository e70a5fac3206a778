"""The Batches page says what health says, until it is mended."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from defectvision.settings import ROOT, settings
from defectvision.store.database import open_store
from defectvision.web.batch import condition
from tests.stand_ins.bundles import write_bundle


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_bundle(tmp_path / "weights", "casting", "resnet50")
    for name in ("weights", "store", "cache"):
        monkeypatch.setenv(f"DEFECTVISION_{name.upper()}", str(tmp_path / name))
    settings.cache_clear()
    monkeypatch.setattr(condition, "OLDEST_SECONDS", 0.0)
    monkeypatch.setattr(condition, "STARTING_SECONDS", 1e9)  # no worker is heard here
    open_store(tmp_path / "store")
    return tmp_path / "store"


def banners(app: AppTest) -> list[str]:
    app.run()
    assert not app.exception
    found = (*app.error, *app.warning)
    return [one.value for one in found if one.proto.title == "Not all is as it should be"]


def test_files_that_cannot_be_written_are_said_until_they_can(store: Path, tmp_path: Path) -> None:
    app = AppTest.from_file(str(ROOT / "pages" / "batches.py"), default_timeout=60)
    assert banners(app) == []
    files = store / "files"
    files.rename(tmp_path / "away")
    files.symlink_to("/proc/nowhere")
    (said,) = banners(app)
    assert "cannot be written, read and removed" in said
    files.unlink()
    (tmp_path / "away").rename(files)
    assert banners(app) == []
