import json
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.audit.reading import Task, read
from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.data.rle.severstal import decode_rle, encode_rle
from defectvision.limits import PIXELS


def test_run_lengths_go_down_the_columns_from_one() -> None:
    mask = decode_rle("2 3 8 1", height=3, width=4)
    expected = np.zeros((3, 4), bool)
    expected[1, 0] = expected[2, 0] = expected[0, 1] = expected[1, 2] = True
    assert (mask == expected).all()
    assert encode_rle(mask) == "2 3 8 1"
    assert not decode_rle("", 3, 4).any()


@pytest.mark.parametrize("text", ["1", "0 3", "1 13", "5 2 6 1", "a b", "3 0"])
def test_bad_run_lengths_are_refused(text: str) -> None:
    with pytest.raises(CatalogError):
        decode_rle(text, 3, 4)


def test_severstal_train_table(tmp_path: Path) -> None:
    (tmp_path / "train_images").mkdir()
    for name in ("a.jpg", "b.jpg", "clean.jpg"):
        (tmp_path / "train_images" / name).touch()
    (tmp_path / "train.csv").write_text(
        "ImageId,ClassId,EncodedPixels\na.jpg,3,1 2\na.jpg,1,5 2\nb.jpg,4,7 1\n"
    )
    found = open_set(tmp_path, PIXELS)
    labels = dict(zip(found.catalog.table["path"], found.catalog.table["label"], strict=True))
    assert labels == {
        "train_images/a.jpg": "1|3",
        "train_images/b.jpg": "4",
        "train_images/clean.jpg": "",
    }
    assert found.annotations[["image", "label", "shape"]].to_numpy().tolist() == [
        [0, "3", "1 2"], [0, "1", "5 2"], [1, "4", "7 1"],
    ]  # fmt: skip


def coco(folder: Path, **changed: object) -> Path:
    content = {
        "images": [{"id": 7, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}],
        "categories": [{"id": 1, "name": "scratch"}],
        "annotations": [
            {"image_id": 9, "category_id": 1, "bbox": [2, 3, 4, 5], "area": 20,
             "segmentation": [[2, 3, 6, 3, 6, 8, 2, 8]]}
        ],
        **changed,
    }  # fmt: skip
    cv2.imwrite(str(folder / "a.png"), np.zeros((20, 20), np.uint8))
    cv2.imwrite(str(folder / "b.png"), np.zeros((20, 20), np.uint8))
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def test_coco(tmp_path: Path) -> None:
    found = open_set(coco(tmp_path), PIXELS)
    assert found.has_images
    assert found.catalog.table["label"].tolist() == ["", "scratch"]
    assert found.annotations["kind"].tolist() == ["polygon"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": [{"id": 7, "file_name": "../a.png"}], "annotations": []}, "inside the folder"),
        ({"annotations": [{"image_id": 1, "category_id": 1}]}, "unknown images"),
        ({"images": [], "annotations": []}, "names no image"),
        ({"categories": [{"id": 1, "name": "a|b"}]}, "Rename"),
    ],
)
def test_bad_coco_says_what_is_wrong(tmp_path: Path, changed: dict, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        open_set(coco(tmp_path, **changed), PIXELS)


def test_magnetic_tile_as_published(tmp_path: Path) -> None:
    for name in ("MT_Free/Imgs/a.jpg", "MT_Free/Imgs/a.png", "MT_Crack/Imgs/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "MT_Fray/Imgs").mkdir(parents=True)
    found = open_set(tmp_path, PIXELS).catalog
    assert found.table["label"].tolist() == ["crack", "free"]
    assert found.table["mask"].tolist() == ["", "MT_Free/Imgs/a.png"]
    assert any("MT_Fray" in text for text in found.warnings)


def test_hundreds_of_defects_of_an_image_take_no_more_memory_than_few(tmp_path: Path) -> None:
    size = (200, 300)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros(size, np.uint8))
    boxes = [[7.0 * (i % 40), 12.0 * (i // 40), 5, 5] for i in range(120)]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "pit"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": box} for box in boxes],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    found = open_set(tmp_path, PIXELS)
    task = Task(0, str(tmp_path), "a.png", PIXELS, None, "pit", annotations=found.annotations)
    tracemalloc.start()
    drawn = found.class_masks(0, size, ["pit"])
    assert drawn is not None and drawn.sum() == 120 * 25
    reading = read(task)
    assert not reading.errors and len(reading.regions) == 120
    assert reading.coverage["pit"].max() <= 1
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40 * size[0] * size[1]
