import numpy as np
import pandas as pd
import pytest

from defectvision.data import statistics
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.limits import PIXELS


def catalog(*labels: str, split: list[str] | None = None) -> Catalog:
    columns = {"path": [f"{i}.png" for i in range(len(labels))], "label": list(labels)}
    if split:
        columns["split"] = split
    return Catalog(".", catalog_table(columns), "set")


def test_balance_counts_every_class_of_an_image_and_good_ones() -> None:
    found = statistics.class_balance(catalog("a", "a|b", "", "a"))
    assert found[["label", "images"]].to_numpy().tolist() == [["a", 3], ["(good)", 1], ["b", 1]]
    assert found["share"].tolist() == [0.75, 0.25, 0.25]
    assert statistics.imbalance_ratio(found) == 3
    assert statistics.imbalance_ratio(found.head(1)) is None


def test_regions_are_counted_beside_images() -> None:
    regions = pd.DataFrame({"label": ["a", "a", "b"]})
    found = statistics.class_balance(catalog("a", "b", ""), regions).set_index("label")
    assert found["regions"].to_dict() == {"(good)": 0, "a": 2, "b": 1}


def test_co_occurrence_is_symmetric_with_counts_on_the_diagonal() -> None:
    matrix = statistics.co_occurrence(catalog("3|4", "3", "4|3", "", "1"))
    assert matrix.loc["3", "4"] == matrix.loc["4", "3"] == 2
    assert np.diag(matrix).tolist() == [1, 3, 2]
    assert matrix.loc["1", "3"] == 0


@pytest.mark.parametrize(
    ("labels", "answer", "accuracy"),
    [(("a", "a", "b"), "a", 2 / 3), (("", "", "x"), "(good)", 2 / 3), (("a|b", "b|a"), "a + b", 1)],
)
def test_majority(labels: tuple[str, ...], answer: str, accuracy: float) -> None:
    found = statistics.majority_accuracy(catalog(*labels))
    assert found == (answer, pytest.approx(accuracy))


def test_weights_have_mean_one_over_the_images_and_effective_is_milder() -> None:
    balance = pd.DataFrame({"label": ["free", "fray"], "images": [767, 19]})
    weights = statistics.class_weights(balance).set_index("label")
    for name in ("inverse", "effective"):
        assert (weights[name] * weights["images"]).sum() == pytest.approx(786)
    inverse = weights["inverse"]["fray"] / weights["inverse"]["free"]
    assert inverse == pytest.approx(767 / 19)
    # (1 - 0.999**767) / (1 - 0.999**19), Cui et al.
    effective = weights["effective"]["fray"] / weights["effective"]["free"]
    assert effective == pytest.approx((1 - 0.999**767) / (1 - 0.999**19))
    assert effective < inverse


def test_recipe_lines_are_yaml_that_gives_the_names_back() -> None:
    yaml = pytest.importorskip("yaml")
    names = ["a", "3", "no", 'say "hi": #1', "毛刺"]
    weights = pd.DataFrame({"label": names, "inverse": [1.0, 2.0, 3.0, 4.0, 5.0]})
    content = yaml.safe_load(statistics.recipe_lines(weights, "inverse"))
    assert content == {
        "imbalance": {"class_weights": dict(zip(names, [1, 2, 3, 4, 5], strict=True))}
    }


@pytest.mark.parametrize(
    ("labels", "balance"),
    [
        (("a", "b", "a"), [("a", 2, ["a"]), ("b", 1, ["b"])]),
        # no good class has a name: the one that a new line gives it
        (("", "", "b"), [("ok", 2, ["(good)"]), ("b", 1, ["b"])]),
        (("", "Clean", "b"), [("Clean", 2, ["(good)", "Clean"]), ("b", 1, ["b"])]),
        # several classes in one image: good is the absence of one
        (("", "good", "a|b", "b"), [("b", 2, ["b"]), ("a", 1, ["a"])]),
        (("", "", ""), [("ok", 3, ["(good)"])]),
    ],
)
def test_classes_are_counted_as_a_training_names_them(
    labels: tuple[str, ...], balance: list[tuple[str, int, list[str]]]
) -> None:
    table = statistics.trained_balance(catalog(*labels))
    rows = zip(table["label"], table["images"], table["shown_as"], strict=True)
    assert list(rows) == balance


def test_good_classes_count_as_good() -> None:
    found = statistics.good_and_defective(catalog("ok", "def", "", "def"))
    assert found["images"].tolist() == [2, 2]
    assert statistics.defects_per_image(catalog("ok", "a|b", "a")).to_numpy().tolist() == [
        [0, 1], [1, 1], [2, 1],
    ]  # fmt: skip


def test_severstal_labels_of_all_images(shared_data) -> None:
    from defectvision.data.image_set import open_set

    found = open_set(shared_data / "severstal" / "all_image_labels.csv", PIXELS)
    assert not found.has_images
    summary = statistics.summary(found.catalog)
    assert summary["images"] == 12_568
    assert summary["counts"] == {"1": 897, "2": 247, "3": 5_150, "4": 801}
    assert summary["clean"] == 5_902
    assert summary["imbalance_ratio_defects"] == pytest.approx(5_150 / 247)
    assert summary["co_occurrence"]["3"]["4"] == 284
