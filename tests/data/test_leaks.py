import io

import pandas as pd

from defectvision.data.catalog import Catalog, catalog_table
from defectvision.data.leaks import corrected_split, leaking_images, leaks, with_groups
from defectvision.data.splits import assert_no_leak


def catalog(splits: str, labels: str | None = None, groups: list[str] | None = None) -> Catalog:
    names = {"t": "train", "v": "val", "e": "test", "-": ""}
    columns = {
        "path": [f"{i:02d}.png" for i in range(len(splits))],
        "label": list(labels or "a" * len(splits)),
        "split": [names[s] for s in splits],
    }
    if groups:
        columns["photo_group"] = groups
    return Catalog(".", catalog_table(columns), "set")


def test_known_and_found_groups_that_share_an_image_become_one() -> None:
    found = with_groups(catalog("tttttt", groups=["x", "x", "", "", "", ""]), [(1, 2), (4, 5)])
    groups = found.table["photo_group"].tolist()
    assert groups[0] == groups[1] == groups[2]
    assert groups[4] == groups[5]
    assert len(set(groups)) == 3


def test_a_group_on_both_sides_leaks() -> None:
    grouped = with_groups(catalog("tteeev"), [(0, 2, 3), (4, 5)])
    found = leaks(grouped)
    assert found["splits"].tolist() == ["test, train", "test, val"]
    assert found["paths"].tolist() == [["00.png", "02.png", "03.png"], ["04.png", "05.png"]]
    assert leaking_images(grouped) == {"test": 2}
    assert leaks(with_groups(catalog("tte"), [(0, 1)])).empty


def test_corrected_split_keeps_groups_whole_and_proportions() -> None:
    splits = "t" * 70 + "v" * 10 + "e" * 20
    grouped = with_groups(catalog(splits, "ab" * 50), [(i, 99 - i) for i in range(50)])
    assert len(leaks(grouped)) > 0
    found = corrected_split(grouped)
    assert_no_leak(found)
    shares = found.table["split"].value_counts(normalize=True)
    assert abs(shares["train"] - 0.7) <= 0.04 and abs(shares["test"] - 0.2) <= 0.04
    table = pd.read_csv(io.BytesIO(found.index_csv()), dtype=str)
    assert table.columns.tolist() == ["path", "label", "photo_group", "split"]
    assert table.groupby("photo_group")["split"].nunique().max() == 1
