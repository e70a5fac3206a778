"""Severstal's train.csv in both published forms, and what can be wrong with it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.limits import PIXELS

SPLIT = "ImageId,ClassId,EncodedPixels\na.jpg,1,2 3\na.jpg,3,8 1\nb.jpg,4,1 12\n"
JOINED = (
    "ImageId_ClassId,EncodedPixels\n"
    "a.jpg_1,2 3\na.jpg_2,\na.jpg_3,8 1\na.jpg_4,\n"
    "b.jpg_1,\nb.jpg_2,\nb.jpg_3,\nb.jpg_4,1 12\n"
    "clean.jpg_1,\nclean.jpg_2,\nclean.jpg_3,\nclean.jpg_4,\n"
)


def folder(root: Path, table: str, images: tuple[str, ...] = ("a.jpg", "b.jpg", "clean.jpg")):
    root.joinpath("train.csv").write_text(table)
    root.joinpath("train_images").mkdir()
    for name in images:
        cv2.imwrite(str(root / "train_images" / name), np.zeros((3, 4), np.uint8))
    return root


@pytest.mark.parametrize("table", [SPLIT, JOINED], ids=["split", "joined"])
def test_both_published_forms_are_the_same_set(tmp_path, table):
    found = open_set(folder(tmp_path, table), PIXELS)
    assert found.has_images and not found.catalog.warnings
    rows = found.catalog.table
    assert dict(zip(rows["path"], rows["label"], strict=True)) == {
        "train_images/a.jpg": "1|3",
        "train_images/b.jpg": "4",
        "train_images/clean.jpg": "",
    }
    masks = dict(found.masks(0, (3, 4)))
    assert {label: mask.sum() for label, mask in masks.items()} == {"1": 3, "3": 1}
    assert masks["1"][1, 0] and masks["3"][1, 2]
    assert found.masks(1, (3, 4))[0][1].all()
    assert found.masks(2, (3, 4)) == []


@pytest.mark.parametrize(
    ("table", "images", "unknown"), [(SPLIT, 2, True), (JOINED, 3, False)], ids=["split", "joined"]
)
def test_without_images_only_the_joined_form_knows_the_clean_strips(
    tmp_path, table, images, unknown
):
    (tmp_path / "train.csv").write_text(table)
    found = open_set(tmp_path / "train.csv", PIXELS)
    assert not found.has_images and len(found.catalog) == images
    assert ("clean strips are unknown" in found.catalog.warnings[0]) == unknown


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("b.jpg,1,1 2 3", "odd number"),
        ("b.jpg,1,1 3 2 2", "overlap"),
        ("b.jpg,1,12 2", "another size"),
        ("b.jpg,1,a b", "not numbers"),
        ("b.jpg,x,1 2", "number of a class"),
        (",1,1 2", "names an image"),
        ("a.jpg,1,1 2", "earlier row"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, said):
    table = f"ImageId,ClassId,EncodedPixels\na.jpg,1,2 3\nclean.jpg,2,\n{row}\n"
    with pytest.raises(CatalogError, match=rf"train\.csv, row 4.*{said}"):
        open_set(folder(tmp_path, table), PIXELS)


def test_a_wrong_row_of_the_joined_form_is_named(tmp_path):
    with pytest.raises(CatalogError, match=r"train\.csv, row 2.*number of a class"):
        open_set(folder(tmp_path, "ImageId_ClassId,EncodedPixels\na.jpg,1 2\n"), PIXELS)


def test_a_missing_image_is_named_with_its_row_and_the_others_are_read(tmp_path):
    found = open_set(folder(tmp_path, SPLIT, images=("a.jpg",)), PIXELS)
    assert found.catalog.table["path"].tolist() == ["train_images/a.jpg"]
    (left_out,) = map(str, found.catalog.left_out)
    assert "1 images" in left_out
    assert "'b.jpg', row 4" in left_out


def test_the_published_set_opens(shared_data):
    found = open_set(shared_data / "severstal", PIXELS)
    assert len(found.catalog) == 46 and not found.catalog.warnings
    marked = [found.masks(i, (256, 1600)) for i in range(46)]
    assert all(mask.any() for masks in marked for _, mask in masks)
    labels = ["|".join(sorted(label for label, _ in masks)) for masks in marked]
    assert labels == found.catalog.table["label"].tolist()
