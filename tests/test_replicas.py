"""The REST API by replicas on Ray Serve says what it says by one process, and what is too much, to
those whom it may know."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from defectvision.api import replicas
from defectvision.api.app import api
from defectvision.settings import settings
from tests.stand_ins.castings import casting

TOKEN = "line-3-line-3"


@pytest.fixture
def url(weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Two replicas that take one image at a time, and let two more wait."""
    pytest.importorskip("ray.serve", reason="Ray Serve is not installed: requirements-replicas.txt")
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(weights))
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DEFECTVISION_API_TOKENS", json.dumps({"line 3": TOKEN}))
    monkeypatch.setattr(replicas, "TOGETHER", 1)
    monkeypatch.setattr(replicas, "WAITING", 2)
    settings.cache_clear()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with replicas.serving("", "127.0.0.1", port, 2):
        yield f"http://127.0.0.1:{port}/api/v1"


def test_it_answers_to_its_own_names_alone_and_by_token_though_nobody_signs_in(monkeypatch) -> None:
    monkeypatch.setenv("DEFECTVISION_HOSTS", '["vision.plant.example"]')
    monkeypatch.setattr(api, "dependency_overrides", {})
    door = replicas.guarded_api(None, "0.0.0.0")
    asked = {
        host: TestClient(door, base_url=f"http://{host}").get("/v1/lines").status_code
        for host in ("evil.example", "192.0.2.7", "vision.plant.example")
    }
    assert asked == {"evil.example": 421, "192.0.2.7": 401, "vision.plant.example": 401}


@pytest.mark.slow
def test_the_api_by_replicas(url) -> None:
    def ask(data: bytes, line: str = "casting") -> httpx.Response:
        what = {"files": {"file": ("part.png", data)}, "data": {"line": line}, "timeout": 60}
        return httpx.post(f"{url}/inspect", headers={"Authorization": f"Bearer {TOKEN}"}, **what)

    by_one = TestClient(api, base_url="http://127.0.0.1")
    what = {"files": {"file": ("part.png", casting("def", 3))}, "data": {"line": "casting"}}
    said = by_one.post("/v1/inspect", headers={"Authorization": f"Bearer {TOKEN}"}, **what).json()
    found = ask(casting("def", 3)).json()
    assert {**found, "milliseconds": 0} == {**said, "milliseconds": 0}
    assert ask(b"no image").status_code == 400 and ask(b"", "wrong").status_code == 404
    assert httpx.post(f"{url}/inspect").status_code == 401
    assert httpx.get(f"{url}/health", headers={"Host": "evil.example"}).status_code == 421
    assert httpx.get(f"{url}/health").json()["parts"]["database"] == "ok"
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, [casting("ok", 3) + bytes([i]) for i in range(96)]))
    refused = [one for one in answers if one.status_code == 503]
    assert {one.status_code for one in answers} == {200, 503}
    assert all(one.headers["Retry-After"] == "1" for one in refused)
    assert all("ask again" in one.json()["detail"] for one in refused)
    metrics = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    counted = sum(
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("defectvision_inspections_total")
    )
    assert counted == 1 + len(answers) - len(refused)
