"""Every CSV file that leaves opens right in Excel, names in any script included."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pandas as pd
import pytest
from typer.testing import CliRunner

from defectvision.batch.runner import work_on
from defectvision.batch.sources import upload_source
from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import LoadedBundle
from defectvision.cli.main import app
from defectvision.csv_file import csv_bytes
from defectvision.data.class_names import read_class_numbers
from defectvision.data.readers.folders import open_catalog
from defectvision.inference.image_error import ImageError
from defectvision.inference.judged import Decision
from defectvision.limits import PIXELS, Limits
from defectvision.people import unproven
from defectvision.report.annotations import coco_json, masks_zip
from defectvision.report.batch_export import Leaving
from defectvision.report.export import regions_csv, results_csv, results_json
from defectvision.report.labelled_set import labelled_zip, reviewed_images
from defectvision.settings import ROOT
from defectvision.store import batches, reviews
from defectvision.store.database import open_store
from defectvision.store.results import Results
from defectvision.web.inspect import exports
from defectvision.web.session.images import Entry, Result
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.strips import encoded, steel, strip_with

MARK = b"\xef\xbb\xbf"
STRIP, CLEAN = "Bänder 裂纹/Riß №1 é.png", "清洁 ñ.png"
NAMES = (STRIP, CLEAN)
BARE = ("Riß №1 é.png", CLEAN)  # without the folder


@dataclass(frozen=True)
class Inspected:
    """Two strips as files below `folder`, and as a batch with a review of each."""

    folder: Path
    results: Results
    loaded: LoadedBundle

    @property
    def leaving(self) -> Leaving:
        policy = Policy(smallest_region_px=20)
        return Leaving(self.results, self.results.selection(policy), "policy 3", 1.0, PIXELS)

    def run(self, *asked: object) -> bytes:
        """The file that a command wrote."""
        file = self.folder / "out.csv"
        file.unlink(missing_ok=True)
        done = CliRunner().invoke(app, [str(file if a is Ellipsis else a) for a in asked])
        assert done.exit_code == 0, done.output
        return file.read_bytes()

    def command(self, *asked: object) -> bytes:
        weights = self.folder / "weights"
        return self.run(*asked, "--line", "severstal-strip", "--weights", weights)

    def of_session(self, title: str) -> bytes:
        policy = Policy(smallest_region_px=20)
        rows = self.results.every(self.results.selection(policy))
        done = [Result(Entry(i, row.name), row.inspection, None) for i, row in enumerate(rows)]
        (format_,) = [
            f for f in exports.of_all(done, policy, self.loaded).formats if f.title == title
        ]
        content = format_.make()
        assert isinstance(content, bytes)
        return content


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Inspected:
    folder = tmp_path_factory.mktemp("strips")
    files = dict(zip(NAMES, (encoded(strip_with()), encoded(steel())), strict=True))
    for name, data in files.items():
        (folder / "lot" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "lot" / name).write_bytes(data)
    (folder / "lot" / "index.csv").write_text(
        f"path,label\n{STRIP},Kratzer ß\n{CLEAN},清洁\n", encoding="utf-8"
    )
    write_bundle(folder / "weights", "severstal-strip", "unet")
    store = open_store(folder / "store")
    loaded = load_bundle(folder / "weights", "severstal-strip")
    with store.session() as session:
        source = upload_source(files.items(), store.files)
        number = batches.add_batch(session, loaded, source, "Lot 7", unproven("ada")).id
    work_on(store, folder / "weights", Limits(), number, Event())
    results = Results.open(store, number)
    with store.session() as session:
        for row in results.every(results.selection(Policy())):
            reviews.decide(session, row.id, unproven("ada"), "reject", Policy(), "3")
    return Inspected(folder, results, loaded)


def in_zip(data: bytes, name: str) -> bytes:
    return zipfile.ZipFile(io.BytesIO(data)).read(name)


def labelled(of: Inspected) -> bytes:
    return labelled_zip(reviewed_images(of.results))


def written(of: Inspected) -> bytes:
    file = of.folder / "written" / "index.csv"
    open_catalog(of.folder / "lot").write_index(file)
    return file.read_bytes()


IMAGES = tuple(f"images/{name}" for name in NAMES)
FILES: dict[str, tuple[Callable[[Inspected], bytes], tuple[str, ...]]] = {
    "results of a batch": (lambda of: of.leaving.csv(), NAMES),
    "regions of a batch": (lambda of: of.leaving.regions_csv(), (STRIP,)),
    "images of masks": (lambda of: in_zip(of.leaving.masks(), "images.csv"), NAMES),
    "classes of masks": (lambda of: in_zip(of.leaving.masks(), "classes.csv"), ("3",)),
    "index of a labelled set": (lambda of: in_zip(labelled(of), "index.csv"), IMAGES),
    "results of a session": (lambda of: of.of_session("Results as CSV"), NAMES),
    "regions of a session": (lambda of: of.of_session("Regions as CSV"), (STRIP,)),
    "batch --out": (lambda of: of.command("batch", of.folder / "lot", "--out", ...), NAMES),
    "data report --index": (
        lambda of: of.run("data", "report", of.folder / "lot", "--index", ..., "--workers", 1),
        NAMES,
    ),
    "index of a set": (lambda of: open_catalog(of.folder / "lot").index_csv(), NAMES),
    "written index": (written, NAMES),
}


@pytest.mark.parametrize("file", FILES)
def test_a_csv_file_begins_with_a_byte_order_mark_and_keeps_its_names(
    inspected, file, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("DEFECTVISION_CACHE", str(tmp_path))
    make, names = FILES[file]
    content = make(inspected)
    assert content.startswith(MARK) and content.count(MARK) == 1
    first, *rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert first[0].isidentifier(), "the mark is no part of the first column's name"
    assert {len(row) for row in rows} == {len(first)}
    text = content.decode("utf-8-sig")
    assert all(name in text for name in names)
    assert list(pd.read_csv(io.BytesIO(content)).columns) == first, "as machines read it"


def test_what_people_wrote_beside_masks_is_no_formula(inspected) -> None:
    policy, formula = Policy(smallest_region_px=20), '=HYPERLINK("http://example.org","look")'
    at = datetime(2026, 11, 28, tzinfo=UTC)
    said = Decision(Verdict.REJECT, ("3",), "@ada", at, formula)
    parts = inspected.results.every(inspected.results.selection(policy))
    found = [replace(part.inspection, decision=said, name="=a.png") for part in parts]
    failed = [ImageError("+b.png", "=1+1", "Copy it again.")]
    made = masks_zip(found, policy, inspected.results.origin, failed)
    for name in ("images.csv", "not_inspected.csv"):
        text = in_zip(made, name).decode("utf-8-sig")
        _, *rows = csv.reader(io.StringIO(text, newline=""))
        assert rows and not [cell for row in rows for cell in row if cell[:1] in set("=+-@")]
    assert "'=HYPERLINK" in in_zip(made, "images.csv").decode("utf-8-sig")


def test_a_name_that_begins_a_formula_stands_alike_in_all_tables(inspected) -> None:
    """As the documentation says, so that a program knows where to take names from."""
    policy, origin = Policy(smallest_region_px=20), inspected.results.origin
    parts = inspected.results.every(inspected.results.selection(policy))
    found = [replace(next(iter(parts)).inspection, name="-001.png")]
    masks = in_zip(masks_zip(found, policy, origin), "images.csv")
    tables = [results_csv(found, policy, origin), regions_csv(found, policy, origin), masks]
    names = {pd.read_csv(io.BytesIO(table), encoding="utf-8-sig").iloc[0, 0] for table in tables}
    assert names == {"'-001.png"}
    assert json.loads(coco_json(found, policy, origin))["images"][0]["file_name"] == "-001.png"
    assert json.loads(results_json(found, policy))[0]["path"] == "-001.png"
    said = (ROOT / "docs" / "batches.md").read_text(encoding="utf-8")
    assert "`-001.png` stands there as `'-001.png`" in said


def test_the_sets_that_leave_are_read_again(inspected, tmp_path) -> None:
    zipfile.ZipFile(io.BytesIO(labelled(inspected))).extractall(tmp_path / "set")
    table = open_catalog(tmp_path / "set").table
    assert dict(zip(table["path"], table["label"], strict=True)) == dict.fromkeys(IMAGES, "3")
    zipfile.ZipFile(io.BytesIO(inspected.leaving.masks())).extractall(tmp_path / "masks")
    numbers = read_class_numbers(tmp_path / "masks")
    assert list(numbers.values()) == list(inspected.loaded.bundle.mask_classes)
    (inspected.folder / "lot" / "index.csv").write_bytes(written(inspected))
    assert set(open_catalog(inspected.folder / "lot").table["path"]) == set(NAMES)


@pytest.mark.parametrize(
    "make",
    [
        lambda of: of.leaving.submission(),
        lambda of: of.command("inspect", of.folder / "lot", "--submission", ...),
    ],
    ids=["batch", "inspect"],
)
def test_the_competition_gets_the_bytes_that_it_asks_for(inspected, make) -> None:
    content = make(inspected)
    assert content.startswith(b"ImageId_ClassId,EncodedPixels\n")
    assert all(f"{name}_3," in content.decode("utf-8") for name in BARE)


def test_no_other_module_writes_csv() -> None:
    """Else it would belong into the table above."""
    root = Path(__file__).resolve().parents[2] / "defectvision"
    writers = {
        file.relative_to(root).as_posix()
        for file in root.rglob("*.py")
        if any(word in file.read_text() for word in ("csv.writer(", "DictWriter(", ".to_csv("))
    }
    # The cache takes tables for their hash alone.
    assert writers == {"csv_file.py", "report/submission.py", "data/catalog.py", "audit/cache.py"}


@pytest.mark.parametrize("name", ["=1+1", "a,b", 'q"q', "a\nb", "ß", "裂纹", "\ufeffx", ""])
def test_any_text_comes_back(name) -> None:
    content = csv_bytes([("name", "label"), (name, "x")])
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert rows == [["name", "label"], [name, "x"]]
