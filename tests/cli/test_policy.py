"""Verdicts on the command line follow the policy that the pages follow, and say which it was."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.cli.main import app
from defectvision.data.synthetic.samples import draw, write_samples
from defectvision.people import unproven
from defectvision.store.database import open_store
from defectvision.store.policies import save

ACCEPTS_ALL = Policy(accept_below=1.0, reject_above=1.0)


@pytest.fixture
def place(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for the store, and a defective part beside it."""
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DEFECTVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(weights))
    part = draw("casting", "def", np.random.default_rng(0), 300)
    cv2.imwrite(str(tmp_path / "part.png"), part)
    return tmp_path


def save_for_everyone(place: Path, weights: Path) -> None:
    """As the button on the Results page does it."""
    own = load_bundle(weights, "casting").bundle.policy
    with open_store(place / "store").session() as session:
        save(session, "casting", "resnet50", ACCEPTS_ALL, unproven("Anna"), "a trial", own)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def inspected(place: Path, *options: object) -> tuple[str, str]:
    """The verdict on the part, and what was said beside it."""
    done = run("inspect", place / "part.png", "--line", "casting", "--json", *options)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["verdict"], done.stderr


def test_without_a_store_the_bundle_s_policy_is_used_and_none_is_made(place: Path) -> None:
    verdict, words = inspected(place)
    assert verdict == "reject" and "bundle" in words
    assert not (place / "store").exists()


def test_inspect_follows_the_policy_saved_for_everyone(place: Path, weights: Path) -> None:
    save_for_everyone(place, weights)
    verdict, words = inspected(place)
    assert verdict == "accept"
    assert "policy 1" in words and "Anna" in words


def test_the_bundle_s_own_policy_can_be_asked_for(place: Path, weights: Path) -> None:
    save_for_everyone(place, weights)
    verdict, words = inspected(place, "--policy", "bundle")
    assert verdict == "reject" and "Anna" not in words


def test_a_policy_from_a_file_is_used(place: Path) -> None:
    (place / "mine.json").write_text(ACCEPTS_ALL.model_dump_json())
    verdict, words = inspected(place, "--policy", place / "mine.json")
    assert verdict == "accept" and "mine.json" in words


def test_thresholds_given_beside_move_the_policy_in_force(place: Path, weights: Path) -> None:
    save_for_everyone(place, weights)
    thresholds = ("--accept-below", 0, "--reject-above", 0)
    assert inspected(place, *thresholds)[0] == "reject"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("no policy", "invalid json"),
        ('{"accept_below": 0.1}' + " " * (1 << 20), "larger than 1024 kB"),
        ('{"accept_below": 2}', "accept_below"),
        ('{"accept_under": 0.1}', "accept_under"),
        ('{"accept_below": 0.9, "reject_above": 0.1}', "must not exceed"),
    ],
)
def test_a_file_that_holds_no_policy_is_refused_by_name(
    place: Path, content: str | None, reason: str
) -> None:
    if content is not None:
        (place / "odd.json").write_text(content)
    done = run("inspect", place / "part.png", "--line", "casting", "--policy", place / "odd.json")
    said = " ".join(done.stderr.split())
    assert done.exit_code == 2 and reason in said and "odd.json" in said.replace(" ", "")


def test_a_policy_without_an_end_fills_no_memory(place: Path) -> None:
    done = run("inspect", place / "part.png", "--line", "casting", "--policy", "/dev/zero")
    assert done.exit_code == 2 and "/dev/zero: cannot be read (not an ordinary" in done.stderr


def test_a_batch_s_file_follows_the_policy_saved_for_everyone(place: Path, weights: Path) -> None:
    save_for_everyone(place, weights)
    verdicts = []
    for options in ((), ("--policy", "bundle")):
        out = place / "results.csv"
        done = run("batch", place / "part.png", "--line", "casting", "--out", out, *options)
        assert done.exit_code == 0, done.output
        with out.open(encoding="utf-8-sig", newline="") as file:
            verdicts += [row["verdict"] for row in csv.DictReader(file)]
    assert verdicts == ["accept", "reject"]


def test_a_kept_batch_takes_no_policy_of_its_own(place: Path) -> None:
    done = run("batch", place / "part.png", "--line", "casting", "--db", "--policy", "bundle")
    assert done.exit_code == 2 and "in force" in done.stderr


@pytest.mark.slow
def test_evaluate_measures_under_the_policy_saved_for_everyone(place: Path, weights: Path) -> None:
    save_for_everyone(place, weights)
    write_samples("casting", place / "labelled", per_class=3, seed=2)
    policies = []
    for options in ((), ("--policy", "bundle")):
        done = run(
            "evaluate", "--data", place / "labelled", "--line", "casting", "--json", *options
        )
        assert done.exit_code == 0, done.output
        answer = json.loads(done.stdout)
        policies.append(answer["policy"])
        if not options:
            assert answer["metrics"]["escapes"]["value"] == 1  # it accepts every defect
    assert Policy.model_validate(policies[0]) == ACCEPTS_ALL
    assert Policy.model_validate(policies[1]) != ACCEPTS_ALL
