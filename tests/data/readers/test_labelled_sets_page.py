"""The table of docs/labelled-sets.md names the layouts that the readers read."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectvision.data.image_set import open_set
from defectvision.limits import PIXELS

PAGE = Path(__file__).parents[3] / "docs" / "labelled-sets.md"
READ = PAGE.read_text(encoding="utf-8").partition("## Read\n")[2].partition("\n## ")[0]
ROWS = dict(re.findall(r"^\| ([^|]+) \| `([^`]+)` \|", READ, re.MULTILINE))
COCO = {
    "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
    "categories": [{"id": 1, "name": "crack"}],
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [4, 4, 5, 5]}],
}
LABELME = {
    "shapes": [{"label": "crack", "points": [[4, 4], [9, 9]], "shape_type": "rectangle"}],
    "imagePath": "a.png",
}
VOC = (
    "<annotation><object><name>crack</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>9</xmax>"
    "<ymax>9</ymax></bndbox></object></annotation>"
)
# layout of the page: (images, texts, layout of the reader, whether it brings masks)
LAYOUTS = {
    "index.csv": (["a.png", "b.png"], {"index.csv": "path,label\na.png,crack\nb.png,\n"},
                  "index.csv", False),
    "class folders": (["crack/a.png", "good/b.png"], {}, "class folders", False),
    "split folders": (["train/crack/a.png", "train/good/b.png"], {}, "split folders", False),
    "MVTec AD, BTAD": (["train/good/b.png", "test/crack/a.png", "ground_truth/crack/a_mask.png"],
                       {}, "split folders", True),
    "MVTec LOCO AD": (["train/good/b.png", "test/logical/000.png",
                       "ground_truth/logical/000/000.png"], {}, "mvtec loco", True),
    "VisA": (["Images/Anomaly/a.png", "Images/Normal/b.png", "Masks/Anomaly/a.png"], {},
             "class folders", True),
    "masks beside": (["crack/a.jpg", "crack/a_mask.png", "good/b.png"], {}, "class folders", True),
    "KolektorSDD, KolektorSDD2": (["kos01/Part0.jpg", "kos01/Part0_label.bmp", "kos02/Part0.jpg",
                                   "kos02/Part0_label.bmp"], {}, "masks beside", True),
    "DAGM 2007": (["Class1/Train/1.png", "Class1/Train/2.png", "Class1/Train/Label/2_label.png"],
                  {"Class1/Train/Label/Labels.txt": "1 0 1.png 0 0\n2 1 2.png 0 2_label.png\n"},
                  "dagm", True),
    "COCO": (["a.png", "b.png"], {"annotations/instances.json": json.dumps(COCO)}, "coco", True),
    "YOLO": (["images/train/a.png", "images/train/b.png"],
             {"data.yaml": "names: [crack]\nnc: 1\n", "labels/train/a.txt": "0 .5 .5 .2 .2\n"},
             "yolo", True),
    "LabelMe": (["a.png", "b.png"], {"a.json": json.dumps(LABELME)}, "labelme", True),
    "Pascal VOC, NEU-DET": (["JPEGImages/a.png", "JPEGImages/b.png"],
                            {"Annotations/a.xml": VOC}, "voc", True),
    "Pascal VOC segmentation": (["JPEGImages/a.png", "JPEGImages/b.png",
                                 "SegmentationClass/a.png"],
                                {"labelmap.txt": "crack:255,255,255::\n"}, "voc", True),
    "Severstal": (["train_images/a.png", "train_images/b.png"],
                  {"train.csv": "ImageId,ClassId,EncodedPixels\na.png,3,1 5\n"}, "severstal",
                  True),
    "magnetic tiles": (["MT_Crack/Imgs/a.jpg", "MT_Crack/Imgs/a.png", "MT_Free/Imgs/b.jpg"], {},
                       "magnetic tile", True),
    "casting": (["def_front/a.jpeg", "ok_front/b.jpeg"], {}, "casting", False),
    "NEU": (["Cr_1.bmp", "In_1.bmp"], {}, "neu", False),
}  # fmt: skip


def test_the_page_lists_these_layouts():
    assert list(ROWS) == list(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_of_the_page_is_read(tmp_path, name):
    images, texts, layout, masks = LAYOUTS[name]
    assert ROWS[name] in {*images, *texts}
    for image in images:
        (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((20, 20), np.uint8)
        pixels[4:9, 4:9] = 255
        Image.fromarray(pixels).save(tmp_path / image)
    for file, text in texts.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    found = open_set(tmp_path, PIXELS)
    assert found.catalog.layout == layout
    assert found.has_masks == masks
    assert found.has_images and not found.catalog.left_out
