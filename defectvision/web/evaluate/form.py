"""What to evaluate: a bundle, and images of which it is known what they show."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path

import streamlit as st

from defectvision.batch.evaluation_start import start_evaluation
from defectvision.bundle.reader import BundleError
from defectvision.people import Action, Person
from defectvision.roots import NotAllowedError
from defectvision.settings import settings
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import LabelledSet, Reviewed, Source
from defectvision.web.choices import bundle_names, bundle_words, choose_line, loaded_bundle
from defectvision.web.dataset.labelled import title_of
from defectvision.web.dataset.opening import choose_set, path_of
from defectvision.web.evaluate.opening import go_to
from defectvision.web.links import bundle_key
from defectvision.web.session.people import acting, ready
from defectvision.words import plain

SET, REVIEWED = "Labelled set", "Reviewed"
WHOLE = "all images"
DAYS = 30  # of the period that is offered first


def new_evaluation(store: Store, person: Person) -> None:
    """The form; what it starts is opened at once."""
    notices = st.container()
    line = choose_line(notices)
    if line is None:
        return
    names = bundle_names(line.name)
    key = f"evaluate-bundles-{line.name}"
    inspects = st.session_state.get(bundle_key(line.name))
    st.session_state.setdefault(key, [inspects] if inspects in names else names[:1])
    chosen = st.multiselect(
        "Bundles",
        names,
        key=key,
        format_func=lambda name: bundle_words(name, line),
        help="Each is evaluated by itself; open one of them to compare it with another.",
    )
    kind = st.segmented_control(
        "Images",
        [SET, REVIEWED],
        default=SET,
        required=True,
        key="evaluate-kind",
        persist_state="session",
    )
    source = _set() if kind == SET else _reviewed()
    able = ready(person, Action.TEACH)
    said = "" if chosen else "Choose a bundle first."
    said = said or ("" if source else "Say first which images: see above.")
    pressed = st.button(
        "Evaluate",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=not able or bool(said),
        help=said or None,
    )
    if not pressed or source is None:
        return
    number = 0
    for name in chosen:
        try:
            loaded = loaded_bundle(line.name, name)
            number = start_evaluation(store, loaded, source(), readable_folders(), acting())
        except (BundleError, NotAllowedError, StoreError, OSError) as error:
            st.error(plain(str(error)), title="Not started", icon=":material/error:")
            return
    go_to(number if len(chosen) == 1 else None)
    st.rerun()


def readable_folders() -> list[Path]:
    """The folders of this server that labelled images may be read from."""
    about = settings()
    return [*about.source_roots, *about.data_sets.values(), about.cache]


def _set() -> Callable[[], Source] | None:
    asked = choose_set()
    if not asked:
        return None
    split = st.selectbox(
        "Split",
        [WHOLE, "train", "val", "test"],
        key="evaluate-split",
        persist_state="session",
        filter_mode=None,
        help="Of sets that name splits. Images that the bundle learned from are recognised, and "
        "left out of the figures, whatever they are called.",
    )
    split = "" if split == WHOLE else split

    def source() -> Source:
        title = title_of(asked["labelled"]) if "labelled" in asked else ""
        return LabelledSet(path=str(path_of(asked)), split=split, title=title)

    return source


def _reviewed() -> Callable[[], Source] | None:
    today = datetime.now().astimezone().date()
    period = st.date_input(
        "Inspected from, until",
        (today - timedelta(days=DAYS), today),
        key="evaluate-period",
        format="YYYY-MM-DD",
        help="Images of any batch of the line on which people have decided: what they said is what "
        "they show.",
    )
    if not isinstance(period, tuple) or len(period) != 2:
        st.caption("Choose the last day, too.")
        return None
    since, until = (datetime.combine(day, time()).astimezone() for day in period)
    return lambda: Reviewed(since=since, until=until + timedelta(days=1))
