"""What leaves the app says what the policy in force says."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageColor

from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.rules import Rule, Zone
from defectvision.bundle.schema import Origin
from defectvision.data.synthetic.samples import draw
from defectvision.inference.images import ImageError, decode_image
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.limits import PIXELS
from defectvision.report.export import (
    region_columns,
    region_rows,
    regions_csv,
    result_columns,
    result_json,
    result_rows,
    results_csv,
    safe_cell,
)
from defectvision.report.looks import LOOKS
from defectvision.report.picture import annotated_png
from tests.stand_ins.bundles import LINES, write_bundle
from tests.stand_ins.strips import encoded, steel, strip_with

STRICT, WIDE = Policy(accept_below=0.3, reject_above=0.7), Policy(accept_below=0, reject_above=1)


@pytest.fixture(scope="module")
def inspectors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Inspector]:
    weights = tmp_path_factory.mktemp("weights")
    for line in ("casting", "neu-surface"):
        write_bundle(weights, line, "resnet50")
    return {
        line: Inspector(load_bundle(weights, line), PIXELS) for line in ("casting", "neu-surface")
    }


def picture(label: str, seed: int, line: str = "casting", size: int = 300) -> bytes:
    image = draw(line, label, np.random.default_rng([seed, label == "ok"]), size)
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture(scope="module")
def found(inspectors: dict[str, Inspector]) -> list[Inspection]:
    model = inspectors["casting"]
    return [
        model.inspect(picture("def", 105), "bad.png"),
        model.inspect(picture("ok", 3), "ok.png"),
    ]


def read(table: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))


def test_verdicts_of_the_table_follow_the_policy(inspectors, found) -> None:
    loaded = inspectors["casting"].loaded
    strict, wide = (read(results_csv(found, p, Origin.of(loaded))) for p in (STRICT, WIDE))
    assert [r["verdict"] for r in strict] == ["reject", "accept"]
    assert [r["verdict"] for r in wide] == ["review", "review"]
    assert [r["label"] for r in strict] == ["def", "ok"]
    assert wide[0]["accept_below"] == "0" and wide[0]["reject_above"] == "1"
    for row, inspection in zip(strict, found, strict=True):
        assert float(row["defect_score"]) == pytest.approx(inspection.defect_score, rel=1e-5)
        assert float(row["probability"]) == pytest.approx(float(row[f"probability_{row['label']}"]))
        total = float(row["probability_ok"]) + float(row["probability_def"])
        assert total == pytest.approx(1, abs=1e-5)
        assert (row["line"], row["bundle"]) == ("casting", "resnet50")
        assert row["bundle_version"] == inspection.bundle_version
        assert float(row["milliseconds"]) > 0


def test_a_line_without_a_good_class_leaves_its_defect_score_empty(inspectors) -> None:
    model = inspectors["neu-surface"]
    one = model.inspect(picture("crazing", 1, "neu-surface", 200), "a.png")
    (row,) = read(results_csv([one], model.policy, Origin.of(model.loaded)))
    assert row["defect_score"] == "" and row["verdict"] in {"reject", "review"}
    assert {f"probability_{n}" for n in model.line.class_names} <= row.keys()


@pytest.mark.slow
def test_regions_leave_with_the_policy_that_cut_them(tmp_path) -> None:
    write_bundle(tmp_path, "severstal-strip", "unet")
    model = Inspector(load_bundle(tmp_path, "severstal-strip"), PIXELS)
    strip = model.inspect(encoded(strip_with()), "=strip.png")
    clean = model.inspect(encoded(steel()), "clean.png")
    thresholds = {"1": 0.01, "2": 0.1}
    policy = Policy(smallest_region_px=20, mm_per_px=0.5, class_thresholds=thresholds)
    origin, failed = Origin.of(model.loaded), [ImageError("b.png", "x", "y")]
    table = read(results_csv([strip, clean], policy, origin, failed))
    assert [r["label"] for r in table] == ["3|2|1", "", ""]
    assert [r["regions"] for r in table] == ["3", "0", ""]
    assert [r["largest_area_mm2"] for r in table] == ["1000", "", ""]
    assert table[1]["probability"] == "" and table[2]["error"] == "x. y"
    cut = {
        "smallest_region_px": "20",
        "mm_per_px": "0.5",
        "mask_threshold_3": "0.5",
        "class_threshold_1": "0.01",
    }
    assert all(row.items() >= cut.items() for row in table)
    regions = read(regions_csv([strip, clean], policy, origin, {"=strip.png"}))
    assert [(r["name"], r["class"], r["area_px"]) for r in regions] == [
        ("'=strip.png", "3", "4000"), ("'=strip.png", "2", "900"), ("'=strip.png", "1", "121"),
    ]  # fmt: skip
    assert (regions[0]["length_mm"], regions[0]["width_mm"]) == ("50", "20")
    assert all(r.items() >= cut.items() and r["source"] for r in regions)


def test_a_table_says_where_its_thresholds_decide_nothing(found) -> None:
    """Else a part with a score above "reject_above" would stand there as accepted."""
    line = LINES["casting"]
    origin = Origin(line, "unet", "0" * 12, line.defect_names)
    marked = replace(found[1], masks=np.full((1, 8, 8), 255, np.uint8), mask_classes=("def",))
    rules = (Rule(then="reject", class_name="def", over=9),)
    hole = Zone(name="hole", corners=((0, 0), (1, 0), (0, 1)), ignored=True)
    policy = Policy(accept_below=0.2, reject_above=0.6, rules=rules, zones=(hole,))
    policy = policy.model_copy(update={"score_decides": False})
    failed = [ImageError("a.png", "damaged", "Copy it again.")]
    tables = {
        "image": (result_columns(origin, policy), result_rows([marked], policy, origin, failed)),
        "region": (region_columns(origin, policy), region_rows([marked], policy, origin)),
    }
    words = f"the rules alone decide; ignored: hole; reject: {line.title_of('def')}"
    for of, (columns, rows) in tables.items():
        said = [dict(zip(columns, row, strict=True)) for row in rows]
        assert [row["name"] for row in said] == ["ok.png", "a.png"][: 2 if of == "image" else 1]
        assert (said[0]["verdict"], said[0].get("class", "def")) == ("reject", "def")
        assert all(str(row["rules"]).startswith(words) for row in said)


@pytest.mark.slow
def test_the_picture_shows_the_masks_in_their_colours(tmp_path) -> None:
    write_bundle(tmp_path, "severstal-strip", "unet")
    model = Inspector(load_bundle(tmp_path, "severstal-strip"), PIXELS)
    image = strip_with()
    found = model.inspect(encoded(image), "strip.png")

    def drawn(policy: Policy) -> np.ndarray:
        data = annotated_png(image, found, policy, model.loaded, opacity=0)
        return np.asarray(Image.open(io.BytesIO(data)))[:256].astype(int)

    shown = drawn(Policy(smallest_region_px=20))
    grey = np.abs(shown - shown.mean(2, keepdims=True)).max(2) < 3
    plate, slit = shown[60, 250], shown[165, 905]
    assert plate[1] > plate[0] + 30  # class 3 is green
    assert slit[0] > slit[2] + 50  # class 2 is orange
    assert grey[30:33, 1500:1503].all()  # the speck is smaller than the smallest region
    without = drawn(Policy(smallest_region_px=1000))
    assert abs(without[165, 905] - without[165, 905].mean()).max() < 3


def test_files_that_failed_are_rows_with_their_reason(inspectors, found) -> None:
    error = ImageError("=broken.png", "damaged or cut off", "Copy it again.")
    origin = Origin.of(inspectors["casting"].loaded)
    rows = read(results_csv(found, STRICT, origin, [error], {"ok.png"}))
    assert rows[2]["name"] == "'=broken.png"
    assert rows[2]["error"] == "damaged or cut off. Copy it again."
    assert rows[2]["verdict"] == rows[2]["probability_ok"] == ""
    assert [r["source"] for r in rows] == ["", "synthetic sample", ""]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@a", "\tx", "\rx"])
def test_no_cell_begins_a_formula(name: str) -> None:
    assert safe_cell(name) == f"'{name}"


@pytest.mark.parametrize("name", ["a.png", 'quote".png', "comma, line\nbreak.png", "日本.png"])
def test_other_names_survive_the_table(inspectors, found, name: str) -> None:
    assert safe_cell(name) == name
    one = replace(found[0], name=name)
    (row,) = read(results_csv([one], STRICT, Origin.of(inspectors["casting"].loaded)))
    assert row["name"] == name


def test_the_object_holds_what_its_evidence_adds_up_to(inspectors, found) -> None:
    loaded = inspectors["casting"].loaded
    content = json.loads(result_json(found[0], WIDE, loaded, synthetic=True))
    assert content["verdict"] == "review" and content["synthetic_sample"] is True
    assert content["policy"] == WIDE.model_dump(mode="json")
    assert content["image"] == {"width": 300, "height": 300}
    assert content["bundle"]["version"] == content["bundle_version"] == loaded.version
    for sums in content["evidence"].values():
        assert sums["mean"] + sums["bias"] == pytest.approx(sums["logit"], abs=1e-4)


def test_the_picture_wears_the_colour_of_its_verdict(inspectors, found) -> None:
    image = decode_image(picture("def", 105), "bad.png", PIXELS)
    loaded = inspectors["casting"].loaded
    for policy in (STRICT, WIDE):
        data = annotated_png(image, found[0], policy, loaded)
        pixels = np.asarray(Image.open(io.BytesIO(data)))[720:].reshape(-1, 3)
        colours = {verdict: ImageColor.getrgb(look.hex) for verdict, look in LOOKS.items()}
        counts = {v: (pixels == colour).all(1).sum() for v, colour in colours.items()}
        assert max(counts, key=counts.get) == found[0].verdict(policy)


def test_the_picture_shows_the_evidence_where_it_lies(inspectors, found) -> None:
    image = decode_image(picture("def", 105), "bad.png", PIXELS)
    loaded = inspectors["casting"].loaded
    data = annotated_png(image, found[0], STRICT, loaded, class_name="def")
    drawn = np.asarray(Image.open(io.BytesIO(data)))[:720].astype(int)
    warm = drawn[:, :, 0] - drawn[:, :, 2]  # the picture is grey, so colour is evidence
    evidence = cv2.resize(found[0].evidence_on_image("def"), (720, 720))
    hottest = np.unravel_index(evidence.argmax(), evidence.shape)
    assert warm[hottest] > 60
    assert np.abs(warm[evidence == 0]).max() <= 2


@pytest.mark.parametrize("size", [(32, 48), (300, 300), (3300, 200), (90, 1600)])
def test_pictures_of_any_size_keep_their_shape_and_a_legible_caption(
    inspectors, size: tuple[int, int]
) -> None:
    model = inspectors["casting"]
    image = np.full(size, 120, np.uint8)
    one = model.inspect(cv2.imencode(".png", image)[1].tobytes(), "日本 <b>.png")
    drawn = Image.open(io.BytesIO(annotated_png(image, one, STRICT, model.loaded, synthetic=True)))
    assert 720 <= drawn.width <= 3000
    assert drawn.height > drawn.width * 13 / 60
    assert drawn.info["Comment"] == "synthetic sample"
