"""What leaves a batch: every format says the same, and what the policy says."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pandas as pd
import pypdfium2
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from defectvision.batch.runner import work_on
from defectvision.batch.sources import upload_source
from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import LoadedBundle, Measure, Metrics
from defectvision.data.readers.folders import open_catalog
from defectvision.limits import PIXELS, Limits
from defectvision.people import unproven
from defectvision.report.batch_export import Leaving
from defectvision.report.pdf import EXTRACT
from defectvision.store import batches, reviews
from defectvision.store.database import open_store
from defectvision.store.inspections import Summary
from defectvision.store.results import Results
from defectvision.store.selection import EVERYTHING, Filter, Selection
from defectvision.store.tables import ReleaseRow
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.strips import encoded, steel, strip_with

PRINTED = datetime(2026, 11, 25, 23, 10, tzinfo=timezone(timedelta(hours=1), "CET"))
STRICT = Policy(accept_below=0.5, reject_above=0.5)
WIDE = Policy(accept_below=0.001, reject_above=0.99)


def inspected(folder: Path, line: str, bundle: str, files: list[tuple[str, bytes]]) -> Results:
    write_bundle(folder / "weights", line, bundle)
    store = open_store(folder / "store")
    with store.session() as session:
        source = upload_source(files, store.files)
        loaded = load_bundle(folder / "weights", line)
        number = batches.add_batch(session, loaded, source, "Lot 7", unproven("ada")).id
    work_on(store, folder / "weights", Limits(), number, Event())
    return Results.open(store, number)


@pytest.fixture(scope="module")
def castings(tmp_path_factory: pytest.TempPathFactory) -> Results:
    files = [(f"{n}_{i}.png", casting(n, i)) for n in ("ok", "def") for i in (3, 5, 105, 108)]
    files += [("=broken.png", b"no image"), ("日本.png", casting("def", 7))]
    return inspected(tmp_path_factory.mktemp("castings"), "casting", "resnet50", files)


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Results:
    files = [("a/strip.png", encoded(strip_with())), ("clean.png", encoded(steel()))]
    return inspected(tmp_path_factory.mktemp("strips"), "severstal-strip", "unet", files)


def leaving(results: Results, policy: Policy, filter: Filter = EVERYTHING) -> Leaving:
    return Leaving(
        results,
        results.selection(policy, filter),
        "policy 3",
        load_bundle(results.store.folder.parent / "weights", results.line.name),
        PIXELS,
        printed=PRINTED,
    )


def text_of(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    return "\n".join(page.get_textpage().get_text_range() for page in document)


@pytest.mark.parametrize("policy", [STRICT, WIDE])
def test_all_formats_and_the_page_count_the_same(castings, policy: Policy) -> None:
    counted = castings.summary(castings.selection(policy))
    assert counted.images == 9
    out = leaving(castings, policy)
    table = pd.read_csv(io.BytesIO(out.csv()), keep_default_na=False)
    sheet = pd.read_excel(io.BytesIO(out.excel()), keep_default_na=False)
    objects = json.loads(out.json())
    words = text_of(out.pdf())
    done = table[table["error"] == ""]
    for verdict in Verdict:
        wanted = counted.verdicts[verdict]
        assert (done["verdict"] == verdict.value).sum() == wanted
        assert (sheet["verdict"] == verdict.value).sum() == wanted
        assert sum(o.get("verdict") == verdict.value for o in objects) == wanted
    for name in ("ok", "def"):
        assert (done["label"] == name).sum() == counted.classes[name]
    rejected = counted.verdicts[Verdict.REJECT]
    assert f"Reject, {rejected / 9:.1%}" in words
    review = counted.verdicts[Verdict.REVIEW]
    assert f"Parts that needed a person: {review}, others not accepted: {rejected}" in words
    assert f"accept below {policy.accept_below:.4g}" in words


def test_the_two_policies_differ(castings) -> None:
    """Else the comparison above would compare the same twice."""
    strict, wide = (castings.summary(castings.selection(p)) for p in (STRICT, WIDE))
    assert strict.verdicts != wide.verdicts
    assert wide.verdicts[Verdict.REVIEW] > 0 < strict.verdicts[Verdict.REJECT]


def test_the_filter_decides_what_leaves(castings) -> None:
    chosen = Filter(verdicts=frozenset({Verdict.REJECT}))
    out = leaving(castings, STRICT, chosen)
    rejected = castings.summary(castings.selection(STRICT)).verdicts[Verdict.REJECT]
    table = pd.read_csv(io.BytesIO(out.csv()))
    assert len(table) == rejected and set(table["verdict"]) == {"reject"}
    words = text_of(out.pdf())
    assert "verdict reject" in words and f"{rejected} of 9 parts shown" in words
    assert words.count(EXTRACT) > len(pypdfium2.PdfDocument(out.pdf()))
    assert "Released by" not in words, "nobody signs an extract"
    assert f"Reject, {rejected / 9:.1%}" in words, "counts are those of the lot"
    whole = pd.read_csv(io.BytesIO(leaving(castings, STRICT).csv()), keep_default_na=False)
    assert list(whole[whole["error"] != ""]["name"]) == ["'=broken.png"]


def test_excel_holds_numbers_and_no_formula(castings) -> None:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(leaving(castings, STRICT).excel()))
    sheet = book["Results"]
    rows = list(sheet.iter_rows())
    head = [cell.value for cell in rows[0]]
    scores = [row[head.index("defect_score")] for row in rows[1:-1]]
    assert all(isinstance(cell.value, float) for cell in scores)
    names = [row[0] for row in rows[1:]]
    assert "=broken.png" in [cell.value for cell in names]
    assert {cell.data_type for cell in names} == {"s"}
    assert sheet.freeze_panes == "A2" and sheet.auto_filter.ref


def test_the_report_is_the_same_byte_for_byte(castings, strips) -> None:
    for results in (castings, strips):
        first, second = (leaving(results, STRICT).pdf() for _ in range(2))
        assert first == second
        assert first != leaving(results, WIDE).pdf()


def test_the_report_shows_the_rejected_and_what_it_was_made_from(castings) -> None:
    pdf = leaving(castings, STRICT).pdf()
    words = text_of(pdf)
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) >= 3
    assert "Lot 7" in words and castings.batch.bundle_version in words and "policy 3" in words
    assert "Not inspected: 1" in words and "=broken.png" in words
    assert words.count("Record SHA-256") == len(document) + 1
    assert "Released by" in words and EXTRACT not in words
    assert f"Page 1 of {len(document)}" in words
    assert "2026-11-25 23:10:00 CET (UTC+01:00)" in words
    assert document.get_metadata_value("CreationDate").startswith("D:20261125221000")
    record = leaving(castings, STRICT).record()
    assert hashlib.sha256(record).hexdigest() in words.replace("\r\n", "")
    rejected = castings.summary(castings.selection(STRICT)).verdicts[Verdict.REJECT]
    pictures = [o for page in document for o in page.get_objects() if o.type == 3]
    assert len(pictures) == rejected


def test_a_copy_of_a_released_lot_says_who_released_it(castings) -> None:
    """What a page exports of a released lot is none of the files that were made with the release,
    and said that the lot is not released."""
    about = {"title": "Version 1", "who": "cy", "why": "complete", "at": PRINTED}
    released = replace(castings, releases=(ReleaseRow(number=1, **about),))

    def said(of: Results, in_force: bool = True) -> str:
        return " ".join(text_of(replace(leaving(of, WIDE), in_force=in_force).pdf()).split())

    assert "not released" in said(castings)
    words = "by cy, 2026-11-25 22:10 UTC, as version 1, 'Version 1': complete"
    copy = said(released)
    assert words in copy and "This is a copy" in copy and "not released" not in copy
    assert f"not under this policy; under its own {words}" in said(released, in_force=False)


def test_a_report_shows_one_state_of_the_lot_whoever_decides_meanwhile(
    castings, monkeypatch
) -> None:
    """Counts on the cover, rows of the table and the record's hash beside the lines to sign on."""
    count, made = Results.summary, list[int]()

    def decided_meanwhile(self: Results, selection: Selection) -> Summary:
        found = count(self, selection)
        if not made:
            with castings.store.session() as session:
                said = ("unusable", WIDE, "", "a hand")
                made.append(reviews.decide(session, 1, unproven("eve"), *said).id)
        return found

    monkeypatch.setattr(Results, "summary", decided_meanwhile)
    try:
        words = " ".join(text_of(leaving(castings, WIDE).pdf()).split())
        assert "Unusable, 11.1%" in words and "a hand" in words
    finally:
        with castings.store.session() as session:
            reviews.undo(session, made[0], unproven("eve"))


def test_nothing_is_said_of_a_lot_that_is_known_of_another_model(castings, tmp_path) -> None:
    """The bundle was trained anew since: its escapes and its caution are of another model."""
    escapes = {"escapes": Measure(value=0.013, low=0.0, high=0.02)}
    figures = Metrics(
        split="test", data="others", images=900, groups=900, policy=WIDE, values=escapes
    )
    known = {"metrics": (figures,), "provenance": {"recipe": {"caution": "Never seen a crack."}}}

    def report(loaded: LoadedBundle) -> str:
        about = loaded.bundle.model_copy(update=known)
        out = replace(leaving(castings, WIDE), loaded=replace(loaded, bundle=about))
        return " ".join(text_of(out.pdf()).split())

    said = report(leaving(castings, WIDE).loaded)
    assert "1.3% (0.0% to 2.0%)" in said and "Never seen a crack" in said
    write_bundle(tmp_path, "casting", "resnet50", gain=0.3)
    other = load_bundle(tmp_path, "casting")
    said = report(other)
    assert "1.3%" not in said and "Never seen a crack" not in said
    assert "not at hand, as the bundle was replaced since" in said
    assert f"which was replaced by version {other.version} since" in said


def test_coco_loads_and_its_masks_are_the_stored_ones(strips, tmp_path) -> None:
    policy = Policy(smallest_region_px=20)
    file = tmp_path / "coco.json"
    file.write_bytes(leaving(strips, policy).coco())
    coco = COCO(str(file))
    names = {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())}
    rows = {row.name: row.inspection for row in strips.every(strips.selection(policy))}
    assert len(coco.imgs) == 2 and len(coco.anns) == 3
    for image in coco.imgs.values():
        found = rows[image["file_name"]]
        for number, name in names.items():
            wanted = found.class_mask(name, policy)
            union = np.zeros_like(wanted)
            for annotation in coco.loadAnns(coco.getAnnIds(image["id"], number)):
                mask = coco.annToMask(annotation).astype(bool)
                assert annotation["area"] == mask.sum()
                box = coco_mask.toBbox(coco.annToRLE(annotation)).tolist()
                assert annotation["bbox"] == box
                union |= mask
            assert (union == wanted).all()


def test_masks_come_with_the_names_of_their_numbers(strips) -> None:
    policy = Policy(smallest_region_px=20)
    archive = zipfile.ZipFile(io.BytesIO(leaving(strips, policy).masks()))
    names = pd.read_csv(archive.open("classes.csv"), dtype=str).set_index("name")["number"]
    images = pd.read_csv(archive.open("images.csv"), keep_default_na=False)
    assert list(images["image"]) == ["a/strip.png", "clean.png"]
    found = next(strips.every(strips.selection(policy))).inspection
    values = cv2.imdecode(
        np.frombuffer(archive.read(images["mask"][0]), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert (values == int(names["3"])).sum() == found.class_mask("3", policy).sum() == 4000


def test_regions_follow_a_policy_that_cuts_them_otherwise(strips) -> None:
    """The stored regions serve only the policy that they were measured under."""
    for policy in (strips.policy_in_force().policy, Policy(smallest_region_px=1000), Policy()):
        for row in strips.every(strips.selection(policy)):
            assert row.regions(policy) == row.inspection.regions(policy)
    everything = list(strips.every(strips.selection(Policy())))
    few = [len(row.regions(Policy(smallest_region_px=1000))) for row in everything]
    many = [len(row.regions(Policy())) for row in everything]
    assert few == [1, 0] and many[0] > 3


def test_a_submission_has_a_row_for_each_image_and_class(strips) -> None:
    table = pd.read_csv(io.BytesIO(leaving(strips, Policy()).submission()), keep_default_na=False)
    assert len(table) == 8
    filled = table[table["EncodedPixels"] != ""]["ImageId_ClassId"]
    assert {"strip.png_3", "strip.png_2", "strip.png_1"} <= set(filled)


def test_reviewed_images_are_a_set_to_train_on(castings, tmp_path) -> None:
    from defectvision.report.labelled_set import labelled_zip, reviewed_images
    from defectvision.store import reviews

    rows = {row.name: row.id for row in castings.every(castings.selection(STRICT))}
    with castings.store.session() as session:
        for name, who, decision, label in (
            ("ok_3.png", "ada", "accept", "ok"),
            ("def_105.png", "ada", "reject", "def"),
            ("def_105.png", "bo", "reject", "def"),
            ("def_108.png", "ada", "reject", "def"),
            ("def_108.png", "bo", "accept", "ok"),
        ):
            reviews.decide(session, rows[name], unproven(who), decision, STRICT, label)
    data = labelled_zip(reviewed_images(castings))
    zipfile.ZipFile(io.BytesIO(data)).extractall(tmp_path)
    table = open_catalog(tmp_path).table
    labels = dict(zip(table["path"], table["label"], strict=True))
    assert labels == {"images/ok_3.png": "ok", "images/def_105.png": "def"}
    assert (tmp_path / "images/def_105.png").read_bytes() == casting("def", 105)
