"""COCO in and out, held against pycocotools, which everyone else reads it with."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as theirs
from pycocotools.coco import COCO

from defectvision.data.catalog import CatalogError
from defectvision.data.coco_writer import CocoImage, bounding_box, coco_content, write_coco
from defectvision.data.image_set import open_set
from defectvision.data.rle.coco import compress, expand, mask_counts
from defectvision.data.rle.severstal import decode_rle
from defectvision.limits import PIXELS

RNG = np.random.default_rng(0)
MASKS = {
    "empty": np.zeros((5, 7), bool),
    "full": np.ones((5, 7), bool),
    "first pixel": np.eye(5, 7, dtype=bool) & (np.arange(7) == 0),
    "last pixel": np.arange(35).reshape(5, 7) == 34,
    "one column": np.arange(7)[None].repeat(5, 0) == 3,
    "noise": RNG.random((61, 47)) > 0.5,
    "strip": np.pad(np.ones((40, 90), bool), ((100, 116), (700, 810))),
}


@pytest.mark.parametrize("name", MASKS)
def test_counts_are_pycocotools(name):
    mask = MASKS[name]
    text = theirs.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert compress(mask_counts(mask)) == text
    assert expand(text) == mask_counts(mask)
    for layout in (np.ascontiguousarray(mask), np.asfortranarray(mask)):
        assert sum(mask_counts(layout)) == mask.size


@pytest.mark.parametrize("text", ["a", "\x00", "é", "P"])
def test_a_text_that_is_no_counts_is_refused(text):
    with pytest.raises(ValueError):
        expand(text)


def image_set(folder):
    """Two images with regions of both classes, and a good one."""
    shapes = {"a.png": (61, 47), "b.png": (5, 7), "good.png": (9, 4)}
    for name, size in shapes.items():
        cv2.imwrite(str(folder / name), np.zeros(size, np.uint8))
    images = [
        CocoImage("a.png", 61, 47, [("scratch", MASKS["noise"])], [0.75]),
        CocoImage("b.png", 5, 7, [("pit", MASKS["one column"]), ("scratch", MASKS["last pixel"])]),
        CocoImage("good.png", 9, 4, [("pit", np.zeros((9, 4), bool))]),
    ]
    write_coco(folder / "instances.json", images, ["scratch", "pit"])
    return images


def test_what_is_written_loads_in_pycocotools_to_the_same_masks(tmp_path):
    images = image_set(tmp_path)
    api = COCO(str(tmp_path / "instances.json"))
    assert [c["name"] for c in api.loadCats(api.getCatIds())] == ["scratch", "pit"]
    wanted = [(i, c, m) for i, x in enumerate(images, 1) for c, m in x.regions if m.any()]
    found = api.loadAnns(api.getAnnIds())
    assert len(found) == len(wanted) == 3
    for entry, (image, category, mask) in zip(found, wanted, strict=True):
        assert entry["image_id"] == image
        assert api.cats[entry["category_id"]]["name"] == category
        assert (api.annToMask(entry) == mask).all()
        assert entry["bbox"] == theirs.toBbox(api.annToRLE(entry)).tolist()
        assert entry["area"] == theirs.area(api.annToRLE(entry)) == mask.sum()
    assert [e.get("score") for e in found] == [0.75, None, None]


def test_what_is_written_reads_back(tmp_path):
    images = image_set(tmp_path)
    found = open_set(tmp_path, PIXELS)
    assert found.catalog.table["label"].tolist() == ["scratch", "pit|scratch", ""]
    for row, image in enumerate(images):
        wanted = {c: m for c, m in image.regions if m.any()}
        masks = dict(found.masks(row, (image.height, image.width)))
        assert masks.keys() == wanted.keys()
        assert all((masks[name] == wanted[name]).all() for name in wanted)


def annotated(folder, segmentation, **image):
    cv2.imwrite(str(folder / "a.png"), np.zeros((3, 4), np.uint8))
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": 3, "width": 4, **image}],
        "categories": [{"id": 1, "name": "pit"}],
        "annotations": [
            {"id": 9, "image_id": 7, "category_id": 1, "bbox": [1, 0, 2, 3]}
            | ({"segmentation": segmentation} if segmentation is not None else {})
        ],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("segmentation", "kind", "runs"),
    [
        ({"size": [3, 4], "counts": [1, 3, 3, 1, 4]}, "rle", "2 3 8 1"),
        ({"size": [3, 4], "counts": compress([1, 3, 3, 1, 4])}, "rle", "2 3 8 1"),
        ({"size": [3, 4], "counts": [0, 12]}, "rle", "1 12"),
        ({"size": [3, 4], "counts": [12]}, "rle", ""),
        ({"size": [3, 4], "counts": [2, 0, 1, 2, 7]}, "rle", "4 2"),
        ([[0, 0, 2, 0, 2, 2]], "polygon", None),
        ([], "box", None),
        (None, "box", None),
    ],
)
def test_every_kind_of_segmentation_is_read(tmp_path, segmentation, kind, runs):
    row = open_set(annotated(tmp_path, segmentation), PIXELS).annotations.iloc[0]
    assert row["kind"] == kind
    if kind == "rle":
        assert row["shape"] == runs
        assert row["area_px"] == decode_rle(runs, 3, 4).sum()


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ({"size": [4, 3], "counts": [12]}, "3 x 4 px, the image 4 x 3 px"),
        ({"size": [3, 4], "counts": [1, 12]}, "add up to 13"),
        ({"size": [3, 4], "counts": [14, -2]}, "a run of -2 px"),
        ({"size": [3, 4], "counts": "a"}, "cannot be read"),
        ({"size": [3, 4]}, "cannot be read"),
        ({"counts": [12]}, "cannot be read"),
    ],
)
def test_a_wrong_mask_is_named_with_file_annotation_and_image(tmp_path, segmentation, said):
    found = open_set(annotated(tmp_path, segmentation), PIXELS)
    assert found.catalog.table["label"].tolist() == ["pit"]
    with pytest.raises(CatalogError, match=rf"instances\.json, annotation 9 \(a\.png\).*{said}"):
        found.masks(0, (3, 4))


@pytest.mark.parametrize(
    ("region", "said"),
    [(("dent", np.ones((3, 4), bool)), "'dent'.*pit"), (("pit", np.ones((4, 3), bool)), "3 x 4")],
)
def test_the_writer_refuses_what_does_not_fit(region, said):
    with pytest.raises(ValueError, match=said):
        coco_content([CocoImage("a.png", 3, 4, [region])], ["pit"])


def test_a_box_holds_exactly_its_mask():
    mask = np.zeros((9, 12), bool)
    mask[2:5, 7:12] = True
    assert bounding_box(mask) == [7, 2, 5, 3]


def listed(folder, names, annotated, categories=("crack", "pit")):
    """A set of images by `names`, of which those in `annotated` show a crack."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((20, 20), np.uint8))
    content = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(categories)],
        "annotations": [
            {"image_id": names.index(name), "category_id": 0, "bbox": [2, 2, 5, 5]}
            for name in annotated
        ],
    }
    (folder / "result.json").write_text(json.dumps(content))
    return open_set(folder, PIXELS).catalog


def test_an_image_of_a_class_folder_without_annotations_is_not_good(tmp_path):
    names = ["crack/a.png", "crack/b.png", "good/a.png", "pit/lot7/a.png", "2026-03-01/a.png"]
    catalog = listed(tmp_path, names, ["crack/a.png"])
    assert catalog.table["path"].tolist() == names[:4]
    assert catalog.table["label"].tolist() == ["crack", "crack", "", "pit"]
    (warning,) = catalog.warnings
    assert warning.startswith("1 images without annotations count as good (good/a.png)")
    (left,) = catalog.left_out
    assert (
        left.name == names[4] and "what its folder '2026-03-01' means is not known" in left.reason
    )


@pytest.mark.parametrize(
    "names",
    [
        ["images/train/a.png", "images/train/b.png"],
        ["crack/images/a.png", "crack/images/b.png"],
        ["defects/a.png", "defects/b.png"],
        ["lot7/NG/a.png", "lot7/NG/b.png"],
    ],
)
def test_a_folder_of_all_images_says_nothing_of_one_of_them(tmp_path, names):
    catalog = listed(tmp_path, names, names[:1], ("crack", "train"))
    assert catalog.table["label"].tolist() == ["crack", ""]
    (warning,) = catalog.warnings
    assert warning.startswith(f"1 images without annotations count as good ({names[1]})")


def test_a_folder_that_holds_images_of_several_labels_is_no_class(tmp_path):
    catalog = listed(tmp_path, ["lot7/a.png", "lot7/b.png", "crack/c.png"], ["lot7/a.png"])
    assert catalog.table["label"].tolist() == ["crack", "", "crack"]
    assert any("(lot7/b.png)" in warning for warning in catalog.warnings)


def test_an_image_whose_folder_says_that_it_is_not_good_is_left_out(tmp_path):
    names = ["images/a.png", "images/b.png", "NG/a.png", "NG/b.png"]
    catalog = listed(tmp_path, names, ["images/a.png", "NG/a.png"])
    assert dict(zip(catalog.table["path"], catalog.table["label"], strict=True)) == {
        "images/a.png": "crack",
        "images/b.png": "",
        "NG/a.png": "crack",
    }
    (left,) = catalog.left_out
    assert left.name == "NG/b.png" and "'NG' says that it is not good" in left.reason
    with pytest.raises(CatalogError, match=r"no image that can be used.* NG/b\.png"):
        listed(tmp_path / "alone", ["NG/b.png"], [])


def test_classes_that_differ_in_case_are_a_warning(tmp_path):
    catalog = listed(tmp_path, ["Crack/a.png", "b.png"], ["b.png"], ("crack", "Crack"))
    assert any("differ only in case" in warning for warning in catalog.warnings)


def test_images_that_the_file_does_not_name_are_told(tmp_path):
    for name in ("good/a.png", "good/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.zeros((20, 20), np.uint8))
    catalog = listed(tmp_path, ["crack/a.png"], ["crack/a.png"])
    assert catalog.table["path"].tolist() == ["crack/a.png"]
    assert any(
        "2 images that result.json does not name (good/a.png, good/b.png)" in warning
        for warning in catalog.warnings
    )


@pytest.mark.parametrize(
    "others",
    [
        {"images/b.json": '{"shapes": [], "imagePath": "b.png"}'},
        {"labels/b.txt": "0 0.5 0.5 0.2 0.2\n", "classes.txt": "crack\n"},
        {"Annotations/b.xml": "<annotation><filename>b.png</filename></annotation>"},
    ],
)
def test_annotations_of_another_form_are_not_passed_over(tmp_path, others):
    names = ["images/a.png", "images/b.png"]
    listed(tmp_path, names, ["images/a.png"])
    for name, text in others.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(CatalogError, match=r"COCO and .* open result\.json by its path"):
        open_set(tmp_path, PIXELS)
    assert open_set(tmp_path / "result.json", PIXELS).catalog.table["path"].tolist() == names


def turned(folder, degrees, **fields):
    cv2.imwrite(str(folder / "a.png"), np.zeros((20, 40), np.uint8))
    entry = {"image_id": 1, "category_id": 1, "bbox": [14, 8, 12, 4], "segmentation": [],
             "attributes": {"occluded": False, "rotation": degrees}, **fields}  # fmt: skip
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [entry],
               "categories": [{"id": 1, "name": "pit"}]}  # fmt: skip
    (folder / "result.json").write_text(json.dumps(content))
    ((_, mask),) = open_set(folder, PIXELS).masks(0, (20, 40))
    return mask


def test_a_box_that_cvat_turned_is_drawn_turned(tmp_path):
    upright, across = np.zeros((20, 40), bool), np.zeros((20, 40), bool)
    across[8:12, 14:26] = upright[4:16, 18:22] = True
    for degrees, expected in ((0.0, across), (90, upright), (180.0, across), ("x", across)):
        assert (turned(tmp_path, degrees) == expected).all()
    clockwise = turned(tmp_path, 45.0)
    assert clockwise[13, 23] and clockwise[6, 16]
    assert not clockwise[6, 23] and not clockwise[13, 16]
    outline = [[14, 8, 26, 8, 26, 12, 14, 12]]
    assert (turned(tmp_path, 90.0, segmentation=outline) == across).all()
