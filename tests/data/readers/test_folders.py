import re
from pathlib import Path

import pytest

from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.data.readers.folders import IMAGE_SUFFIXES, open_catalog
from defectvision.inference import sources


def put(root: Path, *names: str) -> Path:
    """Empty files: a reader goes by names alone."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def read(root: Path) -> dict[str, tuple[str, str]]:
    table = open_catalog(root).table
    return {
        path: (label, split)
        for path, label, split in zip(table["path"], table["label"], table["split"], strict=True)
    }


NEU = {
    "Cr_1.bmp": "crazing",
    "In_12.bmp": "inclusion",
    "Pa_3.bmp": "patches",
    "PS_300.bmp": "pitted_surface",
    "RS_5.bmp": "rolled-in_scale",
    "Sc_6.bmp": "scratches",
}
CASTING = {
    "train/def_front/a.jpeg": ("def", "train"),
    "train/ok_front/b.jpeg": ("ok", "train"),
    "test/def_front/c.jpeg": ("def", "test"),
    "test/ok_front/d.jpeg": ("ok", "test"),
}


def below(prefix: str, files: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {f"{prefix}/{name}": row for name, row in files.items()}


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (CASTING, "casting"),
        (below("casting_data/casting_data", CASTING), "casting"),
        (
            below("casting_data/casting_data", CASTING)
            | {
                "casting_512x512/casting_512x512/def_front/a.jpeg": ("def", ""),
                "casting_512x512/casting_512x512/ok_front/b.JPEG": ("ok", ""),
            },
            "casting",
        ),
        ({"def_front/a.jpeg": ("def", ""), "ok_front/b.jpeg": ("ok", "")}, "casting"),
        ({name: (label, "") for name, label in NEU.items()}, "neu"),
        ({f"NEU-CLS/NEU-CLS/{name}": (label, "") for name, label in NEU.items()}, "neu"),
        ({f"IMAGES/{label}_{i}.jpg": (label, "") for i, label in enumerate(NEU.values())}, "neu"),
        (
            {f"train/{n}": (v, "train") for n, v in NEU.items()}
            | {f"validation/images/{n}": (v, "val") for n, v in NEU.items()},
            "neu",
        ),
        (
            {
                "Crazing/a.bmp": ("crazing", ""),
                "Inclusion/a.bmp": ("inclusion", ""),
                "Patches/a.bmp": ("patches", ""),
                "Pitted/a.bmp": ("pitted_surface", ""),
                "Rolled/a.bmp": ("rolled-in_scale", ""),
                "Scratches/a.bmp": ("scratches", ""),
            },
            "neu",
        ),
        (
            {
                "can/train/good/a.png": ("good", "train"),
                "can/validation/good/a.png": ("good", "val"),
                "can/test_public/good/a.png": ("good", "test"),
                "can/test_public/bad/b.png": ("bad", "test"),
            },
            "split folders",
        ),
        # not a whole NEU set: the folders' own names stay
        ({"Patches/a.bmp": ("Patches", ""), "Dirt/a.bmp": ("Dirt", "")}, "class folders"),
        (
            {
                "train/good/a.png": ("good", "train"),
                "train/bad/b.png": ("bad", "train"),
                "VALID/good/a.png": ("good", "val"),
                "test/bad/a.png": ("bad", "test"),
            },
            "split folders",
        ),
        (
            {"in Ordnung/a b.PNG": ("in Ordnung", ""), "裂纹/图 1.webp": ("裂纹", "")},
            "class folders",
        ),
        ({"wrapped/ok/a.tif": ("ok", ""), "wrapped/dent/b.TIFF": ("dent", "")}, "class folders"),
        # a class that is only called 'test'
        ({"test/a.png": ("test", ""), "reference/b.png": ("reference", "")}, "class folders"),
    ],
)
def test_layouts(tmp_path, files, layout):
    put(tmp_path, *files, "notes.txt")
    assert read(tmp_path) == files
    assert open_catalog(tmp_path).layout == layout


@pytest.mark.parametrize("code", ["PS", "IN", "CR"])
def test_one_code_of_neu_alone_is_any_flat_folder(tmp_path, code):
    put(tmp_path, *(f"{code}_{i:04d}.png" for i in range(3)))
    assert open_catalog(tmp_path, unsorted_good=True).table["label"].tolist() == [""] * 3
    with pytest.raises(CatalogError, match="no class folders"):
        open_catalog(tmp_path)


def test_images_that_mvtec_ad_2_labels_for_nobody_are_left_out_and_named(tmp_path):
    put(tmp_path, "train/good/a.png", "test_public/good/a.png", "test_public/bad/b.png",
        "test_public/ground_truth/bad/b_mask.png", "test_private/a.png",
        "test_private_mixed/a.png")  # fmt: skip
    catalog = open_catalog(tmp_path)
    assert len(catalog) == 3 and (catalog.table["mask"] != "").sum() == 1
    assert [said.partition(" ")[0] for said in catalog.warnings] == [
        "test_private",
        "test_private_mixed",
    ]
    assert not catalog.left_out  # a set as its makers publish it is no failure


def odd(root: Path, name: str) -> None:
    """A file whose name is no UTF-8: Python keeps such a byte as half a letter."""
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).touch()


def test_an_image_whose_name_is_no_text_is_left_out_and_named(tmp_path):
    put(tmp_path, "ok/a.png", "bad/b.png")
    for name in ("ok/\udcfc.png", "\udcfc/c.png", "ok/\udcfc.txt", "\udcfc.log"):
        odd(tmp_path, name)
    catalog = open_set(tmp_path, 10**6).catalog
    assert catalog.table["path"].tolist() == ["bad/b.png", "ok/a.png"]
    assert sorted(map(str, catalog.left_out)) == [
        "ok/\ufffd.png: its name is not UTF-8. Rename it.",
        "\ufffd/c.png: its name is not UTF-8. Rename it.",
    ]


def test_an_annotation_whose_name_is_no_text_is_not_taken_for_none(tmp_path):
    put(tmp_path, "a.png", "b.png")
    xml = "<annotation><object><name>x</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>9</xmax>"
    (tmp_path / "a.xml").write_text(xml + "<ymax>9</ymax></bndbox></object></annotation>")
    odd(tmp_path, "\udcfc.png")
    assert len(open_set(tmp_path, 10**6).catalog.left_out) == 1
    odd(tmp_path, "b\udcfc.xml")
    with pytest.raises(CatalogError, match="is not UTF-8"):
        open_set(tmp_path, 10**6)


@pytest.mark.parametrize("extra", [[], ["crack/b.json"]])
def test_a_picture_of_a_kind_that_is_not_read_is_left_out_and_named(tmp_path, extra):
    files = ["crack/a.png", "good/c.png", "crack/a.dng", "crack/b.jfif", "good/D.HEIC"]
    put(tmp_path, *files, *extra, "good/readme.pdf", "good/.e.gif", "film.mp4")
    if extra:
        (tmp_path / extra[0]).write_text('{"shapes": [], "imagePath": "b.jfif"}')
        (tmp_path / "crack" / "a.json").write_text('{"shapes": [], "imagePath": "a.png"}')
    catalog = open_set(tmp_path, 1000).catalog
    assert catalog.table["path"].tolist() == ["crack/a.png", "good/c.png"]
    named = {one.name for one in catalog.left_out if "kind that is not read" in one.reason}
    assert named == {"crack/b.jfif", "good/D.HEIC"}


def test_split_of_a_part_of_the_casting_layout_is_not_guessed(tmp_path):
    put(tmp_path, *CASTING)
    assert read(tmp_path / "train") == {
        "def_front/a.jpeg": ("def", ""),
        "ok_front/b.jpeg": ("ok", ""),
    }


def test_decomposed_folder_names_are_one_label(tmp_path):
    put(tmp_path, "train/Gru\u0308n/a.png", "train/rot/a.png", "test/Gr\u00fcn/b.png")
    catalog = open_catalog(tmp_path)
    assert catalog.classes == ("Gr\u00fcn", "rot")
    assert all(catalog.image_path(i).is_file() for i in range(len(catalog)))


@pytest.mark.parametrize(
    ("files", "warning"),
    [
        (CASTING, "same photograph"),
        (["ok/a.png", "empty/notes.txt", "bad/b.png"], "'empty' holds no image"),
        (["ok/a.png"], r"only one class \(ok\)"),
        (["ok/a.png", "bad/b.png", "contact-sheet.png"], "1 images beside the class folders"),
        (["train/ok/a.png", "train/bad/b.png", "test/OK/c.png"], "differ only in case"),
    ],
)
def test_warnings(tmp_path, files, warning):
    found = open_catalog(put(tmp_path, *files)).warnings
    assert [text for text in found if re.search(warning, text)], found


def test_an_ordinary_folder_has_no_warning(tmp_path):
    files = ["ok/a.png", "bad/b.png", ".cache/x.png", "__MACOSX/ok/._a.png", "ok/Thumbs.db",
             "ok/.hidden.png"]  # fmt: skip
    catalog = open_catalog(put(tmp_path, *files))
    assert list(catalog.table["path"]) == ["bad/b.png", "ok/a.png"]
    assert catalog.warnings == ()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no image in it"),
        (["ok/readme.md"], "no image in it"),
        (["a.png", "b.png"], "2 images (a.png, b.png) but no class folders"),
        (["train/a.png", "test/b.png"], "but no class folders"),
        (["train/ok/a.png", "test/ok/b.png", "masks/c.png"], "masks beside the split folders"),
        (["line1/ok/a.png", "line2/ok/b.png"], "'line1' holds images in folders of its own"),
        (["train_images/a.jpg", "test_images/b.jpg"], "'test_images' is not the name of a class"),
        (["a|b/a.png", "ok/b.png"], "has '|' in its name"),
    ],
)
def test_folders_refused(tmp_path, files, message):
    with pytest.raises(CatalogError) as caught:
        open_catalog(put(tmp_path, *files))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"), [("nowhere", "no such folder"), ("x.zip", "Unpack it")]
)
def test_path_refused(tmp_path, name, message):
    put(tmp_path, "x.zip")
    with pytest.raises(CatalogError, match=message):
        open_catalog(tmp_path / name)


def test_link_that_points_upwards_ends(tmp_path):
    put(tmp_path, "ok/a.png", "bad/b.png")
    (tmp_path / "bad" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert set(read(tmp_path)) == {"ok/a.png", "bad/b.png"}


def index(root: Path, text: str | bytes) -> Path:
    put(root, "a.png", "sub dir/b.png", "m.png")
    data = text.encode() if isinstance(text, str) else text
    (root / "index.csv").write_bytes(data)
    return root


def test_index_with_everything(tmp_path):
    text = (
        "\ufeffPath,label,mask,photo_group,split,label_conflict\r\n"
        "./a.png,dent|rust,m.png,007,train,0\r\n"
        "\r\n"
        "sub dir\\b.png,,,,test,1\r\n"
    )
    catalog = open_catalog(index(tmp_path, text))
    assert catalog.table.to_numpy().tolist() == [
        ["a.png", "dent|rust", "m.png", "007", "train"],
        ["sub dir/b.png", "", "", "", "test"],
    ]
    assert catalog.layout == "index.csv"
    assert catalog.name == tmp_path.name
    assert open_catalog(tmp_path / "index.csv").table.equals(catalog.table)


def test_index_wins_over_class_folders(tmp_path):
    put(tmp_path, "ok/a.png", "bad/b.png")
    (tmp_path / "index.csv").write_text("path,label\nok/a.png,NA\n")
    assert read(tmp_path) == {"ok/a.png": ("NA", "")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: column path and label missing"),
        ("path;label\na.png;x\n", "line 1: column path and label missing"),
        ("path,mask\na.png,\n", "line 1: column label missing"),
        ("path,label,path\na.png,x,a.png\n", "line 1: column path stands twice"),
        ("path,label\n", "no rows"),
        ("path,label\na.png,x,y\n", "line 2: 3 values for 2 columns"),
        ("path,label\na.png,x\n./a.png,y\n", "'a.png' stands in lines 2 and 3, which differ"),
        ("path,label,split\na.png,x,dev\n", "line 2: unknown split 'dev'"),
        ("path,label\na.png,x||y\n", "line 2: label 'x||y' has an empty or a repeated part"),
        ("path,label\na.png,x|x\n", "repeated part"),
        ("path,label\n../a.png,x\n", "line 2: path '../a.png' is not a file inside"),
        ("path,label\nsub/../../a.png,x\n", "is not a file inside"),
        ("path,label\nsub\\..\\a.png,x\n", "is not a file inside"),
        ("path,label\n/etc/passwd,x\n", "is not a file inside"),
        ("path,label\nC:\\nowhere.png,x\n", "is not a file inside"),
        ("path,label\nC:\\..\\a.png,x\n", "is not a file inside"),
        ("path,label\n/lot/../a.png,x\n", "is not a file inside"),
        ("path,label\n" + "n" * 300 + ".png,x\n", "nn.png' is missing"),
        ("path,label\n,x\n", "is not a file inside"),
        ("path,label\n.,x\n", "is not a file inside"),
        ("path,label,mask\na.png,x,/n.png\n", "line 2: mask '/n.png' is not a file inside"),
        ("path,label\n/lot/a.png,x\nD:\\a.png,y\n", "'a.png' stands in lines 2 and 3"),
        (
            "path,label\n" + "".join(f"n{i}.png,x\n" for i in range(5)),
            "none of its 5 rows can be used. The first: index.csv, line 2: path 'n0.png'",
        ),
        ("path,label,mask\na.png,x,no.png\n", "line 2: mask 'no.png' is missing"),
        ("path,label\n,\n   \n", "no rows. Name at least one image"),
        ('path,label\n"a.png,x\n', "line 2: not a row of a CSV file"),
        ('path,label\na.png,x\na.png,"x" y\n', "line 3: not a row of a CSV file"),
        (b"path,label\n\xff\xfe.png,x\n", "not UTF-8"),
        (b"path,label\na\x00.png,x\n", "index.csv"),
    ],
)
def test_index_refused(tmp_path, text, message):
    with pytest.raises(CatalogError) as caught:
        open_catalog(index(tmp_path, text))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("row", "reason", "remedy"),
    [
        ("no.png,x,,", "path 'no.png' is missing", "take the row out"),
        ('c.png,"x\nb.png,y,,\n",,', "label 'x\\nb.png,y,,' holds a line break", "Close the quote"),
        ("c.png,x,no.png,", "mask 'no.png' is missing", "take the row out"),
        ("../c.png,x,,", "path '../c.png' is not a file inside", "without '..'"),
        ("c.png,x,../m.png,", "mask '../m.png' is not a file inside", "without '..'"),
        ("c.png,x", "2 values for 4 columns", "Give each column one"),
        ("c.png,x,,,,", "6 values for 4 columns", "quote values that contain a comma"),
        ("c.png,good|good,,", "an empty or a repeated part", "Join different labels"),
        ("c.png,x,,tset", "unknown split 'tset'", "Use train, val, test"),
        ("a.png,dent,m.png,train", "'a.png' stands already in line 2", "Take the row out"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_the_rest_is_read(tmp_path, row, reason, remedy):
    put(tmp_path, "c.png")
    text = f"path,label,mask,split\na.png,dent,m.png,train\n{row}\nsub dir/b.png,,,test\n"
    catalog = open_catalog(index(tmp_path, text))
    assert catalog.table["path"].tolist() == ["a.png", "sub dir/b.png"]
    assert catalog.table["label"].tolist() == ["dent", ""]
    (left_out,) = catalog.left_out
    assert left_out.name == "index.csv, line 3"
    assert reason in left_out.reason and remedy in left_out.remedy


@pytest.mark.parametrize("blank", [",,,", "  ", ", ,,"])
def test_a_blank_row_says_nothing(tmp_path, blank):
    text = f"path,label,mask,split\n{blank}\na.png,dent,m.png,train\n{blank}\n"
    catalog = open_catalog(index(tmp_path, text))
    assert (catalog.table["path"].tolist(), catalog.left_out) == (["a.png"], ())


@pytest.mark.parametrize(
    "other",
    ["a.png,dent,", "a.png,dent|dent,", "A.PNG,dent,no.png", "../lot/a.png,dent,", "dent,a.png",
     "1,dent,a.png,,", "a.png,dent,m.png,x"],
)  # fmt: skip
def test_no_row_makes_an_image_good_that_another_calls_defective(tmp_path, other):
    for rows in (f"a.png,,\n{other}\n", f"{other}\na.png,,\n"):
        catalog = open_catalog(index(tmp_path, f"path,label,mask\n{rows}sub dir/b.png,,\n"))
        assert catalog.table["path"].tolist() == ["sub dir/b.png"]
        assert [one.name for one in catalog.left_out] == ["index.csv, line 2", "index.csv, line 3"]


def test_contradicting_groups_are_a_warning(tmp_path):
    text = "path,label,photo_group\na.png,x,1\nsub dir/b.png,y,1\n"
    (said,) = open_catalog(index(tmp_path, text)).warnings
    assert "photo groups hold images with different labels (1)" in said


def test_one_idea_of_what_an_image_is_called():
    assert IMAGE_SUFFIXES == sources.IMAGE_SUFFIXES


@pytest.mark.parametrize(
    ("folder", "layout", "counts"),
    [
        ("casting", "index.csv", {"def": 1870, "ok": 654}),
        ("casting/casting_512x512", "casting", {"def": 677, "ok": 467}),
        ("magnetic_tile", "index.csv", {"blowhole": 92, "break": 66, "crack": 48, "fray": 19,
                                        "free": 767, "uneven": 80}),
    ],
)  # fmt: skip
def test_real_sets(shared_data, folder, layout, counts):
    catalog = open_catalog(shared_data / folder)
    assert (catalog.layout, catalog.counts().to_dict()) == (layout, counts)


def test_flat_neu_names_say_what_the_index_says(shared_data):
    flat = open_catalog(shared_data / "neu" / "images").table
    index = open_catalog(shared_data / "neu").table
    assert dict(zip("images/" + flat["path"], flat["label"], strict=True)) == dict(
        zip(index["path"], index["label"], strict=True)
    )
