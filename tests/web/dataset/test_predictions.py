"""The map of predictions follows the policy that was saved for everyone, without a second run."""

from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from defectvision.audit.study import Study
from defectvision.bundle.policy import UNMEASURED, Measured, Policy
from defectvision.bundle.reader import load_bundle
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.data.image_set import ImageSet
from defectvision.people import unproven
from defectvision.store import policies
from defectvision.web.dataset.predictions import labels_under
from tests.stand_ins.bundles import LINES, write_bundle
from tests.stand_ins.stores import new_store

SCORES = {0: 0.2, 1: 0.6, 2: 0.9}  # probability of a defect
OWN = Policy(accept_below=0.5, reject_above=0.5)
STRICT = Policy(accept_below=0.1, reject_above=0.1)


def scores() -> dict[int, tuple[dict[str, float], Measured]]:
    return {image: ({"ok": 1 - p, "def": p}, UNMEASURED) for image, p in SCORES.items()}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (OWN, ["ok", "def", "def"]),
        (STRICT, ["def", "def", "def"]),
        (Policy(accept_below=0.95, reject_above=1.0), ["ok", "ok", "ok"]),
    ],
)
def test_labels_are_the_policys(policy: Policy, expected: list[str]) -> None:
    assert list(labels_under(scores(), LINES["casting"], policy).values()) == expected


def test_a_part_without_a_defect_has_the_label_that_a_catalog_gives_it() -> None:
    strip = LINES["severstal-strip"]
    each = [dict.fromkeys(strip.class_names, value) for value in (0.1, 0.9)]
    found = labels_under({i: (named, UNMEASURED) for i, named in enumerate(each)}, strip, OWN)
    assert found[0] == "" and set(found[1].split("|")) == set(strip.defect_names)


def _map() -> None:
    import streamlit as st

    from defectvision.web.dataset.predictions import prediction_controls

    labels = prediction_controls(st.session_state["study"])
    st.session_state["labels"] = labels


@pytest.fixture
def study() -> Study:
    table = catalog_table({"path": ["a", "b", "c"], "label": ["ok", "def", "def"]})
    pictures = pd.DataFrame({"image": [0, 1, 2]})
    return Study(ImageSet(Catalog(Path(), table, "set")), pictures, pd.DataFrame(), key="k")


def test_the_page_judges_by_the_policy_that_was_saved_for_everyone(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "weights", "casting", "resnet50", policy=OWN)
    broken = tmp_path / "weights" / "broken"
    broken.mkdir()
    (broken / "line.json").write_text("{}")
    store = new_store(tmp_path)
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("DEFECTVISION_STORE", str(store.folder))
    loaded = load_bundle(tmp_path / "weights", "casting")
    page = AppTest.from_function(_map, default_timeout=120)
    page.session_state["study"] = study
    page.session_state["predicted"] = {("k", loaded.version, ""): scores()}
    page.run()
    assert not page.exception
    assert page.session_state["labels"] == {0: "ok", 1: "def", 2: "def"}
    assert [error.value for error in page.error if "broken" in error.value]
    with store.session() as session:
        policies.save(session, "casting", "resnet50", STRICT, unproven("ada"), "an escape", OWN)
    page.run()
    assert page.session_state["labels"] == {0: "def", 1: "def", 2: "def"}
