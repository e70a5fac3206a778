"""Images in no class folders count as good parts only where nothing says otherwise."""

import json

import cv2
import numpy as np
import pytest
from PIL import BmpImagePlugin, PngImagePlugin

from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.data.mask_files import mask_pixels
from defectvision.data.readers import good_alone
from defectvision.data.readers.good_alone import says_defective
from defectvision.inference.labelled_images import readable
from defectvision.limits import PIXELS

SIZE = (40, 60)


def photograph(file, seed=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(60, 200, (4, 6), np.uint8)
    cv2.imwrite(str(file), cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC))


def mask(file, marked=True):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(SIZE, np.uint8)
    pixels[4:9, 4:9] = 255 * marked
    cv2.imwrite(str(file), pixels)


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        photograph(tmp_path / "set" / f"p{number}.png", number)
    return tmp_path / "set"


def opened(folder):
    return open_set(folder, PIXELS, unsorted_good=True)


def test_what_is_taken_as_good_is_told(folder):
    (folder / "README.txt").write_text("camera 2")
    (folder / "LICENSE").write_text("free")
    catalog = opened(folder).catalog
    assert catalog.good_count == 6
    assert "6 images" in catalog.warnings[0] and "one of a good part" in catalog.warnings[0]


@pytest.mark.parametrize(
    "name",
    ["labels.csv", "index.tsv", "truth.txt", "p3.txt", "p3.json", "metadata.jsonl", "notes/all.xml",
     "labels.xlsx", "Annotations.JSON"],
)  # fmt: skip
def test_a_file_that_may_hold_labels_is_named_and_nothing_counts_as_good(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("p3.png,scratch")
    with pytest.raises(CatalogError, match=f"{name}.*may say which parts are defective"):
        opened(folder)


def test_damaged_labels_of_a_known_form_do_not_make_good_parts(folder):
    said = {"shapes": [], "imagePath": "p3.png", "imageHeight": 40, "imageWidth": 60}
    (folder / "p3.json").write_text(json.dumps(said)[:-9])
    assert [one.name for one in opened(folder).catalog.left_out] == ["p3.png"]
    (folder / "p3.json").write_text(json.dumps(said)[:5])
    with pytest.raises(CatalogError, match=r"p3\.json may say which parts"):
        opened(folder)


@pytest.mark.parametrize("name", ["Index.csv", "INDEX.CSV"])
def test_an_index_is_one_however_its_name_is_written(folder, name):
    rows = [f"p{number}.png,{'scratch' if number > 3 else 'good'}" for number in range(6)]
    (folder / name).write_text("\n".join(["path,label", *rows]))
    assert opened(folder).catalog.table["label"].tolist() == ["good"] * 4 + ["scratch"] * 2
    (folder / "index.csv").write_text("path,label\np0.png,good")
    if len(list(folder.glob("[iI]*"))) > 1:  # a file system that tells them apart
        with pytest.raises(CatalogError, match=f"has {name} and index.csv"):
            opened(folder)


@pytest.mark.parametrize(
    "name",
    ["p3_labels", "p3_anno", "p3_groundtruth", "p3_mask0", "p3_gt_mask", "p3_bw", "p3mask",
     "p3 map", "mask_p3", "M-p3"],
)  # fmt: skip
def test_a_mask_under_another_name_is_no_photograph(folder, name):
    mask(folder / f"{name}.png")
    with pytest.raises(CatalogError, match=f"{name}.png: looks like a mask of p3.png"):
        opened(folder)
    good = folder / "good"
    good.mkdir()
    for file in list(folder.glob("*.png")):
        file.rename(good / file.name)
    photograph(folder / "scratch" / "a.png", 9)
    with pytest.raises(CatalogError, match="looks like a mask of p3"):
        opened(folder)


@pytest.mark.parametrize(
    ("photographs", "masks"),
    [("crack/{}.png", "crack_mask/{}.png"), ("crack/{}.jpg", "annotated/{}.png"),
     ("train_img/{}.jpg", "train_lab/{}.png"), ("crack/{}.png", "labelled/{}_mask.png"),
     ("train/crack/{}.png", "train/lab/{}.png")],
)  # fmt: skip
def test_a_folder_of_masks_under_another_name_is_no_class(tmp_path, photographs, masks):
    for number in range(4):
        photograph(tmp_path / photographs.format(number), number)
        photograph(tmp_path / "good" / f"{number}.png", 10 + number)
        mask(tmp_path / masks.format(number))
    if photographs.startswith("train/"):
        (tmp_path / "good").rename(tmp_path / "train" / "good")
    with pytest.raises(CatalogError, match=r"0(_mask)?\.png: looks like a mask of .*/0\.(png|jpg)"):
        opened(tmp_path)


def test_a_folder_of_masks_is_read_where_the_message_says(tmp_path):
    for number in range(4):
        photograph(tmp_path / "crack" / f"{number}.png", number)
        photograph(tmp_path / "good" / f"g{number}.png", 10 + number)
        mask(tmp_path / "lab" / f"{number}.png")
    with pytest.raises(CatalogError, match=r"Call the folder masks/crack,"):
        opened(tmp_path)
    (tmp_path / "masks").mkdir()
    (tmp_path / "lab").rename(tmp_path / "masks" / "crack")
    table = opened(tmp_path).catalog.table
    assert table["label"].tolist() == ["crack"] * 4 + ["good"] * 4
    assert table["mask"].tolist() == [f"masks/crack/{n}.png" for n in range(4)] + [""] * 4


def test_dark_photographs_of_the_same_numbers_stay_photographs(tmp_path):
    for number in range(4):
        photograph(tmp_path / "crack" / f"{number}.png", number)
        photograph(tmp_path / "good" / f"{number}.png", 10 + number)
    mask(tmp_path / "good" / "1.png", marked=False)
    assert len(opened(tmp_path).catalog) == 8


def test_a_class_of_black_pictures_is_no_folder_of_masks(tmp_path):
    for number in range(3):
        photograph(tmp_path / "good" / f"{number}.png", number)
        mask(tmp_path / "lamp off" / f"{number}.png", marked=False)
    assert len(opened(tmp_path).catalog) == 6


def test_one_photograph_tells_that_its_folder_holds_no_masks(tmp_path, monkeypatch):
    for number in range(4):
        for folder in ("crack", "good"):
            photograph(tmp_path / folder / f"{number}.png", number)
    decoded = []

    def pixels(file, *rest):
        decoded.append(file)
        return mask_pixels(file, *rest)

    monkeypatch.setattr(good_alone, "mask_pixels", pixels)
    assert len(opened(tmp_path).catalog) == 8
    assert len(decoded) == 2


@pytest.mark.parametrize("other", ["crack/b_x.png", "lab/b.png", "crack/b.bmp"])
def test_no_picture_above_the_limit_is_decoded_to_see_if_it_is_a_mask(tmp_path, other, monkeypatch):
    photograph(tmp_path / "good" / "a.png")
    for name in ("crack/b.png", other):
        mask(tmp_path / name)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", forbidden)
    monkeypatch.setattr(BmpImagePlugin.BmpImageFile, "load", forbidden)
    assert len(open_set(tmp_path, 1000).catalog) == 3


def test_a_mask_above_the_limit_leaves_its_photograph_out(tmp_path):
    for number in range(2):
        photograph(tmp_path / "kos01" / f"Part{number}.jpg", number)
        mask(tmp_path / "kos01" / f"Part{number}_label.bmp")
    big = np.zeros((SIZE[0] * 2, SIZE[1]), np.uint8)
    cv2.imwrite(str(tmp_path / "kos01" / "Part1_label.bmp"), big)
    catalog = open_set(tmp_path, SIZE[0] * SIZE[1]).catalog
    assert catalog.table["path"].tolist() == ["kos01/Part0.jpg"]
    (left,) = catalog.left_out
    assert left.name == "kos01/Part1.jpg" and "the mask is 60 x 80 px, more than" in left.reason


def forbidden(*args):
    raise AssertionError("decoded")


@pytest.mark.parametrize("name", ["img", "image", "data", "JPEGImages", "Images"])
def test_a_folder_of_all_images_is_no_class(tmp_path, name):
    for number in range(3):
        photograph(tmp_path / "train" / name / f"{number}.png", number)
        mask(tmp_path / "train" / "label" / f"{number}.png")
    with pytest.raises(CatalogError, match=f"{name}' is not the name of a class"):
        opened(tmp_path)


def test_a_mask_of_the_photographs_own_name_is_no_photograph(folder):
    mask(folder / "p3.bmp")
    with pytest.raises(CatalogError, match=r"p3\.bmp: looks like a mask of p3"):
        opened(folder)


def test_photographs_with_longer_names_stay_photographs(folder):
    photograph(folder / "p3_top.png", 30)
    mask(folder / "p31.png")  # dark, with a lamp in it; the name says nothing
    assert opened(folder).catalog.good_count == 8


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((name, True) for name in ("00_NG", "NIO-3", "bad 3", "part_failed", "defect12", "n.i.o")),
        *((name, True) for name in ("not_ok", "no good", "Ausschuss_1", "anomaly")),
        *((name, False) for name in ("no_defects", "defect_free", "ohne Defekt", "p_ok", "ring")),
        *((name, False) for name in ("4ed5374bad8cbb78", "scratch_plate", "Konge")),
    ],
)
def test_names_that_say_a_part_is_not_good(name, said):
    assert says_defective(name.replace(".", "")) is said


def test_an_image_or_a_folder_whose_name_says_defective_is_not_taken_as_good(folder):
    photograph(folder / "p7_NG.png", 7)
    with pytest.raises(CatalogError, match=r"p7_NG\.png says that a part is not good"):
        opened(folder)
    (folder / "p7_NG.png").unlink()
    bad = folder.rename(folder.with_name("bad parts"))
    with pytest.raises(CatalogError, match="'bad parts', says that a part is not good"):
        opened(bad)


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("layout", ["flat", "index", "class folders"])
def test_a_good_image_whose_mask_marks_something_is_left_out_and_named(folder, layout, masks):
    file = "p3.png"
    if layout == "flat":
        mask(folder / "p3_mask.png")
    elif layout == "index":
        mask(folder / "m" / "p3.png")
        rows = [f"p{n}.png,good,{'m/p3.png' if n == 3 else ''}" for n in range(6)]
        (folder / "index.csv").write_text("\n".join(["path,label,mask", *rows]))
    else:
        file = "good/p3.png"
        for one in list(folder.glob("*.png")):
            (folder / "good").mkdir(exist_ok=True)
            one.rename(folder / "good" / one.name)
        mask(folder / "ground_truth" / "good" / "p3.png")
    left, failures = readable(opened(folder), masks=masks)
    assert [(one.name, "marks a defect" in one.reason) for one in failures] == [(file, True)]
    assert len(left.catalog) == 5
    assert file not in set(left.catalog.table["path"])


@pytest.mark.parametrize(
    "layout", ["kos{n:02}/Part0{end}", "train/{n}{end}", "{n}{end}"], ids=["parts", "split", "flat"]
)
def test_one_missing_mask_leaves_one_photograph_out(tmp_path, layout):
    for n in range(1, 6):
        photograph(tmp_path / layout.format(n=n, end=".png"), n)
        if n != 2:
            mask(tmp_path / layout.format(n=n, end="_label.png"), marked=n > 3)
    if layout.startswith("train"):
        photograph(tmp_path / "test" / "9.png", 9)
        mask(tmp_path / "test" / "9_label.png", marked=False)
    catalog = opened(tmp_path).catalog
    assert catalog.layout == "masks beside"
    assert [one.name for one in catalog.left_out] == [layout.format(n=2, end=".png")]
    assert "no mask beside it" in catalog.left_out[0].reason
    assert catalog.table["label"].tolist().count("defect") == 2


@pytest.mark.parametrize("table", ["train.csv", "split_csv/1cls.csv"])
def test_an_index_in_any_case_wins_over_a_published_table(folder, table):
    (folder / "INDEX.csv").write_text("path,label\np0.png,good\np1.png,scratch")
    (folder / table).parent.mkdir(exist_ok=True)
    header = "ImageId,ClassId,EncodedPixels" if table == "train.csv" else "image,label,mask"
    (folder / table).write_text(f"{header}\np2.png,1,1 2\n")
    assert opened(folder).catalog.table["path"].tolist() == ["p0.png", "p1.png"]
