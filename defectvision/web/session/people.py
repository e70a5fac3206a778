"""Who is at the page, and what they may do on it."""

from __future__ import annotations

from urllib.parse import unquote

import streamlit as st

from defectvision.people import Action, NotAllowedError, Person, unproven
from defectvision.settings import settings, the_store
from defectvision.store.accounts import known_as, sign_out
from defectvision.web.door.door import COOKIE, person_of, vouched_for
from defectvision.words import plain, writable

NAME_COOKIE, MOST_NAME = "defectvision-name", 80  # characters
GONE = "nobody is signed in here any more. Reload the page to sign in again"


def acting() -> Person:
    """Whoever is at the page now, in the role that they have now. Raises NotAllowedError where
    nobody is signed in, and StoreError."""
    how = settings().sign_in
    if how == "accounts":
        person = person_of(st.context.cookies.get(COOKIE, ""))
    elif how == "openid":
        name = name_at_provider()
        with the_store().reading() as session:
            person = known_as(session, name) if name else None
    else:
        return unproven(_typed_name())
    if person is None:
        raise NotAllowedError(GONE)
    return person


def name_at_provider() -> str:
    """What the OpenID provider vouches for; empty where nobody is signed in."""
    return vouched_for(st.user.to_dict()) if st.user.is_logged_in else ""


def let_in() -> bool:
    """Whether somebody is at the page who may look; otherwise says how to sign in."""
    how = settings().sign_in
    if how != "openid":
        try:
            acting()
        except NotAllowedError:
            st.info("You are not signed in here any more.", icon=":material/logout:")
            st.html('<a href="/sign-in" target="_self">Sign in</a>')
            return False
        return True
    name = name_at_provider()
    if not name:
        st.subheader("DefectVision", icon=":material/login:")
        st.button("Sign in", type="primary", on_click=st.login)
        return False
    try:
        acting()
    except NotAllowedError:
        st.info(
            f"You are signed in as {plain(name)}, and there is no account of that name here. An "
            "admin can make one on the Access page.",
            icon=":material/no_accounts:",
        )
        st.button("Sign out", on_click=st.logout)
        return False
    return True


def leave() -> None:
    """Sign out."""
    if settings().sign_in == "openid":
        st.logout()
        return
    with the_store().session() as session:
        sign_out(session, st.context.cookies.get(COOKIE, ""))


def who() -> Person:
    """Whoever is at the page, and a place that says who: the name that decisions and changes are
    kept under, which is asked for where nobody signs in."""
    if settings().sign_in in ("accounts", "openid"):
        person = acting()
        st.caption(f"Signed in as **{plain(person.name)}**, {person.title}")
        return person
    st.session_state.setdefault("who", _typed_name())
    name = st.text_input(
        "Your name",
        key="who",
        persist_state="session",
        max_chars=MOST_NAME,
        placeholder="for the record",
        help="Kept with what you decide: reviews, saved policies, started batches. This browser "
        "knows it until it is closed.",
    )
    return unproven(name)


def _typed_name() -> str:
    """The name that was typed in this session, else the one that the browser keeps, see
    script/name.js."""
    if "who" in st.session_state:
        return st.session_state["who"] or ""
    kept = unquote(st.context.cookies.get(NAME_COOKIE, ""))
    return writable(" ".join(kept.split()))[:MOST_NAME]


def lacking(person: Person, action: Action, named: bool = True) -> str:
    """Why they may not do it here and now, in Markdown; empty where they may. named: whether it
    needs a name."""
    if not person.may(action):
        return plain(f"{person.refusal(action)}.")
    if named and not person.name:
        return "Give your name on the left first: it is kept with what you do."
    return ""


def lacking_reason(person: Person, action: Action, why: str) -> str:
    """As `lacking`, of what is done with a reason only; the help of a button that is off."""
    said = lacking(person, action)
    return said or ("" if why.strip() else "Give a reason first: it is kept with what you do.")


def ready(person: Person, action: Action, named: bool = True) -> bool:
    """Whether they may do it here and now; says in its place what lacks."""
    said = lacking(person, action, named)
    if said:
        st.caption(said)
    return not said
