"""Where other images take all memory for decoding, no image fails for it: it waits its turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from defectvision.api.app import api
from defectvision.batch.memory import Memory
from defectvision.batch.sources import folder_source
from defectvision.bundle.reader import load_bundle
from defectvision.inference import decode_memory
from defectvision.inference.decode_memory import Budget
from defectvision.inference.inspector import Inspector
from defectvision.limits import PIXELS
from defectvision.settings import settings
from defectvision.store.batches import Counts
from defectvision.store.database import Store
from defectvision.web.session.work import Work
from tests.stand_ins.castings import GOOD, casting
from tests.stand_ins.lots import lot, run, said, start

ALL = 10**9


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Budget:
    """A budget that others have taken."""
    budget = Budget(ALL)
    budget.take(ALL)
    monkeypatch.setattr(decode_memory, "BUDGET", budget)
    monkeypatch.setattr(decode_memory.Budget.take, "__defaults__", (0.05,))
    return budget


def test_a_batch_goes_on_when_there_is_memory(
    store: Store, weights: Path, tmp_path: Path, busy: Budget
) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    assert run(store, weights, number) == Counts(waiting=6)
    assert "other large images take all memory" in said(store, number)[1]
    busy.give_back(ALL)
    assert run(store, weights, number, Memory()) == Counts(done=6)
    assert said(store, number)[1] == ""


def test_a_program_is_told_to_ask_again(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: Budget
) -> None:
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(weights))
    monkeypatch.setenv("DEFECTVISION_API_TOKENS", json.dumps({"mes": "secret-of-mes"}))
    settings.cache_clear()
    client = TestClient(api, headers={"Authorization": "Bearer secret-of-mes"})

    def asked() -> tuple[int, str | None]:
        answer = client.post(
            "/v1/inspect",
            files={"file": ("a.png", casting(*GOOD))},
            data={"line": "casting"},
        )
        return answer.status_code, answer.headers.get("Retry-After")

    busy.give_back(ALL)
    assert asked() == (200, None)
    busy.take(ALL)
    assert asked() == (503, "5")
    busy.give_back(ALL)
    assert asked() == (200, None)


def test_a_session_inspects_it_with_the_next_run(weights: Path, busy: Budget) -> None:
    inspector = Inspector(load_bundle(weights, "casting"), PIXELS)
    version, work = inspector.loaded.version, Work()
    work.images.queue("casting", [("a.png", casting(*GOOD))])
    list(work.images.take_in("casting"))
    list(work.images.inspect("casting", inspector, work.pictures))
    assert work.images.unfinished("casting", version)
    assert work.images.results("casting", version) == []
    busy.give_back(ALL)
    list(work.images.inspect("casting", inspector, work.pictures))
    assert [r.error for r in work.images.results("casting", version)] == [None]
