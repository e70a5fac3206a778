"""What each role may do, as a table."""

from __future__ import annotations

import streamlit as st

from defectvision.people import Action, Role
from defectvision.words import capital


def roles_table() -> None:
    st.dataframe(
        [
            {"May": capital(action.words)}
            | {role.value.capitalize(): "yes" if action in role.may else "" for role in Role}
            for action in Action
        ],
        hide_index=True,
        alt="Actions and the roles that may do them",
        column_config={"May": st.column_config.TextColumn(width="large")},
    )
