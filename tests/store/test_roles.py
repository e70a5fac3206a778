"""Nobody does what their role does not allow, whichever page, route or command asks."""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import func, select

from defectvision.batch.again import start_batch_again
from defectvision.batch.evaluation_start import start_again, start_evaluation
from defectvision.batch.remembering import remember_parts
from defectvision.batch.start import BatchRequest, start_batch
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import BundleError, load_bundle
from defectvision.inference.parcel import ParcelError
from defectvision.limits import Limits
from defectvision.people import GUARDED, MAY, Action, NotAllowedError, Person, Role, in_role
from defectvision.report.release import release_lot
from defectvision.settings import ROOT
from defectvision.store import (
    accounts,
    batches,
    bundles,
    evaluations,
    labelling,
    policies,
    releases,
    retention,
    reviews,
    tokens,
)
from defectvision.store.batches import State
from defectvision.store.database import Store
from defectvision.store.dropped import confirm_removal
from defectvision.store.errors import StoreError
from defectvision.store.results import Results
from defectvision.store.sources import Uploads
from defectvision.store.tables import (
    AccountRow,
    AuditRow,
    EvaluationRow,
    LabelledImageRow,
    LabelRow,
    ReviewRow,
    TokenRow,
    now,
)
from defectvision.web.inspect.intake import inspect_pending
from defectvision.web.new_line.runs import Run, new_run
from defectvision.web.new_line.training import (
    TrainingError,
    cancel,
    change,
    go_on,
    remove,
    start_teaching,
    start_training,
)
from defectvision.web.session.work import Work
from tests.stand_ins.bundles import LINES
from tests.stand_ins.stores import fill, new_store

ADMIN = in_role("root", Role.ADMIN)
WORD = "a password of a test"
PNG = cv2.imencode(".png", np.eye(40, dtype=np.uint8) * 255)[1].tobytes()
TABLES = (AuditRow, ReviewRow, AccountRow, TokenRow, EvaluationRow, LabelledImageRow, LabelRow)

# Every guarded function, called as its callers call it: (store, weights, who) -> anything.
Act = Callable[[Store, Path, Person], Any]


def in_session(what: Callable[..., Any]) -> Act:
    def act(store: Store, weights: Path, who: Person) -> Any:
        with store.session() as session:
            return what(session, who)

    return act


def decide_and_undo(session: Any, who: Person) -> None:
    session.add(
        ReviewRow(
            id=77, inspection_id=2, who=who.name, decision="accept", label="ok", policy={},
            model_verdict="accept",
        )
    )  # fmt: skip
    session.flush()
    reviews.undo(session, 77, who)


def own_password(session: Any, who: Person) -> None:
    hers = in_role("someone", Role.VIEWER)
    accounts.change_password(session, Person("someone", who.actions, who.title), WORD, WORD + "!")
    assert hers.may(Action.LOOK)


def run_of(bundle: str = "casting") -> Callable[[Path], Any]:
    return lambda weights: load_bundle(weights, bundle)


def add(store: Store, weights: Path, who: Person) -> Any:
    with store.session() as session:
        return batches.add_batch(session, load_bundle(weights, "casting"), Uploads(), "lot", who)


def start(store: Store, weights: Path, who: Person) -> Any:
    loaded = load_bundle(weights, "casting")
    return start_batch(store, loaded, BatchRequest("lot", [("a.png", b"no image")]), [], who)


def release(store: Store, weights: Path, who: Person) -> Any:
    results = Results.open(store, 1)
    loaded = load_bundle(weights, "casting")
    policy, seen = results.policy_of_today(), results.said_so_far()
    return release_lot(results, loaded, policy, seen, 10**6, who, "shipped")


def evaluate(store: Store, weights: Path, who: Person) -> int:
    loaded = load_bundle(weights, "casting")
    with store.session() as session:
        return evaluations.add_evaluation(
            session, loaded, evaluations.LabelledSet(path="a"), who
        ).id


def on_evaluation(what: Callable[..., Any], state: State = State.RUNNING) -> Act:
    """On the one that the fixture `store` has, in that state."""

    def act(store: Store, _weights: Path, who: Person) -> None:
        with store.session() as session:
            evaluations.get_evaluation(session, 1).state = state
            what(session, 1, who)

    return act


def restore(store: Store, weights: Path, who: Person) -> None:
    loaded = load_bundle(weights, "casting")
    with store.session() as session:
        policies.restore(session, loaded, None, who, "why", loaded.bundle.policy)


def refused(what: Callable[[], Any]) -> None:
    """What is asked for cannot be, which is said to who may ask."""
    with suppress(BundleError, ParcelError):
        what()


def starting(what: Act) -> Act:
    """With images that are not there, or on one that runs, which is said to who may."""

    def act(store: Store, weights: Path, who: Person) -> None:
        with suppress(StoreError):
            what(store, weights, who)

    return act


def training(what: Callable[[Store, Run, Path, Person], Any]) -> Act:
    """On a run that nobody has ordered and that has no photographs, which is said to who may."""

    def act(store: Store, weights: Path, who: Person) -> None:
        with suppress(TrainingError):
            what(store, new_run(store.folder / "new-lines"), weights, who)

    return act


ACTS: dict[Callable[..., Any], Act] = {
    reviews.decide: in_session(lambda s, who: reviews.decide(s, 1, who, "accept", Policy())),
    reviews.undo: in_session(decide_and_undo),
    policies.save: in_session(
        lambda s, who: policies.save(s, "casting", "resnet50", Policy(), who, "why", Policy())
    ),
    policies.restore: restore,
    bundles.switch_default: lambda store, weights, who: refused(
        lambda: bundles.switch_default(store, weights, "casting", "resnet50", who, "why", "other")
    ),
    bundles.export_bundle: lambda store, weights, who: bundles.export_bundle(
        store, load_bundle(weights, "casting"), who
    ),
    bundles.import_bundle: lambda store, weights, who: refused(
        lambda: bundles.import_bundle(store, BytesIO(), weights, who)
    ),
    batches.add_batch: add,
    batches.move: in_session(lambda s, who: batches.move(s, 2, State.PAUSED, who)),
    start_batch: start,
    retention.delete_batch: in_session(lambda s, who: retention.delete_batch(s, 1, who, "a trial")),
    releases.begin: in_session(lambda s, who: releases.begin(s, 1, who, "why", "")),
    release_lot: release,
    confirm_removal: lambda store, _weights, who: confirm_removal(store, who, "the disk is full"),
    accounts.add_account: in_session(
        lambda s, who: accounts.add_account(s, who, "new", Role.VIEWER, WORD)
    ),
    accounts.set_role: in_session(
        lambda s, who: accounts.set_role(s, who, "someone", Role.ENGINEER)
    ),
    accounts.set_password: in_session(
        lambda s, who: accounts.set_password(s, who, "someone", WORD)
    ),
    accounts.change_password: in_session(own_password),
    accounts.end_account: in_session(lambda s, who: accounts.end_account(s, who, "someone")),
    tokens.make_token: in_session(
        lambda s, who: tokens.make_token(s, who, "mes", [Action.LOOK], 1)
    ),
    tokens.end_token: in_session(lambda s, who: tokens.end_token(s, who, "old")),
    evaluations.add_evaluation: evaluate,
    evaluations.begin_again: on_evaluation(
        lambda s, number, who: evaluations.begin_again(s, number, who), State.FAILED
    ),
    evaluations.cancel: on_evaluation(lambda s, number, who: evaluations.cancel(s, number, who)),
    evaluations.delete_evaluation: on_evaluation(
        lambda s, number, who: evaluations.delete_evaluation(s, number, who, "old"), State.DONE
    ),
    start_evaluation: starting(
        lambda store, weights, who: start_evaluation(
            store,
            load_bundle(weights, "casting"),
            evaluations.LabelledSet(path=str(store.folder / "nothing")),
            [store.folder],
            who,
        )
    ),
    remember_parts: starting(
        lambda store, weights, who: remember_parts(
            store, load_bundle(weights, "casting"), [99], who, Limits()
        )
    ),
    start_batch_again: starting(
        lambda store, weights, who: start_batch_again(
            store, load_bundle(weights, "casting"), 2, None, who
        )
    ),
    start_again: starting(lambda store, weights, who: start_again(store, weights, 1, who)),
    labelling.new_set: in_session(
        lambda s, who: labelling.new_set(
            s, "caps", "caps", LINES["casting"].classes, "multiclass", who
        )
    ),
    labelling.add_class: starting(
        in_session(lambda s, who: labelling.add_class(s, 1, LINES["casting"].classes[1], who))
    ),
    labelling.end_set: in_session(lambda s, who: labelling.end_set(s, 1, who, "done")),
    labelling.add_images: lambda store, _weights, who: labelling.add_images(
        store, 1, [labelling.Given("a.png", PNG)], 10**6, who
    ),
    labelling.say: lambda store, _weights, who: labelling.say(store, 1, ["ok"], {}, who),
    labelling.remove_images: in_session(lambda s, who: labelling.remove_images(s, [1], who)),
    labelling.hold_back: in_session(lambda s, who: labelling.hold_back(s, 1, who)),
    inspect_pending: lambda _store, weights, who: inspect_pending(
        Work(), load_bundle(weights, "casting"), who
    ),
    start_training: training(
        lambda store, run, weights, who: start_training(store, run, "Pumps", None, [], weights, who)
    ),
    start_teaching: training(
        lambda store, run, weights, who: start_teaching(store, run, 1, "b", "x", weights, who)
    ),
    go_on: training(lambda store, run, weights, who: go_on(store, run, weights, who)),
    cancel: training(lambda _store, run, _weights, who: cancel(run, who)),
    change: training(lambda _store, run, _weights, who: change(run, who)),
    remove: training(lambda _store, run, _weights, who: remove(run, who)),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A finished batch, one that is worked on, an account, a token."""
    made = new_store(tmp_path)
    fill(made, LINES["casting"], 4)
    fill(made, LINES["casting"], 4)
    with made.session() as session:
        batches.get_batch(session, 2).state = State.RUNNING
        accounts.add_account(session, ADMIN, "root", Role.ADMIN, WORD)
        accounts.add_account(session, ADMIN, "someone", Role.VIEWER, WORD)
        tokens.make_token(session, ADMIN, "old", [Action.LOOK], 1)
        session.add(
            EvaluationRow(
                line="casting", bundle="resnet50", bundle_version="0" * 12, data="a set",
                source={"kind": "set", "path": "a"}, state=State.RUNNING, who="root", alive=now(),
            )
        )  # fmt: skip
        labelling.new_set(session, "pumps", "pumps", LINES["casting"].classes, "multiclass", ADMIN)
        session.add(
            LabelledImageRow(set_id=1, digest="ab" * 32, name="a", height=9, width=9, who="root")
        )
    return made


def content(store: Store) -> list[int]:
    """What a forbidden act could leave behind."""
    with store.reading() as session:
        return [session.scalar(select(func.count()).select_from(table)) or 0 for table in TABLES]


def test_every_guarded_function_is_tried() -> None:
    for module in {name.rsplit(".", 1)[0] for name in GUARDED}:
        import_module(module)
    assert {f"{f.__module__}.{f.__qualname__}" for f in ACTS} == set(GUARDED)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("function", ACTS, ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_each_role_does_what_it_may_and_nothing_else(function, role, store, weights) -> None:
    who, action = in_role("eve", role), GUARDED[f"{function.__module__}.{function.__qualname__}"]
    before = content(store)
    if action in MAY[role]:
        ACTS[function](store, weights, who)
        return
    with pytest.raises(NotAllowedError, match=f"eve \\({role}\\) may not"):
        ACTS[function](store, weights, who)
    assert content(store) == before


def test_roles_only_ever_add() -> None:
    roles = [MAY[role] for role in Role]
    assert all(less < more for less, more in pairwise(roles))
    assert roles[-1] == frozenset(Action)


def test_what_is_kept_under_a_persons_name_is_guarded() -> None:
    """Whatever writes into the audit trail or decides is guarded, or done by the store itself."""
    unguarded = set()
    for folder in ("store", "batch", "report", "web", "api", "cli"):
        for file in (ROOT / "defectvision" / folder).rglob("*.py"):
            if "migrations" in file.parts:
                continue
            for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(function, ast.FunctionDef):
                    continue
                made = {
                    call.func.id
                    for call in ast.walk(function)
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
                }
                kept = made & {"AuditRow", "ReviewRow", "PolicyRow", "ReleaseRow"}
                guards = [ast.unparse(d) for d in function.decorator_list]
                if kept and not any(guard.startswith("needs(") for guard in guards):
                    unguarded.add(function.name)
    # By the store: files removed, removal stopped, a jump of the clock. `finish` writes down the
    # release that `begin`, which is guarded, has made; `_told` tells of guarded changes.
    # `_put_rows` says that a backup was restored, by whom the machine lets write the store.
    by_the_store = {"remove_dropped", "_stand_still", "tick", "_put_rows"}
    assert unguarded <= by_the_store | {"finish", "_told"}, unguarded
