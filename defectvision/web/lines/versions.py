"""The policies that were in force for a bundle, and the way back to one of them."""

from __future__ import annotations

import streamlit as st
from sqlalchemy.exc import IntegrityError

from defectvision.bundle.policy import Policy, in_words
from defectvision.bundle.schema import LoadedBundle
from defectvision.people import Action, Person
from defectvision.store import policies
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import PolicyRow
from defectvision.web.session.people import acting, ready
from defectvision.words import counted, plain

OWN = 0  # in place of a number: the policy that the bundle brought


def policy_versions(loaded: LoadedBundle, store: Store, person: Person) -> None:
    """Which policy is in force, who put it there and why, and those before it."""
    whose = loaded.line.name, loaded.bundle.name
    with store.reading() as session:
        today = policies.in_force(session, *whose, loaded.bundle.policy)
        rows = policies.history(session, *whose)
    title = f"Policy: {plain(today.words)} is in force"
    if rows:
        title += f"; {counted(len(rows), 'version')}"
    with st.expander(title, icon=":material/gavel:"):
        st.dataframe(
            [_row(loaded, row) for row in rows] + [_own_row(loaded)],
            hide_index=True,
            alt=f"Policies of {loaded.bundle.name}, the newest first",
            column_config={"What it says": st.column_config.TextColumn(width="large")},
        )
        if not rows or not person.may(Action.POLICY):
            return
        _back(loaded, store, person, rows, today.policy)


def _row(loaded: LoadedBundle, row: PolicyRow) -> dict[str, object]:
    policy = policies.policy_of(row)
    return {
        "No.": row.number,
        "Saved, UTC": row.made,
        "By": row.who,
        "Reason": row.why,
        "What it says": in_words(policy, loaded.line, loaded.bundle.mask_classes),
    }


def _own_row(loaded: LoadedBundle) -> dict[str, object]:
    words = in_words(loaded.bundle.policy, loaded.line, loaded.bundle.mask_classes)
    return {
        "No.": OWN,
        "Saved, UTC": None,
        "By": "",
        "Reason": "the bundle's own",
        "What it says": words,
    }


def _back(
    loaded: LoadedBundle, store: Store, person: Person, rows: list[PolicyRow], today: Policy
) -> None:
    """An earlier version becomes the newest: everyone's verdicts follow it from then on."""
    name = f"{loaded.line.name}-{loaded.bundle.name}"
    reasons = {row.number: row.why for row in rows[1:]} | {OWN: "the bundle's own policy"}
    with st.popover("Roll back", icon=":material/undo:", key=f"policy-back-{name}"):
        st.markdown("The chosen policy is put in force again for everyone, as a new version.")
        number = st.selectbox(
            "Version",
            list(reasons),
            format_func=lambda n: f"{n}: {reasons[n]}" if n else reasons[n],
            key=f"policy-back-to-{name}-{rows[0].number}",
            filter_mode=None,
        )
        why = st.text_input(
            "Reason", key=f"policy-back-why-{name}-{rows[0].number}", max_chars=500
        ).strip()
        able = ready(person, Action.POLICY)
        pressed = st.button(
            "Put in force again",
            key=f"policy-back-now-{name}",
            type="primary",
            disabled=not (able and why),
        )
        # Where somebody saved another one meanwhile, the reason was given for what is past.
        if not (pressed and able and why):
            return
        try:
            with store.session() as session:
                policies.restore(session, loaded, number or None, acting(), why, today)
        except IntegrityError:
            st.error("Somebody else saved a policy at the same moment. Look at it first.")
        except (ValueError, StoreError) as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            st.rerun()
