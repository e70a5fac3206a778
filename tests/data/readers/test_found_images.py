"""Images are found by the names that other tools and machines gave them, or nothing is guessed."""

import json
import time
from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image

from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.data.readers.found_images import FoundImages, relative_parts
from defectvision.data.readers.set_files import Pairing
from defectvision.limits import PIXELS


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((20, 20), np.uint8)).save(root / name)
    return root


FILES = {
    "beside": ("p1.png", "p1.png"),
    "images": ("images/p1.png", "p1.png"),
    "FiftyOne's data": ("data/p1.png", "p1.png"),
    "Label Studio, backslash": ("images/p1.png", "images\\1/p1.png"),
    "Label Studio, local files": ("lot/p1.png", "/data/local-files/?d=lot/p1.png"),
    "another machine, Windows": ("images/p1.png", "C:\\lot7\\p1.png"),
    "another machine, share": ("images/p1.png", "\\\\server\\share\\lot\\p1.png"),
    "another machine, Unix": ("images/p1.png", "/home/x/lot/p1.png"),
    "an address": ("images/p1.png", "https://example.org/a/p1.png"),
    "a file's address": ("images/p1.png", "file:///C:/lot/p1.png"),
    "CVAT's subset": ("images/default/p1.png", "default/p1.png"),
    "Roboflow": ("train/p1_png.rf.0a1b.jpg", "p1_png.rf.0a1b.jpg"),
    "percent": ("images/teil a.png", "teil%20a.png"),
    "a file with a percent": ("images/teil%20a.png", "teil%20a.png"),
    "case": ("images/P1.PNG", "p1.png"),
    "decomposed": ("images/Gru\u0308n.png", "Gr\u00fcn.png"),
    "composed": ("images/Gr\u00fcn.png", "Gru\u0308n.png"),
    "macOS screenshot": ("images/Bild 4.42\u202fPM.png", "Bild 4.42\u202fPM.png"),
    "ideographic space": ("検査\u3000部品.png", "検査\u3000部品.png"),
    "a dot in front": ("images/p1.png", "./images/p1.png"),
}


@pytest.mark.parametrize("name", FILES)
def test_an_image_is_found_by_the_name_of_an_export(tmp_path, name):
    file, called = FILES[name]
    put(tmp_path, file, "other/q.png")
    content = {
        "images": [{"id": 1, "file_name": called}],
        "categories": [{"id": 1, "name": "pit"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [2, 2, 5, 5]}],
    }
    (tmp_path / "result.json").write_text(json.dumps(content))
    found = open_set(tmp_path, PIXELS)
    assert found.has_images
    assert found.catalog.table["path"].tolist() == [file]


@pytest.mark.parametrize(
    ("called", "file"),
    [
        ("a/p1.png", "lot7/a/p1.png"),
        ("x/b/p1.png", "lot7/b/p1.png"),
        ("b\\P1.png", "lot7/b/p1.png"),
        ("A/q.png", None),
        ("", None),
        ("/", None),
    ],
)
def test_the_folders_in_front_decide(tmp_path, called, file):
    assert FoundImages(put(tmp_path, "lot7/a/p1.png", "lot7/b/p1.png")).find(called) == file


def test_a_file_whose_whole_path_agrees_is_found_beside_other_folders_of_images(tmp_path):
    there = FoundImages(put(tmp_path, "left/c.png", "train/images/a.png", "test/images/b.png"))
    assert there.find("images/left/c.png") == "left/c.png"


@pytest.mark.parametrize("front", ["", "/home/x/lot/", "C:\\lot\\"])
def test_an_image_that_its_folder_lacks_is_no_image_of_another_folder(tmp_path, front):
    put(tmp_path, "good/001.png", "good/003.png", "crack/001.png", "crack/002.png")
    rows = "".join(
        f"{front}{row}\n"
        for row in ("good/001.png,", "good/002.png,", "crack/001.png,crack", "crack/003.png,crack")
    )
    (tmp_path / "index.csv").write_text(f"path,label\n{rows}")
    catalog = open_set(tmp_path, PIXELS).catalog
    assert dict(zip(catalog.table["path"], catalog.table["label"], strict=True)) == {
        "good/001.png": "",
        "crack/001.png": "crack",
    }
    assert [one.name for one in catalog.left_out] == ["index.csv, line 3", "index.csv, line 5"]


def test_an_annotation_of_a_missing_image_is_of_no_image_of_another_folder(tmp_path):
    put(tmp_path, "good/001.png", "crack/002.png")
    content = {
        "images": [{"id": 1, "file_name": "crack/001.png"}, {"id": 2, "file_name": "good/001.png"}],
        "categories": [{"id": 1, "name": "crack"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [2, 2, 5, 5]}],
    }
    (tmp_path / "result.json").write_text(json.dumps(content))
    table = open_set(tmp_path, PIXELS).catalog.table
    assert dict(zip(table["path"], table["label"], strict=True)) == {
        "crack/001.png": "crack",
        "good/001.png": "",
    }


@pytest.mark.parametrize("masks", [[], ["masks/pit/001.png", "masks/crack/002.png"]])
def test_a_missing_mask_is_no_other_picture_of_its_name(tmp_path, masks):
    put(tmp_path, "crack/001.png", "pit/001.png", *masks)
    (tmp_path / "index.csv").write_text(
        "path,label,mask\ncrack/001.png,crack,masks/crack/001.png\npit/001.png,pit,\n"
    )
    catalog = open_set(tmp_path, PIXELS).catalog
    assert catalog.table["path"].tolist() == ["pit/001.png"]
    (left,) = catalog.left_out
    assert left.name == "index.csv, line 2" and "mask" in left.reason and "missing" in left.reason


@pytest.mark.parametrize("called", ["p1.png", "c/p1.png", "C:\\p1.png", "P1.PNG"])
def test_what_fits_two_images_names_both(tmp_path, called):
    there = FoundImages(put(tmp_path, "a/p1.png", "b/p1.png"))
    with pytest.raises(CatalogError, match=r"a/p1\.png or b/p1\.png"):
        there.find(called)


def test_nothing_outside_the_folder_is_found(tmp_path):
    put(tmp_path, "secret.png", "set/p1.png")
    there = FoundImages(tmp_path / "set")
    for called in (str(tmp_path / "secret.png"), "../secret.png", "a/../../secret.png"):
        assert there.find(called) is None
    assert relative_parts("C:\\a\\b.png") == ("a", "b.png")


def test_where_images_are_missing_the_place_is_named(tmp_path):
    content = {"images": [{"id": 1, "file_name": "C:\\lot\\p1.png"}], "categories": []}
    (tmp_path / "x.json").write_text(json.dumps({**content, "annotations": []}))
    warning, *_ = open_set(tmp_path / "x.json", PIXELS).catalog.warnings
    assert "p1.png" in warning and str(tmp_path) in warning


@pytest.mark.parametrize(
    ("file", "called"),
    [
        ("Bild 4.42\u202fPM.png", "Bild 4.42\u202fPM.png"),
        ("検査\u3000部品.png", "検査\u3000部品.png"),
        ("a\u00a0b.png", "a\u00a0b.png"),
        ("a b.png", "a%20b.png"),
        ("sub/P.PNG", "sub/p.png"),
        ("images/p.png", "lot7/p.png"),
        ("images/p.png", "/home/x/lot7/images/p.png"),
        ("images/p.png", "C:\\lot7\\images\\p.png"),
        ("images/p.png", "\\\\server\\share\\lot7\\p.png"),
        ("images/p.png", "D:/lot 7/p.png"),
        ("images/p.png", "file:///home/x/lot7/p.png"),
        ("Gru\u0308n.png", "Gr\u00fcn.png"),
    ],
)
def test_an_index_finds_its_images_too(tmp_path, file, called):
    put(tmp_path, file, "q.png")
    (tmp_path / "index.csv").write_text(f"path,label\n{called},pit\nq.png,\n", encoding="utf-8")
    assert open_set(tmp_path, PIXELS).catalog.table["path"].tolist() == [file, "q.png"]


@pytest.mark.parametrize(
    "suffix", ["jpg", "JPG", "jpeg", "png", "PNG", "bmp", "tif", "TIFF", "webp"]
)
@pytest.mark.parametrize("front", ["", "train_images/", "C:\\lot\\"])
def test_strips_of_any_suffix_are_found(tmp_path, suffix, front):
    put(tmp_path, f"train_images/a.{suffix}", f"train_images/b.{suffix}")
    rows = f"ImageId,ClassId,EncodedPixels\n{front}a.{suffix.lower()},3,1 5\n"
    (tmp_path / "train.csv").write_text(rows)
    catalog = open_set(tmp_path, PIXELS).catalog
    assert catalog.table["label"].tolist() == ["3", ""]
    assert not catalog.left_out


@pytest.mark.parametrize("suffix", ["jpg", "JPG", "jpeg", "JPEG", "bmp", "tif", "TIFF"])
def test_magnetic_tiles_of_any_suffix_keep_their_masks(tmp_path, suffix):
    put(tmp_path, f"MT_Crack/Imgs/a.{suffix}", "MT_Crack/Imgs/a.PNG", f"MT_Free/Imgs/b.{suffix}")
    table = open_set(tmp_path, PIXELS).catalog.table
    assert table["label"].tolist() == ["crack", "free"]
    assert table["mask"].tolist() == ["MT_Crack/Imgs/a.PNG", ""]


def test_magnetic_tiles_that_are_left_out_are_told(tmp_path):
    put(tmp_path, "MT_Crack/Imgs/a.jpg", "MT_Crack/Imgs/a.png", "MT_Free/Imgs/b.png",
        "MT_Free/Imgs/c.jpg", "MT_Free/d.jpg", "scratch/e.png")  # fmt: skip
    catalog = open_set(tmp_path, PIXELS).catalog
    assert catalog.table["path"].tolist() == ["MT_Crack/Imgs/a.jpg", "MT_Free/Imgs/c.jpg"]
    assert [one.name for one in catalog.left_out] == ["MT_Free/Imgs/b.png"]
    assert any("2 images beside" in w and "MT_Free/d.jpg" in w for w in catalog.warnings)


def test_magnetic_tiles_without_a_photograph_end_in_words(tmp_path):
    put(tmp_path, "MT_Crack/Imgs/a.png")
    with pytest.raises(CatalogError, match="no photograph"):
        open_set(tmp_path, PIXELS)


def test_an_index_of_another_machine_finds_masks_by_their_last_folders(tmp_path):
    put(tmp_path, "images/p.png", "masks/p.png")
    (tmp_path / "index.csv").write_text(
        "path,label,mask\n/x/lot/images/p.png,pit,D:\\lot\\masks\\p.png\n"
    )
    table = open_set(tmp_path, PIXELS).catalog.table
    assert table[["path", "mask"]].to_numpy().tolist() == [["images/p.png", "masks/p.png"]]


def test_an_absolute_path_that_fits_two_images_names_both(tmp_path):
    put(tmp_path, "a/p.png", "b/p.png")
    (tmp_path / "index.csv").write_text("path,label\n/x/lot/p.png,pit\n")
    with pytest.raises(CatalogError, match=r"a/p\.png or b/p\.png"):
        open_set(tmp_path, PIXELS)


def test_an_absolute_path_is_never_opened(tmp_path):
    put(tmp_path, "outside/p.png", "set/q.png")
    (tmp_path / "set" / "index.csv").write_text(f"path,label\n{tmp_path}/outside/p.png,pit\n")
    with pytest.raises(CatalogError, match="not a file inside the folder"):
        open_set(tmp_path / "set", PIXELS)


def test_files_of_one_name_in_thousands_of_folders_are_found_at_once(tmp_path):
    files = [f"part_{number:05}/image.png" for number in range(6_000)]
    there = FoundImages(tmp_path, files=files)
    started = time.process_time()
    assert [there.find(f"/home/x/lot7/{file}") for file in files] == files
    assert time.process_time() - started < 10  # it took minutes


def test_annotations_of_one_name_in_thousands_of_folders_find_their_images_at_once(tmp_path):
    files = [PurePosixPath(f"part_{number:05}/image.png") for number in range(3_000)]
    pairing = Pairing(tmp_path, files)
    started = time.process_time()
    for file in files:
        assert pairing.image_told(file.with_suffix(".json"), "image.png") == file
        assert pairing.image_of("labels" / file.with_suffix(".txt")) == file
    assert time.process_time() - started < 10  # it took minutes
