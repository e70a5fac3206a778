"""A labelled set comes out of the store with the same labels and the same pixels, and trains."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.bundle.line import DefectClass
from defectvision.data.image_set import open_set
from defectvision.inference.labelled_images import read_masks
from defectvision.limits import PIXELS
from defectvision.people import unproven
from defectvision.report.taught_set import Labelled, coco_zip, index_zip, write_folder, yolo_zip
from defectvision.store import labelling
from defectvision.store.database import Store
from tests.stand_ins.stores import new_store

ADA = unproven("ada")
CLASSES = [
    DefectClass(name="good", title="Good", kind="ok", colour="#00aa00"),
    DefectClass(name="crack", title="Crack", kind="defect", colour="#aa0000"),
    DefectClass(name="dent", title="Dent", kind="defect", colour="#0000aa"),
]
SIZE = (60, 90)
NAMES = ("../../a.png", "a.png", "ö |b.png", "=c.png")
LABELS = ("crack", "dent", "good", "crack")


@pytest.fixture
def drawn() -> dict[int, np.ndarray]:
    """By image: what was drawn; a ring, so that it has a hole, and a single pixel."""
    ring = cv2.circle(np.zeros(SIZE, np.uint8), (40, 30), 12, 1, 3).astype(bool)
    pixel = np.zeros(SIZE, bool)
    pixel[59, 89] = True
    return {1: ring, 2: pixel}


@pytest.fixture
def store(tmp_path: Path, drawn) -> Store:
    made = new_store(tmp_path)
    with made.session() as session:
        labelling.new_set(session, "Caps", "caps", CLASSES, "multiclass", ADA)
    rng = np.random.default_rng(0)
    for name in (*NAMES, "unlabelled.png"):
        pixels = rng.integers(0, 255, SIZE).astype(np.uint8)
        data = cv2.imencode(".png", pixels)[1].tobytes()
        labelling.add_images(made, 1, [labelling.Given(name, data)], PIXELS, ADA)
    for image, label in enumerate(LABELS, 1):
        masks = {label: drawn[image]} if image in drawn else {}
        labelling.say(made, image, [label], masks, ADA)
    return made


def check(folder: Path, drawn, labels=LABELS) -> None:
    images = open_set(folder, PIXELS)
    assert images.catalog.table["label"].tolist() == list(labels)
    for row, label in enumerate(labels):
        masks = read_masks(images, row, SIZE, ["crack", "dent"])
        wanted = np.zeros((2, *SIZE), bool)
        if row + 1 in drawn:
            wanted[["crack", "dent"].index(label)] = drawn[row + 1]
            assert np.array_equal(masks, wanted)
        elif label == "good":
            assert not masks.any()
        else:
            assert masks is None  # nobody drew where


def test_a_folder_holds_all_labels_and_masks(store, drawn, tmp_path) -> None:
    folder = tmp_path / "set"
    assert write_folder(Labelled.of(store, 1), folder) == ()
    check(folder, drawn)
    inside = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert {path.split("/")[0] for path in inside} == {
        "images", "masks", "classes.csv", "index.csv", "line.json",
    }  # fmt: skip


def test_zip_files_hold_the_same(store, drawn, tmp_path) -> None:
    for number, content in enumerate(
        (index_zip(Labelled.of(store, 1)), coco_zip(Labelled.of(store, 1)))
    ):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(tmp_path / f"{number}")
    check(tmp_path / "0", drawn)
    images = open_set(tmp_path / "1" / "annotations.json", PIXELS)
    found = dict(zip(images.catalog.table["path"], range(len(images.catalog)), strict=True))
    assert len(found) == 3  # nobody drew the crack of the last one, which is not good
    for place, image in (("images/a.png", 1), ("images/a_2.png", 2)):
        masks = read_masks(images, found[place], SIZE, ["crack", "dent"])
        assert np.array_equal(masks[image - 1], drawn[image])
        assert masks.sum() == drawn[image].sum()


def test_yolo_gives_the_same_pixels_again(store, drawn, tmp_path) -> None:
    folder = tmp_path / "yolo"
    with zipfile.ZipFile(io.BytesIO(yolo_zip(Labelled.of(store, 1)))) as archive:
        archive.extractall(folder)
    assert "=c.png" in (folder / "left_out.csv").read_text("utf-8-sig")
    images = open_set(folder, PIXELS)
    labels = dict(zip(images.catalog.table["path"], images.catalog.table["label"], strict=True))
    assert sorted(labels.values()) == ["", "crack", "dent"]
    for row, (path, label) in enumerate(labels.items()):
        masks = read_masks(images, row, SIZE, ["crack", "dent"])
        for number, name in enumerate(("crack", "dent")):
            image = {"images/a.png": 1, "images/a_2.png": 2}.get(path)
            wanted = drawn[image] if image and label == name else np.zeros(SIZE, bool)
            assert np.array_equal(masks[number], wanted), path


def test_what_is_held_back_is_apart(store, tmp_path) -> None:
    with store.session() as session:
        assert labelling.hold_back(session, 1, ADA, 0.5) == 1
    learned, held = (Labelled.of(store, 1, held=kept) for kept in (False, True))
    assert len(learned.rows) == 3 and len(held.rows) == 1
    assert not {row.digest for row in learned.rows} & {row.digest for row in held.rows}


def test_an_image_whose_file_is_lost_is_left_out_and_named(store, tmp_path) -> None:
    labelled = Labelled.of(store, 1)
    next(Path(store.files.folder).rglob(labelled.rows[2].digest)).unlink()
    lost = write_folder(labelled, tmp_path / "set")
    assert [error.name for error in lost] == [NAMES[2]]
    found = open_set(tmp_path / "set", PIXELS).catalog
    assert len(found) == 3
    [gone] = found.left_out  # whoever reads it is told, be it to look at it or to learn from it
    assert "ö |b.png' is missing" in gone.reason
