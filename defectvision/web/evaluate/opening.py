"""The evaluation that is open: its tables, kept in memory for all sessions, and its bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import streamlit as st

from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import LoadedBundle
from defectvision.evaluation.kept import Kept
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import get_evaluation, open_evaluation
from defectvision.store.tables import EvaluationRow
from defectvision.web.choices import loaded_bundle

ADDRESS = "evaluation"  # of the page: the number of the evaluation that is open
MOST_OPEN = 4  # of which the tables stay in memory
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Opened:
    """An evaluation. every: all its images; kept: those that the page shows figures of, which are
    named by their row in it; loaded: its bundle as it is now, None where it is gone."""

    row: EvaluationRow
    every: Kept
    kept: Kept
    loaded: LoadedBundle | None

    @property
    def left_out(self) -> int:
        return len(self.every) - len(self.kept)

    @property
    def same_bundle(self) -> bool:
        """Whether the bundle is still the one that was evaluated."""
        return self.loaded is not None and self.loaded.is_version(self.row.bundle_version)


def asked() -> int | None:
    """The evaluation that the page's address names."""
    text = st.query_params.get(ADDRESS, "")
    return int(text) if text.isdigit() and len(text) < 19 else None


def go_to(number: int | None) -> None:
    """Open an evaluation, or the list of all."""
    if number is None:
        st.query_params.pop(ADDRESS, None)
    else:
        st.query_params[ADDRESS] = str(number)


def row_of(store: Store, number: int) -> EvaluationRow | None:
    """None where it was deleted."""
    try:
        with store.reading() as session:
            return get_evaluation(session, number)
    except StoreError:
        return None


def opened(store: Store, row: EvaluationRow, with_seen: bool) -> Opened:
    """An evaluation that is done; without the images that the bundle learned from, unless all are
    such. Raises StoreError."""
    every = _tables(store, row.id, row.digest or "")
    kept = every
    if not with_seen and every.unseen.any() and not every.unseen.all():
        kept = _unseen(every, row.digest or "")
    try:
        loaded = loaded_bundle(row.line, row.bundle)
    except BundleError:
        loaded = None
    return Opened(row, every, kept, loaded)


@st.cache_resource(max_entries=MOST_OPEN, show_spinner="Opening the evaluation")
def _tables(_store: Store, number: int, digest: str) -> Kept:
    return open_evaluation(_store, number)


@st.cache_resource(max_entries=MOST_OPEN, show_spinner=False)
def _unseen(_every: Kept, digest: str) -> Kept:
    return _every.take(np.flatnonzero(_every.unseen))


def once(kept: Kept, what: str, make: Callable[[], T], *of: Any) -> T:
    """What `make` gives of an evaluation, asked once: a moved threshold changes none of it."""
    key = ("page", what, *of)
    if key not in kept.remembered:
        kept.remembered[key] = make()
    found: T = kept.remembered[key]
    return found


def latest(kept: Kept, what: str, make: Callable[[], T], *of: Any) -> T:
    """As `once`, of an answer that follows the policy: only the last one is kept."""
    key = ("page", what)
    before = kept.remembered.get(key)
    if before is None or before[0] != of:
        before = kept.remembered[key] = of, make()
    found: T = before[1]
    return found
