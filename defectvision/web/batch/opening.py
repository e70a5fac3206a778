"""Which batch the Results and Review pages show."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import LoadedBundle
from defectvision.store import batches
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.results import Results
from defectvision.web.choices import loaded_bundle
from defectvision.web.links import batches_link
from defectvision.web.session.store import say_outdated, the_store
from defectvision.web.session.work import Work
from defectvision.web.widgets import current_key, key_showing
from defectvision.words import plain

OPENED_BATCH = "opened-batch"  # of the session, on whichever page it was chosen


def open_batch(work: Work, page: str, icon: str) -> tuple[Results, LoadedBundle]:
    """The batch of the page's address, and its bundle; `work` knows the policy in force then.
    Where something is missing the page says what to do and ends."""
    notices = st.container()
    store = the_store(notices)
    if store is None:
        st.stop()
    with st.sidebar:
        results = choose_batch(store)
    if results is None:
        st.subheader(page, icon=icon)
        st.markdown("There is no batch yet. Start one on the **Batches** page.")
        batches_link()
        st.stop()
    try:
        loaded = loaded_bundle(results.batch.line, results.batch.bundle)
    except BundleError as error:
        st.error(plain(str(error)), title="The bundle is gone", icon=":material/error:")
        st.stop()
    policy = results.policy_in_force()
    work.policies.know(loaded, policy)
    say_outdated(policy, st.container())
    return results, loaded


def measured(results: Results, policy: Policy) -> None:
    """Ask the policy's rules about the batch's parts, with progress where it takes long."""
    place = st.empty()  # has its place always, see `what_if`

    def advance(done: int, total: int) -> None:
        if done < total:
            place.progress(done / total, f"Measuring parts by the rules: {done:,} of {total:,}")

    results.measure(policy, advance)
    place.empty()


def choose_batch(store: Store) -> Results | None:
    """The batch of the page's address, else the one that was open on another page, else the newest;
    None where there is none."""
    with store.reading() as session:
        titles = batches.batch_titles(session)
    if not titles:
        return None
    asked = st.query_params.get("batch", "")
    wanted = int(asked) if asked.isdigit() else st.session_state.get(OPENED_BATCH)
    if wanted not in titles:
        wanted = next(iter(titles))
    st.session_state[OPENED_BATCH] = wanted
    name = "results-batch"

    def chosen(key: str) -> None:
        if key == current_key(name):
            st.query_params["batch"] = str(st.session_state[key])

    key = key_showing(name, wanted)
    st.selectbox(
        "Batch",
        list(titles),
        format_func=titles.__getitem__,
        key=key,
        on_change=chosen,
        args=(key,),
    )
    st.query_params["batch"] = str(wanted)
    try:
        return Results.open(store, wanted)
    except StoreError:  # deleted meanwhile
        return None
