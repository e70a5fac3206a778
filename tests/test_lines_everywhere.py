"""One broken line hides none of the others, wherever the lines are listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from defectvision.api.app import api
from defectvision.cli.main import app
from tests.stand_ins.bundles import write_bundle

BROKEN = {
    "cut off": '{"name": "valves", "ti',
    "of another name": '{"name": "x", "title": "X", "classes": [], "default_bundle": "b"}',
    "empty": "",
}


@pytest.fixture(params=BROKEN)
def weights(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    folder = tmp_path / "weights"
    write_bundle(folder, "casting", "resnet50")
    (folder / "valves").mkdir()
    (folder / "valves" / "line.json").write_text(BROKEN[request.param])
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(folder))
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DEFECTVISION_API_TOKENS", '{"mes": "secret-of-mes"}')
    return folder


def test_the_command_line_lists_the_rest_and_names_the_broken_one(weights: Path) -> None:
    done = CliRunner().invoke(app, ["lines", "--json"])
    usable, broken = json.loads(done.stdout)
    assert done.exit_code == 1
    assert usable["line"] == "casting" and "error" not in usable
    assert broken["line"] == "valves" and "valves/line.json" in broken["error"]
    assert "valves" in CliRunner().invoke(app, ["lines"]).stdout


def test_the_api_lists_the_rest_and_names_the_broken_one(weights: Path) -> None:
    answer = TestClient(api).get("/v1/lines", headers={"Authorization": "Bearer secret-of-mes"})
    assert answer.status_code == 200
    usable, broken = answer.json()
    assert usable["name"] == "casting" and usable["problem"] is None and usable["classes"]
    assert broken["name"] == "valves" and "valves/line.json" in broken["problem"]


def test_an_unknown_line_is_answered_with_those_that_can_be_used(weights: Path) -> None:
    done = CliRunner().invoke(app, ["inspect", "x.png", "--line", "pumps"])
    assert done.exit_code == 2 and "known are: casting" in " ".join(done.stderr.split())
