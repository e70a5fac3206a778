"""A class is one, whether a file spells its accents composed or, as on macOS, taken apart."""

import json

import numpy as np
import pytest
from PIL import Image

from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.limits import PIXELS

WHOLE, APART = "Lack\u00e4ufer", "Lacka\u0308ufer"
BOX = [[2, 2], [9, 9]]


def index():
    rows = (f"a.png,{WHOLE},{WHOLE}", f"b.png,{APART},{APART}")
    return {"index.csv": "\n".join(["path,label,photo_group", *rows])}


def coco(one=1, other=2):
    """Ids as programs write them whose tables have gaps: 1.0."""
    images = [{"id": one, "file_name": "a.png"}, {"id": other, "file_name": "b.png"}]
    categories = [{"id": float(one), "name": WHOLE}, {"id": other, "name": APART}]
    marks = [{"id": i, "image_id": i, "category_id": float(i), "bbox": [2, 2, 7, 7]}
             for i in (one, other)]  # fmt: skip
    content = {"images": images, "categories": categories, "annotations": marks}
    return {"annotations.json": json.dumps(content)}


def labelme():
    def content(name, label):
        shape = {"label": label, "shape_type": "rectangle", "points": BOX}
        return json.dumps({"version": "5.0", "imagePath": name, "imageHeight": 20,
                           "imageWidth": 24, "shapes": [shape]})  # fmt: skip

    return {"a.json": content("a.png", WHOLE), "b.json": content("b.png", APART)}


def voc():
    def content(name, label):
        sides = "".join(f"<{k}>{v}</{k}>" for k, v in
                        {"xmin": 2, "ymin": 2, "xmax": 9, "ymax": 9}.items())  # fmt: skip
        return (f"<annotation><filename>{name}</filename><size><width>24</width>"
                f"<height>20</height></size><object><name>{label}</name>"
                f"<bndbox>{sides}</bndbox></object></annotation>")  # fmt: skip

    return {"a.xml": content("a.png", WHOLE), "b.xml": content("b.png", APART)}


def yolo():
    return {"classes.txt": f"{WHOLE}\n{APART}\n", "a.txt": "0 .5 .5 .2 .2",
            "b.txt": "1 .5 .5 .2 .2"}  # fmt: skip


@pytest.mark.parametrize("made", [index, coco, labelme, voc, yolo])
def test_two_spellings_that_look_alike_are_one_class(tmp_path, made):
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((20, 24), np.uint8)).save(tmp_path / name)
    for name, content in made().items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    found = open_set(tmp_path, PIXELS)
    assert found.catalog.classes == (WHOLE,)
    assert len(found.catalog) == 2
    if made is index:
        assert len(set(found.catalog.groups())) == 1
    else:
        assert set(found.annotations["label"]) == {WHOLE}


@pytest.mark.parametrize("key", [1.5, True, None, float("inf")])
def test_an_id_that_is_no_number_of_a_row_is_refused(tmp_path, key):
    Image.fromarray(np.zeros((20, 24), np.uint8)).save(tmp_path / "a.png")
    content = json.loads(coco()["annotations.json"])
    content["images"][0]["id"] = key
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(CatalogError, match=r"id .* is no number and no text"):
        open_set(tmp_path, PIXELS)
