"""Evaluations from the command line: kept, reported, compared, and turned into a policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from defectvision.bundle.reader import load_bundle
from defectvision.cli.main import app
from defectvision.cli.operating_point import share_of
from defectvision.data.synthetic.samples import write_samples
from defectvision.people import unproven
from defectvision.settings import settings
from defectvision.store.database import Store, open_store
from defectvision.store.evaluations import (
    LabelledSet,
    add_evaluation,
    finish,
    list_evaluations,
    open_evaluation,
)
from defectvision.store.policies import history
from defectvision.store.tables import AuditRow
from tests.stand_ins.bundles import LINES, write_bundle
from tests.stand_ins.evaluations import made_up


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle of castings, and a store with three evaluations of images that were made up: of
    the bundle, of the same again, and of a better one."""
    folder = tmp_path_factory.mktemp("place")
    write_bundle(folder / "weights", "casting", "resnet50")
    loaded = load_bundle(folder / "weights", "casting")
    store = open_store(folder / "store")
    for skill in (0.6, 0.6, 1.5):
        kept = made_up(LINES["casting"], 2000, 700, skill=skill, version=loaded.version)
        with store.session() as session:
            number = add_evaluation(session, loaded, LabelledSet(path="x"), unproven("Ada")).id
        finish(store, number, kept)
    with pytest.MonkeyPatch.context() as patch:
        for what in ("store", "cache", "weights"):
            patch.setenv(f"DEFECTVISION_{what.upper()}", str(folder / what))
        yield folder


@pytest.fixture
def store(place: Path) -> Store:
    return open_store(place / "store")


def run(*arguments: object) -> Result:
    settings.cache_clear()
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_a_set_is_kept_and_reported(place: Path, store: Store) -> None:
    write_samples("casting", place / "set", per_class=3, size=160)
    done = run("evaluate", "--data", place / "set", "--line", "casting", "--keep",
               "--out", place / "report", "--json")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    printed = json.loads(done.stdout)
    with store.reading() as session:
        row = list_evaluations(session)[0]
    assert "kept as evaluation 4" in done.stderr and row.who == "command line"
    kept = open_evaluation(store, row.id)
    assert printed["images"] == len(kept) == 6 == row.images
    report = json.loads((place / "report/evaluation.json").read_text())
    values = {k: v for k, v in report["metrics"]["values"].items() if v}
    assert values == {k: v for k, v in printed["metrics"].items() if v and k != "confusion"}
    page = (place / "report/evaluation.html").read_text()
    assert "Casting: evaluation" in page and "Plotly.newPlot" in page


def test_evaluate_says_what_is_missing(place: Path) -> None:
    for arguments, said in (
        (("--line", "casting"), "either --data FOLDER or --reviewed"),
        (("--reviewed",), "which line"),
        (("--reviewed", "--line", "casting", "--record", "x"), "--record"),
        (("--data", place, "--line", "casting", "--keep", "--flips"), "--flips"),
        (("--data", place, "--line", "casting", "--html", place / "no/x.html"), "no folder"),
        (("--reviewed", "--line", "casting"), "nobody has decided"),
    ):
        done = run("evaluate", *arguments)
        assert done.exit_code == 2 and said in " ".join(done.stderr.split())


def test_the_same_twice_is_no_difference_and_a_better_one_is(place: Path) -> None:
    done = run("compare", 1, 2, 3, "--json")
    assert done.exit_code == 0, done.stderr
    same, better = json.loads(done.stdout)
    assert same["words"].startswith("No difference found on 2000 images".replace("2000", "2,000"))
    assert same["differ"] == [] and len(better["differ"]) > 50
    found = {one["metric"]: one for one in better["differences"]}
    assert found["accuracy"]["p"] < 0.01 and found["accuracy"]["difference"] > 0
    told = run("compare", 1, 3).stdout
    assert "Right label" in told and "They differ on" in told


@pytest.mark.slow
def test_images_that_cannot_be_read_are_named_wherever_a_set_is_asked_about(
    place: Path, tmp_path: Path
) -> None:
    write_samples("casting", tmp_path / "parts", per_class=6, seed=3)
    first = min((tmp_path / "parts/ok").iterdir())
    first.write_bytes(b"no image")
    common = ("--data", tmp_path / "parts", "--line", "casting", "--json")
    for command in (("operating-point",), ("compare", "resnet50", "resnet50")):
        done = run(*command, *common)
        assert done.exit_code == 1, done.stderr
        assert done.stderr.count(f"failed  ok/{first.name}: not an image") == 1
        json.loads(done.stdout)


def test_compare_says_what_it_needs(place: Path) -> None:
    for arguments, said in (
        ((1,), "name two at least"),
        ((1, "resnet50"), "'resnet50' is no number"),
        ((1, 99), "no evaluation 99"),
        (("a", "b", "--data", place), "which line"),
    ):
        done = run("compare", *arguments)
        assert done.exit_code == 2 and said in " ".join(done.stderr.split())


def test_thresholds_by_promise_by_cost_and_given(place: Path) -> None:
    sure = json.loads(run("operating-point", 1, "--escapes", "2%", "--json").stdout)
    assert sure["escapes"]["value"] < 0.02 and "We are 95 % sure" in sure["promise"]
    average = json.loads(
        run("operating-point", 1, "--escapes", 0.02, "--on-average", "--overkills", "3 %",
            "--json").stdout
    )  # fmt: skip
    assert average["policy"]["accept_below"] > sure["policy"]["accept_below"]
    costs = ("--cost-escape", 500, "--cost-overkill", 20, "--cost-review", 2, "--defect-rate", "3%")
    cheapest = json.loads(run("operating-point", 1, *costs, "--json").stdout)
    given = json.loads(
        run("operating-point", 1, *costs, "--accept-below", 0.5, "--reject-above", 0.5,
            "--json").stdout
    )  # fmt: skip
    assert given["policy"]["accept_below"] == 0.5
    assert cheapest["cost"]["value"] < given["cost"]["value"]
    told = run("operating-point", 1, *costs).stdout
    assert "Expected cost per 1000 parts" in told and "escapes" in told


def test_the_choice_is_put_in_force_with_who_and_why(place: Path, store: Store) -> None:
    refused = run("operating-point", 1, "--escapes", "2%", "--put-in-force")
    assert refused.exit_code == 2 and "needs a reason" in refused.stderr
    asked = (
        "--escapes",
        "2%",
        "--put-in-force",
        "--who",
        "Ada",
        "--why",
        "customer asks",
        "--json",
    )
    done = json.loads(run("operating-point", 1, *asked).stdout)
    with store.reading() as session:
        row = history(session, "casting", "resnet50")[0]
        told = session.query(AuditRow).filter(AuditRow.what == "policy saved").all()
    assert row.content == done["policy"]
    assert (row.who, row.why, told[-1].who) == ("Ada", "customer asks", "Ada")
    now = json.loads(run("operating-point", 1, "--json").stdout)
    assert now["policy"] == done["policy"], "it is what everything is judged by"


def test_what_cannot_be_promised_or_answered_is_said(place: Path, store: Store) -> None:
    costs = ("--cost-escape", 5, "--cost-overkill", 2, "--cost-review", 1, "--defect-rate", "3%")
    for arguments, said in (
        ((1, "--escapes", "0.01%"), "Not enough groups to promise this"),
        ((1, "--escapes", "many"), "'many': give a share"),
        ((1, "--cost-escape", 3), "costs need all four"),
        ((1, *costs, "--cost-escape", "inf"), "inf is no number to reckon with"),
        ((1, *costs, "--cost-review", "nan"), "greater than or equal to 0"),
        ((1, *costs, "--cost-overkill", 1e300), "a cost below 0 or above all measure"),
        ((1, *costs, "--cost-overkill", -1), "greater than or equal to 0"),
        ((1, *costs, "--defect-rate", "nan"), "'nan': a share lies between"),
        ((1, "--accept-below", "nan"), "less than or equal to 1"),
        ((1, "--accept-below", 0.9, "--reject-above", 0.1), "(0.9) must not exceed reject_above"),
        ((), "either a kept evaluation"),
        (("x",), "'x' is no number"),
    ):
        done = run("operating-point", *arguments)
        shown = " ".join(done.stderr.replace("│", " ").split())
        assert done.exit_code == 2 and said in shown and "pydantic" not in shown
    loaded = load_bundle(place / "weights", "casting")
    with store.session() as session:
        number = add_evaluation(session, loaded, LabelledSet(path="x"), unproven("Ada")).id
    finish(store, number, made_up(LINES["casting"], 30, version="of a bundle before"))
    done = run("operating-point", number)
    assert done.exit_code == 2 and "Evaluate it again" in done.stderr


@pytest.mark.parametrize(
    ("text", "share"), [("1%", 0.01), ("2.5 %", 0.025), ("0.1", 0.1), ("0", 0.0), ("100%", 1.0)]
)
def test_shares_as_people_type_them(text: str, share: float) -> None:
    assert share_of(text) == pytest.approx(share)
    for wrong in ("", "-1%", "200%", "a%"):
        with pytest.raises(ValueError, match="share"):
            share_of(wrong)
