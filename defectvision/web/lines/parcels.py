"""Bundles that come and go as zip files."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.parcel import ParcelError
from defectvision.people import Action, Person
from defectvision.settings import settings
from defectvision.store.bundles import export_bundle, import_bundle
from defectvision.store.database import Store
from defectvision.store.policies import in_force
from defectvision.web.links import line_address
from defectvision.web.session.people import acting, ready
from defectvision.words import plain

IMPORTED, DROPS = "bundle-imported", "bundle-drops"


def import_way(store: Store, person: Person) -> None:
    """Take a bundle out of a zip file, for those who may."""
    if not person.may(Action.TEACH):
        return
    with st.popover("Import a bundle", icon=":material/upload:", width="content"):
        st.markdown(
            "A zip file that **Export** made, here or on another machine. It is checked whole and "
            "tried on a test picture before it stands among the others, replaces none, and is not "
            "in force before somebody makes it the default."
        )
        drops = st.session_state.setdefault(DROPS, 0)
        given = st.file_uploader(
            "Zip file of a bundle",
            type=["zip"],
            key=f"bundle-file-{drops}",
            max_upload_size=settings().max_upload_mb,
        )
        name = st.text_input(
            "Name",
            key=f"bundle-name-{drops}",
            max_chars=64,
            placeholder="its own",
            help="Under which it stands here: lowercase letters, digits, '_', '.' and '-'. Another "
            "name than its own voids its signature.",
        ).strip()
        able = ready(person, Action.TEACH)
        if st.button("Check and import", type="primary", disabled=given is None or not able):
            assert given is not None
            about = settings()
            try:
                with st.spinner("Checking the bundle, and trying it on a test picture"):
                    loaded = import_bundle(
                        store, given, about.weights, acting(), name, about.limits.trusted
                    )
            except (ParcelError, BundleError) as error:
                st.error(
                    plain(f"{given.name}: {error}"),
                    title="Not imported",
                    icon=":material/error:",
                )
                return
            st.session_state[IMPORTED] = loaded
            st.session_state[DROPS] += 1
            st.query_params.from_dict(line_address(loaded.line.name))
            st.rerun()


def imported_notice(store: Store) -> None:
    """Which bundle was imported last, once; and by which policy it will be judged, where that is
    not its own."""
    loaded: LoadedBundle | None = st.session_state.pop(IMPORTED, None)
    if loaded is None:
        return
    line, about = loaded.line, loaded.bundle
    words = f"{about.name} of {line.title}, version {loaded.version}, is among the bundles now."
    st.success(plain(words), title="Imported", icon=":material/check_circle:")
    with store.reading() as session:
        policy = in_force(session, line.name, about.name, about.policy)
    if policy.outdated is not None:
        st.warning(
            plain(f"In force for it is {policy.words}: evaluate it, and save one for it."),
            icon=":material/gavel:",
        )
    elif policy.number is not None:
        st.warning(
            plain(
                f"In force for it is {policy.words} for a bundle of this name before. Its scores "
                "may mean something else: evaluate it, and choose the policy anew."
            ),
            icon=":material/gavel:",
        )


def export_button(loaded: LoadedBundle, store: Store, person: Person) -> None:
    """The bundle as a zip file, made when it is asked for."""
    if not person.may(Action.TEACH):
        return
    line, name = loaded.line.name, loaded.bundle.name
    st.download_button(
        "Export",
        lambda: export_bundle(store, loaded, acting()),
        f"{line}-{name}-{loaded.version}.zip",
        "application/zip",
        key=f"export-{line}-{name}",
        icon=":material/download:",
        on_click="ignore",
        help="The bundle with its line, as one zip file for another machine.",
    )
