"""From a labelled set to a bundle: what is learned how, what came of it, and what it is worth."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

import streamlit as st
import yaml

from defectvision.batch.evaluation_start import start_evaluation
from defectvision.bundle.reader import BundleError, read_line
from defectvision.bundle.schema import LINE_FILE
from defectvision.data.roots import NotAllowedError
from defectvision.people import Action, Person
from defectvision.settings import ROOT, settings
from defectvision.store import labelling
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import (
    LabelledSet,
    State,
    get_evaluation,
    list_evaluations,
    state_of,
)
from defectvision.store.tables import EvaluationRow, LabelledSetRow
from defectvision.web.choices import bundle_names, loaded_bundle
from defectvision.web.lines.default import make_default
from defectvision.web.links import LINES, NEW_LINE, PAGES
from defectvision.web.new_line.form import runs_folder
from defectvision.web.new_line.progress import in_words
from defectvision.web.new_line.runs import Look, Run, every_run, new_run
from defectvision.web.new_line.runs import State as RunState
from defectvision.web.new_line.training import (
    TrainingError,
    lacks_torch,
    look_at,
    start_teaching,
    without_torch,
)
from defectvision.web.new_line.words import STATES
from defectvision.web.session.people import acting, lacking
from defectvision.words import counted, plain

QUICK = "Quick"  # learns no masks, and is quick at twice the detail, too
# What is chosen, and how it changes the recipe; the time is what it takes on two cores.
EFFORTS: dict[str, tuple[str, dict[str, object]]] = {
    QUICK: (
        "a first look in a minute or two, from labels alone: what an encoder knows already is "
        "weighed, nothing is taught to it",
        {"frozen": True, "pooling": "mean", "epochs": 1},
    ),
    "Usual": ("good for most sets", {"epochs": 15}),
    "Thorough": (
        "five times as long: each image is also judged by a model that has not seen its part",
        {"epochs": 20, "split": {"folds": 5}},
    ),
}
# How many times the recipe's side the network sees of an image; time grows with its square.
FINE = {"Usual": 1, "Fine": 2}
LABELS, MASKS = "efficientnet_lite0", "joint_efficientnet_lite0"
# Images that an epoch looks at, at least: a small set is gone through several times, each varied.
LEAST_SEEN = 200
MOST_LISTED = 8
LOOK_SECONDS = 2.0  # between two looks at what runs


def teaching(store: Store, row: LabelledSetRow, person: Person) -> None:
    """What can be learned now, and what was learned from the set so far."""
    if said := lacking(person, Action.TEACH):
        st.info(said, icon=":material/badge:")
    else:
        left, right = st.columns([7, 4], gap="large")
        with right:
            held = _held_back(store, row)
        with left:
            _form(store, row, held)
    _learned(store, row, person)


def _held_back(store: Store, row: LabelledSetRow) -> int:
    """How many images are kept for measuring, and the way to keep some."""
    with store.reading() as session:
        rows = labelling.images_of(session, row.id, labelled=True)
    held = sum(one.held for one in rows)
    with st.container(border=True):
        st.metric("To learn from", f"{len(rows) - held:,}")
        st.metric("Held back for measuring", f"{held:,}")
        st.caption(
            "Two bundles are compared on images that neither has learned from. What is held back "
            "stays so, also when more images come."
        )
        if st.button("Hold back a fifth of each class", icon=":material/lock:", disabled=not rows):
            with store.session() as session:
                labelling.hold_back(session, row.id, acting())
            st.rerun()
    return held


def _form(store: Store, row: LabelledSetRow, held: int) -> None:
    if lacks_torch():
        words = without_torch(row.line, labelled=True)
        st.info(plain(f"{words}. The set is under **Hand over**."), icon=":material/terminal:")
        return
    with store.reading() as session:
        images = labelling.images_of(session, row.id, labelled=True)
    drawn = any(one.masks for one in images)
    longest = max((max(one.width, one.height) for one in images), default=0)
    effort = st.segmented_control(
        "How long", list(EFFORTS), default="Usual", required=True, key=f"teach-effort-{row.id}"
    )
    st.caption(EFFORTS[effort][0].capitalize())
    masks = (
        drawn
        and effort != QUICK
        and st.toggle(
            "Learn where defects are, too",
            value=True,
            key=f"teach-masks-{row.id}",
            help="From what was drawn: the bundle outlines and measures defects.",
        )
    )
    name = MASKS if masks else LABELS
    fine = _fineness(row, name, effort, longest)
    taken = bundle_names(row.line) if (settings().weights / row.line).is_dir() else []
    bundle = st.text_input("Name of the bundle", _free_name(taken), max_chars=60).strip()
    recipe = recipe_of(name, effort, row.label_mode, FINE[fine], len(images) - held)
    with st.expander("Recipe", icon=":material/tune:"):
        recipe = st.text_area(
            "Recipe as YAML",
            recipe,
            height=320,
            key=f"teach-recipe-{row.id}-{effort}-{masks}-{fine}",
            label_visibility="collapsed",
        )
    if not held:
        st.caption("Nothing is held back yet: without, two bundles cannot be compared fairly.")
    if not st.button("Train", type="primary", icon=":material/model_training:"):
        return
    try:
        run = new_run(runs_folder())
        start_teaching(store, run, row.id, bundle, recipe, settings().weights, acting())
    except (TrainingError, StoreError, OSError) as error:
        st.error(plain(str(error)), title="Not started", icon=":material/error:")
        return
    st.switch_page(LINES, query_params={NEW_LINE: run.id})


def _fineness(row: LabelledSetRow, recipe: str, effort: str, longest: int) -> str:
    """How much of the images' detail is learned from, and what is lost of it. longest: side, px."""
    side = side_of(recipe)
    if longest <= side:
        return "Usual"
    fine = st.segmented_control(
        "How fine",
        list(FINE),
        default="Fine" if effort == QUICK else "Usual",
        required=True,
        key=f"teach-fine-{row.id}-{effort == QUICK}",
        help="Fine sees smaller defects; learning and inspecting take about four times as long.",
    )
    seen = FINE[fine] * side
    if longest > seen:
        st.caption(
            f"Images of {longest:,} px are shrunk to {seen:,} px: what is 20 px wide in them "
            f"is {20 * seen / longest:.0f} px wide then."
        )
    return fine


@lru_cache
def recipe_of(name: str, effort: str, mode: str, fine: int, images: int) -> str:
    """The recipe of that name with what the effort, the detail (a factor on its input's sides), the
    kind of labels and the number of images to learn from change, as YAML."""
    content = _recipe(name) | EFFORTS[effort][1]
    cut = content["preprocessing"]
    content["preprocessing"] = cut | {side: fine * cut[side] for side in ("height", "width")}
    if effort != QUICK and images < LEAST_SEEN:
        content["samples_per_epoch"] = LEAST_SEEN
    if name == MASKS and fine > 1:
        # What is drawn says what a part of the picture shows, so that no step costs more.
        content["augmentation"] |= {"crop": 1 / fine, "on_defect": 0.7}
    if name == MASKS and mode == "multilabel":
        content["options"] = {"weighing": "sigmoid"}
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)


def side_of(recipe: str) -> int:
    """Of the network's square input, in px."""
    side: int = _recipe(recipe)["preprocessing"]["height"]
    return side


def _recipe(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "recipes" / f"{name}.yaml").read_text("utf-8"))
    return content


def _free_name(taken: list[str]) -> str:
    """The day, and a number where the day has one already."""
    day = f"{datetime.now():%Y-%m-%d}"
    names = (day, *(f"{day}-{number}" for number in range(2, 100)))
    return next(name for name in names if name not in taken)


def _learned(store: Store, row: LabelledSetRow, person: Person) -> None:
    """The trainings from the set, the newest first, each with what it is worth."""
    runs = [(run, look_at(run)) for run in every_run(runs_folder())]
    own = [(run, look) for run, look in runs if look.order and look.order.labelled_set == row.id]
    if not own:
        return
    st.subheader("Learned from this set", divider="gray")
    for run, look in own[:MOST_LISTED]:
        with st.container(border=True, key=f"learned-{run.id}"):
            _one(store, run, look, person)


def _one(store: Store, run: Run, look: Look, person: Person) -> None:
    order = look.order
    if order is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        started = f"{order.started.astimezone():%Y-%m-%d %H:%M}"
        st.markdown(
            plain(f"{order.bundle} {STATES[look.state]} · {order.who}, {started}"), width="stretch"
        )
        if st.button("Open", key=f"open-{run.id}", icon=":material/open_in_new:"):
            st.switch_page(LINES, query_params={NEW_LINE: run.id})
    if look.state is RunState.RUNNING:
        st.caption(in_words(look))
    if look.state is RunState.DONE and look.outcome is not None:
        st.caption(plain(look.outcome.promise))
        _compare(store, run, order.line, order.bundle, person)


def _compare(store: Store, run: Run, line: str, bundle: str, person: Person) -> None:
    """The candidate beside the bundle in force, on the images held back; then the way to make it
    the default."""
    if not (settings().weights / line / LINE_FILE).is_file() or bundle not in bundle_names(line):
        st.caption("This bundle was removed.")
        return
    known = read_line(settings().weights / line)
    if known.default_bundle == bundle:
        st.badge("Default bundle of the line", icon=":material/star:", color="blue")
    if not (run.held / "images").is_dir():
        st.caption("No image was held back, so it cannot be compared with another bundle.")
        return
    both = [bundle, *([known.default_bundle] if known.default_bundle != bundle else [])]
    done = {name: _evaluation(store, run, line, name) for name in both}
    with st.container(horizontal=True, vertical_alignment="center"):
        if all(one is None for one in done.values()):
            held = sum(1 for _ in (run.held / "images").rglob("*.*"))
            words = f"Measure on {counted(held, 'held-back image')}"
            if not lacking(person, Action.TEACH) and st.button(
                words, key=f"measure-{run.id}", icon=":material/fact_check:", type="primary"
            ):
                _measure(store, run, line, both, f"{known.title}, images held back")
            return
        for name, row in done.items():
            if row is not None:
                st.page_link(
                    PAGES / "evaluate.py",
                    label=plain(f"{name}: {_words(store, row)}"),
                    icon=":material/fact_check:",
                    query_params={"evaluation": str(row.id)},
                )
        waiting = [row.id for row in done.values() if row is not None and _runs(store, row.id)]
        if waiting:
            st.fragment(_until_done, run_every=LOOK_SECONDS)(store, waiting)
        mine = done[bundle]
        if mine is not None and mine.state == State.DONE and known.default_bundle != bundle:
            make_default(known, bundle, store, person)


def _until_done(store: Store, numbers: list[int]) -> None:
    """Draw the page anew when the evaluations have ended."""
    if not any(_runs(store, number) for number in numbers):
        st.rerun()


def _runs(store: Store, number: int) -> bool:
    with store.reading() as session:
        return state_of(session, get_evaluation(session, number)) is State.RUNNING


def _words(store: Store, row: EvaluationRow) -> str:
    with store.reading() as session:
        state = state_of(session, row)
    if state is not State.DONE:
        return str(state)
    values = row.summary.get("metrics", {}).get("values", {})
    told = [
        f"{title} {100 * found['value']:.1f} %"
        for key, title in (("escapes", "escapes"), ("overkills", "overkill"), ("reviews", "review"))
        if (found := values.get(key)) and found.get("value") is not None
    ]
    return ", ".join(told) or "done"


def _evaluation(store: Store, run: Run, line: str, bundle: str) -> EvaluationRow | None:
    """The last one of that bundle on the run's images held back."""
    with store.reading() as session:
        for row in list_evaluations(session, line, bundle):
            if row.source.get("path") == str(run.held.resolve()):
                return row
    return None


def _measure(store: Store, run: Run, line: str, bundles: list[str], title: str) -> None:
    try:
        for name in bundles:
            source = LabelledSet(path=str(run.held.resolve()), title=title)
            loaded = loaded_bundle(line, name)
            start_evaluation(store, loaded, source, [run.folder.resolve()], acting())
    except (BundleError, NotAllowedError, StoreError, OSError) as error:
        st.error(plain(str(error)), title="Not started", icon=":material/error:")
        return
    st.rerun()
