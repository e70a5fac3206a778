"""A folder whose name means a good part is good wherever a person meets it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from defectvision.bundle.labels import GOOD_NAMES, is_good_name
from defectvision.bundle.line import DefectClass, Line
from defectvision.cli.data import app
from defectvision.data import statistics
from defectvision.data.image_set import open_set
from defectvision.data.readers.folders import open_catalog
from defectvision.data.statistics import lacks_good
from defectvision.evaluation.evaluate import labelled
from defectvision.limits import PIXELS
from defectvision.training.new_line import line_for

GOOD = (
    "clean", "Clean", "OK", "ok", "okay", "ok_front", "OK-Front", "good", "Good", "NORMAL", "free",
    "MT_Free", "mt free", "no defect", "No-Defect", "no_defects", "defect free", "Defect-Free",
    "non defective",
)  # fmt: skip
DEFECTIVE = ("cleaning mark", "not ok", "nok", "defect", "goods", "free-form crack", "2")
OTHERS = ("crack", "dent")


@pytest.fixture
def folder(tmp_path: Path):
    def made(*names: str) -> Path:
        for number, name in enumerate((*names, *OTHERS)):
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            image = np.full((32, 32), 40 * number, np.uint8)
            cv2.imwrite(str(tmp_path / "set" / name / "a.png"), image)
        return tmp_path / "set"

    return made


def line_of(*good: str) -> Line:
    classes = [DefectClass(name=n, title=n, kind="ok", colour="#123456") for n in good]
    classes += [DefectClass(name=n, title=n, kind="defect", colour="#654321") for n in OTHERS]
    return Line(name="part", title="Part", classes=tuple(classes), default_bundle="one")


@pytest.mark.parametrize("name", GOOD)
def test_a_good_folder_is_good_on_the_page_in_a_training_and_in_an_evaluation(
    name: str, folder, tmp_path: Path
) -> None:
    catalog = open_catalog(folder(name))
    # the Dataset page
    assert statistics.good_classes(catalog) == {name}
    kinds = statistics.good_and_defective(catalog).set_index("kind")["images"]
    assert kinds.to_dict() == {"good": 1, "defective": 2}
    assert statistics.defects_per_image(catalog).to_numpy().tolist() == [[0, 1], [1, 2]]
    # train: a new line, and one that calls its good class otherwise
    made = line_for(catalog, tmp_path / "new-line", "one")
    assert (made.good_names, made.defect_names) == ((name,), OTHERS)
    known = line_of("ok")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "line.json").write_text(known.model_dump_json())
    assert line_for(catalog, tmp_path / "part", "two") == known
    # evaluate
    assert sorted(labelled(catalog, known).table["label"]) == ["crack", "dent", "ok"]
    assert labelled(catalog, made).table["label"].tolist() == catalog.table["label"].tolist()


@pytest.mark.parametrize("name", ["clean", "No-Defect", "MT_Free"])
def test_the_data_report_counts_the_same_images_as_good(name: str, folder, tmp_path: Path) -> None:
    path, cache = str(folder(name)), str(tmp_path / "cache")
    done = CliRunner().invoke(app, ["report", path, "--json", "--cache", cache, "--workers", "1"])
    content = json.loads(done.stdout.strip().splitlines()[-1])
    assert (content["good"], content["defective"]) == (1, 2)


@pytest.mark.parametrize("name", DEFECTIVE)
def test_a_folder_that_only_sounds_good_is_a_defect(name: str, folder, tmp_path: Path) -> None:
    catalog = open_catalog(folder(name))
    assert statistics.good_classes(catalog) == set()
    made = line_for(catalog, tmp_path / "new-line", "one")
    assert set(made.defect_names) == {name, *OTHERS} and not made.good_names


def test_names_are_listed_as_they_are_compared() -> None:
    assert all(is_good_name(name) for name in GOOD_NAMES)
    assert not is_good_name("")


@pytest.mark.parametrize(
    ("folders", "good", "told"),
    [
        (("Negative", "Positive"), (), True),
        (("Negative", "Positive"), ("Negative",), False),
        (("0", "1"), (), True),
        (("0", "1"), ("0",), False),
        (("pass", "fail", "rework"), ("pass", "rework"), False),
        (("clean", "dirty"), (), False),
        (("Normal", "Anomaly"), (), False),
    ],
)
def test_a_set_without_a_good_class_is_told_and_one_can_be_named(tmp_path, folders, good, told):
    for name in folders:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    catalog = open_set(tmp_path, PIXELS, good=good).catalog
    warning = lacks_good(catalog)
    assert bool(warning) == told
    if told:
        assert "no good class" in warning and "--good" in warning
        return
    line = line_for(catalog, tmp_path / "line", "b")
    assert line.good_names
    assert not set(good) & set(line.class_names)
