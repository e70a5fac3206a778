"""VisA by its own tables: their columns, their paths, and masks of any value but 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set

LIMIT = 100_000
NORMAL, BENT, BOTH = "Normal/0.png", "Anomaly/0.png", "Anomaly/1.png"


@pytest.fixture
def visa(tmp_path: Path) -> Path:
    """One product: a good part, one bent, and one bent and scratched, with a mask each."""
    data = tmp_path / "VisA/pcb1/Data"
    for name in (NORMAL, BENT, BOTH):
        for kind in ("Images", "Masks") if name != NORMAL else ("Images",):
            file = data / kind / name
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.zeros((24, 24), np.uint8)
            pixels[2:6, 2:6], pixels[10:12, 2:6] = 1, 3
            Image.fromarray(pixels).save(file)
    image, mask = "pcb1/Data/Images", "pcb1/Data/Masks"
    (tmp_path / "VisA/split_csv").mkdir()
    (tmp_path / "VisA/split_csv/1cls.csv").write_text(
        "object,split,label,image,mask\n"
        f"pcb1,train,normal,{image}/{NORMAL},\n"
        f"pcb1,test,anomaly,{image}/{BENT},{mask}/{BENT}\n"
        f"pcb1,test,anomaly,{image}/{BOTH},{mask}/{BOTH}\n"
        f"pcb1,test,anomaly,{image}/gone.png,\n"
    )
    (tmp_path / "VisA/pcb1/image_anno.csv").write_text(
        f"image,label,mask\n{image}/{NORMAL},normal,\n{image}/{BENT},bent,{mask}/{BENT}\n"
        f'{image}/{BOTH},"bent, scratch",{mask}/{BOTH}\n'
    )
    return tmp_path / "VisA"


@pytest.mark.parametrize("opened", [".", "split_csv/1cls.csv"])
def test_the_table_of_all_products_tells_splits_labels_and_masks(visa: Path, opened: str) -> None:
    images = open_set(visa / opened, LIMIT)
    table = images.catalog.table
    assert table["path"].tolist() == [f"pcb1/Data/Images/{n}" for n in (NORMAL, BENT, BOTH)]
    assert table["label"].tolist() == ["normal", "anomaly", "anomaly"]
    assert table["split"].tolist() == ["train", "test", "test"]
    ((label, mask),) = images.masks(1, (24, 24))
    assert label == "anomaly" and mask.sum() == 16 + 8
    (left_out,) = images.catalog.left_out
    assert left_out.name == "1cls.csv, line 5" and "gone.png" in left_out.reason


def test_the_table_of_one_product_tells_each_defect(visa: Path) -> None:
    images = open_set(visa / "pcb1/image_anno.csv", LIMIT)
    assert images.catalog.table["label"].tolist() == ["normal", "bent", "bent|scratch"]
    assert [label for label, _ in images.masks(1, (24, 24))] == ["bent"]
    assert images.masks(2, (24, 24)) == []
    (warning,) = images.catalog.warnings
    assert warning.startswith("1 images have one mask for several defects")


def test_a_mask_on_a_part_that_is_called_normal_is_refused(visa: Path) -> None:
    table = visa / "pcb1/image_anno.csv"
    table.write_text(table.read_text().replace(",bent,", ",normal,"))
    with pytest.raises(CatalogError, match="marks a defect on an image that is labelled normal"):
        open_set(table, LIMIT).masks(1, (24, 24))


def test_several_products_in_one_set_are_warned_of(visa: Path) -> None:
    other = visa / "pcb2/Data/Images/Normal/0.png"
    other.parent.mkdir(parents=True)
    Image.new("L", (24, 24)).save(other)
    with (visa / "split_csv/1cls.csv").open("a") as table:
        table.write("pcb2,train,normal,pcb2/Data/Images/Normal/0.png,\n")
    assert any("2 products (pcb1, pcb2)" in text for text in open_set(visa, LIMIT).catalog.warnings)
