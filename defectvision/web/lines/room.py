"""One bundle of a line: what can be done with it, and all that is known of it."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.line import Line
from defectvision.bundle.reader import BundleError
from defectvision.inference.speed import look_at_speed
from defectvision.people import Person
from defectvision.settings import settings
from defectvision.store.database import Store
from defectvision.web import cards
from defectvision.web.choices import loaded_bundle
from defectvision.web.lines.card import bundle_card, files
from defectvision.web.lines.curve import training_curve
from defectvision.web.lines.default import make_default
from defectvision.web.lines.parcels import export_button
from defectvision.web.lines.speed import speed_button, speed_facts
from defectvision.web.lines.versions import policy_versions
from defectvision.web.links import evaluate_way
from defectvision.words import plain


def bundle_room(line: Line, name: str, store: Store | None, person: Person) -> None:
    """A bundle, or why it cannot be used."""
    try:
        loaded = loaded_bundle(line.name, name)
    except BundleError as error:
        st.error(plain(str(error)), title="The bundle cannot be used", icon=":material/error:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if name == line.default_bundle:
            st.badge("Default bundle of the line", icon=":material/star:", color="blue")
        elif store is not None:
            make_default(line, name, store, person)
        if store is not None:
            export_button(loaded, store, person)
        evaluate_way(line.name, name)
        look = look_at_speed(loaded, settings().cache)
        speed_button(loaded, look, person)
    bundle_card(loaded, speed_facts(loaded, look))
    training_curve(loaded)
    if store is not None:
        policy_versions(loaded, store, person)
    with st.expander("Files and their hashes", icon=":material/fingerprint:"):
        st.html(cards.facts(files(loaded.bundle), "left"))
