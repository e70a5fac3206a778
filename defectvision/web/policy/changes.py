"""Changes of the session's policy that its own rules may forbid."""

from __future__ import annotations

from typing import Any

import streamlit as st
from pydantic import ValidationError

from defectvision.bundle.policy import check_fits
from defectvision.bundle.schema import LoadedBundle
from defectvision.web.session.work import Work
from defectvision.words import plain

REFUSED = "policy-refused"  # in the session's state: why the last change was not made


def change(work: Work, loaded: LoadedBundle, **changes: Any) -> None:
    """Set fields of the session's policy; where it would contradict itself, or the bundle could not
    follow it, it stays as it was, and the page says why."""
    before = work.policies.of(loaded)
    try:
        work.policies.change(loaded, **changes)
        check_fits(work.policies.of(loaded), loaded.line, loaded.bundle.mask_classes)
    except ValidationError as error:
        problem = error.errors()[0]
        said = problem["ctx"]["error"] if "error" in problem.get("ctx", {}) else problem["msg"]
        st.session_state[REFUSED] = str(said)
    except ValueError as error:
        work.policies.change(loaded, **before.model_dump())
        st.session_state[REFUSED] = str(error)


def refused() -> None:
    """Why the last change was not made, once."""
    if reason := st.session_state.pop(REFUSED, ""):
        st.error(plain(f"{reason[0].upper()}{reason[1:]}."), icon=":material/block:")
