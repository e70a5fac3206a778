"""What was learned from a labelled set, and what it is worth beside the bundle in force."""

from __future__ import annotations

import streamlit as st

from defectvision.batch.evaluation_start import start_evaluation
from defectvision.bundle.reader import BundleError, read_line
from defectvision.bundle.schema import LINE_FILE
from defectvision.evaluation.promises import percent
from defectvision.people import Action, Person
from defectvision.roots import NotAllowedError
from defectvision.settings import settings
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
from defectvision.web.new_line.runs import Look, Run, every_run
from defectvision.web.new_line.runs import State as RunState
from defectvision.web.new_line.training import look_at
from defectvision.web.new_line.words import STATES
from defectvision.web.session.people import acting, lacking
from defectvision.words import counted, in_utc, plain

MOST_LISTED = 8
LOOK_SECONDS = 2.0  # between two looks at what runs


def learned(store: Store, row: LabelledSetRow, person: Person) -> None:
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
        started = in_utc(order.started)
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
        if missing := [name for name, row in done.items() if row is None]:
            held = sum(1 for _ in (run.held / "images").rglob("*.*"))
            what = "" if missing == both else f" {', '.join(missing)}"
            words = plain(f"Measure{what} on {counted(held, 'held-back image')}")
            if not lacking(person, Action.TEACH) and st.button(
                words, key=f"measure-{run.id}", icon=":material/fact_check:", type="primary"
            ):
                _measure(store, run, line, missing, f"{known.title}, images held back")
        if missing == both:
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
        f"{title} {percent(found['value'])}"
        for key, title in (("escapes", "escapes"), ("overkills", "overkill"), ("reviews", "review"))
        if (found := values.get(key)) and found.get("value") is not None
    ]
    return ", ".join(told) or "done"


def _evaluation(store: Store, run: Run, line: str, bundle: str) -> EvaluationRow | None:
    """The last one of that bundle, as it is now, on the run's images held back."""
    try:
        loaded = loaded_bundle(line, bundle)
    except BundleError:
        return None
    with store.reading() as session:
        for row in list_evaluations(session, line, bundle):
            held = row.source.get("path") == str(run.held.resolve())
            if held and loaded.is_version(row.bundle_version):
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
