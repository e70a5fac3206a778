"""LabelMe sets: a JSON file an image, as LabelMe and its relatives write them."""

import base64
import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from defectvision.audit.study import study
from defectvision.data.catalog import CatalogError
from defectvision.inference.labelled_images import readable
from defectvision.limits import PIXELS
from tests.stand_ins.labelled_sets import SIZE, labels, masks, opened, rectangle, write, write_texts

MASK = rectangle(6, 8, 14, 16)
FULL, EMPTY = np.ones((3, 3), bool), np.zeros((3, 3), bool)


def shape(label="pit", points=((8, 6), (16, 14)), kind="rectangle", **more):
    return {"label": label, "points": [list(p) for p in points], "group_id": None,
            "shape_type": kind, "flags": {}, **more}  # fmt: skip


def content(*shapes, path="a.png", size=SIZE, **more):
    return json.dumps({
        "version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": path,
        "imageData": None, "imageHeight": size and size[0], "imageWidth": size and size[1], **more,
    })  # fmt: skip


def png(mask):
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


# images, texts, the image that is marked
LAYOUTS = {
    "beside": (["a.png", "b.png"], {"a.json": content(shape())}),
    "imageData": (["a.png", "b.png"],
                  {"a.json": content(shape(), imageData="A" * 200_000)}),
    "imageData first": (["a.png", "b.png"],
                        {"a.json": '{"imageData": "' + "A" * 200_000 + '", ' +
                                   content(shape())[1:]}),
    "a folder of their own": (["images/a.png", "images/b.png"],
                              {"json/a.json": content(shape(), path="..\\images\\a.png")}),
    "annotations": (["images/a.png", "images/b.png"],
                    {"annotations/a.json": content(shape(), path="../images/a.png")}),
    "another machine": (["a.png", "b.png"],
                        {"a.json": content(shape(), path="D:\\lot 7\\a.png")}),
    "a path that is no longer true": (["a.png", "b.png"],
                                      {"a.json": content(shape(), path="IMG_0001.JPG")}),
    "a name of its own": (["a.png", "b.png"],
                          {"IMG_1.json": content(shape(), path="/home/x/lot7/a.png")}),
    "without a path": (["a.png", "b.png"], {"a.json": content(shape(), path=None)}),
    "split folders": (["train/a.png", "val/b.png"], {"train/a.json": content(shape())}),
    "class folders": (["pit/a.png", "good/b.png"], {"pit/a.json": content(shape())}),
    "another suffix": (["A.JPG", "b.png"], {"a.json": content(shape(), path="a.jpg")}),
    "beside other JSON": (["a.png", "b.png"],
                          {"a.json": content(shape()), "settings.json": "{}", "x.json": "[]"}),
    "an empty file": (["a.png", "b.png"],
                      {"a.json": content(shape()), "b.json": content(path="b.png")}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    images, texts = LAYOUTS[name]
    found = opened(write_texts(write(tmp_path, *images), texts))
    assert found.catalog.layout == "labelme" and found.has_images
    assert labels(found) == dict(zip(images, ["pit", ""], strict=True))
    assert not found.catalog.left_out and not found.unreadable
    ((label, mask),) = masks(found, images[0])
    assert label == "pit" and (mask == MASK).all()
    assert any("1 images without annotations count as good" in w for w in found.catalog.warnings)


def circle():
    mask = np.zeros(SIZE, np.uint8)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    mask[(x - 20) ** 2 + (y - 10) ** 2 < 49] = 1
    return mask > 0


SHAPES = {
    "rectangle": (shape(), MASK),
    "rectangle, corners in another order": (shape(points=((16, 6), (8, 14))), MASK),
    "rectangle, corners reversed": (shape(points=((16, 14), (8, 6))), MASK),
    "rectangle of four corners": (shape(points=((8, 6), (16, 6), (16, 14), (8, 14))), MASK),
    "polygon": (shape(points=((8, 6), (16, 6), (16, 14), (8, 14)), kind="polygon"), MASK),
    "turned rectangle": (shape(points=((8, 6), (16, 6), (16, 14), (8, 14)), kind="rotation"), MASK),
    "polygon of no kind": (shape(points=((8, 6), (16, 6), (16, 14), (8, 14)), kind=None), MASK),
    "mask": (shape(points=((8, 6), (15, 13)), kind="mask", mask=png(MASK[6:14, 8:16])), MASK),
    "mask of 0 and 255": (shape(points=((8, 6), (15, 13)), kind="mask",
                                mask=png(MASK[6:14, 8:16].astype(np.uint8) * 255)), MASK),
    "mask with a hole": (shape(points=((8, 6), (10, 8)), kind="mask",
                               mask=png(~rectangle(1, 1, 2, 2, (3, 3)))),
                         rectangle(6, 8, 9, 11) & ~rectangle(7, 9, 8, 10)),
    "mask, floating corners": (shape(points=((8.0, 6.0), (15.0, 13.0)), kind="mask",
                                     mask=png(MASK[6:14, 8:16])), MASK),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_to_the_pixel(tmp_path, name):
    entry, expected = SHAPES[name]
    found = opened(write_texts(write(tmp_path, "a.png"), {"a.json": content(entry)}))
    ((label, mask),) = masks(found, "a.png")
    assert label == "pit" and (mask == expected).all()


def test_a_circle_is_round(tmp_path):
    entry = shape(points=((20, 10), (27, 10)), kind="circle")
    found = opened(write_texts(write(tmp_path, "a.png"), {"a.json": content(entry)}))
    ((_, mask),) = masks(found, "a.png")
    edge = cv2.dilate(circle().astype(np.uint8), np.ones((3, 3))) - cv2.erode(
        circle().astype(np.uint8), np.ones((3, 3)))  # fmt: skip
    assert not ((mask != circle()) & (edge == 0)).any()
    assert abs(mask.sum() - np.pi * 49) < 5


WRONG = {
    "point": (shape(points=((8, 6),), kind="point"), "a point encloses no area"),
    "line": (shape(kind="line"), "a line encloses no area"),
    "linestrip": (shape(points=((8, 6), (9, 9), (16, 14)), kind="linestrip"), "a linestrip"),
    "points": (shape(kind="points"), "a points encloses"),
    "a kind that nobody knows": (shape(kind="spline"), "a spline"),
    "polygon of two corners": (shape(kind="polygon"), "a polygon of 2 corners"),
    "rectangle of one corner": (shape(points=((8, 6),)), "a rectangle of 1 points"),
    "rectangle without width": (shape(points=((8, 6), (8, 14))), "no width"),
    "circle without radius": (shape(points=((8, 6), (8, 6)), kind="circle"), "without a radius"),
    "points that are texts": (shape(points=(("8", "6"), ("9", "9"))), "pairs of numbers"),
    "points that are not there": (shape() | {"points": None}, "pairs of numbers"),
    "a mask that is not there": (shape(kind="mask"), "no PNG"),
    "a mask that is no PNG": (shape(kind="mask", mask="QUJD"), "no PNG"),
    "a mask that is no base64": (shape(kind="mask", mask="???"), "no PNG"),
    "a mask of another size": (shape(kind="mask", mask=png(FULL)), "3 x 3 px"),
    "an empty mask": (shape(points=((1, 1), (3, 3)), kind="mask", mask=png(EMPTY)),
                      "no pixel"),
    "a mask outside": (shape(points=((38, 1), (40, 3)), kind="mask", mask=png(FULL)),
                       "leaves its image"),
    "a polygon outside": (shape(points=((80, 60), (160, 60), (160, 140)), kind="polygon"),
                          "leaves the image"),
    "a polygon without area": (shape(points=((8.1, 6.1), (8.2, 6.1), (8.1, 6.2)), kind="polygon"),
                               "marks no pixel"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_shape_is_named_and_its_image_is_not_good(tmp_path, name):
    entry, said = WRONG[name]
    write_texts(write(tmp_path, "a.png", "b.png"), {"a.json": content(shape(), entry)})
    found = opened(tmp_path)
    assert labels(found) == {"a.png": "pit", "b.png": ""}
    with pytest.raises(CatalogError, match=said):
        masks(found, "a.png")
    left, (error,) = readable(found, masks=True)
    assert left.catalog.table["path"].tolist() == ["b.png"]
    assert "a.png" in str(error)
    failures = study(tmp_path, tmp_path / "cache", PIXELS, workers=1).failures
    assert [f for f in failures if f.startswith("a.png: ") and said in f]


SPOILED = {
    "a label that is no text": content(shape(label=7)),
    "a label that is not there": content({"points": [[1, 2], [3, 4]], "shape_type": "rectangle"}),
    "an empty label": content(shape(label=" ")),
    "a label of two": content(shape(label="a|b")),
    "a label of half a letter": content(shape(label="\ud800")),
    "shapes that are no list": content() .replace('"shapes": []', '"shapes": {}'),
    "a shape that is no object": content([1]),
    "flags that are no object": content(shape(), flags=[1]),
    "a flag that is no truth value": content(shape(), flags={"dirty": "yes"}),
    "cut off": content(shape())[:-30],
    "no object": '["shapes", "imagePath"]',
    "without shapes": "{}",
    "not UTF-8": content(shape(label="Ä")).encode().replace(b"\\u00c4", b"\xc4"),
    "deep": '{"shapes": ' + "[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_a_file_whose_classes_are_not_known_leaves_its_image_out(tmp_path, name):
    texts = {"a.json": SPOILED[name], "b.json": content(shape(), path="b.png")}
    found = opened(write_texts(write(tmp_path, "a.png", "b.png", "c.png"), texts))
    assert labels(found) == {"b.png": "pit", "c.png": ""}
    (left_out,) = found.catalog.left_out
    assert left_out.name == "a.png" and "a.json" in left_out.reason


def test_flags_of_an_image_are_its_classes(tmp_path):
    texts = {"a.json": content(flags={"dirty": True, "sharp": False}),
             "b.json": content(shape(), path="b.png", flags={"dirty": True})}  # fmt: skip
    found = opened(write_texts(write(tmp_path, "a.png", "b.png"), texts))
    assert labels(found) == {"a.png": "dirty", "b.png": "dirty|pit"}
    assert found.class_masks(0, SIZE, ["dirty"]) is None
    assert found.class_masks(1, SIZE, ["dirty", "pit"]) is None
    assert (found.class_masks(1, SIZE, ["pit"])[0] == MASK).all()


def test_a_shape_made_for_another_size_is_refused(tmp_path):
    found = opened(
        write_texts(write(tmp_path, "a.png"), {"a.json": content(shape(), size=(40, 20))})
    )
    with pytest.raises(CatalogError, match="made for 20 x 40 px"):
        masks(found, "a.png")


def test_which_way_up_it_was_drawn_is_told_by_sizes_alone(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "a.png", exif=exif)
    exif[0x0112] = 6
    Image.fromarray(np.zeros(SIZE[::-1], np.uint8)).save(tmp_path / "b.png", exif=exif)
    texts = {f"{name}.json": content(shape(), path=f"{name}.png") for name in "ab"}
    found = opened(write_texts(tmp_path, texts))
    with pytest.raises(CatalogError, match="which way up"):
        masks(found, "a.png")
    assert (masks(found, "b.png")[0][1] == MASK).all()


@pytest.mark.parametrize(
    ("images", "texts", "both"),
    [
        (["a.png", "a.jpg"], {"a.json": content(shape(), path="x.png")}, r"a\.jpg or a\.png"),
        (["a.png", "b.png"], {"a.json": content(shape(), path="b.png")}, r"a\.png.*of b\.png"),
        (["a.png"], {"a.json": content(shape()), "b.json": content(shape())},
         r"a\.json and b\.json"),
        (["x/a.png", "y/a.png"], {"q.json": content(shape(), path="C:\\a.png")},
         r"x/a\.png or y/a\.png"),
        (["images/a.png", "images/b.png"],
         {"json/a.json": content(shape(), path="..\\images\\b.png")}, r"images/a\.png.*images/b"),
    ],
)  # fmt: skip
def test_what_is_not_certain_names_both(tmp_path, images, texts, both):
    with pytest.raises(CatalogError, match=both):
        opened(write_texts(write(tmp_path, *images), texts))


def test_a_path_tells_which_of_two_images_is_meant(tmp_path):
    found = opened(write_texts(write(tmp_path, "a.png", "a.jpg"), {"a.json": content(shape())}))
    assert labels(found) == {"a.jpg": "", "a.png": "pit"}


def test_a_file_without_its_image_is_named(tmp_path):
    texts = {"a.json": content(shape()), "z.json": content(shape(), path="z.png")}
    (left_out,) = opened(write_texts(write(tmp_path, "a.png"), texts)).catalog.left_out
    assert left_out.name == "z.json"


def test_a_file_beside_images_is_of_none_of_another_folder(tmp_path):
    texts = {"lot1/a.json": content(shape()), "lot1/c.json": content(shape(), path="D:\\x\\b.png"),
             "lot2/b.json": content(path="b.png")}  # fmt: skip
    found = opened(write_texts(write(tmp_path, "lot1/z.png", "lot2/a.png", "lot2/b.png"), texts))
    assert labels(found) == {"lot2/a.png": "", "lot2/b.png": ""}
    left_out = [x.name for x in found.catalog.left_out]
    assert left_out == ["lot1/a.json", "lot1/c.json", "lot1/z.png"]


def test_nothing_outside_is_read(tmp_path):
    write(tmp_path, "secret/z.png", "set/b.png")
    texts = {"set/a.json": content(shape(), path="../secret/z.png"),
             "set/c.json": content(shape(), path=f"{tmp_path}/secret/z.png")}  # fmt: skip
    found = opened(write_texts(tmp_path, texts) / "set")
    assert labels(found) == {"b.png": ""}
    assert [x.name for x in found.catalog.left_out] == ["a.json", "c.json"]


def test_without_images_the_labels_are_still_counted(tmp_path):
    found = opened(write_texts(tmp_path, {"a.json": content(shape())}))
    assert not found.has_images and found.catalog.counts().to_dict() == {"pit": 1}


def test_where_folders_are_classes_they_name_what_nobody_annotated(tmp_path):
    images = ["pit/a.png", "pit/b.png", "dent/c.png", "good/d.png"]
    found = opened(write_texts(write(tmp_path, *images), {"pit/a.json": content(shape())}))
    assert labels(found) == {
        "dent/c.png": "dent", "good/d.png": "", "pit/a.png": "pit", "pit/b.png": "pit"
    }  # fmt: skip
    assert found.class_masks(0, SIZE, ["dent"]) is None


def test_images_beside_annotations_are_good_with_or_without_an_empty_one(tmp_path):
    images = ["pit/a.png", "background/b.png", "background/c.png"]
    texts = {"pit/a.json": content(shape()), "background/b.json": content()}
    found = opened(write_texts(write(tmp_path, *images), texts))
    assert labels(found) == {"background/b.png": "", "background/c.png": "", "pit/a.png": "pit"}


def test_images_of_folders_that_nobody_annotated_are_left_out(tmp_path):
    images = ["lot1/a.png", "lot1/b.png", "lot2/c.png", "good/d.png"]
    found = opened(write_texts(write(tmp_path, *images), {"lot1/a.json": content(shape())}))
    assert labels(found) == {"good/d.png": "", "lot1/a.png": "pit", "lot1/b.png": ""}
    assert [x.name for x in found.catalog.left_out] == ["lot2/c.png"]


def test_masks_beside_photographs_are_no_photographs(tmp_path):
    write(tmp_path, "a.png", "b.jpg", "b_mask.png", "c.jpg", "c_mask.png")
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "c_mask.png")
    found = opened(write_texts(tmp_path, {"a.json": content(shape())}))
    assert labels(found) == {"a.png": "pit", "b.jpg": "", "c.jpg": ""}
    assert not any(mask.any() for _, mask in masks(found, "c.jpg"))
    with pytest.raises(CatalogError, match="labelled good"):
        masks(found, "b.jpg")


def test_of_two_forms_none_is_taken(tmp_path):
    texts = {"a.json": content(shape()), "classes.txt": "pit\n", "a.txt": "0 .5 .5 .1 .1\n"}
    with pytest.raises(CatalogError, match="YOLO and LabelMe"):
        opened(write_texts(write(tmp_path, "a.png"), texts))


def test_json_beside_class_folders_does_not_make_them_a_labelme_set(tmp_path):
    texts = {"ok/a.json": '{"camera": 3}', "log.json": "[]"}
    found = opened(write_texts(write(tmp_path, "ok/a.png", "bad/b.png"), texts))
    assert found.catalog.layout == "class folders"


def test_one_file_alone_is_refused_with_a_remedy(tmp_path):
    write_texts(write(tmp_path, "a.png"), {"a.json": content(shape())})
    with pytest.raises(CatalogError, match="Open the folder"):
        opened(tmp_path / "a.json")
