"""What a bundle that was learned from a set is said to be worth, beside the one in force."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from defectvision.bundle.reader import load_bundle
from defectvision.people import unproven
from defectvision.settings import settings
from defectvision.store import evaluations
from defectvision.store.evaluations import LabelledSet, State
from defectvision.web.label.learned import _evaluation, _words
from defectvision.web.new_line.runs import Run
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.stores import new_store


def test_figures_of_a_bundle_that_was_replaced_are_not_those_of_the_one_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(tmp_path / "weights"))
    settings.cache_clear()
    write_bundle(tmp_path / "weights", "casting", "resnet50")
    store, run = new_store(tmp_path), Run(tmp_path / "run")
    with store.session() as session:
        loaded = load_bundle(tmp_path / "weights", "casting")
        source = LabelledSet(path=str(run.held.resolve()))
        row = evaluations.add_evaluation(session, loaded, source, unproven("ada"))
        row.state = State.DONE
        row.summary = {"metrics": {"values": {"escapes": {"value": 0.0004}}}}
    found = _evaluation(store, run, "casting", "resnet50")
    assert found is not None and _words(store, found) == "escapes 0.04 %"
    shutil.rmtree(tmp_path / "weights" / "casting" / "resnet50")
    write_bundle(tmp_path / "weights", "casting", "resnet50", gain=0.3)
    assert _evaluation(store, run, "casting", "resnet50") is None
