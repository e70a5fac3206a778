"""No page size in a total: what a listing shows at a time is never taken for all that there is."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator

import openpyxl
import pypdfium2
import pytest
from starlette.testclient import TestClient

from defectvision.api.app import api
from defectvision.api.stored import the_store
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import Origin
from defectvision.limits import PIXELS
from defectvision.report.annotations import coco_json, masks_zip
from defectvision.report.batch_export import Leaving
from defectvision.settings import settings
from defectvision.store import batches
from defectvision.store.audit import trail
from defectvision.store.database import Store
from defectvision.store.results import Results
from defectvision.store.sources import ListedImage
from defectvision.store.tables import AuditRow, BatchRow
from tests.stand_ins.bundles import LINES, write_bundle
from tests.stand_ins.stores import fill, new_store

FAILURES = 1_500
TOKEN = {"Authorization": "Bearer secret-of-mes"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return new_store(tmp_path_factory.mktemp("totals"))


@pytest.fixture(scope="module")
def lot(store: Store) -> int:
    """3 images that were inspected, and 1,500 files that could not be."""
    number = fill(store, LINES["casting"], images=3)
    with store.session() as session:
        batches.add_images(session, number, [broken(i) for i in range(FAILURES)])
    return number


def broken(number: int) -> ListedImage:
    return ListedImage(f"broken_{number:04d}.png", reason="a damaged file", remedy="Save it again.")


@pytest.fixture(scope="module")
def leaving(store: Store, lot: int, tmp_path_factory: pytest.TempPathFactory) -> Leaving:
    weights = tmp_path_factory.mktemp("weights")
    write_bundle(weights, "casting", "resnet50")
    results = Results.open(store, lot)
    loaded = load_bundle(weights, "casting")
    return Leaving(results, results.selection(Policy()), "policy 1", loaded, PIXELS)


def named(rows: list[str]) -> list[str]:
    return [row for row in rows if row.startswith("broken_")]


EVERY = [f"broken_{i:04d}.png" for i in range(FAILURES)]


def test_every_table_that_leaves_a_lot_names_all_1500_failures(leaving: Leaving) -> None:
    table = list(csv.reader(io.StringIO(leaving.csv().decode("utf-8-sig"))))
    assert named([row[0] for row in table]) == EVERY and len(table) == 1 + 3 + FAILURES
    sheet = openpyxl.load_workbook(io.BytesIO(leaving.excel()), read_only=True)["Results"]
    assert named([str(row[0]) for row in sheet.iter_rows(values_only=True)]) == EVERY
    assert named([o["path"] for o in json.loads(leaving.json()) if "error" in o]) == EVERY
    assert named([o["name"] for o in json.loads(leaving.record())["not_inspected"]]) == EVERY


def test_masks_leave_with_all_failures_even_where_nothing_was_inspected(store: Store) -> None:
    errors = Results.open(store, fill_with_failures(store)).errors()
    origin = Origin(LINES["severstal-strip"], "unet", "0" * 12, ("1", "2", "3", "4"))
    coco = json.loads(coco_json([], Policy(), origin, errors))
    assert named([o["path"] for o in coco["info"]["not_inspected"]]) == EVERY
    with zipfile.ZipFile(io.BytesIO(masks_zip([], Policy(), origin, errors))) as archive:
        text = archive.read("not_inspected.csv").decode("utf-8-sig")
    assert named([row[0] for row in csv.reader(io.StringIO(text))]) == EVERY


def fill_with_failures(store: Store) -> int:
    number = fill(store, LINES["severstal-strip"], images=0)
    with store.session() as session:
        batches.add_images(session, number, [broken(i) for i in range(FAILURES)])
    return number


def test_a_report_counts_all_failures_and_says_where_it_stops_listing(leaving: Leaving) -> None:
    pdf = pypdfium2.PdfDocument(leaving.pdf())
    text = "".join(page.get_textpage().get_text_range() for page in pdf)
    assert "Not inspected: 1500" in text and "The first 500; the CSV export has all." in text


def test_the_rest_interface_pages_through_all_failures(store, lot, client) -> None:
    at, found = f"/v1/batches/{lot}/failed", []
    while True:
        page = client.get(at, headers=TOKEN, params={"first": len(found), "most": 400}).json()
        assert page["images"] == FAILURES
        if not page["files"]:
            break
        found += page["files"]
    assert [file["path"] for file in found] == EVERY
    assert found[0]["reason"] == "a damaged file" and found[0]["remedy"] == "Save it again."


def test_the_first_of_400_batches_can_be_reached(store, client) -> None:
    fill(store, LINES["casting"], images=2, batch_title="the first one")
    with store.reading() as session:
        first, title = next(iter(reversed(batches.batch_titles(session).items())))
    with store.session() as session:
        made = {
            key: value
            for key, value in vars(batches.get_batch(session, first)).items()
            if key in BatchRow.__table__.columns and key != "id"
        }
        session.add_all(BatchRow(**made) for _ in range(400))
    found, before = [], {}
    while page := client.get("/v1/batches", headers=TOKEN, params=before).json():
        found += [batch["id"] for batch in page]
        before = {"before": found[-1]}
    assert first in found and found == sorted(found, reverse=True) and len(found) > 400
    with store.reading() as session:
        assert batches.batch_titles(session)[first] == title
        assert batches.count_batches(session) == len(found) == len(batches.batch_titles(session))


def test_the_audit_trail_counts_what_it_does_not_show(store) -> None:
    with store.session() as session:
        session.add_all(
            AuditRow(who="ada", what="policy saved", line="x", details={"n": i}) for i in range(30)
        )
        rows, count = trail(session, "policy saved", most=10)
        assert (len(rows), count) == (10, 30)
        assert len(trail(session, "policy saved", most=40)[0]) == 30


@pytest.fixture
def client(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("DEFECTVISION_API_TOKENS", '{"mes": "secret-of-mes"}')
    settings.cache_clear()
    monkeypatch.setitem(api.dependency_overrides, the_store, lambda: store)
    yield TestClient(api)
    settings.cache_clear()
