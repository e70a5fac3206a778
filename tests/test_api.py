"""The REST API: what it answers, whom it refuses, and that it is what its description says."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import schemathesis
from hypothesis import settings as hypothesis_settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from defectvision.api.app import api
from defectvision.api.stored import the_store
from defectvision.batch.health import health_of
from defectvision.batch.runner import work_on
from defectvision.bundle.reader import load_bundle
from defectvision.limits import PIXELS, Limits
from defectvision.people import unproven
from defectvision.report.release import release_lot
from defectvision.settings import Settings, settings
from defectvision.store.results import Results
from defectvision.store.workers import say_here
from tests.stand_ins.bundles import LINES, write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.statements import statements
from tests.stand_ins.stores import fill, new_store

TOKEN = {"Authorization": "Bearer secret-of-mes"}
OTHER = {"Authorization": "Bearer secret-of-ada"}
mounted = Starlette(routes=[Mount("/api", app=api)])  # as in app.py
DEFECT, GOOD = casting("def", 105), casting("ok", 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    write_bundle(folder / "weights", "casting", "resnet50")
    write_bundle(folder / "weights", "severstal-strip", "unet")
    (folder / "camera").mkdir()
    (folder / "camera" / "a.png").write_bytes(DEFECT)
    return folder


@pytest.fixture(scope="module")
def about(folder: Path) -> Iterator[Settings]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEFECTVISION_WEIGHTS", str(folder / "weights"))
        patch.setenv("DEFECTVISION_STORE", str(folder / "store"))
        patch.setenv("DEFECTVISION_SOURCE_ROOTS", f'["{folder / "camera"}"]')
        patch.setenv("DEFECTVISION_MAX_UPLOAD_MB", "1")
        patch.setenv("DEFECTVISION_API_PER_MINUTE", "5000")
        patch.setenv("DEFECTVISION_API_TOKENS", '{"mes": "secret-of-mes", "ada": "secret-of-ada"}')
        settings.cache_clear()
        yield settings()
    settings.cache_clear()


@pytest.fixture(scope="module")
def client(about: Settings) -> TestClient:
    return TestClient(mounted, raise_server_exceptions=False)


def work(about: Settings, number: int) -> None:
    work_on(the_store(), about.weights, Limits(), number, Event())


def upload(client: TestClient, *files: tuple[str, bytes], **form: str) -> dict:
    parts = [("files", file) for file in files]
    form = {"line": "casting", **form}
    answer = client.post("/api/v1/uploads", headers=TOKEN, files=parts, data=form)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_one_image_is_judged_and_not_kept(client) -> None:
    answer = client.post(
        "/api/v1/inspect",
        headers=TOKEN,
        files={"file": ("a.png", DEFECT)},
        data={"line": "casting"},
    )
    said = answer.json()
    assert answer.status_code == 200 and said["id"] is None
    assert said["verdict"] == "reject" and said["label"] == "def"
    assert said["defect_score"] > said["policy"]["reject_above"]


def test_a_batch_says_what_was_passed_over(client, about) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("a.png", "a.xml", "notes.txt", ".hidden.txt"):
            archive.writestr(name, GOOD)
    batch = upload(client, ("lot.zip", packed.getvalue()))
    assert batch["passed_over"] == {}
    work(about, batch["id"])
    now = client.get(f"/api/v1/batches/{batch['id']}", headers=TOKEN).json()
    assert (now["done"], now["passed_over"]) == (1, {".xml": 1, ".txt": 1})


def test_a_batch_from_start_to_review(client, about) -> None:
    batch = upload(client, ("bad.png", DEFECT), ("good.png", GOOD), ("x.png", b"no image"))
    assert batch["state"] == "running"
    work(about, batch["id"])
    at = f"/api/v1/batches/{batch['id']}"
    now = client.get(at, headers=TOKEN).json()
    assert (now["state"], now["done"], now["failed"]) == ("done", 2, 1)
    page = client.get(f"{at}/results", headers=TOKEN, params={"verdict": "reject"}).json()
    assert page["images"] == 1 and page["classes"]["def"] == 1
    (bad,) = page["results"]
    assert bad["path"] == "bad.png"
    one = f"/api/v1/inspections/{bad['id']}"
    assert client.get(one, headers=TOKEN).json() == bad
    picture = client.get(f"{one}/picture", headers=TOKEN)
    assert picture.content == DEFECT
    assert picture.headers["content-type"] == "application/octet-stream"
    said = {"decision": "accept", "why": "only dust"}
    made = client.post(f"{one}/reviews", headers=OTHER, json=said)
    assert made.status_code == 201 and made.json()["who"] == "ada"
    assert made.json()["model_verdict"] == "reject"
    assert client.get(f"{one}/reviews", headers=TOKEN).json() == [made.json()]
    left = client.get(f"{at}/results", headers=TOKEN, params={"reviewed": True}).json()
    assert [r["id"] for r in left["results"]] == [bad["id"]]


def test_a_decision_counts_at_once_and_a_released_lot_takes_none(client, about) -> None:
    batch = upload(client, ("bad.png", DEFECT), ("good.png", GOOD))
    work(about, batch["id"])
    results = f"/api/v1/batches/{batch['id']}/results"
    bad = client.get(results, headers=TOKEN, params={"verdict": "reject"}).json()["results"][0]
    reviews = f"/api/v1/inspections/{bad['id']}/reviews"
    said = {"decision": "accept", "label": "ok", "why": "dust"}
    assert client.post(reviews, headers=TOKEN, json=said).status_code == 201
    page = client.get(results, headers=TOKEN).json()
    assert (page["verdicts"]["accept"], page["verdicts"]["reject"]) == (2, 0)
    found = next(r for r in page["results"] if r["id"] == bad["id"])
    assert (found["verdict"], found["final_verdict"]) == ("reject", "accept")
    assert (found["decided_by"], found["note"]) == ("mes", "dust") and found["decided_at"]

    opened = Results.open(the_store(), batch["id"])
    loaded = load_bundle(about.weights, "casting")
    policy, seen = opened.policy_in_force(), opened.said_so_far()
    release_lot(opened, loaded, policy, seen, PIXELS, unproven("cy"), "complete")
    refused = client.post(reviews, headers=TOKEN, json=said)
    assert refused.status_code == 409 and "released by cy" in refused.json()["detail"]
    assert client.get(results, headers=TOKEN).json() == page


def test_a_decision_that_contradicts_itself_is_refused_with_the_reason(client, about) -> None:
    batch = upload(client, ("bad.png", DEFECT))
    work(about, batch["id"])
    (bad,) = client.get(f"/api/v1/batches/{batch['id']}/results", headers=TOKEN).json()["results"]
    reviews = f"/api/v1/inspections/{bad['id']}/reviews"
    for said in ({"decision": "reject", "label": "ok"}, {"decision": "accept", "label": "def"}):
        refused = client.post(reviews, headers=TOKEN, json=said)
        assert refused.status_code == 400 and "cannot be" in refused.json()["detail"]
    assert client.get(reviews, headers=TOKEN).json() == []
    made = client.post(reviews, headers=TOKEN, json={"decision": "reject"})
    assert made.status_code == 201 and made.json()["label"] == "def"


def test_a_list_of_50_batches_asks_the_database_twice(client, tmp_path, monkeypatch) -> None:
    store = new_store(tmp_path)
    numbers = [fill(store, LINES["casting"], images=2, seed=i) for i in range(50)]
    monkeypatch.setitem(api.dependency_overrides, the_store, lambda: store)
    with statements(store.engine) as asked:
        listed = client.get("/api/v1/batches", headers=TOKEN).json()
    assert [(batch["id"], batch["done"]) for batch in listed] == [(n, 2) for n in numbers[::-1]]
    assert len(asked) == 2, asked


def test_a_folder_below_a_root_and_none_outside(client, about, folder) -> None:
    wanted = {"line": "casting", "path": str(folder / "camera")}
    batch = client.post("/api/v1/batches", headers=TOKEN, json=wanted)
    assert batch.status_code == 201
    number = batch.json()["id"]
    move = client.post(f"/api/v1/batches/{number}/state", headers=TOKEN, json={"state": "paused"})
    assert move.json()["state"] == "paused"
    again = client.post(f"/api/v1/batches/{number}/state", headers=TOKEN, json={"state": "done"})
    assert again.status_code == 409 and "cannot become done" in again.json()["detail"]
    outside = client.post("/api/v1/batches", headers=TOKEN, json=wanted | {"path": str(folder)})
    assert outside.status_code == 403 and "not below" in outside.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "words"),
    [
        ("get", "/api/v1/lines", {}, 401, "give a token"),
        ("get", "/api/v1/lines", {"Authorization": "Bearer wrong"}, 401, "give a token"),
        ("get", "/api/v1/metrics", {}, 401, "give a token"),
        ("post", "/api/v1/inspect", {}, 401, "give a token"),
        ("get", "/api/v1/batches/999999", TOKEN, 404, "no batch 999999"),
        ("get", "/api/v1/inspections/999999", TOKEN, 404, "no inspection 999999"),
    ],
)
def test_who_is_refused(client, method, path, headers, status, words) -> None:
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == status and words in answer.json()["detail"]
    assert (status == 401) == ("www-authenticate" in answer.headers)


@pytest.mark.parametrize(
    ("form", "data", "status", "words"),
    [
        ({"line": "nothing"}, GOOD, 404, "unknown line 'nothing'"),
        ({"line": "../casting"}, GOOD, 404, "cannot be the name"),
        ({"line": "casting", "bundle": "unet"}, GOOD, 404, "has no bundle 'unet'"),
        ({"line": "casting"}, b"no image", 400, "part.png"),
    ],
)
def test_a_wrong_inspection_says_what_is_wrong(client, form, data, status, words) -> None:
    answer = client.post(
        "/api/v1/inspect", headers=TOKEN, files={"file": ("part.png", data)}, data=form
    )
    assert answer.status_code == status and words in answer.json()["detail"]


def test_too_large_a_body_is_refused_before_it_is_read(client) -> None:
    answer = client.post(
        "/api/v1/inspect", headers=TOKEN, files={"file": ("a.png", b"\0" * (2 << 20))}
    )
    assert answer.status_code == 413 and "1 MB" in answer.json()["detail"]
    endless = client.post("/api/v1/inspect", headers=TOKEN, content=iter([b"a", b"b"]))
    assert endless.status_code == 411


def test_too_many_requests_are_refused(client, monkeypatch) -> None:
    monkeypatch.setenv("DEFECTVISION_API_PER_MINUTE", "3")
    monkeypatch.setenv("DEFECTVISION_API_TOKENS", '{"cell-4": "four-four"}')
    settings.cache_clear()
    try:
        answers = [
            client.get("/api/v1/lines", headers={"Authorization": "Bearer four-four"})
            for _ in range(5)
        ]
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "60"


def test_nobody_gets_in_where_no_token_is_set_up(client, monkeypatch) -> None:
    monkeypatch.setenv("DEFECTVISION_API_TOKENS", "{}")
    settings.cache_clear()
    try:
        answer = client.get("/api/v1/lines", headers={"Authorization": "Bearer "})
        assert answer.status_code == 401 and "give a token" in answer.json()["detail"]
        assert client.get("/api/v1/health").json()["parts"]["database"] == "ok"
    finally:
        monkeypatch.undo()
        settings.cache_clear()


def test_metrics_count_what_was_asked(client) -> None:
    before = client.get("/api/v1/metrics", headers=TOKEN).text
    client.post(
        "/api/v1/inspect", headers=TOKEN, files={"file": ("a.png", GOOD)}, data={"line": "casting"}
    )
    after = client.get("/api/v1/metrics", headers=TOKEN).text

    def count(said: str) -> float:
        name = 'defectvision_inspections_total{line="casting",verdict="accept"}'
        return sum(float(x.split()[-1]) for x in said.splitlines() if x.startswith(name))

    assert count(after) == count(before) + 1
    assert 'defectvision_batch_images{state="failed"}' in after


FUZZING = os.environ.get("DEFECTVISION_TESTS") == "fuzz"
# The token is given by hand below: a request that the generator spoils there alone arrives sound.
schema = schemathesis.openapi.from_asgi(
    "/v1/openapi.json",
    api,
    config=schemathesis.Config.from_dict(
        {
            "generation": {"with-security-parameters": False},
            # Hundreds of requests a route, whatever the number of examples: for `make fuzz`.
            "phases": {"coverage": {"enabled": FUZZING}},
        }
    ),
)


@pytest.mark.slow
@schema.parametrize()
@hypothesis_settings(max_examples=hypothesis_settings().max_examples // 4)  # each asks a server
def test_the_answers_are_those_described(case, client) -> None:
    # Only an image file is inspected, which a description cannot say of bytes.
    free = [positive_data_acceptance] if case.operation.path == "/v1/inspect" else []
    if case.operation.path == "/v1/health":  # which says 503 where no worker is at the batches
        with the_store().session() as session:
            say_here(session, "a worker")
        health_of.cache_clear()
    case.call_and_validate(headers=TOKEN, excluded_checks=free)


def test_a_database_that_is_away_is_said_and_answers_when_it_is_back(client) -> None:
    number = upload(client, ("a.png", DEFECT))["id"]
    store = the_store()
    database, away = store.folder / "defectvision.sqlite3", store.folder / "away"
    store.engine.dispose()
    database.rename(away)
    database.mkdir()
    try:
        answer = client.get(f"/api/v1/batches/{number}", headers=TOKEN)
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        assert "the database does not answer" in answer.json()["detail"]
    finally:
        database.rmdir()
        away.rename(database)
    assert client.get(f"/api/v1/batches/{number}", headers=TOKEN).status_code == 200


def test_a_picture_that_is_lost_is_not_there_and_the_others_are(client, about) -> None:
    number = upload(client, ("a.png", DEFECT + b"a"), ("b.png", GOOD + b"b"))["id"]
    work(about, number)
    page = client.get(f"/api/v1/batches/{number}/results", headers=TOKEN).json()
    first, second = sorted(one["id"] for one in page["results"])
    store = the_store()
    digest = Results.open(store, number).one(first).row.digest
    (store.folder / "files" / digest[:2] / digest).write_bytes(b"")
    lost = client.get(f"/api/v1/inspections/{first}/picture", headers=TOKEN)
    assert lost.status_code == 404 and "is damaged" in lost.json()["detail"]
    there = client.get(f"/api/v1/inspections/{second}/picture", headers=TOKEN)
    assert there.status_code == 200
