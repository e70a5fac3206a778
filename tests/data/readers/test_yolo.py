"""YOLO sets as Ultralytics, Roboflow, CVAT, Label Studio and labelImg write them."""

import numpy as np
import pytest
from PIL import Image

from defectvision.audit.study import study
from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.inference.labelled_images import readable
from defectvision.limits import PIXELS
from tests.stand_ins.labelled_sets import SIZE, labels, masks, opened, rectangle, write, write_texts

BOX = "0 0.3 0.5 0.2 0.4\n"  # of 40 x 20 px: 8..16 across, 6..14 down
BOX_MASK = rectangle(6, 8, 14, 16)
NAMES = "pit\nscratch\n"
DATA = "names: [pit, scratch]\nnc: 2\n"


def layout(name):
    """(images, texts, split of the images)"""
    yaml = {
        "Ultralytics, mapping": "path: ../datasets/lot7\ntrain: images/train\nval: images/val\n"
                                "names:\n  0: pit\n  1: scratch\n",
        "Ultralytics, absolute": f"path: /home/x/lot7\ntrain: /home/x/lot7/images/train\n"
                                 f"val: C:\\lot7\\images\\val\n{DATA}",
        "Ultralytics, lists of folders": f"train:\n  - images/train\nval: [images/val]\n{DATA}",
        "without splits in the yaml": f"path: .\n{DATA}",
    }  # fmt: skip
    if name in yaml:
        images = ["images/train/a.png", "images/val/b.png"]
        texts = {"data.yaml": yaml[name], "labels/train/a.txt": BOX, "labels/val/b.txt": ""}
        return images, texts, ["train", "val"]
    if name == "Roboflow":
        data = f"train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\n{DATA}"
        images = ["train/images/a_png.rf.0a1b.jpg", "valid/images/a_png.rf.0a1b.jpg"]
        texts = {"data.yaml": data, "README.roboflow.txt": "words\n",
                 "train/labels/a_png.rf.0a1b.txt": BOX,
                 "valid/labels/a_png.rf.0a1b.txt": "\n"}  # fmt: skip
        return images, texts, ["train", "val"]
    if name == "lists of images":
        data = f"path: .\ntrain: train.txt\nval: val.txt\n{DATA}"
        images = ["images/a.png", "images/b.png"]
        texts = {"data.yaml": data, "train.txt": "./images/a.png\n",
                 "val.txt": "/home/x/lot7/images/b.png\n", "labels/a.txt": BOX}  # fmt: skip
        return images, texts, ["train", "val"]
    if name == "CVAT":
        texts = {"obj.data": "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n",
                 "obj.names": NAMES, "train.txt": "data/obj_train_data/a.png\n"
                 "data/obj_train_data/b.png\n", "obj_train_data/a.txt": BOX,
                 "obj_train_data/b.txt": ""}  # fmt: skip
        return ["obj_train_data/a.png", "obj_train_data/b.png"], texts, ["train", "train"]
    if name == "Label Studio":
        texts = {"classes.txt": NAMES, "notes.json": '{"categories": [], "info": {}}',
                 "labels/a.txt": BOX}  # fmt: skip
        return ["images/a.png", "images/b.png"], texts, ["", ""]
    if name == "labelImg":
        texts = {"classes.txt": NAMES, "a.txt": BOX, "notes.txt": "call Anna"}
        return ["a.png", "b.png"], texts, ["", ""]
    if name == "labelImg, classes among the labels":
        texts = {"labels/classes.txt": NAMES, "labels/a.txt": BOX}
        return ["images/a.png", "images/b.png"], texts, ["", ""]
    if name == "FiftyOne's Darknet":
        texts = {"obj.names": NAMES, "images.txt": "data/a.png\ndata/b.png\n", "data/a.txt": BOX}
        return ["data/a.png", "data/b.png"], texts, ["", ""]
    if name == "in a wrapper":
        texts = {"lot7/data.yaml": f"train: train/images\n{DATA}", "lot7/train/labels/a.txt": BOX}
        return ["lot7/train/images/a.png", "lot7/train/images/b.png"], texts, ["train", "train"]
    if name == "COCO's folders":
        texts = {"coco.yaml": DATA, "labels/train2017/a.txt": BOX, "labels/val2017/b.txt": ""}
        return ["images/train2017/a.png", "images/val2017/b.png"], texts, ["train", "val"]
    if name == "other suffixes and cases":
        texts = {"data.yml": DATA, "Labels/Train/A.txt": "\ufeff" + BOX, "Labels/Valid/b.txt": ""}
        return ["Images/Train/a.JPG", "Images/Valid/b.TIF"], texts, ["train", "val"]
    raise KeyError(name)


LAYOUTS = ["Ultralytics, mapping", "Ultralytics, absolute", "Ultralytics, lists of folders",
           "without splits in the yaml", "Roboflow", "lists of images", "CVAT", "Label Studio",
           "labelImg", "labelImg, classes among the labels", "FiftyOne's Darknet", "in a wrapper",
           "COCO's folders", "other suffixes and cases"]  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    images, texts, splits = layout(name)
    found = opened(write_texts(write(tmp_path, *images), texts))
    assert found.catalog.layout == "yolo" and found.has_images and found.has_masks
    assert labels(found) == dict(zip(images, ["pit", ""], strict=True))
    assert found.catalog.table["split"].tolist() == splits
    assert not found.catalog.left_out and not found.unreadable
    ((label, mask),) = masks(found, images[0])
    assert label == "pit" and (mask == BOX_MASK).all()
    assert masks(found, images[1]) == []
    assert any("1 images without annotations count as good" in w for w in found.catalog.warnings)


def test_a_data_yaml_opens_by_its_path(tmp_path):
    images, texts, _ = layout("Roboflow")
    write_texts(write(tmp_path, *images), {**texts, "other.yaml": "names: [a, b]\nnc: 2\n"})
    assert labels(open_set(tmp_path / "data.yaml", PIXELS))[images[0]] == "pit"
    assert labels(open_set(tmp_path / "other.yaml", PIXELS))[images[0]] == "a"


def one(folder, line, data=DATA, names=("a.png",)):
    images = [f"images/{name}" for name in names]
    return opened(
        write_texts(write(folder, *images), {"data.yaml": f"path: .\n{data}", "labels/a.txt": line})
    )


TRIANGLE = np.zeros(SIZE, bool)
SHAPES = {
    "box": ("1 0.3 0.5 0.2 0.4", rectangle(6, 8, 14, 16)),
    "a class with a decimal point": ("1.0 0.3 0.5 0.2 0.4", rectangle(6, 8, 14, 16)),
    "six decimals": ("1 0.012500 0.025000 0.025000 0.050000", rectangle(0, 0, 1, 1)),
    "the whole image": ("1 0.5 0.5 1 1", rectangle(0, 0, 20, 40)),
    "a rounding outside": ("1 0.5 0.5 1.0009 1.0009", rectangle(0, 0, 20, 40)),
    "exponents": ("1 3e-1 5E-1 2e-1 .4", rectangle(6, 8, 14, 16)),
    "tabs and spaces": (" 1\t0.3 0.5   0.2 0.4  ", rectangle(6, 8, 14, 16)),
    "polygon": ("1 0.2 0.3 0.4 0.3 0.4 0.7 0.2 0.7 0.2 0.5", rectangle(6, 8, 14, 16)),
    "turned box": ("1 0.2 0.3 0.4 0.3 0.4 0.7 0.2 0.7", rectangle(6, 8, 14, 16)),
    "polygon, a rounding outside": ("1 -0.0005 0 1.0005 0 1 1 0 1 0 0.5", rectangle(0, 0, 20, 40)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_to_the_pixel(tmp_path, name):
    line, expected = SHAPES[name]
    found = one(tmp_path, line)
    ((label, mask),) = masks(found, "images/a.png")
    assert label == "scratch" and (mask == expected).all()


def test_a_triangle_is_drawn_as_pycocotools_draws_it(tmp_path):
    from pycocotools import mask as theirs

    ((_, mask),) = masks(one(tmp_path, "0 0.1 0.1 0.9 0.5 0.3 0.95"), "images/a.png")
    parts = theirs.frPyObjects([[4, 2, 36, 10, 12, 19]], *SIZE)
    assert (mask == theirs.decode(parts)[..., 0].astype(bool)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_shares_are_of_the_upright_image(tmp_path, orientation):
    found = one(tmp_path, BOX)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.zeros(SIZE if orientation < 5 else SIZE[::-1], np.uint8)
    Image.fromarray(stored).save(tmp_path / "images" / "a.png", exif=exif)
    left, errors = readable(found, masks=True)
    assert not errors
    assert (left.masks(0, SIZE)[0][1] == BOX_MASK).all()


@pytest.mark.parametrize(
    ("shape", "numbers"), [("[3, 2]", 6), ("[2, 3]", 6), ("[17, 3]", 51), ("[2,2]", 4)]
)
def test_of_a_pose_the_box_is_read(tmp_path, shape, numbers):
    line = BOX.strip() + " 0.5" * numbers
    found = one(tmp_path, f"{line}\n{BOX}", f"{DATA}kpt_shape: {shape}\n")
    (_, first), (_, second) = masks(found, "images/a.png")
    assert (first == BOX_MASK).all() and (second == BOX_MASK).all()


WRONG = {
    "a confidence behind a box": ("0 0.3 0.5 0.2 0.4 0.91", "a confidence.*no label"),
    "a confidence behind a turned box": ("0 0.2 0.3 0.4 0.3 0.4 0.7 0.2 0.7 0.5", "confidence"),
    "three numbers": ("0 0.3 0.5 0.2", "3 numbers"),
    "one number": ("0 0.3", "1 numbers"),
    "a class alone": ("0", "0 numbers"),
    "not numbers": ("0 a b c d", "not all of it are numbers"),
    "NaN": ("0 nan 0.5 0.2 0.4", "not all of it are numbers"),
    "infinite": ("0 0.3 0.5 inf 0.4", "not all of it are numbers"),
    "px": ("0 12 10 8 8", "reaches 8"),
    "over the right border": ("0 0.95 0.5 0.2 0.4", "reaches 1.05"),
    "over the left border": ("0 0.05 0.5 0.2 0.4", "reaches -0.05"),
    "no width": ("0 0.3 0.5 0 0.4", "no width"),
    "a negative height": ("0 0.3 0.5 0.2 -0.4", "no width or height"),
    "a polygon outside": ("0 0.2 0.3 1.4 0.3 0.4 0.7", "reaches 1.4"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_line_is_named_and_its_image_is_not_good(tmp_path, name):
    line, said = WRONG[name]
    found = one(tmp_path, f"{BOX}{line}\n", names=["a.png", "b.png"])
    assert labels(found) == {"images/a.png": "pit", "images/b.png": ""}
    with pytest.raises(CatalogError, match=rf"labels/a\.txt, line 2: .*{said}"):
        masks(found, "images/a.png")
    left, (error,) = readable(found, masks=True)
    assert left.catalog.table["path"].tolist() == ["images/b.png"]
    assert "images/a.png" in str(error)
    failures = study(tmp_path, tmp_path / "cache", PIXELS, workers=1).failures
    assert [f for f in failures if "images/a.png" in f and "labels/a.txt, line 2" in f]


@pytest.mark.parametrize(
    "line",
    ["2 0.3 0.5 0.2 0.4", "-1 0.3 0.5 0.2 0.4", "0.5 0.3 0.5 0.2 0.4", "pit 0.3 0.5 0.2 0.4",
     "nan 0.3 0.5 0.2 0.4", "words"],
)  # fmt: skip
def test_an_image_of_an_unknown_class_is_left_out(tmp_path, line):
    found = one(tmp_path, f"{BOX}{line}\n", names=["a.png", "b.png"])
    assert labels(found) == {"images/b.png": ""}
    (left_out,) = found.catalog.left_out
    assert left_out.name == "images/a.png"
    assert "labels/a.txt, line 2" in left_out.reason and "none of the 2" in left_out.reason


@pytest.mark.parametrize("data", [b"\xff\xfe0\x00", b"\x00\x01"])
def test_a_damaged_label_file_leaves_its_image_out(tmp_path, data):
    found = one(tmp_path, data, names=["a.png", "b.png"])
    assert labels(found) == {"images/b.png": ""}
    assert [x.name for x in found.catalog.left_out] == ["images/a.png"]


def test_a_label_without_its_image_is_named(tmp_path):
    write_texts(tmp_path, {"labels/gone.txt": BOX})
    found = one(tmp_path, BOX)
    assert [x.name for x in found.catalog.left_out] == ["labels/gone.txt"]


def test_a_label_of_another_folder_is_of_no_image_here(tmp_path):
    texts = {"classes.txt": NAMES, "labels/lot1/a.txt": BOX, "labels/lot2/b.txt": BOX}
    found = opened(write_texts(write(tmp_path, "images/lot2/a.png", "images/lot2/b.png"), texts))
    assert labels(found) == {"images/lot2/a.png": "", "images/lot2/b.png": "pit"}
    assert [x.name for x in found.catalog.left_out] == ["labels/lot1/a.txt"]


def test_labels_in_folders_of_flat_images(tmp_path):
    texts = {"classes.txt": NAMES, "labels/train/a.txt": BOX, "labels/val/b.txt": ""}
    found = opened(write_texts(write(tmp_path, "images/a.png", "images/b.png"), texts))
    assert labels(found) == {"images/a.png": "pit", "images/b.png": ""}


def test_a_label_beside_no_image_is_named(tmp_path):
    texts = {"classes.txt": NAMES, "a.txt": BOX, "gone.txt": BOX, "notes.txt": "3 of them"}
    found = opened(write_texts(write(tmp_path, "a.png"), texts))
    assert [x.name for x in found.catalog.left_out] == ["gone.txt"]


def test_images_that_nobody_labelled_are_left_out(tmp_path):
    write(tmp_path, "train/images/a.png", "test/images/b.png", "test/images/c.png", "runs/x.png")
    found = opened(write_texts(tmp_path, {"data.yaml": f"path: .\n{DATA}",
                                          "train/labels/a.txt": BOX}))  # fmt: skip
    assert labels(found) == {"train/images/a.png": "pit"}
    assert [(x.name, x.reason) for x in found.catalog.left_out] == [
        ("test/images", "2 images, and no label file for one of them")
    ]
    assert any("runs: 1 images" in warning for warning in found.catalog.warnings)


def test_without_images_the_labels_are_still_counted(tmp_path):
    found = opened(write_texts(tmp_path, {"data.yaml": f"path: .\n{DATA}", "labels/a.txt": BOX}))
    assert not found.has_images and found.catalog.counts().to_dict() == {"pit": 1}
    assert any("none of the images is there" in w for w in found.catalog.warnings)
    assert not study(tmp_path, tmp_path / "cache", PIXELS, workers=1).failures


def test_an_image_of_a_class_folder_without_labels_is_not_good(tmp_path):
    images = ["images/pit/a.png", "images/pit/b.png", "images/x/c.png"]
    texts = {"classes.txt": NAMES, "labels/pit/a.txt": BOX, "labels/x/c.txt": ""}
    found = opened(write_texts(write(tmp_path, *images), texts))
    assert labels(found) == dict(zip(images, ["pit", "pit", ""], strict=True))
    assert found.class_masks(1, SIZE, ["pit"]) is None


@pytest.mark.parametrize("text", ["", None])
def test_an_image_whose_folder_says_that_it_is_not_good_is_left_out(tmp_path, text):
    texts = {"classes.txt": NAMES, "labels/bad/a.txt": BOX, "labels/ok/c.txt": ""}
    images = ["images/bad/a.png", "images/bad/b.png", "images/ok/c.png"]
    texts |= {"labels/bad/b.txt": text} if text is not None else {}
    found = opened(write_texts(write(tmp_path, *images), texts))
    assert labels(found) == {"images/bad/a.png": "pit", "images/ok/c.png": ""}
    (left,) = found.catalog.left_out
    assert left.name == "images/bad/b.png" and "says that it is not good" in left.reason


def test_an_empty_label_file_in_a_class_folder_makes_no_good_part(tmp_path):
    images = ["images/pit/a.png", "images/pit/b.png", "images/scratch/c.png", "images/good/d.png"]
    texts = {"classes.txt": NAMES, "labels/pit/a.txt": BOX, "labels/pit/b.txt": "",
             "labels/scratch/c.txt": "", "labels/good/d.txt": ""}  # fmt: skip
    found = opened(write_texts(write(tmp_path, *images), texts))
    assert labels(found) == dict(zip(images, ["pit", "pit", "scratch", ""], strict=True))


@pytest.mark.parametrize(
    ("images", "texts", "both"),
    [
        (["images/a.png", "images/a.jpg"], {"labels/a.txt": BOX},
         r"images/a\.jpg or images/a\.png"),
        (["images/x/a.png", "images/y/a.png"], {"labels/a.txt": BOX},
         r"images/x/a\.png or images/y/a\.png"),
        (["images/a.png"], {"labels/a.txt": BOX, "images/a.txt": BOX},
         r"labels/a\.txt and images/a\.txt"),
        (["images/a.png"], {"labels/a.txt": BOX, "labels/classes.txt": "x\n",
                            "old/classes.txt": "y\n"}, r"labels/classes\.txt"),
    ],
)  # fmt: skip
def test_what_is_not_certain_names_both(tmp_path, images, texts, both):
    names = {} if any("classes" in name for name in texts) else {"classes.txt": NAMES}
    write_texts(write(tmp_path, *images), {**texts, **names})
    with pytest.raises(CatalogError, match=both):
        opened(tmp_path)


@pytest.mark.parametrize("split", ["train", "valid", "val", "validation", "test"])
def test_the_same_name_in_several_splits_is_told_by_its_folder(tmp_path, split):
    for front in (f"{split}/{{}}", f"{{}}/{split}"):
        root = tmp_path / front[:1]
        images = [front.format("images") + "/a.png", "other/images/a.png"]
        texts = {"classes.txt": NAMES, front.format("labels") + "/a.txt": BOX,
                 "other/labels/a.txt": BOX.replace("0", "1", 1)}  # fmt: skip
        found = labels(opened(write_texts(write(root, *images), texts)))
        assert found == {images[0]: "pit", images[1]: "scratch"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("names: 3\n", "neither a list of names"),
        ("names: {a: pit}\n", "neither a list of names"),
        ("names: []\n", "neither a list"),
        ("names: [pit, 'a|b']\n", "'a|b'"),
        ("names: [pit, '']\n", "no name of a class"),
        ("names: [pit, [x]]\n", "no name of a class"),
        ('names: ["\\ud800"]\n', "no name of a class"),
        ("names: [pit\n", "cannot be read as YAML"),
        ("names: &a [pit]\nold: *a\n", "alias"),
        ("names: [pit]\nkpt_shape: [3, 7]\n", "kpt_shape"),
        ("names: [pit]\nkpt_shape: x\n", "kpt_shape"),
        ("names: [pit]\ntrain: {a: b}\n", "train is neither a folder"),
        ("names: [pit]\nx: " + "[" * 3000 + "\n", "cannot be read as YAML"),
        ("names: [pit]\nx: " + "y" * (1 << 20) + "\n", "larger than 1024 kB"),
    ],
)
def test_a_wrong_data_yaml_is_refused_in_words(tmp_path, data, said):
    with pytest.raises(CatalogError) as caught:
        one(tmp_path, BOX, data)
    assert said in str(caught.value) and "data.yaml" in str(caught.value)


def test_names_that_yaml_would_take_for_something_else_stay_names(tmp_path):
    line = "".join(BOX.replace("0", str(i), 1) for i in range(5))
    found = one(tmp_path, line, "names: [no, 3, 1.50, null, 2020-01-01]\n")
    assert labels(found) == {"images/a.png": "1.50|2020-01-01|3|no|null"}


def test_labels_without_names_are_refused(tmp_path):
    with pytest.raises(CatalogError, match=r"nothing names their classes.*classes\.txt"):
        opened(write_texts(write(tmp_path, "images/a.png"), {"labels/a.txt": BOX}))


def test_a_list_that_names_images_that_are_not_there_is_named(tmp_path):
    images, texts, _ = layout("CVAT")
    texts["train.txt"] += "data/obj_train_data/gone.png\n"
    (left_out,) = opened(write_texts(write(tmp_path, *images), texts)).catalog.left_out
    assert left_out.name == "train.txt" and "obj_train_data/gone.png" in left_out.reason


def test_a_split_that_is_not_there_is_told(tmp_path):
    images, texts, _ = layout("Roboflow")
    found = opened(write_texts(write(tmp_path, *images), texts))
    assert any("test: ../test/images, which is not there" in w for w in found.catalog.warnings)


def test_nothing_outside_is_read(tmp_path):
    write(tmp_path, "secret/images/z.png", "set/images/a.png")
    data = f"train: {tmp_path}/secret/images\nval: ../secret/images\ntest: ../secret/list.txt\n"
    write_texts(tmp_path, {"secret/list.txt": "z.png\n", "set/data.yaml": data + DATA,
                           "set/labels/a.txt": BOX})  # fmt: skip
    assert labels(opened(tmp_path / "set")) == {"images/a.png": "pit"}


@pytest.mark.parametrize("texts", [
    {"ok/a.txt": "checked by Anna", "classes.txt": NAMES},
    {"ok/a.txt": BOX},
    {"classes.txt": NAMES},
    {"config.yaml": "names: [a]\nnc: 1\n"},
    {"labels/a.txt": "words"},
])  # fmt: skip
def test_texts_beside_class_folders_do_not_make_them_a_yolo_set(tmp_path, texts):
    found = opened(write_texts(write(tmp_path, "ok/a.png", "bad/b.png"), texts))
    assert found.catalog.layout == "class folders"
