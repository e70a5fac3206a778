"""Pascal VOC sets as the devkit, NEU-DET, CVAT, Roboflow, labelImg and LabelMe write them."""

import numpy as np
import pytest
from PIL import Image

from defectvision.audit.study import study
from defectvision.data.catalog import CatalogError
from defectvision.inference.labelled_images import readable
from defectvision.limits import PIXELS
from tests.stand_ins.labelled_sets import SIZE, labels, masks, opened, rectangle, write, write_texts

MASK = rectangle(6, 8, 14, 16)
BOX = (
    "<bndbox><xmin>9</xmin><ymin>7</ymin><xmax>16</xmax><ymax>14</ymax></bndbox>"
    "<pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
)


def thing(place=BOX, name="pit"):
    return f"<object><name>{name}</name>{place}</object>"


def xml(*objects, filename="a.png", size=SIZE):
    sides = f"<width>{size[1]}</width><height>{size[0]}</height><depth>1</depth>" if size else ""
    return (
        f"<annotation><folder>lot7</folder><filename>{filename}</filename>"
        f"<path>C:\\lot7\\{filename}</path><size>{sides}</size>{''.join(objects)}</annotation>"
    )


# images, texts, splits
LAYOUTS = {
    "devkit": (["JPEGImages/a.png", "JPEGImages/b.png"],
               {"Annotations/a.xml": xml(thing()), "Annotations/b.xml": xml(filename="b.png"),
                "ImageSets/Main/train.txt": "a\n", "ImageSets/Main/val.txt": "b\n",
                "ImageSets/Main/trainval.txt": "a\nb\n", "ImageSets/Main/pit_train.txt": "a  1\n",
                "ImageSets/Layout/train.txt": "b\n"}, ["train", "val"]),
    "devkit, trainval": (["JPEGImages/a.png", "JPEGImages/b.png"],
                         {"Annotations/a.xml": xml(thing()), "ImageSets/Main/trainval.txt": "a\n",
                          "ImageSets/Main/test.txt": "b.png -1\n"}, ["train", "test"]),
    "in a wrapper": (["VOCdevkit/VOC2012/JPEGImages/a.jpg", "VOCdevkit/VOC2012/JPEGImages/b.jpg"],
                     {"VOCdevkit/VOC2012/Annotations/a.xml": xml(thing(), filename="a.jpg"),
                      "VOCdevkit/VOC2012/ImageSets/Main/test.txt": "a\nb\n"}, ["test", "test"]),
    "NEU-DET": (["IMAGES/Cr_1.jpg", "IMAGES/Cr_2.jpg"],
                {"ANNOTATIONS/Cr_1.xml": xml(thing(), filename="Cr_1"),
                 "ANNOTATIONS/Cr_2.xml": xml(filename="Cr_2.jpg")}, ["", ""]),
    "NEU-DET of Kaggle": (["NEU-DET/train/images/pit/pit_1.jpg",
                           "NEU-DET/validation/images/dent/dent_1.jpg"],
                          {"NEU-DET/train/annotations/pit_1.xml":
                               xml(thing(), filename="pit_1.jpg"),
                           "NEU-DET/validation/annotations/dent_1.xml": xml(filename="dent_1.jpg")},
                          ["train", "val"]),
    "labelImg": (["a.png", "b.png"], {"a.xml": xml(thing())}, ["", ""]),
    "Roboflow": (["train/a.jpg", "valid/a.jpg"],
                 {"train/a.xml": xml(thing(), filename="a.jpg"),
                  "valid/a.xml": xml(filename="a.jpg"), "README.roboflow.txt": "words"},
                 ["train", "val"]),
    "CVAT": (["JPEGImages/lot/a.png", "JPEGImages/lot/b.png"],
             {"Annotations/lot/a.xml": xml(thing(), filename="lot/a.png"),
              "ImageSets/Main/default.txt": "lot/a\nlot/b\n", "labelmap.txt": "# label:color_rgb"},
             ["", ""]),
    "a name of its own": (["images/a.png", "images/b.png"],
                          {"annotations/0001.xml": xml(thing(), filename="a.png")}, ["", ""]),
    "a filename that is no longer true": (["images/a.png", "images/b.png"],
                                          {"annotations/a.xml": xml(thing(), filename="IMG_1.JPG")},
                                          ["", ""]),
    "lists in folders": (["JPEGImages/x/a.png", "JPEGImages/y/a.png"],
                         {"Annotations/x/a.xml": xml(thing()), "Annotations/y/a.xml": xml(),
                          "ImageSets/Main/train.txt": "x/a\n", "ImageSets/Main/test.txt": "y/a\n"},
                         ["train", "test"]),
    "beside other XML": (["a.png", "b.png"],
                         {"a.xml": xml(thing()), "settings.xml": "<settings/>"}, ["", ""]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    images, texts, splits = LAYOUTS[name]
    found = opened(write_texts(write(tmp_path, *images), texts))
    assert found.catalog.layout == "voc" and found.has_images
    assert labels(found) == dict(zip(images, ["pit", ""], strict=True))
    assert found.catalog.table["split"].tolist() == splits
    assert not found.catalog.left_out and not found.unreadable
    ((label, mask),) = masks(found, images[0])
    assert label == "pit" and (mask == MASK).all()
    assert masks(found, images[1]) == []
    assert any("1 images without annotations count as good" in w for w in found.catalog.warnings)


def box(left, top, right, bottom):
    return (f"<bndbox><xmax>{right}</xmax><xmin>{left}</xmin><ymax>{bottom}</ymax>"
            f"<ymin>{top}</ymin></bndbox>")  # fmt: skip


def polygon(*numbers, start=1):
    pairs = enumerate(zip(numbers[::2], numbers[1::2], strict=True), start)
    return (
        "<polygon>"
        + "".join(f"<x{i}>{x}</x{i}><y{i}>{y}</y{i}>" for i, (x, y) in pairs)
        + ("</polygon>")
    )


def rotation(value):
    return (
        "<attributes><attribute><name>occluded</name><value>1</value></attribute><attribute>"
        f"<name>rotation</name><value>{value}</value></attribute></attributes>"
    )


SHAPES = {
    "whole numbers count from 1 and are in it": (box(9, 7, 16, 14), MASK),
    "the whole image": (box(1, 1, 40, 20), rectangle(0, 0, 20, 40)),
    "one px": (box(40, 20, 40, 20), rectangle(19, 39, 20, 40)),
    "counted from 0": (box(0, 0, 8, 8), rectangle(0, 0, 8, 8)),
    "decimals are places": (box("8.0", "6.0", "16.0", "14.0"), MASK),
    "some decimals": (box("8", "6", "16.00", "14"), MASK),
    "spaces": (box(" 9 ", "\n7", "16", "14"), MASK),
    "polygon": (BOX + polygon(8, 6, 16, 6, 16, 14, 8, 14), MASK),
    "polygon from 0": (polygon(8, 6, 16, 6, 16, 14, 8, 14, start=0) + BOX, MASK),
    "an empty polygon": ("<polygon/>" + BOX, MASK),
    "a polygon of many corners": (polygon(*(8, 6, 12, 6, 16, 6, 16, 10, 16, 14, 14, 14, 12, 14, 10,
                                            14, 8, 14, 8, 12, 8, 10)), MASK),
    "turned by CVAT": (box("10.0", "6.0", "14.0", "14.0") + rotation("90.0"),
                       rectangle(8, 8, 12, 16)),
    "turned by nothing": (BOX + rotation("0.0"), MASK),
    "an attribute that is no turn": (BOX + rotation("left"), MASK),
    "parts": (BOX + "<part><name>head</name>" + box(1, 1, 2, 2) + "</part>", MASK),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_to_the_pixel(tmp_path, name):
    place, expected = SHAPES[name]
    found = opened(write_texts(write(tmp_path, "a.png"), {"a.xml": xml(thing(place))}))
    ((label, mask),) = masks(found, "a.png")
    assert label == "pit" and (mask == expected).all()


WRONG = {
    "no box": ("", "no box"),
    "three sides": ("<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax></bndbox>", "no box"),
    "no number": (box("a", 1, 2, 2), "no box"),
    "NaN": (box("nan", 1, 2, 2), "no box"),
    "infinite": (box(1, 1, "inf", 2), "no box"),
    "a turned box": ("<robndbox><cx>9</cx><cy>9</cy><w>3</w><h>3</h><angle>1</angle></robndbox>",
                     "not turned"),
    "the wrong way round": (box(16, 7, 9, 14), "no width or height"),
    "no width": (box("8.0", "6.0", "8.0", "14.0"), "no width or height"),
    "polygon of two corners": (polygon(8, 6, 16, 6), "a polygon of 4 numbers"),
    "polygon without a y": ("<polygon><x1>1</x1><y1>1</y1><x2>5</x2><y2>1</y2><x3>5</x3>"
                            "<x4>1</x4></polygon>", "a polygon of 6 numbers"),
    "polygon of something else": ("<polygon><pt>1</pt></polygon>", "not x1, y1"),
    "polygon twice": ("<polygon>" + polygon(8, 6, 16, 6, 16, 14)[9:-10]
                      + polygon(8, 6, 16, 6, 16, 14)[9:], "a polygon of 12 numbers"),
    "a box outside": (box(50, 30, 70, 40), "leaves the image"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_object_is_named_and_its_image_is_not_good(tmp_path, name):
    place, said = WRONG[name]
    write_texts(write(tmp_path, "a.png", "b.png"), {"a.xml": xml(thing(), thing(place))})
    found = opened(tmp_path)
    assert labels(found) == {"a.png": "pit", "b.png": ""}
    with pytest.raises(CatalogError, match=said):
        masks(found, "a.png")
    left, (error,) = readable(found, masks=True)
    assert left.catalog.table["path"].tolist() == ["b.png"]
    assert "a.png" in str(error)
    failures = study(tmp_path, tmp_path / "cache", PIXELS, workers=1).failures
    assert [f for f in failures if f.startswith("a.png: ") and said in f]


BOMB = "<!DOCTYPE a [<!ENTITY b 'xx'><!ENTITY c '&b;&b;'>]>"
SPOILED = {
    "no name": xml(f"<object>{BOX}</object>"),
    "an empty name": xml(thing(name=" ")),
    "a name of two": xml(thing(name="a|b")),
    "a bomb": BOMB + xml(thing(name="&c;")),
    "a file of the server": '<!DOCTYPE a SYSTEM "file:///etc/passwd">' + xml(thing()),
    "a bomb in UTF-16": ('<?xml version="1.0" encoding="utf-16"?>' + BOMB + xml(thing())).encode(
        "utf-16"),
    "a bomb in EBCDIC": b'<?xml version="1.0" encoding="cp037"?>' + xml(thing()).encode("cp037"),
    "cut off": xml(thing())[:-20],
    "not UTF-8": xml(thing(name="Ä")).encode("latin-1"),
    "an encoding that nobody knows": b'<?xml version="1.0" encoding="hex"?>'
                                     + xml(thing(name="\u00c4")).encode("latin-1"),
    "something else": "<note>annotation</note>",
    "nothing": "",
    "deep": "<annotation>" + "<a>" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_a_file_whose_classes_are_not_known_leaves_its_image_out(tmp_path, name):
    texts = {"a.xml": SPOILED[name], "b.xml": xml(thing(), filename="b.png")}
    found = opened(write_texts(write(tmp_path, "a.png", "b.png", "c.png"), texts))
    assert labels(found) == {"b.png": "pit", "c.png": ""}
    (left_out,) = found.catalog.left_out
    assert left_out.name == "a.png" and "a.xml" in left_out.reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gbk"])
def test_names_in_other_encodings(tmp_path, encoding):
    declared = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{declared}"?>\n' + xml(thing(name="裂纹"))
    found = opened(write_texts(write(tmp_path, "a.png"), {"a.xml": text.encode(encoding)}))
    assert labels(found) == {"a.png": "裂纹"}


@pytest.mark.parametrize("size", [(20, 20), (40, 20), (21, 40)])
def test_what_was_made_for_another_size_is_refused(tmp_path, size):
    found = opened(write_texts(write(tmp_path, "a.png"), {"a.xml": xml(thing(), size=size)}))
    with pytest.raises(CatalogError, match="made for"):
        masks(found, "a.png")


@pytest.mark.parametrize("size", [None, (0, 0), (20, 40)])
def test_which_way_up_it_was_drawn_is_told_by_sizes_alone(tmp_path, size):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros(SIZE[::-1], np.uint8)).save(tmp_path / "a.png", exif=exif)
    found = opened(write_texts(tmp_path, {"a.xml": xml(thing(), size=size)}))
    if size == SIZE:
        assert (masks(found, "a.png")[0][1] == MASK).all()
        return
    with pytest.raises(CatalogError, match="which way up"):
        masks(found, "a.png")


@pytest.mark.parametrize(
    ("images", "texts", "both"),
    [
        (["a.png", "a.jpg"], {"a.xml": xml(thing(), filename="x.png")}, r"a\.jpg or a\.png"),
        (["a.png", "b.png"], {"a.xml": xml(thing(), filename="b.png")}, r"a\.png.*of b\.png"),
        (["a.png"], {"a.xml": xml(thing()), "Annotations/a.xml": xml(thing())}, r"two annotation"),
        (["x/a.png", "y/a.png"], {"Annotations/a.xml": xml(thing())}, r"x/a\.png or y/a\.png"),
    ],
)
def test_what_is_not_certain_names_both(tmp_path, images, texts, both):
    with pytest.raises(CatalogError, match=both):
        opened(write_texts(write(tmp_path, *images), texts))


def test_a_filename_tells_which_of_two_images_is_meant(tmp_path):
    write(tmp_path, "JPEGImages/a.png", "JPEGImages/a.jpg")
    found = opened(write_texts(tmp_path, {"Annotations/a.xml": xml(thing())}))
    assert labels(found) == {"JPEGImages/a.jpg": "", "JPEGImages/a.png": "pit"}


def test_what_has_no_image_is_named(tmp_path):
    texts = {"Annotations/a.xml": xml(thing()), "Annotations/z.xml": xml(thing(), filename="z.png"),
             "ImageSets/Main/train.txt": "a\ny\nx\n"}  # fmt: skip
    left_out = opened(write_texts(write(tmp_path, "JPEGImages/a.png"), texts)).catalog.left_out
    assert {x.name: x.reason for x in left_out} == {
        "ImageSets/Main/train.txt": "2 images that it names are not there, first 'y'",
        "Annotations/z.xml": "annotations of an image that is not there",
    }


def test_an_image_named_for_two_splits_is_told(tmp_path):
    texts = {"Annotations/a.xml": xml(thing()), "ImageSets/Main/train.txt": "a",
             "ImageSets/Main/test.txt": "a"}  # fmt: skip
    found = opened(write_texts(write(tmp_path, "JPEGImages/a.png"), texts))
    assert any("named for" in w and "JPEGImages/a.png" in w for w in found.catalog.warnings)


def test_xml_of_something_else_beside_an_annotated_image_is_passed_over(tmp_path):
    texts = {"Annotations/a.xml": xml(thing()), "a.xml": "<camera/>"}
    found = opened(write_texts(write(tmp_path, "a.png", "b.png"), texts))
    assert labels(found) == {"a.png": "pit", "b.png": ""} and not found.catalog.left_out


def test_nothing_outside_is_read(tmp_path):
    write(tmp_path, "secret/z.png", "set/b.png")
    texts = {"set/a.xml": xml(thing(), filename="../secret/z.png"),
             "set/c.xml": xml(thing(), filename=f"{tmp_path}/secret/z.png"),
             "set/ImageSets/Main/train.txt": "../../secret/z\nb\n"}  # fmt: skip
    found = opened(write_texts(tmp_path, texts) / "set")
    assert labels(found) == {"b.png": ""}
    assert sorted(x.name for x in found.catalog.left_out) == [
        "ImageSets/Main/train.txt", "a.xml", "c.xml"]  # fmt: skip


def test_without_images_the_labels_are_still_counted(tmp_path):
    found = opened(write_texts(tmp_path, {"Annotations/a.xml": xml(thing())}))
    assert not found.has_images and found.catalog.counts().to_dict() == {"pit": 1}


def test_an_image_of_a_class_folder_without_annotations_is_not_good(tmp_path):
    images = ["train/images/pit/a.png", "train/images/pit/b.png"]
    texts = {"train/annotations/a.xml": xml(thing())}
    found = opened(write_texts(write(tmp_path, *images), texts))
    assert labels(found) == dict.fromkeys(images, "pit")


def test_xml_beside_class_folders_does_not_make_them_a_voc_set(tmp_path):
    texts = {"ok/a.xml": "<camera/>", "log.xml": "words"}
    found = opened(write_texts(write(tmp_path, "ok/a.png", "bad/b.png"), texts))
    assert found.catalog.layout == "class folders"
