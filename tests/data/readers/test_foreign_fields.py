"""Whatever an annotation file holds, it is read or refused in words: no other error escapes."""

import base64
import csv
import io
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.limits import PIXELS

SIZE = (20, 24)
PNG = base64.b64encode(cv2.imencode(".png", np.ones((3, 3), np.uint8))[1].tobytes()).decode()
LEAF = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=6)
)
JUNK = st.recursive(
    LEAF,
    lambda x: st.lists(x, max_size=5) | st.dictionaries(st.text(max_size=5), x, max_size=3),
    max_leaves=8,
)
NUMBERS = st.lists(st.integers(-5, 30) | st.floats(width=32), max_size=8)
RUNS = st.fixed_dictionaries(
    {}, optional={"size": JUNK | st.just(list(SIZE)), "counts": JUNK | NUMBERS | st.text()}
)


def often(right):
    return st.one_of(right, right, right, JUNK)


def entry(**fields):
    return st.fixed_dictionaries({}, optional={k: often(v) for k, v in fields.items()})


COCO = st.fixed_dictionaries(
    {
        "images": often(st.lists(entry(
            id=st.integers(0, 2), file_name=st.sampled_from(["a.png", "b.png", "C:\\x\\a.png"]),
            height=st.just(SIZE[0]), width=st.just(SIZE[1])), max_size=3)),
        "categories": often(st.lists(entry(id=st.integers(0, 2), name=st.sampled_from("pq")),
                                     max_size=3)),
        "annotations": often(st.lists(entry(
            id=st.integers(), image_id=st.integers(0, 2), category_id=st.integers(0, 2),
            iscrowd=st.integers(0, 1), area=st.floats(), bbox=NUMBERS,
            segmentation=st.lists(NUMBERS, max_size=3) | NUMBERS | RUNS), max_size=3)),
    }
)  # fmt: skip


def opened(name, data):
    """Open a file beside two images and read all masks; CatalogError is an answer."""
    images = "train_images/" if name == "train.csv" else ""
    opened_folder({name: data}, images, name)


def opened_folder(files, images="", name=""):
    """Open a folder of `files` with two images, or the file `name` in it, and read all masks."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for file in (f"{images}a.png", f"{images}b.png", *files):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
        for image in ("a.png", "b.png"):
            Image.fromarray(np.zeros(SIZE, np.uint8)).save(folder / images / image)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        try:
            found = open_set(folder / name, PIXELS)
        except CatalogError:
            return
        for row in range(len(found.catalog)):
            try:
                found.class_masks(row, SIZE, found.catalog.classes)
            except (CatalogError, OSError):
                continue


@given(COCO | JUNK)
def test_coco_of_any_content(content):
    opened("x.json", json.dumps(content).encode(errors="surrogatepass"))


NUMBER = st.floats().map(repr) | st.integers(-3, 3).map(str) | st.sampled_from(["0.5", "0.25", "1"])
LINE = st.lists(NUMBER | st.text(max_size=3), max_size=10).map(" ".join)
BOXES = st.sampled_from(["0 0.5 0.5 0.25 0.25", "0 0.1 0.1 0.9 0.1 0.5 0.9"])
LABELS = st.lists(often(BOXES) | LINE, max_size=3).map(lambda x: "\n".join(map(str, x)).encode(
    errors="replace"))  # fmt: skip
DATA = st.fixed_dictionaries(
    {"names": often(st.lists(st.text(max_size=3), max_size=3) | st.just(["p", "q"]))},
    optional={
        key: often(st.sampled_from(["images", "../images", "train.txt", "C:\\x", "/", "."]))
        for key in ("path", "train", "val", "test", "nc", "kpt_shape")
    },
).map(lambda content: "".join(f"{k}: {json.dumps(v)}\n" for k, v in content.items()).encode())


@given(DATA | st.binary(max_size=60).map(lambda b: b"names: [p]\nnc: 1\n" + b), LABELS, LABELS)
def test_yolo_of_any_content(data, labels, names):
    opened_folder({"data.yaml": data, "labels/a.txt": labels, "train.txt": names}, "images/")
    opened_folder({"classes.txt": names, "labels/a.txt": labels}, "images/")
    opened_folder({"classes.txt": b"p\nq\n", "a.txt": labels, "b.txt": names})


POINTS = st.lists(st.lists(st.integers(-5, 30) | st.floats(width=32), max_size=3), max_size=4)
MASK = st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode()) | st.just(PNG)
KINDS = ["polygon", "rectangle", "circle", "mask", "line", "point", "linestrip", "rotation"]
LABELME = st.fixed_dictionaries({
    "shapes": often(st.lists(often(entry(
        label=st.sampled_from("pq"), points=POINTS, shape_type=st.sampled_from(KINDS), mask=MASK,
        )), max_size=3)),
    "imagePath": often(st.sampled_from(["a.png", "..\\b.png", "C:\\x\\a.png", "../a.png"])),
    "imageHeight": often(st.just(SIZE[0])), "imageWidth": often(st.just(SIZE[1])),
    "flags": often(st.dictionaries(st.sampled_from(["p", "|", ""]), st.booleans(), max_size=2)),
})  # fmt: skip


@given(LABELME, LABELME | JUNK)
def test_labelme_of_any_content(first, second):
    texts = [json.dumps(content).encode(errors="surrogatepass") for content in (first, second)]
    opened_folder({"a.json": texts[0], "b.json": texts[1]})
    opened_folder({"json/a.json": texts[0]}, "images/")


def element(name, *children):
    return st.tuples(*children).map(lambda inner: f"<{name}>{''.join(inner)}</{name}>") | st.just(
        ""
    )


WORD = st.sampled_from(["p", "q", "a.png", "x/b.png", "1", "20", "-1", "nan", "1e9", "&amp;", "<"])
BNDBOX = element("bndbox", *(element(key, WORD) for key in ("xmin", "ymin", "xmax", "ymax")))
CORNERS = element("polygon", *(element(key, WORD) for key in ("x1", "y1", "x2", "y2", "x3", "y3")))
OBJECT = element("object", element("name", WORD), BNDBOX, CORNERS)
SIDES = element("size", element("width", WORD), element("height", WORD))
VOC = element("annotation", element("filename", WORD), SIDES, OBJECT, OBJECT)
LABELMAP = st.lists(st.sampled_from(["p:1,1,1::", "q:0,0,0::", ":::"]) | st.text(max_size=5),
                    max_size=3).map("\n".join)  # fmt: skip
PICTURE = st.binary(max_size=30) | st.sampled_from(
    [cv2.imencode(".png", np.full(SIZE, value, kind))[1].tobytes()
     for value in (0, 1, 255) for kind in (np.uint8, np.uint16)])  # fmt: skip


@given(VOC, st.text(max_size=20).map(lambda text: f"<annotation>{text}</annotation>"), LABELMAP,
       PICTURE)  # fmt: skip
def test_voc_of_any_content(first, second, text, picture):
    first, second, text = (t.encode(errors="replace") for t in (first, second, text))
    opened_folder({"a.xml": first, "b.xml": second})
    opened_folder({"Annotations/a.xml": first, "ImageSets/Main/train.txt": text}, "JPEGImages/")
    opened_folder({"SegmentationClass/a.png": picture, "labelmap.txt": text}, "JPEGImages/")


ROW = st.lists(st.sampled_from(["0", "1", "a.png", "b.png", "a_label.png", "x"]) | st.text(
    max_size=3), max_size=6).map("\t".join)  # fmt: skip


@given(st.lists(ROW, max_size=4).map("\n".join), PICTURE)
def test_dagm_and_loco_of_any_content(rows, picture):
    label = "Class1/Train/Label"
    data = rows.encode(errors="replace")
    opened_folder({f"{label}/Labels.txt": data, f"{label}/a_label.png": picture}, "Class1/Train/")
    opened_folder({"ground_truth/pit/a/0.png": picture, "ground_truth/pit/b.png": picture},
                  "test/pit/")  # fmt: skip


@given(st.binary(max_size=60))
def test_any_bytes(data):
    for name in ("x.json", "index.csv", "train.csv"):
        opened(name, data)


def table(header, rows):
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode(errors="replace")


CELL = st.text(max_size=8) | st.sampled_from(["a.png", "b.png", "train", "../a.png", "1 5", "3"])


@given(st.lists(st.lists(CELL, min_size=1, max_size=6), max_size=4))
def test_an_index_of_any_content(rows):
    opened("index.csv", table(["path", "label", "mask", "split"], rows))


@given(
    st.sampled_from([["ImageId", "ClassId", "EncodedPixels"], ["ImageId_ClassId", "EncodedPixels"],
                     ["image_id", "class_ids", "area_class_1"]]),
    st.lists(st.lists(CELL, min_size=1, max_size=4), max_size=4),
)  # fmt: skip
def test_a_table_of_any_content(header, rows):
    opened("train.csv", table(header, rows))


@given(st.text(max_size=30), st.lists(st.lists(CELL, min_size=1, max_size=3), max_size=3))
def test_class_numbers_of_any_content(text, rows):
    from defectvision.data.class_names import read_class_numbers

    with tempfile.TemporaryDirectory() as place:
        for data in (text.encode(errors="replace"), table(["number", "name"], rows)):
            (Path(place) / "classes.csv").write_bytes(data)
            try:
                read_class_numbers(Path(place))
            except CatalogError:
                continue


BOMB = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(9))
XML = f'<!DOCTYPE a [<!ENTITY e0 "x">{BOMB}]><annotation><filename>&e9;</filename></annotation>'
YAML = "a0: &a0 [p]\n" + "".join(
    f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.xml", XML.encode()),
        ("data.yaml", f"{YAML}names: *a9\n".encode()),
        ("data.yaml", f"{YAML}names: [p]\nnc: *a9\ntrain: *a9\n".encode()),
        ("x.json", b"[" * 200_000),
        ("a.json", b'{"shapes":' * 100_000),
        ("index.csv", b"path,label\n" + b"a" * 5_000_000 + b",p\n"),
        ("index.csv", b'path,label\n"' + b"a\n" * 1_000_000),
        ("train.csv", b"ImageId,ClassId,EncodedPixels\na.png,1," + b"1 1 " * 500_000 + b"\n"),
    ],
)  # fmt: skip
def test_what_unfolds_without_end_is_refused_in_time(name: str, data: bytes) -> None:
    begun = time.process_time()
    opened_folder({name: data, "labels/a.txt": b"0 0.5 0.5 0.1 0.1"})
    opened(name, data)
    assert time.process_time() - begun < 5
