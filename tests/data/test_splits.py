from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectvision.data.catalog import Catalog, CatalogError, catalog_table
from defectvision.data.readers.folders import open_catalog
from defectvision.data.splits import assert_no_leak, split_catalog

FRACTIONS = {"train": 0.68, "val": 0.12, "test": 0.2}


def make_catalog(rows: list[tuple[str, str]], splits: list[str] | None = None) -> Catalog:
    """Rows (label, photo group)."""
    columns = {
        "path": [f"{i}.png" for i in range(len(rows))],
        "label": [label for label, _ in rows],
        "photo_group": [group for _, group in rows],
        "split": splits or [""] * len(rows),
    }
    return Catalog(Path(), catalog_table(columns), "lot")


@pytest.mark.slow
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["", "a", "b", "a|b"]), st.sampled_from(["", *"123456789"])),
        min_size=1,
        max_size=60,
    ),
    seed=st.integers(0, 2**32),
)
def test_never_separates_a_group(rows, seed):
    split = split_catalog(make_catalog(rows), FRACTIONS, seed)
    assert_no_leak(split)
    assert split.table["split"].isin(FRACTIONS).all()
    assert list(split.table["path"]) == [f"{i}.png" for i in range(len(rows))]


@pytest.mark.slow
@given(sizes=st.lists(st.integers(1, 30), min_size=3, max_size=12), seed=st.integers(0, 1000))
def test_every_class_is_in_every_split_where_it_has_enough_groups(sizes, seed):
    rows = [(label, f"{label}{g}") for label in "ab" for g, n in enumerate(sizes) for _ in range(n)]
    split = split_catalog(make_catalog(rows), FRACTIONS, seed)
    assert split.table.groupby("label")["split"].nunique().to_dict() == {"a": 3, "b": 3}
    assert split.warnings == ()


def test_a_class_with_too_few_groups_is_named():
    rows = [("common", f"c{i}") for i in range(10)] + [("rare", "r1"), ("rare", "r2")] * 5
    split = split_catalog(make_catalog(rows), FRACTIONS, 0)
    assert split.warnings == (
        "class rare has 2 photo groups and none in val: no score for it there. "
        "Add images of other parts.",
    )
    # said once, not again at every split
    assert split_catalog(split, FRACTIONS, 0).warnings == split.warnings


def test_seed_decides_and_row_order_does_not():
    rows = [(label, f"{label}{i // 3}") for label in "ab" for i in range(60)]
    catalog = make_catalog(rows)
    first = split_catalog(catalog, FRACTIONS, 1).table
    assert split_catalog(catalog, FRACTIONS, 1).table.equals(first)
    assert not split_catalog(catalog, FRACTIONS, 2).table.equals(first)
    turned = Catalog(Path(), catalog.table.iloc[::-1], "lot")
    again = split_catalog(turned, FRACTIONS, 1).table.iloc[::-1].reset_index(drop=True)
    assert again.equals(first)


def test_one_class_does_not_move_another():
    a = [("a", f"a{i}") for i in range(20)]
    alone = split_catalog(make_catalog(a), FRACTIONS, 3).table
    both = split_catalog(make_catalog(a + [("b", f"b{i}") for i in range(9)]), FRACTIONS, 3).table
    assert list(both["split"][:20]) == list(alone["split"])


def test_shares_hold_for_groups_and_for_images():
    rows = [("ok", f"g{g}") for g in range(50) for _ in range(1 + g * g % 17)]
    table = split_catalog(make_catalog(rows), FRACTIONS, 0).table
    groups = table.drop_duplicates("photo_group")["split"].value_counts()
    assert groups.to_dict() == {"train": 34, "test": 10, "val": 6}
    images = table["split"].value_counts(normalize=True)
    assert all(abs(images[name] - share) < 0.02 for name, share in FRACTIONS.items())


def test_mixed_group_counts_for_its_rarest_class():
    # the only groups with 'rare' also hold 'common': both splits need one
    rows = [("common", f"c{i}") for i in range(20)]
    rows += [(label, f"m{i}") for i in range(2) for label in ("common", "common", "rare")]
    for seed in range(5):
        table = split_catalog(make_catalog(rows), {"train": 0.5, "test": 0.5}, seed).table
        assert set(table[table["label"] == "rare"]["split"]) == {"train", "test"}


@pytest.mark.parametrize(
    "fractions",
    [
        {},
        {"train": 0.8, "dev": 0.2},
        {"train": 0.8, "test": 0.3},
        {"train": 1.0, "test": 0.0},
        {"train": 1.5, "test": -0.5},
        {"train": float("nan"), "test": 0.5},
    ],
)
def test_fractions_refused(fractions):
    with pytest.raises(CatalogError, match="fractions"):
        split_catalog(make_catalog([("a", "1")]), fractions, 0)


def test_empty_catalog_refused():
    with pytest.raises(CatalogError, match="no image"):
        split_catalog(make_catalog([]), FRACTIONS, 0)


@pytest.mark.parametrize(
    ("rows", "splits", "leaks"),
    [
        ([("a", "1"), ("a", "1")], ["train", "test"], True),
        ([("a", "1"), ("b", "1")], ["train", "val"], True),
        ([("a", "1"), ("a", "1")], ["train", ""], False),  # an unplaced image is on no side
        ([("a", ""), ("a", "")], ["train", "test"], False),  # unknown groups are not one
    ],
)
def test_assert_no_leak(rows, splits, leaks):
    catalog = make_catalog(rows, splits)
    if leaks:
        with pytest.raises(CatalogError, match="1 photo groups are in more"):
            assert_no_leak(catalog)
    else:
        assert_no_leak(catalog)


@pytest.mark.parametrize("seed", range(3))
def test_real_castings(shared_data, seed):
    split = split_catalog(open_catalog(shared_data / "casting"), FRACTIONS, seed)
    assert_no_leak(split)
    good = split.table[split.table["label"] == "ok"]
    for rows in (good, good.drop_duplicates("photo_group")):
        shares = rows["split"].value_counts(normalize=True)
        assert all(abs(shares[name] - share) < 0.02 for name, share in FRACTIONS.items())
