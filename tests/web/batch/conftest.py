"""What several tests of the batch pages need."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from defectvision.batch.runner import work_on
from defectvision.batch.sources import upload_source
from defectvision.bundle.reader import load_bundle
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.settings import settings
from defectvision.store import batches
from defectvision.store.database import Store, open_store
from defectvision.web.batch import condition
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting


@pytest.fixture
def worked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with one batch that was inspected as castings, the only bundle of that line."""
    for line in ("casting", "neu-surface"):
        write_bundle(tmp_path / "weights", line, "resnet50")
    for name in ("weights", "store", "cache"):
        monkeypatch.setenv(f"DEFECTVISION_{name.upper()}", str(tmp_path / name))
    settings.cache_clear()
    monkeypatch.setattr(condition, "STARTING_SECONDS", 1e9)  # no worker is heard here
    store = open_store(tmp_path / "store")
    source = upload_source([("a.png", casting("ok", 105))], store.files)
    loaded = load_bundle(tmp_path / "weights", "casting")
    with store.session() as session:
        number = batches.add_batch(session, loaded, source, "lot 7", unproven("ada"), "all").id
    work_on(store, tmp_path / "weights", Limits(), number, Event())
    return store
