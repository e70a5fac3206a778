"""What is not as it should be with the store, its disk and its workers."""

from __future__ import annotations

import time

import streamlit as st

from defectvision.batch.health import health_of
from defectvision.finding import Condition, worst
from defectvision.settings import settings
from defectvision.words import plain

OLDEST_SECONDS = 10.0  # of what is shown
STARTING_SECONDS = 60.0  # in which the worker of a server that was just started need not be heard
_first_asked = time.monotonic()


def say_condition() -> None:
    """A banner with what is broken or needs a look, and what to do; nothing where all is well."""
    about = settings()
    found = health_of(about.store, about.database, about.files).look(OLDEST_SECONDS)
    if time.monotonic() - _first_asked < STARTING_SECONDS:
        found = tuple(one for one in found if one.part != "worker")
    wrong = [one for one in found if one.state != Condition.OK]
    if not wrong:
        return
    broken = worst(wrong) == Condition.BROKEN
    (st.error if broken else st.warning)(
        "\n".join(f"- {plain(f'{one.words}. {one.remedy}.')}" for one in wrong),
        title="Not all is as it should be",
        icon=":material/heart_broken:" if broken else ":material/monitor_heart:",
    )
