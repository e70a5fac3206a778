"""A page's evaluation runs in a process of its own, and what ends that is said."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.batch import evaluation_start
from defectvision.batch.evaluation_start import start_again, start_evaluation
from defectvision.bundle.reader import load_bundle
from defectvision.data.synthetic.samples import draw
from defectvision.people import unproven
from defectvision.roots import NotAllowedError
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import (
    LabelledSet,
    State,
    get_evaluation,
    list_evaluations,
    open_evaluation,
)
from tests.stand_ins.stores import new_store

ADA = unproven("Ada")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DEFECTVISION_CACHE", str(tmp_path / "cache"))
    return new_store(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in ("ok", "def"):
        (tmp_path / "set" / label).mkdir(parents=True)
        image = draw("casting", label, np.random.default_rng(0), 160)
        cv2.imwrite(str(tmp_path / "set" / label / "a.png"), image)
    return tmp_path / "set"


def ended(store: Store, number: int) -> tuple[str, str]:
    for _ in range(1200):
        with store.reading() as session:
            row = get_evaluation(session, number)
        if row.state != State.RUNNING:
            return row.state, row.message
        time.sleep(0.1)
    raise AssertionError("it never ended")


@pytest.mark.slow
def test_a_killed_process_is_said_and_the_next_one_finishes(
    store, folder, weights, monkeypatch
) -> None:
    started = []
    real = evaluation_start.subprocess.Popen

    def begin(*args, **kwargs):
        started.append(real(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(evaluation_start.subprocess, "Popen", begin)
    source, loaded = LabelledSet(path=str(folder)), load_bundle(weights, "casting")
    number = start_evaluation(store, loaded, source, [folder.parent], ADA)
    os.killpg(started[0].pid, signal.SIGKILL)
    state, message = ended(store, number)
    assert state == State.FAILED and "ended early: the system ended it" in message
    monkeypatch.setattr(evaluation_start.subprocess, "Popen", real)
    start_again(store, weights, number, ADA)
    assert ended(store, number) == (State.DONE, "")
    assert open_evaluation(store, number).images["path"].tolist() == ["def/a.png", "ok/a.png"]


def test_only_what_may_be_read_is_begun(store, folder, weights, tmp_path) -> None:
    loaded = load_bundle(weights, "casting")
    with pytest.raises(NotAllowedError, match="not below a folder"):
        start_evaluation(store, loaded, LabelledSet(path=str(folder)), [tmp_path / "other"], ADA)
    (folder / "ok/out.png").symlink_to("/etc/hostname")
    with pytest.raises(NotAllowedError, match="leads out"):
        start_evaluation(store, loaded, LabelledSet(path=str(folder)), [folder], ADA)
    missing = LabelledSet(path=str(folder / "nothing"))
    with pytest.raises(StoreError, match="no such file"):
        start_evaluation(store, loaded, missing, [folder], ADA)
    with store.reading() as session:
        assert list_evaluations(session) == []
