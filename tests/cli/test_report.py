"""`defectvision report verify`: exit status and words."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest
from typer.testing import CliRunner

from defectvision.batch.runner import work_on
from defectvision.batch.sources import upload_source
from defectvision.bundle.reader import load_bundle
from defectvision.cli.main import app
from defectvision.limits import PIXELS, Limits
from defectvision.people import unproven
from defectvision.report.release import release_lot, released_formats
from defectvision.store import batches
from defectvision.store.database import open_store
from defectvision.store.results import Results
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    write_bundle(tmp_path / "weights", "casting", "resnet50")
    store = open_store(tmp_path / "store")
    loaded = load_bundle(tmp_path / "weights", "casting")
    with store.session() as session:
        source = upload_source([("a.png", casting("def", 105))], store.files)
        number = batches.add_batch(session, loaded, source, "Lot", unproven("ada")).id
    work_on(store, tmp_path / "weights", Limits(), number, Event())
    results = Results.open(store, number)
    policy, seen = results.policy_in_force(), results.said_so_far()
    row = release_lot(results, loaded, policy, seen, PIXELS, unproven("cy"), "done")
    file = tmp_path / "report.pdf"
    file.write_bytes(bytes(released_formats(store, row)[0].make()))
    return file


def run(*arguments: object):
    return CliRunner().invoke(app, ["report", "verify", *map(str, arguments)])


def test_an_unchanged_report_is_sound(report) -> None:
    done = run(report)
    assert done.exit_code == 0
    assert "unchanged" in done.stdout and "same record" in " ".join(done.stdout.split())


def test_a_changed_report_is_found(report) -> None:
    report.write_bytes(report.read_bytes() + b" ")
    done = run(report, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["sound"] is False


def test_what_cannot_be_read_or_compared_is_said(report, tmp_path, monkeypatch) -> None:
    done = run(tmp_path / "none.pdf")
    assert done.exit_code == 2 and "cannot be read" in done.stderr
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "elsewhere"))
    from defectvision.settings import settings

    settings.cache_clear()
    done = run(report)
    assert done.exit_code == 2 and "no store there" in " ".join(done.stderr.split())
    assert not (tmp_path / "elsewhere").exists()
