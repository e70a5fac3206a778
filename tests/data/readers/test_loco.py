"""MVTec LOCO AD: several masks of an image are one."""

import json

import numpy as np
import pytest
from PIL import Image

from defectvision.audit.study import study
from defectvision.data.catalog import CatalogError
from defectvision.inference.labelled_images import readable
from defectvision.limits import PIXELS
from tests.stand_ins.labelled_sets import SIZE, labels, masks, opened, rectangle, write

IMAGES = {
    "train/good/000.png": ("good", "train"),
    "validation/good/000.png": ("good", "val"),
    "test/good/000.png": ("good", "test"),
    "test/logical_anomalies/000.png": ("logical_anomalies", "test"),
    "test/structural_anomalies/000.png": ("structural_anomalies", "test"),
}
MASKS = {
    "ground_truth/logical_anomalies/000/000.png": rectangle(1, 2, 4, 5) * np.uint8(254),
    "ground_truth/logical_anomalies/000/001.png": rectangle(6, 8, 14, 16) * np.uint8(235),
    "ground_truth/structural_anomalies/000/000.png": rectangle(9, 9, 12, 12) * np.uint8(255),
}


def published(root, **changed):
    write(root, *IMAGES)
    for name, pixels in (MASKS | changed).items():
        if pixels is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            form = "TIFF" if pixels.dtype == np.float32 else "PNG"
            Image.fromarray(pixels).save(root / name, form)
    return root


def union(images, path):
    drawn = masks(images, path)
    return np.logical_or.reduce([mask for _, mask in drawn]), {label for label, _ in drawn}


@pytest.mark.parametrize("wrapper", ["", "juice_bottle", "mvtec_loco/juice_bottle"])
def test_the_published_layout(tmp_path, wrapper):
    published(tmp_path / wrapper)
    front = f"{wrapper}/" if wrapper else ""
    (tmp_path / wrapper / "defects_config.json").write_text(json.dumps([{"pixel_value": 254}]))
    found = opened(tmp_path)
    table = found.catalog.table.set_index("path")
    assert {path: (table.label[path], table["split"][path]) for path in table.index} == {
        front + path: row for path, row in IMAGES.items()
    }
    assert found.catalog.layout == "mvtec loco" and not found.catalog.left_out
    mask, drawn = union(found, f"{front}test/logical_anomalies/000.png")
    assert drawn == {"logical_anomalies"}
    assert (mask == rectangle(1, 2, 4, 5) | rectangle(6, 8, 14, 16)).all()
    assert masks(found, f"{front}test/good/000.png") == []
    row = list(table.index).index(f"{front}test/logical_anomalies/000.png")
    classes = ["logical_anomalies", "structural_anomalies"]
    assert found.class_masks(row, SIZE, classes).sum((1, 2)).tolist() == [9 + 64, 0]


LOGICAL = "ground_truth/logical_anomalies/000/001.png"
SPOILED = {
    "an empty mask": (LOGICAL, np.zeros(SIZE, np.uint8), "marks no pixel"),
    "another size": (LOGICAL, np.ones((20, 30), np.uint8), "30 x 20 px"),
    "floating values": (LOGICAL, np.ones(SIZE, np.float32), "cannot be read|floating"),
    "colours": (LOGICAL, np.arange(SIZE[0] * SIZE[1] * 3).reshape(*SIZE, 3).astype(np.uint8),
                "colours"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_a_mask_that_is_not_understood_spoils_its_image(tmp_path, name):
    file, pixels, said = SPOILED[name]
    found = opened(published(tmp_path / "set", **{file: pixels}))
    with pytest.raises(CatalogError, match=said):
        masks(found, "test/logical_anomalies/000.png")
    left, (error,) = readable(found, masks=True)
    assert "test/logical_anomalies/000.png" in str(error) and len(left.catalog) == 4
    failures = study(tmp_path / "set", tmp_path / "cache", PIXELS, workers=1).failures
    assert [f for f in failures if f.startswith("test/logical_anomalies/000.png")]


def test_every_value_but_0_marks(tmp_path):
    values = np.arange(800, dtype=np.uint16).reshape(SIZE) % 7
    found = opened(published(tmp_path, **{LOGICAL: values.astype(np.uint8)}))
    mask, _ = union(found, "test/logical_anomalies/000.png")
    assert (mask == (values > 0) | rectangle(1, 2, 4, 5)).all()


def test_masks_of_a_good_image(tmp_path):
    write(tmp_path, "test/good/007.png")
    file = "ground_truth/good/007/000.png"
    found = opened(published(tmp_path, **{file: np.zeros(SIZE, np.uint8)}))
    assert masks(found, "test/good/007.png") == []
    found = opened(published(tmp_path, **{file: rectangle(1, 1, 3, 3) * np.uint8(255)}))
    with pytest.raises(CatalogError, match=r"ground_truth/good/007/000\.png.*labelled good"):
        masks(found, "test/good/007.png")


def test_masks_without_their_photograph_are_named(tmp_path):
    file = "ground_truth/logical_anomalies/007/000.png"
    (left_out,) = opened(published(tmp_path, **{file: MASKS[LOGICAL]})).catalog.left_out
    assert left_out.name == "ground_truth/logical_anomalies/007"


def test_an_anomaly_without_masks_is_not_empty(tmp_path):
    write(tmp_path, "test/logical_anomalies/007.png")
    found = opened(published(tmp_path))
    row = found.catalog.table["path"].tolist().index("test/logical_anomalies/007.png")
    assert found.class_masks(row, SIZE, ["logical_anomalies"]) is None


def test_what_is_not_certain_names_both(tmp_path):
    write(tmp_path, "test/logical_anomalies/000.jpg")
    with pytest.raises(CatalogError, match=r"000\.png or .*000\.jpg|000\.jpg or .*000\.png"):
        opened(published(tmp_path))
    published(tmp_path / "more" / "a")
    published(tmp_path / "more" / "b")
    with pytest.raises(CatalogError, match="2 sets"):
        opened(tmp_path / "more")


def test_images_beside_the_classes_are_told(tmp_path):
    write(tmp_path, "overview.png", "test/x.png", "test/good/more/y.png")
    (warning,) = opened(published(tmp_path)).catalog.warnings
    assert warning.startswith("3 images beside") and "overview.png" in warning


def test_a_changed_mask_is_a_changed_set(tmp_path):
    first = study(published(tmp_path / "set"), tmp_path / "cache", PIXELS, workers=1)
    published(tmp_path / "set", **{LOGICAL: rectangle(1, 1, 3, 3) * np.uint8(9)})
    second = study(tmp_path / "set", tmp_path / "cache", PIXELS, workers=1)
    assert first.key != second.key and not second.from_cache


def test_mvtec_ad_is_read_as_before(tmp_path):
    write(tmp_path, "train/good/0.png", "test/crack/0.png", "ground_truth/crack/0_mask.png")
    assert opened(tmp_path).catalog.layout == "split folders"
    assert labels(opened(tmp_path)) == {"train/good/0.png": "good", "test/crack/0.png": "crack"}
