"""Segmentations of Pascal VOC as the devkit, CVAT and LabelMe write them."""

import numpy as np
import pytest
from PIL import Image

from defectvision.data.catalog import CatalogError
from tests.stand_ins.labelled_sets import SIZE, labels, masks, opened, rectangle, write, write_texts

MASK = rectangle(6, 8, 14, 16)
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\npit:128,0,0::\nscratch:0,128,0::\n"
NUMBERS = np.zeros(SIZE, np.uint8)
NUMBERS[6:14, 8:16] = 1
NUMBERS[2:4, 30:35] = 2
NUMBERS[5, 8:16] = 255


def segmentation(numbers, mode="P", palette=PALETTE, void=(224, 224, 192)):
    picture = Image.fromarray(numbers)
    picture.putpalette([*palette, *[0] * (765 - len(palette)), *void])
    return picture.convert(mode)


def segmented(folder, picture, texts, images=("a.png", "b.png"), place="SegmentationClass"):
    write(folder, *(f"JPEGImages/{name}" for name in images))
    (folder / place).mkdir(parents=True)
    picture.save(folder / place / "a.png")
    return opened(write_texts(folder, texts))


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA"])
@pytest.mark.parametrize(
    "place", ["SegmentationClass", "segmentationclass", "SegmentationClassPNG"]
)
def test_a_labelmap_names_the_colours(tmp_path, mode, place):
    texts = {"labelmap.txt": LABELMAP, "ImageSets/Segmentation/train.txt": "a\n"}
    found = segmented(tmp_path, segmentation(NUMBERS, mode), texts, place=place)
    assert labels(found) == {"JPEGImages/a.png": "pit|scratch", "JPEGImages/b.png": ""}
    assert found.catalog.table["split"].tolist() == ["train", ""]
    drawn = dict(masks(found, "JPEGImages/a.png"))
    assert (drawn["pit"] == MASK).all()
    assert (drawn["scratch"] == rectangle(2, 30, 4, 35)).all()
    assert not found.catalog.left_out


@pytest.mark.parametrize("void", [(224, 224, 192), (255, 255, 255), (0, 0, 0)])
def test_the_border_of_a_palette_is_background(tmp_path, void):
    found = segmented(tmp_path, segmentation(NUMBERS, void=void), {"labelmap.txt": LABELMAP})
    assert (dict(masks(found, "JPEGImages/a.png"))["pit"] == MASK).all()


def test_without_a_list_the_classes_are_vocs(tmp_path):
    found = segmented(tmp_path, segmentation(NUMBERS), {})
    assert labels(found)["JPEGImages/a.png"] == "aeroplane|bicycle"
    palette = [0, 0, 0] * 20 + [0, 64, 128]
    picture = segmentation((MASK * 20).astype(np.uint8), palette=palette)
    found = segmented(tmp_path / "2", picture, {})
    assert labels(found)["JPEGImages/a.png"] == "tvmonitor"


@pytest.mark.parametrize("mode", ["P", "L"])
def test_the_class_names_of_labelme_number_them(tmp_path, mode):
    picture = Image.fromarray(NUMBERS) if mode == "L" else segmentation(NUMBERS, palette=[9] * 12)
    texts = {"class_names.txt": "__ignore__\n_background_\npit\nscratch\n"}
    found = segmented(tmp_path, picture, texts)
    assert (dict(masks(found, "JPEGImages/a.png"))["pit"] == MASK).all()


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (segmentation(NUMBERS + (NUMBERS == 0) * np.uint8(3)), "808000"),
        (Image.fromarray(NUMBERS), "010101"),
        (Image.fromarray(NUMBERS.astype(np.uint16)), "neither a palette nor colours"),
        (Image.fromarray(NUMBERS > 0), "ffffff"),
    ],
)
def test_a_segmentation_that_is_not_explained_leaves_its_image_out(tmp_path, picture, said):
    found = segmented(tmp_path, picture, {"labelmap.txt": LABELMAP})
    assert labels(found) == {"JPEGImages/b.png": ""}
    (left_out,) = found.catalog.left_out
    assert left_out.name == "JPEGImages/a.png"
    assert "SegmentationClass/a.png" in left_out.reason and said in left_out.reason


def test_a_damaged_segmentation_leaves_its_image_out(tmp_path):
    write(tmp_path, "JPEGImages/a.png", "JPEGImages/b.png")
    texts = {"SegmentationClass/a.png": b"\x89PNG", "labelmap.txt": LABELMAP}
    found = opened(write_texts(tmp_path, texts))
    assert labels(found) == {"JPEGImages/b.png": ""}
    assert [x.name for x in found.catalog.left_out] == ["JPEGImages/a.png"]


def test_a_segmentation_of_another_size_is_refused(tmp_path):
    found = segmented(tmp_path, segmentation(NUMBERS[:, :30]), {"labelmap.txt": LABELMAP})
    with pytest.raises(CatalogError, match="made for 30 x 20 px"):
        masks(found, "JPEGImages/a.png")


def test_a_segmentation_of_nothing_is_a_good_part(tmp_path):
    found = segmented(tmp_path, segmentation(NUMBERS * 0), {"labelmap.txt": LABELMAP})
    assert labels(found) == {"JPEGImages/a.png": "", "JPEGImages/b.png": ""}


def test_a_segmentation_counts_before_the_boxes_of_its_classes(tmp_path):
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{end}</xmax>"
        f"<ymax>{end}</ymax></bndbox></object>"
        for name, end in (("pit", 20), ("dent", 5))
    )
    described = f"<annotation>{objects}</annotation>"
    texts = {"labelmap.txt": LABELMAP, "Annotations/a.xml": described}
    found = segmented(tmp_path, segmentation(NUMBERS), texts)
    drawn = dict(masks(found, "JPEGImages/a.png"))
    assert drawn.keys() == {"pit", "scratch", "dent"}
    assert (drawn["pit"] == MASK).all()
    assert (drawn["dent"] == rectangle(0, 0, 5, 5)).all()


def test_a_segmentation_without_its_image_is_named(tmp_path):
    found = segmented(
        tmp_path, segmentation(NUMBERS), {"labelmap.txt": LABELMAP}, images=["b.png", "c.png"]
    )
    assert [x.name for x in found.catalog.left_out] == ["SegmentationClass/a.png"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pit:128,0::\n", "not label:red,green,blue"),
        ("pit\n", "not label:red,green,blue"),
        ("pit:300,0,0::\n", "not label:red,green,blue"),
        ("pit:128,0,0::\ndent:128,0,0::\n", "'dent' has the colour of 'pit'"),
        ("pit:0,0,0::\n", "'pit' has the colour of 'background'"),
        (":128,0,0::\n", "no name of a class"),
        ("a|b:128,0,0::\n", "no name of a class"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_wrong_labelmap_is_refused_in_words(tmp_path, text, said):
    with pytest.raises(CatalogError) as caught:
        segmented(tmp_path, segmentation(NUMBERS), {"labelmap.txt": text})
    assert said in str(caught.value) and "labelmap.txt" in str(caught.value)
