"""DAGM 2007 as it is published, and what can be wrong with its lists."""

import numpy as np
import pytest
from PIL import Image

from defectvision.data.catalog import CatalogError
from tests.stand_ins.labelled_sets import SIZE, labels, masks, opened, rectangle, write, write_texts

MASK = rectangle(6, 8, 14, 16)
GOOD, BAD = "{0}\t0\t{0}.PNG\t0\t0\n", "{0}\t1\t{0}.PNG\t0\t{0}_label.PNG\n"


def part(root, images=("0001", "0002"), rows=None, masks_of=("0002",)):
    write(root, *(f"{number}.PNG" for number in images))
    (root / "Label").mkdir(parents=True, exist_ok=True)
    for number in masks_of:
        Image.fromarray(MASK * np.uint8(255)).save(root / "Label" / f"{number}_label.PNG")
    rows = rows if rows is not None else "1\n" + GOOD.format("0001") + BAD.format("0002")
    write_texts(root, {"Label/Labels.txt": rows})
    return root


@pytest.mark.parametrize("front", ["", "DAGM2007/", "Class1/"])
def test_the_published_layout(tmp_path, front):
    for place in ("Class1/Train", "Class1/Test", "Class2/Train"):
        part(tmp_path / front / place)
    found = opened(tmp_path)
    assert found.catalog.layout == "dagm" and not found.catalog.left_out
    table = found.catalog.table.set_index("path")
    assert {path: tuple(table.loc[path, ["label", "split", "mask"]]) for path in table.index} == {
        f"{front}{name}/{split}/000{n}.PNG": (
            name if n == 2 else "", split.lower(),
            f"{front}{name}/{split}/Label/0002_label.PNG" if n == 2 else "")
        for name, split in (("Class1", "Train"), ("Class1", "Test"), ("Class2", "Train"))
        for n in (1, 2)
    }  # fmt: skip
    ((label, mask),) = masks(found, f"{front}Class2/Train/0002.PNG")
    assert label == "Class2" and (mask == MASK).all()
    assert masks(found, f"{front}Class2/Train/0001.PNG") == []


@pytest.mark.parametrize("opened_at", ["Class7", "Class7/Train"])
def test_one_texture_alone(tmp_path, opened_at):
    part(tmp_path / "Class7" / "Train")
    found = opened(tmp_path / opened_at)
    assert sorted(labels(found).values()) == ["", "Class7"]
    assert set(found.catalog.table["split"]) == {"train"}


ROWS = GOOD.format("0001") + BAD.format("0002")
# rows, images, masks, what is left, what is left out
WRONG = {
    "a mask that is not there": (ROWS + BAD.format("0003"), ["0003"], [], "0003.PNG"),
    "defective and no mask": (ROWS + "0003\t1\t0003.PNG\t0\t0\n", ["0003"], [], "0003.PNG"),
    "good and a mask": (ROWS + "0003\t0\t0003.PNG\t0\t0003_label.PNG\n", ["0003"], ["0003"],
                        "0003.PNG"),
    "good and a mask that is not there": (ROWS + "0003\t0\t0003.PNG\t0\tx.PNG\n", ["0003"], [],
                                          "0003.PNG"),
    "neither 0 nor 1": (ROWS + "0003\t2\t0003.PNG\t0\t0\n", ["0003"], [], "0003.PNG"),
    "a row cut off": (ROWS + "0003\t1\t0003.PNG\n", ["0003"], [], "0003.PNG"),
    "an image without a row": (ROWS, ["0003"], [], "0003.PNG"),
    "an image that is not there": (ROWS + GOOD.format("0003"), [], [], "Label/Labels.txt, line 3"),
    "words": (ROWS + "checked\n", [], [], "Label/Labels.txt, line 3"),
    "a path that leads out": (ROWS + "3\t0\t../../x.PNG\t0\t0\n", [], [],
                              "Label/Labels.txt, line 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_left_out_and_named(tmp_path, name):
    rows, images, masks_of, left_out = WRONG[name]
    folder = tmp_path / "Class1" / "Train"
    part(folder, ["0001", "0002", *images], rows, ["0002", *masks_of])
    found = opened(tmp_path)
    assert labels(found) == {"Class1/Train/0001.PNG": "", "Class1/Train/0002.PNG": "Class1"}
    assert [x.name for x in found.catalog.left_out] == [f"Class1/Train/{left_out}"]


def test_a_mask_that_no_row_names_is_named_with_its_image(tmp_path):
    part(tmp_path / "Class1" / "Train", ["0001", "0002", "0003"], ROWS + GOOD.format("0003"),
         ["0002", "0003", "0009"])  # fmt: skip
    found = opened(tmp_path)
    assert "Class1/Train/0003.PNG" not in labels(found)
    assert sorted(x.name for x in found.catalog.left_out) == [
        "Class1/Train/0003.PNG", "Class1/Train/Label/0003_label.PNG",
        "Class1/Train/Label/0009_label.PNG"]  # fmt: skip


def test_an_empty_mask_is_refused(tmp_path):
    folder = part(tmp_path / "Class1" / "Train")
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(folder / "Label" / "0002_label.PNG")
    with pytest.raises(CatalogError, match="marks no pixel"):
        masks(opened(tmp_path), "Class1/Train/0002.PNG")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS + GOOD.format("0001"), r"line 3: .*0001\.PNG stands already in .*line 1"),
        (ROWS + "3\t1\t0001.PNG\t0\t0\n", "stands already"),
        (ROWS + "3\t1\t0003.PNG\t0\t0002_label.PNG\n", r"0002_label\.PNG stands already"),
        (b"\xff", "not UTF-8"),
        ("", "no image that can be used"),
    ],
)
def test_a_wrong_list_is_refused_in_words(tmp_path, rows, said):
    part(tmp_path / "Class1" / "Train", ["0001", "0002", "0003"], rows)
    with pytest.raises(CatalogError, match=said):
        opened(tmp_path)


def test_images_beside_the_lists_are_told(tmp_path):
    part(tmp_path / "Class1" / "Train")
    write(tmp_path, "overview.png", "Class1_def/1.png")
    (warning,) = opened(tmp_path).catalog.warnings
    assert warning.startswith("2 images beside the lists")


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_converted_images_are_found(tmp_path, suffix):
    folder = part(tmp_path / "Class1" / "Train", images=())
    write(folder, f"0001.{suffix}", f"0002.{suffix}")
    write_texts(folder, {"Label/Labels.txt": ROWS.replace("1.PNG", f"1.{suffix.upper()}").replace(
        "2.PNG", f"2.{suffix}")})  # fmt: skip
    assert sorted(labels(opened(tmp_path)).values()) == ["", "Class1"]
