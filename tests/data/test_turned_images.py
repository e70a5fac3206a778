"""Which way up an annotation was drawn on an image that EXIF turns is told by sizes, or refused."""

import json

import numpy as np
import pytest
from PIL import Image

from defectvision.audit.study import study
from defectvision.data.catalog import CatalogError
from defectvision.data.image_head import image_orientation
from defectvision.data.image_set import open_set
from defectvision.inference.images import ImageError
from defectvision.inference.labelled_images import read_masks, readable
from defectvision.limits import PIXELS

WIDE, SQUARE = (20, 30), (24, 24)
ORIENTATIONS = range(1, 9)


def turned(file, size, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros(size, np.uint8)).save(file, exif=exif)


def upright(size, orientation):
    return size[::-1] if orientation > 4 else size


def coco(folder, segmentation, declared):
    image = {"id": 1, "file_name": "a.jpg"}
    if declared:
        image |= {"height": declared[0], "width": declared[1]}
    entry = {"id": 5, "image_id": 1, "category_id": 1, "bbox": [2, 3, 5, 4]}
    if segmentation is not None:
        entry["segmentation"] = segmentation
    content = {"images": [image], "categories": [{"id": 1, "name": "pit"}], "annotations": [entry]}
    (folder / "instances.json").write_text(json.dumps(content))
    return open_set(folder, PIXELS)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_turn_stands_in_the_head(tmp_path, suffix, orientation):
    turned(tmp_path / f"a.{suffix}", WIDE, orientation)
    assert image_orientation(tmp_path / f"a.{suffix}") == orientation


@pytest.mark.parametrize("data", [b"", b"RIFF\x00\x00\x00\x00WEBPEXIF\xff\xff\xff\xff", b"\x89PNG"])
def test_what_has_no_head_is_as_it_is_stored(tmp_path, data):
    (tmp_path / "a.png").write_bytes(data)
    assert image_orientation(tmp_path / "a.png") == 1
    assert image_orientation(tmp_path / "nowhere.png") == 1


@pytest.mark.parametrize("size", [WIDE, SQUARE])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("shape", ["box", "polygon", "rle"])
def test_an_annotation_holds_where_its_size_tells_the_turn(
    tmp_path, size, told, orientation, shape
):
    turned(tmp_path / "a.jpg", size, orientation)
    height, width = upright(size, orientation)
    segmentation = {
        "box": None,
        "polygon": [[2, 3, 7, 3, 7, 7, 2, 7]],
        "rle": {"size": [height, width], "counts": [height, 3, height * width - height - 3]},
    }[shape]
    found = coco(tmp_path, segmentation, (height, width) if told else None)
    told = told or shape == "rle"
    if orientation == 1 or (orientation > 4 and size == WIDE and told):
        ((label, mask),) = found.masks(0, (height, width))
        assert (label, mask.sum()) == ("pit", 3 if shape == "rle" else 20)
        return
    with pytest.raises(CatalogError, match="which way up"):
        found.masks(0, (height, width))
    with pytest.raises(ImageError, match=r"a\.jpg: .*which way up.* Save the image upright"):
        read_masks(found, 0, (height, width), ["pit"])


def test_report_and_training_name_it_alike(tmp_path):
    turned(tmp_path / "set" / "a.jpg", SQUARE, 3)
    turned(tmp_path / "set" / "b.jpg", SQUARE, 1)
    found = coco(tmp_path / "set", None, SQUARE)
    content = json.loads((tmp_path / "set" / "instances.json").read_text())
    content["images"].append({"id": 2, "file_name": "b.jpg", "height": 24, "width": 24})
    (tmp_path / "set" / "instances.json").write_text(json.dumps(content))
    found = open_set(tmp_path / "set", PIXELS)
    (failure,) = study(tmp_path / "set", tmp_path / "cache", PIXELS, workers=1).failures
    assert failure.startswith("a.jpg: which way up")
    left, (error,) = readable(found, masks=True)
    assert left.catalog.table["path"].tolist() == ["b.jpg"]
    assert "a.jpg" in str(error) and "which way up" in str(error)


def test_run_lengths_of_a_turned_strip_are_refused(tmp_path):
    turned(tmp_path / "train_images" / "a.jpg", WIDE, 3)
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\na.jpg,3,1 5\n")
    with pytest.raises(CatalogError, match="which way up"):
        open_set(tmp_path, PIXELS).masks(0, WIDE)


def test_a_mask_file_has_a_turn_of_its_own(tmp_path):
    turned(tmp_path / "a.jpg", SQUARE, 3)
    mask = np.zeros(SQUARE, np.uint8)
    mask[1:4, 2:5] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    (tmp_path / "index.csv").write_text("path,label,mask\na.jpg,pit,m.png\n")
    ((_, read),) = open_set(tmp_path, PIXELS).masks(0, SQUARE)
    assert (read == (mask > 0)).all()


def test_a_class_that_nobody_marked_is_not_empty(tmp_path):
    turned(tmp_path / "a.jpg", SQUARE, 1)
    found = coco(tmp_path, None, SQUARE)
    content = json.loads((tmp_path / "instances.json").read_text())
    content["categories"].append({"id": 2, "name": "scratch"})
    content["annotations"].append({"id": 6, "image_id": 1, "category_id": 2})
    (tmp_path / "instances.json").write_text(json.dumps(content))
    found = open_set(tmp_path, PIXELS)
    assert found.class_masks(0, SQUARE, ["pit", "scratch"]) is None
    assert found.class_masks(0, SQUARE, ["pit"]).sum() == 20
