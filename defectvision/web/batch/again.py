"""The button that inspects a batch's images again, with another bundle or as another line."""

from __future__ import annotations

import streamlit as st

from defectvision.batch.again import start_batch_again, to_be_had
from defectvision.batch.sources import SourceError
from defectvision.bundle.reader import BundleError, find_lines
from defectvision.people import Action, NotAllowedError, Person
from defectvision.settings import settings
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import BatchRow
from defectvision.web.choices import bundle_names, loaded_bundle
from defectvision.web.session.people import acting, lacking
from defectvision.words import plain


def inspect_again(store: Store, batch: BatchRow, who: Person) -> None:
    """Which line and bundle, what of the batch can be had again, and the start."""
    key = f"again-open-{batch.id}"
    opened = st.popover("Inspect again", icon=":material/replay:", key=key, on_change="rerun")
    with opened:
        if not opened.open:  # reading the bundles takes a moment
            return
        if said := lacking(who, Action.BATCH, named=False):
            st.info(said, icon=":material/badge:")
            return
        st.markdown(
            "The same images with another bundle, or as another line where this one was wrong, as "
            "a batch of its own. This one stays as it is; of one line, the verdicts of both are "
            "compared then."
        )
        line = _line(batch)
        names = _bundles(batch, line) if line else {}
        if not names:
            st.info(
                plain(
                    f"Line {line or batch.line} has no other bundle than the one it was inspected "
                    "with."
                ),
                icon=":material/info:",
            )
            return
        bundle = st.selectbox(
            "Model", list(names), format_func=names.__getitem__, key=f"again-{batch.id}-{line}"
        )
        with store.reading() as session:
            st.caption(to_be_had(session, batch.id).words.capitalize() + ".")
        st.button(
            "Inspect again",
            type="primary",
            key=f"again-start-{batch.id}",
            on_click=_start,
            args=(store, batch, line, bundle),
        )


def _line(batch: BatchRow) -> str:
    """The line that the images are of, first the one they were inspected as; empty where there is
    none."""
    titles = {line.name: line.title for line in find_lines(settings().weights).readable}
    if not titles:
        return ""
    names = list(titles)
    chosen: str = st.selectbox(
        "Line",
        names,
        index=names.index(batch.line) if batch.line in titles else 0,
        format_func=titles.__getitem__,
        key=f"again-line-{batch.id}",
        filter_mode=None,
    )
    return chosen


def _bundles(batch: BatchRow, line: str) -> dict[str, str]:
    """The bundles of a line that are other ones than the batch was inspected with, the default one
    first, in words."""
    try:
        names = bundle_names(line)
    except BundleError:  # the line is gone
        return {}
    found = {}
    for place, name in enumerate(names):
        try:
            loaded = loaded_bundle(line, name)
        except BundleError:
            continue
        if not loaded.is_version(batch.bundle_version):
            newer = line == batch.line and name == batch.bundle
            new = ", a newer version" if newer else ""
            found[name] = f"{name}{new}{' (default)' if place == 0 else ''}"
    return found


def _start(store: Store, batch: BatchRow, line: str, bundle: str) -> None:
    try:
        loaded = loaded_bundle(line, bundle)
        roots = settings().source_roots
        made = start_batch_again(store, loaded, batch.id, roots, acting())
    except (BundleError, SourceError, StoreError, NotAllowedError) as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    st.session_state["followed"] = made.id
