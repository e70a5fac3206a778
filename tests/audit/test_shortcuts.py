import numpy as np
import pandas as pd
import pytest

from defectvision.audit.shortcuts import auc, shortcuts, warnings


def test_auc_counts_ties_one_half() -> None:
    positive = np.array([True, True, False, False])
    assert auc(np.array([2.0, 3, 1, 0]), positive) == 1
    assert auc(np.array([1.0, 1, 1, 1]), positive) == 0.5
    assert auc(np.array([1.0, 0, 1, 0]), positive) == 0.5


def pictures(rng: np.random.Generator, count: int = 200) -> tuple[pd.DataFrame, list[str]]:
    labels = ["def" if i % 2 else "ok" for i in range(count)]
    corner = rng.normal(100, 10, count) + np.where(np.array(labels) == "def", 30, 0)
    table = pd.DataFrame(
        {
            "corner_brightness": corner,
            "border_brightness": rng.normal(100, 10, count),
            "format": ["jpg"] * count,
            "pixels": rng.integers(900, 1100, count),
            "bytes_per_px": rng.normal(1, 0.1, count),
        }
    )
    return table, labels


def test_a_planted_shortcut_is_the_only_strong_one() -> None:
    table, labels = pictures(np.random.default_rng(0))
    found = shortcuts(table, labels, [str(i) for i in range(len(labels))])
    strong = found[found["strength"] == "strong"]
    assert strong["predictor"].tolist() == ["corner_brightness"]
    row = strong.iloc[0]
    assert row["low"] < row["auc"] < row["high"] and row["auc"] > 0.95
    assert "format" not in set(found["predictor"])  # the same everywhere
    assert "corners" in warnings(found)[0] and "def" in warnings(found)[0]


def test_copies_of_few_photographs_widen_the_interval() -> None:
    table, labels = pictures(np.random.default_rng(1), 40)
    table = pd.concat([table] * 10, ignore_index=True)
    labels = labels * 10
    each = shortcuts(table, labels, [str(i) for i in range(400)])
    grouped = shortcuts(table, labels, [str(i % 40) for i in range(400)])
    width = (grouped.iloc[0]["high"] - grouped.iloc[0]["low"]) / (
        each.iloc[0]["high"] - each.iloc[0]["low"]
    )
    assert width > 1.5


@pytest.mark.parametrize("labels", [["a"] * 30, ["a"] * 25 + ["b"] * 5])
def test_too_few_images_of_a_class_give_no_figure(labels: list[str]) -> None:
    table, _ = pictures(np.random.default_rng(0), 30)
    assert shortcuts(table, labels, [str(i) for i in range(30)]).empty
