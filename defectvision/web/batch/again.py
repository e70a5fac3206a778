"""The button that inspects a batch's images again, with another bundle."""

from __future__ import annotations

import streamlit as st

from defectvision.batch.again import start_batch_again, to_be_had
from defectvision.batch.sources import SourceError
from defectvision.bundle.reader import BundleError
from defectvision.people import Action, NotAllowedError, Person
from defectvision.settings import settings
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import BatchRow
from defectvision.web.choices import bundle_names, loaded_bundle
from defectvision.web.session.people import acting, lacking
from defectvision.words import plain


def inspect_again(store: Store, batch: BatchRow, who: Person) -> None:
    """Which bundle, what of the batch can be had again, and the start."""
    key = f"again-open-{batch.id}"
    opened = st.popover("Inspect again", icon=":material/replay:", key=key, on_change="rerun")
    with opened:
        if not opened.open:  # reading the bundles takes a moment
            return
        if said := lacking(who, Action.BATCH, named=False):
            st.info(said, icon=":material/badge:")
            return
        st.markdown(
            "The same images with another bundle, as a batch of its own. This one stays as it is; "
            "then the verdicts of both are compared."
        )
        names = _bundles(batch)
        if not names:
            st.info(
                plain(f"Line {batch.line} has no other bundle than the one it was inspected with."),
                icon=":material/info:",
            )
            return
        bundle = st.selectbox(
            "Model", list(names), format_func=names.__getitem__, key=f"again-{batch.id}"
        )
        with store.reading() as session:
            st.caption(to_be_had(session, batch.id).words.capitalize() + ".")
        st.button(
            "Inspect again",
            type="primary",
            key=f"again-start-{batch.id}",
            on_click=_start,
            args=(store, batch, bundle),
        )


def _bundles(batch: BatchRow) -> dict[str, str]:
    """The bundles of the batch's line that are other ones than it was inspected with, the default
    one first, in words."""
    try:
        names = bundle_names(batch.line)
    except BundleError:  # the line is gone
        return {}
    found = {}
    for place, name in enumerate(names):
        try:
            loaded = loaded_bundle(batch.line, name)
        except BundleError:
            continue
        if batch.bundle_version not in (loaded.version, loaded.earlier_version):
            new = ", a newer version" if name == batch.bundle else ""
            found[name] = f"{name}{new}{' (default)' if place == 0 else ''}"
    return found


def _start(store: Store, batch: BatchRow, bundle: str) -> None:
    try:
        loaded = loaded_bundle(batch.line, bundle)
        roots = settings().source_roots
        made = start_batch_again(store, loaded, batch.id, roots, acting())
    except (BundleError, SourceError, StoreError, NotAllowedError) as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    st.session_state["followed"] = made.id
