"""Masks are neither images nor classes, and belong to their photographs."""

import time
from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image

from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.data.readers.mask_layout import split_masks
from defectvision.limits import PIXELS


def put(root, *names):
    for name in names:
        marked = np.zeros((20, 20), np.uint8)
        marked[4:9, 4:9] = 0 if name.startswith("empty:") else 255
        file = root / name.removeprefix("empty:")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(marked).save(file)
    return root


# (files, {photograph: (label, split, mask)})
MVTEC = ["train/good/0.png", "test/good/0.png", "test/crack/0.png"]
LAYOUTS = {
    "MVTec AD": ([*MVTEC, "ground_truth/crack/0_mask.png"],
                 {"train/good/0.png": ("good", "train", ""),
                  "test/good/0.png": ("good", "test", ""),
                  "test/crack/0.png": ("crack", "test", "ground_truth/crack/0_mask.png")}),
    "MVTec AD in a wrapper": (
        [f"bottle/{name}" for name in (*MVTEC, "ground_truth/crack/0_mask.png")],
        {"bottle/train/good/0.png": ("good", "train", ""),
         "bottle/test/good/0.png": ("good", "test", ""),
         "bottle/test/crack/0.png": ("crack", "test", "bottle/ground_truth/crack/0_mask.png")}),
    "BTAD": (["train/ok/0.bmp", "test/ok/1.bmp", "test/ko/1.bmp", "ground_truth/ko/1.png"],
             {"train/ok/0.bmp": ("ok", "train", ""),
              "test/ok/1.bmp": ("ok", "test", ""),
              "test/ko/1.bmp": ("ko", "test", "ground_truth/ko/1.png")}),
    "VisA": (["Data/Images/Normal/0.JPG", "Data/Images/Anomaly/0.JPG", "Data/Masks/Anomaly/0.png"],
             {"Data/Images/Normal/0.JPG": ("Normal", "", ""),
              "Data/Images/Anomaly/0.JPG": ("Anomaly", "", "Data/Masks/Anomaly/0.png")}),
    "masks beside class folders": (["good/a.png", "pit/b.png", "masks/b.png"],
                                   {"good/a.png": ("good", "", ""),
                                    "pit/b.png": ("pit", "", "masks/b.png")}),
    "KolektorSDD": (["empty:kos01/P0_label.bmp", "kos01/P0.jpg", "kos02/P0.jpg",
                     "kos02/P0_label.bmp"],
                    {"kos01/P0.jpg": ("", "", "kos01/P0_label.bmp"),
                     "kos02/P0.jpg": ("defect", "", "kos02/P0_label.bmp")}),
    "KolektorSDD2": (["empty:train/1_GT.png", "train/1.png", "test/2.png", "test/2_GT.png"],
                     {"train/1.png": ("", "train", "train/1_GT.png"),
                      "test/2.png": ("defect", "test", "test/2_GT.png")}),
    "a class called gt": (["gt/a.png", "good/b.png"],
                          {"gt/a.png": ("gt", "", ""), "good/b.png": ("good", "", "")}),
    "names that only look alike": (["label/x_1.png", "good/y_1.png", "good/y_1b.png"],
                                   {"label/x_1.png": ("label", "", ""),
                                    "good/y_1.png": ("good", "", ""),
                                    "good/y_1b.png": ("good", "", "")}),
} | {
    f"{ending} beside": ([f"pit/a{ending}.png", "pit/a.jpg", "good/b.jpg"],
                         {"pit/a.jpg": ("pit", "", f"pit/a{ending}.png"),
                          "good/b.jpg": ("good", "", "")})
    for ending in ("_mask", "-mask", "_MASK", "_label", "_GT", "_gt", "_seg", "_segmentation")
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_masks_belong_to_their_photographs(tmp_path, name):
    files, rows = LAYOUTS[name]
    catalog = open_set(put(tmp_path, *files), PIXELS).catalog
    table = catalog.table.set_index("path")
    assert {
        path: (table.label[path], table["split"][path], table["mask"][path]) for path in table.index
    } == rows
    assert not catalog.left_out


def test_the_sides_of_a_part_stay_together_and_may_differ(tmp_path):
    put(tmp_path, "empty:kos01/P0_label.bmp", "kos01/P0.jpg", "kos01/P1.jpg", "kos01/P1_label.bmp")
    catalog = open_set(tmp_path, PIXELS).catalog
    assert catalog.table["photo_group"].tolist() == ["kos01", "kos01"]
    assert not len(catalog.contradictions()) and not catalog.warnings


def test_a_mask_without_its_photograph_is_named(tmp_path):
    put(tmp_path, *MVTEC, "ground_truth/crack/0_mask.png", "ground_truth/crack/7_mask.png")
    (left_out,) = open_set(tmp_path, PIXELS).catalog.left_out
    assert "ground_truth/crack/7_mask.png" in str(left_out)


@pytest.mark.parametrize("ending", ["_mask", "_GT", "_label"])
def test_a_mask_beside_whose_photograph_is_gone_is_no_photograph(tmp_path, ending):
    pairs = [name for n in "ab" for name in (f"pit/{n}.png", f"pit/{n}{ending}.png")]
    put(tmp_path, *pairs, f"pit/gone{ending}.png", f"good/gone{ending.lower()}.png", "good/d.png")
    catalog = open_set(tmp_path, PIXELS).catalog
    assert catalog.table["path"].tolist() == ["good/d.png", "pit/a.png", "pit/b.png"]
    assert sorted(one.name for one in catalog.left_out) == [
        f"good/gone{ending.lower()}.png",
        f"pit/gone{ending}.png",
    ]


def test_thousands_of_masks_beside_their_photographs_are_paired_at_once(tmp_path):
    names = [f"{number:05}{ending}.png" for number in range(10_000) for ending in ("", "_GT")]
    started = time.process_time()
    found = split_masks(tmp_path, {PurePosixPath("pit"): names})
    assert len(found.masks) == len(names) / 2
    assert time.process_time() - started < 10  # it took minutes


def test_photographs_that_are_called_as_masks_stay_photographs(tmp_path):
    names = [f"good/{n}_label.png" for n in "bcd"]
    put(tmp_path, "good/a.png", "good/a_label.png", *names, "good/e.png", "pit/f.png")
    paths = open_set(tmp_path, PIXELS).catalog.table["path"].tolist()
    assert paths == ["good/a.png", *names, "good/e.png", "pit/f.png"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ([*MVTEC, "ground_truth/crack/0_mask.png", "ground_truth/crack/0.png"], "two masks"),
        (["good/a.png", "pit/a.png", "masks/a.png"], "good/a.png or pit/a.png"),
        (["pit/a.png", "pit/a_mask.png", "pit/a_label.png", "ok/b.png"], "two masks"),
        (["pit/a.png", "pit/a.jpg", "pit/a_mask.png", "ok/b.png"], "pit/a.jpg or pit/a.png"),
    ],
)
def test_what_is_not_certain_names_both(tmp_path, files, names):
    with pytest.raises(CatalogError, match=names):
        open_set(put(tmp_path, *files), PIXELS)
