"""From a labelled set to a bundle: what is learned, and how."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st
import yaml

from defectvision.bundle.labels import DEVIATION
from defectvision.bundle.reader import BundleError
from defectvision.evaluation.seen import digests_of
from defectvision.inference.good_pictures import GoodPictures
from defectvision.people import Action, Person
from defectvision.report.taught_set import Labelled
from defectvision.settings import ROOT, settings
from defectvision.store import labelling
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import LabelledSetRow
from defectvision.web.choices import bundle_names
from defectvision.web.label.learned import learned
from defectvision.web.links import LINES, NEW_LINE
from defectvision.web.new_line.enough import LEAST_SHOWN, Known
from defectvision.web.new_line.form import KEEP, KEEP_HELP, runs_folder
from defectvision.web.new_line.naming import free_name
from defectvision.web.new_line.runs import new_run
from defectvision.web.new_line.training import (
    TrainingError,
    lacks_torch,
    start_teaching,
    without_torch,
)
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
GOOD_PARTS = "good_parts_named"
NAMES, CLASSES = "Remember good parts, and name known defects", "Tell the classes apart"
WAYS = {
    NAMES: "What is unlike the good parts is stopped, whether or not it has a name; a defect that "
    "has one is called by it.",
    CLASSES: "A network learns each class from its own images; what is like none of them may pass.",
}
# Images that an epoch looks at, at least: a small set is gone through several times, each varied.
LEAST_SEEN = 200


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
    learned(store, row, person)


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
            folder = _in_force(row.line)
            known = digests_of(folder) if folder else frozenset[str]()
            with store.session() as session:
                labelling.hold_back(session, row.id, acting(), learned=known)
            st.rerun()
    return held


def _in_force(line: str) -> Path | None:
    """The folder of the line's default bundle; None where there is none."""
    names = bundle_names(line) if (settings().weights / line).is_dir() else []
    return settings().weights / line / names[0] if names else None


def _form(store: Store, row: LabelledSetRow, held: int) -> None:
    if lacks_torch():
        words = without_torch(row.line, labelled=True)
        st.info(plain(f"{words}. The set is under **Hand over**."), icon=":material/terminal:")
        return
    labelled = Labelled.of(store, row.id, held=False)
    way = _way(row) if labelled.line.deviates else CLASSES
    said = ""
    if way == NAMES:
        known = Known.of(labelled)
        said = known.lacking()
        _what_is_known(known)
        recipe, key = _of_names(row, labelled)
    else:
        recipe, key = _of_classes(row, labelled)
    free = free_name(f"{datetime.now():%Y-%m-%d}", settings().weights / row.line)
    bundle = st.text_input("Name of the bundle", free, max_chars=60).strip()
    with st.expander("Recipe", icon=":material/tune:"):
        recipe = st.text_area(
            "Recipe as YAML",
            recipe,
            height=320,
            key=f"teach-recipe-{row.id}-{key}",
            label_visibility="collapsed",
        )
    if said:
        st.warning(plain(f"{said}."), icon=":material/photo_library:")
    elif not held:
        st.caption("Nothing is held back yet: without, two bundles cannot be compared fairly.")
    if not st.button(
        "Train",
        type="primary",
        icon=":material/model_training:",
        disabled=bool(said),
    ):
        return
    try:
        run = new_run(runs_folder())
        start_teaching(store, run, row.id, bundle, recipe, settings().weights, acting())
    except (TrainingError, StoreError, OSError) as error:
        st.error(plain(str(error)), title="Not started", icon=":material/error:")
        return
    st.switch_page(LINES, query_params={NEW_LINE: run.id})


def _way(row: LabelledSetRow) -> str:
    """Which of WAYS a set with a class for deviations is learned."""
    way: str = st.radio(
        "What is learned",
        list(WAYS),
        captions=list(WAYS.values()),
        key=f"teach-way-{row.id}",
        persist_state="session",
    )
    return way


def _what_is_known(known: Known) -> None:
    """What a bundle that names defects beside good parts would make of each class."""
    line = known.line
    rows = [(line.title_of(line.good_names[0]), known.good, "is remembered")]
    rows += [(line.title_of(name), parts, "gets its name") for name, parts in known.named.items()]
    for name, shown in known.few.items():
        more = counted(LEAST_SHOWN - shown, "more part is", "more parts are")
        words = f"is stopped as a deviation, until {more} labelled so"
        rows.append((line.title_of(name), shown, words))
    rows.append((line.title_of(DEVIATION), known.unnamed, "is stopped, without a name"))
    st.table(
        [
            {
                "Class": plain(title),
                "Parts to learn from": f"{shown:,}",
                "A part that shows it": words,
            }
            for title, shown, words in rows
        ],
        border="horizontal",
        width="content",
        hide_index=True,
        alt="What the bundle makes of each class",
    )


def _of_names(row: LabelledSetRow, labelled: Labelled) -> tuple[str, str]:
    """The recipe that remembers good parts and names defects, and what it depends on."""
    fine = _fineness(row, GOOD_PARTS, "", _longest(labelled))
    pictures = st.checkbox(
        KEEP, _carries_pictures(row.line), key=f"teach-pictures-{row.id}", help=KEEP_HELP
    )
    return names_recipe(FINE[fine], pictures), f"{NAMES}-{fine}-{pictures}"


def _carries_pictures(line: str) -> bool:
    """Whether the bundle in force carries pictures of good parts."""
    folder = _in_force(line)
    try:
        pictures = GoodPictures.of(folder) if folder else None
    except BundleError:
        return False
    return pictures is not None and bool(pictures.jpegs)


def _of_classes(row: LabelledSetRow, labelled: Labelled) -> tuple[str, str]:
    """The recipe of a network that tells the classes apart, and what it depends on."""
    effort = st.segmented_control(
        "How long", list(EFFORTS), default="Usual", required=True, key=f"teach-effort-{row.id}"
    )
    st.caption(EFFORTS[effort][0].capitalize())
    masks = (
        any(one.masks for one in labelled.rows)
        and effort != QUICK
        and st.toggle(
            "Learn where defects are, too",
            value=True,
            key=f"teach-masks-{row.id}",
            help="From what was drawn: the bundle outlines and measures defects.",
        )
    )
    name = MASKS if masks else LABELS
    fine = _fineness(row, name, effort, _longest(labelled))
    recipe = recipe_of(name, effort, row.label_mode, FINE[fine], len(labelled.rows))
    return recipe, f"{effort}-{masks}-{fine}"


def _longest(labelled: Labelled) -> int:
    """Side of the largest image, in px."""
    return max((max(one.width, one.height) for one in labelled.rows), default=0)


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


@lru_cache
def names_recipe(fine: int, pictures: bool) -> str:
    """The recipe that names defects beside good parts, with a factor on the side of what it sees,
    and whether the bundle carries pictures of good parts, as YAML."""
    content = _recipe(GOOD_PARTS)
    content["memory"] |= {"longest_side": fine * content["memory"]["longest_side"]}
    if pictures:
        content["memory"]["keep_pictures"] = True
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)


def side_of(recipe: str) -> int:
    """Of the network's square input, in px."""
    side: int = _recipe(recipe)["preprocessing"]["height"]
    return side


def _recipe(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "recipes" / f"{name}.yaml").read_text("utf-8"))
    return content
