import csv
from pathlib import Path

import pandas as pd
import pytest

from defectvision.bundle.labels import label_names
from defectvision.data.catalog import COLUMNS, Catalog, CatalogError, catalog_table


def make_catalog(rows: list[tuple[str, ...]]) -> Catalog:
    """Rows (path, label[, mask[, photo_group[, split]]])."""
    filled = [row + ("",) * (len(COLUMNS) - len(row)) for row in rows]
    columns = dict(zip(COLUMNS, map(list, zip(*filled, strict=True)), strict=True))
    return Catalog(Path("/data/lot"), catalog_table(columns), "lot")


CATALOG = make_catalog(
    [
        ("a.png", "dent", "", "1", "train"),
        ("b.png", "dent|rust", "b_mask.png", "1", "train"),
        ("c.png", "", "", "", "test"),
        ("d.png", "rust", "", "", "test"),
        ("e.png", "dent", "", "2", ""),
    ]
)


@pytest.mark.parametrize(
    ("label", "expected"),
    [("", ()), ("rust", ("rust",)), ("rust|dent", ("rust", "dent")), ("NA", ("NA",))],
)
def test_label_names(label, expected):
    assert label_names(label) == expected


def test_counts_every_label_of_an_image():
    assert CATALOG.classes == ("dent", "rust")
    assert CATALOG.counts().to_dict() == {"dent": 3, "rust": 2}
    assert CATALOG.good_count == 1
    assert len(CATALOG) == 5


def test_counts_of_good_images_only_are_empty():
    catalog = make_catalog([("a.png", ""), ("b.png", "")])
    assert catalog.classes == ()
    assert catalog.counts().to_dict() == {}
    assert catalog.good_count == 2


def test_subset_renumbers_rows_and_keeps_paths():
    test = CATALOG.subset("test")
    assert list(test.table["path"]) == ["c.png", "d.png"]
    assert list(test.table.index) == [0, 1]
    assert test.image_path(1) == Path("/data/lot/d.png")
    assert len(CATALOG) == 5  # the whole is untouched


@pytest.mark.parametrize(
    ("split", "message"),
    [("valid", "no split is called"), ("val", "no image .* Choose train or test, or name")],
)
def test_subset_refuses(split, message):
    with pytest.raises(CatalogError, match=message):
        CATALOG.subset(split)


def test_mask_path():
    assert CATALOG.mask_path(1) == Path("/data/lot/b_mask.png")
    assert CATALOG.mask_path(0) is None


def test_groups_never_merge_unknown_images():
    groups = list(CATALOG.groups())
    assert groups[0] == groups[1] == "1"
    assert len(set(groups)) == 4


def test_groups_survive_a_group_that_is_spelled_like_an_own_id():
    catalog = make_catalog(
        [("a.png", "x"), ("b.png", "x", "", "image:a.png"), ("c.png", "x", "", "_image:a.png")]
    )
    assert len(set(catalog.groups())) == 3


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", "x", "", "1"), ("b", "y", "", "1"), ("c", "x", "", "2")], ["a", "b"]),
        ([("a", "x", "", "1"), ("b", "", "", "1")], ["a", "b"]),
        ([("a", "x|y", "", "1"), ("b", "y|x", "", "1")], []),  # order says nothing
        ([("a", "x"), ("b", "y")], []),  # unknown groups are not one group
    ],
)
def test_contradictions(rows, expected):
    assert list(make_catalog(rows).contradictions()["path"]) == expected


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": ["a"]}, "missing columns .'label'."),
        ({"path": ["a"], "label": ["x"], "colour": ["red"]}, "unknown columns .'colour'."),
        ({"path": ["a", "b"], "label": ["x", None]}, "'label' has no value in row 1"),
    ],
)
def test_table_refuses(columns, message):
    with pytest.raises(CatalogError, match=message):
        catalog_table(columns)


def test_catalog_refuses_another_table():
    with pytest.raises(CatalogError, match="instead of"):
        Catalog(Path(), pd.DataFrame({"path": ["a"], "label": ["x"]}), "lot")


def test_write_index_leaves_out_empty_columns_and_keeps_every_text(tmp_path):
    catalog = make_catalog([("Öl, heiß.png", "NA", "", "007"), ('"q".png', "", "", "7")])
    catalog.write_index(tmp_path / "new" / "index.csv")
    with (tmp_path / "new" / "index.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["path", "label", "photo_group"],
        ["Öl, heiß.png", "NA", "007"],
        ['"q".png', "", "7"],
    ]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["index.csv"]  # nothing left behind
