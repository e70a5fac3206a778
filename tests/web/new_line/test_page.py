"""What the Lines page shows of a run that has ended, and what its buttons do."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from defectvision.bundle.reader import list_bundles, read_line
from defectvision.limits import PIXELS
from defectvision.people import Role, in_role
from defectvision.settings import ROOT, settings
from defectvision.store.bundles import switches
from defectvision.store.database import open_store
from defectvision.web.links import NEW_LINE
from defectvision.web.new_line import training
from defectvision.web.new_line.photographs import Intake
from defectvision.web.new_line.runs import Run, State, new_run
from defectvision.web.new_line.training import look_at, start_training
from tests.stand_ins.castings import casting
from tests.stand_ins.good_parts import in_the_way

pytestmark = pytest.mark.slow

TITLE, NAME, PARTS = "Pump housings, left", "pump-housings-left", 22
BUNDLE = "memory_efficientnet_lite0"
Started = Callable[..., Run]


def end(run: Run) -> None:
    if ours := training._ours.get(run.folder):
        assert ours.ended.wait(180)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """Has a line learned by the stand-in, which is told how, and waits for its end."""
    (tmp_path / "weights").mkdir()
    for name in ("weights", "store", "cache"):
        monkeypatch.setenv(f"DEFECTVISION_{name.upper()}", str(tmp_path / name))
    settings.cache_clear()
    store = open_store(tmp_path / "store")

    def start(**how: object) -> Run:
        for name, value in in_the_way(**how).items():
            monkeypatch.setenv(name, value)
        run = new_run(tmp_path / "store" / "new-lines")
        files = [(f"IMG_{i}.png", casting("ok", i)) for i in range(PARTS)]
        Intake(files).take_in(run, PIXELS, lambda _done: None)
        anna = in_role("anna", Role.ENGINEER)
        start_training(store, run, TITLE, None, [], tmp_path / "weights", anna)
        end(run)
        return run

    yield start
    for ours in list(training._ours.values()):
        ours.kill()
        assert ours.ended.wait(20)


def page(run: Run | None = None) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "lines.py"), default_timeout=60)
    if run is not None:
        app.query_params[NEW_LINE] = run.id
    return shown(app)


def shown(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception
    return app


def says(app: AppTest) -> str:
    """The page's words, of the titles of its messages too."""
    parts = (*app.error, *app.warning, *app.success, *app.markdown, *app.caption)
    return "\n".join(str(part.proto) for part in parts).replace("\\", "")


def click(app: AppTest, label: str) -> AppTest:
    (button,) = (one for one in app.button if one.label.replace("\\", "") == label)
    assert not button.disabled
    button.click()
    return shown(app)


def test_a_refusal_is_said_and_its_photographs_are_kept_for_another_try(started: Started) -> None:
    words = "only 12 different parts. Add photographs of other parts"
    run = started(refuse=f"{hashlib.sha256(casting('ok', 7)).hexdigest()[:20]}.png: {words}")
    app = page(run)
    assert "No line was made" in says(app) and f"IMG_7.png: {words}" in says(app)
    assert "Try again" not in {one.label for one in app.button}
    click(app, "Change and start again")
    assert look_at(run).state is State.DRAFT
    assert [one.value for one in app.metric] == [str(PARTS)]
    assert TITLE in [field.value for field in app.text_input]


def test_a_suspect_is_shown_and_left_out(started: Started) -> None:
    run = started()
    app = page(run)
    for words in ("The line is ready", "1 photograph lies far from the rest",
                  "Three times as far as the others", "IMG_"):  # fmt: skip
        assert words in says(app)
    assert not any(file in says(app) for file in run.photographs().names)
    again = "Learn again without the marked ones"
    assert next(one for one in app.button if one.label == again).disabled
    (mark,) = app.checkbox
    mark.check()
    click(shown(app), again)
    end(run)
    shown(app)
    assert f"{PARTS - 1} photographs of good parts" in says(app)
    assert "The bundle is ready" in says(app)


def test_what_is_learned_anew_stands_beside_what_is_in_force_until_somebody_switches(
    started: Started, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = started()
    line = tmp_path / "weights" / NAME
    files = sorted(line.rglob("*"))
    before = {file: file.read_bytes() for file in files if file.is_file()}
    app = click(page(run), "Change and start again")
    assert f"becomes its bundle `{BUNDLE}-2`" in "".join(one.value for one in app.info)
    assert "Session State API" not in caplog.text  # two sources of one widget's value
    click(app, "Start learning")
    end(run)
    shown(app)
    assert {file: file.read_bytes() for file in before} == before
    assert list_bundles(line) == [BUNDLE, f"{BUNDLE}-2"]
    assert "The bundle is ready" in says(app) and "The line is ready" not in says(app)
    (told,) = (one.value.replace("\\", "") for one in app.info)
    assert f"**{BUNDLE}** stays in force" in told and f"**{BUNDLE}-2**" in told
    (reason,) = (one for one in app.text_input if one.label == "Reason")
    reason.input("without the dusty ones")
    next(one for one in app.text_input if one.label == "Your name").input("Ada")
    click(shown(app), "Switch")
    assert read_line(line).default_bundle == f"{BUNDLE}-2"
    assert "The line is ready" in says(app) and not app.info
    with open_store(tmp_path / "store").reading() as session:
        (switch,) = switches(session, NAME)
    assert (switch.before, switch.after) == (BUNDLE, f"{BUNDLE}-2")
    assert (switch.who, switch.why) == ("Ada", "without the dusty ones")


def test_a_run_that_the_end_of_the_server_cut_off_goes_on(started: Started, tmp_path: Path) -> None:
    run = started()
    (run.folder / "end.json").unlink()  # which nobody has written then
    shutil.rmtree(tmp_path / "weights" / NAME)
    app = click(page(), f"{TITLE}, bundle {BUNDLE} was cut off")
    assert "The server ended while this line was learned" in says(app)
    click(app, "Go on")
    end(run)
    assert "The line is ready" in says(shown(app))
