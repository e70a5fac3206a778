"""Changes of the session's policy that its own rules may forbid."""

from __future__ import annotations

from typing import Any

import streamlit as st
from pydantic import ValidationError

from defectvision.bundle.schema import LoadedBundle
from defectvision.web.session.work import Work
from defectvision.words import capital, plain

REFUSED = "policy-refused"  # in the session's state: why the last change was not made


def change(work: Work, loaded: LoadedBundle, **changes: Any) -> None:
    """Set fields of the session's policy; where it would contradict itself it stays as it was, and
    the page says why. The widgets offer nothing that the bundle could not follow."""
    try:
        work.policies.change(loaded, **changes)
    except ValidationError as error:
        problem = error.errors()[0]
        said = problem["ctx"]["error"] if "error" in problem.get("ctx", {}) else problem["msg"]
        st.session_state[REFUSED] = str(said)


def refused() -> None:
    """Why the last change was not made, once."""
    if reason := st.session_state.pop(REFUSED, ""):
        st.error(plain(f"{capital(reason)}."), icon=":material/block:")
